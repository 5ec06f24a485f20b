/** The C2SP tlog-tiles read path: tiles and entry bundles. Any width within the published size is served (TI-7), nothing beyond. */
import { parseTilePath, tileExists } from '../../tree/tiles.ts';
import { ServerError } from '../errors.ts';
import { cached } from './caching.ts';
import type { LogCall } from './call.ts';
import { type Reply, withHeaders } from './reply.ts';

const IMMUTABLE = 'max-age=31536000, immutable';

/** GET tile/…: 404 for what does not exist yet and for every spelling but the one (TI-2, TI-6). */
export async function show({ log, params, req, server }: LogCall): Promise<Reply> {
  const path = parseTilePath(`tile/${params['*']}`);
  if (path === undefined) throw new ServerError('no_such_tile', 'that is not the path of a tile or entry bundle');
  const { tile } = path;
  if (!tileExists(tile, log.published.treeSize)) {
    throw new ServerError('no_such_tile', 'the newest signed head does not cover that much');
  }
  const { state } = log;
  const body =
    path.kind === 'tile'
      ? await server.reader.tile(log, state, tile)
      : await server.reader.bundle(log, state, tile.index, tile.width);
  const { publicReads } = log.definition;
  const reply = cached(req, `${publicReads ? 'public' : 'private'}, ${IMMUTABLE}`, 'application/octet-stream', body);
  return publicReads ? reply : withHeaders(reply, { vary: 'Authorization' });
}
