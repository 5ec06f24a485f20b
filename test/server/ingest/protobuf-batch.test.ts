import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeAppendRequest } from '../../../proto/messages.ts';
import { IngestError } from '../../../server/ingest/json-event.ts';
import { readBatch } from '../../../server/ingest/ndjson.ts';
import { readProtobufBatch, scanAppendRequest } from '../../../server/ingest/protobuf-batch.ts';
import { concatBytes, fromHex, fromUtf8, utf8 } from '../../../tree/bytes.ts';

const LIMITS = { maxEventSize: 100, maxEvents: 5 };

/** An AppendRequest, encoded by hand. */
function request(...events: readonly (string | Uint8Array)[]): Uint8Array {
  return concatBytes(
    ...events.map((event) => {
      const bytes = typeof event === 'string' ? utf8(event) : event;
      const length: number[] = [];
      let rest = bytes.length;
      for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
      return concatBytes(Uint8Array.of(10, ...length, rest), bytes);
    }),
  );
}

/** Events, or bad ones with their codes, as short texts. */
function read(body: Uint8Array, limits = LIMITS): string[] {
  const batch = readProtobufBatch(body, limits);
  return batch.kind === 'bad'
    ? batch.bad.map(({ position, code }) => `${position} ${code}`)
    : batch.events.map((event) => fromUtf8(event));
}

function codeOf(body: Uint8Array, limits = LIMITS): string {
  try {
    scanAppendRequest(body, limits);
    return 'accepted';
  } catch (error) {
    if (error instanceof IngestError) return error.code;
    throw error;
  }
}

describe('a batch', () => {
  test.each<readonly [string, Uint8Array, readonly string[]]>([
    ['one event', request('{"a":1}'), ['{"a":1}']],
    ['two events', request('{"a":1}', '{"a":2}'), ['{"a":1}', '{"a":2}']],
    ['line ends and white space around them', request('\n{"a":\n1}\r\n'), ['{"a":\n1}']],
    ['as many as allowed', request('{}', '{}', '{}', '{}', '{}'), ['{}', '{}', '{}', '{}', '{}']],
    ['one of the largest size', request(`{"a":"${'x'.repeat(92)}"}`), [`{"a":"${'x'.repeat(92)}"}`]],
    ['the same in white space', request(`  {"a":"${'x'.repeat(92)}"}\n`), [`{"a":"${'x'.repeat(92)}"}`]],
    ['a length in more bytes than it needs', fromHex('0a828080800' + '07b7d'), ['{}']],
    ['a tag in more bytes than it needs', fromHex('8a80808000' + '027b7d'), ['{}']],
    ['an empty event', request('{}', '', '{}'), ['1 empty_event']],
    ['a blank event', request('{}', ' \n '), ['1 empty_event']],
    [
      'bad ones among good ones',
      request('[]', '{}', '{"a":1,"a":2}', '{'),
      ['0 not_an_object', '2 duplicate_key', '3 malformed_json'],
    ],
    ['invalid UTF-8', request(Uint8Array.of(0x7b, 0xff, 0x7d)), ['0 invalid_utf8']],
    ['a byte order mark', request('\ufeff{}'), ['0 bom']],
    [
      'too large ones, named before the others',
      request(`{"a":"${'x'.repeat(93)}"}`, '[]', ' '.repeat(200), '{'.repeat(101)),
      ['0 event_too_large', '3 event_too_large'],
    ],
  ])('%s', (_name, body, expected) => {
    expect(read(body)).toEqual(expected);
  });

  test('errors are those of NDJSON', () => {
    const events = ['[]', '{}', '{"a":01}', '{"$sealed":1}', '{"a":"\\ud800"}', '{"a":1e999}'];
    const limits = { maxEventSize: 100, maxEvents: 10 };
    const lines = readBatch(utf8(events.join('\n')), limits);
    const positions = readProtobufBatch(request(...events), limits);
    if (lines.kind !== 'bad' || positions.kind !== 'bad') throw new Error('accepted');
    expect(positions.bad).toEqual(lines.bad.map(({ line, code, message }) => ({ position: line - 1, code, message })));
  });

  test('events are plain views of the body, also within a longer buffer', () => {
    const all = Buffer.concat([Buffer.from('xxx'), request('{"a":1}'), Buffer.from('{')]);
    const batch = readProtobufBatch(all.subarray(3, -1), LIMITS);
    if (batch.kind !== 'events') throw new Error('refused');
    const [event] = batch.events as [Uint8Array];
    expect(Object.getPrototypeOf(event)).toBe(Uint8Array.prototype);
    expect([event.buffer, fromUtf8(event)]).toEqual([all.buffer, '{"a":1}']);
  });
});

describe('bytes that are not one', () => {
  test.each<readonly [string, string, string]>([
    ['nothing', '', 'empty_batch'],
    ['field 0', '0200', 'malformed_protobuf'],
    ['a varint in field 1', '0801', 'malformed_protobuf'],
    ['64 bits in field 1', '090000000000000000', 'malformed_protobuf'],
    ['32 bits in field 1', '0d00000000', 'malformed_protobuf'],
    ['a group', '0b0c', 'malformed_protobuf'],
    ['groups in groups', '0b'.repeat(1000), 'malformed_protobuf'],
    ['the end of a group', '0c', 'malformed_protobuf'],
    ['wire type 6', '0e00', 'malformed_protobuf'],
    ['wire type 7', '0f00', 'malformed_protobuf'],
    ['a field that nobody knows', '0a027b7d1200', 'malformed_protobuf'],
    ['a number that nobody knows', '0a027b7d1001', 'malformed_protobuf'],
    ['the largest field', 'faffffff0f00', 'malformed_protobuf'],
    ['a tag cut off', '0a027b7d8a', 'malformed_protobuf'],
    ['a tag without a length', '0a', 'malformed_protobuf'],
    ['a length cut off', '0a80', 'malformed_protobuf'],
    ['an event cut off', '0a037b7d', 'malformed_protobuf'],
    ['a length of 2^32 - 1', '0affffffff0f', 'malformed_protobuf'],
    ['a length of 2^32', '0a8080808010', 'malformed_protobuf'],
    ['a length of six bytes', '0a8280808080007b7d', 'malformed_protobuf'],
    ['a length of ten bytes', '0affffffffffffffffff01', 'malformed_protobuf'],
    ['a length that never ends', `0a${'80'.repeat(100)}`, 'malformed_protobuf'],
    ['a tag of six bytes', '8a8080808000027b7d', 'malformed_protobuf'],
    ['JSON', Buffer.from('{"a":1}').toString('hex'), 'malformed_protobuf'],
    ['NDJSON', Buffer.from('\n{"a":1}\n').toString('hex'), 'malformed_protobuf'],
  ])('%s', (_name, hex, code) => {
    expect(codeOf(fromHex(hex))).toBe(code);
  });

  test('one event too many, before any is checked', () => {
    expect(() => readProtobufBatch(request('{', '{', '{', '{', '{', '{'), LIMITS)).toThrow(
      expect.objectContaining({ code: 'too_many_events', limit: 5 }),
    );
  });

  test('millions of empty events cost no more than the limit', () => {
    const body = new Uint8Array(4_000_000);
    for (let i = 0; i < body.length; i += 2) body[i] = 10;
    expect(codeOf(body, { maxEventSize: 100, maxEvents: 10_000 })).toBe('too_many_events');
  });

  test('an error says where', () => {
    expect(() => scanAppendRequest(fromHex('0a027b7d1200'), LIMITS)).toThrow(
      expect.objectContaining({ offset: 4, message: expect.stringContaining('at byte 4: field 2 with wire type 2') }),
    );
  });
});

describe('whatever the bytes', () => {
  const limits = { maxEventSize: 50, maxEvents: 20 };
  /** Bytes that are likely to mean something. */
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 6 }),
    fc.constantFrom(10, 0x8a, 0x80, 0, 2, 11, 0x0f, 0x7f).map((byte) => Uint8Array.of(byte)),
    fc.uint8Array({ maxLength: 60 }).map((event) => request(event)),
  );

  test('what is accepted protobufjs decodes, to as many events of the same sizes', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        const body = concatBytes(...pieces);
        if (codeOf(body, limits) !== 'accepted') return;
        const events = decodeAppendRequest(body);
        expect(events.length).toBeGreaterThan(0);
        expect(events.length).toBeLessThanOrEqual(limits.maxEvents);
        const large = events.flatMap((event, i) =>
          Buffer.from(event)
            .toString('latin1')
            .replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '').length > 50
            ? [i]
            : [],
        );
        expect(scanAppendRequest(body, limits)).toEqual(large);
      }),
      { numRuns: 5000 },
    );
  });

  test('a request that was encoded is accepted', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 20 }), (events) => {
        expect(codeOf(request(...events), limits)).toBe('accepted');
      }),
    );
  });
});
