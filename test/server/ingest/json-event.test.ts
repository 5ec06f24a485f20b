import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkEvent, IngestError, MAX_DEPTH, MAX_MEMBERS } from '../../../server/ingest/json-event.ts';
import { readBatch } from '../../../server/ingest/ndjson.ts';
import { concatBytes, fromUtf8, utf8 } from '../../../tree/bytes.ts';

const LIMITS = { maxEventSize: 1048576 };

/** The code that refuses the bytes, or `ok`. */
function verdict(input: string | Uint8Array, limits = LIMITS): string {
  try {
    checkEvent(typeof input === 'string' ? utf8(input) : input, limits);
    return 'ok';
  } catch (error) {
    if (error instanceof IngestError) return error.code;
    throw error;
  }
}

/** Objects in one another, each behind 999 other members; at that level, counted from inside, the last name is the first again. */
function crowded(levels: number, repeated = 0): string {
  let text = '0';
  for (let level = 1; level <= levels; level++) {
    const names = Array.from({ length: MAX_MEMBERS }, (_, i) => `${i}`);
    if (level === repeated) names[MAX_MEMBERS - 1] = '0';
    text = `{${names.map((name, i) => `"${name}":${i === MAX_MEMBERS - 1 ? text : 0}`).join(',')}}`;
  }
  return text;
}

/** An object of that many members. */
function members(count: number): string {
  return `{${Array.from({ length: count }, (_, i) => `"${i}":${i}`).join(',')}}`;
}

/** Arrays within an event, so that the innermost container has that depth. */
function arrays(depth: number): string {
  return `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
}

function objects(depth: number): string {
  return `${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`;
}

const raw = (...bytes: readonly number[]) => concatBytes(utf8('{"a":"'), Uint8Array.from(bytes), utf8('"}'));

const CASES: readonly (readonly [name: string, input: string | Uint8Array, code: string])[] = [
  // The text as a whole.
  ['nothing', '', 'empty_event'],
  ['a space', ' ', 'empty_event'],
  ['white space of all four kinds', ' \t\r\n', 'empty_event'],
  ['an empty object', '{}', 'ok'],
  ['an object in white space', ' \t\r\n{} \t\r\n', 'ok'],
  ['white space between all tokens', '{ "a" : [ 1 , { } , [ ] ] , "b" : null }', 'ok'],
  ['a vertical tab before', '\v{}', 'malformed_json'],
  ['a form feed after', '{}\f', 'malformed_json'],
  ['a no-break space after', '{}\u00a0', 'malformed_json'],
  ['a line separator after', '{}\u2028', 'malformed_json'],
  ['a NUL after', '{}\0', 'malformed_json'],
  ['a byte order mark', '\ufeff{}', 'bom'],
  ['a byte order mark after a space', ' \ufeff{}', 'bom'],
  ['a byte order mark alone', '\ufeff', 'bom'],
  ['a byte order mark before too much', `\ufeff${' '.repeat(2000000)}{}`, 'bom'],
  ['a byte order mark after the event', '{}\ufeff', 'malformed_json'],
  ['a byte order mark within a string', '{"a":"\ufeff"}', 'ok'],
  ['UTF-16', Uint8Array.of(0xff, 0xfe, 0x7b, 0, 0x7d, 0), 'invalid_utf8'],
  ['two objects', '{}{}', 'malformed_json'],
  ['two objects on two lines', '{}\n{}', 'malformed_json'],
  ['a closing brace too many', '{}}', 'malformed_json'],
  ['a comma after', '{},', 'malformed_json'],

  // What an event is.
  ['an array', '[]', 'not_an_object'],
  ['an array of events', '[{"a":1},{"a":2}]', 'not_an_object'],
  ['a string', '"a"', 'not_an_object'],
  ['an integer', '1', 'not_an_object'],
  ['true', 'true', 'not_an_object'],
  ['false', 'false', 'not_an_object'],
  ['null', 'null', 'not_an_object'],
  ['a bare word', 'hello', 'malformed_json'],

  // Grammar.
  ['an open brace', '{', 'malformed_json'],
  ['an open brace and a space', '{ ', 'malformed_json'],
  ['a closing brace', '}', 'malformed_json'],
  ['a comma in an empty object', '{,}', 'malformed_json'],
  ['a trailing comma in an object', '{"a":1,}', 'malformed_json'],
  ['a leading comma in an object', '{,"a":1}', 'malformed_json'],
  ['two commas', '{"a":1,,"b":2}', 'malformed_json'],
  ['a missing comma', '{"a":1 "b":2}', 'malformed_json'],
  ['a name without value', '{"a"}', 'malformed_json'],
  ['a name and a colon', '{"a":}', 'malformed_json'],
  ['a missing colon', '{"a" 1}', 'malformed_json'],
  ['two colons', '{"a"::1}', 'malformed_json'],
  ['an unquoted name', '{a:1}', 'malformed_json'],
  ['a name in single quotes', "{'a':1}", 'malformed_json'],
  ['a number as a name', '{1:1}', 'malformed_json'],
  ['a trailing comma in an array', '{"a":[1,]}', 'malformed_json'],
  ['a leading comma in an array', '{"a":[,1]}', 'malformed_json'],
  ['a colon in an array', '{"a":["b":1]}', 'malformed_json'],
  ['brackets crossed', '{"a":[1}]', 'malformed_json'],
  ['an array closed by a brace', '{"a":[}}', 'malformed_json'],
  ['an object closed by a bracket', '{"a":1]', 'malformed_json'],
  ['a comment', '{"a":1/**/}', 'malformed_json'],
  ['a word cut short', '{"a":nul}', 'malformed_json'],
  ['a word at the end', '{"a":tru', 'malformed_json'],
  ['a word in capitals', '{"a":True}', 'malformed_json'],
  ['a word too long', '{"a":nulll}', 'malformed_json'],
  ['undefined', '{"a":undefined}', 'malformed_json'],
  ['NaN', '{"a":NaN}', 'malformed_json'],
  ['Infinity', '{"a":Infinity}', 'malformed_json'],
  ['all the words', '{"a":[true,false,null]}', 'ok'],

  // Strings.
  ['every short escape', '{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t"}', 'ok'],
  ['a string not closed', '{"a":"b', 'malformed_json'],
  ['a string closed by an escaped quote', '{"a":"b\\"}', 'malformed_json'],
  ['a backslash at the end', '{"a":"\\', 'malformed_json'],
  ['an unknown escape', '{"a":"\\x41"}', 'malformed_json'],
  ['an escape in capitals', '{"a":"\\N"}', 'malformed_json'],
  ['an escape of a single quote', '{"a":"\\\'"}', 'malformed_json'],
  ['a raw line feed', '{"a":"\n"}', 'malformed_json'],
  ['a raw tab', '{"a":"\t"}', 'malformed_json'],
  ['a raw NUL', '{"a":"\0"}', 'malformed_json'],
  ['a raw 0x1f', '{"a":"\x1f"}', 'malformed_json'],
  ['a raw 0x7f', '{"a":"\x7f"}', 'ok'],
  ['a raw control character after an escape', '{"a":"\\n\x01"}', 'malformed_json'],
  ['a raw line feed in a name', '{"\n":1}', 'malformed_json'],
  ['raw line and paragraph separators', '{"a":"\u2028\u2029"}', 'ok'],
  ['an escaped NUL', '{"a":"\\u0000"}', 'ok'],
  ['an escape with capital and small digits', '{"a":"\\uAbCd"}', 'ok'],
  ['an escape of three digits', '{"a":"\\u12"}', 'malformed_json'],
  ['an escape with a letter g', '{"a":"\\u00g0"}', 'malformed_json'],
  ['an escape with a sign', '{"a":"\\u+041"}', 'malformed_json'],
  ['an escape cut by the end', '{"a":"\\u00', 'malformed_json'],
  ['a surrogate pair', '{"a":"\\ud83d\\ude00"}', 'ok'],
  ['the first surrogate pair', '{"a":"\\ud800\\udc00"}', 'ok'],
  ['the last surrogate pair', '{"a":"\\udbff\\udfff"}', 'ok'],
  ['a surrogate pair in capitals', '{"a":"\\uD83D\\uDE00"}', 'ok'],
  ['the neighbours of the surrogates', '{"a":"\\ud7ff\\ue000"}', 'ok'],
  ['a high surrogate alone', '{"a":"\\ud800"}', 'lone_surrogate'],
  ['a low surrogate alone', '{"a":"\\udc00"}', 'lone_surrogate'],
  ['the last low surrogate alone', '{"a":"\\udfff"}', 'lone_surrogate'],
  ['a pair in the wrong order', '{"a":"\\ude00\\ud83d"}', 'lone_surrogate'],
  ['two high surrogates', '{"a":"\\ud800\\ud800\\udc00"}', 'lone_surrogate'],
  ['two low surrogates', '{"a":"\\udc00\\udc00"}', 'lone_surrogate'],
  ['a high surrogate and a letter', '{"a":"\\ud800a"}', 'lone_surrogate'],
  ['a high surrogate and another escape', '{"a":"\\ud800\\n"}', 'lone_surrogate'],
  ['a high surrogate and an escaped letter', '{"a":"\\ud800\\u0041"}', 'lone_surrogate'],
  ['a high surrogate and half an escape', '{"a":"\\ud800\\udc0"}', 'malformed_json'],
  ['a pair and a low surrogate', '{"a":"\\ud83d\\ude00\\ude00"}', 'lone_surrogate'],
  ['a lone surrogate in a name', '{"\\ud800":1}', 'lone_surrogate'],
  ['a lone surrogate after a double backslash', '{"a":"\\\\ud800"}', 'ok'],

  // UTF-8.
  ['two, three and four bytes', '{"a":"é€😀"}', 'ok'],
  ['the last code point', raw(0xf4, 0x8f, 0xbf, 0xbf), 'ok'],
  ['a noncharacter', raw(0xef, 0xbf, 0xbf), 'ok'],
  ['beyond the last code point', raw(0xf4, 0x90, 0x80, 0x80), 'invalid_utf8'],
  ['a continuation byte alone', raw(0x80), 'invalid_utf8'],
  ['two bytes, one missing', raw(0xc3), 'invalid_utf8'],
  ['three bytes, one missing', raw(0xe2, 0x82), 'invalid_utf8'],
  ['four bytes, one missing', raw(0xf0, 0x9f, 0x98), 'invalid_utf8'],
  ['an overlong NUL', raw(0xc0, 0x80), 'invalid_utf8'],
  ['an overlong slash of three bytes', raw(0xe0, 0x80, 0xaf), 'invalid_utf8'],
  ['an overlong quote', raw(0xc0, 0xa2), 'invalid_utf8'],
  ['an overlong code point of four bytes', raw(0xf0, 0x82, 0x82, 0xac), 'invalid_utf8'],
  ['a surrogate in UTF-8', raw(0xed, 0xa0, 0x80), 'invalid_utf8'],
  ['a surrogate pair in UTF-8', raw(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), 'invalid_utf8'],
  ['the byte 0xff', raw(0xff), 'invalid_utf8'],
  ['the byte 0xfe', raw(0xfe), 'invalid_utf8'],
  ['a sequence of five bytes', raw(0xf8, 0x88, 0x80, 0x80, 0x80), 'invalid_utf8'],
  ['Latin-1', raw(0xe9), 'invalid_utf8'],
  ['bad UTF-8 after the event', concatBytes(utf8('{}'), Uint8Array.of(0x80)), 'invalid_utf8'],

  // Member names.
  ['two equal names', '{"a":1,"a":2}', 'duplicate_key'],
  ['two equal names and values', '{"a":1,"a":1}', 'duplicate_key'],
  ['two empty names', '{"":1,"":2}', 'duplicate_key'],
  ['one empty name', '{"":1}', 'ok'],
  ['a name repeated after others', '{"a":1,"b":2,"c":3,"a":4}', 'duplicate_key'],
  ['a name repeated by an escape', '{"a":1,"\\u0061":2}', 'duplicate_key'],
  ['an escaped name repeated plainly', '{"\\u0061":1,"a":2}', 'duplicate_key'],
  ['two escapes of one name', '{"\\u0061b":1,"a\\u0062":2}', 'duplicate_key'],
  ['two escapes of a slash', '{"\\/":1,"/":2}', 'duplicate_key'],
  ['two escapes of a line feed', '{"\\n":1,"\\u000A":2}', 'duplicate_key'],
  ['a pair and its bytes', '{"\\ud83d\\ude00":1,"😀":2}', 'duplicate_key'],
  ['an escape and its two bytes', '{"\\u00e9":1,"é":2}', 'duplicate_key'],
  ['composed and decomposed', '{"\u00e9":1,"e\u0301":2}', 'ok'],
  ['small and capital', '{"a":1,"A":2}', 'ok'],
  ['an escape and the text of an escape', '{"\\n":1,"\\\\n":2}', 'ok'],
  ['a name with a NUL and one without', '{"a\\u0000":1,"a":2}', 'ok'],
  ['equal names in two objects', '{"a":{"b":1},"c":{"b":2}}', 'ok'],
  ['equal names inside and outside', '{"a":{"a":{"a":1}}}', 'ok'],
  ['equal names around an object', '{"a":{"b":1},"a":2}', 'duplicate_key'],
  ['equal names around an array of objects', '{"a":[{"b":1},{"b":2}],"a":2}', 'duplicate_key'],
  ['equal names in an array of objects', '{"a":[{"b":1},{"b":1,"b":2}]}', 'duplicate_key'],
  ['equal names at depth 3', '{"a":{"b":{"c":1,"c":2}}}', 'duplicate_key'],
  ['equal names after an escaped object', '{"a":{"\\n":1},"b":{"\\n":1},"a":1}', 'duplicate_key'],
  ['equal values in one array', '{"a":["b","b"]}', 'ok'],
  ['a name equal to a value', '{"a":"a","b":"a"}', 'ok'],
  ['equal names among 40', members(40).replace('"39"', '"7"'), 'duplicate_key'],
  ['equal names among 40, both late', members(40).replace('"39"', '"38"'), 'duplicate_key'],
  ['equal names at the change to a set', members(33).replace('"32"', '"0"'), 'duplicate_key'],
  ['equal names just before the change', members(32).replace('"31"', '"0"'), 'duplicate_key'],
  ['equal names among 1,000', members(1000).replace('"999"', '"\\u0030"'), 'duplicate_key'],
  ['__proto__', '{"__proto__":{"a":1}}', 'ok'],
  ['__proto__ twice', '{"__proto__":1,"__proto__":2}', 'duplicate_key'],
  ['__proto__ twice, once escaped', '{"__proto__":1,"\\u005f_proto__":2}', 'duplicate_key'],
  ['constructor and toString', '{"constructor":1,"toString":2,"hasOwnProperty":3,"valueOf":4}', 'ok'],
  ['constructor twice', '{"constructor":1,"constructor":2}', 'duplicate_key'],
  ['toString in a set of names', members(40).replace('"39"', '"toString"'), 'ok'],
  ['$sealed', '{"$sealed":1}', 'reserved_member'],
  ['$sealed at depth 4', '{"a":[{"b":{"$sealed":1}}]}', 'reserved_member'],
  ['$sealed escaped', '{"\\u0024sealed":1}', 'reserved_member'],
  ['$sealed among 40', members(40).replace('"39"', '"$sealed"'), 'reserved_member'],
  ['$sealed as a value', '{"a":"$sealed"}', 'ok'],
  ['$Sealed, $seale, $sealedx', '{"$Sealed":1,"$seale":1,"$sealedx":1,"sealed":1}', 'ok'],

  // Numbers.
  ['integers', '{"a":[0,-0,1,-1,10,123456789]}', 'ok'],
  ['fractions', '{"a":[0.0,-0.0,1.0,0.5,10.25]}', 'ok'],
  ['exponents', '{"a":[1e2,1E2,1e+2,1e-2,0e0,-0e-0,1.5e3]}', 'ok'],
  ['2^53 - 1', '{"a":9007199254740991}', 'ok'],
  ['-(2^53 - 1)', '{"a":-9007199254740991}', 'ok'],
  ['2^53', '{"a":9007199254740992}', 'integer_out_of_range'],
  ['-2^53', '{"a":-9007199254740992}', 'integer_out_of_range'],
  ['2^53 + 1', '{"a":9007199254740993}', 'integer_out_of_range'],
  ['sixteen nines', '{"a":9999999999999999}', 'integer_out_of_range'],
  ['2^53 of seventeen digits', '{"a":10000000000000000}', 'integer_out_of_range'],
  ['2^64 - 1', '{"a":18446744073709551615}', 'integer_out_of_range'],
  ['an integer of 400 digits', `{"a":${'9'.repeat(400)}}`, 'integer_out_of_range'],
  ['2^53 with a fraction', '{"a":9007199254740992.0}', 'ok'],
  ['2^53 + 1 with an exponent', '{"a":9007199254740993e0}', 'ok'],
  ['1e308', '{"a":1e308}', 'ok'],
  ['-1e308', '{"a":-1e308}', 'ok'],
  ['1e309', '{"a":1e309}', 'number_out_of_range'],
  ['-1e309', '{"a":-1e309}', 'number_out_of_range'],
  ['the largest double', '{"a":1.7976931348623157e308}', 'ok'],
  ['just above the largest double', '{"a":1.7976931348623159e308}', 'number_out_of_range'],
  ['1e400', '{"a":1e400}', 'number_out_of_range'],
  ['10e308', '{"a":10e308}', 'number_out_of_range'],
  ['0.1e309', '{"a":0.1e309}', 'ok'],
  ['0e999999999', '{"a":0e999999999}', 'ok'],
  ['1e-999999999', '{"a":1e-999999999}', 'ok'],
  ['1e0000000000000001', '{"a":1e0000000000000001}', 'ok'],
  ['an exponent of 400 digits', `{"a":1e${'9'.repeat(400)}}`, 'number_out_of_range'],
  ['309 digits and a fraction', `{"a":1${'0'.repeat(308)}.0}`, 'ok'],
  ['310 digits and a fraction', `{"a":1${'0'.repeat(309)}.0}`, 'number_out_of_range'],
  ['310 digits and e-9', `{"a":1${'0'.repeat(309)}e-9}`, 'ok'],
  ['250 digits and e99', `{"a":1${'0'.repeat(249)}e99}`, 'number_out_of_range'],
  ['a leading zero', '{"a":01}', 'malformed_json'],
  ['a leading zero after a sign', '{"a":-01}', 'malformed_json'],
  ['two zeros', '{"a":00}', 'malformed_json'],
  ['a plus sign', '{"a":+1}', 'malformed_json'],
  ['a sign alone', '{"a":-}', 'malformed_json'],
  ['two signs', '{"a":--1}', 'malformed_json'],
  ['a sign at the end', '{"a":-', 'malformed_json'],
  ['a point without digits', '{"a":1.}', 'malformed_json'],
  ['a point first', '{"a":.5}', 'malformed_json'],
  ['two points', '{"a":1.2.3}', 'malformed_json'],
  ['an exponent without digits', '{"a":1e}', 'malformed_json'],
  ['an exponent of a sign', '{"a":1e+}', 'malformed_json'],
  ['an exponent with a fraction', '{"a":1e2.5}', 'malformed_json'],
  ['hexadecimal', '{"a":0x10}', 'malformed_json'],
  ['an underscore', '{"a":1_000}', 'malformed_json'],
  ['a BigInt', '{"a":1n}', 'malformed_json'],

  // Limits.
  ['arrays to depth 32', arrays(MAX_DEPTH), 'ok'],
  ['arrays to depth 33', arrays(MAX_DEPTH + 1), 'too_deep'],
  ['objects to depth 32', objects(MAX_DEPTH), 'ok'],
  ['objects to depth 33', objects(MAX_DEPTH + 1), 'too_deep'],
  ['depth 32 many times', `{"a":[${Array.from({ length: 50 }, () => arrays(MAX_DEPTH - 2)).join(',')}]}`, 'ok'],
  ['brackets in a string', `{"a":"${'['.repeat(1000)}"}`, 'ok'],
  ['500,000 opening brackets', '['.repeat(500000), 'too_deep'],
  ['500,000 opening brackets in an event', `{"a":${'['.repeat(500000)}`, 'too_deep'],
  ['100,000 objects in one another', '{"a":'.repeat(100000), 'too_deep'],
  ['1,000 members', members(MAX_MEMBERS), 'ok'],
  ['1,001 members', members(MAX_MEMBERS + 1), 'too_many_members'],
  ['1,001 members of an inner object', `{"a":[${members(MAX_MEMBERS + 1)}]}`, 'too_many_members'],
  ['1,001 members, the last repeated', members(MAX_MEMBERS + 1).replace('"1000"', '"0"'), 'too_many_members'],
  ['1,000 members twice', `{"a":${members(MAX_MEMBERS)},"b":${members(MAX_MEMBERS)}}`, 'ok'],
  ['1,000 members on each of 32 levels', crowded(MAX_DEPTH), 'ok'],
  ['the same, the last name of the innermost object repeated', crowded(MAX_DEPTH, 1), 'duplicate_key'],
  ['the same, the last name of the outermost object repeated', crowded(MAX_DEPTH, MAX_DEPTH), 'duplicate_key'],
  ['an array of 2,000 values', `{"a":[${'1,'.repeat(1999)}1]}`, 'ok'],
];

describe('one event', () => {
  test.each(CASES)('%s', (_name, input, code) => {
    expect(verdict(input)).toBe(code);
  });

  test('names are unique and there are enough of them', () => {
    expect(new Set(CASES.map(([name]) => name)).size).toBe(CASES.length);
    expect(CASES.length).toBeGreaterThanOrEqual(100);
  });

  test('the size counts without the white space around', () => {
    const limits = { maxEventSize: 7 };
    expect(verdict('{"a":1}', limits)).toBe('ok');
    expect(verdict('  \n{"a":1}\n  ', limits)).toBe('ok');
    expect(verdict('{"a":10}', limits)).toBe('event_too_large');
    expect(verdict('{"a": 1}', limits)).toBe('event_too_large');
  });

  test('size is checked before the text', () => {
    expect(verdict('['.repeat(100), { maxEventSize: 99 })).toBe('event_too_large');
    expect(verdict(new Uint8Array(100).fill(0xff), { maxEventSize: 99 })).toBe('event_too_large');
  });

  test('the event is a plain view of the input', () => {
    const input = Buffer.from(' \r\n{"a": "é"}\t');
    const event = checkEvent(input, LIMITS);
    expect(fromUtf8(event)).toBe('{"a": "é"}');
    expect(Object.getPrototypeOf(event)).toBe(Uint8Array.prototype);
    expect(event.buffer).toBe(input.buffer);
    expect(event.byteOffset).toBe(input.byteOffset + 3);
  });

  test('a view of a longer buffer is read to its own end', () => {
    const all = utf8('xx{"a":1}}}');
    expect(fromUtf8(checkEvent(all.subarray(2, 9), LIMITS))).toBe('{"a":1}');
    expect(verdict(all.subarray(2, 8))).toBe('malformed_json');
    expect(verdict(all.subarray(2, 10))).toBe('malformed_json');
  });

  test.each([
    ['  {"a":01}', 'malformed_json', 8],
    ['{"a":1,"b":{"c":1,"c":2}}', 'duplicate_key', 18],
    ['{"a":"x\\ud800"}', 'lone_surrogate', 7],
    ['\n{"a":[1,9007199254740992]}', 'integer_out_of_range', 9],
    ['{"a":1e999}', 'number_out_of_range', 5],
    ['{"$sealed":1}', 'reserved_member', 1],
    [`  ${arrays(33)}`, 'too_deep', 38],
    ['{"a":1', 'malformed_json', 6],
    ['{"a":"b', 'malformed_json', 7],
  ])('the message of %s names the byte', (input, code, offset) => {
    expect(() => checkEvent(utf8(input), LIMITS)).toThrow(
      expect.objectContaining({ code, offset, message: expect.stringContaining(`at byte ${offset}`) }),
    );
  });

  test('messages never quote the event', () => {
    for (const [, input] of CASES) {
      try {
        checkEvent(
          concatBytes(utf8('{"secret":"secret","b":'), typeof input === 'string' ? utf8(input) : input),
          LIMITS,
        );
      } catch (error) {
        expect((error as Error).message).not.toContain('secret');
      }
    }
  });

  test('limits are named', () => {
    expect(() => checkEvent(utf8('{"a":1}'), { maxEventSize: 6 })).toThrow(expect.objectContaining({ limit: 6 }));
    expect(() => checkEvent(utf8(arrays(33)), LIMITS)).toThrow(expect.objectContaining({ limit: 32 }));
    expect(() => checkEvent(utf8(members(1001)), LIMITS)).toThrow(expect.objectContaining({ limit: 1000 }));
  });
});

/** What JSON.parse says: the value, or undefined. */
function parsed(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) };
  } catch {
    return undefined;
  }
}

/** Codes for JSON that JSON.parse takes and we do not. */
const STRICTER = new Set([
  'duplicate_key',
  'integer_out_of_range',
  'lone_surrogate',
  'number_out_of_range',
  'reserved_member',
  'too_deep',
  'too_many_members',
]);

function agrees(bytes: Uint8Array): void {
  const code = verdict(bytes);
  const oracle = parsed(bytes);
  if (code === 'ok') {
    expect(oracle?.value).toBeInstanceOf(Object);
    expect(Array.isArray(oracle?.value)).toBe(false);
  } else if (oracle === undefined) {
    expect(['malformed_json', 'invalid_utf8', 'bom', 'empty_event', ...STRICTER]).toContain(code);
  } else if (!STRICTER.has(code)) {
    expect(code).toBe('not_an_object');
    expect(typeof oracle.value !== 'object' || oracle.value === null || Array.isArray(oracle.value)).toBe(true);
  }
}

/** A JSON value of which every detail is known: names may repeat, and each character may be written as an escape. */
type Model =
  | { readonly kind: 'text'; readonly text: string; readonly code: string }
  | { readonly kind: 'array'; readonly items: readonly Model[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [name: string, escaped: boolean, value: Model])[] };

const NAMES = ['', 'a', 'b', 'ab', '__proto__', 'toString', '$sealed', 'é', '😀', '\n', '/', '"', '\\', '1', '1024'];

const model = fc.letrec<{ value: Model; object: Model }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc
      .constantFrom<readonly [string, string]>(
        ['0', 'ok'],
        ['-0.5e3', 'ok'],
        ['"\\u0061\\ud83d\\ude00"', 'ok'],
        ['true', 'ok'],
        ['null', 'ok'],
        ['9007199254740991', 'ok'],
        ['9007199254740992', 'integer_out_of_range'],
        ['1e309', 'number_out_of_range'],
        ['"\\udc00"', 'lone_surrogate'],
        ['01', 'malformed_json'],
      )
      .map(([text, code]): Model => ({ kind: 'text', text, code })),
    fc.array(tie('value'), { maxLength: 5 }).map((items): Model => ({ kind: 'array', items })),
    tie('object'),
  ),
  object: fc
    .array(fc.tuple(fc.constantFrom(...NAMES), fc.boolean(), tie('value')), { maxLength: 6 })
    .map((list): Model => ({ kind: 'object', members: list })),
}));

function render(value: Model): string {
  if (value.kind === 'text') return value.text;
  if (value.kind === 'array') return `[${value.items.map(render).join(', ')}]`;
  const list = value.members.map(([name, escaped, member]) => {
    const units = Array.from({ length: name.length }, (_, i) => name.charCodeAt(i).toString(16).padStart(4, '0'));
    const text = escaped ? `"${units.map((unit) => `\\u${unit}`).join('')}"` : JSON.stringify(name);
    return `${text} :${render(member)}`;
  });
  return `{${list.join(',')} }`;
}

/** The first fault in order of bytes, or undefined. */
function fault(value: Model): string | undefined {
  if (value.kind === 'text') return value.code === 'ok' ? undefined : value.code;
  if (value.kind === 'array') return value.items.map(fault).find((code) => code !== undefined);
  const seen = new Set<string>();
  for (const [name, , member] of value.members) {
    if (seen.has(name)) return 'duplicate_key';
    if (name === '$sealed') return 'reserved_member';
    seen.add(name);
    const code = fault(member);
    if (code !== undefined) return code;
  }
  return undefined;
}

describe('against JSON.parse', () => {
  test('a model with repeated and escaped names gives the very code', () => {
    fc.assert(
      fc.property(model.object, (value) => {
        expect(verdict(render(value))).toBe(fault(value) ?? 'ok');
      }),
      { numRuns: 3000 },
    );
  });

  test('random JSON', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => agrees(utf8(text))),
      { numRuns: 1000 },
    );
  });

  test('random events are accepted as they are', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 5 })), (value) => {
        const bytes = utf8(JSON.stringify(value));
        const code = verdict(bytes);
        if (STRICTER.has(code)) return;
        expect(checkEvent(bytes, LIMITS)).toEqual(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  test('random JSON with bytes changed, inserted, removed', () => {
    const alphabet = fc.constantFrom(...utf8('{}[]",:\\u0019e.-+tfn \n\td8Dc'), 0x00, 0x1f, 0x80, 0xc0, 0xed, 0xff);
    const edit = fc.tuple(fc.nat(), fc.constantFrom('set', 'insert', 'remove', 'cut'), alphabet);
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary', maxLength: 5 }), fc.jsonValue({ maxDepth: 4 })),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        (value, edits) => {
          const bytes = [...utf8(JSON.stringify(value))];
          for (const [place, kind, byte] of edits) {
            const at = place % (bytes.length + 1);
            if (kind === 'set') bytes[at] = byte;
            else if (kind === 'insert') bytes.splice(at, 0, byte);
            else if (kind === 'remove') bytes.splice(at, 1);
            else bytes.length = at;
          }
          agrees(Uint8Array.from(bytes));
        },
      ),
      { numRuns: 5000 },
    );
  });

  test('soups of tokens', () => {
    const tokens = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '"\\u0061"',
      '1',
      '-',
      '0',
      '.5',
      'e9',
      'null',
      ' ',
      '"',
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...tokens), { maxLength: 14 }), (list) => agrees(utf8(list.join('')))),
      { numRuns: 5000 },
    );
  });

  test('every prefix of an event is refused', () => {
    const bytes = utf8('{"a":[1,-2.5e+3,"x\\n\\ud83d\\ude00",{"b":null}],"é":true}');
    for (let end = 0; end < bytes.length; end++) {
      expect(verdict(bytes.subarray(0, end))).not.toBe('ok');
      agrees(bytes.subarray(0, end));
    }
  });
});

/** Repeats a unit to about that size, in an event. */
const filled = (size: number, open: string, unit: (i: number) => string, close: string): Uint8Array => {
  const parts: string[] = [];
  for (let length = 0, i = 0; length < size; i++) {
    const part = unit(i);
    parts.push(part);
    length += part.length;
  }
  return utf8(open + parts.join(',') + close);
};

/** Keys of one length with a common beginning and a common end, which are the dearest to compare. */
const alike = (i: number, length: number) =>
  `"${'x'.repeat(length / 2)}${String(i).padStart(4, '0')}${'x'.repeat(length / 2)}":1`;

const objectOf = (count: number, key: (i: number) => string) =>
  `{${Array.from({ length: count }, (_, i) => key(i)).join(',')}}`;

const HOSTILE: Readonly<Record<string, (size: number) => Uint8Array>> = {
  'opening brackets': (size) => utf8(`{"a":${'['.repeat(size)}`),
  'white space': (size) => utf8(`{"a":${' '.repeat(size)}1}`),
  'one string': (size) => utf8(`{"a":"${'x'.repeat(size)}"}`),
  'one string never closed': (size) => utf8(`{"a":"${'x'.repeat(size)}`),
  escapes: (size) => utf8(`{"a":"${'\\u0061'.repeat(size / 6)}"}`),
  'digits and a fraction': (size) => utf8(`{"a":1.${'0'.repeat(size)}}`),
  'digits and an exponent': (size) => utf8(`{"a":${'1'.repeat(size)}e-1}`),
  'exponents of three digits': (size) => filled(size, '{"a":[', () => '1e100', ']}'),
  'empty objects': (size) => filled(size, '{"a":[', () => '{}', ']}'),
  'objects with an escaped name': (size) => filled(size, '{"a":[', () => '{"\\n":1}', ']}'),
  'objects of 33 short names': (size) => filled(size, '{"a":[', () => objectOf(33, (i) => `"${i}":1`), ']}'),
  'objects of 32 alike names': (size) => filled(size, '{"a":[', () => objectOf(32, (i) => alike(i, 200)), ']}'),
  'objects of 1,000 names': (size) => filled(size, '{"a":[', () => objectOf(1000, (i) => `"k${i}":1`), ']}'),
  // As array indexes these would all fall into one bucket of a hash table.
  'objects of 1,000 numbers': (size) => filled(size, '{"a":[', () => objectOf(1000, (i) => `"${i * 65536}":1`), ']}'),
  'one object of alike names': (size) => utf8(objectOf(Math.floor(size / 1004), (i) => alike(i, 996))),
  'one name': (size) => utf8(`{"${'x'.repeat(size)}":1}`),
  'two long names': (size) => utf8(`{"${'x'.repeat(size / 2)}a":1,"${'x'.repeat(size / 2)}b":1}`),
};

describe('time is linear', () => {
  test.each(Object.keys(HOSTILE))('%s', (name) => {
    const make = HOSTILE[name] as (size: number) => Uint8Array;
    const best = (bytes: Uint8Array) => {
      let least = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 5; i++) {
        // CPU and not the clock, which runs on while others have the processor.
        const start = process.cpuUsage();
        verdict(bytes);
        least = Math.min(least, process.cpuUsage(start).user / 1000);
      }
      return least;
    };
    const small = make(250000);
    const large = make(1000000);
    best(small);
    // Four times the bytes: about four times the time, sixteen times if it were quadratic, and then it is seconds. Below some milliseconds noise
    // wins: the collector and the compiler have threads of their own, and a busy machine gives them their turn when it likes.
    expect(best(large)).toBeLessThan(10 * Math.max(best(small), 5));
    expect(best(large)).toBeLessThan(500);
  });
});

const CLOUDTRAIL =
  process.env['INDELIBLE_CLOUDTRAIL'] ?? new URL('../../../../shared/data/cloudtrail.ndjson.gz', import.meta.url);

describe('real events', () => {
  (existsSync(CLOUDTRAIL) ? test : test.skip)('all CloudTrail events are accepted', () => {
    const body = new Uint8Array(gunzipSync(readFileSync(CLOUDTRAIL)));
    const batch = readBatch(body, { ...LIMITS, maxEvents: 10000 });
    if (batch.kind !== 'events') throw new Error(JSON.stringify(batch.bad));
    const lines = fromUtf8(body).split('\n');
    expect(batch.events).toHaveLength(lines.filter((line) => line.trim() !== '').length);
    batch.events.forEach((event, i) => {
      expect(fromUtf8(event)).toBe(lines[(batch.lines[i] as number) - 1]);
    });
  });
});
