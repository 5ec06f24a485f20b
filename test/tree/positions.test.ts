import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { coveringNodes, floorPowerOfTwo, popcount, splitPoint } from '../../tree/positions.ts';

const size = fc.maxSafeNat();
const binary = (n: number) => BigInt(n).toString(2);

test('bits are counted up to 2^53 - 1', () => {
  fc.assert(
    fc.property(size, (n) => {
      expect(popcount(n)).toBe(binary(n).replaceAll('0', '').length);
    }),
  );
  expect([popcount(0), popcount(2 ** 53 - 1), popcount(2 ** 40)]).toEqual([0, 53, 1]);
});

test('a tree is split strictly below its size', () => {
  expect([2, 3, 4, 5, 7, 8, 9].map(splitPoint)).toEqual([1, 2, 2, 4, 4, 4, 8]);
  expect([1, 2, 3, 4, 8, 9].map(floorPowerOfTwo)).toEqual([1, 2, 2, 4, 8, 8]);
  fc.assert(
    fc.property(size, (n) => {
      fc.pre(n >= 2);
      const k = splitPoint(n);
      expect(k < n && n <= 2 * k).toBe(true);
      expect(Number.isInteger(Math.log2(k))).toBe(true);
    }),
  );
});

test('covering nodes lie side by side, each as large as it can be', () => {
  const check = (begin: number, end: number) => {
    let at = begin;
    for (const { level, index } of coveringNodes(begin, end)) {
      expect(index * 2 ** level).toBe(at);
      at += 2 ** level;
      const twice = at - 2 ** level + 2 ** (level + 1);
      expect(index % 2 === 0 && twice <= end).toBe(false);
    }
    expect(at).toBe(Math.max(begin, end));
  };
  for (let begin = 0; begin <= 40; begin++) for (let end = begin; end <= 80; end++) check(begin, end);
  fc.assert(fc.property(size, size, (a, b) => check(Math.min(a, b), Math.max(a, b))));
});

test('a whole tree is covered by one node for each one bit of its size', () => {
  fc.assert(fc.property(size, (n) => expect(coveringNodes(0, n)).toHaveLength(popcount(n))));
});
