/**
 * What both kinds of proof share: ranges of leaves, whose hashes a proof consists of, and checks of what callers pass in.
 *
 * Every range of a proof is a perfect subtree, save at most one at the right edge of the tree, which is folded from
 * the perfect subtrees that cover it.
 */
import { frontierRoot } from '../tree/frontier.ts';
import { HASH_SIZE, type TreeHash } from '../tree/hash.ts';
import { coveringNodes, type NodeId } from '../tree/positions.ts';
import { ProofError } from './error.ts';

/** The leaves from `begin` up to, not including, `end`. */
export interface LeafRange {
  readonly begin: number;
  readonly end: number;
}

/** Gives the hash of a perfect subtree. What it throws goes through to the caller of the prover. */
export type ReadNode = (node: NodeId) => TreeHash;

/** What each hash of a proof is made of, in the order of the proof: one node, save where the ragged right edge is folded from several. */
export type ProofPlan = readonly (readonly NodeId[])[];

export function planOf(ranges: readonly LeafRange[]): ProofPlan {
  return ranges.map(({ begin, end }) => coveringNodes(begin, end));
}

/** The hashes of a plan, each folded from the right. */
export function hashesOf(plan: ProofPlan, readNode: ReadNode): TreeHash[] {
  return plan.map((nodes) => frontierRoot(nodes.map((node) => readNode(node))));
}

/** The number of low bits to drop until two numbers are equal: the bit length of a XOR b, without bitwise operators. */
export function differingBits(a: number, b: number): number {
  let bits = 0;
  for (let x = a, y = b; x !== y; x = Math.floor(x / 2), y = Math.floor(y / 2)) bits++;
  return bits;
}

/** Bit `i` of a number, the lowest is bit 0. */
export function bitAt(n: number, i: number): number {
  return Math.floor(n / 2 ** i) % 2;
}

/** Throws `unsafe_number` unless the number is an integer from 0 to 2^53 - 1. */
export function checkNumber(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new ProofError('unsafe_number', `${name} is not an integer from 0 to 2^53 - 1: ${value}`);
}

/** Throws `bad_hash_length` unless every hash has 32 bytes. A brand can be cast; the bytes come from the network. */
export function checkHashes(hashes: readonly TreeHash[]): void {
  for (const hash of hashes) {
    if (hash.length !== HASH_SIZE)
      throw new ProofError('bad_hash_length', `a hash has ${HASH_SIZE} bytes, not ${hash.length}`);
  }
}
