/** Proofs from verified tiles, for any size up to the newest published one (PS-2, PS-3). */
import { consistencyNodes, proveConsistency } from '../proofs/consistency.ts';
import { inclusionNodes, proveInclusion } from '../proofs/inclusion.ts';
import { nodesOf, rangeHash } from '../proofs/range.ts';
import { emptyRoot, type TreeHash } from '../tree/hash.ts';
import type { Log } from './log.ts';
import type { TreeReader } from './tree-reader.ts';

/** Inclusion proof of a leaf in the tree of `treeSize` leaves, both within the log. */
export async function inclusionProof(
  reader: TreeReader,
  log: Log,
  leafIndex: number,
  treeSize: number,
): Promise<TreeHash[]> {
  const query = { leafIndex, treeSize };
  return proveInclusion(query, await reader.nodes(log, log.state, inclusionNodes(query)));
}

/** Consistency proof between two sizes of the log, first ≤ second. */
export async function consistencyProof(
  reader: TreeReader,
  log: Log,
  first: number,
  second: number,
): Promise<TreeHash[]> {
  const query = { first, second };
  return proveConsistency(query, await reader.nodes(log, log.state, consistencyNodes(query)));
}

/** Root hash of the log at an earlier size. */
export async function rootAt(reader: TreeReader, log: Log, treeSize: number): Promise<TreeHash> {
  if (treeSize === 0) return emptyRoot();
  const { state } = log;
  if (treeSize === state.treeSize) return state.rootHash;
  const range = { begin: 0, end: treeSize };
  return rangeHash(range, await reader.nodes(log, state, nodesOf([range])));
}
