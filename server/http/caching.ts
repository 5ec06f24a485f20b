/** ETag and conditional requests for what is served as bytes. */
import type { IncomingMessage } from 'node:http';
import { sha256 } from '#sha256';
import { toHex } from '../../tree/bytes.ts';
import type { Reply } from './reply.ts';

/** A 200 with a strong ETag. `Cache-Control` and whatever else goes with it stands in `headers`. */
export function tagged(headers: Reply['headers'], body: Uint8Array): Reply {
  const etag = `"${toHex(sha256(body).subarray(0, 16))}"`;
  return { status: 200, headers: { ...headers, etag }, body };
}

/** That reply, or 304 where the client has these very bytes. */
export function unlessKnown(req: IncomingMessage, reply: Reply): Reply {
  const wanted = req.headers['if-none-match'];
  const { etag } = reply.headers;
  const known = wanted?.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
  return known === true ? { status: 304, headers: reply.headers, body: '' } : reply;
}
