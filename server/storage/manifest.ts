/**
 * LevelDB's MANIFEST: which log files and tables are alive. It is a log file (log-format.ts) of version edits, each a row of tagged
 * numbers and texts (LevelDB's `version_edit.cc`). LevelDB reads it with checksums and refuses a damaged one itself.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { scanLog } from './log-format.ts';

/** A table as the MANIFEST describes it. Keys are texts, without the eight bytes that LevelDB adds. */
export interface TableFile {
  readonly number: number;
  /** Bytes. */
  readonly size: number;
  readonly smallest: string;
  readonly largest: string;
}

export interface Manifest {
  /** Number of the oldest log file that LevelDB would read. */
  readonly firstLog: number;
  readonly tables: readonly TableFile[];
}

const TAG = { comparator: 1, log: 2, next: 3, lastSequence: 4, compaction: 5, deleted: 6, table: 7, previousLog: 9 };

/** Where a table stands. */
export function tableFile(path: string, { number }: Pick<TableFile, 'number'>): string {
  return join(path, `${String(number).padStart(6, '0')}.ldb`);
}

/** What the MANIFEST says that CURRENT names; `undefined` if there is none that can be read. */
export function readManifest(path: string): Manifest | undefined {
  const current = join(path, 'CURRENT');
  const file = existsSync(current) ? join(path, readFileSync(current, 'utf8').trim()) : undefined;
  if (file === undefined || !existsSync(file)) return undefined;
  const tables = new Map<number, TableFile>();
  const logs = { log: 0, previous: 0 };
  try {
    scanLog(readFileSync(file), (edit) => apply(new Reader(edit), tables, logs));
  } catch {
    return undefined;
  }
  const { log, previous } = logs;
  return { firstLog: previous > 0 ? Math.min(previous, log) : log, tables: [...tables.values()] };
}

function apply(edit: Reader, tables: Map<number, TableFile>, logs: { log: number; previous: number }): void {
  while (!edit.done) {
    const tag = edit.varint();
    if (tag === TAG.comparator) edit.bytes();
    else if (tag === TAG.log) logs.log = edit.varint();
    else if (tag === TAG.previousLog) logs.previous = edit.varint();
    else if (tag === TAG.next || tag === TAG.lastSequence) edit.varint();
    else if (tag === TAG.compaction) {
      edit.varint();
      edit.bytes();
    } else if (tag === TAG.deleted) {
      edit.varint();
      tables.delete(edit.varint());
    } else if (tag === TAG.table) {
      edit.varint();
      const number = edit.varint();
      const size = edit.varint();
      tables.set(number, { number, size, smallest: userKey(edit.bytes()), largest: userKey(edit.bytes()) });
    } else throw new RangeError(`unknown tag ${tag} in a version edit`);
  }
}

/** Sequence number and type, eight bytes, stand after each key. Ours are ASCII; of a damaged one, only the order matters. */
export function userKey(internal: Uint8Array): string {
  if (internal.length < 8) throw new RangeError('a key of LevelDB has at least eight bytes');
  return Buffer.from(internal.subarray(0, -8)).toString('latin1');
}

/** Of the tenth byte of a number, the last that one can have. */
const MAX_VARINT_FACTOR = 2 ** 63;

/** Reads LevelDB's variable-length numbers and texts. Throws a RangeError at the end of the bytes. */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** A number of seven bits a byte, lowest first; refused above 2^53 − 1. */
  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new RangeError('a number is cut off');
      // Without this a long row of bytes ends in NaN, and no file would count as live.
      if (factor > MAX_VARINT_FACTOR) throw new RangeError('a number of more than ten bytes');
      value += (byte % 128) * factor;
      if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('a number is too large');
      if (byte < 128) return value;
    }
  }

  /** So many bytes; without a number, as many as the number before them says. */
  bytes(length: number = this.varint()): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('bytes are cut off');
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }
}
