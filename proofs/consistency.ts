/**
 * Consistency proofs: the first tree is the beginning of the second (RFC 6962 §2.1.2, RFC 9162 §2.1.4).
 *
 * The proof lists the perfect subtrees of which both roots can be made. From 6 to 7 leaves it is
 * [node over 4 and 5, leaf 6, node over 0 to 3]. From 4, a power of two, the first root itself is left out.
 */
import { equalBytes } from '../tree/bytes.ts';
import { emptyRoot, nodeHash, type TreeHash } from '../tree/hash.ts';
import { floorPowerOfTwo, type NodeId, popcount, splitPoint } from '../tree/positions.ts';
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

/** The sizes of the two trees, the older first. */
export interface ConsistencyQuery {
  readonly first: number;
  readonly second: number;
}

function checkQuery({ first, second }: ConsistencyQuery): void {
  checkNumber('first tree size', first);
  checkNumber('second tree size', second);
  if (first > second) throw new ProofError('size_order', `the first tree size ${first} is above the second, ${second}`);
}

/** The ranges whose hashes are the proof, in its order (RFC 6962 §2.1.2). None from the empty tree, and none between equal sizes. */
function consistencyRanges(query: ConsistencyQuery): LeafRange[] {
  checkQuery(query);
  const { first, second } = query;
  if (first === 0 || first === second) return [];
  const ranges: LeafRange[] = [];
  let begin = 0;
  let end = second;
  while (end !== first) {
    const middle = begin + splitPoint(end - begin);
    if (first <= middle) {
      ranges.push({ begin: middle, end });
      end = middle;
    } else {
      ranges.push({ begin, end: middle });
      begin = middle;
    }
  }
  // The last range ends where the first tree ends. If it is the whole first tree, the verifier has its hash already.
  if (begin > 0) ranges.push({ begin, end });
  return ranges.reverse();
}

/** What `proveConsistency` reads, for who proves more than once or reads before. Throws ProofError: `unsafe_number`, `size_order`. */
export function planConsistency(query: ConsistencyQuery): ProofPlan {
  return planOf(consistencyRanges(query));
}

/**
 * Every node that `proveConsistency` reads, so that their tiles can be fetched before.
 * Throws ProofError: `unsafe_number`, `size_order`.
 */
export function consistencyNodes(query: ConsistencyQuery): NodeId[] {
  return planConsistency(query).flat();
}

/**
 * The consistency proof between two sizes, from perfect subtrees only; empty where `first` is 0 or both are equal.
 * Throws ProofError: `unsafe_number`, `size_order`.
 */
export function proveConsistency(query: ConsistencyQuery, readNode: ReadNode): TreeHash[] {
  return hashesOf(planConsistency(query), readNode);
}

/** What the number of hashes and the way to combine them follow from, for 0 < first < second. */
function shapeOf({ first, second }: ConsistencyQuery) {
  let shift = 0;
  for (let rest = first; rest % 2 === 0; rest /= 2) shift++;
  // Both ways start at the largest perfect subtree at the right edge of the first tree: 2^shift leaves, number `start`.
  const start = Math.floor((first - 1) / 2 ** shift);
  const inner = differingBits(first - 1, second - 1) - shift;
  const border = popcount(Math.floor(start / 2 ** inner));
  const startsAtRoot = floorPowerOfTwo(first) === first;
  return { start, inner, startsAtRoot, length: inner + border + (startsAtRoot ? 0 : 1) };
}

/**
 * Checks a consistency proof, its length first, as `verifyInclusion` does. From size 0 the proof must be empty and the
 * first root that of the empty tree, which says nothing about the second root; between equal sizes it must be
 * empty and the roots equal. Throws ProofError: `unsafe_number`, `size_order`, `bad_proof_length`,
 * `bad_hash_length`, `root_mismatch`.
 */
export function verifyConsistency(claim: {
  readonly first: number;
  readonly second: number;
  readonly firstRoot: TreeHash;
  readonly secondRoot: TreeHash;
  readonly proof: readonly TreeHash[];
}): void {
  checkQuery(claim);
  const { first, second, firstRoot, secondRoot, proof } = claim;
  if (first === 0 || first === second) {
    checkLength(claim, 0);
    checkHashes([firstRoot, secondRoot]);
    if (first === 0) checkRoot('first', firstRoot, emptyRoot());
    if (first === second) checkRoot('second', secondRoot, firstRoot);
    return;
  }
  const { start, inner, startsAtRoot, length } = shapeOf(claim);
  checkLength(claim, length);
  checkHashes([firstRoot, secondRoot, ...proof]);
  const seed = startsAtRoot ? firstRoot : (proof[0] as TreeHash);
  const path = startsAtRoot ? proof : proof.slice(1);
  let older = seed;
  let newer = seed;
  path.forEach((sibling, i) => {
    if (i < inner && bitAt(start, i) === 0) {
      newer = nodeHash(newer, sibling);
    } else {
      older = nodeHash(sibling, older);
      newer = nodeHash(sibling, newer);
    }
  });
  checkRoot('first', firstRoot, older);
  checkRoot('second', secondRoot, newer);
}

function checkLength(
  { first, second, proof }: ConsistencyQuery & { proof: readonly TreeHash[] },
  length: number,
): void {
  if (proof.length === length) return;
  throw new ProofError(
    'bad_proof_length',
    `the consistency proof from ${first} to ${second} has ${length} hashes, not ${proof.length}`,
  );
}

function checkRoot(which: 'first' | 'second', claimed: TreeHash, found: TreeHash): void {
  if (!equalBytes(claimed, found))
    throw new ProofError('root_mismatch', `the consistency proof does not lead to the ${which} root hash`);
}
