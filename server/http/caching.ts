/** ETag and conditional requests for what is served as bytes. */
import type { IncomingMessage } from 'node:http';
import { sha256 } from '#sha256';
import { toHex } from '../../tree/bytes.ts';
import type { Reply } from './reply.ts';

/** A 200 with a strong ETag, or 304 where the client has these very bytes. */
export function cached(req: IncomingMessage, cacheControl: string, contentType: string, body: Uint8Array): Reply {
  const etag = `"${toHex(sha256(body).subarray(0, 16))}"`;
  const headers = { 'content-type': contentType, 'cache-control': cacheControl, etag };
  const wanted = req.headers['if-none-match'];
  const known = wanted?.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
  return known === true ? { status: 304, headers, body: '' } : { status: 200, headers, body };
}
