/** Proofs from verified tiles, for any size up to the newest published one (PS-2, PS-3). */
import { planConsistency } from '../proofs/consistency.ts';
import { planInclusion } from '../proofs/inclusion.ts';
import { hashesOf } from '../proofs/range.ts';
import { frontierRoot } from '../tree/frontier.ts';
import { asLeafHash, emptyRoot, type LeafHash, type TreeHash } from '../tree/hash.ts';
import { coveringNodes } from '../tree/positions.ts';
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
    const plans = leafIndexes.slice(at, at + STEP).map((leafIndex) => planInclusion({ leafIndex, treeSize }));
    const readNode = await reader.nodes(log, log.state, ...plans.flat());
    for (const plan of plans) proofs.push(hashesOf(plan, readNode));
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

/** A leaf's hash and its inclusion proof, both from verified tiles. */
export async function provenLeaf(
  reader: TreeReader,
  log: Log,
  leafIndex: number,
  treeSize: number,
): Promise<{ readonly leafHash: LeafHash; readonly proof: TreeHash[] }> {
  const leaf = { level: 0, index: leafIndex };
  const plan = planInclusion({ leafIndex, treeSize });
  const readNode = await reader.nodes(log, log.state, [leaf], ...plan);
  return { leafHash: asLeafHash(readNode(leaf)), proof: hashesOf(plan, readNode) };
}

/** Consistency proof between two sizes of the log, first ≤ second. */
export async function consistencyProof(
  reader: TreeReader,
  log: Log,
  first: number,
  second: number,
): Promise<TreeHash[]> {
  const plan = planConsistency({ first, second });
  return hashesOf(plan, await reader.nodes(log, log.state, ...plan));
}

/** Root hash of the log at an earlier size. */
export async function rootAt(reader: TreeReader, log: Log, treeSize: number): Promise<TreeHash> {
  if (treeSize === 0) return emptyRoot();
  const { state } = log;
  if (treeSize === state.treeSize) return state.rootHash;
  const nodes = coveringNodes(0, treeSize);
  const readNode = await reader.nodes(log, state, nodes);
  return frontierRoot(nodes.map((node) => readNode(node)));
}
