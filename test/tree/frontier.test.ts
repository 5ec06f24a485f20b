import { expect, test } from '@jest/globals';
import { appendToFrontier, type Frontier, frontierLength, frontierRoot, pushToFrontier } from '../../tree/frontier.ts';
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
