/** Proofs from verified tiles, for any size up to the newest published one. */
import { planConsistency } from '../proofs/consistency.ts';
import { planInclusion } from '../proofs/inclusion.ts';
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
    const { state } = log;
    for (const leafIndex of leafIndexes.slice(at, at + STEP)) {
      proofs.push(await reader.hashes(log, state, planInclusion({ leafIndex, treeSize }), treeSize));
    }
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
  const plan = [[{ level: 0, index: leafIndex }], ...planInclusion({ leafIndex, treeSize })];
  const [leafHash, ...proof] = await reader.hashes(log, log.state, plan, treeSize);
  return { leafHash: asLeafHash(leafHash as TreeHash), proof };
}

/** Consistency proof between two sizes of the log, first ≤ second. */
export async function consistencyProof(
  reader: TreeReader,
  log: Log,
  first: number,
  second: number,
): Promise<TreeHash[]> {
  return reader.hashes(log, log.state, planConsistency({ first, second }), second);
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
