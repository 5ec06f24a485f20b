/**
 * LevelDB's log files, record by record. The MANIFEST is one, too.
 *
 * A file is a row of blocks of 32,768 bytes. A block holds records: u32 little-endian masked CRC-32C of type and data ‖ u16
 * little-endian length ‖ u8 type (1 full, 2 first, 3 middle, 4 last) ‖ data. Up to 6 bytes at the end of a block are zero.
 */
import { concatBytes, readU16 } from '../../tree/bytes.ts';

const BLOCK = 32_768;
const HEADER = 7;
const FULL = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;

/** Where the first thing stands that is no whole record. */
export interface LogFault {
  readonly offset: number;
  /** Whether a crash explains it: only nothing, zeros or a cut-off record follow. */
  readonly torn: boolean;
  /** Whether LevelDB takes it for damage: pieces of a record, and then zeros, it does although they are torn. */
  readonly told: boolean;
}

/** The first fault of a log file, or `undefined` where all of it is whole. `onRecord` gets the data of each whole record. */
export function scanLog(bytes: Uint8Array, onRecord?: (data: Uint8Array) => void): LogFault | undefined {
  /** Pieces of the record that is not complete yet, and where it began. */
  let open: { readonly offset: number; readonly pieces: Uint8Array[] } | undefined;
  for (let at = 0; at < bytes.length; ) {
    const left = BLOCK - (at % BLOCK);
    if (left < HEADER) {
      if (!isZero(bytes, at, Math.min(at + left, bytes.length))) return damage(at);
      at += left;
      continue;
    }
    const size = recordSize(bytes, at, left);
    if (size === undefined) {
      if (!isTornTail(bytes, at, left)) return damage(open?.offset ?? at);
      return open === undefined ? torn(at) : { ...torn(open.offset), told: isZero(bytes, at, bytes.length) };
    }
    const type = bytes[at + 6] as number;
    const data = bytes.subarray(at + HEADER, at + size);
    if ((type === MIDDLE || type === LAST) !== (open !== undefined)) return damage(at);
    if (type === FIRST) open = { offset: at, pieces: [data] };
    else open?.pieces.push(data);
    if (type === FULL || type === LAST) {
      if (onRecord !== undefined) onRecord(open === undefined ? data : concatBytes(...open.pieces));
      open = undefined;
    }
    at += size;
  }
  return open === undefined ? undefined : torn(open.offset);
}

/**
 * Data of the whole records behind a fault: those that its own length leads to, and those of later blocks, which each begin with a record. LevelDB goes on
 * with the next block.
 */
export function* recordsBehind(bytes: Uint8Array, { offset }: LogFault): Generator<Uint8Array> {
  let pieces: Uint8Array[] | undefined;
  for (let at = offset; at + HEADER <= bytes.length; ) {
    const left = BLOCK - (at % BLOCK);
    const end = HEADER + (left < HEADER ? left : littleU16(bytes, at + 4));
    const type = bytes[at + 6] as number;
    if (left < HEADER || type < FULL || type > LAST || end > left) {
      at += left;
    } else if (recordSize(bytes, at, left) === undefined) {
      pieces = undefined;
      at += end;
    } else {
      const data = bytes.subarray(at + HEADER, at + end);
      if (type === FULL || type === FIRST) pieces = [data];
      else pieces?.push(data);
      if (pieces !== undefined && (type === FULL || type === LAST)) yield concatBytes(...pieces);
      at += end;
    }
  }
}

function damage(offset: number): LogFault {
  return { offset, torn: false, told: true };
}

function torn(offset: number): LogFault {
  return { offset, torn: true, told: false };
}

/** Size of the whole, correct record at `at`, header included; `undefined` for anything else. */
function recordSize(bytes: Uint8Array, at: number, left: number): number | undefined {
  if (at + HEADER > bytes.length) return undefined;
  const length = littleU16(bytes, at + 4);
  const type = bytes[at + 6] as number;
  if (type < FULL || type > LAST || HEADER + length > left || at + HEADER + length > bytes.length) return undefined;
  const stored = littleU16(bytes, at) + littleU16(bytes, at + 2) * 65_536;
  return maskedCrc(bytes, at + 6, at + HEADER + length) === stored ? HEADER + length : undefined;
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

export function littleU16(bytes: Uint8Array, at: number): number {
  const swapped = readU16(bytes, at);
  return (swapped % 256) * 256 + Math.floor(swapped / 256);
}

/** CRC-32C of bytes[from, to) as LevelDB stores it: rotated and shifted, since data may hold checksums itself (its `crc32c.h`). */
export function maskedCrc(bytes: Uint8Array, from: number, to: number): number {
  const crc = crc32c(bytes, from, to);
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
