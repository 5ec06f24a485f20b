/** The simulation itself: a seed is a history, whoever simulates it and after whatever else. What it finds is for `npm run test:faults`. */
import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '../support/random.ts';
import { Disk } from './disk.ts';
import { simulateMany } from './run.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const put = (key: string): { key: string; value: Uint8Array } => ({ key, value: bytes(key) });
const keysOf = (disk: Disk): string[] => disk.range({ gte: '', lt: '~', limit: 100, reverse: false });

describe('a history', () => {
  test('is the same one for the same seed, in whichever process and after whatever others', async () => {
    const range = { seed: 20, count: 4, operations: 100 };
    const one = await simulateMany({ ...range, workers: 1 });
    const two = await simulateMany({ ...range, workers: 2 });
    const alone = await simulateMany({ ...range, seed: 23, count: 1, workers: 1 });
    expect(one.flatMap(({ violations }) => violations)).toEqual([]);
    expect(two).toEqual(one);
    expect(alone).toEqual(one.slice(3));
    expect(new Set(one.map(({ trace }) => trace)).size).toBe(4);
  });
});

describe('a simulated disk', () => {
  const random = seededRandom(1);
  const written = (...batches: readonly [string, ('torn' | 'durable' | 'unsynced' | 'lied' | 'lost')?][]): Disk => {
    const disk = new Disk();
    for (const [key, fault] of batches) {
      try {
        disk.commit([put(key)], true, fault, random);
      } catch {}
    }
    return disk;
  };

  test('keeps what was synced, whatever happens', () => {
    const disk = written(['a'], ['b']);
    disk.crash(true, random);
    expect(keysOf(disk)).toEqual(['a', 'b']);
  });

  test('loses after a torn append what it acknowledged, and may have a hole', () => {
    const disk = written(['a'], ['b', 'torn'], ['c'], ['d'], ['e'], ['f'], ['g'], ['h'], ['i']);
    expect(keysOf(disk)).toEqual(['a', 'c', 'd', 'e', 'f', 'g', 'h', 'i']);
    disk.crash(false, random);
    expect(keysOf(disk)).not.toContain('c');
    expect(keysOf(disk).at(-1)).toBe('i');
  });

  test('refuses everything after a sync that failed, and may have that batch all the same', () => {
    const disk = written(['a'], ['b', 'durable'], ['c']);
    expect(keysOf(disk)).toEqual(['a']);
    disk.crash(true, random);
    expect(keysOf(disk)).toEqual(['a', 'b']);
  });

  test('loses in a power cut what it lied about, and nothing where only the process dies', () => {
    for (const power of [false, true]) {
      const disk = written(['a'], ['b', 'lied'], ['c']);
      expect(disk.crash(power, random).lied).toBe(power);
      expect(keysOf(disk)).toEqual(power ? ['a'] : ['a', 'b', 'c']);
    }
  });

  test('loses in a power cut what nobody synced, now and then', () => {
    const left = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const disk = new Disk();
      disk.commit([put('a')], false, undefined, random);
      disk.crash(true, random);
      left.add(keysOf(disk).join());
    }
    expect(left).toEqual(new Set(['', 'a']));
  });

  test('finds what lies on it again after it was altered, and puts it right', () => {
    const disk = written(['a']);
    const damage = disk.damage(() => true, random);
    expect(disk.get('a')).not.toEqual(bytes('a'));
    expect(damage !== undefined && disk.holds(damage)).toBe(true);
    disk.repair();
    expect(disk.get('a')).toEqual(bytes('a'));
  });
});
