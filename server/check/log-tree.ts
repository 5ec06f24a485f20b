/** Where a check reads one log's tree from: stored bundles, open leaves and full tiles, each range read once and in order. */

import type { TreeSource } from '../../client/tree-walk.ts';
import { bundleBounds, decodeBundle, decodePrefix, encodeBundle } from '../../tree/bundles.ts';
import { equalBytes } from '../../tree/bytes.ts';
import { type Frontier, frontierRoot, pushToFrontier } from '../../tree/frontier.ts';
import { HASH_SIZE, leafHashes, type TreeHash } from '../../tree/hash.ts';
import { coveringNodes } from '../../tree/positions.ts';
import { fullTiles, hashInTile, hashRange, TILE_HEIGHT, TILE_WIDTH, type TileId } from '../../tree/tiles.ts';
import { bundleKey, numberInKey, openKey, tileKey } from '../storage/keys.ts';
import { parseOpenRow } from '../storage/rows.ts';
import { type Row, StorageError } from '../storage/store.ts';
import { type Fault, fault, type Report } from './fault.ts';
import type { Found, Reads } from './reads.ts';

export interface LogTreeOptions {
  readonly log: string;
  readonly treeSize: number;
  readonly reads: Reads;
  readonly report: Report;
  /** Rows that stand among the tiles and bundles and are none. */
  readonly onOther: (row: Row) => void;
  /** The frontier that edge or memory claim: a witness for the tiles above which no tile is stored yet. */
  readonly claimed: Frontier | undefined;
  /** Leaves that the server holds in memory for the bundle that is not full. */
  readonly openLeaves?: readonly Uint8Array[] | undefined;
  /** Gets the leaves of the bundle that is not full before anything is derived from them. */
  readonly onOpenLeaves: (leaves: readonly Uint8Array[]) => void;
}

/** Bundles and tiles read in one go; both divide 1,000, within which keys of tiles are in numeric order. */
const BUNDLES = 4;
const TILES = 20;

export interface LogTree extends TreeSource {
  /** Leaves of the bundle whose leaf hashes were asked for last; `undefined` where they are unusable. */
  leaves(): readonly Uint8Array[] | undefined;
  /** Key of the row that leaf `leafIndex` stands in. */
  keyOfLeaf(leafIndex: number): string;
}

export function makeLogTree(options: LogTreeOptions): LogTree {
  const { log, treeSize, reads, report, onOther } = options;
  const lastFull = Math.floor(treeSize / TILE_WIDTH);
  const tell = (found: Partial<Fault> & Pick<Fault, 'kind' | 'problem'>): void =>
    report(fault(found.kind, found.problem, { log, ...found }));

  const bundles = pagesOf(reads, onOther, BUNDLES, (index) => (index < lastFull ? bundleKey(log, index) : undefined));
  const tiles = new Map<number, (index: number) => Promise<Found>>();
  const readTile = (level: number, index: number): Promise<Found> => {
    let pages = tiles.get(level);
    if (pages === undefined) {
      const count = fullTiles(level, treeSize);
      pages = pagesOf(reads, onOther, TILES, (i) => (i < count ? tileKey(log, { level, index: i }) : undefined));
      tiles.set(level, pages);
    }
    return pages(index);
  };
  /** A full tile, checked for its length; told of once. */
  const fullTile = async (level: number, index: number): Promise<Uint8Array | undefined> => {
    const key = tileKey(log, { level, index });
    const bytes = await readTile(level, index);
    if (bytes instanceof StorageError) return undefined;
    if (bytes === undefined) tell({ kind: 'tile', problem: 'missing', key });
    else if (bytes.length !== TILE_WIDTH * HASH_SIZE)
      tell({ kind: 'tile', problem: 'malformed', key, stored: `${bytes.length} bytes`, derived: '8192 bytes' });
    else return bytes;
    return undefined;
  };

  let current: readonly Uint8Array[] | undefined;
  /** Where the open rows begin, in order. */
  let runs: readonly number[] = [];
  const readLeaves = async (index: number, width: number): Promise<readonly Uint8Array[] | undefined> => {
    if (width < TILE_WIDTH) {
      const found = await openLeaves(options, index, width);
      runs = found.runs;
      return found.leaves;
    }
    const bytes = await bundles(index);
    if (bytes instanceof StorageError) return undefined;
    const key = bundleKey(log, index);
    if (bytes === undefined) {
      tell({ kind: 'entry bundle', problem: 'missing', key });
      return undefined;
    }
    try {
      return decodeBundle(bytes, TILE_WIDTH);
    } catch (error) {
      tell({ kind: 'entry bundle', problem: 'malformed', key, stored: (error as Error).message });
      return undefined;
    }
  };

  let parent: { readonly index: number; readonly bytes: Uint8Array | undefined } | undefined;
  let edgeWitness: Promise<ReadonlyMap<number, TreeHash>> | undefined;
  return {
    leaves: () => current,
    keyOfLeaf: (leafIndex) => {
      const index = Math.floor(leafIndex / TILE_WIDTH);
      if (index < lastFull) return bundleKey(log, index);
      return openKey(log, runs.findLast((first) => first <= leafIndex) ?? leafIndex);
    },
    leafHashes: async (index, width) => {
      current = await readLeaves(index, width);
      if (current !== undefined && width < TILE_WIDTH) options.onOpenLeaves(current);
      if (current === undefined) return undefined;
      const bundle = encodeBundle(current);
      return leafHashes(bundle, bundleBounds(bundle, width));
    },
    tile: async ({ level, index, width }: TileId) => (width === TILE_WIDTH ? await fullTile(level, index) : undefined),
    above: async (index) => {
      const place = Math.floor(index / TILE_WIDTH);
      if (place < fullTiles(1, treeSize)) {
        if (parent?.index !== place) {
          const found = await reads.get(tileKey(log, { level: 1, index: place }));
          const usable = found instanceof Uint8Array && found.length === TILE_WIDTH * HASH_SIZE;
          parent = { index: place, bytes: usable ? found : undefined };
        }
        return parent.bytes === undefined ? undefined : hashInTile(parent.bytes, index % TILE_WIDTH);
      }
      edgeWitness ??= rightSide(options);
      return (await edgeWitness).get(index);
    },
  };
}

/** Reads rows by number, a page of neighbours at a time; the numbers must be asked for in order, and one may be asked for again. */
function pagesOf(
  reads: Reads,
  onOther: (row: Row) => void,
  page: number,
  keyAt: (index: number) => string | undefined,
): (index: number) => Promise<Found> {
  let from = -1;
  let rows: readonly Found[] = [];
  return async (index) => {
    const start = index - (index % page);
    if (start !== from) {
      const keys = Array.from({ length: page }, (_, i) => keyAt(start + i)).filter((key) => key !== undefined);
      // From the page before, so that what stands between two pages is seen; at a thousand the order of keys begins anew.
      const before = start % 1000 === 0 ? undefined : keyAt(start - 1);
      rows = await reads.between(keys, onOther, before === undefined ? undefined : `${before}\0`);
      from = start;
    }
    return rows[index - start];
  };
}

/**
 * The roots of the full level-0 tiles that no stored tile of level 1 covers, but only those whose tiles hash to the claimed
 * frontier: at most 255, and the same reading that a start does.
 */
async function rightSide({ log, treeSize, reads, claimed }: LogTreeOptions): Promise<ReadonlyMap<number, TreeHash>> {
  const roots = new Map<number, TreeHash>();
  if (claimed === undefined) return roots;
  for (const [at, node] of coveringNodes(0, treeSize).entries()) {
    if (node.level < TILE_HEIGHT || node.level >= 2 * TILE_HEIGHT) continue;
    const span = 2 ** (node.level - TILE_HEIGHT);
    const indexes = Array.from({ length: span }, (_, i) => node.index * span + i);
    const tiles = await reads.getMany(indexes.map((index) => tileKey(log, { level: 0, index })));
    const usable = tiles.filter((tile) => tile instanceof Uint8Array && tile.length === TILE_WIDTH * HASH_SIZE);
    if (usable.length < span) continue;
    const found = usable.map((tile) => hashRange(tile as Uint8Array, 0, TILE_WIDTH));
    const frontier: TreeHash[] = [];
    for (const [i, root] of found.entries()) pushToFrontier(frontier, i, root);
    if (!equalBytes(frontierRoot(frontier), claimed[at] as TreeHash)) continue;
    for (const [i, root] of found.entries()) roots.set(indexes[i] as number, root);
  }
  return roots;
}

interface OpenLeaves {
  readonly leaves: readonly Uint8Array[] | undefined;
  readonly runs: readonly number[];
}

/** The leaves of the bundle that is not full: from their rows, or from the bundle where a commit has filled it since. */
async function openLeaves(
  { log, reads, report, openLeaves: inMemory }: LogTreeOptions,
  index: number,
  width: number,
): Promise<OpenLeaves> {
  const first = index * TILE_WIDTH;
  const rows = await reads.rows({ gte: openKey(log, first), lt: openKey(log, first + width) });
  if (rows instanceof StorageError) return { leaves: inMemory, runs: [] };
  if (inMemory !== undefined && rows.length === 0) {
    const bundle = await reads.get(bundleKey(log, index));
    const leaves = bundle instanceof Uint8Array ? filled(bundle, width) : undefined;
    if (leaves !== undefined) return { leaves, runs: [] };
  }
  const leaves: Uint8Array[] = [];
  const runs: number[] = [];
  let whole = true;
  for (const { key, value } of rows) {
    const next = first + leaves.length;
    const at = numberInKey(key);
    if (key !== openKey(log, at)) continue; // Told of with the other strays.
    if (at < next) {
      report(fault('open leaf', 'stray', { log, index: at, key, stored: `leaf ${at} stands in the row before` }));
      continue;
    }
    if (at > next) break;
    try {
      leaves.push(...parseOpenRow(value, first + width - next));
      runs.push(next);
    } catch (error) {
      report(fault('open leaf', 'malformed', { log, index: at, key, stored: (error as Error).message }));
      whole = false;
      break;
    }
  }
  if (whole && leaves.length < width) {
    const missing = first + leaves.length;
    report(fault('open leaf', 'missing', { log, index: missing, key: openKey(log, missing) }));
    whole = false;
  }
  return { leaves: whole ? leaves : inMemory, runs };
}

function filled(bundle: Uint8Array, width: number): readonly Uint8Array[] | undefined {
  try {
    return decodePrefix(bundle, width);
  } catch {
    return undefined; // Told of when the bundle is checked as such.
  }
}
