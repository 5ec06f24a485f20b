/** The contract of stores for derived state, in both engines, and what LevelDB's makes of damage. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { DerivedStore } from '../../../server/storage/derived.ts';
import { openDerivedLevel } from '../../../server/storage/derived-level.ts';
import { MemoryDerivedStore } from '../../../server/storage/derived-memory.ts';

const made: string[] = [];
afterAll(() => Promise.all(made.map((path) => rm(path, { recursive: true, force: true }))));

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'indelible-derived-'));
  made.push(path);
  return join(path, 'derived', 'by-hash');
}

const key = (...bytes: number[]): Uint8Array => Uint8Array.of(...bytes);
const plain = (keys: readonly Uint8Array[]): number[][] => keys.map((bytes) => [...bytes]);

/** Rows enough for several log files and tables. */
async function fill(store: DerivedStore, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += 1000) {
    await store.write(
      Array.from({ length: 1000 }, (_, n) => ({
        key: key(Math.floor((i + n) / 65_536), Math.floor((i + n) / 256) % 256, (i + n) % 256),
        value: new Uint8Array(100).fill(n),
      })),
    );
  }
}

const all = (store: DerivedStore): Promise<Uint8Array[]> => store.keys(key(0), key(255), 1_000_000);

describe.each([
  ['memory', async () => new MemoryDerivedStore()],
  ['level', async () => openDerivedLevel(await folder())],
])('%s', (_, open) => {
  test('puts, reads and clears by the order of the bytes', async () => {
    const store = await open();
    const rows = [[0], [1], [1, 0], [1, 128, 255], [2], [255, 0]].map((bytes) => ({
      key: key(...bytes),
      value: key(...bytes, 7),
    }));
    await store.write([...rows].reverse());
    expect(plain(await store.keys(key(), key(255, 255), 100))).toEqual(plain(rows.map((row) => row.key)));
    expect(plain(await store.keys(key(1), key(2), 100))).toEqual([[1], [1, 0], [1, 128, 255]]);
    expect(plain(await store.keys(key(1), key(2), 2))).toEqual([[1], [1, 0]]);
    expect([...((await store.get(key(1, 128, 255))) as Uint8Array)]).toEqual([1, 128, 255, 7]);
    expect(await store.get(key(3))).toBeUndefined();
    for (const once of [true, false]) {
      const values = await store.getMany([key(2), key(3), key(0)], { once });
      expect(values.map((value) => (value === undefined ? undefined : [...value]))).toEqual([
        [2, 7],
        undefined,
        [0, 7],
      ]);
    }
    await store.clear(key(1, 0), key(2));
    expect(plain(await store.keys(key(), key(255, 255), 100))).toEqual([[0], [1], [2], [255, 0]]);
    await store.write([{ key: key(0), value: key() }]);
    expect((await store.get(key(0)))?.length).toBe(0);
    await store.write([
      { key: key(4), value: key(1) },
      { key: key(0), value: undefined },
      { key: key(3), value: undefined },
    ]);
    expect(plain(await store.keys(key(), key(255, 255), 100))).toEqual([[1], [2], [4], [255, 0]]);
    await store.close();
  });
});

describe('level', () => {
  test('keeps what was written over a restart', async () => {
    const path = await folder();
    const store = await openDerivedLevel(path);
    await fill(store, 0, 3000);
    await store.close();
    const again = await openDerivedLevel(path);
    expect((await all(again)).length).toBe(3000);
    await again.close();
  });

  test.each<readonly [string, (path: string) => Promise<void>]>([
    [
      'a flipped bit in a log file',
      (path) => damage(path, '.log', (bytes) => flip(bytes, Math.floor(bytes.length / 3))),
    ],
    ['a damaged MANIFEST', (path) => damage(path, 'MANIFEST', (bytes) => flip(bytes, 9))],
    // LevelDB reads tables without their checksums: this would be a wrong value, or a wrong key.
    ['a flipped bit in a table', (path) => damage(path, '.ldb', (bytes) => flip(bytes, Math.floor(bytes.length / 3)))],
    // At this one it ends the process when it reads the block.
    ['a page of zeros in a table', (path) => damage(path, '.ldb', (bytes) => bytes.fill(0, 8192, 12_288))],
    ['a CURRENT that names nothing', (path) => damage(path, 'CURRENT', () => Buffer.from('MANIFEST-999999\n'))],
    [
      'everything deleted but a table',
      async (path) => {
        for (const name of await readdir(path)) if (!name.endsWith('.ldb')) await rm(join(path, name));
      },
    ],
  ])('begins empty after %s', async (_, spoil) => {
    const path = await folder();
    const store = await openDerivedLevel(path);
    await fill(store, 0, 60_000);
    await store.close();
    await spoil(path);
    const again = await openDerivedLevel(path);
    expect((await all(again)).length).toBe(0);
    await fill(again, 0, 1000);
    expect((await all(again)).length).toBe(1000);
    await again.close();
  });

  test('a torn end of the newest log file is what a crash leaves: the writes before it are kept', async () => {
    const path = await folder();
    const store = await openDerivedLevel(path);
    await fill(store, 0, 3000);
    await store.close();
    await damage(path, '.log', (bytes) => bytes.subarray(0, bytes.length - 10));
    const again = await openDerivedLevel(path);
    expect((await all(again)).length).toBe(2000);
    await again.close();
  });

  test('begins empty when it is to be made afresh', async () => {
    const path = await folder();
    const store = await openDerivedLevel(path);
    await fill(store, 0, 60_000);
    await store.close();
    const again = await openDerivedLevel(path, true);
    expect((await all(again)).length).toBe(0);
    await again.close();
  });

  test('removes nothing that is not its own', async () => {
    const path = await folder();
    const store = await openDerivedLevel(path);
    await store.close();
    await writeFile(join(path, 'CURRENT'), 'x');
    await writeFile(join(path, 'thesis.txt'), 'x');
    await expect(openDerivedLevel(path)).rejects.toMatchObject({
      code: 'unreadable',
      message: expect.stringContaining('thesis.txt'),
    });
    expect(existsSync(join(path, 'thesis.txt'))).toBe(true);
  });
});

async function damage(path: string, what: string, change: (bytes: Buffer) => Uint8Array): Promise<void> {
  const names = (await readdir(path)).filter((name) => name.includes(what)).sort();
  const file = join(path, names.at(-1) as string);
  await writeFile(file, change(await readFile(file)));
}

function flip(bytes: Buffer, at: number): Buffer {
  bytes[at] = ((bytes[at] as number) + 1) % 256;
  return bytes;
}
