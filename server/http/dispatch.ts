/**
 * From a request to its route, its rights and its reply. Hot routes are taken before express, which costs five to six times a
 * bare request; everything else goes through express, with the same table, rights and errors.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import express from 'express';
import type { Logger } from 'pino';
import { type ApiKey, permits } from '../access.ts';
import { ServerError } from '../errors.ts';
import type { Log } from '../log.ts';
import { ByteBudget } from './byte-budget.ts';
import type { Call } from './call.ts';
import type { FailedLogins } from './failed-logins.ts';
import { isHost } from './host.ts';
import type { LoginThrottle } from './login-throttle.ts';
import { problem, problemOf } from './problem.ts';
import { ProvenKeys } from './proven-keys.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { type Reply, send, withHeaders } from './reply.ts';
import { ReplyBudget, SMALL_REPLY } from './reply-budget.ts';
import { type Match, type Matched, Router } from './router.ts';
import { type LogRoute, ROUTES } from './routes.ts';
import { type BaseHeaders, OVER_TLS, PLAIN, PUBLIC, PUBLIC_OVER_TLS } from './security-headers.ts';
import { clientAddress, isSecure, Proxies } from './trusted-proxies.ts';
import { sendWhole } from './whole-reply.ts';

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
};

/** Bytes of bodies under way at once, eight of the largest: whoever sends slowly must not fill the memory before the pool counts. */
const BODY_BUDGET = 128 * 1_048_576;

type FullContext = CallContext &
  Pick<Call, 'bodies' | 'replies'> & {
    readonly proxies: Proxies;
    readonly router: Router;
    readonly provenKeys: ProvenKeys;
    readonly abandon: (socket: Socket) => void;
  };

/** A request handler over the whole table; `abandon` ends a connection whose answer cannot be written. */
export function makeDispatcher(
  given: CallContext,
  abandon: (socket: Socket) => void,
): (req: IncomingMessage, res: ServerResponse) => void {
  const context = {
    abandon,
    proxies: new Proxies([]),
    ...given,
    bodies: new ByteBudget(BODY_BUDGET),
    replies: new ReplyBudget(),
    router: new Router(ROUTES),
    provenKeys: new ProvenKeys(given.server.apiKeys),
  };
  const app = coldApp(context);
  return (req, res) => {
    const url = req.url ?? '';
    // Servers must take the absolute form, whatever host it names (RFC 9112 §3.2.2).
    req.url = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?#]*(?=\/)/i, '');
    const match = matchUrl(context, req);
    const hot = match !== undefined && 'route' in match && match.route.hot === true;
    // What is no path has no route; express would answer it with a page of its own.
    if (hot || !req.url.startsWith('/')) answer(context, req, res, match);
    else app(req, res);
  };
}

/** Express serves whatever is not hot; nothing of it parses bodies or queries. */
function coldApp(context: FullContext): express.Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('env', 'production');
  app.set('query parser', false);
  app.use((req, res) => answer(context, req, res, matchUrl(context, req)));
  return app;
}

function matchUrl({ router }: FullContext, { method = '', url = '' }: IncomingMessage): Match {
  const at = url.indexOf('?');
  return router.match(method, at < 0 ? url : url.slice(0, at));
}

/** Answers a request. Never throws, and no promise of it rejects: nobody could handle it. */
function answer(context: FullContext, req: IncomingMessage, res: ServerResponse, match: Match): void {
  const started = performance.now();
  const route = match !== undefined && 'route' in match ? match.route : undefined;
  const failed = (error: unknown): void =>
    context.logger.error({ err: error, route: route?.path }, 'a request failed for no good reason');
  const refuse = (error: unknown): void => {
    const reply = problemOf(error);
    if (reply.code === 'internal') failed(error);
    finish(reply);
  };
  const finish = (made: Reply): void => {
    try {
      const reply = made.body.length > SMALL_REPLY ? counted(context, req, res, made) : made;
      const base = baseHeaders(context, req, match);
      if (route?.hot !== true || !sendWhole(req, res, reply, base)) send(req, res, reply, base);
      const seconds = (performance.now() - started) / 1000;
      context.metrics.answered(route, reply.status, seconds);
      if (context.logger.isLevelEnabled('debug')) {
        const { status, code } = reply;
        const client = clientAddress(req, context.proxies);
        context.logger.debug(
          { client, method: req.method, route: route?.path ?? 'none', status, code, seconds },
          'request',
        );
      }
    } catch (error) {
      failed(error);
      context.abandon(req.socket);
    }
  };
  // An answer known at once waits until the parser has seen the end of the request: what has no body is complete only then.
  try {
    const reply = respond(context, req, match);
    if (reply instanceof Promise) reply.then(finish, refuse);
    else queueMicrotask(() => finish(reply));
  } catch (error) {
    queueMicrotask(() => refuse(error));
  }
}

/** The reply, counted until the client has taken it or is gone; or pushback where too much waits already. */
function counted({ replies }: FullContext, { socket }: IncomingMessage, res: ServerResponse, reply: Reply): Reply {
  // Who is gone already takes nothing, and nobody would say so again.
  if (socket.destroyed || res.destroyed) return reply;
  const bytes = reply.body.length;
  if (!replies.take(bytes))
    return problem('pushback', 'too many large replies wait for clients that are slow to take them; ask again');
  const forget = (): void => {
    res.off('close', forget);
    socket.off('close', forget);
    replies.giveBack(bytes);
  };
  // An answer that waits behind others of its connection does not hear of its end.
  res.on('close', forget);
  socket.on('close', forget);
  return reply;
}

/** Headers that do not depend on the handler. */
function baseHeaders(context: FullContext, req: IncomingMessage, match: Match): BaseHeaders {
  const secure = isSecure(req, context.proxies);
  if (isPublic(context, match)) return secure ? PUBLIC_OVER_TLS : PUBLIC;
  return secure ? OVER_TLS : PLAIN;
}

/** A reply, or a promise of one where the handler has to wait. Throws, or rejects, with what `problemOf` tells people. */
function respond(context: FullContext, req: IncomingMessage, match: Match): Reply | Promise<Reply> {
  const fault = framingFault(req);
  if (fault !== undefined) return withHeaders(problem('bad_request', fault), { connection: 'close' });
  if (match === undefined) throw new ServerError('not_found', NOT_FOUND);
  if ('route' in match) return handle(context, req, match);
  const allow = match.allow.join(', ');
  return withHeaders(problem('method_not_allowed', `the methods here are ${allow}`), { allow });
}

/** What Node lets through, and what a proxy before us may have read in another way. */
function framingFault({ httpVersion, rawHeaders, headers }: IncomingMessage): string | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'only HTTP/1.1 and HTTP/1.0 are spoken here';
  let hosts = 0;
  let host = '';
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length !== 4 || name.toLowerCase() !== 'host') continue;
    hosts++;
    host = rawHeaders[i + 1] as string;
  }
  // RFC 9112 §3.2; of two, Node would take the first.
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1')) return 'a request names one Host';
  if (!isHost(host)) return 'the Host of a request is a name or an address, and perhaps a port';
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') return 'the only transfer coding is chunked';
  // A proxy that speaks 1.0 would not have read the body as chunks (RFC 9112 §6.1).
  if (coding !== undefined && httpVersion === '1.0') return 'HTTP/1.0 has no transfer codings';
  return undefined;
}

/** One text for a log that does not exist and for one that the key may not know of: the same bytes, so nothing leaks. */
const NOT_FOUND = 'there is nothing here for you';

function handle(context: FullContext, req: IncomingMessage, { route, params }: Matched): Reply | Promise<Reply> {
  const { server, limits, metrics, ready, bodies, rates, replies } = context;
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
    return route.handle({ server, limits, metrics, ready, bodies, rates, replies, req, params, search, key });
  }
  const name = params['log'] as string;
  const log = authorize(route, server.log(name), name, key);
  const { status, kind, deletedAt } = log.definition;
  if (status === 'deleted') throw new ServerError('log_deleted', `this log was deleted at ${deletedAt}`);
  if (route.kind !== undefined && kind !== route.kind)
    throw new ServerError('wrong_log_kind', `this is a log of kind ${kind}; only ${route.kind} logs have that`);
  // Spelt out: spreading the context into each call cost 2.4 KB of garbage a request.
  return route.handle({ server, limits, metrics, ready, bodies, rates, replies, req, params, search, key, log });
}

/** The API key that a request proves. Throws ServerError `unauthorized`, or `too_many_failures` where its address has failed too often. */
function login(context: FullContext, req: IncomingMessage, authorization: string): ApiKey {
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

function isPublic({ server }: CallContext, match: Match): boolean {
  if (match === undefined || !('route' in match) || match.route.for !== 'log') return false;
  return match.route.public === true && server.log(match.params['log'] as string)?.definition.publicReads === true;
}
