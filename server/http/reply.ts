/** What a handler answers with, independent of who writes it to the socket. */
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  /** Stable code of an error, for logs and metrics. */
  readonly code?: string;
}

/** A JSON reply that no cache keeps. */
export function json(status: number, value: unknown): Reply {
  return jsonText(status, JSON.stringify(value));
}

/** The same from text that is JSON already. */
export function jsonText(status: number, text: string): Reply {
  return { status, headers: { 'content-type': 'application/json', 'cache-control': 'no-store' }, body: `${text}\n` };
}

export function withHeaders(reply: Reply, headers: Readonly<Record<string, string>>): Reply {
  return { ...reply, headers: { ...reply.headers, ...headers } };
}

/** Writes a reply. HEAD gets the headers of GET; a request whose body was not read to its end gets a closed connection. */
export function send(req: IncomingMessage, res: ServerResponse, reply: Reply): void {
  if (res.headersSent) return;
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
  const empty = reply.status === 304 || reply.status === 204;
  const headers: Record<string, string | number> = { ...reply.headers, 'x-content-type-options': 'nosniff' };
  if (!empty) headers['content-length'] = body.length;
  if (!req.complete) headers['connection'] = 'close';
  res.writeHead(reply.status, headers);
  res.end(req.method === 'HEAD' || empty ? undefined : body);
}
