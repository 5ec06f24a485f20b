/**
 * From a request to its route, its rights and its reply. Hot routes are taken before express, which costs five to six times a
 * bare request; everything else goes through express, with the same table, rights and errors.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import express from 'express';
import type { Logger } from 'pino';
import { type ApiKey, permits } from '../access.ts';
import { ServerError } from '../errors.ts';
import type { Log } from '../log.ts';
import { BodyBudget } from './body-budget.ts';
import type { Call } from './call.ts';
import type { FailedLogins } from './failed-logins.ts';
import { problem, problemOf } from './problem.ts';
import { type Reply, send, withHeaders } from './reply.ts';
import { type LogRoute, ROUTES, type Route } from './routes.ts';
import { PUBLIC_HEADERS, TLS_HEADERS } from './security-headers.ts';
import { clientAddress, isSecure, Proxies } from './trusted-proxies.ts';

/** What a dispatcher gives to every call, and what it needs itself. */
export type CallContext = Pick<Call, 'server' | 'limits' | 'metrics' | 'ready'> & {
  readonly logger: Logger;
  /** Peers whose X-Forwarded-For and X-Forwarded-Proto are believed. Default: none. */
  readonly proxies?: Proxies;
  readonly failedLogins?: FailedLogins;
};

interface Matched {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

type Match = Matched | { readonly allow: readonly string[] } | undefined;

const SEGMENTS = new Map(ROUTES.map((route) => [route, route.path.slice(1).split('/')]));

/** The route of a method and path among `routes`; the methods there are, where only the method is wrong; or nothing. */
export function matchRoute(routes: readonly Route[], method: string, path: string): Match {
  const segments = path.slice(1).split('/');
  const allow = new Set<string>();
  for (const route of routes) {
    const params = matchSegments(SEGMENTS.get(route) as readonly string[], segments);
    if (params === undefined) continue;
    if (route.method === method || (route.method === 'GET' && method === 'HEAD')) return { route, params };
    allow.add(route.method);
    if (route.method === 'GET') allow.add('HEAD');
  }
  return allow.size > 0 ? { allow: [...allow].sort() } : undefined;
}

function matchSegments(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const rest = pattern.at(-1) === '*';
  if (rest ? segments.length < pattern.length : segments.length !== pattern.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, name] of pattern.entries()) {
    const segment = segments[i] as string;
    if (name === '*') params['*'] = segments.slice(i).join('/');
    else if (name.startsWith(':')) params[name.slice(1)] = segment;
    else if (name !== segment) return undefined;
  }
  return params;
}

/** Bytes of bodies under way at once: eight of the largest. */
const BODY_BUDGET = 128 * 1_048_576;

type FullContext = CallContext & Pick<Call, 'bodies'> & { readonly proxies: Proxies };

/** A request handler over the whole table. */
export function makeDispatcher(given: CallContext): (req: IncomingMessage, res: ServerResponse) => void {
  const context = { proxies: new Proxies([]), ...given, bodies: new BodyBudget(BODY_BUDGET) };
  const hot = ROUTES.filter((route) => route.hot === true);
  const app = coldApp(context);
  return (req, res) => {
    // Servers must take the absolute form, whatever host it names (RFC 9112 §3.2.2).
    req.url = (req.url ?? '').replace(/^https?:\/\/[^/?#]*(?=\/)/i, '');
    const match = matchRoute(hot, req.method ?? '', splitUrl(req.url).path);
    // What is no path has no route; express would answer it with a page of its own.
    if (match === undefined && req.url.startsWith('/')) app(req, res);
    else void answer(context, req, res, match);
  };
}

/** Express serves whatever is not hot; nothing of it parses bodies or queries. */
function coldApp(context: FullContext): express.Express {
  const cold = ROUTES.filter((route) => route.hot !== true);
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('env', 'production');
  app.set('query parser', false);
  app.use((req, res) => answer(context, req, res, matchRoute(cold, req.method, splitUrl(req.url).path)));
  return app;
}

function splitUrl(url = '/'): { readonly path: string; readonly search: string } {
  const at = url.indexOf('?');
  return at < 0 ? { path: url, search: '' } : { path: url.slice(0, at), search: url.slice(at + 1) };
}

/** Answers a request. Never rejects: nobody could handle it. */
async function answer(context: FullContext, req: IncomingMessage, res: ServerResponse, match: Match): Promise<void> {
  const started = performance.now();
  const route = match !== undefined && 'route' in match ? match.route : undefined;
  const failed = (error: unknown): void =>
    context.logger.error({ err: error, route: route?.path }, 'a request failed for no good reason');
  try {
    const reply = await respond(context, req, match).catch((error: unknown) => {
      const reply = problemOf(error);
      if (reply.code === 'internal') failed(error);
      return reply;
    });
    const shared = isPublic(context, match) ? withHeaders(reply, PUBLIC_HEADERS) : reply;
    send(req, res, isSecure(req, context.proxies) ? withHeaders(shared, TLS_HEADERS) : shared);
    const seconds = (performance.now() - started) / 1000;
    const [method, path] = [route?.method ?? 'other', route?.path ?? 'none'];
    context.metrics.answered(method, path, reply.status, seconds);
    if (context.logger.isLevelEnabled('debug')) {
      const { status, code } = reply;
      const client = clientAddress(req, context.proxies);
      context.logger.debug({ client, method: req.method, route: path, status, code, seconds }, 'request');
    }
  } catch (error) {
    failed(error);
    res.destroy();
  }
}

async function respond(context: FullContext, req: IncomingMessage, match: Match): Promise<Reply> {
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
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
  }
  // RFC 9112 §3.2; of two, Node would take the first.
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1')) return 'a request names one Host';
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') return 'the only transfer coding is chunked';
  return undefined;
}

/** One text for a log that does not exist and for one that the key may not know of: the same bytes, so nothing leaks. */
const NOT_FOUND = 'there is nothing here for you';

async function handle(context: FullContext, req: IncomingMessage, { route, params }: Matched): Promise<Reply> {
  const { server } = context;
  const { authorization } = req.headers;
  const key = server.apiKeys.authenticate(authorization);
  const open = route.for === 'server' && route.scope === undefined;
  if (authorization !== undefined && key === undefined && !open) {
    context.failedLogins?.refused(authorization, clientAddress(req, context.proxies));
    context.metrics.loginFailed();
    throw new ServerError('unauthorized', 'this API key is not known, or revoked');
  }
  const call = { ...context, req, params, search: splitUrl(req.url).search, key };
  if (route.for === 'server') {
    if (route.scope !== undefined) {
      if (key === undefined) throw new ServerError('unauthorized', SEND_KEY);
      if (permits(key, null, route.scope) !== 'yes')
        throw new ServerError('forbidden', `the scope ${route.scope} over all logs is needed`);
    }
    return route.handle(call);
  }
  const log = authorize(route, server.log(params['log'] as string), params['log'] as string, key);
  const { status, deletedAt } = log.definition;
  if (status === 'deleted') throw new ServerError('log_deleted', `this log was deleted at ${deletedAt}`);
  if (route.kind !== undefined && log.definition.kind !== route.kind) {
    throw new ServerError(
      'wrong_log_kind',
      `this is a log of kind ${log.definition.kind}; only ${route.kind} logs have that`,
    );
  }
  return route.handle({ ...call, log });
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
