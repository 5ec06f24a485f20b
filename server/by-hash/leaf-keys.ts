/**
 * Keys of the by-hash index: 64 bits for a leaf hash, as two words.
 *
 * The first word is the beginning of the hash. The second is computed from all of the hash under a secret: who asks for hashes, or
 * logs leaves, cannot aim at a key without it. Otherwise a leaf that was logged a million times could be asked for with its last byte
 * changed, and each of the million would have to be compared with the tree before the answer is no. Two hashes that share a key
 * by chance, one pair in 2^64 or one in 2^32 if somebody made their first words equal, cost a look at the tree and nothing else.
 */
import { readU32 } from '../../tree/bytes.ts';
import { HASH_SIZE } from '../../tree/hash.ts';

/** The hash is taken in parts of 16 bits; each of the two sums has a factor for each, and a summand. */
const PARTS = HASH_SIZE / 2;
const SUM_SIZE = (PARTS + 1) * 4;

/** Bytes of the secret. */
export const SECRET_SIZE = 2 * SUM_SIZE;

/** Writes the key of the hash that begins at `from` to `words[at]` and `words[at + 1]`. */
export type WriteKey = (bytes: Uint8Array, from: number, words: Uint32Array, at: number) => void;

/**
 * How keys are made under a secret. The upper halves of two multilinear sums modulo 2^32, whose parts have 16 bits: strongly universal
 * (Dietzfelbinger 1996), so two different hashes share the second word for one secret in 2^32. Costs 27 ns, a fifteenth of one SHA-256.
 */
export function keyWriter(secret: Uint8Array): WriteKey {
  const [a, b] = [factors(secret, 0), factors(secret, SUM_SIZE)];
  return (bytes, from, words, at) => {
    let x = a[PARTS] as number;
    let y = b[PARTS] as number;
    // biome-ignore-start lint/suspicious/noBitwiseOperators: sums modulo 2^32, and halves of them
    for (let i = 0; i < PARTS; i++) {
      const part = ((bytes[from + 2 * i] as number) << 8) | (bytes[from + 2 * i + 1] as number);
      x = (x + Math.imul(a[i] as number, part)) | 0;
      y = (y + Math.imul(b[i] as number, part)) | 0;
    }
    words[at + 1] = (x & 0xffff0000) | (y >>> 16);
    // biome-ignore-end lint/suspicious/noBitwiseOperators: end of the sums
    words[at] = readU32(bytes, from);
  };
}

function factors(secret: Uint8Array, at: number): Int32Array {
  return Int32Array.from({ length: PARTS + 1 }, (_, i) => readU32(secret, at + 4 * i));
}
