/** Liveness, readiness and metrics: open to everybody, so they name no log and no tenant. */

import type { Call } from './call.ts';
import type { Reply } from './reply.ts';

function text(status: number, body: string, contentType = 'text/plain; charset=utf-8'): Reply {
  return { status, headers: { 'content-type': contentType, 'cache-control': 'no-store' }, body };
}

/** The process runs. */
export function healthz(): Reply {
  return text(200, 'ok\n');
}

/** The process takes requests: not while it drains, nor after a failed write. */
export function readyz({ ready }: Call): Reply {
  return ready() ? text(200, 'ready\n') : text(503, 'not ready\n');
}

/** Prometheus text format 0.0.4. */
export async function metrics({ metrics: registry }: Call): Promise<Reply> {
  return text(200, await registry.render(), registry.contentType);
}
