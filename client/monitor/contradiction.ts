/** Whether two heads of a log can be heads of one tree, found out from its tiles; if not, the proof that they cannot. */
import type { Checkpoint } from '../../proofs/checkpoint.ts';
import { ProofError } from '../../proofs/error.ts';
import type { FraudProof } from '../../proofs/fraud-proof.ts';
import { equalBytes, toBase64 } from '../../tree/bytes.ts';
import type { NodeReader } from '../tree-reader.ts';

/**
 * Compares two verified heads, in whatever order; `reader` reads the log at the size of the larger one or beyond. Gives the fraud proof where
 * they contradict each other, and `undefined` where the smaller is proven to be the beginning of the larger. Of equal sizes nothing is
 * read. Throws ProofError `root_mismatch` where the tiles are not those of the larger head, so that nothing can be said, and as `NodeReader`.
 */
export async function findContradiction(
  a: Checkpoint,
  b: Checkpoint,
  reader: NodeReader,
): Promise<FraudProof | undefined> {
  const [first, second] = a.treeSize <= b.treeSize ? [a, b] : [b, a];
  if (first.treeSize === second.treeSize)
    return equalBytes(first.rootHash, second.rootHash) ? undefined : { first: first.note, second: second.note };
  // All trees begin with the empty one.
  if (first.treeSize === 0) return undefined;
  const { firstRoot, secondRoot, proof } = await reader.consistency(first.treeSize, second.treeSize);
  if (!equalBytes(secondRoot, second.rootHash))
    throw new ProofError(
      'root_mismatch',
      `the tiles of size ${second.treeSize} make the root hash ${toBase64(secondRoot)}, signed is ${toBase64(second.rootHash)}`,
    );
  if (equalBytes(firstRoot, first.rootHash)) return undefined;
  return { first: first.note, second: second.note, beginning: { root: firstRoot, proof } };
}
