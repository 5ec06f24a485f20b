/**
 * Reading published heads back from the store, each checked against the log's own key before anybody sees it.
 *
 * Signatures of Ed25519 are the same each time, so a head that the log's signer would sign in these very bytes is as good as verified, and
 * OpenSSL signs in 40 µs where verifying takes JavaScript 1.6 ms: of ten thousand logs that was most of a start.
 */
import { openCheckpoint, parseCheckpoint, signCheckpoint, type TreeHead } from '../proofs/checkpoint.ts';
import type { NoteSigner } from '../proofs/key.ts';
import { signTreeHead, type TimedTreeHead, verifyTreeHeadSignature } from '../proofs/tree-head-signature.ts';
import { equalBytes } from '../tree/bytes.ts';
import { ServerError } from './errors.ts';
import type { Published } from './log.ts';
import { headKey, headPrefix } from './storage/keys.ts';
import { type HeadMark, parseHeadRow } from './storage/rows.ts';
import { prefixRange, type Row, type Store } from './storage/store.ts';

function openHead(log: string, signer: NoteSigner, row: Row): Published {
  try {
    const { checkpoint, time, signature } = parseHeadRow(row.value);
    const { treeSize, rootHash } = openOwn(checkpoint, signer);
    if (!row.key.startsWith(headKey(log, treeSize))) throw new RangeError('it stands under the key of another size');
    if (signature === undefined) return { treeSize, rootHash, checkpoint, time };
    checkOwn(signature, { timestamp: time, treeSize, rootHash }, signer);
    return { treeSize, rootHash, checkpoint, time, signature };
  } catch (cause) {
    throw new ServerError('damaged', `log ${log}: the stored head ${row.key} is damaged: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The head of a checkpoint; throws what `openCheckpoint` throws, which knows what is wrong with it. */
function openOwn(checkpoint: string, signer: NoteSigner): TreeHead {
  const end = checkpoint.indexOf('\n\n');
  try {
    const head = parseCheckpoint(checkpoint.slice(0, end + 1));
    if (signCheckpoint(head, signer) === checkpoint) return head;
  } catch {}
  return openCheckpoint(checkpoint, signer.verifierKey);
}

function checkOwn(signature: Uint8Array, head: TimedTreeHead, signer: NoteSigner): void {
  if (!equalBytes(signTreeHead(head, signer), signature)) verifyTreeHeadSignature(signature, head, signer.verifierKey);
}

/**
 * The newest head that is stored: the first of its size, or its newest refresh. The edge must name that very one, or one of the
 * two is not of the last commit. Throws ServerError `damaged`.
 */
export async function readHead(store: Store, log: string, signer: NoteSigner, mark: HeadMark): Promise<Published> {
  const [row] = await store.list(prefixRange(headPrefix(log), 1, true));
  const head = row === undefined ? undefined : openHead(log, signer, row);
  if (head === undefined || head.treeSize !== mark.treeSize || head.time !== mark.time) {
    const found = head === undefined ? 'none' : `one of size ${head.treeSize}`;
    throw new ServerError(
      'damaged',
      `log ${log}: its newest head should be of size ${mark.treeSize}, but ${found} is stored`,
    );
  }
  return head;
}

/** The first head of each size from `from` on, oldest first, at most `limit`. */
export async function listHeads(
  store: Store,
  log: string,
  signer: NoteSigner,
  from: number,
  limit: number,
): Promise<Published[]> {
  const heads: Published[] = [];
  // Between two sizes there is at most one refresh, so twice the limit always suffices.
  const range = { ...prefixRange(headPrefix(log), 2 * limit + 2), gte: headKey(log, from) };
  for (const row of await store.list(range)) {
    if (row.key.length > headKey(log, 0).length) continue;
    if (heads.length < limit) heads.push(openHead(log, signer, row));
  }
  return heads;
}
