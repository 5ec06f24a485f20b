/** What a handler answers with, independent of who writes it to the socket. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BaseHeaders, PLAIN } from './security-headers.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  /** The body is a text that stands for bytes, each character below 256 for one. */
  readonly binary?: boolean;
  /** Stable code of an error, for logs and metrics. */
  readonly code?: string;
}

/** A JSON reply that no cache keeps. */
export function json(status: number, value: unknown): Reply {
  return jsonText(status, JSON.stringify(value));
}

const JSON_HEADERS = Object.freeze({ 'content-type': 'application/json', 'cache-control': 'no-store' });

/** The same from text that is JSON already. */
export function jsonText(status: number, text: string): Reply {
  return { status, headers: JSON_HEADERS, body: `${text}\n` };
}

/** Text that no cache keeps. */
export function text(status: number, body: string, contentType = 'text/plain; charset=utf-8'): Reply {
  return { status, headers: { 'content-type': contentType, 'cache-control': 'no-store' }, body };
}

/** Says that the entries of an append had been there before, under the same Idempotency-Key. */
export const REPLAYED: Readonly<Record<string, string>> = { 'idempotency-replayed': 'true' };

export function withHeaders(reply: Reply, headers: Readonly<Record<string, string>>): Reply {
  return { ...reply, headers: { ...reply.headers, ...headers } };
}

/** How long the rest of a body that nobody wants is taken and thrown away, in milliseconds. */
const LINGER = 1000;

/**
 * Writes a reply. HEAD gets the headers of GET. A request whose body was not read to its end gets its reply and a closed
 * connection, but not at once: closing while bytes still arrive resets it, and the client may never see the reply.
 */
export function send(req: IncomingMessage, res: ServerResponse, reply: Reply, base: BaseHeaders = PLAIN): void {
  if (res.headersSent) return;
  const { status, headers } = reply;
  const body = reply.binary === true ? Buffer.from(reply.body as string, 'latin1') : reply.body;
  const empty = status === 304 || status === 204;
  const all = base.list.slice();
  for (const name in headers) all.push(name, headers[name] as string);
  const length = Buffer.byteLength(body);
  if (!empty) all.push('content-length', String(length));
  const content = req.method === 'HEAD' || empty ? undefined : body;
  // Node reads the header alone; who keeps book of the connections asks for this.
  if (!req.complete || headers['connection'] === 'close') res.shouldKeepAlive = false;
  // A text goes out in one piece with the headers; if all of it is ASCII, latin1 says the same and is written 1 µs faster.
  const encoding = length === body.length ? 'latin1' : 'utf8';
  if (req.complete) {
    res.writeHead(status, all);
    res.end(content, encoding);
    return;
  }
  if (headers['connection'] === undefined) all.push('connection', 'close');
  res.writeHead(status, all);
  if (content === undefined) res.flushHeaders();
  else res.write(content, encoding);
  const cut = setTimeout(() => res.end(), LINGER);
  req.once('close', () => {
    clearTimeout(cut);
    res.end();
  });
  req.resume();
}
