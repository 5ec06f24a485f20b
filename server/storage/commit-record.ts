/**
 * Commit records: every commit carries one, chained to the one before, so that a database can say exactly how far it got.
 *
 * Layout, integers big-endian:
 *   u8 format = 1 ‖ store id (32) ‖ u64 n ‖ hash of record n − 1 (32) ‖ u32 number of logs ‖ S (32) ‖ u16 changed logs,
 *   then for each changed log: u8 length of the name ‖ name ‖ u64 tree size ‖ root hash (32).
 * The hash of a record is SHA-256 of these bytes; before record 1 it is 32 zero bytes. S is the sum modulo 2^256, over all
 * logs, of SHA-256(name ‖ u64 tree size ‖ root hash): one number that vouches for every log at the price of a hash for
 * each log that a commit changes.
 */

import { sha256 } from '#sha256';
import { equalBytes, fromUtf8, readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../../tree/bytes.ts';
import { asTreeHash, HASH_SIZE, type TreeHash } from '../../tree/hash.ts';

const FORMAT = 1;
const FIXED_SIZE = 1 + 32 + 8 + 32 + 4 + 32 + 2;
const MAX_CHANGED = 65_535;
const MAX_NAME = 255;

/** Commit records that stay in the database. */
export const RECORDS_KEPT = 1024;
/** So many commits may be durable that nobody was told of: one is stored while the one before it is being promised. */
export const MOST_ADOPTED = 2;
/** What stands for "hash of record n − 1" in record 1. */
export const NO_RECORD_HASH: Uint8Array = new Uint8Array(HASH_SIZE);

export interface LogHead {
  readonly name: string;
  readonly treeSize: number;
  readonly rootHash: TreeHash;
}

export interface CommitRecord {
  readonly storeId: Uint8Array;
  readonly n: number;
  readonly previous: Uint8Array;
  readonly logCount: number;
  readonly sum: Uint8Array;
  readonly changed: readonly LogHead[];
}

/** The bytes of a record. Throws a RangeError on more changed logs, or a longer name, than the layout can hold. */
export function encodeCommitRecord(record: CommitRecord): Uint8Array {
  if (record.changed.length > MAX_CHANGED) throw new RangeError('more changed logs than a commit record can hold');
  let size = FIXED_SIZE;
  for (const { name } of record.changed) size += 1 + Buffer.byteLength(name) + 8 + HASH_SIZE;
  const buffer = Buffer.alloc(size);
  const head = new Uint8Array(buffer.buffer, buffer.byteOffset, size);
  head[0] = FORMAT;
  head.set(record.storeId, 1);
  writeU64(head, 33, record.n);
  head.set(record.previous, 41);
  writeU32(head, 73, record.logCount);
  head.set(record.sum, 77);
  writeU16(head, 109, record.changed.length);
  let at = FIXED_SIZE;
  for (const { name, treeSize, rootHash } of record.changed) {
    const length = writeName(buffer, at + 1, name);
    head[at] = length;
    at += 1 + length;
    writeU64(head, at, treeSize);
    head.set(rootHash, at + 8);
    at += 8 + HASH_SIZE;
  }
  return head;
}

/** Reads a record. Throws a RangeError on anything that `encodeCommitRecord` would not have written. */
export function parseCommitRecord(bytes: Uint8Array): CommitRecord {
  if (bytes.length < FIXED_SIZE || bytes[0] !== FORMAT) throw new RangeError('not a commit record of format 1');
  const changed: LogHead[] = [];
  let at = FIXED_SIZE;
  for (let i = readU16(bytes, 109); i > 0; i--) {
    const nameEnd = at + 1 + (bytes[at] ?? 0);
    if (nameEnd + 8 + HASH_SIZE > bytes.length) throw new RangeError('truncated commit record');
    const name = nameOf(bytes.subarray(at + 1, nameEnd));
    const rootHash = asTreeHash(bytes.slice(nameEnd + 8, nameEnd + 8 + HASH_SIZE));
    changed.push({ name, treeSize: readU64(bytes, nameEnd), rootHash });
    at = nameEnd + 8 + HASH_SIZE;
  }
  if (at !== bytes.length) throw new RangeError('bytes after the end of a commit record');
  return {
    storeId: bytes.slice(1, 33),
    n: readU64(bytes, 33),
    previous: bytes.slice(41, 73),
    logCount: readU32(bytes, 73),
    sum: bytes.slice(77, 109),
    changed,
  };
}

/**
 * Writes a log's name where it stands, and returns its bytes: an array for each was a thirtieth of an append to one of thousands of logs. Throws
 * a RangeError on a name longer than the layout can hold.
 */
function writeName(into: Buffer, at: number, name: string): number {
  const length = into.write(name, at);
  if (length > MAX_NAME) throw new RangeError('a log name longer than a commit record can hold');
  return length;
}

function nameOf(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw new RangeError('a log name in a commit record is not UTF-8', { cause });
  }
}

/** SHA-256 of a record's stored bytes. */
export function commitRecordHash(bytes: Uint8Array): Uint8Array {
  return sha256(bytes);
}

/** Numbers of 32 bits that make one of 256, the most significant first. */
const WORDS = 8;

/** The sum S over a set of logs. Word by word: with bigints and what they leave to the collector a log took 0.6 µs more, of 10 in a commit. */
export class LogSum {
  readonly #words = new Uint32Array(WORDS);
  /** What each log adds to it, so that a commit makes one digest for each log that it touches and not two. */
  readonly #parts = new Map<string, Uint8Array>();

  /** Puts a log in with this head, in the place of the one that it had. */
  set(head: LogHead): void {
    const digest = digestOf(head);
    const part = this.#parts.get(head.name);
    this.#add(digest, 1);
    if (part === undefined) this.#parts.set(head.name, digest);
    else {
      this.#add(part, -1);
      // In its place: a new array for each commit would outlive two collections.
      part.set(digest);
    }
  }

  /** Adds a number to the sum, or takes it off, modulo 2^256. */
  #add(digest: Uint8Array, sign: 1 | -1): void {
    let carry = 0;
    for (let i = WORDS - 1; i >= 0; i--) {
      const word = (this.#words[i] as number) + sign * readU32(digest, 4 * i) + carry;
      // What is stored is modulo 2^32, below zero, too.
      this.#words[i] = word;
      carry = Math.floor(word / 2 ** 32);
    }
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(4 * WORDS);
    for (const [i, word] of this.#words.entries()) writeU32(bytes, 4 * i, word);
    return bytes;
  }

  equals(bytes: Uint8Array): boolean {
    return equalBytes(this.bytes(), bytes);
  }
}

/** What the digests are made of, one after the other: an array for each costs as much as the hash. Of a name that is too long, too much fits. */
const room = Buffer.alloc(MAX_NAME + 8 + HASH_SIZE);

/** Throws a RangeError on a name longer than the layout can hold. */
function digestOf({ name, treeSize, rootHash }: LogHead): Uint8Array {
  const length = writeName(room, 0, name);
  writeU64(room, length, treeSize);
  room.set(rootHash, length + 8);
  return sha256(new Uint8Array(room.buffer, room.byteOffset, length + 8 + HASH_SIZE));
}
