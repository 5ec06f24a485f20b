/** Reading published heads back from the store, each checked against the log's own keys before anybody sees it. */
import type { VerifierKey } from '../proofs/key.ts';
import { ServerError } from './errors.ts';
import type { Published } from './log.ts';
import { checkTreeHeadSignature, openOwnCheckpoint } from './own-signatures.ts';
import { headKey, headPrefix } from './storage/keys.ts';
import { type HeadMark, parseHeadRow } from './storage/rows.ts';
import { prefixRange, type Row, type Store } from './storage/store.ts';

function openHead(log: string, keys: readonly VerifierKey[], row: Row): Published {
  try {
    const { checkpoint, time, signature } = parseHeadRow(row.value);
    const { treeSize, rootHash } = openOwnCheckpoint(checkpoint, keys);
    if (!row.key.startsWith(headKey(log, treeSize))) throw new RangeError('it stands under the key of another size');
    if (signature === undefined) return { treeSize, rootHash, checkpoint, time };
    checkTreeHeadSignature(signature, { timestamp: time, treeSize, rootHash }, keys);
    return { treeSize, rootHash, checkpoint, time, signature };
  } catch (cause) {
    throw new ServerError('damaged', `log ${log}: the stored head ${row.key} is damaged: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/**
 * The newest head that is stored: the first of its size, or its newest refresh. The edge must name that very one, or one of the
 * two is not of the last commit. Throws ServerError `damaged`.
 */
export async function readHead(
  store: Store,
  log: string,
  keys: readonly VerifierKey[],
  mark: HeadMark,
): Promise<Published> {
  const [row] = await store.list(prefixRange(headPrefix(log), 1, true));
  const head = row === undefined ? undefined : openHead(log, keys, row);
  if (head === undefined || head.treeSize !== mark.treeSize || head.time !== mark.time) {
    const found = head === undefined ? 'none' : `one of size ${head.treeSize}`;
    throw new ServerError(
      'damaged',
      `log ${log}: its newest head should be of size ${mark.treeSize}, but ${found} is stored`,
    );
  }
  return head;
}

/** Heads that are verified in one turn of the event loop. */
const STEP = 8;

/** The first head of each size from `from` on, oldest first, at most `limit`. */
export async function listHeads(
  store: Store,
  log: string,
  keys: readonly VerifierKey[],
  from: number,
  limit: number,
): Promise<Published[]> {
  const heads: Published[] = [];
  // Between two sizes there is at most one refresh, so twice the limit always suffices.
  const range = { ...prefixRange(headPrefix(log), 2 * limit + 2), gte: headKey(log, from) };
  for (const row of await store.list(range)) {
    if (row.key.length > headKey(log, 0).length) continue;
    if (heads.length === limit) break;
    heads.push(openHead(log, keys, row));
    // A millisecond's worth of signatures: the others get their turn in between.
    if (heads.length % STEP === 0) await new Promise(setImmediate);
  }
  return heads;
}
