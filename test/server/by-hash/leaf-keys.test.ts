/** Keys of leaf hashes: the same for the same hash, another for every other, and unknown without the secret. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { keyWriter, SECRET_SIZE } from '../../../server/by-hash/leaf-keys.ts';

const secret = fc.uint8Array({ minLength: SECRET_SIZE, maxLength: SECRET_SIZE });
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });

function key(of: Uint8Array, bytes: Uint8Array, from = 0): number[] {
  const words = new Uint32Array(4);
  keyWriter(of)(bytes, from, words, 2);
  expect([words[0], words[1]]).toEqual([0, 0]);
  return [...words.subarray(2)];
}

test('the first word is the beginning of the hash, wherever that stands', () => {
  fc.assert(
    fc.property(secret, hash, (a, bytes) => {
      const [high] = key(a, bytes);
      expect(high).toBe(Buffer.from(bytes).readUInt32BE(0));
      expect(key(a, Uint8Array.of(1, 2, 3, ...bytes, 4), 3)).toEqual(key(a, bytes));
    }),
  );
});

test('the second word is two sums modulo 2^32, their upper halves', () => {
  fc.assert(
    fc.property(secret, hash, (a, bytes) => {
      const words = Buffer.from(a);
      const sum = (from: number): bigint => {
        let total = BigInt(words.readUInt32BE(from + 64));
        for (let i = 0; i < 16; i++)
          total += BigInt(words.readUInt32BE(from + 4 * i)) * BigInt(Buffer.from(bytes).readUInt16BE(2 * i));
        return (total % 2n ** 32n) / 65_536n;
      };
      expect(BigInt(key(a, bytes)[1] as number)).toBe(sum(0) * 65_536n + sum(SECRET_SIZE / 2));
    }),
  );
});

test('another secret gives another second word', () => {
  const bytes = new Uint8Array(32).fill(9);
  const secrets = Array.from({ length: 1000 }, () => crypto.getRandomValues(new Uint8Array(SECRET_SIZE)));
  // Among 1,000 of 2^32, two are the same once in 8,600 times; three of them never.
  expect(new Set(secrets.map((one) => key(one, bytes)[1])).size).toBeGreaterThan(997);
});
