/**
 * What must be refused: one named case each, with its exact status and code. After every one of them the tree has the size it
 * had before, and at the end the server still works.
 */
import { connect, type Socket } from 'node:net';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { utf8 } from '../../../tree/bytes.ts';
import { ADMIN_KEY, type Answer, type Send, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start();
/** Low limits, short patience. */
const small = await TestServer.start({
  limits: { maxEventSize: 100, maxBodySize: 2000, maxEvents: 5 },
  sockets: { headersTimeout: 400, requestTimeout: 800, stallTimeout: 1000, maxConnections: 20 },
  sequencer: { maxPendingEntries: 4 },
});

const unsigned = await TestServer.start({ publish: false });
const stalled = await TestServer.start({ sockets: { stallTimeout: 300 } });

const EVENTS = '/logs/main/events';

beforeAll(async () => {
  for (const each of [server, small]) expect((await each.post(`${EVENTS}?ack=signed`, { first: 1 })).status).toBe(200);
  await server.makeLog('blobs', { kind: 'raw' });
});

/** Sizes after what was accepted on purpose. */
const sizes = new Map([
  [server, 1],
  [small, 1],
]);
afterEach(() => {
  for (const [each, size] of sizes) expect(each.sizeOf('main')).toBe(size);
  for (const { fatal } of [server, small, stalled, unsigned]) expect(fatal).toEqual([]);
});

async function accepted(answer: Promise<Answer>, at = server, entries = 1): Promise<void> {
  const { status, text } = await answer;
  sizes.set(at, (sizes.get(at) as number) + entries);
  expect([status, text]).toEqual([200, expect.any(String)]);
}

async function refused(answer: Promise<Answer>, status: number, code: string): Promise<void> {
  const { status: got, headers, text } = await answer;
  expect([got, (JSON.parse(text) as { code: unknown }).code]).toEqual([status, code]);
  expect(headers['content-type']).toBe('application/problem+json');
  expect(headers['cache-control']).toBe('no-store');
}

const ndjson = (body: string | Uint8Array, at = server): Promise<Answer> =>
  at.post(EVENTS, body, ADMIN_KEY, 'application/x-ndjson');
const nest = (depth: number, open: string, close: string, inner = '1'): string =>
  `${open.repeat(depth)}${inner}${close.repeat(depth)}`;
const bytes = (before: string, middle: readonly number[], after: string): Uint8Array =>
  Uint8Array.from([...utf8(before), ...middle, ...utf8(after)]);
const members = (n: number): string => `{${Array.from({ length: n }, (_, i) => `"m${i}":${i}`).join()}}`;

describe('an event', () => {
  type Bad = readonly [name: string, code: string, body: string | Uint8Array];
  const BAD: readonly Bad[] = [
    ['only white space', 'empty_event', ' \r\n\t'],
    ['a brace', 'malformed_json', '{'],
    ['no closing brace', 'malformed_json', '{"a":1'],
    ['a brace too many', 'malformed_json', '{"a":1}}'],
    ['two events', 'malformed_json', '{"a":1}{"b":2}'],
    ['two events with a comma', 'malformed_json', '{"a":1},{"b":2}'],
    ['two lines', 'malformed_json', '{"a":1}\n{"b":2}'],
    ['no value', 'malformed_json', '{"a":}'],
    ['no colon', 'malformed_json', '{"a" 1}'],
    ['no name', 'malformed_json', '{:1}'],
    ['a bare name', 'malformed_json', '{a:1}'],
    ['single quotes', 'malformed_json', "{'a':1}"],
    ['a comma at the end', 'malformed_json', '{"a":1,}'],
    ['a comma at the end of an array', 'malformed_json', '{"a":[1,]}'],
    ['only a comma', 'malformed_json', '{,}'],
    ['brackets crossed', 'malformed_json', '{"a":[1}]'],
    ['a comment', 'malformed_json', '{"a":1/* */}'],
    ['a comment before', 'malformed_json', '// x\n{"a":1}'],
    ['a leading zero', 'malformed_json', '{"a":01}'],
    ['a plus', 'malformed_json', '{"a":+1}'],
    ['a point before', 'malformed_json', '{"a":.5}'],
    ['a point behind', 'malformed_json', '{"a":1.}'],
    ['an exponent without digits', 'malformed_json', '{"a":1e}'],
    ['hexadecimal', 'malformed_json', '{"a":0x10}'],
    ['an underscore', 'malformed_json', '{"a":1_000}'],
    ['NaN', 'malformed_json', '{"a":NaN}'],
    ['Infinity', 'malformed_json', '{"a":-Infinity}'],
    ['undefined', 'malformed_json', '{"a":undefined}'],
    ['True', 'malformed_json', '{"a":True}'],
    ['half a word', 'malformed_json', '{"a":tru}'],
    ['a word too long', 'malformed_json', '{"a":nulll}'],
    ['a tab in a string', 'malformed_json', '{"a":"\t"}'],
    ['a line end in a string', 'malformed_json', '{"a":"\n"}'],
    ['a NUL in a string', 'malformed_json', '{"a":"\0"}'],
    ['an unknown escape', 'malformed_json', '{"a":"\\x41"}'],
    ['a short escape', 'malformed_json', '{"a":"\\u12"}'],
    ['a string without end', 'malformed_json', '{"a":"b}'],
    ['an escaped quote at the end', 'malformed_json', '{"a":"b\\"}'],
    ['a NUL behind', 'malformed_json', '{"a":1}\0'],
    ['a NUL alone', 'malformed_json', '\0'],
    ['a vertical tab', 'malformed_json', '{"a":\v1}'],
    ['a no-break space', 'malformed_json', '\u00a0{"a":1}'],
    ['a byte order mark behind', 'malformed_json', '{"a":1}\ufeff'],
    ['XML', 'malformed_json', '<event/>'],
    ['a form', 'malformed_json', 'a=1&b=2'],
    ['an array', 'not_an_object', '[]'],
    ['an array of events', 'not_an_object', '[{"a":1},{"b":2}]'],
    ['a number', 'not_an_object', '1'],
    ['a string', 'not_an_object', '"{}"'],
    ['null', 'not_an_object', 'null'],
    ['true', 'not_an_object', ' true '],
    ['a name twice', 'duplicate_key', '{"a":1,"a":1}'],
    ['a name twice, deep', 'duplicate_key', '{"x":[{"y":{"a":1,"b":2,"a":3}}]}'],
    ['a name twice, once escaped', 'duplicate_key', '{"a":1,"\\u0061":2}'],
    ['a pair, escaped and not', 'duplicate_key', '{"\u{1f600}":1,"\\ud83d\\ude00":2}'],
    ['the empty name twice', 'duplicate_key', '{"":1,"":2}'],
    ['__proto__ twice', 'duplicate_key', '{"__proto__":1,"__proto__":2}'],
    ['a name twice among many', 'duplicate_key', `{${'x'.repeat(60).replaceAll(/x/g, (_, i) => `"m${i}":1,`)}"m0":1}`],
    ['$sealed', 'reserved_member', '{"$sealed":1}'],
    ['$sealed, deep', 'reserved_member', '{"a":[[{"$sealed":{}}]]}'],
    ['$sealed, escaped', 'reserved_member', '{"\\u0024sealed":1}'],
    ['a byte order mark', 'bom', '\ufeff{"a":1}'],
    ['a byte order mark after white space', 'bom', ' \ufeff{"a":1}'],
    ['UTF-16', 'invalid_utf8', Uint8Array.from([0xff, 0xfe, 0x7b, 0, 0x7d, 0])],
    ['Latin-1', 'invalid_utf8', bytes('{"a":"', [0xe9], '"}')],
    ['a lone continuation', 'invalid_utf8', bytes('{"a":"', [0x80], '"}')],
    ['a cut character', 'invalid_utf8', bytes('{"a":"', [0xe2, 0x82], '"}')],
    ['an overlong slash', 'invalid_utf8', bytes('{"a":"', [0xc0, 0xaf], '"}')],
    ['an overlong NUL', 'invalid_utf8', bytes('{"a":"', [0xc0, 0x80], '"}')],
    ['a surrogate in UTF-8', 'invalid_utf8', bytes('{"a":"', [0xed, 0xa0, 0x80], '"}')],
    ['above U+10FFFF', 'invalid_utf8', bytes('{"a":"', [0xf4, 0x90, 0x80, 0x80], '"}')],
    ['five bytes', 'invalid_utf8', bytes('{"a":"', [0xf8, 0x88, 0x80, 0x80, 0x80], '"}')],
    ['invalid in a name', 'invalid_utf8', bytes('{"', [0xff], '":1}')],
    ['half a pair', 'lone_surrogate', '{"a":"\\ud800"}'],
    ['the other half', 'lone_surrogate', '{"a":"\\udc00"}'],
    ['half a pair and a letter', 'lone_surrogate', '{"a":"\\ud800\\u0041"}'],
    ['a pair the wrong way round', 'lone_surrogate', '{"a":"\\ude00\\ud83d"}'],
    ['half a pair in a name', 'lone_surrogate', '{"\\udfff":1}'],
    ['33 levels of objects', 'too_deep', nest(33, '{"a":', '}')],
    ['33 levels of arrays', 'too_deep', `{"a":${nest(32, '[', ']')}}`],
    ['half a million levels', 'too_deep', `{"a":${'['.repeat(500_000)}`],
    ['half a million levels, closed', 'too_deep', `{"a":${nest(250_000, '[', ']')}}`],
    ['1,001 members', 'too_many_members', members(1001)],
    ['1,001 members, deep', 'too_many_members', `{"a":[${members(1001)}]}`],
    ['100,000 members', 'too_many_members', members(100_000).slice(0, 1_000_000)],
    ['2^53', 'integer_out_of_range', '{"a":9007199254740992}'],
    ['-2^53', 'integer_out_of_range', '{"a":-9007199254740992}'],
    ['2^53 + 1, deep', 'integer_out_of_range', '{"a":[{"b":9007199254740993}]}'],
    ['an integer of 400 digits', 'integer_out_of_range', `{"a":${'9'.repeat(400)}}`],
    ['1e309', 'number_out_of_range', '{"a":1e309}'],
    ['-1e309', 'number_out_of_range', '{"a":-1e309}'],
    ['1e99999999', 'number_out_of_range', '{"a":1e99999999}'],
    ['400 digits and a fraction', 'number_out_of_range', `{"a":${'9'.repeat(400)}.0}`],
  ];

  test.each(BAD)('%s: %s', async (_name, code, body) => {
    await refused(server.post(EVENTS, body), 400, code);
    await refused(
      server.request('POST', EVENTS, {
        key: ADMIN_KEY,
        headers: { 'content-type': 'application/json' },
        body,
        chunked: true,
      }),
      400,
      code,
    );
  });

  test('nothing at all', async () => {
    await refused(server.post(EVENTS, ''), 400, 'empty_event');
    await refused(
      server.request('POST', EVENTS, { key: ADMIN_KEY, headers: { 'content-type': 'application/json' } }),
      400,
      'empty_event',
    );
  });

  test.each<readonly [name: string, body: string]>([
    ['numbers of all kinds', '{"a":[1.0,1e2,-0,0.0,1E-2,-1.5e+3,1e308,1e-400,9007199254740991,-9007199254740991]}'],
    ['an integer above 2^53 with a point', '{"a":9007199254740993.0}'],
    ['32 levels', nest(32, '{"a":', '}')],
    ['32 levels of arrays', `{"a":${nest(31, '[', ']')}}`],
    ['1,000 members', members(1000)],
    ['names that look reserved', '{"$seal":1,"$sealed ":2,"$SEALED":3,"sealed":4}'],
    ['the value $sealed', '{"a":"$sealed"}'],
    ['one name in two objects', '{"a":{"x":1},"b":{"x":1},"x":1}'],
    ['white space around', ' \t\r\n{"a":1}\n\n'],
    ['names of JavaScript', '{"__proto__":{"a":1},"constructor":{"prototype":1},"hasOwnProperty":1}'],
  ])('is fine: %s', async (_name, body) => {
    await accepted(server.post(EVENTS, body));
  });

  test('a refusal says where, and never what', async () => {
    const answer = await server.post(EVENTS, '{"password":"hunter2","a":01}');
    expect(answer.json()).toMatchObject({ code: 'malformed_json', offset: 27 });
    expect(answer.text).not.toContain('hunter2');
    expect((await server.post(EVENTS, nest(33, '{"a":', '}'))).json()).toMatchObject({ limit: 32 });
    expect((await server.post(EVENTS, members(1001))).json()).toMatchObject({ limit: 1000 });
  });
});

describe('a batch', () => {
  test('names every bad line', async () => {
    const body = '{"a":1}\n\n[]\r\n{"a":1,"a":2}\n{"b":1}\n{"c":\n \n\ufeff{}\n{"a":"\\ud800"}';
    const answer = await ndjson(body);
    expect(answer.status).toBe(400);
    expect(answer.json()).toEqual({
      type: 'urn:indelible:problem:not_an_object',
      title: expect.any(String),
      status: 400,
      detail: expect.stringContaining('line 3'),
      code: 'not_an_object',
      line: 3,
      errors: [
        { line: 3, code: 'not_an_object', detail: expect.any(String) },
        { line: 4, code: 'duplicate_key', detail: expect.any(String) },
        { line: 6, code: 'malformed_json', detail: expect.any(String) },
        { line: 8, code: 'bom', detail: expect.any(String) },
        { line: 9, code: 'lone_surrogate', detail: expect.any(String) },
      ],
    });
  });

  test('even if all 10,000 are bad', async () => {
    const { errors } = (await ndjson('[]\n'.repeat(10_000))).json<{ errors: { line: number }[] }>();
    expect(errors.map(({ line }) => line)).toEqual(Array.from({ length: 10_000 }, (_, i) => i + 1));
  });

  test('one bad line at the end refuses 9,999 good ones', async () => {
    await refused(ndjson(`${'{}\n'.repeat(9999)}{`), 400, 'malformed_json');
  });

  test.each<readonly [name: string, status: number, code: string, body: string]>([
    ['nothing', 400, 'empty_batch', ''],
    ['blank lines', 400, 'empty_batch', '\n \r\n\t\n'],
    ['one event over two lines', 400, 'malformed_json', '{"a":\n1}'],
    ['lines ended by CR', 400, 'malformed_json', '{"a":1}\r{"b":1}'],
    ['lines ended by U+2028', 400, 'malformed_json', '{"a":1}\u2028{"b":1}'],
    ['a JSON sequence', 400, 'malformed_json', '\u001e{"a":1}\n'],
    ['an array of events', 400, 'not_an_object', '[{"a":1},{"b":1}]'],
    ['10,001 events', 413, 'too_many_events', '{}\n'.repeat(10_001)],
  ])('%s', async (_name, status, code, body) => {
    await refused(ndjson(body), status, code);
  });

  test('limits are named', async () => {
    expect((await ndjson('{}\n'.repeat(10_001))).json()).toMatchObject({ limit: 10_000, line: 10_001 });
    const { errors } = (await ndjson(`{}\n{"a":"${'x'.repeat(100)}"}\n[]\n`, small)).json<{ errors: unknown[] }>();
    expect(errors).toEqual([
      expect.objectContaining({ line: 2, code: 'event_too_large' }),
      expect.objectContaining({ line: 3, code: 'not_an_object' }),
    ]);
  });

  test('the most that is allowed', async () => {
    await accepted(ndjson('{}\n'.repeat(10_000)), server, 10_000);
    await accepted(ndjson('{}\n{}\n{}\n{}\n'.padEnd(2000, '\n'), small), small, 4);
  });
});

describe('sizes', () => {
  const event = (size: number): string => `{"a":"${'x'.repeat(size - 8)}"}`;

  test('of an event', async () => {
    const over = small.post(EVENTS, event(101));
    await refused(over, 413, 'event_too_large');
    expect((await over).json()).toMatchObject({ limit: 100 });
    await accepted(small.post(EVENTS, event(100)), small);
    await accepted(small.post(EVENTS, ` ${event(100)}${'\n'.repeat(1000)}`), small);
    await refused(server.post(EVENTS, event(1_048_577)), 413, 'event_too_large');
    await accepted(server.post(EVENTS, event(1_048_576)));
  });

  test.each([false, true])('of a body, chunked: %s', async (chunked) => {
    const post = (at: TestServer, size: number): Promise<Answer> => {
      const headers = { 'content-type': 'application/json' };
      return at.request('POST', EVENTS, { key: ADMIN_KEY, headers, body: '{"a":1}'.padEnd(size), chunked });
    };
    await refused(post(small, 2001), 413, 'body_too_large');
    expect((await post(small, 2001)).json()).toMatchObject({ limit: 2000 });
    await refused(post(small, 200_000), 413, 'body_too_large');
    await accepted(post(small, 2000), small);
    const large = post(server, 24 * 1_048_576);
    await refused(large, 413, 'body_too_large');
    expect((await large).headers.connection).toBe('close');
    await accepted(post(server, 16 * 1_048_576));
  });

  test('a Content-Length over the limit is answered before the body comes', async () => {
    const { text, closed } = await small.raw(
      `POST ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\nContent-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 413 [\s\S]*connection: close[\s\S]*"body_too_large"/i);
    expect(closed).toBe(true);
  });

  test('a chunked body without end', async () => {
    const chunk = `3e8\r\n${' '.repeat(1000)}\r\n`;
    const { text, closed } = await small.raw(
      [
        `POST ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
        ...Array.from({ length: 500 }, () => chunk),
      ],
      { pause: 5 },
    );
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 413']);
    expect(closed).toBe(true);
  });
});

describe('what a body is said to be', () => {
  const post = (headers: Send['headers'], body: string | Uint8Array = '{"a":1}'): Promise<Answer> =>
    server.request('POST', EVENTS, { key: ADMIN_KEY, headers: headers ?? {}, body });

  test.each([
    'text/plain',
    'text/json',
    'application/xml',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/octet-stream',
    'application/cloudevents+json',
    'application/json-seq',
    'application/jsonx',
    'application/ndjson',
    'application/json, text/plain',
    'application/json;charset=latin1',
    'application/json; charset=utf-16',
    'application/json; charset="iso-8859-1"',
    'application/x-ndjson; charset=us-ascii',
    'application/json\u00a0',
    'json',
    '*/*',
    'application/*',
    ';',
    ' ',
  ])('415: %s', async (type) => {
    await refused(post({ 'content-type': type }), 415, 'unsupported_media_type');
  });

  test('415: no type', () => refused(post({}), 415, 'unsupported_media_type'));

  test.each([
    'application/json',
    'APPLICATION/JSON',
    'Application/X-NDJSON',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'application/json ; charset="utf-8"',
    'application/json; charset=utf8; profile=x',
    'application/x-ndjson; charset=utf-8',
  ])('fine: %s', async (type) => {
    await accepted(post({ 'content-type': type }));
  });

  test.each([
    'gzip',
    'GZIP',
    'x-gzip',
    'br',
    'zstd',
    'deflate',
    'compress',
    'gzip, identity',
    'identity, gzip',
    'aws-chunked',
    '*',
  ])('415: encoded as %s', async (encoding) => {
    await refused(
      post({ 'content-type': 'application/json', 'content-encoding': encoding }),
      415,
      'unsupported_encoding',
    );
  });

  test('415: 100 MB in 97 KB', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    await refused(post(headers, gzipSync(Buffer.alloc(100_000_000, 0x20))), 415, 'unsupported_encoding');
    // Not even where nothing says so.
    await refused(post({ 'content-type': 'application/json' }, gzipSync('{"a":1}')), 400, 'invalid_utf8');
    await refused(post({ 'content-type': 'application/json' }, deflateRawSync('{"a":1}')), 400, 'invalid_utf8');
  });

  test('identity is fine', async () => {
    await accepted(post({ 'content-type': 'application/json', 'content-encoding': 'identity' }));
    await accepted(post({ 'content-type': 'application/json', 'content-encoding': 'Identity' }));
  });
});

describe('parameters', () => {
  const get = (path: string): Promise<Answer> => server.get(path, ADMIN_KEY);
  const bad = (path: string): Promise<void> => refused(get(path), 400, 'bad_parameter');

  const NUMBERS = [
    '',
    '01',
    '00',
    '+1',
    '%2B1',
    '-1',
    '-0',
    '1e1',
    '1.0',
    '1.',
    '.5',
    '0x1',
    '0b1',
    '1_0',
    '1n',
    '1,2',
    '%201',
    '1%20',
    '1+',
    '1%00',
    '1%0a',
    '%31%EF%BB%BF',
    'NaN',
    'Infinity',
    'null',
    'abc',
    '%D9%A1',
    '%EF%BC%91',
    '%C2%B2',
    '9007199254740992',
    '9007199254740993',
    '18446744073709551615',
    '18446744073709551616',
    '1'.repeat(1000),
  ];

  test.each(NUMBERS)('the number %j', async (text) => {
    for (const path of [
      `${EVENTS}?from=${text}`,
      `${EVENTS}?limit=${text}`,
      `/logs/main/tree-heads?from=${text}`,
      `/logs/main/tree-heads?limit=${text}`,
      `/logs/main/proofs/inclusion?index=${text}`,
      `/logs/main/proofs/inclusion?index=0&tree_size=${text}`,
      `/logs/main/proofs/consistency?first=${text}&second=1`,
      `/logs/main/proofs/consistency?first=0&second=${text}`,
    ])
      await bad(path);
    // In a path nothing is decoded.
    await bad(`${EVENTS}/${text}`);
    if (text !== '') await bad(`${EVENTS}/0${text}`);
  });

  test.each([
    `${EVENTS}?limit=0`,
    '/logs/main/tree-heads?limit=0',
    '/logs/main/proofs/inclusion',
    '/logs/main/proofs/inclusion?tree_size=1',
    '/logs/main/proofs/inclusion?index',
    '/logs/main/proofs/inclusion?index=',
    '/logs/main/proofs/consistency',
    '/logs/main/proofs/consistency?first=0',
    '/logs/main/proofs/consistency?second=1',
    `${EVENTS}/%30`,
    `${EVENTS}/0%00`,
    `${EVENTS}/0.json`,
    `${EVENTS}/latest`,
  ])('%s', bad);

  test.each([
    '/logs/main',
    '/logs/main/tree-head',
    '/logs/main/tree-heads',
    '/logs/main/proofs/inclusion?index=0',
    '/logs/main/proofs/consistency?first=0&second=1',
    EVENTS,
    `${EVENTS}/0`,
    '/admin/logs',
    '/admin/keys',
  ])('nobody knows: %s', async (path) => {
    const sign = path.includes('?') ? '&' : '?';
    for (const extra of [
      'x=1',
      'x',
      '=1',
      '%66=1&',
      'From=0',
      '__proto__=1',
      'from%00=0',
      '%zz=1',
      'from=%zz',
      '%ff=1',
      '%',
    ])
      await bad(`${path}${sign}${extra}`);
  });

  test.each([
    `${EVENTS}?from=0&from=0`,
    `${EVENTS}?from=0&%66rom=1`,
    `${EVENTS}?limit=1&from=0&limit=2`,
    '/logs/main/proofs/inclusion?index=0&index=0',
    '/logs/main/proofs/consistency?first=0&second=1&second=1',
  ])('twice: %s', bad);

  test('that mean nothing are let through where they are empty', async () => {
    for (const path of [`${EVENTS}?`, `${EVENTS}?&`, `${EVENTS}?from=0&&limit=1&`, `${EVENTS}?%66rom=0&limit=%31`])
      expect((await get(path)).status).toBe(200);
  });

  test.each([
    'ack=',
    'ack=Signed',
    'ack=witnessed',
    'ack=durable&ack=durable',
    'ack=signed,durable',
    'acknowledge=signed',
    'id_pointer=/a&id_pointer=/a',
    'id_pointer=%ff',
    'id_pointer=/%ed%a0%80',
    'id_pointer=/%zz',
    'id_pointer=/%c0%af',
    'from=0',
  ])('of an append: %s', async (query) => {
    await refused(server.post(`${EVENTS}?${query}`, { a: 1 }), 400, 'bad_parameter');
  });

  test('of what an admin does', async () => {
    await refused(server.post('/admin/logs?x=1', { name: 'never' }), 400, 'bad_parameter');
    await refused(server.post('/admin/keys?scope=admin', { scope: 'read' }), 400, 'bad_parameter');
    await refused(server.request('POST', '/admin/clock?x', { key: ADMIN_KEY }), 400, 'bad_parameter');
    expect((await server.get('/logs/never', ADMIN_KEY)).status).toBe(404);
  });
});

describe('paths and methods', () => {
  test.each([
    '/',
    '/index.html',
    '/logs',
    '/logs/',
    '//logs/main',
    '/logs/main/',
    '/logs//main',
    '/logs//checkpoint',
    '/LOGS/main',
    '/logs/MAIN/checkpoint',
    '/logs/main/Checkpoint',
    '/logs/main/checkpoint/',
    '/logs/main//checkpoint',
    '/logs/main/./checkpoint',
    '/logs/main/../main/checkpoint',
    '/logs/main/%2e%2e/main/checkpoint',
    '/logs/%2e%2e/logs/main',
    '/logs/../admin/keys',
    '/logs/main/%63heckpoint',
    '/logs/%6dain/checkpoint',
    '/logs/main%2fcheckpoint',
    '/logs/main%00/checkpoint',
    '/logs/main%20/checkpoint',
    '/logs/main;x=1/checkpoint',
    '/logs/main\\checkpoint',
    '/logs/__proto__/checkpoint',
    '/logs/constructor/checkpoint',
    '/logs/main/events/0/x',
    '/logs/main/proofs',
    '/logs/main/proofs/',
    '/logs/main/adds',
    '/admin',
    '/admin/',
    '/admin/keys/',
    '/healthz/',
    '/healthz%00',
    '/healthz#x',
    '/metrics/../admin/keys',
    '/__proto__',
    '/%',
    '/%zz',
    '/%ff',
    '/..%2f..%2fetc%2fpasswd',
    '/../../etc/passwd',
    `/${'x'.repeat(8000)}`,
    `/${'x/'.repeat(4000)}`,
  ])('404: %s', async (path) => {
    // Where only the method is wrong, or a number is none, it is not a 404; none of these is of that kind.
    const answer = await server.get(path, ADMIN_KEY);
    const isKey = path === '/admin/keys/';
    expect([path, answer.status]).toEqual([path, isKey ? 405 : 404]);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.text).not.toContain('<');
  });

  test.each<readonly [path: string, allow: string]>([
    ['/logs/main/events', 'GET, HEAD, POST'],
    ['/logs/main/events/0', 'GET, HEAD'],
    ['/logs/main/checkpoint', 'GET, HEAD'],
    ['/logs/main/tile/0/000', 'GET, HEAD'],
    ['/logs/main/tile/entries/000', 'GET, HEAD'],
    ['/logs/main/proofs/inclusion', 'GET, HEAD'],
    ['/logs/main/proofs/consistency', 'GET, HEAD'],
    ['/logs/main', 'GET, HEAD'],
    ['/logs/main/tree-head', 'GET, HEAD'],
    ['/logs/main/tree-heads', 'GET, HEAD'],
    ['/admin/logs', 'GET, HEAD, POST'],
    ['/admin/keys', 'GET, HEAD, POST'],
    ['/admin/keys/0000000000000000', 'DELETE'],
    ['/admin/clock', 'POST'],
    ['/healthz', 'GET, HEAD'],
    ['/readyz', 'GET, HEAD'],
    ['/metrics', 'GET, HEAD'],
  ])('405: %s allows %s', async (path, allow) => {
    const allowed = allow.split(', ');
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY']) {
      if (allowed.includes(method)) continue;
      for (const key of [undefined, ADMIN_KEY]) {
        const answer = await server.request(method, path, { key });
        expect([method, answer.status, answer.headers.allow]).toEqual([method, 405, allow]);
        if (method !== 'HEAD') expect(answer.json()).toMatchObject({ code: 'method_not_allowed' });
      }
    }
  });

  test('a wrong method with a body', async () => {
    await refused(server.request('PUT', EVENTS, { key: ADMIN_KEY, body: '{"a":1}' }), 405, 'method_not_allowed');
    const answer = server.request('PUT', '/healthz', { body: 'x'.repeat(3_000_000), chunked: true });
    await refused(answer, 405, 'method_not_allowed');
  });

  test('a log of another kind', async () => {
    await refused(server.post('/logs/blobs/events', { a: 1 }), 409, 'wrong_log_kind');
    await refused(server.get('/logs/blobs/events', ADMIN_KEY), 409, 'wrong_log_kind');
    await refused(server.get('/logs/blobs/events/0', ADMIN_KEY), 409, 'wrong_log_kind');
  });

  test('an unknown log', async () => {
    await refused(server.post('/logs/nowhere/events', { a: 1 }), 404, 'not_found');
    await refused(server.post('/logs/nowhere/events', { a: 1 }, 'nonsense'), 401, 'unauthorized');
  });
});

describe('what an admin sends', () => {
  const logs = async (): Promise<number> =>
    (await server.get('/admin/logs', ADMIN_KEY)).json<{ logs: unknown[] }>().logs.length;
  const keys = async (): Promise<number> =>
    (await server.get('/admin/keys', ADMIN_KEY)).json<{ keys: unknown[] }>().keys.length;

  const name = (text: unknown): string => JSON.stringify({ name: text });
  test.each<readonly [name: string, status: number, code: string, body: string]>([
    ['no name', 400, 'bad_request', '{}'],
    ['a number for a name', 400, 'bad_request', name(1)],
    ['null for a name', 400, 'bad_request', name(null)],
    ['the empty name', 400, 'bad_log_name', name('')],
    ['a name of the server', 400, 'bad_log_name', name('_mine')],
    ['the log of the server', 400, 'bad_log_name', name('_system')],
    ['an index', 400, 'bad_log_name', name('x.index')],
    ['capitals', 400, 'bad_log_name', name('Main')],
    ['a hyphen first', 400, 'bad_log_name', name('-x')],
    ['a point first', 400, 'bad_log_name', name('.x')],
    ['two points', 400, 'bad_log_name', name('..')],
    ['a slash', 400, 'bad_log_name', name('a/b')],
    ['an escaped slash', 400, 'bad_log_name', name('a%2fb')],
    ['a space', 400, 'bad_log_name', name('a b')],
    ['a line end', 400, 'bad_log_name', name('a\n')],
    ['a NUL', 400, 'bad_log_name', name('a\0')],
    ['a plus', 400, 'bad_log_name', name('a+b')],
    ['not ASCII', 400, 'bad_log_name', name('é')],
    ['64 characters', 400, 'bad_log_name', name('x'.repeat(64))],
    ['a log that is there', 409, 'log_exists', name('main')],
    ['an unknown kind', 400, 'bad_request', '{"name":"x","kind":"files"}'],
    ['a text for a boolean', 400, 'bad_request', '{"name":"x","public_reads":"yes"}'],
    ['a number for a pointer', 400, 'bad_request', '{"name":"x","id_pointer":1}'],
    ['no pointer', 400, 'bad_pointer', '{"name":"x","id_pointer":"id"}'],
    ['a pointer for a raw log', 409, 'wrong_log_kind', '{"name":"x","kind":"raw","id_pointer":"/id"}'],
    ['an unknown member', 400, 'bad_request', '{"name":"x","publicReads":true}'],
    ['__proto__', 400, 'bad_request', '{"name":"x","__proto__":{"public_reads":true}}'],
    ['a name twice', 400, 'duplicate_key', '{"name":"x","name":"y"}'],
    ['an array', 400, 'not_an_object', '[{"name":"x"}]'],
    ['a text', 400, 'not_an_object', '"x"'],
    ['no JSON', 400, 'malformed_json', '{name:"x"}'],
    ['nothing', 400, 'empty_event', ''],
    ['a byte order mark', 400, 'bom', '\ufeff{"name":"x"}'],
    ['too much', 413, 'body_too_large', '{"name":"x"}'.padEnd(65_537)],
    ['too deep', 400, 'too_deep', `{"name":${nest(40, '[', ']')}}`],
  ])('for a log: %s', async (_name, status, code, body) => {
    const before = await logs();
    await refused(server.post('/admin/logs', body), status, code);
    expect(await logs()).toBe(before);
  });

  test.each<readonly [name: string, status: number, code: string, body: string]>([
    ['no scope', 400, 'bad_request', '{}'],
    ['scope and scopes', 400, 'bad_request', '{"scope":"read","scopes":["read"]}'],
    ['no scopes', 400, 'bad_request', '{"scopes":[]}'],
    ['an unknown scope', 400, 'bad_request', '{"scope":"write"}'],
    ['an unknown scope among others', 400, 'bad_request', '{"scopes":["read","root"]}'],
    ['null for a scope', 400, 'bad_request', '{"scope":null}'],
    ['scopes as a text', 400, 'bad_request', '{"scopes":"admin"}'],
    ['two scopes by one name', 400, 'duplicate_key', '{"scope":"read","scope":"admin"}'],
    ['the empty name', 400, 'bad_request', '{"scope":"read","name":""}'],
    ['a long name', 400, 'bad_request', `{"scope":"read","name":"${'x'.repeat(129)}"}`],
    ['a line end in the name', 400, 'bad_request', '{"scope":"read","name":"a\\nb"}'],
    ['an escape sequence in the name', 400, 'bad_request', '{"scope":"read","name":"\\u001b[2J"}'],
    ['a name that is not ASCII', 400, 'bad_request', '{"scope":"read","name":"é"}'],
    ['an unknown log', 400, 'bad_parameter', '{"scope":"read","log":"nowhere"}'],
    ['a number for a log', 400, 'bad_request', '{"scope":"read","log":1}'],
    ['an own secret', 400, 'bad_request', '{"scope":"read","key":"ind_1"}'],
  ])('for a key: %s', async (_name, status, code, body) => {
    const before = await keys();
    await refused(server.post('/admin/keys', body), status, code);
    expect(await keys()).toBe(before);
  });

  test('all faults of a body at once', async () => {
    const { detail } = (await server.post('/admin/logs', '{"name":1,"kind":"x","y":2}')).json<{ detail: string }>();
    for (const member of ['name', 'kind', 'y']) expect(detail).toContain(member);
  });

  test('no JSON by its type', async () => {
    await refused(server.post('/admin/logs', { name: 'x' }, ADMIN_KEY, 'text/plain'), 415, 'unsupported_media_type');
    await refused(server.request('POST', '/admin/keys', { key: ADMIN_KEY, body: '{}' }), 415, 'unsupported_media_type');
  });

  test.each(['0000000000000000', 'x', '%00', '..', '__proto__', 'A'.repeat(500)])('the key %s', async (id) => {
    await refused(server.request('DELETE', `/admin/keys/${id}`, { key: ADMIN_KEY }), 404, 'no_such_key');
  });

  test('the longest names', async () => {
    expect((await server.post('/admin/logs', { name: 'x'.repeat(63) })).status).toBe(201);
    expect((await server.post('/admin/keys', { scope: 'read', name: '~'.repeat(128) })).status).toBe(201);
    expect((await server.post('/admin/logs', { name: 'a..b' })).status).toBe(201);
  });

  test('one name twice at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => server.post('/admin/logs', { name: 'race' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409, 409, 409]);
  });
});

describe('bytes that are no request', () => {
  const HOST = 'Host: x\r\n';
  const AUTH = `Authorization: Bearer ${ADMIN_KEY}\r\n`;
  const CLOSE = 'Connection: close\r\n';
  const post = (headers: string, body: string): string =>
    `POST ${EVENTS} HTTP/1.1\r\n${HOST}${AUTH}Content-Type: application/json\r\n${headers}\r\n${body}`;
  const CHUNKS = '7\r\n{"a":1}\r\n0\r\n\r\n';

  test.each<readonly [name: string, bytes: string, answers: readonly number[]]>([
    [
      'Content-Length and Transfer-Encoding',
      post(`Content-Length: 7\r\nTransfer-Encoding: chunked\r\n`, CHUNKS),
      [400],
    ],
    [
      'Transfer-Encoding and Content-Length',
      post(`Transfer-Encoding: chunked\r\nContent-Length: 7\r\n`, CHUNKS),
      [400],
    ],
    ['two Content-Lengths', post('Content-Length: 7\r\nContent-Length: 8\r\n', '{"a":1}'), [400]],
    ['two equal Content-Lengths', post('Content-Length: 7\r\nContent-Length: 7\r\n', '{"a":1}'), [400]],
    ['a list of Content-Lengths', post('Content-Length: 7, 7\r\n', '{"a":1}'), [400]],
    ['a Content-Length with a plus', post('Content-Length: +7\r\n', '{"a":1}'), [400]],
    ['a negative Content-Length', post('Content-Length: -7\r\n', '{"a":1}'), [400]],
    ['a Content-Length in hexadecimal', post('Content-Length: 0x7\r\n', '{"a":1}'), [400]],
    ['a Content-Length above 2^64', post('Content-Length: 18446744073709551623\r\n', '{"a":1}'), [400]],
    ['an empty Content-Length', post('Content-Length: \r\n', '{"a":1}'), [400]],
    ['Transfer-Encoding: identity', post('Transfer-Encoding: identity\r\n', CHUNKS), [400]],
    ['Transfer-Encoding: xchunked', post('Transfer-Encoding: xchunked\r\n', CHUNKS), [400]],
    ['Transfer-Encoding: chunked, gzip', post('Transfer-Encoding: chunked, gzip\r\n', CHUNKS), [400]],
    ['Transfer-Encoding: gzip, chunked', post('Transfer-Encoding: gzip, chunked\r\n', CHUNKS), [400]],
    ['Transfer-Encoding twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', CHUNKS), [400]],
    ['Transfer-Encoding with a vertical tab', post('Transfer-Encoding: \vchunked\r\n', CHUNKS), [400]],
    ['a space before the colon', post('Transfer-Encoding : chunked\r\n', CHUNKS), [400]],
    ['a chunk size that is none', post('Transfer-Encoding: chunked\r\n', 'zz\r\n{"a":1}\r\n0\r\n\r\n'), [400]],
    ['a negative chunk size', post('Transfer-Encoding: chunked\r\n', '-7\r\n{"a":1}\r\n0\r\n\r\n'), [400]],
    [
      'a chunk size above 2^64',
      post('Transfer-Encoding: chunked\r\n', '10000000000000007\r\n{"a":1}\r\n0\r\n\r\n'),
      [400],
    ],
    ['a chunk longer than its size', post('Transfer-Encoding: chunked\r\n', '6\r\n{"a":1}\r\n0\r\n\r\n'), [400]],
    ['chunks ended by bare LF', post('Transfer-Encoding: chunked\r\n', '7\n{"a":1}\n0\n\n'), [400]],
    ['bare LF', `GET /healthz HTTP/1.1\nHost: x\n\n`, [400]],
    ['bare LF after a header', `GET /healthz HTTP/1.1\r\nHost: x\n\r\n`, [400]],
    ['bare CR', `GET /healthz HTTP/1.1\r\n${HOST}A: b\rc: d\r\n\r\n`, [400]],
    ['a folded header', `GET /healthz HTTP/1.1\r\n${HOST}A: b\r\n c\r\n\r\n`, [400]],
    ['a NUL in a header', `GET /healthz HTTP/1.1\r\n${HOST}A: b\0c\r\n\r\n`, [400]],
    ['a header without a colon', `GET /healthz HTTP/1.1\r\n${HOST}nonsense\r\n\r\n`, [400]],
    ['a header without a name', `GET /healthz HTTP/1.1\r\n${HOST}: x\r\n\r\n`, [400]],
    ['a space in a header name', `GET /healthz HTTP/1.1\r\n${HOST}A b: x\r\n\r\n`, [400]],
    ['two Hosts', `GET /healthz HTTP/1.1\r\n${HOST}Host: y\r\n\r\n`, [400]],
    ['one Host twice', `GET /logs/main HTTP/1.1\r\n${HOST}hOST: x\r\n\r\n`, [400]],
    ['no Host', `GET /healthz HTTP/1.1\r\n\r\n`, [400]],
    ['headers over 16 KiB', `GET /healthz HTTP/1.1\r\n${HOST}A: ${'b'.repeat(17_000)}\r\n\r\n`, [431]],
    ['many headers over 16 KiB', `GET /healthz HTTP/1.1\r\n${HOST}${'A: bcdef\r\n'.repeat(4000)}\r\n`, [431]],
    [
      'a header behind 3,000 others',
      post(`${'A: b\r\n'.repeat(3000)}Content-Encoding: gzip\r\nContent-Length: 7\r\n`, '{"a":1}'),
      [415],
    ],
    ['a path over 16 KiB', `GET /${'x'.repeat(17_000)} HTTP/1.1\r\n${HOST}\r\n`, [431]],
    ['HTTP/0.9', 'GET /healthz\r\n\r\n', [400]],
    ['HTTP/1.2', `GET /healthz HTTP/1.2\r\n${HOST}\r\n`, [400]],
    ['HTTP/2.0', `GET /healthz HTTP/2.0\r\n${HOST}\r\n`, [400]],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [400]],
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n', [400]],
    ['NULs', '\0'.repeat(100), [400]],
    ['a method nobody knows', `BREW /healthz HTTP/1.1\r\n${HOST}\r\n`, [400]],
    ['a method in small letters', `get /healthz HTTP/1.1\r\n${HOST}\r\n`, [400]],
    ['CONNECT', `CONNECT x:80 HTTP/1.1\r\n${HOST}\r\n`, []],
    ['a path without a slash', `GET healthz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [400]],
    ['only a query', `GET ?x HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [400]],
    ['a space in the path', `GET /a b HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [400]],
    ['a tab in the path', `GET /\t HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [400]],
    ['bytes above 127 in the path', `GET /\xff HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [400]],
    ['two slashes', `GET // HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [404]],
    ['slashes and a bracket', `GET //[ HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [404]],
    ['an asterisk', `OPTIONS * HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [404]],
    ['the absolute form', `GET http://elsewhere.example/healthz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [200]],
    ['the absolute form of TLS', `GET HTTPS://u:p@elsewhere.example:1/healthz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [200]],
    ['the absolute form, express', `GET http://[/logs/main HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [200]],
    ['the absolute form without a path', `GET http://elsewhere.example HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [404]],
    ['the absolute form without a path, a query', `GET http://x?/healthz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [404]],
    ['the absolute form of nothing', `GET http:///healthz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [200]],
    ['another scheme', `GET ftp://x/healthz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [404]],
    ['the absolute form in a path', `GET /http://x/healthz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, [404]],
    ['HTTP/1.0', 'GET /healthz HTTP/1.0\r\n\r\n', [200]],
    ['an expectation nobody knows', `GET /healthz HTTP/1.1\r\n${HOST}Expect: magic\r\n${CLOSE}\r\n`, [200]],
    ['an upgrade', `GET /healthz HTTP/1.1\r\n${HOST}Connection: upgrade, close\r\nUpgrade: h2c\r\n\r\n`, [200]],
    ['garbage behind a request', `GET /healthz HTTP/1.1\r\n${HOST}\r\nnonsense\r\n\r\n`, []],
    ['a body that nobody reads', `GET /healthz HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`, [200]],
  ])('%s', async (_name, request, answers) => {
    const { text, closed } = await server.raw(request, { timeout: 3000 });
    expect(closed).toBe(true);
    expect((text.match(/^HTTP\/1\.1 \d{3}/gm) ?? []).map((line) => Number(line.slice(9)))).toEqual(answers);
    if (answers[0] !== undefined && answers[0] >= 400) {
      expect(text).toContain('content-type: application/problem+json\r\n');
      const [head, body] = text.split('\r\n\r\n') as [string, string];
      expect(head.toLowerCase()).toContain('connection: close');
      expect(body.length).toBe(Number(/^content-length: (\d+)/im.exec(head)?.[1]));
      expect(JSON.parse(body)).toMatchObject({ status: answers[0] });
    }
  });

  test('garbage behind an append that waits is never its answer', async () => {
    const { text, closed } = await unsigned.raw(
      [
        `POST ${EVENTS}?ack=signed HTTP/1.1\r\n${HOST}${AUTH}Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"b":2}`,
        'nonsense\r\n\r\n',
      ],
      { pause: 200 },
    );
    expect([text, closed]).toEqual(['', true]);
    // It is durable all the same: no answer is not "it did not happen".
    expect(unsigned.sizeOf('main')).toBe(1);
  });

  test('one connection for many requests, also after errors', async () => {
    const ask = (path: string): string => `GET ${path} HTTP/1.1\r\n${HOST}\r\n`;
    const paths = ['/healthz', '/nothing', '/logs/main/tile/x', '/logs/closed', '/admin/keys', '/logs/main/checkpoint'];
    const { text, closed } = await server.raw(
      `${paths.map(ask).join('')}PUT /healthz HTTP/1.1\r\n${HOST}\r\nGET /healthz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    );
    expect(text.match(/^HTTP\/1\.1 \d{3}/gm)?.map((line) => Number(line.slice(9)))).toEqual([
      200, 404, 404, 401, 401, 200, 405, 200,
    ]);
    expect(closed).toBe(true);
  });
});

describe('connections', () => {
  const HEAD = `POST ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n`;

  const open = (at: TestServer): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(at.url);
      const socket = connect({ host: hostname, port: Number(port) }, () => resolve(socket));
      socket.on('error', reject);
    });

  test.each<readonly [name: string, parts: readonly string[]]>([
    ['in a body', [`${HEAD}\r\n{"a":1`]],
    ['in a header', [HEAD.slice(0, 60)]],
    ['before the first byte', ['']],
    ['in a chunk', [`${HEAD.replace('Content-Length: 1000', 'Transfer-Encoding: chunked')}\r\n7\r\n{"a"`]],
    [
      'before the last chunk',
      [`${HEAD.replace('Content-Length: 1000', 'Transfer-Encoding: chunked')}\r\n7\r\n{"a":1}\r\n`],
    ],
  ])('closed by the client %s', async (_name, parts) => {
    const { closed } = await server.raw(parts, { end: true, timeout: 2000 });
    expect(closed).toBe(true);
    // And without saying goodbye.
    await server.raw(parts, { timeout: 10 });
  });

  test.each<readonly [name: string, parts: readonly string[]]>([
    ['nothing', ['']],
    ['half a header', [HEAD]],
    ['half a body', [`${HEAD}\r\n{"a":1`]],
    ['a header, drop by drop', [...HEAD.slice(0, 150)]],
    ['a body, drop by drop', [`${HEAD}\r\n{"a":"`, ...'x'.repeat(200)]],
  ])('408: %s', async (_name, parts) => {
    const started = Date.now();
    const { text, closed } = await small.raw(parts, { pause: 10 });
    expect(closed).toBe(true);
    expect(text).toMatch(/^HTTP\/1\.1 408 [\s\S]*"request_timeout"/);
    expect(Date.now() - started).toBeLessThan(2000);
  });

  test('a client that reads only after it has sent everything learns why it was refused', async () => {
    for (const [key, status] of [
      [ADMIN_KEY, 413],
      ['nonsense', 401],
    ]) {
      const socket = await open(server);
      socket.pause();
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      const length = 20 * 1_048_576;
      socket.write(
        `POST ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`,
      );
      await new Promise<void>((resolve, reject) => {
        socket.removeAllListeners('error');
        socket.on('error', reject);
        socket.on('close', () => resolve());
        // Resumed when the last byte has left.
        socket.write(Buffer.alloc(length, 0x20), () => socket.resume());
      });
      expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    }
  });

  test('a client that stops reading is cut off', async () => {
    const large = `{"a":"${'x'.repeat(1_000_000)}"}`;
    for (let i = 0; i < 4; i++) expect((await stalled.post(`${EVENTS}?ack=signed`, large)).status).toBe(200);
    const ask = `GET ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n\r\n`;
    const one = (await stalled.get(EVENTS, ADMIN_KEY)).bytes.length;
    const socket = await open(stalled);
    socket.pause();
    // More than all buffers on the way hold.
    for (let i = 0; i < 4; i++) socket.write(ask);
    await new Promise((wait) => setTimeout(wait, 1500));
    let got = 0;
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk) => {
        got += chunk.length;
      });
      socket.removeAllListeners('error');
      socket.on('error', () => {});
      socket.on('close', () => resolve());
      socket.resume();
    });
    expect(got).toBeLessThan(4 * one);
  });

  test('no more than so many', async () => {
    const sockets = await Promise.all(Array.from({ length: 30 }, () => open(small).catch(() => undefined)));
    let closed = 0;
    for (const socket of sockets) {
      socket?.resume();
      socket?.on('close', () => closed++);
      socket?.removeAllListeners('error');
      socket?.on('error', () => {});
    }
    await new Promise((wait) => setTimeout(wait, 150));
    expect(closed).toBeGreaterThanOrEqual(10);
    for (const socket of sockets) socket?.destroy();
    await new Promise((wait) => setTimeout(wait, 50));
    expect((await small.get('/healthz')).status).toBe(200);
  });
});

describe('too much at once', () => {
  test('503 for what does not fit the pool, with the time to come back', async () => {
    const before = small.sizeOf('main');
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => small.post(EVENTS, '{}\n{}\n', ADMIN_KEY, 'application/x-ndjson')),
    );
    const good = answers.filter(({ status }) => status === 200);
    const late = answers.filter(({ status }) => status !== 200);
    expect([good.length > 0, late.length > 0]).toEqual([true, true]);
    for (const answer of late) {
      expect(answer.json()).toMatchObject({ status: 503, code: 'pushback' });
      expect(answer.headers['retry-after']).toBe('1');
    }
    expect(small.sizeOf('main')).toBe(before + 2 * good.length);
    sizes.set(small, small.sizeOf('main'));
  });
});

describe('anything', () => {
  test('requests with some bytes changed', async () => {
    const body = '{"id":"a","x":[1,2.5,null,"\\u00e9"]}';
    const base = `POST ${EVENTS}?id_pointer=/id&ack=durable HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const edit = fc.record({
      at: fc.nat(base.length - 1),
      take: fc.nat(6),
      put: fc.oneof(
        fc.string({ maxLength: 4, unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) }),
        fc.constantFrom('\r\n', '\n', '\0', '%00', '..', '//', '"', '\\', '{', '[', 'chunked', '9'.repeat(20), '\xff'),
      ),
    });
    const before = small.sizeOf('main');
    let stored = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(edit, { minLength: 1, maxLength: 3 }), { minLength: 18, maxLength: 18 }),
        async (all) => {
          const answers = await Promise.all(
            all.map((edits) => {
              let text = base;
              for (const { at, take, put } of edits) text = text.slice(0, at) + put + text.slice(at + take);
              return small.raw(text, { timeout: 1500 });
            }),
          );
          for (const { text, closed } of answers) {
            // Closed, or kept open for the next request after an answer; never silence.
            expect(closed || text !== '').toBe(true);
            const statuses = (text.match(/HTTP\/1\.1 \d{3}/g) ?? []).map((line) => Number(line.slice(9)));
            for (const status of statuses) expect(status === 503 || status < 500 ? 'fine' : text).toBe('fine');
            stored += text.includes('"replayed":false') ? 1 : 0;
          }
        },
      ),
      { numRuns: 3, endOnFailure: true },
    );
    // An entry whose connection broke may stand there without its answer; an answer never without its entry.
    expect(small.sizeOf('main')).toBeGreaterThanOrEqual(before + stored);
    sizes.set(small, small.sizeOf('main'));
  });
});

describe('after all that', () => {
  test('both servers work as before', async () => {
    for (const each of [server, small]) {
      await accepted(each.post(`${EVENTS}?ack=signed`, { last: 1 }), each);
      expect((await each.get('/readyz')).status).toBe(200);
      expect((await each.get('/metrics')).text).not.toMatch(/^indelible_http_requests_total\{.*status="500"/m);
    }
    const size = server.sizeOf('main');
    expect((await server.get(`/logs/main/proofs/consistency?first=1&second=${size}`)).status).toBe(200);
  });

  test('a server that is told to stop waits for nobody who sends nothing', async () => {
    const [idle, half] = [small.raw('', { timeout: 3000 }), small.raw('GET /heal', { timeout: 3000 })];
    await new Promise((wait) => setTimeout(wait, 50));
    const started = Date.now();
    await small.stopListening(10_000);
    expect(Date.now() - started).toBeLessThan(1000);
    expect([(await idle).closed, (await half).closed]).toEqual([true, true]);
  });
});
