import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { consistencyProof, inclusionProof, rootAt } from '../../server/prover.ts';
import { TreeReader } from '../../server/tree-reader.ts';
import { encodeBundle } from '../../tree/bundles.ts';
import { fullTiles, partialWidth } from '../../tree/tiles.ts';
import { ReferenceTree } from '../support/reference-tree.ts';
import { append, edited, firstStart, type Run, restart, type World } from './memory-server.ts';

const SIZE = 1000;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const all = (hashes: readonly Uint8Array[]): string[] => hashes.map(hex);

let world: World;
let run: Run;
let leaves: readonly Uint8Array[];
let tree: ReferenceTree;

beforeAll(async () => {
  run = await firstStart();
  leaves = (await append(run, run.main, SIZE)).map(({ leaf }) => leaf);
  await run.server.publisher.publishDue();
  await run.server.close();
  world = run.world;
  tree = new ReferenceTree(leaves);
});

describe('what is whole is read', () => {
  test('every tile and every width of it is the reference’s', async () => {
    const reader = new TreeReader(world.rows, () => {});
    for (let level = 0; level < 2; level++) {
      const last = fullTiles(level, SIZE);
      for (let index = 0; index <= last; index++) {
        const most = index < last ? 256 : partialWidth(level, SIZE);
        const hashes = Array.from({ length: most }, (_, i) =>
          hex(tree.node({ level: 8 * level, index: 256 * index + i })),
        );
        for (const width of new Set([1, 2, 100, most].filter((w) => w <= most))) {
          const tile = await reader.tile(run.main, run.main.state, { level, index, width });
          expect(hex(tile)).toBe(hashes.slice(0, width).join(''));
        }
      }
    }
  });

  test('every bundle and every width of it holds its leaves', async () => {
    const reader = new TreeReader(world.rows, () => {});
    for (let index = 0; index < 4; index++) {
      for (const width of [1, 77, index < 3 ? 256 : SIZE - 768]) {
        const bundle = await reader.bundle(run.main, run.main.state, index, width);
        expect(hex(bundle)).toBe(hex(encodeBundle(leaves.slice(256 * index, 256 * index + width))));
      }
    }
  });

  test('leaves from anywhere to anywhere', async () => {
    const reader = new TreeReader(world.rows, () => {}, { bundleBytes: 12_000 });
    const place = fc.integer({ min: 0, max: SIZE });
    await fc.assert(
      fc.asyncProperty(place, place, async (a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        expect(all(await reader.leaves(run.main, run.main.state, from, to))).toEqual(all(leaves.slice(from, to)));
      }),
      { numRuns: 60 },
    );
  });

  test('an older state shows the tree as it was', async () => {
    const early = await firstStart();
    await append(early, early.main, 300);
    const before = early.main.state;
    await append(early, early.main, 700);
    const { reader } = early.server;
    const then = await reader.leaves(early.main, before, 250, 300);
    expect(then.length).toBe(50);
    expect(hex(await reader.bundle(early.main, before, 1, 44))).toBe(hex(encodeBundle(then.slice(6))));
    expect((await reader.tile(early.main, before, { level: 0, index: 1, width: 44 })).length).toBe(44 * 32);
  });

  test('proofs are those of the reference, for any index and any sizes', async () => {
    const reader = new TreeReader(world.rows, () => {}, { tiles: 2 });
    const size = fc.integer({ min: 1, max: SIZE });
    await fc.assert(
      fc.asyncProperty(size, size, fc.nat(), async (a, b, seed) => {
        const [first, second] = a < b ? [a, b] : [b, a];
        const leafIndex = seed % second;
        expect(all(await inclusionProof(reader, run.main, leafIndex, second))).toEqual(
          all(tree.path(leafIndex, second)),
        );
        expect(all(await consistencyProof(reader, run.main, first, second))).toEqual(all(tree.proof(first, second)));
        expect(hex(await rootAt(reader, run.main, second))).toBe(hex(tree.root(second)));
      }),
      { numRuns: 150 },
    );
    expect(hex(await rootAt(reader, run.main, 0))).toBe(hex(tree.root(0)));
    expect(await consistencyProof(reader, run.main, 0, SIZE)).toEqual([]);
  });
});

describe('what was altered on disk is never handed out', () => {
  const codeOf = async (reading: Promise<unknown>): Promise<string> =>
    reading.then(
      () => 'ok',
      (error: { code?: string }) => error.code ?? String(error),
    );

  /** A reader over the same rows with one changed, and what it reported. */
  function altered(edit: (rows: Map<string, Uint8Array>) => void): { reader: TreeReader; damage: string[] } {
    const damage: string[] = [];
    const { rows } = edited(world, edit);
    return { reader: new TreeReader(rows as World['rows'], (message) => damage.push(message)), damage };
  }

  const flip =
    (key: string, at: number) =>
    (rows: Map<string, Uint8Array>): void => {
      const value = rows.get(key) as Uint8Array;
      value[at] = ((value[at] as number) + 1) % 256;
    };

  test('a tile, whatever byte of it: no tile, no bundle, no proof through it', async () => {
    const { main } = run;
    for (let at = 0; at < 8192; at += 511) {
      const { reader, damage } = altered(flip('log/main/tile/0/001', at));
      expect(await codeOf(reader.tile(main, main.state, { level: 0, index: 1, width: 256 }))).toBe('damaged');
      expect(await codeOf(reader.tile(main, main.state, { level: 0, index: 1, width: 1 }))).toBe('damaged');
      expect(await codeOf(reader.bundle(main, main.state, 1, 256))).toBe('damaged');
      expect(await codeOf(inclusionProof(reader, main, 300, SIZE))).toBe('damaged');
      expect(await codeOf(consistencyProof(reader, main, 300, SIZE))).toBe('damaged');
      expect(damage.length).toBe(5);
      expect(damage[0]).toContain('log/main/tile/0/001');
      // Its neighbours are whole.
      expect(await codeOf(reader.tile(main, main.state, { level: 0, index: 0, width: 256 }))).toBe('ok');
      expect(await codeOf(inclusionProof(reader, main, 10, 256))).toBe('ok');
    }
  });

  test('a bundle, whatever byte of it', async () => {
    const { main } = run;
    for (let at = 0; at < 11_008; at += 397) {
      const { reader, damage } = altered(flip('stream/main/entries/002', at));
      expect(await codeOf(reader.bundle(main, main.state, 2, 256))).toBe('damaged');
      expect(await codeOf(reader.bundle(main, main.state, 2, 3))).toBe('damaged');
      expect(await codeOf(reader.leaves(main, main.state, 500, 600))).toBe('damaged');
      expect(damage.length).toBe(3);
      expect(await codeOf(reader.leaves(main, main.state, 0, 512))).toBe('ok');
    }
  });

  test.each(['log/main/tile/0/002', 'stream/main/entries/002'])('%s missing, shorter or longer', async (key) => {
    const { main } = run;
    for (const edit of [
      (rows: Map<string, Uint8Array>) => void rows.delete(key),
      (rows: Map<string, Uint8Array>) => void rows.set(key, (rows.get(key) as Uint8Array).slice(0, -1)),
      (rows: Map<string, Uint8Array>) => void rows.set(key, Uint8Array.of(...(rows.get(key) as Uint8Array), 0)),
    ]) {
      const { reader, damage } = altered(edit);
      expect(await codeOf(reader.bundle(main, main.state, 2, 256))).toBe('damaged');
      expect(damage.length).toBe(1);
    }
  });

  test('two tiles or two bundles that changed places', async () => {
    const { main } = run;
    for (const [a, b] of [
      ['log/main/tile/0/000', 'log/main/tile/0/001'],
      ['stream/main/entries/000', 'stream/main/entries/001'],
    ] as const) {
      const { reader } = altered((rows) => {
        const first = rows.get(a) as Uint8Array;
        rows.set(a, rows.get(b) as Uint8Array);
        rows.set(b, first);
      });
      expect(await codeOf(reader.bundle(main, main.state, 0, 256))).toBe('damaged');
      expect(await codeOf(reader.bundle(main, main.state, 1, 256))).toBe('damaged');
    }
  });

  test('a whole tile and bundle of another history', async () => {
    const other = await firstStart();
    await append(other, other.main, SIZE, 'other');
    const { main } = run;
    const { reader } = altered((rows) => {
      for (const key of ['log/main/tile/0/001', 'stream/main/entries/001']) {
        rows.set(key, new Map(other.world.rows.rows()).get(key) as Uint8Array);
      }
    });
    expect(await codeOf(reader.bundle(main, main.state, 1, 256))).toBe('damaged');
    expect(await codeOf(reader.tile(main, main.state, { level: 0, index: 1, width: 256 }))).toBe('damaged');
  });

  test('an entry: its event, header, salt or state changed, its row missing or that of another', async () => {
    const key = (n: number): string => `stream/main/event/${String(n).padStart(16, '0')}`;
    const edits: ((rows: Map<string, Uint8Array>) => void)[] = [
      ...[0, 1, 32, 33, 34, 35, 60, 74, 93].map((at) => flip(key(700), at)),
      (rows) => void rows.delete(key(700)),
      (rows) => void rows.set(key(700), (rows.get(key(700)) as Uint8Array).slice(0, -1)),
      (rows) => void rows.set(key(700), rows.get(key(701)) as Uint8Array),
    ];
    for (const edit of edits) {
      const again = await restart(world, edited(world, edit));
      expect(await codeOf(again.server.entries(again.main, 690, 710))).toBe('damaged');
      expect(await codeOf(again.server.entries(again.main, 700, 701))).toBe('damaged');
      expect(again.damage.length).toBe(2);
      expect(again.damage[0]).toMatch(/entry 700 /);
      expect((await again.server.entries(again.main, 600, 700)).length).toBe(100);
    }
  });

  test('an entry is read back as it was written', async () => {
    const again = await restart(world);
    const entries = await again.server.entries(again.main, 0, SIZE);
    expect(entries.map(({ leaf }) => hex(leaf))).toEqual(all(leaves));
    expect(entries.map(({ leafIndex }) => leafIndex)).toEqual(Array.from({ length: SIZE }, (_, i) => i));
    expect(new TextDecoder().decode(entries[999]?.event)).toBe('{"n":999,"note":"x"}');
    expect(again.damage).toEqual([]);
  });

  test('damage that was met is met again: nothing altered was kept', async () => {
    const { main } = run;
    const { reader } = altered(flip('log/main/tile/0/001', 9));
    for (let i = 0; i < 3; i++) expect(await codeOf(reader.bundle(main, main.state, 1, 256))).toBe('damaged');
  });
});

test('65,536 entries and more: tiles of the second level, verified from the third', async () => {
  const big = await firstStart();
  for (let i = 0; i < 5; i++) await append(big, big.main, 13_200);
  const { main, world: rows } = big;
  const { state } = main;
  expect(state.treeSize).toBe(66_000);
  const bigLeaves = await big.server.reader.leaves(main, state, 0, state.treeSize);
  const reference = new ReferenceTree(bigLeaves);
  expect(hex(state.rootHash)).toBe(hex(reference.root(66_000)));
  for (const [leafIndex, treeSize] of [
    [0, 66_000],
    [65_535, 65_536],
    [65_536, 66_000],
    [40_000, 65_999],
  ] as const) {
    const proof = await inclusionProof(big.server.reader, main, leafIndex, treeSize);
    expect(all(proof)).toEqual(all(reference.path(leafIndex, treeSize)));
  }
  const damaged = edited(rows, (stored) => {
    const tile = stored.get('log/main/tile/1/000') as Uint8Array;
    tile[100 * 32] = ((tile[100 * 32] as number) + 1) % 256;
  });
  const reader = new TreeReader(damaged.rows as World['rows'], () => {});
  // Any tile below is verified through it.
  await expect(reader.tile(main, state, { level: 0, index: 3, width: 256 })).rejects.toMatchObject({ code: 'damaged' });
  await expect(reader.tile(main, state, { level: 0, index: 256, width: 256 })).resolves.toBeDefined();
});
