import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import {
  checkEventText,
  checkHeader,
  commitment,
  EVENT_FORM,
  EVENT_LEAF_SIZE,
  encodeEventLeaf,
  encodeHeader,
  isReservedRawLeaf,
  MAX_HEADER_SIZE,
  parseEventLeaf,
  parseHeader,
  SALT_SIZE,
} from '../../proofs/leaf.ts';
import { concatBytes, fromUtf8, toHex, utf8 } from '../../tree/bytes.ts';
import { codeOf } from './error-code.ts';

const origin = 'example.com/logs/main';
const salt = Uint8Array.from({ length: 32 }, (_, i) => i);
const header = utf8('{"by":"0123456789abcdef","via":"events"}');
const event = utf8('{"id":"1","text":"héllo"}');

describe('commitment', () => {
  test('is the hash of its parts in this order, made here with node:crypto', () => {
    const expected = createHash('sha256')
      .update(Uint8Array.of(2))
      .update(createHash('sha256').update(origin, 'utf8').digest())
      .update(salt)
      .update(Uint8Array.of(0, header.length))
      .update(header)
      .update(event)
      .digest('hex');
    expect(toHex(commitment({ origin, salt, header, event }))).toBe(expected);
  });

  test('has these very bytes, for ever', () => {
    expect(toHex(commitment({ origin, salt, header, event }))).toBe(
      'eb2239e3e254a889a8a9d221628ce3af86179b4b7fbb24285c96af718997accf',
    );
  });

  test('takes a header of two length bytes', () => {
    const long = utf8(`{"by":"system","via":"${'x'.repeat(300)}"}`);
    const expected = createHash('sha256')
      .update(Uint8Array.of(2))
      .update(createHash('sha256').update(origin, 'utf8').digest())
      .update(concatBytes(salt, Uint8Array.of(1, long.length - 256), long, event))
      .digest('hex');
    expect(toHex(commitment({ origin, salt, header: long, event }))).toBe(expected);
  });

  test('every part counts, and so does the border between header and event', () => {
    const base = { origin, salt, header, event };
    const seen = [
      base,
      { ...base, origin: `${origin}/` },
      { ...base, salt: salt.with(31, 0) },
      { ...base, header: utf8('{"by":"0123456789abcdee","via":"events"}') },
      { ...base, event: utf8('{"id":"1","text":"hello"}') },
      { ...base, header: header.slice(0, -1), event: concatBytes(header.slice(-1), event) },
    ].map((committed) => toHex(commitment(committed)));
    expect(new Set(seen).size).toBe(6);
  });

  test('refuses another salt length and a long header', () => {
    for (const size of [0, 16, 31, 33, 64])
      expect(codeOf(() => commitment({ origin, salt: new Uint8Array(size), header, event }))).toBe('bad_salt');
    expect(codeOf(() => commitment({ origin, salt, header: new Uint8Array(1025), event }))).toBe('bad_header');
    expect(commitment({ origin, salt, header: new Uint8Array(1024), event })).toHaveLength(32);
    expect([SALT_SIZE, MAX_HEADER_SIZE]).toEqual([32, 1024]);
  });
});

describe('leaf', () => {
  const hash = new Uint8Array(32).fill(0xab);

  test('has 41 bytes: form, time, commitment', () => {
    const leaf = encodeEventLeaf({ receivedAt: 1_767_225_600_123_456, commitment: hash });
    expect(toHex(leaf)).toBe(`01${(1_767_225_600_123_456).toString(16).padStart(16, '0')}${'ab'.repeat(32)}`);
    expect(leaf).toHaveLength(EVENT_LEAF_SIZE);
    expect(leaf[0]).toBe(EVENT_FORM);
    expect(EVENT_LEAF_SIZE).toBe(41);
  });

  test.each([0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1])('is read back, receivedAt %d', (receivedAt) => {
    const leaf = encodeEventLeaf({ receivedAt, commitment: hash });
    expect(parseEventLeaf(leaf)).toEqual({ receivedAt, commitment: hash });
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])('has no receivedAt of %d', (receivedAt) => {
    expect(codeOf(() => encodeEventLeaf({ receivedAt, commitment: hash }))).toBe('bad_received_at');
  });

  test('refuses other lengths, other forms and times above 2^53 - 1', () => {
    const leaf = encodeEventLeaf({ receivedAt: 1, commitment: hash });
    for (const bad of [
      new Uint8Array(0),
      leaf.slice(0, 40),
      concatBytes(leaf, Uint8Array.of(0)),
      leaf.with(0, 0),
      leaf.with(0, 0x11),
      leaf.with(2, 0x20),
      leaf.with(1, 0xff),
    ])
      expect(codeOf(() => parseEventLeaf(bad))).toBe('bad_leaf');
    expect(codeOf(() => encodeEventLeaf({ receivedAt: 1, commitment: hash.slice(1) }))).toBe('bad_leaf');
  });

  test('raw leaves of 41 bytes that begin below 0x20 are reserved, and no others', () => {
    for (let first = 0; first < 256; first++) {
      expect(isReservedRawLeaf(new Uint8Array(41).fill(first))).toBe(first < 0x20);
      expect(isReservedRawLeaf(new Uint8Array(40).fill(first))).toBe(false);
      expect(isReservedRawLeaf(new Uint8Array(42).fill(first))).toBe(false);
    }
    expect(isReservedRawLeaf(new Uint8Array(0))).toBe(false);
  });
});

describe('header', () => {
  test('is written in one order and read back', () => {
    const full = { n: 3, idempotency_key: 'k"\u00e9', via: 'events', by: 'system', id_pointer: '/id' };
    expect(fromUtf8(encodeHeader(full))).toBe(
      '{"by":"system","via":"events","id_pointer":"/id","idempotency_key":"k\\"é","n":3}',
    );
    expect(parseHeader(encodeHeader(full))).toEqual(full);
    expect(fromUtf8(encodeHeader({ by: 'a', via: 'b' }))).toBe('{"by":"a","via":"b"}');
    expect(Object.keys(parseHeader(encodeHeader({ by: 'a', via: 'b' })))).toEqual(['by', 'via']);
  });

  test('unknown members are ignored', () => {
    expect(parseHeader(utf8('{"sealed":[1],"by":"a","__proto__":{"n":1},"via":"b"}'))).toEqual({ by: 'a', via: 'b' });
  });

  test('is not written longer than 1,024 bytes', () => {
    const frame = utf8('{"by":"","via":""}').length;
    expect(encodeHeader({ by: '', via: 'x'.repeat(1024 - frame) })).toHaveLength(1024);
    expect(codeOf(() => encodeHeader({ by: '', via: 'x'.repeat(1025 - frame) }))).toBe('bad_header');
  });

  test.each([
    ['nothing', ''],
    ['no object', '[]'],
    ['null', 'null'],
    ['no JSON', '{by}'],
    ['white space around it', ' {"by":"a","via":"b"}'],
    ['two objects', '{"by":"a","via":"b"}{"by":"a","via":"b"}'],
    ['a byte order mark', '\ufeff{"by":"a","via":"b"}'],
  ])('refuses %s', (_, text) => {
    expect(codeOf(() => parseHeader(utf8(text)))).toBe('bad_header');
    expect(codeOf(() => checkHeader(utf8(text)))).toBe('bad_header');
  });

  test.each([
    ['no by', '{"via":"b"}'],
    ['no via', '{"by":"a"}'],
    ['a number for by', '{"by":1,"via":"b"}'],
    ['a number for id_pointer', '{"by":"a","via":"b","id_pointer":1}'],
    ['null for idempotency_key', '{"by":"a","via":"b","idempotency_key":null}'],
    ['a text for n', '{"by":"a","via":"b","n":"1"}'],
    ['a negative n', '{"by":"a","via":"b","n":-1}'],
    ['half an n', '{"by":"a","via":"b","n":0.5}'],
    ['a large n', '{"by":"a","via":"b","n":9007199254740992}'],
  ])('is an object, but cannot be read: %s', (_, text) => {
    checkHeader(utf8(text));
    expect(codeOf(() => parseHeader(utf8(text)))).toBe('bad_header');
  });

  test('refuses bytes that are not UTF-8, and more than 1,024', () => {
    const good = utf8('{"by":"a?","via":"b"}');
    expect(codeOf(() => parseHeader(good.map((byte) => (byte === 0x3f ? 0xff : byte))))).toBe('bad_header');
    expect(codeOf(() => checkHeader(utf8(`{"x":"${'y'.repeat(1017)}"}`)))).toBe('bad_header');
    checkHeader(utf8(`{"x":"${'y'.repeat(1016)}"}`));
  });
});

describe('event text', () => {
  test.each(['{}', '{"a":1}', '{ "a" : [ {} ] }', '{"a":1,"a":2}', '{"\\u0000":null}'])('%s is one', (text) => {
    checkEventText(utf8(text));
  });

  test.each([
    '',
    '{',
    '}',
    '[]',
    '1',
    '""',
    'null',
    ' {}',
    '{}\n',
    '\ufeff{}',
    '{}{}',
    '{a}',
    "{'a':1}",
    '{"a":1,}',
    '{"a":01}',
  ])('%j is none', (text) => {
    expect(codeOf(() => checkEventText(utf8(text)))).toBe('bad_event');
  });

  test('bytes that are not UTF-8 are none', () => {
    const bytes = utf8('{"a":"?"}');
    for (const byte of [0xff, 0x80, 0xc0]) {
      expect(codeOf(() => checkEventText(bytes.map((b) => (b === 0x3f ? byte : b))))).toBe('bad_event');
    }
  });

  test('deep nesting is judged and not a crash', () => {
    const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(['accepted', 'bad_event']).toContain(codeOf(() => checkEventText(utf8(deep))));
  });
});
