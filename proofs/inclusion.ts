/**
 * Inclusion proofs: a leaf is in the tree of a given size and root hash (RFC 6962 §2.1.1, RFC 9162 §2.1.3).
 *
 * The proof lists the hashes beside the way from the leaf up to the root, the leaf's sibling first. In a tree of 7 leaves
 * that of leaf 4 is [leaf 5, leaf 6, node over leaves 0 to 3].
 */
import { equalBytes } from '../tree/bytes.ts';
import { type LeafHash, nodeHash, type TreeHash } from '../tree/hash.ts';
import { type NodeId, popcount, splitPoint } from '../tree/positions.ts';
import { ProofError } from './error.ts';
import {
  bitAt,
  checkHashes,
  checkNumber,
  differingBits,
  hashesOf,
  type LeafRange,
  type ProofPlan,
  planOf,
  type ReadNode,
} from './range.ts';

/** Which leaf, in which tree. */
export interface InclusionQuery {
  readonly leafIndex: number;
  readonly treeSize: number;
}

function checkQuery({ leafIndex, treeSize }: InclusionQuery): void {
  checkNumber('leaf index', leafIndex);
  checkNumber('tree size', treeSize);
  if (leafIndex >= treeSize)
    throw new ProofError('index_out_of_range', `leaf index ${leafIndex} is not below the tree size ${treeSize}`);
}

/** The ranges whose hashes are the proof, in its order (RFC 6962 §2.1.1): walk down from the root, note each sibling, turn round. */
function inclusionRanges(query: InclusionQuery): LeafRange[] {
  checkQuery(query);
  const { leafIndex, treeSize } = query;
  const ranges: LeafRange[] = [];
  let begin = 0;
  let end = treeSize;
  while (end - begin > 1) {
    const middle = begin + splitPoint(end - begin);
    if (leafIndex < middle) {
      ranges.push({ begin: middle, end });
      end = middle;
    } else {
      ranges.push({ begin, end: middle });
      begin = middle;
    }
  }
  return ranges.reverse();
}

/** What `proveInclusion` reads, for who proves more than once or reads before. Throws ProofError: `unsafe_number`, `index_out_of_range`. */
export function planInclusion(query: InclusionQuery): ProofPlan {
  return planOf(inclusionRanges(query));
}

/**
 * Every node that `proveInclusion` reads, so that their tiles can be fetched before.
 * Throws ProofError: `unsafe_number`, `index_out_of_range`.
 */
export function inclusionNodes(query: InclusionQuery): NodeId[] {
  return planInclusion(query).flat();
}

/**
 * The inclusion proof of a leaf, from perfect subtrees only; any tree size that these can form will do.
 * Throws ProofError: `unsafe_number`, `index_out_of_range`.
 */
export function proveInclusion(query: InclusionQuery, readNode: ReadNode): TreeHash[] {
  return hashesOf(planInclusion(query), readNode);
}

/**
 * Checks an inclusion proof. The sizes alone fix the number of hashes, so that is compared before any hashing, and
 * no loop depends on what the sender chose. Throws ProofError: `unsafe_number`, `index_out_of_range`,
 * `bad_proof_length`, `bad_hash_length`, `root_mismatch`.
 *
 * A proof does not bind the tree size, only the root hash: take both from one signed tree head.
 */
export function verifyInclusion(claim: {
  readonly leafHash: LeafHash;
  readonly leafIndex: number;
  readonly treeSize: number;
  readonly rootHash: TreeHash;
  readonly proof: readonly TreeHash[];
}): void {
  checkQuery(claim);
  const { leafHash, leafIndex, treeSize, rootHash, proof } = claim;
  // Below `inner` the way to the leaf leaves that to the last leaf: siblings on both sides. Above it all are on the left.
  const inner = differingBits(leafIndex, treeSize - 1);
  const border = popcount(Math.floor(leafIndex / 2 ** inner));
  if (proof.length !== inner + border) {
    throw new ProofError(
      'bad_proof_length',
      `the inclusion proof of leaf ${leafIndex} in a tree of ${treeSize} has ${inner + border} hashes, not ${proof.length}`,
    );
  }
  checkHashes([leafHash, rootHash, ...proof]);
  let hash: TreeHash = leafHash;
  proof.forEach((sibling, i) => {
    const siblingIsRight = i < inner && bitAt(leafIndex, i) === 0;
    hash = siblingIsRight ? nodeHash(hash, sibling) : nodeHash(sibling, hash);
  });
  if (!equalBytes(hash, rootHash))
    throw new ProofError('root_mismatch', 'the inclusion proof leads to another root hash');
}
