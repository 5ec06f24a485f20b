/**
 * Integration: what a commit that appends leaves to a log has to write. Pure; the bytes it returns are the tree.
 */
import { encodeBundle } from '../tree/bundles.ts';
import { frontierRoot, pushToFrontier } from '../tree/frontier.ts';
import { HASH_SIZE, type LeafHash, leafHash, type TreeHash } from '../tree/hash.ts';
import { TILE_HEIGHT, TILE_WIDTH } from '../tree/tiles.ts';
import type { LogState } from './log-state.ts';
import { bundleKey, openKey, tileKey } from './storage/keys.ts';
import type { Write } from './storage/store.ts';

export interface Integrated {
  readonly state: LogState;
  /** Full tiles and bundles, open leaves put and deleted. The edge row is the committer's. */
  readonly writes: readonly Write[];
  readonly leafHashes: readonly LeafHash[];
}

const TILE_BYTES = TILE_WIDTH * HASH_SIZE;

/** Appends `leaves` to the log; `lastReceivedAt` becomes that of the log where there are any. */
export function integrate(
  log: string,
  before: LogState,
  leaves: readonly Uint8Array[],
  lastReceivedAt: number,
): Integrated {
  if (leaves.length === 0) return { state: before, writes: [], leafHashes: [] };
  const writes: Write[] = [];
  const leafHashes: LeafHash[] = [];
  const frontier = before.frontier.slice();
  const partials = before.partials.slice();
  /** Rows of tiles that grow in this commit, by level, with room for a whole tile. */
  const rows: (GrowingRow | undefined)[] = [];
  let open = before.openLeaves.slice();
  let runs = before.openRuns;
  let treeSize = before.treeSize;

  const pushRow = (level: number, hash: TreeHash): void => {
    const row = rows[level] ?? growable(partials[level] ?? EMPTY);
    rows[level] = row;
    row.bytes.set(hash, row.length);
    row.length += HASH_SIZE;
    if (row.length < TILE_BYTES) return;
    writes.push({
      key: tileKey(log, { level, index: Math.floor(treeSize / TILE_WIDTH ** (level + 1)) }),
      value: row.bytes,
    });
    rows[level] = growable(EMPTY);
  };

  for (const leaf of leaves) {
    const hash = leafHash(leaf);
    leafHashes.push(hash);
    open.push(leaf);
    pushToFrontier(frontier, treeSize, hash, (level, node) => {
      if (level % TILE_HEIGHT === 0) pushRow(level / TILE_HEIGHT, node);
    });
    treeSize++;
    if (open.length === TILE_WIDTH) {
      const bundle = treeSize / TILE_WIDTH - 1;
      writes.push({ key: bundleKey(log, bundle), value: encodeBundle(open) });
      // Only leaves of earlier commits have rows; those of this one go straight into the bundle.
      for (const first of runs) writes.push({ key: openKey(log, first), value: undefined });
      runs = [];
      open = [];
    }
  }
  const firstOpen = treeSize - open.length;
  const firstNew = Math.max(firstOpen, before.treeSize);
  // One row for all of a commit: a row each cost a fifth of all that a single append costs.
  if (firstNew < treeSize) {
    writes.push({ key: openKey(log, firstNew), value: encodeBundle(open.slice(firstNew - firstOpen)) });
    runs = [...runs, firstNew];
  }
  for (const [level, row] of rows.entries()) {
    if (row !== undefined) partials[level] = row.bytes.subarray(0, row.length);
  }
  return {
    state: {
      treeSize,
      lastReceivedAt,
      rootHash: frontierRoot(frontier),
      head: before.head,
      frontier,
      partials,
      openLeaves: keep(open, firstNew - firstOpen),
      openRuns: runs,
    },
    writes,
    leafHashes,
  };
}

interface GrowingRow {
  readonly bytes: Uint8Array;
  length: number;
}

const EMPTY = new Uint8Array(0);

/** A tile's worth of room that begins with a copy of `bytes`: the state before must not change under its readers. */
function growable(bytes: Uint8Array): GrowingRow {
  const room = new Uint8Array(TILE_BYTES);
  room.set(bytes);
  return { bytes: room, length: bytes.length };
}

/**
 * Leaves that stay in memory until their bundle is full: those from `first` on in one array of their own, because what came in is a
 * view of a whole request. One array a commit, for each costs as much as hashing two leaves.
 */
function keep(open: Uint8Array[], first: number): Uint8Array[] {
  let length = 0;
  for (let i = first; i < open.length; i++) length += (open[i] as Uint8Array).length;
  const room = new Uint8Array(length);
  let at = 0;
  for (let i = first; i < open.length; i++) {
    const leaf = open[i] as Uint8Array;
    room.set(leaf, at);
    open[i] = room.subarray(at, at + leaf.length);
    at += leaf.length;
  }
  return open;
}
