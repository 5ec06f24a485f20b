/**
 * Runs of the by-hash index: the entries of leaves that follow each other, in the order of their keys, in rows of the derived store.
 *
 * A run never changes. Its entries stand in rows of the same number of entries; the first entries of all its rows stand once more in a
 * row of their own, its directory, if there are several. Which runs a log has says one row, the log row; so a run counts from the
 * moment that the log row names it. Rows of other runs are rubbish; the log row names those as well, so that a crash leaves none behind.
 *
 * LevelDB checks no checksum when it reads, so every row ends with one, over its key and its content: a row that is altered, missing, or
 * under another key is damage, and never a leaf that is not there.
 */
import { crc32 } from 'node:zlib';
import { concatBytes, readU32, utf8, writeU32 } from '../../tree/bytes.ts';
import type { DerivedRow } from '../storage/derived.ts';
import { ENTRY_WORDS } from './entries.ts';

/** What is stored is not what was written; the index is to be made again. */
export class IndexDamage extends Error {}

export interface Run {
  readonly id: number;
  /** Leaf index that the offsets count from. */
  readonly first: number;
  /** Leaves. */
  readonly count: number;
  /** The first entry of each row, once somebody has read it. */
  directory?: Uint32Array | undefined;
}

/** What a log has in the store: a value, replaced with every write. */
export interface LogRuns {
  /** In the order of the log, from its first leaf on, without gaps. */
  readonly runs: readonly Run[];
  /** Runs of which there may be rows, and which nobody reads any more or can read yet. */
  readonly rubbish: readonly Run[];
  readonly nextId: number;
}

export const NO_RUNS: LogRuns = { runs: [], rubbish: [], nextId: 0 };

/** Entries in a row: 6 KiB, of which a look-up reads one a run. */
export const ROW_ENTRIES = 512;

const LOG_ROW = 1;
const RUN_ROW = 2;
/** Number of a directory among the rows of its run. */
const DIRECTORY = 0xffffffff;
const CHECK_SIZE = 4;

/** First leaf index that is in none of the runs. */
export function endOf({ runs }: LogRuns): number {
  const last = runs.at(-1);
  return last === undefined ? 0 : last.first + last.count;
}

/** Rows of a run, without its directory. */
export function rowCount({ count }: Run): number {
  return Math.ceil(count / ROW_ENTRIES);
}

export function logKey(log: string): Uint8Array {
  return concatBytes(Uint8Array.of(LOG_ROW), utf8(log));
}

/** What the keys of all rows of runs of a log begin with. */
export function runPrefix(log: string): Uint8Array {
  return concatBytes(Uint8Array.of(RUN_ROW, log.length), utf8(log));
}

/** What comes after all keys with that prefix. */
export function afterPrefix(prefix: Uint8Array): Uint8Array {
  return concatBytes(prefix, new Uint8Array(9).fill(255));
}

/** 0x02 ‖ u8 length of the log's name ‖ log ‖ u32 run ‖ u32 row. */
export function rowKey(prefix: Uint8Array, run: Run, row: number): Uint8Array {
  const key = new Uint8Array(prefix.length + 8);
  key.set(prefix);
  writeU32(key, prefix.length, run.id);
  writeU32(key, prefix.length + 4, row);
  return key;
}

export function directoryKey(prefix: Uint8Array, run: Run): Uint8Array {
  return rowKey(prefix, run, DIRECTORY);
}

/** Content ‖ u32 CRC-32 of key ‖ content. */
export function seal(key: Uint8Array, content: Uint8Array): Uint8Array {
  const value = new Uint8Array(content.length + CHECK_SIZE);
  value.set(content);
  writeU32(value, content.length, crc32(content, crc32(key)));
  return value;
}

/** The content of a sealed row, as a view. Throws IndexDamage. */
export function unseal(key: Uint8Array, value: Uint8Array | undefined): Uint8Array {
  const length = (value?.length ?? 0) - CHECK_SIZE;
  const content = value?.subarray(0, Math.max(0, length));
  if (value === undefined || content === undefined || length < 0)
    throw new IndexDamage('a row of the by-hash index is missing');
  if (readU32(value, length) !== crc32(content, crc32(key)))
    throw new IndexDamage('a row of the by-hash index is damaged');
  return content;
}

/** A row of entries; the words stand in the machine's own order of bytes. */
export function entriesRow(key: Uint8Array, entries: Uint32Array): DerivedRow {
  return { key, value: seal(key, new Uint8Array(entries.buffer, entries.byteOffset, entries.byteLength)) };
}

/** The entries of such a row, `count` of them. Throws IndexDamage. */
export function parseEntries(key: Uint8Array, value: Uint8Array | undefined, count: number): Uint32Array {
  const content = unseal(key, value);
  const entries = new Uint32Array(count * ENTRY_WORDS);
  if (content.length !== entries.byteLength) throw new IndexDamage('a row of the by-hash index has the wrong length');
  // Copied, for words must lie at multiples of four bytes.
  new Uint8Array(entries.buffer).set(content);
  return entries;
}

/** All rows of a run with these entries. Its directory is kept at hand. */
export function runRows(prefix: Uint8Array, run: Run, entries: Uint32Array): DerivedRow[] {
  const rows: DerivedRow[] = [];
  const count = rowCount(run);
  const directory = new Uint32Array(count * ENTRY_WORDS);
  for (let row = 0; row < count; row++) {
    const first = row * ROW_ENTRIES * ENTRY_WORDS;
    const part = entries.subarray(first, first + ROW_ENTRIES * ENTRY_WORDS);
    directory.set(part.subarray(0, ENTRY_WORDS), row * ENTRY_WORDS);
    rows.push(entriesRow(rowKey(prefix, run, row), part));
  }
  run.directory = directory;
  if (count > 1) rows.push(entriesRow(directoryKey(prefix, run), directory));
  return rows;
}

/** u32 next run ‖ twice (runs, rubbish): u16 number, then for each u32 id ‖ u32 leaves. */
export function logRow(log: string, { runs, rubbish, nextId }: LogRuns): DerivedRow {
  const content = new DataView(new ArrayBuffer(8 + 8 * (runs.length + rubbish.length)));
  content.setUint32(0, nextId);
  let at = 4;
  for (const list of [runs, rubbish]) {
    content.setUint16(at, list.length);
    at += 2;
    for (const { id, count } of list) {
      content.setUint32(at, id);
      content.setUint32(at + 4, count);
      at += 8;
    }
  }
  const key = logKey(log);
  return { key, value: seal(key, new Uint8Array(content.buffer)) };
}

/** Reads a log row. Throws IndexDamage, also where a row with the right checksum is shorter or longer than it says. */
export function parseLogRow(log: string, value: Uint8Array): LogRuns {
  const bytes = unseal(logKey(log), value);
  const content = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  /** Where the next so many bytes begin. */
  const take = (size: number): number => {
    at += size;
    if (at > content.byteLength) throw new IndexDamage('a row of the by-hash index is cut off');
    return at - size;
  };
  const list = (): Run[] => {
    const length = content.getUint16(take(2));
    let first = 0;
    return Array.from({ length }, () => {
      const run = { id: content.getUint32(take(4)), first, count: content.getUint32(take(4)) };
      if (run.count === 0) throw new IndexDamage('a run of the by-hash index has no leaves');
      first += run.count;
      return run;
    });
  };
  const row = { nextId: content.getUint32(take(4)), runs: list(), rubbish: list() };
  if (at !== content.byteLength) throw new IndexDamage('a row of the by-hash index has more than it says');
  return row;
}
