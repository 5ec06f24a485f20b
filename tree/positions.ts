/**
 * Where things are in the tree: plain arithmetic on numbers up to 2^53 - 1, without bitwise operators, which cut to 32 bits.
 *
 * A node is (level, index): it covers the leaves [index · 2^level, (index + 1) · 2^level). Only perfect subtrees are nodes;
 * the ragged right edge of a tree is always a fold of some.
 */

/** A perfect subtree: it covers the leaves from `index · 2^level`, 2^level of them. */
export interface NodeId {
  readonly level: number;
  readonly index: number;
}

const POWERS = Array.from({ length: 64 }, (_, i) => 2 ** i);

/** 2^n. From a table: `**` takes 30 ns, and a proof asks two hundred times. */
export function powerOfTwo(n: number): number {
  return POWERS[n] ?? 2 ** n;
}

/** Largest power of two not above n, for n ≥ 1. */
export function floorPowerOfTwo(n: number): number {
  let power = 1;
  while (power * 2 <= n) power *= 2;
  return power;
}

/** Where RFC 6962 splits a tree of n ≥ 2 leaves: the largest power of two strictly below n. */
export function splitPoint(n: number): number {
  return floorPowerOfTwo(n - 1);
}

/** Number of one bits. */
export function popcount(n: number): number {
  let count = 0;
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}

/**
 * The perfect subtrees that cover the leaves [begin, end), left to right; few are needed where `begin` is a multiple of the
 * smallest power of two not below the length, as it is for every range a proof asks for. Empty for an empty range.
 */
export function coveringNodes(begin: number, end: number): NodeId[] {
  const whole = subtree(begin, end - begin);
  if (whole !== undefined) return [whole];
  const nodes: NodeId[] = [];
  let at = begin;
  while (at < end) {
    let level = 0;
    let width = 1;
    while (at % (width * 2) === 0 && at + width * 2 <= end) {
      width *= 2;
      level++;
    }
    nodes.push({ level, index: at / width });
    at += width;
  }
  return nodes;
}

/** The perfect subtree that begins at `begin` and covers `width` leaves, if that is one: nearly every range of a proof is. */
function subtree(begin: number, width: number): NodeId | undefined {
  if (width <= 0 || begin % width !== 0) return undefined;
  let level = 0;
  let power = 1;
  for (; power < width; power *= 2) level++;
  return power === width ? { level, index: begin / width } : undefined;
}
