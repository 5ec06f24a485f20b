/**
 * The frontier of a tree: the roots of the perfect subtrees of its size, one for each one bit, the largest first.
 * It is all that appending needs, and the root hash is a fold of it. Frontiers are values: functions return a new one, but for the one that says otherwise.
 */
import { concatBytes } from './bytes.ts';
import { asTreeHash, emptyRoot, HASH_SIZE, nodeHash, nodeHashes, type TreeHash } from './hash.ts';
import { popcount } from './positions.ts';

export type Frontier = readonly TreeHash[];

/** Frontier of the tree of `treeSize` leaves after one more leaf. */
export function appendToFrontier(frontier: Frontier, treeSize: number, leafHash: TreeHash): TreeHash[] {
  const next = frontier.slice();
  pushToFrontier(next, treeSize, leafHash);
  return next;
}

/**
 * Appends one leaf to a frontier in place: for loops that own theirs. `onNode` hears of every perfect subtree that the leaf
 * completes, the leaf itself included, so that whoever builds tiles gets their roots without hashing twice.
 */
export function pushToFrontier(
  frontier: TreeHash[],
  treeSize: number,
  leafHash: TreeHash,
  onNode?: (level: number, hash: TreeHash) => void,
): void {
  let top = leafHash;
  let level = 0;
  onNode?.(level, top);
  for (let rest = treeSize; rest % 2 === 1; rest = (rest - 1) / 2) {
    const left = frontier.pop();
    if (left === undefined) throw new Error('bug: frontier shorter than its size demands');
    top = nodeHash(left, top);
    onNode?.(++level, top);
  }
  frontier.push(top);
}

/**
 * Appends many leaves to a frontier in place, by their hashes side by side. A level at a time, so that the hashes of each are made together.
 * `onNodes` hears of the nodes that this completes, level by level, those of each from left to right; they begin after the
 * floor(treeSize / 2^level) that were there.
 */
export function extendFrontier(
  frontier: TreeHash[],
  treeSize: number,
  leafHashes: Uint8Array,
  onNodes?: (level: number, nodes: Uint8Array) => void,
): void {
  // By itself: arrays for one node a level cost more than its hash.
  if (leafHashes.length === HASH_SIZE) {
    pushToFrontier(frontier, treeSize, asTreeHash(leafHashes), onNodes);
    return;
  }
  /** What stays without a sibling, the smallest first. */
  const single: TreeHash[] = [];
  let nodes = leafHashes;
  for (let level = 0, before = treeSize; nodes.length > 0; level++, before = Math.floor(before / 2)) {
    onNodes?.(level, nodes);
    if (before % 2 === 1) {
      const left = frontier.pop();
      if (left === undefined) throw new Error('bug: frontier shorter than its size demands');
      nodes = concatBytes(left, nodes);
    }
    if (nodes.length % (2 * HASH_SIZE) !== 0) single.push(asTreeHash(nodes.slice(-HASH_SIZE)));
    nodes = nodeHashes(nodes);
  }
  while (single.length > 0) frontier.push(single.pop() as TreeHash);
}

/** Root hash of the tree: the frontier folded from the right; of the empty one, SHA-256 of nothing. */
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
