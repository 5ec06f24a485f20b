/** Liveness, readiness and metrics: open to everybody, so they name no log and no tenant. */

import type { Call } from './call.ts';
import { type Reply, text } from './reply.ts';

/** Whoever has metrics to show. */
interface MetricsCall {
  readonly metrics: { readonly contentType: string; render(): Promise<string> };
}

/** The process runs. */
export function healthz(): Reply {
  return text(200, 'ok\n');
}

/** The process takes requests: not while it drains, nor after a failed write. */
export function readyz({ ready }: Pick<Call, 'ready'>): Reply {
  return ready() ? text(200, 'ready\n') : text(503, 'not ready\n');
}

/** Prometheus text format 0.0.4. */
export async function metrics({ metrics: registry }: MetricsCall): Promise<Reply> {
  return text(200, await registry.render(), registry.contentType);
}
