/**
 * Looking at LevelDB's log files before LevelDB does, and at what it says after.
 *
 * LevelDB skips damaged blocks of its log, goes on with the next one, deletes the file, and says so in a text file only: one
 * flipped bit drops whole commits, and nobody is told (docs/design.md). So every `*.log` that LevelDB would read is read here
 * first. Whatever is not a whole record with the right checksum is damage, but for one thing: a torn record at the very end of the
 * newest file is what a crash leaves behind, and was never acknowledged.
 *
 * A file is a row of blocks of 32,768 bytes. A block holds records: u32 little-endian masked CRC-32C of type and data ‖ u16
 * little-endian length ‖ u8 type (1 full, 2 first, 3 middle, 4 last) ‖ data. Up to 6 bytes at the end of a block are zero.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { concatBytes, readU16 } from '../../tree/bytes.ts';
import { StorageError } from './store.ts';

const BLOCK = 32_768;
const HEADER = 7;
const FULL = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;

/** Where the first thing stands that is no whole record, and whether only nothing, zeros or a cut-off record follow. */
export interface LogFault {
  readonly offset: number;
  readonly torn: boolean;
}

/** The first fault of a log file, or `undefined` where all of it is whole. `onRecord` gets the data of each whole record. */
export function scanLog(bytes: Uint8Array, onRecord?: (data: Uint8Array) => void): LogFault | undefined {
  /** Pieces of the record that is not complete yet, and where it began. */
  let open: { readonly offset: number; readonly pieces: Uint8Array[] } | undefined;
  for (let at = 0; at < bytes.length; ) {
    const left = BLOCK - (at % BLOCK);
    if (left < HEADER) {
      if (!isZero(bytes, at, Math.min(at + left, bytes.length))) return { offset: at, torn: false };
      at += left;
      continue;
    }
    const size = recordSize(bytes, at, left);
    if (size === undefined) return { offset: open?.offset ?? at, torn: isTornTail(bytes, at, left) };
    const type = bytes[at + 6] as number;
    const data = bytes.subarray(at + HEADER, at + size);
    if ((type === MIDDLE || type === LAST) !== (open !== undefined)) return { offset: at, torn: false };
    if (type === FIRST) open = { offset: at, pieces: [data] };
    else open?.pieces.push(data);
    if (type === FULL || type === LAST) {
      if (onRecord !== undefined) onRecord(open === undefined ? data : concatBytes(...open.pieces));
      open = undefined;
    }
    at += size;
  }
  return open === undefined ? undefined : { offset: open.offset, torn: true };
}

/** Size of the whole, correct record at `at`, header included; `undefined` for anything else. */
function recordSize(bytes: Uint8Array, at: number, left: number): number | undefined {
  if (at + HEADER > bytes.length) return undefined;
  const length = littleU16(bytes, at + 4);
  const type = bytes[at + 6] as number;
  if (type < FULL || type > LAST || HEADER + length > left || at + HEADER + length > bytes.length) return undefined;
  const stored = littleU16(bytes, at) + littleU16(bytes, at + 2) * 65_536;
  return mask(crc32c(bytes, at + 6, at + HEADER + length)) === stored ? HEADER + length : undefined;
}

/**
 * Whether a crash explains what begins at `at`: the file ends within this record, or there are only zeros (space that the file
 * system had allotted). A record that is complete and wrong, or followed by anything, is damage.
 */
function isTornTail(bytes: Uint8Array, at: number, left: number): boolean {
  if (isZero(bytes, at, bytes.length)) return true;
  if (at + HEADER > bytes.length) return true;
  const length = littleU16(bytes, at + 4);
  const type = bytes[at + 6] as number;
  return type >= FULL && type <= LAST && HEADER + length <= left && at + HEADER + length > bytes.length;
}

function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false;
  return true;
}

function littleU16(bytes: Uint8Array, at: number): number {
  const swapped = readU16(bytes, at);
  return (swapped % 256) * 256 + Math.floor(swapped / 256);
}

/** LevelDB stores checksums of data that may hold checksums rotated and shifted (its `crc32c.h`). */
function mask(crc: number): number {
  const rotated = Math.floor(crc / 32_768) + (crc % 32_768) * 131_072;
  return (rotated + 0xa282ead8) % 4_294_967_296;
}

/** CRC-32C (Castagnoli, RFC 3720 §B.4) of bytes[from, to). */
export function crc32c(bytes: Uint8Array, from: number, to: number): number {
  // biome-ignore-start lint/suspicious/noBitwiseOperators: 32-bit arithmetic is what a CRC is
  let crc = 0xffffffff;
  for (let i = from; i < to; i++) crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[i] as number)) & 255] as number);
  return (crc ^ 0xffffffff) >>> 0;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});
// biome-ignore-end lint/suspicious/noBitwiseOperators: end of the CRC

/**
 * Reads the log files of a database that is not open. Those below the number that the MANIFEST names are left-overs that LevelDB
 * only forgot to delete. Throws StorageError `unreadable` where one is damaged.
 */
export function checkLogFiles(path: string): void {
  const first = firstLiveLog(path);
  const numbers = (existsSync(path) ? readdirSync(path) : [])
    .filter((name) => /^[0-9]+\.log$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .filter((number) => number >= first)
    .sort((a, b) => b - a);
  // A file that was made for what comes next and has nothing in it yet does not count as the newest.
  let newest = true;
  for (const number of numbers) {
    const file = join(path, `${String(number).padStart(6, '0')}.log`);
    const bytes = readFileSync(file);
    const fault = scanLog(bytes);
    if (fault !== undefined && !(fault.torn && newest)) {
      throw new StorageError(
        'unreadable',
        `${file} is damaged at byte ${fault.offset}: opening it would drop commits without a word. Restore the data directory from a copy.`,
      );
    }
    if (bytes.length > 0) newest = false;
  }
}

/** Number of the oldest log file that LevelDB would read, as the MANIFEST says; 0 if that cannot be told, so that all count. */
function firstLiveLog(path: string): number {
  const current = join(path, 'CURRENT');
  const manifest = existsSync(current) ? join(path, readFileSync(current, 'utf8').trim()) : undefined;
  if (manifest === undefined || !existsSync(manifest)) return 0;
  let log = 0;
  let previous = 0;
  try {
    scanLog(readFileSync(manifest), (edit) => {
      for (const [tag, number] of numbersOfEdit(edit)) {
        if (tag === TAG_LOG) log = number;
        if (tag === TAG_PREVIOUS_LOG) previous = number;
      }
    });
  } catch {
    return 0; // LevelDB reads it with checksums and will refuse it itself.
  }
  return previous > 0 ? Math.min(previous, log) : log;
}

const TAG_LOG = 2;
const TAG_PREVIOUS_LOG = 9;
/** Of the tenth byte of a number, the last that one can have. */
const MAX_VARINT_FACTOR = 2 ** 63;

/** The numbers that a version edit sets, by tag (LevelDB's `version_edit.cc`). Throws a RangeError on what it cannot read. */
function* numbersOfEdit(edit: Uint8Array): Generator<readonly [tag: number, value: number]> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = edit[at++];
      if (byte === undefined) throw new RangeError('truncated version edit');
      // Without this a long row of bytes ends in NaN, and no file would count as live.
      if (factor > MAX_VARINT_FACTOR) throw new RangeError('a number of more than ten bytes in a version edit');
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  };
  const skipText = (): void => {
    const length = varint();
    at += length;
  };
  while (at < edit.length) {
    const tag = varint();
    if (tag === 1) skipText();
    else if (tag === TAG_LOG || tag === 3 || tag === 4 || tag === TAG_PREVIOUS_LOG) yield [tag, varint()];
    else if (tag === 5) {
      varint();
      skipText();
    } else if (tag === 6) {
      varint();
      varint();
    } else if (tag === 7) {
      for (let i = 0; i < 3; i++) varint();
      skipText();
      skipText();
    } else throw new RangeError(`unknown tag ${tag} in a version edit`);
  }
}

/** Looks for damage that LevelDB noticed, dropped and went on from. Throws StorageError `unreadable`. */
export function checkTextLog(path: string): void {
  const file = join(path, 'LOG');
  const line = existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .find((text) => /dropping|corrupt|ignoring error/i.test(text))
    : undefined;
  if (line !== undefined)
    throw new StorageError('unreadable', `LevelDB found damage in ${path} when it opened it: ${line.trim()}`);
}
