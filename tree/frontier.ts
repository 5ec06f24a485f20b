/**
 * The frontier of a tree: the roots of the perfect subtrees of its size, one for each one bit, the largest first (MT-7).
 * It is all that appending needs, and the root hash is a fold of it. Frontiers are values: every function returns a new one.
 */
import { emptyRoot, nodeHash, type TreeHash } from './hash.ts';
import { popcount } from './positions.ts';

export type Frontier = readonly TreeHash[];

/** Frontier after one more leaf, or perfect subtree of 2^level leaves, at the right end (MT-6). `size` must divide by 2^level. */
export function appendToFrontier(frontier: Frontier, size: number, hash: TreeHash, level = 0): TreeHash[] {
  const next = frontier.slice();
  let top = hash;
  for (let rest = size / 2 ** level; rest % 2 === 1; rest = (rest - 1) / 2) {
    const left = next.pop();
    if (left === undefined) throw new Error('bug: frontier shorter than its size demands');
    top = nodeHash(left, top);
  }
  next.push(top);
  return next;
}

/** Root hash of the tree: the frontier folded from the right (MT-6); of the empty one, SHA-256 of nothing. */
export function frontierRoot(frontier: Frontier): TreeHash {
  let root: TreeHash | undefined;
  for (let i = frontier.length - 1; i >= 0; i--) {
    const hash = frontier[i] as TreeHash;
    root = root === undefined ? hash : nodeHash(hash, root);
  }
  return root ?? emptyRoot();
}

/** Hashes in the frontier of a tree of that size. */
export function frontierLength(size: number): number {
  return popcount(size);
}
