import { describe, expect, test } from '@jest/globals';
import type { ClientError } from '../../client/error.ts';
import { LogClient } from '../../client/log-client.ts';
import { parseRetryAfter, retryDelay } from '../../client/retry.ts';
import { baseUrl, type TransportOptions } from '../../client/transport.ts';
import { utf8 } from '../../tree/bytes.ts';
import { API_KEY, codeOfAsync, FakeLog, type Fault, problem } from './fake-log.ts';

function setUp(more: Partial<TransportOptions> = {}) {
  const log = new FakeLog();
  const waits: number[] = [];
  const clock = {
    now: () => Date.parse('2026-01-01T00:00:00Z'),
    sleep: async (ms: number) => {
      waits.push(ms);
    },
  };
  const client = new LogClient({
    url: 'http://x.example/logs/main',
    key: API_KEY,
    fetch: log.fetch,
    verifierKey: log.vkey,
    clock,
    ...more,
  });
  return { log, client, waits };
}

const reply = (status: number, code: string, headers: Record<string, string> = {}): Fault => {
  const answer = problem(status, code);
  return { kind: 'reply', reply: { ...answer, headers: { ...answer.headers, ...headers } } };
};
const DROP: Fault = { kind: 'drop' };
const DROP_AFTER: Fault = { kind: 'drop-after' };
const WITH_ID = [utf8('{"id":"a"}')];

describe('an append whose events have ids', () => {
  test.each<[string, Fault]>([
    ['a broken connection', DROP],
    ['a connection that broke after it was stored', DROP_AFTER],
    ['503 pushback', reply(503, 'pushback')],
    ['503 outcome_unknown', reply(503, 'outcome_unknown')],
    ['507 storage_full', reply(507, 'storage_full')],
    ['429', reply(429, 'slow_down')],
    ['502 from a proxy', { kind: 'reply', reply: { status: 502, body: '<html>' } }],
  ])('is repeated after %s, and stored once', async (_what, fault) => {
    const { log, client, waits } = setUp();
    log.faults.push(fault, fault);
    const { entries } = await client.append(WITH_ID, { idPointer: '/id' });
    expect([log.entries.length, entries[0]?.leafIndex, waits.length]).toEqual([1, 0, 2]);
  });

  test('is not repeated if one of them has none', async () => {
    const { log, client } = setUp();
    log.faults.push(DROP_AFTER);
    const given = [utf8('{"id":"a"}'), utf8('{"ID":"b"}')];
    expect(await codeOfAsync(() => client.append(given, { idPointer: '/id' }))).toBe('outcome_unknown');
    expect(log.requests).toHaveLength(1);
  });

  test.each([
    ['/detail/id', '{"detail":{"id":1}}', 'repeatable'],
    ['/a~1b/~0c/1', '{"a/b":{"~c":[0,1]}}', 'repeatable'],
    ['/detail/length', '{"detail":[1]}', 'once'],
    ['/constructor', '{}', 'once'],
    ['/__proto__', '{}', 'once'],
    ['/a/b', '{"a":"b"}', 'once'],
  ])('pointer %s in %s: %s', async (idPointer, event, expected) => {
    const { log, client } = setUp();
    log.faults.push(DROP, reply(422, 'the_end'));
    const code = await codeOfAsync(() => client.append([utf8(event)], { idPointer }));
    expect(code).toBe(expected === 'once' ? 'outcome_unknown' : 'http');
  });

  test('gives up after so many tries and says that nobody answered', async () => {
    const { log, client, waits } = setUp({ retries: { attempts: 3 } });
    log.faults.push(DROP, DROP, DROP);
    expect(await codeOfAsync(() => client.append(WITH_ID, { idPointer: '/id' }))).toBe('unreachable');
    expect([log.requests.length, waits.length]).toEqual([3, 2]);
  });
});

describe('an append that would be stored twice', () => {
  test('is repeated after 503 pushback, which says that nothing was stored', async () => {
    const { log, client, waits } = setUp();
    log.faults.push(reply(503, 'pushback', { 'retry-after': '3' }), reply(503, 'pushback'));
    await client.append(WITH_ID);
    expect([log.entries.length, waits[0]]).toEqual([1, 3000]);
  });

  test('is repeated after 429 rate_limited, when the server says so', async () => {
    const { log, client, waits } = setUp();
    log.faults.push(reply(429, 'rate_limited', { 'retry-after': '2' }));
    await client.append(WITH_ID);
    expect([log.entries.length, waits]).toEqual([1, [2000]]);
  });

  test('is repeated after 507 storage_full, and is known not to be stored if that stays so', async () => {
    const { log, client } = setUp({ retries: { attempts: 2 } });
    log.faults.push(reply(507, 'storage_full', { 'retry-after': '10' }));
    await client.append(WITH_ID);
    expect(log.entries).toHaveLength(1);
    log.faults.push(reply(507, 'storage_full'), reply(507, 'storage_full'));
    expect(await codeOfAsync(() => client.append(WITH_ID))).toBe('http');
    expect(log.entries).toHaveLength(1);
  });

  test.each<[string, Fault, string]>([
    ['507 of a proxy', { kind: 'reply', reply: { status: 507, body: 'full' } }, 'outcome_unknown'],
    ['a broken connection', DROP_AFTER, 'outcome_unknown'],
    ['503 outcome_unknown', reply(503, 'outcome_unknown'), 'outcome_unknown'],
    ['503 of a proxy', { kind: 'reply', reply: { status: 503, body: 'busy' } }, 'outcome_unknown'],
    ['500', reply(500, 'internal'), 'outcome_unknown'],
    ['503 clock_unsafe', reply(503, 'clock_unsafe'), 'http'],
    ['422', reply(422, 'duplicate_key'), 'http'],
    ['401', reply(401, 'unauthorized'), 'http'],
    ['a redirect', { kind: 'reply', reply: { status: 301, headers: { location: 'http://y' }, body: '' } }, 'http'],
  ])('is not repeated after %s', async (_what, fault, code) => {
    const { log, client } = setUp();
    log.faults.push(fault);
    expect(await codeOfAsync(() => client.append(WITH_ID))).toBe(code);
    expect(log.requests).toHaveLength(1);
  });

  test('says unreachable where no connection came about', async () => {
    const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    const { client } = setUp({ fetch: () => Promise.reject(new TypeError('fetch failed', { cause })) });
    expect(await codeOfAsync(() => client.append(WITH_ID))).toBe('unreachable');
  });
});

describe('reading', () => {
  test('is repeated after failures that pass, not after refusals', async () => {
    const { log, client } = setUp();
    log.fill(2);
    log.faults.push(DROP, reply(503, 'not_signed_yet'));
    expect((await client.event(1)).leafIndex).toBe(1);
    log.faults.push(reply(500, 'damaged'));
    const error = await client.event(1).catch((e: ClientError) => e);
    expect(error).toMatchObject({ code: 'http', status: 500, problem: { code: 'damaged' } });
  });

  test('stops at the first silence that is too long', async () => {
    const fetch = (_url: string, init: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      });
    const { client } = setUp({ fetch, timeout: 20, retries: { attempts: 1 } });
    expect(await codeOfAsync(() => client.event(1))).toBe('unreachable');
  });

  test('stops when the caller does, with the reason of the caller', async () => {
    const { log, client } = setUp();
    const controller = new AbortController();
    log.faults.push(DROP);
    controller.abort(new Error('enough'));
    await expect(client.event(0, { signal: controller.signal })).rejects.toThrow('enough');
  });

  test('refuses an answer without end', async () => {
    const { log, client } = setUp({ maxReplySize: 1000 });
    log.fill(1).tamper = (_request, body) => ({ ...body, more: 'x'.repeat(2000) });
    expect(await codeOfAsync(() => client.event(0))).toBe('bad_reply');
  });

  test.each(['', 'null', '[]', '"x"', '{"a":', '\ufeff{}', '<html>'])('refuses the answer %j', async (body) => {
    const { log, client } = setUp();
    log.faults.push({ kind: 'reply', reply: { status: 200, body } });
    expect(await codeOfAsync(() => client.event(0))).toBe('bad_reply');
  });
});

test('Retry-After in seconds, as a date, and as nonsense', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(parseRetryAfter('7', now)).toBe(7000);
  expect(parseRetryAfter('Thu, 01 Jan 2026 00:00:05 GMT', now)).toBe(5000);
  expect(parseRetryAfter('Wed, 31 Dec 2025 23:59:00 GMT', now)).toBe(0);
  for (const text of [null, '', '-1', '1.5', 'soon', '99999999999']) expect(parseRetryAfter(text, now)).toBeUndefined();
});

test('the wait doubles, obeys the server, and has an upper limit', () => {
  const limits = { attempts: 5, firstDelay: 100, maxDelay: 1000 };
  for (const [attempt, low, high] of [
    [1, 50, 100],
    [3, 200, 400],
    [9, 1000, 1000],
  ] as const) {
    const delay = retryDelay(attempt, undefined, limits);
    expect(delay >= low && delay <= high).toBe(true);
  }
  expect(retryDelay(1, 500, limits)).toBe(500);
  expect(retryDelay(1, 60_000, limits)).toBe(1000);
});

test('one log has one base URL', () => {
  expect(baseUrl('HTTP://X.example:80/logs/main/')).toBe('http://x.example/logs/main');
  for (const url of [
    'x',
    '/logs/main',
    'ftp://x/',
    'file:///logs/main',
    'http://x/?a',
    'http://x/a?',
    'http://x/#a',
    'http://x/a#',
    'http://u:p@x/',
  ])
    expect(() => baseUrl(url)).toThrow(expect.objectContaining({ code: 'bad_argument' }));
  expect(() => setUp({ key: 'a\nb' })).toThrow(expect.objectContaining({ code: 'bad_argument' }));
});
