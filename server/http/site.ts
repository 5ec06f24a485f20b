/**
 * From a request to its reply, whatever the table of routes. Hot routes are taken before express, which costs five to six times a bare
 * request; everything else goes through express, with the same table and the same errors.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import express from 'express';
import type { Logger } from 'pino';
import { ServerError } from '../errors.ts';
import type { MeteredRoute } from '../request-meter.ts';
import { isHost } from './host.ts';
import { Incoming } from './incoming.ts';
import { problem, problemOf } from './problem.ts';
import { type Reply, send, withHeaders } from './reply.ts';
import { type ReplyBudget, SMALL_REPLY } from './reply-budget.ts';
import type { Match, Matched, Router } from './router.ts';
import { type BaseHeaders, OVER_TLS, PLAIN, PUBLIC, PUBLIC_OVER_TLS } from './security-headers.ts';
import { clientAddress, isSecure, type Proxies } from './trusted-proxies.ts';
import { sendWhole } from './whole-reply.ts';

export interface SiteRoute extends MeteredRoute {
  /** Dispatched before express. */
  readonly hot?: boolean;
}

/** A table of routes, and who answers. */
export interface Site<R extends SiteRoute> {
  readonly router: Router<R>;
  readonly metrics: { answered(route: MeteredRoute | undefined, status: number, seconds: number): void };
  readonly logger: Logger;
  /** Peers whose X-Forwarded-For and X-Forwarded-Proto are believed. */
  readonly proxies: Proxies;
  readonly replies: ReplyBudget;
  readonly abandon: Abandon;
  /** A reply, or a promise of one where the handler has to wait. Throws, or rejects, with what `problemOf` tells people. */
  handle(req: Incoming, matched: Matched<R>): Reply | Promise<Reply>;
  /** Whether pages of any origin may read the reply. */
  isPublic(match: Match<R>): boolean;
}

/** Ends a connection whose answer cannot be written. */
export type Abandon = (socket: Socket) => void;

export type RequestHandler = (req: Incoming, res: ServerResponse) => void;

/** A request handler over the whole table. */
export function requestHandler<R extends SiteRoute>(site: Site<R>): RequestHandler {
  const app = coldApp(site);
  return (req, res) => {
    const url = req.url ?? '';
    // Servers must take the absolute form, whatever host it names (RFC 9112 §3.2.2).
    req.url = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?#]*(?=\/)/i, '');
    const match = matchUrl(site, req);
    const hot = match !== undefined && 'route' in match && match.route.hot === true;
    // What is no path has no route; express would answer it with a page of its own.
    if (hot || !req.url.startsWith('/')) answer(site, req, res, match);
    else app(req as unknown as express.Request, res as express.Response);
  };
}

/** Express serves whatever is not hot; nothing of it parses bodies or queries. */
function coldApp<R extends SiteRoute>(site: Site<R>): express.Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('env', 'production');
  app.set('query parser', false);
  // Express makes every request one of its own kind, which would no longer be ours.
  Object.setPrototypeOf(app.request, Incoming.prototype);
  app.use((request, res) => {
    const req = request as unknown as Incoming;
    answer(site, req, res, matchUrl(site, req));
  });
  return app;
}

function matchUrl<R extends SiteRoute>({ router }: Site<R>, { method = '', url = '' }: Incoming): Match<R> {
  const at = url.indexOf('?');
  return router.match(method, at < 0 ? url : url.slice(0, at));
}

/** Answers a request. Never throws, and no promise of it rejects: nobody could handle it. */
function answer<R extends SiteRoute>(site: Site<R>, req: Incoming, res: ServerResponse, match: Match<R>): void {
  const started = performance.now();
  const route = match !== undefined && 'route' in match ? match.route : undefined;
  const failed = (error: unknown): void =>
    site.logger.error({ err: error, route: route?.path }, 'a request failed for no good reason');
  const refuse = (error: unknown): void => {
    const reply = problemOf(error);
    if (reply.code === 'internal') failed(error);
    finish(reply);
  };
  const finish = (made: Reply): void => {
    try {
      const reply = made.body.length > SMALL_REPLY ? counted(site.replies, req, res, made) : made;
      const base = baseHeaders(site, req, match);
      if (route?.hot !== true || !sendWhole(req, res, reply, base)) send(req, res, reply, base);
      const seconds = (performance.now() - started) / 1000;
      site.metrics.answered(route, reply.status, seconds);
      if (site.logger.isLevelEnabled('debug')) {
        const { status, code } = reply;
        const client = clientAddress(req, site.proxies);
        site.logger.debug(
          { client, method: req.method, route: route?.path ?? 'none', status, code, seconds },
          'request',
        );
      }
    } catch (error) {
      failed(error);
      site.abandon(req.socket);
    }
  };
  // An answer known at once waits until the parser has seen the end of the request: what has no body is complete only then.
  try {
    const reply = respond(site, req, match);
    if (reply instanceof Promise) reply.then(finish, refuse);
    else queueMicrotask(() => finish(reply));
  } catch (error) {
    queueMicrotask(() => refuse(error));
  }
}

const TOO_MANY = 'too many large replies wait for clients that are slow to take them';
const NOT_NOW = problem('pushback', `${TOO_MANY}; ask again`);
/** Of what changes something: it has been done by now, and `pushback` would say that nothing was stored. */
const DONE_UNSEEN = problem(
  'outcome_unknown',
  `${TOO_MANY}, this one among them, but what was asked for has been done; send it again only with the same ids or Idempotency-Key`,
);

/** The reply, counted until the client has taken it or is gone; or another one, which is small, where too much waits already. */
function counted(replies: ReplyBudget, { socket, method }: Incoming, res: ServerResponse, reply: Reply): Reply {
  // Who is gone already takes nothing, and nobody would say so again.
  if (socket.destroyed || res.destroyed) return reply;
  const bytes = reply.body.length;
  if (!replies.take(bytes)) return method === 'GET' || method === 'HEAD' || reply.status >= 400 ? NOT_NOW : DONE_UNSEEN;
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
function baseHeaders<R extends SiteRoute>(site: Site<R>, req: Incoming, match: Match<R>): BaseHeaders {
  const secure = isSecure(req, site.proxies);
  if (site.isPublic(match)) return secure ? PUBLIC_OVER_TLS : PUBLIC;
  return secure ? OVER_TLS : PLAIN;
}

function respond<R extends SiteRoute>(site: Site<R>, req: Incoming, match: Match<R>): Reply | Promise<Reply> {
  const fault = framingFault(req);
  if (fault !== undefined) return withHeaders(problem('bad_request', fault), { connection: 'close' });
  if (match === undefined) throw new ServerError('not_found', NOT_FOUND);
  if ('route' in match) return site.handle(req, match);
  const allow = match.allow.join(', ');
  return withHeaders(problem('method_not_allowed', `the methods here are ${allow}`), { allow });
}

/** What Node lets through, and what a proxy before us may have read in another way. */
function framingFault({ httpVersion, rawHeaders, headers }: Incoming): string | undefined {
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
export const NOT_FOUND = 'there is nothing here for you';
