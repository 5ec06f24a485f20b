/** The C2SP tlog-tiles read path: tiles and entry bundles. Any width within the published size is served, nothing beyond. */
import { parseTilePath, type TilePath, tileExists } from '../../tree/tiles.ts';
import { ServerError } from '../errors.ts';
import { tagged, unlessKnown } from './caching.ts';
import type { LogCall } from './call.ts';
import type { Reply } from './reply.ts';

const IMMUTABLE = 'max-age=31536000, immutable';
const TYPE = { 'content-type': 'application/octet-stream' };
const PUBLIC = Object.freeze({ ...TYPE, 'cache-control': `public, ${IMMUTABLE}` });
const PRIVATE = Object.freeze({ ...TYPE, 'cache-control': `private, ${IMMUTABLE}`, vary: 'Authorization' });

/** GET tile/…: 404 for what does not exist yet and for every spelling but the one. */
export function show(call: LogCall): Reply | Promise<Reply> {
  const { log, params, req, server } = call;
  const path = parseTilePath(`tile/${params['*']}`);
  if (path === undefined) throw new ServerError('no_such_tile', 'that is not the path of a tile or entry bundle');
  if (!tileExists(path.tile, log.published.treeSize)) {
    throw new ServerError('no_such_tile', 'the newest signed head does not cover that much');
  }
  const headers = log.definition.publicReads ? PUBLIC : PRIVATE;
  const warm = path.kind === 'tile' ? server.reader.warmTile(log, path.tile) : undefined;
  if (warm !== undefined) return unlessKnown(req, remembered(headers, warm));
  return read(call, path).then((bytes) => unlessKnown(req, tagged(headers, bytes)));
}

function read({ log, server, replies }: LogCall, { kind, tile }: TilePath): Promise<Uint8Array> {
  if (kind === 'tile') return server.reader.tile(log, log.state, tile);
  const bundle = (): Promise<Uint8Array> => server.reader.bundle(log, log.state, tile.index, tile.width);
  // Those of an events log have 43 bytes an entry.
  return log.definition.kind === 'raw' ? replies.inTurn(bundle) : bundle();
}

/**
 * Replies of warm tiles, as long as their bytes are kept: the ETag of 8 KiB takes 6 µs, a third of all that a request for them costs. The
 * body is a text of one character a byte, which goes out in one piece with the headers.
 */
const replies = new WeakMap<Uint8Array, { readonly headers: Reply['headers']; readonly reply: Reply }>();

function remembered(headers: Reply['headers'], bytes: Uint8Array): Reply {
  const known = replies.get(bytes);
  // Whether a log is public may have changed since.
  if (known?.headers === headers) return known.reply;
  const reply = tagged(headers, bytes);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const whole = { ...reply, headers: Object.freeze(reply.headers), body: text, binary: true };
  replies.set(bytes, { headers, reply: whole });
  return whole;
}
