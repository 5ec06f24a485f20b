/**
 * Deriving a whole tree again from its entry bundles, and comparing every stored tile with what it must hold.
 *
 *   bundle → leaf hashes ─┬─ level-0 tile ── its root ─┬─ level-1 tile ── …
 *                         └─ frontier at every size    └─ frontier ── root hash
 *
 * Where a bundle and its tile disagree, the hash above decides which of the two is wrong, and the walk goes on with the other:
 * one damaged byte is one finding, not one at every level. In memory are one tile a level and the frontier. The bytes may come
 * from a disk or from the network; who reads them says what is missing or has the wrong length.
 */
import { concatBytes, equalBytes } from '../tree/bytes.ts';
import { frontierRoot, pushToFrontier } from '../tree/frontier.ts';
import { HASH_SIZE, type TreeHash } from '../tree/hash.ts';
import {
  frontierOfRows,
  fullTiles,
  hashInTile,
  nodeRows,
  partialWidth,
  TILE_HEIGHT,
  TILE_WIDTH,
  type TileId,
} from '../tree/tiles.ts';

/** Where the stored tree is read from. `undefined` is for what is missing or unusable; the source has told of it then. */
export interface TreeSource {
  /** Leaf hashes of entry bundle `index`, exactly `width` of them, side by side. */
  leafHashes(index: number, width: number): Promise<Uint8Array | undefined>;
  /** Bytes of a tile, exactly its width. Of partial tiles only where the source has them. */
  tile(tile: TileId): Promise<Uint8Array | undefined>;
  /** What the tree above says the root of the full level-0 tile `index` is, where anything says so. */
  above(index: number): Promise<Uint8Array | undefined>;
}

/** Who hears of the walk. */
export interface TreeWatcher {
  /** The bundle's leaf hashes to `stored`; the tile and the tree above it have `derived`. */
  bundleDiffers(leafIndex: number, stored: TreeHash, derived: TreeHash): void;
  /** Hash number `place` of a tile is `stored`; the level below makes `derived`. */
  tileDiffers(tile: TileId, place: number, stored: TreeHash, derived: TreeHash): void;
  /** From bundle `index` on no root can be derived: bundle and tile are both unusable, and nothing above says what they held. */
  cannotDerive(index: number): void;
  /** The next tree size whose root is wanted; infinity for none. Asked again after each `onSize`. */
  nextSize(): number;
  /** The frontier at the size asked for; `undefined` where it cannot be derived. */
  onSize(treeSize: number, frontier: readonly TreeHash[] | undefined): Promise<void>;
  /** A bundle is done; the leaf hashes, side by side, are those that are believed, `undefined` where nobody knows. */
  onBundle(index: number, width: number, leafHashes: Uint8Array | undefined): Promise<void>;
}

export interface TreeWalk {
  readonly treeSize: number;
  readonly source: TreeSource;
  readonly watcher: TreeWatcher;
  /** Whether the source keeps partial tiles: those over HTTP do, our database does not. */
  readonly partialTiles: boolean;
  /** The root that is claimed; it decides between a partial bundle and its partial tile, above which there is nothing. */
  readonly rootHash?: TreeHash | undefined;
}

/** Walks the tree from its first bundle to its last. Returns its frontier, `undefined` where it cannot be derived. */
export async function walkTree(walk: TreeWalk): Promise<readonly TreeHash[] | undefined> {
  const { treeSize, source, watcher, partialTiles } = walk;
  /** Frontier over the roots of the full level-0 tiles; meaningless once `broken`. */
  const outer: TreeHash[] = [];
  /** Hashes of the tile that is being filled, by tile level from 1. */
  const rows: TreeHash[][] = [];
  let broken = false;
  let inner: TreeHash[] = [];

  const tell = async (size: number, frontier: readonly TreeHash[] | undefined): Promise<void> => {
    while (watcher.nextSize() <= size) await watcher.onSize(size, frontier);
  };
  await tell(0, []);
  for (let index = 0; index * TILE_WIDTH < treeSize; index++) {
    const first = index * TILE_WIDTH;
    const width = Math.min(TILE_WIDTH, treeSize - first);
    const hashes = await believedHashes(walk, outer, index, width);
    inner = [];
    if (hashes !== undefined) {
      const nodes = nodeRows(hashes);
      for (let size = watcher.nextSize() - first; size <= width && size < TILE_WIDTH; size = watcher.nextSize() - first)
        await tell(first + size, broken ? undefined : [...outer, ...frontierOfRows(nodes, size)]);
      inner = frontierOfRows(nodes, width);
    } else {
      const above = width === TILE_WIDTH ? await source.above(index) : undefined;
      while (watcher.nextSize() < first + width) await watcher.onSize(watcher.nextSize(), undefined);
      if (above !== undefined) inner = [above as TreeHash];
      else if (!broken) {
        broken = true;
        watcher.cannotDerive(index);
      }
    }
    if (width === TILE_WIDTH) {
      if (!broken) {
        const completed = completeTile(outer, rows, index, inner[0] as TreeHash);
        for (const { tile, hashes: row } of completed) await compareTile(walk, tile, row);
      }
      inner = [];
      await tell(first + width, broken ? undefined : outer);
    } else if (broken) await tell(treeSize, undefined);
    await watcher.onBundle(index, width, hashes);
  }
  if (broken) return undefined;
  if (partialTiles) {
    for (let level = 1; TILE_WIDTH ** level <= treeSize; level++) {
      const width = partialWidth(level, treeSize);
      if (width > 0) await compareTile(walk, { level, index: fullTiles(level, treeSize), width }, rows[level] ?? []);
    }
  }
  return [...outer, ...inner];
}

/** Leaf hashes of a bundle: its own, or those of its tile where only they fit what stands above. */
async function believedHashes(
  { source, watcher, rootHash, partialTiles }: TreeWalk,
  outer: readonly TreeHash[],
  index: number,
  width: number,
): Promise<Uint8Array | undefined> {
  const derived = await source.leafHashes(index, width);
  const tile: TileId = { level: 0, index, width };
  const stored = width === TILE_WIDTH || partialTiles ? await source.tile(tile) : undefined;
  if (derived === undefined || stored === undefined) return derived ?? stored;
  const places = differences(stored, derived);
  if (places.length === 0) return derived;
  // Above the last, partial tile there is only the root.
  const above = width === TILE_WIDTH ? await source.above(index) : rootHash;
  const rootOf = (hashes: Uint8Array): TreeHash => {
    const top = frontierOfRows(nodeRows(hashes), width);
    return frontierRoot(width === TILE_WIDTH ? top : [...outer, ...top]);
  };
  const bundleIsWrong = above !== undefined && equalBytes(rootOf(stored), above) && !equalBytes(rootOf(derived), above);
  for (const place of places) {
    const [a, b] = [hashInTile(stored, place), hashInTile(derived, place)];
    if (bundleIsWrong) watcher.bundleDiffers(index * TILE_WIDTH + place, b, a);
    else watcher.tileDiffers(tile, place, a, b);
  }
  return bundleIsWrong ? stored : derived;
}

interface Completed {
  readonly tile: TileId;
  readonly hashes: readonly TreeHash[];
}

/** Puts the root of a full level-0 tile where it belongs; returns the tiles of higher levels that it filled. */
function completeTile(outer: TreeHash[], rows: TreeHash[][], index: number, root: TreeHash): Completed[] {
  const completed: Completed[] = [];
  pushToFrontier(outer, index, root, (height, hash) => {
    if (height % TILE_HEIGHT !== 0) return;
    const level = 1 + height / TILE_HEIGHT;
    const row = rows[level] ?? [];
    row.push(hash);
    rows[level] = row;
    if (row.length < TILE_WIDTH) return;
    completed.push({ tile: { level, index: Math.floor(index / TILE_WIDTH ** level), width: TILE_WIDTH }, hashes: row });
    rows[level] = [];
  });
  return completed;
}

async function compareTile({ source, watcher }: TreeWalk, tile: TileId, row: readonly TreeHash[]): Promise<void> {
  const stored = await source.tile(tile);
  if (stored === undefined) return;
  const derived = concatBytes(...row);
  for (const place of differences(stored, derived))
    watcher.tileDiffers(tile, place, hashInTile(stored, place), hashInTile(derived, place));
}

/** Places of the hashes that differ, of two tiles of one width. */
function differences(a: Uint8Array, b: Uint8Array): number[] {
  if (equalBytes(a, b)) return [];
  const places = Array.from({ length: a.length / HASH_SIZE }, (_, place) => place);
  return places.filter((place) => !equalBytes(hashInTile(a, place), hashInTile(b, place)));
}
