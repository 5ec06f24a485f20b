/** The files of a C2SP tlog-tiles log that a tree is read from: where each is, and what it must hold at a tree size. */
import { bundleBounds, MAX_LEAF_SIZE, prefixBounds } from '../tree/bundles.ts';
import { HASH_SIZE } from '../tree/hash.ts';
import { bundlePath, TILE_WIDTH, type TileId, tilePath } from '../tree/tiles.ts';

/** Longest entry bundle, in bytes. */
const MAX_BUNDLE_SIZE = TILE_WIDTH * (2 + MAX_LEAF_SIZE);

export interface TreeFile<T> {
  /** Path below the log's base URL; for a partial file then that of the full one, which begins with it and stands for it where it is gone. */
  readonly paths: readonly [own: string, ...full: string[]];
  /** Bytes of the largest. */
  readonly maxSize: number;
  /** What is wanted of the file at one of these paths. Throws a RangeError where that is not in there, or where the file itself has more. */
  cut(bytes: Uint8Array, path: string): T;
}

/** Leaves of a bundle: the bytes that they are in, and where they stand there, as of `bundleBounds`. */
export interface BundleLeaves {
  readonly bytes: Uint8Array;
  readonly bounds: Uint32Array;
}

/** The entry bundle with this number in a tree of that size; cut to the leaves that it has in it. */
export function bundleFile(index: number, treeSize: number): TreeFile<BundleLeaves> {
  const width = Math.min(TILE_WIDTH, treeSize - index * TILE_WIDTH);
  const own = bundlePath(index, width);
  return {
    paths: pathsOf(own, bundlePath(index)),
    maxSize: MAX_BUNDLE_SIZE,
    cut: (bytes, path) => ({ bytes, bounds: (path === own ? bundleBounds : prefixBounds)(bytes, width) }),
  };
}

/** A tile; cut to its hashes. */
export function tileFile(tile: TileId): TreeFile<Uint8Array> {
  const own = tilePath(tile);
  const length = tile.width * HASH_SIZE;
  return {
    paths: pathsOf(own, tilePath({ ...tile, width: TILE_WIDTH })),
    maxSize: TILE_WIDTH * HASH_SIZE,
    cut: (bytes, path) => {
      if (bytes.length < length || bytes.length % HASH_SIZE !== 0 || (path === own && bytes.length > length))
        throw new RangeError(`a tile of ${bytes.length} bytes, where ${length} are expected`);
      return bytes.subarray(0, length);
    },
  };
}

function pathsOf(own: string, full: string): TreeFile<unknown>['paths'] {
  return own === full ? [own] : [own, full];
}
