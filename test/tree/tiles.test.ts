import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { concatBytes } from '../../tree/bytes.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { coveringNodes } from '../../tree/positions.ts';
import {
  bundlePath,
  frontierOfRows,
  fullTiles,
  hashInTile,
  nodeFromTile,
  nodeRows,
  parseTilePath,
  partialWidth,
  TILE_WIDTH,
  tileExists,
  tileOfNode,
  tilePath,
} from '../../tree/tiles.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';

describe('paths', () => {
  test.each([
    [0, '000'],
    [255, '255'],
    [1000, 'x001/000'],
    [1234067, 'x001/x234/067'],
    [123456078, 'x123/x456/078'],
    [123456789, 'x123/x456/789'],
    [3057500, 'x003/x057/500'],
  ])('index %d is %s (C2SP tlog-tiles)', (index, path) => {
    expect(tilePath({ level: 0, index, width: 256 })).toBe(`tile/0/${path}`);
    expect(tilePath({ level: 63, index, width: 8 })).toBe(`tile/63/${path}.p/8`);
    expect(bundlePath(index)).toBe(`tile/entries/${path}`);
    expect(bundlePath(index, 255)).toBe(`tile/entries/${path}.p/255`);
    expect(parseTilePath(`tile/7/${path}.p/1`)).toEqual({ kind: 'tile', tile: { level: 7, index, width: 1 } });
    expect(parseTilePath(`tile/entries/${path}`)).toEqual({ kind: 'bundle', tile: { level: 0, index, width: 256 } });
  });

  test('every tile is read back from its path, and only from that', () => {
    const tile = fc.record({
      level: fc.integer({ min: 0, max: 63 }),
      index: fc.maxSafeNat(),
      width: fc.integer({ min: 1, max: 256 }),
    });
    fc.assert(
      fc.property(tile, fc.nat(), fc.integer({ min: 0x20, max: 0x7e }), (id, seed, code) => {
        const path = tilePath(id);
        expect(parseTilePath(path)).toEqual({ kind: 'tile', tile: id });
        const at = seed % path.length;
        const changed = path.slice(0, at) + String.fromCharCode(code) + path.slice(at + 1);
        const parsed = parseTilePath(changed);
        if (parsed !== undefined) expect(tilePath(parsed.tile)).toBe(changed);
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    '',
    'tile',
    'tile/',
    'tile/0',
    'tile/0/',
    'tile/0/x000/001',
    'tile/0/x000/x001/001',
    'tile/0/01',
    'tile/0/1',
    'tile/0/0001',
    'tile/00/001',
    'tile/01/001',
    'tile/64/001',
    'tile/100/001',
    'tile/-1/001',
    'tile/+1/001',
    'tile/0/+01',
    'tile/0/-01',
    'tile/0/%78001/000',
    'tile/0/X001/000',
    'tile/0/001/000',
    'tile/0/123/456/078',
    'tile/0/x001',
    'tile/0/x001/',
    'tile/0/x001/x000',
    'tile/0/000.p',
    'tile/0/000.p/',
    'tile/0/000.p/0',
    'tile/0/000.p/00',
    'tile/0/000.p/008',
    'tile/0/000.p/+8',
    'tile/0/000.p/256',
    'tile/0/000.p/257',
    'tile/0/000.p/8/',
    'tile/0/000.p/8.p/8',
    'tile/0/000.P/8',
    'tile/0/000.p//8',
    'tile//0/000',
    'tile/0//000',
    '/tile/0/000',
    'tile/0/000/',
    'tile/0/../0/000',
    'tile/0/000?x',
    'tile/0/000\n',
    ' tile/0/000',
    'tile/0/٠٠٠',
    'tile/data/000',
    'tile/entries/x000/000',
    'tile/entries/000.p/256',
    'tile/entries/0/000',
    'Tile/0/000',
    // Seven groups; six hold 2^53 - 1.
    'tile/0/x001/x000/x000/x000/x000/x000/000',
    // 2^53.
    'tile/0/x009/x007/x199/x254/x740/992',
    `tile/0/${'x001/'.repeat(100_000)}000`,
  ])('refuses %.60s', (path) => {
    expect(parseTilePath(path)).toBeUndefined();
  });

  test('the largest index is still a path', () => {
    const path = 'tile/0/x009/x007/x199/x254/x740/991';
    expect(parseTilePath(path)?.tile.index).toBe(2 ** 53 - 1);
    expect(parseTilePath(`${path}.p/255`)?.tile.width).toBe(255);
  });
});

describe('which tiles a tree has', () => {
  test('size 70,000', () => {
    const levels = [0, 1, 2, 3].map((level) => [fullTiles(level, 70000), partialWidth(level, 70000)]);
    expect(levels).toEqual([
      [273, 112],
      [1, 17],
      [0, 1],
      [0, 0],
    ]);
  });

  test('size 256: a full tile, and one hash above it', () => {
    expect([fullTiles(0, 256), partialWidth(0, 256), fullTiles(1, 256), partialWidth(1, 256)]).toEqual([1, 0, 0, 1]);
    expect([fullTiles(0, 0), partialWidth(0, 0)]).toEqual([0, 0]);
  });

  test('any width within the tree, and nothing beyond it', () => {
    const has = (path: string, treeSize: number) => {
      const parsed = parseTilePath(path);
      if (parsed === undefined) throw new Error('not a path');
      return tileExists(parsed.tile, treeSize);
    };
    expect(has('tile/0/273.p/112', 70000)).toBe(true);
    expect(has('tile/0/273.p/111', 70000)).toBe(true);
    expect(has('tile/0/273.p/113', 70000)).toBe(false);
    expect(has('tile/0/273', 70000)).toBe(false);
    expect(has('tile/0/274.p/1', 70000)).toBe(false);
    expect(has('tile/0/000.p/8', 70000)).toBe(true);
    expect(has('tile/1/001.p/17', 70000)).toBe(true);
    expect(has('tile/1/001.p/18', 70000)).toBe(false);
    expect(has('tile/2/000.p/1', 70000)).toBe(true);
    expect(has('tile/2/000.p/2', 70000)).toBe(false);
    expect(has('tile/3/000.p/1', 70000)).toBe(false);
    expect(has('tile/63/000.p/1', 2 ** 53 - 1)).toBe(false);
    expect(has('tile/0/000.p/1', 0)).toBe(false);
  });
});

describe('nodes in tiles', () => {
  const tree = new ReferenceTree(numberedLeaves(1200));
  const tileBytes = (level: number, index: number, width: number) => {
    const hashes = Array.from({ length: width }, (_, i) =>
      tree.node({ level: 8 * level, index: TILE_WIDTH * index + i }),
    );
    return concatBytes(...hashes);
  };

  test('every node of 1,200 leaves comes out of the narrowest tile that holds it, and not of a narrower one', () => {
    for (let level = 0; level <= 10; level++) {
      for (let index = 0; (index + 1) * 2 ** level <= 1200; index++) {
        const node = { level, index };
        const tile = tileOfNode(node);
        const bytes = tileBytes(tile.level, tile.index, tile.width);
        expect(nodeFromTile(node, bytes)).toEqual(tree.node(node));
        expect(() => nodeFromTile(node, bytes.slice(0, -1))).toThrow(RangeError);
      }
    }
  });

  test('a wider tile gives the same', () => {
    const bytes = tileBytes(0, 1, 256);
    for (const node of [
      { level: 0, index: 256 },
      { level: 0, index: 511 },
      { level: 3, index: 40 },
      { level: 7, index: 3 },
    ])
      expect(nodeFromTile(node, bytes)).toEqual(tree.node(node));
    expect(hashInTile(bytes, 3)).toEqual(tree.node({ level: 0, index: 259 }));
  });

  test('addresses far to the right', () => {
    expect(tileOfNode({ level: 0, index: 2 ** 53 - 1 })).toEqual({ level: 0, index: 2 ** 45 - 1, width: 256 });
    expect(tileOfNode({ level: 52, index: 1 })).toEqual({ level: 6, index: 0, width: 32 });
    expect(tileOfNode({ level: 8, index: 0 })).toEqual({ level: 1, index: 0, width: 1 });
    expect(tileOfNode({ level: 7, index: 1 })).toEqual({ level: 0, index: 0, width: 256 });
    expect(asTreeHash(new Uint8Array(32))).toHaveLength(32);
  });
});

test.each([0, 1, 2, 3, 7, 8, 200, 255, 256])(
  'the rows over a tile of %d hashes hold its nodes, and every frontier',
  (width) => {
    const tree = new ReferenceTree(numberedLeaves(width));
    const bytes = concatBytes(...Array.from({ length: width }, (_, index) => tree.node({ level: 0, index })));
    const rows = nodeRows(bytes);
    expect(rows[0]).toBe(bytes);
    expect(rows).toHaveLength(width < 2 ? 1 : Math.floor(Math.log2(width)) + 1);
    expect(rows.map((row) => row.length)).toEqual(rows.map((_, level) => 32 * Math.floor(width / 2 ** level)));
    for (const [level, row] of rows.entries())
      for (let index = 0; index < row.length / 32; index++)
        expect(hashInTile(row, index)).toEqual(tree.node({ level, index }));
    for (let size = 0; size <= width; size++)
      expect(frontierOfRows(rows, size)).toEqual(coveringNodes(0, size).map(tree.node));
  },
);
