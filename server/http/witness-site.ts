/** The HTTP surface of a witness that is a process of its own: its two routes at the root, and the three of every server. */
import type { Logger } from 'pino';
import type { Witness } from '../witness/witness.ts';
import type { WitnessMetrics } from '../witness/witness-metrics.ts';
import { ByteBudget } from './byte-budget.ts';
import { healthz, metrics, readyz } from './health.ts';
import type { Reply } from './reply.ts';
import { ReplyBudget } from './reply-budget.ts';
import { Router } from './router.ts';
import { type Abandon, type RequestHandler, requestHandler, type SiteRoute } from './site.ts';
import { Proxies } from './trusted-proxies.ts';
import { addCheckpoint, cosignedCheckpoint, type WitnessCall } from './witness.ts';

export interface WitnessSite {
  readonly witness: Witness;
  readonly metrics: WitnessMetrics;
  readonly logger: Logger;
  readonly ready: () => boolean;
}

interface WitnessRoute extends SiteRoute {
  handle(call: WitnessCall, site: WitnessSite): Reply | Promise<Reply>;
}

export const WITNESS_ROUTES: readonly WitnessRoute[] = [
  { method: 'POST', path: '/add-checkpoint', handle: addCheckpoint },
  { method: 'GET', path: '/:hash/checkpoint', handle: cosignedCheckpoint },
  { method: 'GET', path: '/healthz', handle: healthz },
  { method: 'GET', path: '/readyz', handle: (_, site) => readyz(site) },
  { method: 'GET', path: '/metrics', handle: (_, site) => metrics(site) },
];

/** Bytes of bodies under way at once, 128 of the largest. */
const BODY_BUDGET = 16 * 1_048_576;

export function witnessHandler(site: WitnessSite, abandon: Abandon): RequestHandler {
  const bodies = new ByteBudget(BODY_BUDGET);
  const { witness } = site;
  return requestHandler<WitnessRoute>({
    router: new Router(WITNESS_ROUTES),
    metrics: site.metrics,
    logger: site.logger,
    proxies: new Proxies([]),
    replies: new ReplyBudget(),
    abandon,
    handle: (req, { route, params }) => route.handle({ req, bodies, params, witness }, site),
    isPublic: () => false,
  });
}
