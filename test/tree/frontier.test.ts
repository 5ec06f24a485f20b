import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { concatBytes } from '../../tree/bytes.ts';
import {
  appendToFrontier,
  extendFrontier,
  type Frontier,
  frontierLength,
  frontierRoot,
  pushToFrontier,
} from '../../tree/frontier.ts';
import { asLeafHash, type TreeHash } from '../../tree/hash.ts';
import { coveringNodes } from '../../tree/positions.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';

const tree = new ReferenceTree(numberedLeaves(300));

test("gives the RFC's root hash for every size up to 300", () => {
  let frontier: Frontier = [];
  for (let treeSize = 0; treeSize <= 300; treeSize++) {
    expect(frontierRoot(frontier)).toEqual(tree.root(treeSize));
    expect(frontier).toEqual(coveringNodes(0, treeSize).map(tree.node));
    expect(frontier).toHaveLength(frontierLength(treeSize));
    if (treeSize < 300) frontier = appendToFrontier(frontier, treeSize, asLeafHash(tree.hash(treeSize, treeSize + 1)));
  }
});

test('is a value: appending leaves the old one as it was', () => {
  const before = coveringNodes(0, 7).map(tree.node);
  const copy = [...before];
  appendToFrontier(before, 7, asLeafHash(tree.hash(7, 8)));
  expect(before).toEqual(copy);
});

test('appending in place tells of each perfect subtree, once, when it is complete', () => {
  const frontier: TreeHash[] = [];
  const levels: TreeHash[][] = [];
  for (let treeSize = 0; treeSize < 300; treeSize++) {
    const told: number[] = [];
    pushToFrontier(frontier, treeSize, asLeafHash(tree.hash(treeSize, treeSize + 1)), (level, hash) => {
      told.push(level);
      levels[level] = [...(levels[level] ?? []), hash];
    });
    expect(told).toEqual(told.map((_, i) => i));
    expect(frontierRoot(frontier)).toEqual(tree.root(treeSize + 1));
  }
  expect(levels.map((hashes) => hashes.length)).toEqual([300, 150, 75, 37, 18, 9, 4, 2, 1]);
  for (const [level, hashes] of levels.entries())
    for (const [index, hash] of hashes.entries()) expect(hash).toEqual(tree.node({ level, index }));
});

test('one that is too short for its size is a bug', () => {
  expect(() => appendToFrontier([], 1, asLeafHash(tree.hash(1, 2)))).toThrow('bug');
});

test('many leaves at once are as many one after the other, and every node is told of once, in its place', () => {
  const sizes = fc.tuple(fc.integer({ min: 0, max: 700 }), fc.integer({ min: 0, max: 700 }));
  const tree = new ReferenceTree(numberedLeaves(1400));
  fc.assert(
    fc.property(sizes, ([before, more]) => {
      const frontier = coveringNodes(0, before).map(tree.node);
      const told: string[] = [];
      const hashes = concatBytes(...Array.from({ length: more }, (_, i) => tree.node({ level: 0, index: before + i })));
      extendFrontier(frontier, before, hashes, (level, nodes) => {
        const first = Math.floor(before / 2 ** level);
        for (let i = 0; i < nodes.length / 32; i++) {
          expect(nodes.subarray(32 * i, 32 * (i + 1))).toEqual(tree.node({ level, index: first + i }));
          told.push(`${level}/${first + i}`);
        }
      });
      expect(frontier).toEqual(coveringNodes(0, before + more).map(tree.node));
      const expected: string[] = [];
      for (let level = 0; 2 ** level <= before + more; level++) {
        const [from, to] = [before, before + more].map((size) => Math.floor(size / 2 ** level)) as [number, number];
        for (let index = from; index < to; index++) expected.push(`${level}/${index}`);
      }
      expect(told).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});
