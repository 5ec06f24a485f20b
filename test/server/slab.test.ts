import { expect, test } from '@jest/globals';
import { Slab } from '../../server/slab.ts';
import { seededRandom } from '../support/random.ts';

test('every array is of zeros and of its size, and none changes with another', () => {
  const random = seededRandom(3);
  const slab = new Slab();
  const taken: Uint8Array[] = [];
  for (let i = 1; i <= 3000; i++) {
    const size = random() < 0.01 ? 16_384 + Math.floor(random() * 3) : Math.floor(random() * 700);
    const array = slab.take(size);
    expect(array.length).toBe(size);
    expect(array.every((byte) => byte === 0)).toBe(true);
    array.fill(i % 256);
    taken.push(array);
  }
  for (const [i, array] of taken.entries()) expect(array.every((byte) => byte === (i + 1) % 256)).toBe(true);
  // That is the point of it.
  expect(new Set(taken.map(({ buffer }) => buffer)).size).toBeLessThan(taken.length / 20);
});

test('what is large comes by itself and leaves the rest of the slab to others', () => {
  const slab = new Slab();
  const [small, large, next] = [slab.take(10), slab.take(1_000_000), slab.take(10)];
  expect(large.buffer.byteLength).toBe(1_000_000);
  expect(next.buffer).toBe(small.buffer);
  expect(slab.take(0).length).toBe(0);
});
