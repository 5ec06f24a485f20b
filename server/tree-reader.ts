/**
 * Reading the tree back, verified: a tile is served or used in a proof only after it hashed to its node in the tile above,
 * and that one to the one above it, up to the right edge that the server holds in memory and has checked against the root.
 * So a bit that flipped on disk is a 500 and never a wrong byte.
 *
 * Verifying a tile computes all its 255 inner nodes; they are kept, so that a proof costs no hashing where tiles are warm.
 */
import { LRUCache } from 'lru-cache';
import type { ProofPlan, ReadNode } from '../proofs/range.ts';
import { decodeBundle, encodeBundle } from '../tree/bundles.ts';
import { equalBytes } from '../tree/bytes.ts';
import { asLeafHash, HASH_SIZE, type LeafHash, leafHashes, nodeHash, type TreeHash } from '../tree/hash.ts';
import { type NodeId, powerOfTwo } from '../tree/positions.ts';
import {
  expandTile,
  fullTiles,
  hashInTile,
  nodeFromTile,
  placeInExpanded,
  rootOfExpanded,
  TILE_WIDTH,
  type TileId,
  tileOfNode,
} from '../tree/tiles.ts';
import { ServerError } from './errors.ts';
import type { Log } from './log.ts';
import { boundsOf, type LogState, openLeaves } from './log-state.ts';
import { bundleKey, tileKey } from './storage/keys.ts';
import type { Store } from './storage/store.ts';

/** A verified full tile: its bytes, always as the same view, and all nodes above them. */
interface VerifiedTile {
  readonly bytes: Uint8Array;
  readonly nodes: Uint8Array;
}

/** A tile that a proof reads nodes of: a full one's are all there, a partial one's are made when they are asked for. */
interface OpenTile {
  readonly level: number;
  readonly index: number;
  readonly partial: Uint8Array | undefined;
  readonly nodes: Uint8Array | undefined;
}

/** A full bundle whose leaves hash to its tile; they are views of its bytes. */
interface VerifiedBundle {
  readonly bytes: Uint8Array;
  readonly leaves: readonly Uint8Array[];
}

/** Memory of a view, in bytes, as the cache counts it. */
const VIEW_SIZE = 100;

export interface TreeReaderOptions {
  /** Verified tiles kept, at 16 KiB each. Default 4,096: the proofs of a million entries. */
  readonly tiles?: number;
  /** Verified bundles kept, in bytes. Default 16 MiB. */
  readonly bundleBytes?: number;
}

export class TreeReader {
  readonly #store: Store;
  readonly #onDamage: (message: string) => void;
  readonly #tiles: LRUCache<string, VerifiedTile>;
  readonly #bundles: LRUCache<string, VerifiedBundle>;
  readonly #partialNodes = new WeakMap<Uint8Array, Map<number, TreeHash>>();
  /** Folds at the right edge of the tree that was proven in last. */
  #folds: { readonly log: Log | undefined; readonly treeSize: number; readonly byBegin: Map<number, TreeHash> } = {
    log: undefined,
    treeSize: 0,
    byBegin: new Map(),
  };

  constructor(store: Store, onDamage: (message: string) => void, options: TreeReaderOptions = {}) {
    this.#store = store;
    this.#onDamage = onDamage;
    this.#tiles = new LRUCache({ max: options.tiles ?? 4096 });
    this.#bundles = new LRUCache({
      maxSize: options.bundleBytes ?? 16 * 1024 * 1024,
      sizeCalculation: ({ bytes }) => bytes.length + TILE_WIDTH * VIEW_SIZE,
    });
  }

  /** The bytes of a tile that lies within the log's state. Throws ServerError `damaged`. */
  async tile(log: Log, state: LogState, { level, index, width }: TileId): Promise<Uint8Array> {
    const bytes = partialTile(state, level, index) ?? (await this.#fullTile(log, state, level, index)).bytes;
    return width === TILE_WIDTH ? bytes : bytes.subarray(0, width * HASH_SIZE);
  }

  /** The bytes of a full tile that was read before and is still at hand: always the same array, so others may remember what they made of it. */
  warmTile(log: Log, { level, index, width }: TileId): Uint8Array | undefined {
    return width === TILE_WIDTH ? this.#tiles.get(cacheKey(log, level, index))?.bytes : undefined;
  }

  /** The bytes of an entry bundle, full or partial, that lies within the log's state. Throws ServerError `damaged`. */
  async bundle(log: Log, state: LogState, index: number, width: number): Promise<Uint8Array> {
    if (isOpenBundle(state, index)) {
      const first = index * TILE_WIDTH;
      return encodeBundle(openLeaves(state, first, first + width));
    }
    const { bytes, leaves } = await this.#fullBundle(log, state, index);
    return width === TILE_WIDTH ? bytes : encodeBundle(leaves.slice(0, width));
  }

  /** Leaves from `from` (inclusive) to `to` (exclusive), which must be within the log's state. Throws ServerError `damaged`. */
  async leaves(log: Log, state: LogState, from: number, to: number): Promise<Uint8Array[]> {
    const leaves: Uint8Array[] = [];
    for (let at = from; at < to; ) {
      const index = Math.floor(at / TILE_WIDTH);
      const end = Math.min(to, (index + 1) * TILE_WIDTH);
      if (isOpenBundle(state, index)) leaves.push(...openLeaves(state, at, end));
      else {
        const { leaves: all } = await this.#fullBundle(log, state, index);
        leaves.push(...all.slice(at % TILE_WIDTH, end - index * TILE_WIDTH));
      }
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
   * A function that reads any of these nodes, all within the log's state, after their tiles were read and verified. They come as a proof
   * has them, in lists: to join these first would cost as much as to prove. Throws ServerError `damaged`.
   */
  async nodes(log: Log, state: LogState, ...lists: readonly (readonly NodeId[])[]): Promise<ReadNode> {
    const full: Map<number, VerifiedTile>[] = [];
    for (const nodes of lists) {
      for (const node of nodes) {
        const { level, index } = tileOfNode(node);
        if (partialTile(state, level, index) !== undefined) continue;
        full[level] ??= new Map();
        const ofLevel = full[level];
        if (ofLevel.has(index)) continue;
        // Without a turn for what is warm.
        const warm = this.#tiles.get(cacheKey(log, level, index));
        ofLevel.set(index, warm ?? (await this.#fullTile(log, state, level, index)));
      }
    }
    return (node) => {
      const { level, index } = tileOfNode(node);
      const partial = partialTile(state, level, index);
      if (partial !== undefined) return this.#nodeOfPartial(node, partial);
      const tile = full[level]?.get(index);
      if (tile === undefined) throw new Error('bug: a node was read that was not asked for');
      return hashInTile(tile.nodes, placeInExpanded(node));
    };
  }

  /**
   * The hashes of a proof in the tree of `treeSize` leaves, all of it within the log's state, from verified tiles. In one pass: to get all
   * tiles first and read the nodes then took a fifth more. Throws ServerError `damaged`.
   */
  async hashes(log: Log, state: LogState, plan: ProofPlan, treeSize: number): Promise<TreeHash[]> {
    const hashes: TreeHash[] = [];
    let tile: OpenTile | undefined;
    for (const nodes of plan) {
      // Only at the ragged right edge of that tree.
      const known = nodes.length > 1 ? this.#foldOf(log, treeSize, nodes[0] as NodeId) : undefined;
      let hash = known;
      for (let i = nodes.length - 1; i >= 0 && known === undefined; i--) {
        const node = nodes[i] as NodeId;
        const { level, index } = tileOfNode(node);
        if (tile?.level !== level || tile.index !== index) {
          const partial = partialTile(state, level, index);
          const warm = partial === undefined ? this.#tiles.get(cacheKey(log, level, index)) : undefined;
          // Without a turn for what is warm.
          const full = warm ?? (partial === undefined ? await this.#fullTile(log, state, level, index) : undefined);
          tile = { level, index, partial, nodes: full?.nodes };
        }
        const own: TreeHash =
          tile.nodes === undefined
            ? this.#nodeOfPartial(node, tile.partial as Uint8Array)
            : hashInTile(tile.nodes, placeInExpanded(node));
        hash = hash === undefined ? own : nodeHash(own, hash);
      }
      if (hash === undefined) throw new Error('bug: a hash of nothing in a proof');
      if (nodes.length > 1) this.#keepFold(log, treeSize, nodes[0] as NodeId, hash);
      hashes.push(hash);
    }
    return hashes;
  }

  /** Hash of what lies between a node and the end of a tree: every proof in the newest tree has one of some twenty. */
  #foldOf(log: Log, treeSize: number, first: NodeId): TreeHash | undefined {
    const { log: ofLog, treeSize: ofSize, byBegin } = this.#folds;
    return ofLog === log && ofSize === treeSize ? byBegin.get(beginOf(first)) : undefined;
  }

  #keepFold(log: Log, treeSize: number, first: NodeId, hash: TreeHash): void {
    if (this.#folds.log !== log || this.#folds.treeSize !== treeSize)
      this.#folds = { log, treeSize, byBegin: new Map() };
    this.#folds.byBegin.set(beginOf(first), hash);
  }

  /** Nodes of partial tiles are remembered for as long as nothing joins the tile: every proof needs the same few of the upper ones. */
  #nodeOfPartial(node: NodeId, partial: Uint8Array): TreeHash {
    let known = this.#partialNodes.get(partial);
    if (known === undefined) {
      known = new Map();
      this.#partialNodes.set(partial, known);
    }
    const place = placeInExpanded(node);
    let hash = known.get(place);
    if (hash === undefined) {
      hash = nodeFromTile(node, partial);
      known.set(place, hash);
    }
    return hash;
  }

  async #fullTile(log: Log, state: LogState, level: number, index: number): Promise<VerifiedTile> {
    const name = cacheKey(log, level, index);
    const cached = this.#tiles.get(name);
    if (cached !== undefined) return cached;
    const key = tileKey(log.name, { level, index });
    const bytes = await this.#store.get(key);
    if (bytes?.length !== TILE_WIDTH * HASH_SIZE) throw this.#damaged(`${key} is missing or has the wrong length`);
    const nodes = expandTile(bytes);
    const parent = await this.tile(log, state, {
      level: level + 1,
      index: Math.floor(index / TILE_WIDTH),
      width: TILE_WIDTH,
    });
    if (!equalBytes(rootOfExpanded(nodes), hashInTile(parent, index % TILE_WIDTH)))
      throw this.#damaged(`${key} does not hash to its node`);
    const tile = { bytes: nodes.subarray(0, bytes.length), nodes };
    this.#tiles.set(name, tile);
    return tile;
  }

  async #fullBundle(log: Log, state: LogState, index: number): Promise<VerifiedBundle> {
    const key = bundleKey(log.name, index);
    const cached = this.#bundles.get(key);
    if (cached !== undefined) return cached;
    const bytes = await this.#store.get(key);
    let bounds: Uint32Array;
    try {
      bounds = boundsOf(log.name, index, bytes);
    } catch (error) {
      throw this.#damaged((error as Error).message);
    }
    const whole = bytes as Uint8Array;
    const hashes = await this.tile(log, state, { level: 0, index, width: TILE_WIDTH });
    const found = leafHashes(whole, bounds);
    if (!equalBytes(found, hashes)) {
      const place = Math.floor(found.findIndex((byte, i) => byte !== hashes[i]) / HASH_SIZE);
      throw this.#damaged(`${key} does not hold leaf ${index * TILE_WIDTH + place}`);
    }
    const bundle = { bytes: whole, leaves: decodeBundle(whole, TILE_WIDTH) };
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
  const first = fullTiles(level, state.treeSize);
  if (index < first) return undefined;
  const partial = state.partials[level];
  if (index > first || partial === undefined) throw new Error('bug: a tile beyond the tree was read');
  return partial;
}

function isOpenBundle(state: LogState, index: number): boolean {
  return index === Math.floor(state.treeSize / TILE_WIDTH);
}

/** Leaf index at which a node begins. */
function beginOf({ level, index }: NodeId): number {
  return index * powerOfTwo(level);
}

/** Short, because it is made for every look; the tile's own key takes a microsecond. */
function cacheKey(log: Log, level: number, index: number): string {
  return `${log.name}/${level}/${index}`;
}
