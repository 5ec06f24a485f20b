/**
 * The catalogue of bad input, run: every case gets exactly its status and its stable code, in the one form that errors have, and changes
 * nothing. What is only nearly bad is taken, so that nothing passes by being refused for the wrong reason; and in the end the servers work
 * as before.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { encodeBundle } from '../../../../tree/bundles.ts';
import { utf8 } from '../../../../tree/bytes.ts';
import { ROOT } from '../../../support/spawn-server.ts';
import { ADMIN_KEY, type Answer, type Send, TestServer } from '../../../support/test-server.ts';
import { ADMIN_CASES } from './administration.ts';
import { BATCH_CASES } from './batches.ts';
import { BODY_CASES } from './bodies.ts';
import { AUTHORIZED, type BadCase, EVENTS, JSON_TYPE, members, nest, SMALL } from './case.ts';
import { EVENT_CASES } from './events.ts';
import { KEY_CASES } from './keys.ts';
import { PARAMETER_CASES } from './parameters.ts';
import { METHOD_CASES, PATH_CASES, PATHS_OF_ROUTES, PATHS_WITH_METHODS } from './paths.ts';
import { RAW_CASES } from './raw-requests.ts';

const server = await TestServer.start();
const small = await TestServer.start({ limits: SMALL });
const servers = [server, small] as const;

const HTTP_CASES: readonly BadCase[] = [
  ...EVENT_CASES,
  ...BATCH_CASES,
  ...BODY_CASES,
  ...PARAMETER_CASES,
  ...PATH_CASES,
  ...METHOD_CASES,
  ...ADMIN_CASES,
  ...KEY_CASES,
];

/** What no case of a table can show, with the place that does. */
const WITNESS = 'witness.test.ts, and every row in test/server/witness';
const SHOWN_ELSEWHERE: Readonly<Record<string, string>> = {
  malformed_request: WITNESS,
  malformed_checkpoint: WITNESS,
  not_signed_by_log: WITNESS,
  unknown_origin: WITNESS,
  not_cosigned: WITNESS,
  inconsistent_checkpoint: WITNESS,
  rate_limited: 'rate-limiter.test.ts: it takes more than one request',
  request_timeout: 'connections.test.ts: it takes time',
  rotation_not_signed: 'key-rotation.test.ts: it lasts until the next head',
  too_many_failures: 'login-throttle.test.ts: it takes more than one request',
};

const LOGS = ['main', '_system', 'blobs', 'pointed', 'closed', 'frozen'];
/** What is stored: nothing of it may change by being refused. */
function stored(): unknown {
  return servers.map((each) => {
    const {
      server: logs,
      server: { apiKeys },
    } = each.started;
    const sizes = LOGS.map((log) => each.sizeOf(log));
    return [...sizes, logs.logs().length, apiKeys.list().map(({ id, revokedAt }) => [id, revokedAt])];
  });
}

async function prepare(each: TestServer): Promise<void> {
  await each.makeLog('blobs', { kind: 'raw' });
  await each.makeLog('pointed', { idPointer: '/id' });
  await each.makeLog('closed', { publicReads: false });
  await each.makeLog('frozen');
  await each.makeLog('turning');
  await each.makeLog('deleted');
  const good = async (answer: Promise<Answer>): Promise<void> => {
    const { status, text } = await answer;
    expect([status, text]).toEqual([200, expect.any(String)]);
  };
  const once = { 'idempotency-key': 'used' };
  const entries = (n: number): Uint8Array => encodeBundle(Array.from({ length: n }, (_, i) => utf8(`${i}`)));
  await good(each.request('POST', EVENTS, { key: ADMIN_KEY, headers: { ...JSON_TYPE, ...once }, body: '{"first":1}' }));
  await good(each.request('POST', '/logs/blobs/add', { key: ADMIN_KEY, headers: once, body: 'first' }));
  for (let size = 1; size < 300; size = each.sizeOf('blobs'))
    await good(each.post('/logs/blobs/add-batch', entries(Math.min(each === small ? 5 : 299, 300 - size))));
  await good(each.post('/logs/pointed/events', { id: 1 }));
  await good(each.post('/admin/logs/turning/rotation', ''));
  for (const log of ['frozen', 'deleted']) await good(each.post(`/admin/logs/${log}/freeze`, ''.padEnd(0)));
  await each.sign();
  await good(each.request('DELETE', '/admin/logs/deleted', { key: ADMIN_KEY }));
  while ((await each.get(`/logs/main/proofs/inclusion?leaf_hash=${'0'.repeat(64)}`)).status === 503) await each.sign();
}

let before: unknown;
beforeAll(async () => {
  for (const each of servers) await prepare(each);
  before = stored();
});
afterEach(() => {
  const was = before;
  before = stored();
  expect([before, server.fatal, small.fatal]).toEqual([was, [], []]);
});

/** What every error looks like, whoever made it. */
const ERROR_HEADERS = {
  'content-type': 'application/problem+json',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

function problemBody(text: string, status: number, code: string): void {
  expect(JSON.parse(text)).toMatchObject({
    type: `urn:indelible:problem:${code}`,
    title: expect.stringMatching(/^[ -~]+$/),
    status,
    detail: expect.stringMatching(/^[ -~…±]+$/),
    code,
  });
  expect(text).not.toContain('<');
}

async function refused({ ask, status, code, at, allow }: BadCase, chunked: boolean, body: Send['body']): Promise<void> {
  const { method, path, key, headers } = ask;
  const send: Send = {
    key: key === null ? undefined : (key ?? ADMIN_KEY),
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { body, chunked }),
  };
  const answer = await (at === 'small' ? small : server).request(method, path, send);
  const got = method === 'HEAD' ? code : (answer.json()['code'] as string);
  expect([answer.status, got]).toEqual([status, code]);
  expect(answer.headers).toMatchObject(ERROR_HEADERS);
  if (method === 'HEAD') expect(answer.text).toBe('');
  else problemBody(answer.text, status, code);
  expect(answer.headers['www-authenticate']).toEqual(status === 401 ? 'Bearer realm="indelible"' : undefined);
  expect(answer.headers.allow).toBe(allow);
}

describe('the catalogue', () => {
  test('has at least 300 cases over HTTP and 200 on bare sockets, each with a name of its own', () => {
    for (const [cases, least] of [
      [HTTP_CASES, 300],
      [RAW_CASES, 200],
    ] as const) {
      const names = cases.map(({ name }) => name);
      expect(names.length).toBeGreaterThanOrEqual(least);
      expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    }
  });

  test('has every code with which docs/api.md refuses what a client sent', () => {
    const table = readFileSync(join(ROOT, 'docs/api.md'), 'utf8').split('\n## Errors\n')[1] ?? '';
    const documented = [...table.matchAll(/^\| (4\d\d(?:, 4\d\d)*) \| (.*) \|$/gm)].flatMap(([, , codes = '']) =>
      [...codes.matchAll(/`([a-z_0-9]+)`/g)].map(([, code]) => code as string),
    );
    const shown = new Set([
      ...HTTP_CASES.map(({ code }) => code),
      ...RAW_CASES.map(({ code }) => code ?? 'bad_request'),
    ]);
    const missing = documented.filter((code) => !shown.has(code) && SHOWN_ELSEWHERE[code] === undefined);
    expect(documented.length).toBeGreaterThan(40);
    expect(missing).toEqual([]);
    expect(Object.keys(SHOWN_ELSEWHERE).filter((code) => shown.has(code) || !documented.includes(code))).toEqual([]);
  });

  test('has every path of the table of routes with the methods that it has not', () => {
    expect(PATHS_WITH_METHODS).toBe(PATHS_OF_ROUTES);
  });
});

describe('over HTTP', () => {
  test.each(HTTP_CASES.map((each) => [each.name, each] as const))('%s', async (_name, each) => {
    const { body: given } = each.ask;
    const body = typeof given === 'function' ? given() : given;
    await refused(each, false, body);
    if (body !== undefined) await refused(each, true, body);
  });
});

describe('on a bare socket', () => {
  test.each(RAW_CASES.map((each) => [each.name, each] as const))('%s', async (_name, { bytes, answers, code }) => {
    const { text: latin1, closed } = await server.raw(bytes, { timeout: 3000, pause: 0 });
    const text = Buffer.from(latin1, 'latin1').toString();
    expect((text.match(/^HTTP\/1\.1 \d{3}/gm) ?? []).map((line) => Number(line.slice(9)))).toEqual(answers);
    expect(closed).toBe(true);
    const [status] = answers;
    if (status === undefined || status < 400) return;
    const [head = '', body = ''] = text.split('\r\n\r\n');
    const headers = Object.fromEntries(
      head
        .split('\r\n')
        .slice(1)
        .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
    );
    expect(headers).toMatchObject({
      ...ERROR_HEADERS,
      connection: 'close',
      'content-length': String(Buffer.byteLength(body)),
    });
    problemBody(body, status, code ?? 'bad_request');
  });
});

describe('what a refusal says', () => {
  test('is where, and never what', async () => {
    const answer = await server.post(EVENTS, '{"password":"hunter2","a":01}');
    expect(answer.json()).toMatchObject({ code: 'malformed_json', offset: 27 });
    expect(answer.text).not.toContain('hunter2');
    expect((await server.post(EVENTS, nest(33, '{"a":', '}'))).json()).toMatchObject({ limit: 32 });
    expect((await server.post(EVENTS, members(1001))).json()).toMatchObject({ limit: 1000 });
    expect((await small.post(EVENTS, `{"a":"${'x'.repeat(93)}"}`)).json()).toMatchObject({ limit: 100 });
    expect((await small.post(EVENTS, ''.padEnd(2001))).json()).toMatchObject({ limit: 2000 });
  });

  test('is every fault of a body at once', async () => {
    const { detail } = (await server.post('/admin/logs', '{"name":1,"kind":"x","y":2}')).json<{ detail: string }>();
    for (const member of ['name', 'kind', 'y']) expect(detail).toContain(member);
  });

  const batch = (body: string, at = server): Promise<Answer> =>
    at.post(EVENTS, body, ADMIN_KEY, 'application/x-ndjson');

  test('is every bad line of a batch', async () => {
    const answer = await batch('{"a":1}\n\n[]\r\n{"a":1,"a":2}\n{"b":1}\n{"c":\n \n\ufeff{}\n{"a":"\\ud800"}');
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

  test('is every bad line even if all 10,000 are', async () => {
    const { errors } = (await batch('[]\n'.repeat(10_000))).json<{ errors: { line: number }[] }>();
    expect(errors.map(({ line }) => line)).toEqual(Array.from({ length: 10_000 }, (_, i) => i + 1));
  });

  test('is the limit', async () => {
    expect((await batch('{}\n'.repeat(10_001))).json()).toMatchObject({ limit: 10_000, line: 10_001 });
    const { errors } = (await batch(`{}\n{"a":"${'x'.repeat(100)}"}\n[]\n`, small)).json<{ errors: unknown[] }>();
    expect(errors).toEqual([
      expect.objectContaining({ line: 2, code: 'event_too_large' }),
      expect.objectContaining({ line: 3, code: 'not_an_object' }),
    ]);
  });

  test('comes before the body, where its Content-Length is over the limit', async () => {
    const { text, closed } = await small.raw(
      `POST ${EVENTS} HTTP/1.1\r\nHost: x\r\n${AUTHORIZED}Content-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 413 [\s\S]*connection: close[\s\S]*"body_too_large"/i);
    expect(closed).toBe(true);
  });
});

describe('nothing is wrong with', () => {
  // What is taken here is stored.
  afterEach(() => {
    before = stored();
  });
  const sized = (size: number): string => `{"a":"${'x'.repeat(size - 8)}"}`;
  type Fine = readonly [name: string, body: string | (() => string), type?: string, at?: TestServer];
  const FINE: readonly Fine[] = [
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
    ['10,000 events', () => '{}\n'.repeat(10_000), 'application/x-ndjson'],
    ['as many events, as large a body as may be', '{}\n{}\n{}\n{}\n'.padEnd(2000, '\n'), 'application/x-ndjson', small],
    ['an event of the largest size', sized(100), 'application/json', small],
    ['the largest event in white space', ` ${sized(100)}${'\n'.repeat(1000)}`, 'application/json', small],
    ['an event of 1 MiB', () => sized(1_048_576)],
    ['a body of 16 MiB', () => '{"a":1}'.padEnd(16 * 1_048_576)],
    ...[
      'APPLICATION/JSON',
      'Application/X-NDJSON',
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'application/json ; charset="utf-8"',
      'application/json; charset=utf8; profile=x',
      'application/x-ndjson; charset=utf-8',
    ].map((type): Fine => [type, '{"a":1}', type]),
  ];

  test.each(FINE)('%s', async (_name, body, type = 'application/json', at = server) => {
    const { status, text } = await at.post(EVENTS, typeof body === 'function' ? body() : body, ADMIN_KEY, type);
    expect([status, text]).toEqual([200, expect.any(String)]);
  });

  test.each(['identity', 'Identity'])('a body encoded as %s', async (coding) => {
    const headers = { ...JSON_TYPE, 'content-encoding': coding };
    expect((await server.request('POST', EVENTS, { key: ADMIN_KEY, headers, body: '{"a":1}' })).status).toBe(200);
  });

  test.each(['?', '?&', '?from=0&&limit=1&', '?%66rom=0&limit=%31'])('the query %s', async (query) => {
    expect((await server.get(`${EVENTS}${query}`, ADMIN_KEY)).status).toBe(200);
  });

  test('a key whose scheme is in small letters', async () => {
    const headers = { authorization: `bearer ${ADMIN_KEY}` };
    expect((await server.request('GET', '/logs/closed/checkpoint', { headers })).status).toBe(200);
  });

  test('the longest names', async () => {
    expect((await server.post('/admin/logs', { name: 'x'.repeat(63) })).status).toBe(201);
    expect((await server.post('/admin/keys', { scope: 'read', name: '~'.repeat(128) })).status).toBe(201);
    expect((await server.post('/admin/logs', { name: 'a..b' })).status).toBe(201);
  });

  test('one new name eight times at once: it is made once', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => server.post('/admin/logs', { name: 'race' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409, 409, 409]);
  });
});

describe('after all that', () => {
  test('the servers work as before, and nothing of theirs has failed', async () => {
    for (const each of servers) {
      expect((await each.post(`${EVENTS}?ack=signed`, { last: 1 })).status).toBe(200);
      expect((await each.get('/readyz')).status).toBe(200);
      expect((await each.get('/metrics')).text).not.toMatch(/^indelible_http_requests_total\{.*status="50[07]"/m);
      const size = each.sizeOf('main');
      expect((await each.get(`/logs/main/proofs/consistency?first=1&second=${size}`)).status).toBe(200);
    }
    before = stored();
  });
});
