/**
 * Reading the tree back, verified: a tile is served or used in a proof only after it hashed to its node in the tile above,
 * and that one to the one above it, up to the right edge that the server holds in memory and has checked against the root.
 * So a bit that flipped on disk is a 500 and never a wrong byte.
 *
 * Verifying a tile computes all its 255 inner nodes; they are kept, so that a proof costs no hashing where tiles are warm.
 */
import { LRUCache } from 'lru-cache';
import type { ReadNode } from '../proofs/range.ts';
import { encodeBundle } from '../tree/bundles.ts';
import { equalBytes } from '../tree/bytes.ts';
import { asLeafHash, HASH_SIZE, type LeafHash, leafHash, nodeHash, type TreeHash } from '../tree/hash.ts';
import type { NodeId } from '../tree/positions.ts';
import { hashInTile, nodeFromTile, TILE_HEIGHT, TILE_WIDTH, type TileId, tileOfNode } from '../tree/tiles.ts';
import { ServerError } from './errors.ts';
import type { Log } from './log.ts';
import { type LogState, readBundle } from './log-state.ts';
import { bundleKey, tileKey } from './storage/keys.ts';
import type { Store } from './storage/store.ts';

/** A verified full tile with its inner nodes: `levels[r][i]` is the node of height r, side by side as in the tile itself. */
type ExpandedTile = readonly Uint8Array[];

/** A full bundle whose leaves hash to its tile; they are views of its bytes. */
interface VerifiedBundle {
  readonly bytes: Uint8Array;
  readonly leaves: readonly Uint8Array[];
}

/** Memory of a view, in bytes, as the cache counts it. */
const VIEW_SIZE = 100;

export interface TreeReaderOptions {
  /** Expanded tiles kept, at 16 KiB each. Default 1,024. */
  readonly tiles?: number;
  /** Verified bundles kept, in bytes. Default 16 MiB. */
  readonly bundleBytes?: number;
}

export class TreeReader {
  readonly #store: Store;
  readonly #onDamage: (message: string) => void;
  readonly #tiles: LRUCache<string, ExpandedTile>;
  readonly #bundles: LRUCache<string, VerifiedBundle>;

  constructor(store: Store, onDamage: (message: string) => void, options: TreeReaderOptions = {}) {
    this.#store = store;
    this.#onDamage = onDamage;
    this.#tiles = new LRUCache({ max: options.tiles ?? 1024 });
    this.#bundles = new LRUCache({
      maxSize: options.bundleBytes ?? 16 * 1024 * 1024,
      sizeCalculation: ({ bytes }) => bytes.length + TILE_WIDTH * VIEW_SIZE,
    });
  }

  /** The bytes of a tile that lies within the log's state. Throws ServerError `damaged`. */
  async tile(log: Log, state: LogState, { level, index, width }: TileId): Promise<Uint8Array> {
    const partial = partialTile(state, level, index);
    const bytes = partial ?? ((await this.#fullTile(log, state, level, index))[0] as Uint8Array);
    return bytes.subarray(0, width * HASH_SIZE);
  }

  /** The bytes of an entry bundle, full or partial, that lies within the log's state. Throws ServerError `damaged`. */
  async bundle(log: Log, state: LogState, index: number, width: number): Promise<Uint8Array> {
    if (isOpenBundle(state, index)) return encodeBundle(state.openLeaves.slice(0, width));
    const { bytes, leaves } = await this.#fullBundle(log, state, index);
    return width === TILE_WIDTH ? bytes : encodeBundle(leaves.slice(0, width));
  }

  /** Leaves from `from` (inclusive) to `to` (exclusive), which must be within the log's state. Throws ServerError `damaged`. */
  async leaves(log: Log, state: LogState, from: number, to: number): Promise<Uint8Array[]> {
    const leaves: Uint8Array[] = [];
    for (let at = from; at < to; ) {
      const index = Math.floor(at / TILE_WIDTH);
      const end = Math.min(to, (index + 1) * TILE_WIDTH);
      const bundle = isOpenBundle(state, index) ? state.openLeaves : (await this.#fullBundle(log, state, index)).leaves;
      leaves.push(...bundle.slice(at % TILE_WIDTH, end - index * TILE_WIDTH));
      at = end;
    }
    return leaves;
  }

  /** Hashes of the leaves from `from` (inclusive) to `to` (exclusive), which must be within the log's state. Throws ServerError `damaged`. */
  async leafHashes(log: Log, state: LogState, from: number, to: number): Promise<LeafHash[]> {
    const hashes: LeafHash[] = [];
    for (let at = from; at < to; ) {
      const index = Math.floor(at / TILE_WIDTH);
      const end = Math.min(to, (index + 1) * TILE_WIDTH);
      const tile = await this.tile(log, state, { level: 0, index, width: end - index * TILE_WIDTH });
      for (; at < end; at++) hashes.push(asLeafHash(hashInTile(tile, at % TILE_WIDTH)));
    }
    return hashes;
  }

  /**
   * A function that reads any of these nodes, all within the log's state, after their tiles were read and verified.
   * Throws ServerError `damaged`.
   */
  async nodes(log: Log, state: LogState, nodes: readonly NodeId[]): Promise<ReadNode> {
    const full = new Map<string, ExpandedTile>();
    for (const node of nodes) {
      const { level, index } = tileOfNode(node);
      const key = `${level}/${index}`;
      if (partialTile(state, level, index) !== undefined || full.has(key)) continue;
      full.set(key, await this.#fullTile(log, state, level, index));
    }
    return (node) => {
      const { level, index } = tileOfNode(node);
      const partial = partialTile(state, level, index);
      if (partial !== undefined) return nodeFromTile(node, partial);
      const tile = full.get(`${level}/${index}`);
      const height = node.level % TILE_HEIGHT;
      const row = tile?.[height];
      if (row === undefined) throw new Error('bug: a node was read that was not asked for');
      return hashInTile(row, node.index % (TILE_WIDTH / 2 ** height));
    };
  }

  async #fullTile(log: Log, state: LogState, level: number, index: number): Promise<ExpandedTile> {
    const key = tileKey(log.name, { level, index });
    const cached = this.#tiles.get(key);
    if (cached !== undefined) return cached;
    const bytes = await this.#store.get(key);
    if (bytes?.length !== TILE_WIDTH * HASH_SIZE) throw this.#damaged(`${key} is missing or has the wrong length`);
    const tile = expand(bytes);
    const root = (tile[TILE_HEIGHT] as Uint8Array).subarray(0, HASH_SIZE);
    const parent = await this.tile(log, state, {
      level: level + 1,
      index: Math.floor(index / TILE_WIDTH),
      width: TILE_WIDTH,
    });
    if (!equalBytes(root, hashInTile(parent, index % TILE_WIDTH)))
      throw this.#damaged(`${key} does not hash to its node`);
    this.#tiles.set(key, tile);
    return tile;
  }

  async #fullBundle(log: Log, state: LogState, index: number): Promise<VerifiedBundle> {
    const key = bundleKey(log.name, index);
    const cached = this.#bundles.get(key);
    if (cached !== undefined) return cached;
    const bytes = await this.#store.get(key);
    let leaves: Uint8Array[];
    try {
      leaves = readBundle(log.name, index, bytes);
    } catch (error) {
      throw this.#damaged((error as Error).message);
    }
    const hashes = await this.tile(log, state, { level: 0, index, width: TILE_WIDTH });
    leaves.forEach((leaf, i) => {
      if (!equalBytes(leafHash(leaf), hashInTile(hashes, i))) {
        throw this.#damaged(`${key} does not hold leaf ${index * TILE_WIDTH + i}`);
      }
    });
    const bundle = { bytes: bytes as Uint8Array, leaves };
    this.#bundles.set(key, bundle);
    return bundle;
  }

  #damaged(message: string): ServerError {
    this.#onDamage(message);
    return new ServerError('damaged', message);
  }
}

/** The partial tile at the right edge of its level if that is the one asked for. */
function partialTile(state: LogState, level: number, index: number): Uint8Array | undefined {
  const first = Math.floor(state.treeSize / TILE_WIDTH ** (level + 1));
  if (index < first) return undefined;
  const partial = state.partials[level];
  if (index > first || partial === undefined) throw new Error('bug: a tile beyond the tree was read');
  return partial;
}

function isOpenBundle(state: LogState, index: number): boolean {
  return index === Math.floor(state.treeSize / TILE_WIDTH);
}

function expand(bytes: Uint8Array): ExpandedTile {
  const levels: Uint8Array[] = [bytes];
  for (let height = 1; height <= TILE_HEIGHT; height++) {
    const below = levels[height - 1] as Uint8Array;
    const row = new Uint8Array(below.length / 2);
    for (let i = 0; i * HASH_SIZE < row.length; i++) {
      const hash: TreeHash = nodeHash(hashInTile(below, 2 * i), hashInTile(below, 2 * i + 1));
      row.set(hash, i * HASH_SIZE);
    }
    levels.push(row);
  }
  return levels;
}
