import { describe, expect, test } from '@jest/globals';
import { unsnappy } from '../../../server/storage/snappy.ts';
import { utf8 } from '../../../tree/bytes.ts';

/** Bytes put together from numbers and texts. */
function bytes(...parts: readonly (number | string)[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...utf8(part)])));
}

function text(...parts: readonly (number | string)[]): string {
  return new TextDecoder().decode(unsnappy(bytes(...parts), 1000));
}

/** Made by hand from the format description: tag byte = length and kind. */
describe('elements', () => {
  test('a literal of up to 60 bytes', () => {
    expect(text(5, (5 - 1) * 4, 'hello')).toBe('hello');
  });

  test('literals whose length stands in one, two, three or four bytes after the tag', () => {
    const long = 'x'.repeat(300);
    expect(text(100, 60 * 4, 99, 'y'.repeat(100))).toBe('y'.repeat(100));
    expect(text(0xac, 0x02, 61 * 4, 299 % 256, 1, long)).toBe(long);
    expect(text(0xac, 0x02, 62 * 4, 299 % 256, 1, 0, long)).toBe(long);
    expect(text(0xac, 0x02, 63 * 4, 299 % 256, 1, 0, 0, long)).toBe(long);
  });

  test('copies with an offset of one, two and four bytes', () => {
    expect(text(8, 3 * 4, 'abcd', 1 + 0 * 4, 4)).toBe('abcdabcd');
    expect(text(8, 3 * 4, 'abcd', 2 + 3 * 4, 4, 0)).toBe('abcdabcd');
    expect(text(8, 3 * 4, 'abcd', 3 + 3 * 4, 4, 0, 0, 0)).toBe('abcdabcd');
  });

  test('the high bits of a short offset stand in the tag', () => {
    const long = `${'k'.repeat(299)}z`;
    expect(text(0xb0, 0x02, 61 * 4, 299 % 256, 1, long, 1 + 1 * 32, 300 - 256)).toBe(`${long}kkkk`);
  });

  test('a copy that overlaps what it writes repeats it', () => {
    expect(text(10, 1 * 4, 'ab', 2 + 7 * 4, 2, 0)).toBe('ababababab');
  });
});

test.each<[string, Uint8Array]>([
  ['nothing', bytes()],
  ['a length without bytes', bytes(5)],
  ['a literal that is cut off', bytes(5, 4 * 4, 'hel')],
  ['a literal longer than the whole', bytes(3, 4 * 4, 'hello')],
  ['a copy of what is not there yet', bytes(8, 3 * 4, 'abcd', 1, 5)],
  ['a copy with offset 0', bytes(8, 3 * 4, 'abcd', 1, 0)],
  ['a copy over the end', bytes(6, 3 * 4, 'abcd', 1, 4)],
  ['an offset that is cut off', bytes(8, 3 * 4, 'abcd', 2 + 3 * 4, 4)],
  ['too few bytes', bytes(9, 4 * 4, 'hello')],
  ['more than is allowed', bytes(0xe9, 0x07, 0)],
])('%s is refused', (_name, input) => {
  expect(() => unsnappy(input, 1000)).toThrow(RangeError);
});
