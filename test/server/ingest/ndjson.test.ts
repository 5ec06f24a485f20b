import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Batch, readBatch, splitLines } from '../../../server/ingest/ndjson.ts';
import { fromUtf8, utf8 } from '../../../tree/bytes.ts';

const LIMITS = { maxEventSize: 100, maxEvents: 5 };

/** Events and their lines, or bad lines and their codes, as short texts. */
function read(body: string | Uint8Array, limits = LIMITS): string[] {
  const batch: Batch = readBatch(typeof body === 'string' ? utf8(body) : body, limits);
  if (batch.kind === 'bad') return batch.bad.map(({ line, code }) => `${line} ${code}`);
  return batch.events.map((event, i) => `${batch.lines[i]} ${fromUtf8(event)}`);
}

describe('lines', () => {
  test.each<readonly [string, string, readonly string[]]>([
    ['one line without an end', '{"a":1}', ['1 {"a":1}']],
    ['one line', '{"a":1}\n', ['1 {"a":1}']],
    ['two lines', '{"a":1}\n{"a":2}', ['1 {"a":1}', '2 {"a":2}']],
    ['CRLF', '{"a":1}\r\n{"a":2}\r\n', ['1 {"a":1}', '2 {"a":2}']],
    ['empty lines', '\n\n{"a":1}\n\n{"a":2}\n\n', ['3 {"a":1}', '5 {"a":2}']],
    ['blank lines', ' \t\r\n{"a":1}\n \n', ['2 {"a":1}']],
    ['white space around', '  {"a":1}\t\n', ['1 {"a":1}']],
    ['LF in an escape', '{"a":"\\n"}\n', ['1 {"a":"\\n"}']],
    ['a line separator in a string', '{"a":"\u2028"}\n', ['1 {"a":"\u2028"}']],
    ['as many as allowed', '{}\n{}\n{}\n{}\n{}\n\n', ['1 {}', '2 {}', '3 {}', '4 {}', '5 {}']],
    ['an event over two lines', '{"a":\n1}', ['1 malformed_json', '2 malformed_json']],
    ['CR as an end of line', '{}\r{}', ['1 malformed_json']],
    ['two events on a line', '{}{}', ['1 malformed_json']],
    ['an array', '[{},{}]', ['1 not_an_object']],
    ['a byte order mark', '\ufeff{}\n{}', ['1 bom']],
    ['a byte order mark on a later line', '{}\n\ufeff{}', ['2 bom']],
    ['one bad line among good ones', '{}\n\n{"a":1,"a":2}\n{}', ['3 duplicate_key']],
    ['three bad lines', '[]\n{}\n{\n{"$sealed":1}', ['1 not_an_object', '3 malformed_json', '4 reserved_member']],
    ['a line too long', `{"a":"${'x'.repeat(93)}"}\n{}`, ['1 event_too_large']],
    ['a line of the longest size, with CR', `{"a":"${'x'.repeat(92)}"}\r\n`, [`1 {"a":"${'x'.repeat(92)}"}`]],
  ])('%s', (_name, body, expected) => {
    expect(read(body)).toEqual(expected);
  });

  test('invalid UTF-8 spoils its own line only', () => {
    const body = utf8('{"a":"?"}\n{"b":"é"}\n{"c":"?"}');
    body[6] = 0xc3;
    body[body.length - 3] = 0x80;
    expect(read(body)).toEqual(['1 invalid_utf8', '3 invalid_utf8']);
  });

  test('messages are those of the event', () => {
    expect(readBatch(utf8('{}\n  {"a":01}'), LIMITS)).toEqual({
      kind: 'bad',
      bad: [{ line: 2, code: 'malformed_json', message: expect.stringContaining('at byte 8') }],
    });
  });

  test.each(['', '\n', ' \r\n\t\n', '\n\n\n'])('no event in %j', (body) => {
    expect(() => read(body)).toThrow(expect.objectContaining({ code: 'empty_batch' }));
  });

  test('one event too many, before any line is checked', () => {
    expect(() => read('{}\n\n{}\n{\n{}\n{}\n{}\n')).toThrow(
      expect.objectContaining({ code: 'too_many_events', limit: 5, line: 7 }),
    );
  });

  test('millions of bad lines cost no more than the limit', () => {
    const body = new Uint8Array(4000000).fill(0x0a);
    for (let i = 0; i < body.length; i += 2) body[i] = 0x78;
    expect(() => readBatch(body, { maxEventSize: 100, maxEvents: 10000 })).toThrow(
      expect.objectContaining({ code: 'too_many_events' }),
    );
  });

  test('events are plain views of the body, also within a longer buffer', () => {
    const all = Buffer.from('xxxx{"a":1}\n{"a":2}\n{"b"');
    const batch = readBatch(all.subarray(4, 20), LIMITS);
    if (batch.kind !== 'events') throw new Error('refused');
    for (const event of batch.events) {
      expect(Object.getPrototypeOf(event)).toBe(Uint8Array.prototype);
      expect(event.buffer).toBe(all.buffer);
    }
    expect(batch.events.map(fromUtf8)).toEqual(['{"a":1}', '{"a":2}']);
  });

  test('lines are those that a split by LF gives', () => {
    const line = fc.constantFrom('', ' ', '\r', 'x', '{}', '\t{}\r');
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 20 }), (lines) => {
        fc.pre(lines.some((text) => text.trim() !== ''));
        const expected = lines.flatMap((text, i) => (text.trim() === '' ? [] : [{ text, line: i + 1 }]));
        const found = splitLines(utf8(lines.join('\n')), 100);
        expect(found.map(({ bytes, line }) => ({ text: fromUtf8(bytes), line }))).toEqual(expected);
      }),
    );
  });
});
