/**
 * Snappy decompression (github.com/google/snappy, format_description.txt): LevelDB compresses the index blocks of its tables with
 * it. The length of the result, then elements: a tag whose lowest two bits say literal, or copy with an offset of 1, 2 or 4 bytes.
 */
import { Reader } from './manifest.ts';

/** Throws a RangeError on anything malformed, and on more than `most` bytes. */
export function unsnappy(compressed: Uint8Array, most: number): Uint8Array {
  const input = new Reader(compressed);
  const length = input.varint();
  if (length > most) throw new RangeError(`more than ${most} bytes`);
  const out = new Uint8Array(length);
  let at = 0;
  const little = (size: number): number => {
    const bytes = input.bytes(size);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (bytes[i] as number);
    return value;
  };
  while (!input.done) {
    const tag = little(1);
    const rest = Math.floor(tag / 4);
    if (tag % 4 === 0) {
      const literal = input.bytes((rest < 60 ? rest : little(rest - 59)) + 1);
      if (at + literal.length > length) throw new RangeError('a literal runs over the end');
      out.set(literal, at);
      at += literal.length;
      continue;
    }
    const short = tag % 4 === 1;
    const size = short ? (rest % 8) + 4 : rest + 1;
    const offset = short ? Math.floor(rest / 8) * 256 + little(1) : little(tag % 4 === 2 ? 2 : 4);
    if (offset === 0 || offset > at || at + size > length) throw new RangeError('a copy from outside');
    // Byte by byte: a copy may reach into what it writes.
    for (const end = at + size; at < end; at++) out[at] = out[at - offset] as number;
  }
  if (at !== length) throw new RangeError('shorter than it says');
  return out;
}
