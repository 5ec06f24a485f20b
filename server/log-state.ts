/**
 * The committed state of one log in memory: its edge row plus the ragged right side that is not stored as such.
 *
 * States are values. A commit makes the next one; a reader that holds an older one keeps seeing exactly that tree.
 */
import { decodeBundle } from '../tree/bundles.ts';
import { equalBytes } from '../tree/bytes.ts';
import { type Frontier, frontierRoot, pushToFrontier } from '../tree/frontier.ts';
import { HASH_SIZE, leafHash, type TreeHash } from '../tree/hash.ts';
import { coveringNodes } from '../tree/positions.ts';
import { fullTiles, hashRange, nodeFromTile, partialWidth, TILE_HEIGHT, TILE_WIDTH } from '../tree/tiles.ts';
import { ServerError } from './errors.ts';
import { bundleKey, edgeKey, openKey, tileKey } from './storage/keys.ts';
import { type Edge, parseEdge, parseOpenRow } from './storage/rows.ts';
import type { Store } from './storage/store.ts';

export interface LogState extends Edge {
  /** Partial tile of each tile level, its hashes only; empty where the width is 0. */
  readonly partials: readonly Uint8Array[];
  /** Leaves of the entry bundle that is not full yet. */
  readonly openLeaves: readonly Uint8Array[];
  /** Leaf indexes at which the rows begin that hold them, one row a commit. */
  readonly openRuns: readonly number[];
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
  const { leaves: openLeaves, runs: openRuns } = await readOpenLeaves(store, log, treeSize);
  const partials: Uint8Array[] = [joinHashes(openLeaves.map(leafHash))];
  for (let level = 1; TILE_WIDTH ** level <= treeSize; level++) {
    const width = partialWidth(level, treeSize);
    const first = fullTiles(level, treeSize) * TILE_WIDTH;
    const keys = Array.from({ length: width }, (_, i) => tileKey(log, { level: level - 1, index: first + i }));
    const roots = (await store.getMany(keys)).map((tile, i) => {
      if (tile === undefined || tile.length !== TILE_WIDTH * HASH_SIZE) {
        throw new ServerError('damaged', `log ${log}: tile ${keys[i]} is missing or has the wrong length`);
      }
      return hashRange(tile, 0, TILE_WIDTH);
    });
    partials.push(joinHashes(roots));
  }
  const state = { ...edge, partials, openLeaves, openRuns };
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

interface OpenLeaves {
  readonly leaves: Uint8Array[];
  readonly runs: number[];
}

/** The leaves of the bundle that is not full at a tree size. Throws ServerError `damaged` where they are not all there. */
async function readOpenLeaves(store: Store, log: string, treeSize: number): Promise<OpenLeaves> {
  const leaves: Uint8Array[] = [];
  const runs: number[] = [];
  const first = treeSize - (treeSize % TILE_WIDTH);
  const range = { gte: openKey(log, first), lt: openKey(log, treeSize), limit: TILE_WIDTH };
  for (const { key, value } of await store.list(range)) {
    const next = first + leaves.length;
    if (key !== openKey(log, next)) break;
    runs.push(next);
    leaves.push(...readRun(key, value, treeSize - next));
  }
  if (leaves.length < treeSize - first)
    throw new ServerError('damaged', `log ${log}: leaf ${first + leaves.length} is missing among its open leaves`);
  return { leaves, runs };
}

/** The leaves of an open row, one or more and at most `limit`, as views. Throws ServerError `damaged`. */
function readRun(key: string, value: Uint8Array, limit: number): Uint8Array[] {
  try {
    return parseOpenRow(value, limit);
  } catch (cause) {
    throw new ServerError('damaged', `${key} holds no open leaves: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Leaves of the bundle that was not full at the size `to`. A commit may have filled it since, and be in the store before it is
 * in the log's state: then its open rows are gone, and the bundle came with the same batch.
 */
async function readLastLeaves(store: Store, log: string, from: number, to: number): Promise<Uint8Array[]> {
  const index = Math.floor(from / TILE_WIDTH);
  const first = index * TILE_WIDTH;
  try {
    return (await readOpenLeaves(store, log, to)).leaves.slice(from - first);
  } catch (error) {
    const bundle = await store.get(bundleKey(log, index));
    if (bundle === undefined) throw error;
    return readBundle(log, index, bundle).slice(from - first, to - first);
  }
}

/** Hashes side by side, as in a tile. */
export function joinHashes(hashes: readonly TreeHash[]): Uint8Array {
  const out = new Uint8Array(hashes.length * HASH_SIZE);
  hashes.forEach((hash, i) => {
    out.set(hash, i * HASH_SIZE);
  });
  return out;
}

/** Bundles read in one go while growth is verified, and a pause for others between; of the largest raw leaves they take 268 MB. */
const CHUNK = 16;

/**
 * Verifies from stored bytes alone that a log grew from a frontier it had to `treeSize`: every leaf since is read and hashed,
 * every tile that became full since is compared with what it must hold. Returns the frontier at `treeSize`; that its root is
 * the one about to be signed is for the caller to check. An extension of the old frontier is a consistency proof, with
 * nothing left out. Throws ServerError `damaged`.
 */
export async function verifyGrowth(
  store: Store,
  log: string,
  from: { readonly treeSize: number; readonly frontier: Frontier },
  treeSize: number,
): Promise<TreeHash[]> {
  const frontier = from.frontier.slice();
  const completed: CompletedTile[] = [];
  let at = from.treeSize;
  const push = (leaf: Uint8Array): void => {
    pushToFrontier(frontier, at, leafHash(leaf), (level, root) => {
      if (level > 0 && level % TILE_HEIGHT === 0) {
        completed.push({ level: level / TILE_HEIGHT - 1, index: Math.floor(at / 2 ** level), root });
      }
    });
    at++;
  };

  const lastFull = Math.floor(treeSize / TILE_WIDTH);
  for (let bundle = Math.floor(at / TILE_WIDTH); bundle < lastFull; bundle += CHUNK) {
    const indexes = Array.from({ length: Math.min(CHUNK, lastFull - bundle) }, (_, i) => bundle + i);
    const bundles = await store.getMany(indexes.map((index) => bundleKey(log, index)));
    indexes.forEach((index, i) => {
      for (const leaf of readBundle(log, index, bundles[i]).slice(at % TILE_WIDTH)) push(leaf);
    });
    await checkTiles(store, log, completed.splice(0));
  }
  for (const leaf of await readLastLeaves(store, log, at, treeSize)) push(leaf);
  return frontier;
}

/** A tile that a leaf has filled, and what its hashes must hash to. */
interface CompletedTile {
  readonly level: number;
  readonly index: number;
  readonly root: TreeHash;
}

async function checkTiles(store: Store, log: string, completed: readonly CompletedTile[]): Promise<void> {
  const tiles = await store.getMany(completed.map((tile) => tileKey(log, tile)));
  for (const [i, { level, index, root }] of completed.entries()) {
    const tile = tiles[i];
    if (tile?.length !== TILE_WIDTH * HASH_SIZE || !equalBytes(hashRange(tile, 0, TILE_WIDTH), root)) {
      throw new ServerError('damaged', `log ${log}: tile ${level}/${index} does not hash to its node`);
    }
  }
}

/** The leaves of a stored full bundle. Throws ServerError `damaged`. */
export function readBundle(log: string, index: number, bytes: Uint8Array | undefined): Uint8Array[] {
  try {
    if (bytes === undefined) throw new RangeError('it is missing');
    return decodeBundle(bytes, TILE_WIDTH);
  } catch (cause) {
    throw new ServerError('damaged', `log ${log}: entry bundle ${index} is damaged: ${(cause as Error).message}`, {
      cause,
    });
  }
}
