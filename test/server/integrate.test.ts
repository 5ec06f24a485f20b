import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type FramedLeaves, Frames, frame } from '../../server/frames.ts';
import { integrate } from '../../server/integrate.ts';
import { emptyState } from '../../server/log.ts';
import { type LogState, openLeaves } from '../../server/log-state.ts';
import type { Write } from '../../server/storage/store.ts';
import { bundleBounds } from '../../tree/bundles.ts';
import { leafHashes as hashedLeaves } from '../../tree/hash.ts';
import { fullTiles, partialWidth, tilePath } from '../../tree/tiles.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';

const MAX = 1100;
const leaves = numberedLeaves(MAX);
const tree = new ReferenceTree(leaves);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const hashesOf = ({ leafHashes }: { readonly leafHashes: Uint8Array }): string[] =>
  Array.from({ length: leafHashes.length / 32 }, (_, i) => hex(leafHashes.subarray(32 * i, 32 * (i + 1))));
const fixed = (n: number): string => String(n).padStart(16, '0');

/** What is stored after all those writes: deletes must hit, and nothing but a row's first value is ever put. */
function apply(stored: Map<string, string>, writes: readonly Write[]): void {
  for (const { key, value } of writes) {
    expect(stored.has(key)).toBe(value === undefined);
    if (value === undefined) stored.delete(key);
    else stored.set(key, hex(value));
  }
}

/** A tile of the reference tree: `count` hashes from `first` on at tile level `level`. */
function referenceTile(reference: ReferenceTree, level: number, index: number, count: number): string {
  const hashes = Array.from({ length: count }, (_, i) =>
    hex(reference.node({ level: 8 * level, index: 256 * index + i })),
  );
  return hashes.join('');
}

function referenceBundle(all: readonly Uint8Array[], from: number, to: number): string {
  return all
    .slice(from, to)
    .map((leaf) => leaf.length.toString(16).padStart(4, '0') + hex(leaf))
    .join('');
}

/** Everything that must be stored for a tree that commits of these ends made, and nothing else. */
function expectedRows(
  reference: ReferenceTree,
  all: readonly Uint8Array[],
  treeSize: number,
  ends: readonly number[],
): Map<string, string> {
  const rows = new Map<string, string>();
  for (let level = 0; fullTiles(level, treeSize) > 0; level++) {
    for (let index = 0; index < fullTiles(level, treeSize); index++) {
      rows.set(`log/x/${tilePath({ level, index, width: 256 })}`, referenceTile(reference, level, index, 256));
    }
  }
  const full = Math.floor(treeSize / 256);
  for (let index = 0; index < full; index++) {
    const path = tilePath({ level: 0, index, width: 256 }).replace('tile/0', 'entries');
    rows.set(`stream/x/${path}`, referenceBundle(all, 256 * index, 256 * (index + 1)));
  }
  let first = 256 * full;
  for (const end of ends.filter((end) => end > first)) {
    if (end > first) rows.set(`log/x/open/${fixed(first)}`, referenceBundle(all, first, end));
    first = end;
  }
  return rows;
}

function expectState(state: LogState, reference: ReferenceTree, all: readonly Uint8Array[], treeSize: number): void {
  expect(state.treeSize).toBe(treeSize);
  expect(hex(state.rootHash)).toBe(hex(reference.root(treeSize)));
  let begin = 0;
  for (const hash of state.frontier) {
    let width = 1;
    while (begin + 2 * width <= treeSize) width *= 2;
    expect(hex(hash)).toBe(hex(reference.hash(begin, begin + width)));
    begin += width;
  }
  expect(begin).toBe(treeSize);
  for (const [level, partial] of state.partials.entries()) {
    const width = partialWidth(level, treeSize);
    expect(hex(partial)).toBe(referenceTile(reference, level, fullTiles(level, treeSize), width));
  }
  expect(state.partials.length).toBeGreaterThanOrEqual(Math.ceil(Math.log2(treeSize + 1) / 8));
  expect(openLeaves(state, 0, treeSize).map(hex)).toEqual(all.slice(treeSize - (treeSize % 256), treeSize).map(hex));
}

describe('compared with the reference', () => {
  test('every size from 0 to 1,100, one leaf at a time', () => {
    let state = emptyState(5);
    const stored = new Map<string, string>();
    for (let size = 0; size <= MAX; size++) {
      expectState(state, tree, leaves, size);
      if (size % 64 === 0 || size % 256 > 253 || size % 256 < 3)
        expect(stored).toEqual(
          expectedRows(
            tree,
            leaves,
            size,
            Array.from({ length: size }, (_, i) => i + 1),
          ),
        );
      if (size === MAX) break;
      const done = integrate('x', state, frame(leaves.slice(size, size + 1)), 1000 + size);
      expect(hashesOf(done)).toEqual([hex(tree.hash(size, size + 1))]);
      expect(done.state).toMatchObject({ lastReceivedAt: 1000 + size, head: { treeSize: 0, time: 5 } });
      apply(stored, done.writes);
      state = done.state;
    }
  });

  test('sizes up to 1,100 in groups of any size', () => {
    const groups = fc.array(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 600 })), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(groups, (sizes) => {
        let state = emptyState(0);
        const stored = new Map<string, string>();
        const ends: number[] = [];
        for (const count of sizes) {
          const begin = state.treeSize;
          const end = Math.min(MAX, begin + count);
          const done = integrate('x', state, frame(leaves.slice(begin, end)), 7);
          expect(hashesOf(done)).toEqual(
            Array.from({ length: end - begin }, (_, i) => hex(tree.hash(begin + i, begin + i + 1))),
          );
          apply(stored, done.writes);
          state = done.state;
          ends.push(end);
        }
        expectState(state, tree, leaves, state.treeSize);
        expect(stored).toEqual(expectedRows(tree, leaves, state.treeSize, ends));
      }),
      { numRuns: 60 },
    );
  });
});

test('leaves whose hashes are known need not be hashed again, wherever they stand', () => {
  const known = (from: number, to: number): FramedLeaves => {
    const { bytes, count } = frame(leaves.slice(from, to));
    return { bytes, count, hashed: [{ first: 0, hashes: hashedLeaves(bytes, bundleBounds(bytes, count)) }] };
  };
  const one = (at: number) => (frames: Frames) => frames.append(leaves[at] as Uint8Array);
  const batch = (from: number, to: number) => (frames: Frames) => frames.appendFramed(known(from, to));
  for (const parts of [
    [batch(0, 300)],
    [batch(0, 100), batch(100, 300)],
    [one(0), batch(1, 299), one(299)],
    [batch(0, 2), one(2), one(3), batch(4, 300)],
  ]) {
    const frames = new Frames();
    for (const part of parts) part(frames);
    const done = integrate('x', emptyState(0), frames, 1);
    expectState(done.state, tree, leaves, 300);
    expect(hashesOf(done)).toEqual(Array.from({ length: 300 }, (_, i) => hex(tree.hash(i, i + 1))));
  }
  // They are taken as they are: whoever gives them answers for them.
  const { bytes } = frame(leaves.slice(0, 1));
  const wrong = { bytes, count: 1, hashed: [{ first: 0, hashes: new Uint8Array(32) }] };
  expect(hashesOf(integrate('x', emptyState(0), wrong, 1))).toEqual(['00'.repeat(32)]);
});

test('70,000 entries: the root that Go computes, tiles of three levels', () => {
  const count = 70_000;
  const all = numberedLeaves(count);
  const stored = new Map<string, string>();
  let state = emptyState(0);
  const roots = new Map<number, string>();
  const ends: number[] = [];
  const stops = [1000, 65_535, 65_536, 65_537, count];
  for (const stop of stops) {
    while (state.treeSize < stop) {
      const end = Math.min(stop, state.treeSize + 4_999);
      const { state: next, writes } = integrate('x', state, frame(all.slice(state.treeSize, end)), 1);
      for (const { key, value } of writes) {
        if (value === undefined) stored.delete(key);
        else stored.set(key, hex(value));
      }
      state = next;
      ends.push(end);
    }
    roots.set(stop, hex(state.rootHash));
  }
  expect([...roots.values()]).toEqual([
    '2ff33fb9d8f14f89ca306289633336a168ff3f4532e8f741a0019dcb4c1d60a1',
    'b592480df20f0dd456e39db9cdb0a1fa85f3617ec2d30cffc52760c38776f393',
    'e100ba54d69a91012fc13b7890feac78d6996a097268b6f735d17311c7402a60',
    '689b22742cab2adeb36ba622ff2736336464858f5de4a2c02f33bf163e7dca5f',
    'da0532ff7b2ee56f4067110fc964e9f27b5959f9527bfff3fa501aa7584deaf3',
  ]);
  const reference = new ReferenceTree(all);
  expectState(state, reference, all, count);
  expect(stored).toEqual(expectedRows(reference, all, count, ends));
  expect(stored.has('log/x/tile/1/000')).toBe(true);
});

describe('purity', () => {
  const frozen = (state: LogState): string =>
    JSON.stringify({
      ...state,
      rootHash: hex(state.rootHash),
      frontier: state.frontier.map(hex),
      partials: state.partials.map(hex),
      open: { ...state.open, bytes: hex(state.open.bytes), starts: hex(state.open.starts) },
    });

  test('the state before is what it was, and can be gone on from twice', () => {
    for (const size of [0, 1, 255, 256, 257, 511, 700]) {
      const before = integrate('x', emptyState(0), frame(leaves.slice(0, size)), 1).state;
      const text = frozen(before);
      const one = integrate('x', before, frame(leaves.slice(size, size + 300)), 2);
      const oneText = frozen(one.state);
      const other = integrate('x', before, frame(leaves.slice(0, 400)), 3);
      expect(frozen(one.state)).toBe(oneText);
      const again = integrate('x', before, frame(leaves.slice(size, size + 300)), 2);
      expect(frozen(before)).toBe(text);
      expect(frozen(again.state)).toBe(frozen(one.state));
      expect(frozen(other.state)).not.toBe(frozen(one.state));
      expectState(one.state, tree, leaves, size + 300);
    }
  });

  test('values that were written do not change with what comes later', () => {
    const first = integrate('x', emptyState(0), frame(leaves.slice(0, 300)), 1);
    const texts = first.writes.map(({ value }) => value && hex(value));
    integrate('x', first.state, frame(leaves.slice(300, 1000)), 2);
    expect(first.writes.map(({ value }) => value && hex(value))).toEqual(texts);
  });
});
