import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  concatBytes,
  equalBytes,
  fromBase64,
  fromHex,
  fromUtf8,
  parseDecimal,
  readU16,
  readU32,
  readU64,
  toBase64,
  toHex,
  u64,
  utf8,
  writeU16,
  writeU32,
  writeU64,
} from '../../tree/bytes.ts';

const anyBytes = fc.uint8Array({ maxLength: 100 });

describe('base64', () => {
  test('is what Node writes, and read back', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const text = toBase64(bytes);
        expect(text).toBe(Buffer.from(bytes).toString('base64'));
        expect(fromBase64(text)).toEqual(bytes);
      }),
    );
  });

  test('of more bytes than a call takes arguments', () => {
    const bytes = new Uint8Array(300_000).map((_, i) => i % 251);
    expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
  });

  test('every text that is accepted is the one that would be written', () => {
    const alphabet = fc.constantFrom(...'ABCQgwxyz019+/=-_ \n');
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 12 }), (text) => {
        let bytes: Uint8Array;
        try {
          bytes = fromBase64(text);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
          return;
        }
        expect(toBase64(bytes)).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    'A',
    'AA',
    'AAA',
    'AB==',
    'AAB=',
    'AA=A',
    'A===',
    '====',
    '=',
    'AA==\n',
    ' AAAA',
    'AA AA',
    'A-AA',
    'A_AA',
    'AAA=AAAA',
    'ÄAAA',
  ])('refuses %j', (text) => {
    expect(() => fromBase64(text)).toThrow(RangeError);
  });
});

describe('hexadecimal', () => {
  test('is what Node writes, and read back', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(toHex(bytes)).toBe(Buffer.from(bytes).toString('hex'));
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
  });

  test.each(['0', '0G', 'AB', '0x00', ' 00', '00\n', '0 00'])('refuses %j', (text) => {
    expect(() => fromHex(text)).toThrow(RangeError);
  });
});

describe('decimal', () => {
  test.each([
    ['0', 0],
    ['7', 7],
    ['10', 10],
    ['9007199254740991', 2 ** 53 - 1],
  ])('%s', (text, value) => {
    expect(parseDecimal(text)).toBe(value);
  });

  test.each([
    '',
    '00',
    '01',
    '+1',
    '-1',
    '-0',
    ' 7',
    '7 ',
    '7\n',
    '0x10',
    '1e3',
    '1.0',
    '12x',
    '1_000',
    '١',
    '9007199254740992',
    '9007199254740993',
    '9999999999999999',
    '18446744073709551615',
    'NaN',
    'Infinity',
  ])('refuses %j', (text) => {
    expect(() => parseDecimal(text)).toThrow(RangeError);
  });
});

describe('UTF-8', () => {
  test('keeps a byte order mark', () => {
    expect(fromUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe('\ufeffa');
    expect(utf8('\ufeffa')).toEqual(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61));
  });

  test.each(['ff', 'c080', 'eda080', 'f4908080', 'e282', '80'])('refuses the bytes %s', (hex) => {
    // By its name: the decoder's TypeError is of another realm than the test's.
    expect(() => fromUtf8(fromHex(hex))).toThrow(expect.objectContaining({ name: 'TypeError' }));
  });
});

describe('numbers', () => {
  test('are big-endian, and read back up to 2^53 - 1', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const expected = Buffer.alloc(8);
        expected.writeBigUInt64BE(BigInt(value));
        expect(toHex(u64(value))).toBe(expected.toString('hex'));
        expect(readU64(u64(value), 0)).toBe(value);
      }),
    );
  });

  test('of 16 and 32 bits', () => {
    const out = new Uint8Array(8);
    writeU16(out, 1, 0xabcd);
    writeU32(out, 3, 0xfedcba98);
    expect(toHex(out)).toBe('00abcdfedcba9800');
    expect(readU16(out, 1)).toBe(0xabcd);
    expect(readU32(out, 3)).toBe(0xfedcba98);
  });

  test('refuse what does not fit and what is not there', () => {
    expect(() => readU64(fromHex('0020000000000000'), 0)).toThrow(RangeError);
    expect(() => readU64(fromHex('ffffffffffffffff'), 0)).toThrow(RangeError);
    expect(readU64(fromHex('001fffffffffffff'), 0)).toBe(2 ** 53 - 1);
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN])
      expect(() => writeU64(new Uint8Array(8), 0, value)).toThrow(RangeError);
    expect(() => readU16(new Uint8Array(2), 1)).toThrow(RangeError);
    expect(() => readU16(new Uint8Array(2), -1)).toThrow(RangeError);
    expect(() => readU32(new Uint8Array(3), 0)).toThrow(RangeError);
    expect(() => readU64(new Uint8Array(7), 0)).toThrow(RangeError);
  });
});

test('joining and comparing', () => {
  expect(concatBytes()).toEqual(new Uint8Array(0));
  expect(concatBytes(Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3))).toEqual(Uint8Array.of(1, 2, 3));
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1))).toBe(false);
  expect(equalBytes(new Uint8Array(0), new Uint8Array(0))).toBe(true);
});
