/** Reading published heads back from the store, each checked against the log's own key before anybody sees it. */
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import { ServerError } from '../errors.ts';
import type { Published } from '../log.ts';
import { headKey, headPrefix, refreshKey } from './keys.ts';
import { type HeadMark, parseHeadRow } from './rows.ts';
import { prefixRange, type Row, type Store } from './store.ts';

function openHead(log: string, key: VerifierKey, row: Row): Published {
  try {
    const { checkpoint, time } = parseHeadRow(row.value);
    const { treeSize, rootHash } = openCheckpoint(checkpoint, key);
    if (!row.key.startsWith(headKey(log, treeSize))) throw new RangeError('it stands under the key of another size');
    return { treeSize, rootHash, checkpoint, time };
  } catch (cause) {
    throw new ServerError('damaged', `log ${log}: the stored head ${row.key} is damaged: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The head that the edge names as the newest: the first of its size, or its newest refresh. Throws ServerError `damaged`. */
export async function readHead(store: Store, log: string, key: VerifierKey, mark: HeadMark): Promise<Published> {
  for (const name of [refreshKey(log, mark.treeSize, mark.time), headKey(log, mark.treeSize)]) {
    const value = await store.get(name);
    if (value === undefined) continue;
    const head = openHead(log, key, { key: name, value });
    if (head.time === mark.time && head.treeSize === mark.treeSize) return head;
  }
  throw new ServerError('damaged', `log ${log}: its newest head, of size ${mark.treeSize}, is missing`);
}

/** The first head of each size from `from` on, oldest first, at most `limit`. */
export async function listHeads(
  store: Store,
  log: string,
  key: VerifierKey,
  from: number,
  limit: number,
): Promise<Published[]> {
  const heads: Published[] = [];
  // Between two sizes there is at most one refresh, so twice the limit always suffices.
  const range = { ...prefixRange(headPrefix(log), 2 * limit + 2), gte: headKey(log, from) };
  for (const row of await store.list(range)) {
    if (row.key.length > headKey(log, 0).length) continue;
    if (heads.length < limit) heads.push(openHead(log, key, row));
  }
  return heads;
}
