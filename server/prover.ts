/** Proofs from verified tiles, for any size up to the newest published one (PS-2, PS-3). */
import { consistencyNodes, proveConsistency } from '../proofs/consistency.ts';
import { inclusionNodes, proveInclusion } from '../proofs/inclusion.ts';
import { nodesOf, rangeHash } from '../proofs/range.ts';
import { emptyRoot, type TreeHash } from '../tree/hash.ts';
import type { Log } from './log.ts';
import type { TreeReader } from './tree-reader.ts';

/** Proofs made before others get their turn. */
const STEP = 256;

/** Inclusion proofs of these leaves in the tree of `treeSize` leaves, all within the log, in the same order. */
export async function inclusionProofs(
  reader: TreeReader,
  log: Log,
  leafIndexes: readonly number[],
  treeSize: number,
): Promise<TreeHash[][]> {
  const proofs: TreeHash[][] = [];
  for (let at = 0; at < leafIndexes.length; at += STEP) {
    if (at > 0) await new Promise(setImmediate);
    const queries = leafIndexes.slice(at, at + STEP).map((leafIndex) => ({ leafIndex, treeSize }));
    const readNode = await reader.nodes(log, log.state, queries.flatMap(inclusionNodes));
    for (const query of queries) proofs.push(proveInclusion(query, readNode));
  }
  return proofs;
}

/** Inclusion proof of one leaf. */
export async function inclusionProof(
  reader: TreeReader,
  log: Log,
  leafIndex: number,
  treeSize: number,
): Promise<TreeHash[]> {
  return (await inclusionProofs(reader, log, [leafIndex], treeSize))[0] as TreeHash[];
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
