/** From a request of the server's own table to its rights and its handler; site.ts makes the reply of what comes back. */
import type { Logger } from 'pino';
import { type ApiKey, permits } from '../access.ts';
import { ServerError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Witness } from '../witness/witness.ts';
import { ByteBudget } from './byte-budget.ts';
import type { Call } from './call.ts';
import type { FailedLogins } from './failed-logins.ts';
import type { Incoming } from './incoming.ts';
import type { LoginThrottle } from './login-throttle.ts';
import { ProvenKeys } from './proven-keys.ts';
import type { RateLimiter } from './rate-limiter.ts';
import type { Reply } from './reply.ts';
import { ReplyBudget } from './reply-budget.ts';
import { type Match, type Matched, Router } from './router.ts';
import { type LogRoute, ROUTES, type Route } from './routes.ts';
import { type Abandon, NOT_FOUND, type RequestHandler, requestHandler } from './site.ts';
import { clientAddress, Proxies } from './trusted-proxies.ts';

/** What a dispatcher gives to every call, and what it needs itself. */
export type CallContext = Pick<Call, 'server' | 'limits' | 'metrics' | 'ready'> & {
  readonly logger: Logger;
  /** Peers whose X-Forwarded-For and X-Forwarded-Proto are believed. Default: none. */
  readonly proxies?: Proxies;
  readonly failedLogins?: FailedLogins;
  /** How often an address may fail; without it, as often as it likes. */
  readonly throttle?: LoginThrottle;
  /** What each API key may ask for; without it, anything. */
  readonly rates?: RateLimiter;
  readonly witness?: Witness | undefined;
};

/** Bytes of bodies under way at once, eight of the largest: whoever sends slowly must not fill the memory before the pool counts. */
const BODY_BUDGET = 128 * 1_048_576;

type FullContext = CallContext &
  Pick<Call, 'bodies' | 'replies'> & {
    readonly proxies: Proxies;
    readonly provenKeys: ProvenKeys;
  };

/** A request handler over the whole table; `abandon` ends a connection whose answer cannot be written. */
export function makeDispatcher(given: CallContext, abandon: Abandon): RequestHandler {
  const context: FullContext = {
    proxies: new Proxies([]),
    ...given,
    bodies: new ByteBudget(BODY_BUDGET),
    replies: new ReplyBudget(),
    provenKeys: new ProvenKeys(given.server.apiKeys),
  };
  const { metrics, logger, proxies, replies } = context;
  return requestHandler({
    router: new Router(ROUTES),
    metrics,
    logger,
    proxies,
    replies,
    abandon,
    handle: (req, matched) => handle(context, req, matched),
    isPublic: (match) => isPublic(context, match),
  });
}

function handle(context: FullContext, req: Incoming, { route, params }: Matched<Route>): Reply | Promise<Reply> {
  const { server, limits, metrics, ready, bodies, rates, replies, witness } = context;
  const { authorization } = req.headers;
  // Open routes are the same for everybody.
  const open = route.for === 'server' && route.scope === undefined;
  const key = open || authorization === undefined ? undefined : login(context, req, authorization);
  // Before anything else is done for it.
  const tooMuch = key === undefined ? undefined : rates?.request(key);
  if (tooMuch !== undefined) throw tooMuch;
  const url = req.url as string;
  const at = url.indexOf('?');
  const search = at < 0 ? '' : url.slice(at + 1);
  if (route.for === 'server') {
    if (route.scope !== undefined) {
      if (key === undefined) throw new ServerError('unauthorized', SEND_KEY);
      if (permits(key, null, route.scope) !== 'yes')
        throw new ServerError('forbidden', `the scope ${route.scope} over all logs is needed`);
    }
    return route.handle({ server, limits, metrics, ready, bodies, rates, replies, witness, req, params, search, key });
  }
  const name = params['log'] as string;
  const log = authorize(route, server.log(name), name, key);
  const { status, kind, deletedAt } = log.definition;
  if (status === 'deleted') throw new ServerError('log_deleted', `this log was deleted at ${deletedAt}`);
  if (route.kind !== undefined && kind !== route.kind)
    throw new ServerError('wrong_log_kind', `this is a log of kind ${kind}; only ${route.kind} logs have that`);
  // Spelt out: spreading the context into each call cost 2.4 KB of garbage a request.
  return route.handle({
    server,
    limits,
    metrics,
    ready,
    bodies,
    rates,
    replies,
    witness,
    req,
    params,
    search,
    key,
    log,
  });
}

/** The API key that a request proves. Throws ServerError `unauthorized`, or `too_many_failures` where its address has failed too often. */
function login(context: FullContext, req: Incoming, authorization: string): ApiKey {
  const { provenKeys, failedLogins, throttle, metrics, proxies } = context;
  const known = provenKeys.known(req.socket, authorization);
  if (known !== undefined) return known;
  const client = clientAddress(req, proxies);
  const wait = throttle?.wait(authorization, client) ?? 0;
  if (wait > 0) {
    failedLogins?.throttled();
    metrics.loginThrottled();
    throw new ServerError('too_many_failures', 'too many API keys from this address were refused; ask again', {
      retryAfter: wait,
    });
  }
  const key = provenKeys.prove(req.socket, authorization);
  if (key === undefined) {
    throttle?.refused(authorization, client);
    failedLogins?.refused(authorization, client);
    metrics.loginFailed();
    throw new ServerError('unauthorized', 'this API key is not known, or revoked');
  }
  throttle?.proved(authorization, client);
  return key;
}

const SEND_KEY = 'send an API key: Authorization: Bearer ind_…';

/** The log, if this key, or nobody in particular, may do this there. Order matters: nothing about a log leaks before its rights. */
function authorize(route: LogRoute, log: Log | undefined, name: string, key: ApiKey | undefined): Log {
  if (route.public === true && log?.definition.publicReads === true) return log;
  if (key === undefined) throw new ServerError('unauthorized', SEND_KEY);
  const right = permits(key, name, route.scope);
  if (log === undefined || right === 'no_right') throw new ServerError('not_found', NOT_FOUND);
  if (right === 'other_scope') throw new ServerError('forbidden', `this API key lacks the scope ${route.scope}`);
  return log;
}

function isPublic({ server }: CallContext, match: Match<Route>): boolean {
  if (match === undefined || !('route' in match) || match.route.for !== 'log') return false;
  return match.route.public === true && server.log(match.params['log'] as string)?.definition.publicReads === true;
}
