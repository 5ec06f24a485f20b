/**
 * What a witness holds against what we have. Only a checkpoint that this log's own key has signed counts: larger than our newest
 * signed head, it says that the store was rolled back, or that somebody else signs with the key; with another root hash at
 * its size, that there are two trees. Either ends all signing.
 */
import { equalBytes } from '../../tree/bytes.ts';
import type { TreeHash } from '../../tree/hash.ts';
import type { Log, Published } from '../log.ts';
import { rootAt } from '../prover.ts';
import type { TreeReader } from '../tree-reader.ts';
import type { HeldCheckpoint } from './conversation.ts';

export interface Contradiction {
  readonly kind: 'rollback' | 'split_view';
  readonly log: Log;
  readonly witness: string;
  /** Our newest signed head. */
  readonly own: Published;
  readonly held: HeldCheckpoint;
}

/** The newest head that the log has signed, shown or not. */
export function newestSigned({ published, withheld }: Log): Published {
  return withheld ?? published;
}

/** What the checkpoint that a witness holds contradicts, or `undefined`. Rejects with ServerError `damaged` where our own tree cannot be read. */
export async function contradictionOf(
  reader: TreeReader,
  log: Log,
  witness: string,
  held: HeldCheckpoint,
): Promise<Contradiction | undefined> {
  const own = newestSigned(log);
  if (held.treeSize > own.treeSize) return { kind: 'rollback', log, witness, own, held };
  const root: TreeHash = held.treeSize === own.treeSize ? own.rootHash : await rootAt(reader, log, held.treeSize);
  return equalBytes(root, held.rootHash) ? undefined : { kind: 'split_view', log, witness, own, held };
}

/** For people: what was found, and what it means. */
export function contradictionText({ kind, log, witness, own, held }: Contradiction): string {
  const { treeSize } = held;
  const signed = `witness ${witness} holds a checkpoint of size ${treeSize} that the key of log ${log.name} has signed`;
  return kind === 'rollback'
    ? `rollback: ${signed}, but the newest head here is of size ${own.treeSize}: this directory is older than what was published, or somebody else signs with its key`
    : `split view: ${signed}, but the tree here has another root hash at that size: two trees were signed with one key`;
}
