import { expect, test } from '@jest/globals';
import { freshSalts } from '../../server/entry.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('salts differ, are all random, and are as many as asked for, whatever is left of those that were made ahead', () => {
  const counts = [0, 1, 1, 2046, 1, 1, 2048, 2047, 3, 2049, 5000, 1];
  const seen = new Set<string>();
  for (const count of counts) {
    const salts = freshSalts(count);
    expect(salts.length).toBe(count);
    for (const salt of salts) {
      expect(salt.length).toBe(32);
      // Half a salt of zeros would be a place that nobody filled.
      expect(hex(salt)).not.toMatch(/(?:00){16}/);
      seen.add(hex(salt));
    }
  }
  expect(seen.size).toBe(counts.reduce((sum, count) => sum + count, 0));
});
