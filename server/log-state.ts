/**
 * The committed state of one log in memory: its edge row plus the ragged right side that is not stored as such.
 *
 * States are values. A commit makes the next one; a reader that holds an older one keeps seeing exactly that tree.
 */
import { bundleBounds, bundleViews, prefixBounds } from '../tree/bundles.ts';
import { concatBytes, equalBytes } from '../tree/bytes.ts';
import { extendFrontier, type Frontier, frontierLength, frontierRoot } from '../tree/frontier.ts';
import { HASH_SIZE, leafHashes, type TreeHash } from '../tree/hash.ts';
import { coveringNodes, powerOfTwo } from '../tree/positions.ts';
import {
  fullTiles,
  hashInTile,
  nodeFromTile,
  nodeRows,
  partialWidth,
  TILE_HEIGHT,
  TILE_WIDTH,
  tileSpan,
} from '../tree/tiles.ts';
import { ServerError } from './errors.ts';
import { bundleKey, edgeKey, openKey, tileKey } from './storage/keys.ts';
import { type Edge, parseEdge, parseOpenRow } from './storage/rows.ts';
import type { RowReader, Store } from './storage/store.ts';

const EMPTY = new Uint8Array(0);

export interface LogState extends Edge {
  /** Partial tile of each tile level, its hashes only; empty where the width is 0. */
  readonly partials: readonly Uint8Array[];
  /** The entry bundle that is not full yet. */
  readonly open: OpenBundle;
}

/**
 * The leaves of the entry bundle that is not full yet; those of each commit are a row in the store. Two arrays and no object for each row: ten
 * thousand logs have a million of these rows.
 */
export interface OpenBundle {
  /** Leaf index at which the bundle begins. */
  readonly first: number;
  /** The leaves that are there, in bundle framing. */
  readonly bytes: Uint8Array;
  /** For each row, where in the bundle its leaves begin: 0 to 255. */
  readonly starts: Uint8Array;
}

/** The bundle that begins at a leaf index, without a leaf. */
export function emptyBundle(first: number): OpenBundle {
  return { first, bytes: EMPTY, starts: EMPTY };
}

/** The open leaves from the index `from` (inclusive) to `to` (exclusive), as views. `to` is at most the size of the tree. */
export function openLeaves({ open }: Pick<LogState, 'open'>, from: number, to: number): Uint8Array[] {
  const { first, bytes } = open;
  if (to <= first) return [];
  // Views of those alone: whoever reads the newest entries one by one would otherwise get some hundred for each.
  return bundleViews(bytes, prefixBounds(bytes, to - first).subarray(2 * Math.max(0, from - first)));
}

/** Reads and checks a log's edge row. Throws ServerError `damaged`. */
export async function readEdge(store: Store, log: string): Promise<Edge> {
  const bytes = await store.get(edgeKey(log));
  if (bytes === undefined) throw new ServerError('damaged', `log ${log} has no edge row`);
  try {
    return parseEdge(bytes);
  } catch (cause) {
    throw new ServerError('damaged', `log ${log} has an unreadable edge row`, { cause });
  }
}

/**
 * Rebuilds a log's state from stored bytes: hashes the open leaves, and for each level above the roots of the full tiles under
 * its partial tile (at most 65,025 hashes a level), then compares the whole right side with the edge's frontier and root.
 * Throws ServerError `damaged` where they differ.
 */
export async function loadLogState(store: Store, log: string): Promise<LogState> {
  const edge = await readEdge(store, log);
  const { treeSize } = edge;
  const open = await readOpenBundle(store, log, treeSize);
  const partials: Uint8Array[] = [hashesOf(open.bytes, treeSize - open.first)];
  for (let level = 1; tileSpan(level) <= treeSize; level++) {
    const width = partialWidth(level, treeSize);
    const first = fullTiles(level, treeSize) * TILE_WIDTH;
    const keys = Array.from({ length: width }, (_, i) => tileKey(log, { level: level - 1, index: first + i }));
    const roots = (await store.getMany(keys)).map((tile, i) => {
      if (tile === undefined || tile.length !== TILE_WIDTH * HASH_SIZE) {
        throw new ServerError('damaged', `log ${log}: tile ${keys[i]} is missing or has the wrong length`);
      }
      return nodeRows(tile)[TILE_HEIGHT] as Uint8Array;
    });
    partials.push(concatBytes(...roots));
  }
  const state = { ...edge, partials, open };
  checkRightEdge(log, state);
  return state;
}

/** The nodes of the frontier lie in partial tiles by definition: a perfect subtree of the size is never in a full one. */
function checkRightEdge(log: string, state: LogState): void {
  const nodes = coveringNodes(0, state.treeSize);
  const derived: TreeHash[] = nodes.map((node) => {
    const partial = state.partials[Math.floor(node.level / TILE_HEIGHT)];
    if (partial === undefined) throw new Error('bug: no partial tile for a node of the frontier');
    return nodeFromTile(node, partial);
  });
  const same =
    derived.length === state.frontier.length &&
    derived.every((hash, i) => equalBytes(hash, state.frontier[i] as TreeHash));
  if (!same || !equalBytes(frontierRoot(derived), state.rootHash)) {
    throw new ServerError(
      'damaged',
      `log ${log}: its stored right edge does not hash to its root at size ${state.treeSize}`,
    );
  }
}

/** Hashes of these leaves in bundle framing, side by side. */
function hashesOf(bytes: Uint8Array, count: number): Uint8Array {
  return leafHashes(bytes, prefixBounds(bytes, count));
}

/** The bundle that is not full at a tree size. Throws ServerError `damaged` where its leaves are not all there. */
async function readOpenBundle(store: Store, log: string, treeSize: number): Promise<OpenBundle> {
  const first = treeSize - (treeSize % TILE_WIDTH);
  const range = { gte: openKey(log, first), lt: openKey(log, treeSize), limit: TILE_WIDTH };
  const { bytes, starts, end } = joinRows(log, await store.list(range), first, treeSize);
  if (end < treeSize) throw missingLeaf(log, end);
  return { first, bytes, starts: Uint8Array.from(starts, (start) => start - first) };
}

/** What the rows hold that follow each other from a leaf index on, up to a tree size at most: leaves, where each row begins, and how far that goes. */
function joinRows(
  log: string,
  rows: readonly { readonly key: string; readonly value: Uint8Array | undefined }[],
  begin: number,
  treeSize: number,
): { readonly bytes: Uint8Array; readonly starts: readonly number[]; readonly end: number } {
  const values: Uint8Array[] = [];
  const starts: number[] = [];
  let end = begin;
  for (const { key, value } of rows) {
    if (value === undefined || key !== openKey(log, end)) break;
    starts.push(end);
    values.push(value);
    end += countLeaves(key, value, treeSize - end);
  }
  return { bytes: concatBytes(...values), starts, end };
}

function missingLeaf(log: string, leafIndex: number): ServerError {
  return new ServerError('damaged', `log ${log}: leaf ${leafIndex} is missing among its open leaves`);
}

/** How many leaves an open row holds: one or more and at most `limit`. Throws ServerError `damaged`. */
function countLeaves(key: string, value: Uint8Array, limit: number): number {
  try {
    return parseOpenRow(value, limit).length;
  } catch (cause) {
    throw new ServerError('damaged', `${key} holds no open leaves: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Hashes of the leaves from `from` to the size of the bundle that was not full at it, read back where its open rows should be: heads stand
 * between two commits, so a row begins at `from`. A commit may have filled the bundle since, and be in the store before it is in the log's
 * state: then these rows are gone, and the bundle came with the same batch.
 */
async function readLastHashes(
  store: Store,
  log: string,
  from: number,
  { treeSize, open }: Growth,
  rows: RowReader,
): Promise<Uint8Array> {
  const keys: string[] = [];
  for (const start of open.starts) {
    const leafIndex = open.first + start;
    if (leafIndex >= from && leafIndex < treeSize) keys.push(openKey(log, leafIndex));
  }
  const values = await rows.getMany(keys);
  const found = keys.map((key, i) => ({ key, value: values[i] }));
  const { bytes: leaves, end } = joinRows(log, found, from, treeSize);
  // All rows as one: most of them hold a leaf or two, and four are hashed at a time.
  if (end === treeSize) return hashesOf(leaves, treeSize - from);
  const index = Math.floor(from / TILE_WIDTH);
  const bytes = await store.get(bundleKey(log, index));
  if (bytes === undefined) throw missingLeaf(log, end);
  const bounds = boundsOf(log, index, bytes);
  return leafHashes(bytes, bounds.subarray(2 * (from % TILE_WIDTH), 2 * (treeSize - index * TILE_WIDTH)));
}

/** Bundles read in one go while growth is verified, and a pause for others between; of the largest raw leaves they take 268 MB. */
const CHUNK = 16;
/**
 * The same where all leaves together are known to take no more than that: a server that is offered more than it can take has long turns, and
 * with a few thousand leaves in each its heads fell behind by half a minute.
 */
const LARGE_CHUNK = 64;
const LARGE_CHUNK_BYTES = 256 * 1024 * 1024;

/** A tree: its size and its frontier. */
interface Tree {
  readonly treeSize: number;
  readonly frontier: Frontier;
}

/** How far a log grew, and where its open rows begin then or later. */
export interface Growth extends Pick<LogState, 'treeSize' | 'open'> {
  /** Bytes of all the leaves by which it grew, where that is known. */
  readonly bytes?: number;
}

/**
 * Verifies from stored bytes alone that a log grew from a frontier it had to `to`: every leaf since is read and hashed,
 * every bundle and tile that became full since is read whole and compared with what it must hold. Returns the frontier there; that its root is
 * the one about to be signed is for the caller to check. An extension of the old frontier is a consistency proof, with
 * nothing left out. `openRows` reads the open rows in the store's place. Throws ServerError `damaged`.
 */
export async function verifyGrowth(
  store: Store,
  log: string,
  from: Tree,
  to: Growth,
  openRows: RowReader = store,
): Promise<TreeHash[]> {
  const { treeSize, bytes: size = Number.POSITIVE_INFINITY } = to;
  const chunk = size <= LARGE_CHUNK_BYTES ? LARGE_CHUNK : CHUNK;
  const firstBundle = Math.floor(from.treeSize / TILE_WIDTH);
  const lastFull = Math.floor(treeSize / TILE_WIDTH);
  // Of a bundle that was not full the leaves stood in open rows; now that it is, they stand in another row, and are read again.
  let at = firstBundle < lastFull ? firstBundle * TILE_WIDTH : from.treeSize;
  // The subtrees of the full bundles come first: they are the frontier there.
  const frontier = from.frontier.slice(0, frontierLength(at));
  let completed: CompletedTile[] = [];
  const extend = (hashes: Uint8Array): void => {
    extendFrontier(frontier, at, hashes, (level, nodes) => {
      if (level === 0 || level % TILE_HEIGHT !== 0) return;
      const first = Math.floor(at / powerOfTwo(level));
      for (let i = 0; i * HASH_SIZE < nodes.length; i++) {
        const bytes = level === TILE_HEIGHT && hashes.length === TILE_BYTES ? hashes : undefined;
        completed.push({ level: level / TILE_HEIGHT - 1, index: first + i, root: hashInTile(nodes, i), bytes });
      }
    });
    at += hashes.length / HASH_SIZE;
  };

  for (let bundle = firstBundle; bundle < lastFull; bundle += chunk) {
    const indexes = Array.from({ length: Math.min(chunk, lastFull - bundle) }, (_, i) => bundle + i);
    // Bundles and the tiles above them in one go: under overload each takes a turn of a third of a second.
    const values = await store.getMany([
      ...indexes.map((index) => bundleKey(log, index)),
      ...indexes.map((index) => tileKey(log, { level: 0, index })),
    ]);
    for (const [i, index] of indexes.entries()) {
      const bytes = values[i];
      const hashes = leafHashes(bytes ?? EMPTY, boundsOf(log, index, bytes));
      if (at < from.treeSize) checkPassed(log, index, { treeSize: at, frontier }, hashes, from);
      extend(hashes);
    }
    await checkTiles(store, log, completed, (index) => values[indexes.length + index - bundle]);
    completed = [];
  }
  if (at < treeSize) extend(await readLastHashes(store, log, at, to, openRows));
  return frontier;
}

/** A full bundle with these leaf hashes must begin with the leaves by which the log had grown to `to`. Throws ServerError `damaged`. */
function checkPassed(log: string, index: number, from: Tree, hashes: Uint8Array, to: Tree): void {
  const passed = from.frontier.slice();
  extendFrontier(passed, from.treeSize, hashes.subarray(0, (to.treeSize - from.treeSize) * HASH_SIZE));
  if (!passed.every((hash, i) => equalBytes(hash, to.frontier[i] as TreeHash)))
    throw new ServerError(
      'damaged',
      `log ${log}: entry bundle ${index} does not begin with the leaves that it was filled from`,
    );
}

const TILE_BYTES = TILE_WIDTH * HASH_SIZE;

/** A tile that leaves have filled, and what its hashes must hash to, or be where all of them were made. */
interface CompletedTile {
  readonly level: number;
  readonly index: number;
  readonly root: TreeHash;
  readonly bytes: Uint8Array | undefined;
}

/** `lowest` gives the tiles of level 0, which were read already. */
async function checkTiles(
  store: Store,
  log: string,
  completed: readonly CompletedTile[],
  lowest: (index: number) => Uint8Array | undefined,
): Promise<void> {
  const upper = completed.filter(({ level }) => level > 0);
  const read = upper.length === 0 ? [] : await store.getMany(upper.map((tile) => tileKey(log, tile)));
  for (const tile of completed) {
    const { level, index, root, bytes } = tile;
    const stored = level === 0 ? lowest(index) : read[upper.indexOf(tile)];
    const same =
      stored?.length === TILE_BYTES &&
      (bytes === undefined ? equalBytes(nodeRows(stored)[TILE_HEIGHT] as Uint8Array, root) : equalBytes(stored, bytes));
    if (!same) throw new ServerError('damaged', `log ${log}: tile ${level}/${index} does not hash to its node`);
  }
}

/** Where the leaves of a stored full bundle stand. Throws ServerError `damaged`. */
export function boundsOf(log: string, index: number, bytes: Uint8Array | undefined): Uint32Array {
  try {
    if (bytes === undefined) throw new RangeError('it is missing');
    return bundleBounds(bytes, TILE_WIDTH);
  } catch (cause) {
    throw new ServerError('damaged', `log ${log}: entry bundle ${index} is damaged: ${(cause as Error).message}`, {
      cause,
    });
  }
}
