/** Which runs are merged: there are few at any time, and a leaf is written again only once a tier. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { nextMerge } from '../../../server/by-hash/merge-plan.ts';

/** Adds runs one after the other, merging whenever there is something to merge; returns the most runs there were, and leaves written. */
function grow(added: readonly number[], fanIn: number): { runs: number[]; most: number; written: number } {
  let runs: number[] = [];
  let most = 0;
  let written = 0;
  for (const count of added) {
    runs = [...runs, count];
    for (let plan = nextMerge(runs, fanIn); plan !== undefined; plan = nextMerge(runs, fanIn)) {
      const merged = runs.slice(plan.from, plan.to).reduce((sum, one) => sum + one, 0);
      expect(plan.to - plan.from).toBeGreaterThan(1);
      runs = runs.toSpliced(plan.from, plan.to - plan.from, merged);
      written += merged;
    }
    most = Math.max(most, runs.length);
  }
  return { runs, most, written };
}

const sum = (list: readonly number[]): number => list.reduce((total, one) => total + one, 0);

describe('runs of one size', () => {
  test('are merged sixteen at a time', () => {
    const { runs, most, written } = grow(new Array(16 * 16 + 5).fill(32_768), 16);
    expect(runs).toEqual([256 * 32_768, 32_768, 32_768, 32_768, 32_768, 32_768]);
    expect(most).toBe(15 + 15);
    expect(written).toBe(2 * 256 * 32_768);
  });
});

test('runs of any sizes are few, in falling tiers, and written again once a tier or twice', () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 100_000 }), fc.constant(4096));
  fc.assert(
    fc.property(fc.array(size, { maxLength: 400 }), fc.integer({ min: 2, max: 16 }), (added, fanIn) => {
      const { runs, most, written } = grow(added, fanIn);
      const all = sum(added);
      expect(sum(runs)).toBe(all);
      const tiers = Math.floor(Math.log(Math.max(1, all)) / Math.log(fanIn)) + 1;
      expect(most).toBeLessThanOrEqual((fanIn - 1) * tiers + 1);
      expect(written).toBeLessThanOrEqual(2 * tiers * all);
      const tier = runs.map((count) => Math.floor(Math.log(count) / Math.log(fanIn) + 1e-9));
      expect(tier).toEqual([...tier].sort((a, b) => b - a));
    }),
  );
});

test('the largest stay as they are, for an offset has 32 bits', () => {
  const large = 2 ** 28;
  expect(nextMerge(new Array(40).fill(large), 16)).toBeUndefined();
  expect(nextMerge([...new Array(40).fill(large), ...new Array(16).fill(7)], 16)).toEqual({ from: 40, to: 56 });
  expect(nextMerge([3, 3, large], 16)).toBeUndefined();
  expect(nextMerge([large, 3, 300], 16)).toEqual({ from: 1, to: 3 });
});
