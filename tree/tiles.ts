/**
 * Tiles of C2SP tlog-tiles (draft of 2026-02): 256 hashes of one level, and the paths that name them.
 *
 * Tile (L, N) holds the hashes of the nodes (8L, 256N) to (8L, 256N + 255); a partial tile of width W is its first W hashes.
 * Worked example: entry 1,234,067 · 256 has its leaf hash first in `tile/0/x001/x234/067`.
 */
import { concatBytes } from './bytes.ts';
import { HASH_SIZE, nodeHash, nodeHashes, type TreeHash } from './hash.ts';
import { coveringNodes, type NodeId, powerOfTwo } from './positions.ts';

/** Hashes in a full tile, entries in a full bundle. */
export const TILE_WIDTH = 256;
/** Levels of the tree that one tile spans. */
export const TILE_HEIGHT = 8;

/** A tile, or part of one: `width` is 256 for a full one. */
export interface TileId {
  readonly level: number;
  readonly index: number;
  readonly width: number;
}

/** Leaves below one hash of a tile at this tile level: 256^level. */
export function tileSpan(level: number): number {
  return powerOfTwo(TILE_HEIGHT * level);
}

/** Full tiles at a tile level in a tree of that size. */
export function fullTiles(level: number, treeSize: number): number {
  return Math.floor(treeSize / tileSpan(level + 1));
}

/** Width of the partial tile at a tile level in a tree of that size; 0: there is none. */
export function partialWidth(level: number, treeSize: number): number {
  return Math.floor(treeSize / tileSpan(level)) % TILE_WIDTH;
}

/** Whether a tree of that size has this tile: within it, whatever the width asked for. */
export function tileExists(tile: TileId, treeSize: number): boolean {
  const hashes = Math.floor(treeSize / tileSpan(tile.level));
  return tile.index * TILE_WIDTH + tile.width <= hashes;
}

function indexPath(index: number): string {
  let path = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`;
  }
  return path;
}

function suffix(width: number): string {
  return width === TILE_WIDTH ? '' : `.p/${width}`;
}

/** Path of a tile below the log's base URL, such as `tile/1/x001/067.p/8`. */
export function tilePath(tile: TileId): string {
  return `tile/${tile.level}/${indexPath(tile.index)}${suffix(tile.width)}`;
}

/** Path of an entry bundle below the log's base URL, such as `tile/entries/273.p/112`. */
export function bundlePath(index: number, width: number = TILE_WIDTH): string {
  return `tile/entries/${indexPath(index)}${suffix(width)}`;
}

/** A tile or bundle path, parsed. */
export type TilePath =
  | { readonly kind: 'tile'; readonly tile: TileId }
  | { readonly kind: 'bundle'; readonly tile: TileId };

/**
 * Reads a tile or bundle path in its one canonical spelling; `undefined` for everything else.
 * The text comes from the network: a linear pattern first, then the numbers, then the spelling compared with our own.
 */
export function parseTilePath(path: string): TilePath | undefined {
  if (path.length > 64) return undefined;
  const match = /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(path);
  if (match === null) return undefined;
  const index = Number((match[2] as string).replaceAll(/[x/]/g, ''));
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3]);
  if (!Number.isSafeInteger(index) || (match[3] !== undefined && width >= TILE_WIDTH)) return undefined;
  if (match[1] === 'entries') {
    return bundlePath(index, width) === path ? { kind: 'bundle', tile: { level: 0, index, width } } : undefined;
  }
  const tile = { level: Number(match[1]), index, width };
  if (tile.level > 63) return undefined;
  return tilePath(tile) === path ? { kind: 'tile', tile } : undefined;
}

/** The tile that a node can be computed from, as wide as the node needs it. */
export function tileOfNode(node: NodeId): TileId {
  const level = Math.floor(node.level / TILE_HEIGHT);
  const span = powerOfTwo(node.level % TILE_HEIGHT);
  const first = node.index * span;
  return { level, index: Math.floor(first / TILE_WIDTH), width: (first % TILE_WIDTH) + span };
}

/** Hash i of a tile's bytes, as a view. */
export function hashInTile(bytes: Uint8Array, i: number): TreeHash {
  return bytes.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE) as TreeHash;
}

/**
 * All nodes over the hashes of a tile, full or partial: row r holds those of height r side by side, row 0 is the tile itself. Of a full tile row 8
 * is its root. Made in bulk, the 255 nodes of a full one take two thirds of the time of `hashRange` in Node, and a tenth in a browser.
 */
export function nodeRows(bytes: Uint8Array): Uint8Array[] {
  const rows = [bytes];
  for (let row = bytes; row.length >= 2 * HASH_SIZE; rows.push(row)) row = nodeHashes(row);
  return rows;
}

/** The frontier of the first `count` hashes of a tile, as views of its rows. */
export function frontierOfRows(rows: readonly Uint8Array[], count: number): TreeHash[] {
  return coveringNodes(0, count).map(({ level, index }) => hashInTile(rows[level] as Uint8Array, index));
}

/** Root of `count` (a power of two) hashes of a tile from `first` on: count − 1 hashes are computed. */
export function hashRange(bytes: Uint8Array, first: number, count: number): TreeHash {
  if (count === 1) return hashInTile(bytes, first);
  const half = count / 2;
  return nodeHash(hashRange(bytes, first, half), hashRange(bytes, first + half, half));
}

/** Hash of a node, from the bytes of its tile. Throws a RangeError if the tile is too short for it. */
export function nodeFromTile(node: NodeId, bytes: Uint8Array): TreeHash {
  const span = powerOfTwo(node.level % TILE_HEIGHT);
  const first = (node.index * span) % TILE_WIDTH;
  if ((first + span) * HASH_SIZE > bytes.length) throw new RangeError('tile too short for this node');
  return hashRange(bytes, first, span);
}

/** Hashes in a full tile and above it, its root included. */
const EXPANDED_WIDTH = 2 * TILE_WIDTH - 1;

/** All 511 nodes of a full tile side by side, 16,352 bytes: its 256 hashes, the 128 above them, and so on; the root is the last. */
export function expandTile(bytes: Uint8Array): Uint8Array {
  return concatBytes(...nodeRows(bytes));
}

/** The root of an expanded tile, as a view. */
export function rootOfExpanded(nodes: Uint8Array): TreeHash {
  return hashInTile(nodes, EXPANDED_WIDTH - 1);
}

/** Where a node stands among the nodes of its expanded tile: from 0 on its hashes, at 510 its root. */
export function placeInExpanded(node: NodeId): number {
  const height = node.level % TILE_HEIGHT;
  return 2 * TILE_WIDTH - powerOfTwo(TILE_HEIGHT + 1 - height) + (node.index % powerOfTwo(TILE_HEIGHT - height));
}
