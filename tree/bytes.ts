/**
 * Bytes, numbers and texts at the edges of the formats, for Node and browsers alike.
 *
 * Every parser here is strict: one value has one spelling, everything else throws. Indexes, sizes and
 * timestamps are u64 on the wire and JavaScript numbers in memory, refused above 2^53 - 1. This is the only file of the
 * core with bitwise operators; they never touch an index or a size.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of a text. Lone surrogates become U+FFFD, so check `isWellFormed()` first where that matters. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text of UTF-8 bytes, a leading BOM included. Throws a TypeError on invalid UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** A new array holding all parts, one after the other. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Whether two byte strings are the same. Not constant-time: compare digests of secrets, never secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const HEX = '0123456789abcdef';

/** Lowercase hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let out = '';
  // biome-ignore lint/suspicious/noBitwiseOperators: nibbles of one byte
  for (const byte of bytes) out += HEX.charAt(byte >> 4) + HEX.charAt(byte & 15);
  return out;
}

/** Bytes of a lowercase hexadecimal text of even length. Throws a RangeError on anything else. */
export function fromHex(text: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new RangeError('not lowercase hexadecimal');
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

/** Base64 of RFC 4648 §4: standard alphabet, padded. */
export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  // String.fromCharCode takes its input as arguments, so long inputs go in slices that no stack limit refuses.
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(binary);
}

/**
 * Bytes of a base64 text in its one canonical spelling (RFC 4648 §4, padded, zero trailing bits).
 * Throws a RangeError on anything else: `atob` and `Buffer` both accept several spellings of the same bytes.
 */
export function fromBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new RangeError('not base64');
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    throw new RangeError('not base64');
  }
  if (btoa(binary) !== text) throw new RangeError('not canonical base64');
  const out = new Uint8Array(binary.length);
  for (let i = 0; i < out.length; i++) out[i] = binary.charCodeAt(i);
  return out;
}

/**
 * A non-negative integer in canonical ASCII decimal: no sign, no leading zero, at most 2^53 - 1.
 * Throws a RangeError on anything else.
 */
export function parseDecimal(text: string): number {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text)) throw new RangeError('not a canonical decimal number');
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError('number above 2^53 - 1');
  return value;
}

/** Writes a 16-bit big-endian number, 0 to 65,535. */
export function writeU16(out: Uint8Array, at: number, value: number): void {
  // biome-ignore lint/suspicious/noBitwiseOperators: 16-bit value
  out[at] = value >>> 8;
  // biome-ignore lint/suspicious/noBitwiseOperators: 16-bit value
  out[at + 1] = value & 255;
}

/** Reads a 16-bit big-endian number. Throws a RangeError past the end. */
export function readU16(bytes: Uint8Array, at: number): number {
  if (at < 0 || at + 2 > bytes.length) throw new RangeError('truncated 16-bit number');
  return (bytes[at] as number) * 256 + (bytes[at + 1] as number);
}

/** Writes a 32-bit big-endian number. */
export function writeU32(out: Uint8Array, at: number, value: number): void {
  // biome-ignore lint/suspicious/noBitwiseOperators: upper and lower half
  writeU16(out, at, value >>> 16);
  // biome-ignore lint/suspicious/noBitwiseOperators: upper and lower half
  writeU16(out, at + 2, value & 65_535);
}

/** Reads a 32-bit big-endian number. Throws a RangeError past the end. */
export function readU32(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at) * 65536 + readU16(bytes, at + 2);
}

/** Writes a 64-bit big-endian number, 0 to 2^53 - 1. */
export function writeU64(out: Uint8Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned safe integer: ${value}`);
  writeU32(out, at, Math.floor(value / 4294967296));
  writeU32(out, at + 4, value % 4294967296);
}

/** Reads a 64-bit big-endian number. Throws a RangeError past the end and above 2^53 - 1. */
export function readU64(bytes: Uint8Array, at: number): number {
  const value = readU32(bytes, at) * 4294967296 + readU32(bytes, at + 4);
  if (!Number.isSafeInteger(value)) throw new RangeError('64-bit number above 2^53 - 1');
  return value;
}

/** The eight big-endian bytes of a number from 0 to 2^53 - 1. */
export function u64(value: number): Uint8Array {
  const out = new Uint8Array(8);
  writeU64(out, 0, value);
  return out;
}
