import { expect, test } from '@jest/globals';
import { freshSalts } from '../../server/entry.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('salts differ, are all random, stay as they are, and are as many as asked for, whatever is left of those that were made ahead', () => {
  const counts = [0, 1, 1, 2046, 1, 1, 2048, 2047, 3, 2049, 5000, 1];
  const given = counts.map((count) => {
    const salts = freshSalts(count);
    expect(salts.length).toBe(count);
    return salts.map((salt) => ({ salt, at: hex(salt) }));
  });
  const all = given.flat();
  for (const { salt, at } of all) {
    expect(salt.length).toBe(32);
    expect(hex(salt)).toBe(at);
    // Half a salt of zeros would be a place that nobody filled.
    expect(at).not.toMatch(/(?:00){16}/);
  }
  expect(new Set(all.map(({ at }) => at)).size).toBe(counts.reduce((sum, count) => sum + count, 0));
});
