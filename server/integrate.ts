/**
 * Integration: what a commit that appends leaves to a log has to write. Pure; the bytes it returns are the tree.
 */
import { bundleBounds } from '../tree/bundles.ts';
import { concatBytes } from '../tree/bytes.ts';
import { extendFrontier, frontierRoot } from '../tree/frontier.ts';
import { HASH_SIZE, leafHashes } from '../tree/hash.ts';
import { powerOfTwo } from '../tree/positions.ts';
import { TILE_HEIGHT, TILE_WIDTH } from '../tree/tiles.ts';
import type { FramedLeaves } from './frames.ts';
import { grown } from './grown.ts';
import { emptyBundle, type LogState, type OpenBundle } from './log-state.ts';
import { bundleKey, openKey, tileKey } from './storage/keys.ts';
import type { Write } from './storage/store.ts';

export interface Integrated {
  readonly state: LogState;
  /** Full tiles and bundles, open leaves put and deleted. The edge row is the committer's. */
  readonly writes: readonly Write[];
  /** Hashes of the leaves, side by side. */
  readonly leafHashes: Uint8Array;
}

const TILE_BYTES = TILE_WIDTH * HASH_SIZE;
const EMPTY = new Uint8Array(0);

/** Appends `leaves` to the log; `lastReceivedAt` becomes that of the log where there are any. */
export function integrate(log: string, before: LogState, leaves: FramedLeaves, lastReceivedAt: number): Integrated {
  if (leaves.count === 0) return { state: before, writes: [], leafHashes: EMPTY };
  const bounds = bundleBounds(leaves.bytes, leaves.count);
  const hashes = hashesOf(leaves, bounds);
  const writes: Write[] = [];
  const frontier = before.frontier.slice();
  const partials = before.partials.slice();
  extendFrontier(frontier, before.treeSize, hashes, (level, nodes) => {
    if (level % TILE_HEIGHT !== 0) return;
    const tileLevel = level / TILE_HEIGHT;
    const index = Math.floor(before.treeSize / powerOfTwo(level + TILE_HEIGHT));
    partials[tileLevel] = cutTiles(
      log,
      tileLevel,
      index,
      grown(partials[tileLevel] ?? EMPTY, nodes, TILE_BYTES),
      writes,
    );
  });
  const open = cutBundles(log, before, leaves, bounds, writes);
  return {
    state: {
      treeSize: before.treeSize + leaves.count,
      lastReceivedAt,
      rootHash: frontierRoot(frontier),
      head: before.head,
      frontier,
      partials,
      open,
    },
    writes,
    leafHashes: hashes,
  };
}

/** Hashes of the leaves: those that are known, and for the others what stands at these bounds. */
function hashesOf({ bytes, count, hashed = [] }: FramedLeaves, bounds: Uint32Array): Uint8Array {
  if (hashed.length === 0) return leafHashes(bytes, bounds);
  const all = new Uint8Array(count * HASH_SIZE);
  let at = 0;
  const hashUpTo = (end: number): void => {
    if (at < end) all.set(leafHashes(bytes, bounds.subarray(2 * at, 2 * end)), at * HASH_SIZE);
  };
  for (const { first, hashes } of hashed) {
    hashUpTo(first);
    all.set(hashes, first * HASH_SIZE);
    at = first + hashes.length / HASH_SIZE;
  }
  hashUpTo(count);
  return all;
}

/** Writes the tiles of a level that are full, from tile `index` on, of which `bytes` are the hashes; returns the rest. */
function cutTiles(log: string, level: number, index: number, bytes: Uint8Array, writes: Write[]): Uint8Array {
  let at = 0;
  for (let next = index; bytes.length - at >= TILE_BYTES; next++, at += TILE_BYTES) {
    writes.push({ key: tileKey(log, { level, index: next }), value: bytes.subarray(at, at + TILE_BYTES) });
  }
  return at === 0 ? bytes : bytes.slice(at);
}

/** Writes the bundles that are full, and the leaves after them as one open row; returns the bundle that is not full then. */
function cutBundles(
  log: string,
  { treeSize, open: before }: LogState,
  { bytes, count }: FramedLeaves,
  bounds: Uint32Array,
  writes: Write[],
): OpenBundle {
  let open = before;
  let cut = 0;
  const end = treeSize + count;
  for (let full = open.first + TILE_WIDTH; full <= end; full += TILE_WIDTH) {
    const next = bounds[2 * (full - treeSize) - 1] as number;
    const own = bytes.subarray(cut, next);
    const value = open.bytes.length === 0 ? own : concatBytes(open.bytes, own);
    writes.push({ key: bundleKey(log, full / TILE_WIDTH - 1), value });
    // Only leaves of earlier commits have rows; those of this one go straight into the bundle.
    for (const start of open.starts) writes.push({ key: openKey(log, open.first + start), value: undefined });
    open = emptyBundle(full);
    cut = next;
  }
  const at = Math.max(treeSize, open.first);
  if (at === end) return open;
  // One row for all of a commit: a row each was a fifth of a single append.
  const own = bytes.subarray(cut);
  writes.push({ key: openKey(log, at), value: own });
  const size = open.bytes.length + own.length;
  return {
    first: open.first,
    // A copy, since `bytes` may be part of a request; with room for twice as much, but not for more than a bundle of leaves like these.
    bytes: grown(open.bytes, own, Math.ceil((size * TILE_WIDTH) / (end - open.first))),
    starts: grown(open.starts, Uint8Array.of(at - open.first), TILE_WIDTH),
  };
}
