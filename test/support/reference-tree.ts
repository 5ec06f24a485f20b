/**
 * The definitions of RFC 6962 §2.1, word for word and recursive, to compare the real code with. It shares nothing with that
 * code, hashing included. Hashes of ranges are remembered, otherwise all pairs of 300 leaves would take minutes.
 */
import { createHash } from 'node:crypto';
import { asTreeHash, type TreeHash } from '../../tree/hash.ts';
import type { NodeId } from '../../tree/positions.ts';

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return Uint8Array.from(hash.digest());
}

/** Largest power of two smaller than n. */
function split(n: number): number {
  let k = 1;
  while (2 * k < n) k *= 2;
  return k;
}

export class ReferenceTree {
  readonly #leaves: readonly Uint8Array[];
  readonly #known = new Map<number, Uint8Array>();

  constructor(leaves: readonly Uint8Array[]) {
    this.#leaves = leaves;
  }

  /** MTH(D[begin:end]). */
  hash(begin: number, end: number): Uint8Array {
    const key = begin * 2 ** 24 + end;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const n = end - begin;
    let hash: Uint8Array;
    if (n === 0) hash = sha256();
    else if (n === 1) hash = sha256(Uint8Array.of(0), this.#leaves[begin] as Uint8Array);
    else {
      const k = begin + split(n);
      hash = sha256(Uint8Array.of(1), this.hash(begin, k), this.hash(k, end));
    }
    this.#known.set(key, hash);
    return hash;
  }

  /** Root hash of the first n leaves. */
  root(n: number): TreeHash {
    return asTreeHash(this.hash(0, n));
  }

  /** Hash of a perfect subtree, as provers ask for it. */
  readonly node = ({ level, index }: NodeId): TreeHash =>
    asTreeHash(this.hash(index * 2 ** level, (index + 1) * 2 ** level));

  /** PATH(m, D[n]), the audit path. */
  path(m: number, n: number): Uint8Array[] {
    const within = (index: number, begin: number, end: number): Uint8Array[] => {
      if (end - begin === 1) return [];
      const k = split(end - begin);
      return index < k
        ? [...within(index, begin, begin + k), this.hash(begin + k, end)]
        : [...within(index - k, begin + k, end), this.hash(begin, begin + k)];
    };
    return within(m, 0, n);
  }

  /** PROOF(m, D[n]) = SUBPROOF(m, D[n], true), for 0 < m < n; empty for m = 0 and m = n. */
  proof(m: number, n: number): Uint8Array[] {
    if (m === 0) return [];
    const within = (size: number, begin: number, end: number, whole: boolean): Uint8Array[] => {
      if (size === end - begin) return whole ? [] : [this.hash(begin, end)];
      const k = split(end - begin);
      return size <= k
        ? [...within(size, begin, begin + k, whole), this.hash(begin + k, end)]
        : [...within(size - k, begin + k, end, false), this.hash(begin, begin + k)];
    };
    return within(m, 0, n, true);
  }
}

/** `count` leaves that are all different: `leaf 0`, `leaf 1` and so on. */
export function numberedLeaves(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => new TextEncoder().encode(`leaf ${i}`));
}
