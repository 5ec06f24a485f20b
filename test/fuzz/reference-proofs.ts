/**
 * The verifiers of docs/format.md, word for word and recursive, to compare the real ones with: another shape of code, and another hash
 * function. They answer yes or no.
 */
import { createHash } from 'node:crypto';
import { equalBytes } from '../../tree/bytes.ts';

export interface InclusionClaim {
  readonly leafHash: Uint8Array;
  readonly leafIndex: number;
  readonly treeSize: number;
  readonly rootHash: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

export interface ConsistencyClaim {
  readonly first: number;
  readonly second: number;
  readonly firstRoot: Uint8Array;
  readonly secondRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

class Refused extends Error {}

function node(left: Uint8Array, right: Uint8Array): Uint8Array {
  return createHash('sha256').update(Uint8Array.of(1)).update(left).update(right).digest();
}

/** Largest power of two below n. */
function split(n: number): number {
  let k = 1;
  while (2 * k < n) k *= 2;
  return k;
}

function isNumber(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0;
}

function judged(judge: () => boolean): boolean {
  try {
    return judge();
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}

/** `verify_inclusion` of docs/format.md. */
export function isIncluded({ leafHash, leafIndex, treeSize, rootHash, proof }: InclusionClaim): boolean {
  if (!isNumber(leafIndex) || !isNumber(treeSize) || leafIndex >= treeSize) return false;
  if (![leafHash, rootHash, ...proof].every(({ length }) => length === 32)) return false;
  const rest = [...proof];
  const climb = (m: number, n: number): Uint8Array => {
    if (n === 1) return leafHash;
    const s = rest.pop();
    if (s === undefined) throw new Refused();
    const k = split(n);
    return m < k ? node(climb(m, k), s) : node(s, climb(m - k, n - k));
  };
  return judged(() => equalBytes(climb(leafIndex, treeSize), rootHash) && rest.length === 0);
}

/** `verify_consistency` of docs/format.md. */
export function isConsistent({ first, second, firstRoot, secondRoot, proof }: ConsistencyClaim): boolean {
  if (!isNumber(first) || !isNumber(second) || first > second) return false;
  if (![firstRoot, secondRoot, ...proof].every(({ length }) => length === 32)) return false;
  if (first === 0) {
    const empty = createHash('sha256').digest();
    if (second === 0 && !equalBytes(secondRoot, empty)) return false;
    return proof.length === 0 && equalBytes(firstRoot, empty);
  }
  if (first === second) return proof.length === 0 && equalBytes(firstRoot, secondRoot);
  const rest = [...proof];
  const walk = (m: number, n: number, whole: boolean): readonly [Uint8Array, Uint8Array] => {
    if (m === n && whole) return [firstRoot, firstRoot];
    const s = rest.pop();
    if (s === undefined) throw new Refused();
    if (m === n) return [s, s];
    const k = split(n);
    const [a, b] = m <= k ? walk(m, k, whole) : walk(m - k, n - k, false);
    return m <= k ? [a, node(b, s)] : [node(s, a), node(s, b)];
  };
  return judged(() => {
    const [older, newer] = walk(first, second, true);
    return equalBytes(older, firstRoot) && equalBytes(newer, secondRoot) && rest.length === 0;
  });
}

/** On which side of the way up each hash of an inclusion proof stands: what a proof says about leaf index and tree size, and no more. */
export function inclusionShape(leafIndex: number, treeSize: number): string {
  let shape = '';
  for (let m = leafIndex, n = treeSize; n > 1; ) {
    const k = split(n);
    shape += m < k ? 'r' : 'l';
    [m, n] = m < k ? [m, k] : [m - k, n - k];
  }
  return shape;
}

/** The same of a consistency proof, for 0 < first < second. */
export function consistencyShape(first: number, second: number): string {
  let shape = '';
  let m = first;
  let n = second;
  let whole = true;
  while (m !== n) {
    const k = split(n);
    if (m <= k) {
      shape += 'r';
      n = k;
    } else {
      shape += 'l';
      m -= k;
      n -= k;
      whole = false;
    }
  }
  return shape + (whole ? '' : 's');
}
