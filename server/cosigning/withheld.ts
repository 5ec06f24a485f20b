/**
 * The head that a log has signed and not shown: it waits for the quorum of its witnesses. A row of its own, at most one a log, so
 * that what stands under `head/` was always shown. Stored before a witness sees it, replaced by the published head in one commit.
 */
import type { VerifierKey } from '../../proofs/key.ts';
import { ServerError } from '../errors.ts';
import type { Published } from '../log.ts';
import { openOwnCheckpoint } from '../own-signatures.ts';
import { withheldKey } from '../storage/keys.ts';
import { parseHeadRow } from '../storage/rows.ts';
import type { Store } from '../storage/store.ts';

/** Reads the row, under the log's own keys. That its root hash is that of the tree is for the caller. Throws ServerError `damaged`. */
export async function readWithheld(
  store: Store,
  log: string,
  keys: readonly VerifierKey[],
): Promise<Published | undefined> {
  const bytes = await store.get(withheldKey(log));
  if (bytes === undefined) return undefined;
  try {
    return parseWithheld(bytes, keys);
  } catch (cause) {
    throw new ServerError('damaged', `log ${log}: its withheld head is damaged: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Throws a RangeError or NoteError on what is not a head by one of these keys. */
export function parseWithheld(bytes: Uint8Array, keys: readonly VerifierKey[]): Published {
  const { checkpoint, time } = parseHeadRow(bytes);
  const { treeSize, rootHash } = openOwnCheckpoint(checkpoint, keys);
  return { treeSize, rootHash, checkpoint, time };
}
