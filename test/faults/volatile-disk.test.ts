import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../support/spawn-server.ts';
import { VolatileDisk } from './volatile-disk.ts';

const { path: folder, remove } = temporaryFolder('volatile');
afterAll(remove);

const SIZE = 40 * 4096;
// The matchers compare element by element, which takes minutes for so many bytes.
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const filled = (byte: number, length = 4096): Uint8Array => new Uint8Array(length).fill(byte);

function newDisk(): VolatileDisk {
  const image = join(folder, 'image');
  const content = new Uint8Array(SIZE);
  content.set(filled(9), 8 * 4096);
  writeFileSync(image, content);
  return new VolatileDisk(image);
}

/** What each of many cuts leaves. */
function* cuts(disk: VolatileDisk): Generator<{ left: Uint8Array; lost: number }> {
  for (let seed = 0; seed < 100; seed++) {
    const path = join(folder, 'cut');
    const { lost } = disk.cut(path, seed);
    yield { left: new Uint8Array(readFileSync(path)), lost };
  }
}

describe('a disk with a volatile cache', () => {
  test('a reader sees what was written, in the cache or not', () => {
    const disk = newDisk();
    disk.write(100, filled(7, 10));
    expect(disk.read(99, 12)).toEqual(Uint8Array.of(0, ...filled(7, 10), 0));
    disk.flush();
    expect(disk.read(100, 10)).toEqual(filled(7, 10));
  });

  test('a cut leaves what was flushed, and what the image had', () => {
    const disk = newDisk();
    disk.write(4096, filled(1));
    disk.write(4096, filled(2));
    disk.flush();
    for (const { left, lost } of cuts(disk)) {
      expect({ lost, size: left.length }).toEqual({ lost: 0, size: SIZE });
      expect(same(left.subarray(4096, 8192), filled(2))).toBe(true);
      expect(same(left.subarray(8 * 4096, 9 * 4096), filled(9))).toBe(true);
    }
  });

  test('of what was not flushed, it leaves any part: all, nothing, the later of two writes alone, a piece of a block', () => {
    const disk = newDisk();
    disk.write(4096, filled(1));
    disk.flush();
    disk.write(4096, filled(2));
    disk.write(20 * 4096, filled(3, 2 * 4096));
    const seen = { all: 0, nothing: 0, laterAlone: 0, torn: 0 };
    for (const { left } of cuts(disk)) {
      const at = (place: number): number => left[place] as number;
      const [first, later] = [at(4096), at(20 * 4096)];
      expect([1, 2]).toContain(first);
      expect([0, 3]).toContain(later);
      const pieces = new Set(left.subarray(20 * 4096, 21 * 4096));
      if (pieces.size > 1) seen.torn++;
      else if (first === 1 && later === 3) seen.laterAlone++;
      else if (first === 2 && at(21 * 4096) === 3) seen.all++;
      else if (first === 1 && at(21 * 4096) === 0) seen.nothing++;
    }
    for (const times of Object.values(seen)) expect(times).toBeGreaterThan(0);
    expect(same(disk.read(4096, 4096), filled(2))).toBe(true);
  });

  test('the same seed loses the same', () => {
    const disk = newDisk();
    disk.write(0, filled(5, 30 * 4096));
    const [first, second] = [[...cuts(disk)], [...cuts(disk)]];
    for (const [i, { left, lost }] of first.entries()) {
      const again = second[i] as (typeof second)[number];
      expect(again.lost).toBe(lost);
      expect(same(again.left, left)).toBe(true);
    }
  });
});
