/**
 * The rows of one log, as bytes: edge, event, id and head. Fixed for ever; docs/format.md has the tables.
 *
 * These bytes come back from a disk that may lie, so every parser refuses what its encoder would not have written.
 */
import { decodeFrames } from '../../tree/bundles.ts';
import { fromBase64, readU16, readU64, toBase64, writeU16, writeU64 } from '../../tree/bytes.ts';
import { type Frontier, frontierLength } from '../../tree/frontier.ts';
import { asTreeHash, HASH_SIZE, type TreeHash } from '../../tree/hash.ts';
import type { Slab } from '../slab.ts';
import { encodeChecked, parseChecked } from './checked-json.ts';

/** The newest signed head, as the edge remembers it: `time` in milliseconds. */
export interface HeadMark {
  readonly treeSize: number;
  readonly time: number;
}

/** What a log is after a commit; rewritten by each commit that touches the log. */
export interface Edge {
  readonly treeSize: number;
  /** receivedAt of the last entry in microseconds; 0 while there is none. */
  readonly lastReceivedAt: number;
  readonly rootHash: TreeHash;
  readonly head: HeadMark;
  readonly frontier: Frontier;
}

const EDGE_FORMAT = 1;
const EDGE_FIXED = 1 + 8 + 8 + HASH_SIZE + 8 + 8;

/** u8 format = 1 ‖ u64 tree size ‖ u64 last receivedAt ‖ root hash ‖ u64 head size ‖ u64 head time ‖ frontier, largest first. */
export function encodeEdge(edge: Edge, slab?: Slab): Uint8Array {
  const { treeSize, lastReceivedAt, rootHash, head, frontier } = edge;
  const size = EDGE_FIXED + frontier.length * HASH_SIZE;
  const bytes = slab?.take(size) ?? new Uint8Array(size);
  bytes[0] = EDGE_FORMAT;
  writeU64(bytes, 1, treeSize);
  writeU64(bytes, 9, lastReceivedAt);
  bytes.set(rootHash, 17);
  writeU64(bytes, 49, head.treeSize);
  writeU64(bytes, 57, head.time);
  for (let i = 0; i < frontier.length; i++) bytes.set(frontier[i] as TreeHash, EDGE_FIXED + i * HASH_SIZE);
  return bytes;
}

/** Throws a RangeError on malformed bytes. */
export function parseEdge(bytes: Uint8Array): Edge {
  if (bytes.length < EDGE_FIXED || bytes[0] !== EDGE_FORMAT) throw new RangeError('not an edge of format 1');
  const treeSize = readU64(bytes, 1);
  const hashes = frontierLength(treeSize);
  if (bytes.length !== EDGE_FIXED + hashes * HASH_SIZE)
    throw new RangeError('edge with a frontier of the wrong length');
  const frontier: TreeHash[] = [];
  for (let at = EDGE_FIXED; at < bytes.length; at += HASH_SIZE)
    frontier.push(asTreeHash(bytes.slice(at, at + HASH_SIZE)));
  return {
    treeSize,
    lastReceivedAt: readU64(bytes, 9),
    rootHash: asTreeHash(bytes.slice(17, 17 + HASH_SIZE)),
    head: { treeSize: readU64(bytes, 49), time: readU64(bytes, 57) },
    frontier,
  };
}

/** State byte of an event row. Only plain rows are written so far. */
export const EVENT_PLAIN = 1;

const SALT_SIZE = 32;

/** What stands beside an events leaf: kept, encrypted and erased together. */
export interface EventRow {
  readonly salt: Uint8Array;
  readonly header: Uint8Array;
  readonly event: Uint8Array;
}

/** u8 state ‖ salt (32) ‖ u16 length of the header ‖ header ‖ event. */
export function encodeEventRow({ salt, header, event }: EventRow, slab?: Slab): Uint8Array {
  const start = 1 + SALT_SIZE + 2;
  const size = start + header.length + event.length;
  const out = slab?.take(size) ?? new Uint8Array(size);
  out[0] = EVENT_PLAIN;
  out.set(salt, 1);
  writeU16(out, 1 + SALT_SIZE, header.length);
  out.set(header, start);
  out.set(event, start + header.length);
  return out;
}

/** Throws a RangeError on malformed bytes and on a state other than plain. */
export function parseEventRow(bytes: Uint8Array): EventRow {
  if (bytes[0] !== EVENT_PLAIN) throw new RangeError(`event row in state ${bytes[0]}, which this version cannot read`);
  const start = 1 + SALT_SIZE + 2;
  const headerEnd = start + readU16(bytes, 1 + SALT_SIZE);
  if (headerEnd > bytes.length) throw new RangeError('truncated event row');
  return {
    salt: bytes.subarray(1, 1 + SALT_SIZE),
    header: bytes.subarray(start, headerEnd),
    event: bytes.subarray(headerEnd),
  };
}

/** Where an id was first used: the first leaf index and the number of entries. */
export interface IdRow {
  readonly leafIndex: number;
  readonly count: number;
}

/** u64 first leaf index ‖ u64 number of entries. */
export function encodeIdRow({ leafIndex, count }: IdRow, slab?: Slab): Uint8Array {
  const out = slab?.take(16) ?? new Uint8Array(16);
  writeU64(out, 0, leafIndex);
  writeU64(out, 8, count);
  return out;
}

export function parseIdRow(bytes: Uint8Array): IdRow {
  if (bytes.length !== 16) throw new RangeError('not an id row');
  return { leafIndex: readU64(bytes, 0), count: readU64(bytes, 8) };
}

/** A published head: the checkpoint as a signed note, when it was signed in milliseconds, and its RFC 6962 signature if one was made. */
export interface HeadRow {
  readonly checkpoint: string;
  readonly time: number;
  readonly signature?: Uint8Array | undefined;
}

/** JSON, so that cosignatures and timestamp tokens can join it; unknown members are ignored. */
export function encodeHeadRow({ checkpoint, time, signature }: HeadRow): Uint8Array {
  const signed = signature === undefined ? {} : { tree_head_signature: toBase64(signature) };
  return encodeChecked({ checkpoint, time, ...signed });
}

export function parseHeadRow(bytes: Uint8Array): HeadRow {
  const { checkpoint, time, tree_head_signature: signature } = parseChecked(bytes);
  if (typeof checkpoint !== 'string' || typeof time !== 'number' || !Number.isSafeInteger(time) || time < 0) {
    throw new RangeError('head row lacks its members');
  }
  if (signature === undefined) return { checkpoint, time };
  if (typeof signature !== 'string') throw new RangeError('head row with a signature that is no text');
  return { checkpoint, time, signature: fromBase64(signature) };
}

/** Reads an open row: leaves in bundle framing, one or more and at most `limit`, as views. Throws a RangeError. */
export function parseOpenRow(value: Uint8Array, limit: number): Uint8Array[] {
  const leaves = decodeFrames(value, limit + 1);
  if (leaves.length === 0 || leaves.length > limit) throw new RangeError(`it does not hold 1 to ${limit} leaves`);
  return leaves;
}
