/** What one API key may ask for: buckets, and what the server answers when they are empty. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ApiKey } from '../../../server/access.ts';
import { RateLimiter } from '../../../server/http/rate-limiter.ts';
import { encodeBundle } from '../../../tree/bundles.ts';
import { utf8 } from '../../../tree/bytes.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { ADMIN_KEY, type Answer, TestServer } from '../../support/test-server.ts';

const aKey = (id: string): ApiKey => ({
  ...{ id, hash: '', name: id, scopes: ['append'], log: null, createdAt: '', revokedAt: null },
});

function setUp(limits: { requests: number; entries: number }) {
  const clock = new ManualClock();
  const refused: string[] = [];
  const onRefused = ({ id }: ApiKey, isNews: boolean): void => void refused.push(isNews ? `${id}!` : id);
  return { clock, refused, rates: new RateLimiter({ limits, clock, onRefused }) };
}

describe('a bucket', () => {
  test('holds what a second gives, and fills at that rate', () => {
    const { rates, clock } = setUp({ requests: 10, entries: 0 });
    const key = aKey('a');
    const taken = (): number => {
      let n = 0;
      while (rates.request(key) === undefined) n++;
      return n;
    };
    expect(taken()).toBe(10);
    clock.advance(99);
    expect(taken()).toBe(0);
    clock.advance(1);
    expect(taken()).toBe(1);
    clock.advance(500);
    expect(taken()).toBe(5);
    clock.advance(3_600_000);
    expect(taken()).toBe(10);
  });

  test('says when there is enough, and then there is', () => {
    const { rates, clock } = setUp({ requests: 0, entries: 10 });
    const key = aKey('a');
    expect(rates.entries(key, 10)).toBeUndefined();
    expect(rates.entries(key, 1)).toMatchObject({ code: 'rate_limited', retryAfter: 1, details: { limit: 10 } });
    expect(rates.entries(key, 10)).toMatchObject({ retryAfter: 1 });
    clock.advance(1000);
    expect(rates.entries(key, 10)).toBeUndefined();
  });

  test('is overdrawn by a batch that is larger, and only when it is full', () => {
    const { rates, clock } = setUp({ requests: 0, entries: 10 });
    const key = aKey('a');
    expect(rates.entries(key, 1)).toBeUndefined();
    expect(rates.entries(key, 35)).toMatchObject({ retryAfter: 1 });
    clock.advance(100);
    expect(rates.entries(key, 35)).toBeUndefined();
    expect(rates.entries(key, 1)).toMatchObject({ retryAfter: 3 });
    clock.advance(2599);
    expect(rates.entries(key, 1)).toMatchObject({ retryAfter: 1 });
    clock.advance(1);
    expect(rates.entries(key, 1)).toBeUndefined();
  });

  test('is a key’s own, and one for requests is no matter to one for entries', () => {
    const { rates } = setUp({ requests: 1, entries: 1 });
    const [a, b] = [aKey('a'), aKey('b')];
    expect([rates.request(a), rates.entries(a, 1), rates.request(b), rates.entries(b, 1)]).toEqual(
      Array(4).fill(undefined),
    );
    for (const key of [a, b])
      expect([rates.request(key)?.code, rates.entries(key, 1)?.code]).toEqual(Array(2).fill('rate_limited'));
  });

  test('is not there where there is no limit', () => {
    const { rates, refused } = setUp({ requests: 0, entries: 0 });
    const key = aKey('a');
    for (let i = 0; i < 10_000; i++)
      expect([rates.request(key), rates.entries(key, 1e6)]).toEqual([undefined, undefined]);
    expect(refused).toEqual([]);
  });

  test('is named once a minute for each key', () => {
    const { rates, clock, refused } = setUp({ requests: 1, entries: 1 });
    const [a, b] = [aKey('a'), aKey('b')];
    for (let i = 0; i < 3; i++) rates.request(a);
    for (let i = 0; i < 2; i++) rates.request(b);
    rates.entries(a, 2);
    rates.entries(a, 2);
    expect(refused).toEqual(['a!', 'a', 'b!', 'a']);
    clock.advance(60_000);
    for (let i = 0; i < 2; i++) rates.request(a);
    expect(refused.at(-1)).toBe('a!');
  });

  test('never gives more than the rate, a second’s worth and one batch, and what it promises to give it gives', () => {
    const steps = fc.array(fc.record({ wait: fc.nat(3000), count: fc.integer({ min: 1, max: 60 }) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), steps, (rate, all) => {
        const { rates, clock } = setUp({ requests: 0, entries: rate });
        const key = aKey('a');
        const taken: { at: number; count: number }[] = [];
        let now = 0;
        for (const { wait, count } of all) {
          clock.advance(wait);
          now += wait;
          const refusal = rates.entries(key, count);
          if (refusal === undefined) taken.push({ at: now, count });
          else {
            clock.advance((refusal.retryAfter as number) * 1000);
            now += (refusal.retryAfter as number) * 1000;
            expect(rates.entries(key, count)).toBeUndefined();
            taken.push({ at: now, count });
          }
        }
        for (const [i, { at: from }] of taken.entries()) {
          let sum = 0;
          let largest = 0;
          for (const { at, count } of taken.slice(i)) {
            sum += count;
            largest = Math.max(largest, count);
            expect(sum).toBeLessThanOrEqual((rate * (at - from)) / 1000 + rate + Math.max(0, largest - rate) + 1e-6);
          }
        }
      }),
    );
  });
});

const slow = new ManualClock();
let refusals = 0;
const server = await TestServer.start({
  context: {
    rates: new RateLimiter({ limits: { requests: 20, entries: 10 }, clock: slow, onRefused: () => refusals++ }),
  },
});

describe('over HTTP', () => {
  let quiet: string;
  let loud: string;
  beforeAll(async () => {
    await server.makeLog('raw', { kind: 'raw' });
    quiet = await server.makeKey(['append', 'read']);
    loud = await server.makeKey(['append', 'read']);
  });

  function limited(answer: Answer, limit: number, retryAfter: string): void {
    expect(answer.json()).toEqual({
      type: 'urn:indelible:problem:rate_limited',
      title: expect.any(String),
      status: 429,
      detail: expect.stringContaining(`${limit}`),
      code: 'rate_limited',
      limit,
    });
    expect(answer.headers).toMatchObject({ 'retry-after': retryAfter, 'cache-control': 'no-store' });
  }

  test('requests: 429 with Retry-After, hot and cold, whatever the answer would have been', async () => {
    slow.advance(1000);
    for (let i = 0; i < 20; i++) expect((await server.get('/logs/main/checkpoint', loud)).status).toBe(200);
    for (const path of ['/logs/main/checkpoint', '/logs/main', '/admin/keys', '/logs/nowhere/events', '/logs/main?x=1'])
      limited(await server.get(path, loud), 20, '1');
    limited(await server.request('POST', '/logs/main/events', { key: loud, body: 'x'.repeat(100_000) }), 20, '1');
    expect(refusals).toBe(6);
    // Neither another key, nor whoever needs none, nor a route that asks for none.
    for (const [path, key] of [
      ['/logs/main/checkpoint', quiet],
      ['/admin/keys', ADMIN_KEY],
      ['/logs/main/checkpoint', undefined],
      ['/healthz', loud],
    ] as const)
      expect((await server.get(path, key)).status).toBe(200);
    slow.advance(50);
    expect((await server.get('/logs/main/checkpoint', loud)).status).toBe(200);
    limited(await server.get('/logs/main/checkpoint', loud), 20, '1');
  });

  test('entries: refused whole, and nothing of them is stored', async () => {
    slow.advance(60_000);
    const batch = (n: number, key: string): Promise<Answer> =>
      server.post('/logs/main/events', '{}\n'.repeat(n), key, 'application/x-ndjson');
    const add = (n: number, key: string): Promise<Answer> =>
      server.post('/logs/raw/add-batch', encodeBundle(Array.from({ length: n }, () => utf8('x'))), key);
    expect((await batch(7, loud)).status).toBe(200);
    const sizes = ['main', 'raw'].map((log) => server.sizeOf(log));
    limited(await batch(4, loud), 10, '1');
    limited(await add(4, loud), 10, '1');
    expect(['main', 'raw'].map((log) => server.sizeOf(log))).toEqual(sizes);
    expect((await add(3, loud)).status).toBe(200);
    limited(await server.post('/logs/raw/add', 'x', loud), 10, '1');
    limited(await server.post('/logs/main/events', '{}', loud), 10, '1');
    // Reads go on, and so does everybody else.
    expect((await server.get('/logs/main/checkpoint', loud)).status).toBe(200);
    expect([(await batch(10, quiet)).status, (await add(10, ADMIN_KEY)).status]).toEqual([200, 200]);
    // What is refused for another reason costs nothing.
    slow.advance(60_000);
    for (let i = 0; i < 5; i++) expect((await server.post('/logs/main/events', '[]', loud)).status).toBe(400);
    expect((await batch(10, loud)).status).toBe(200);
    expect(server.fatal).toEqual([]);
  });

  test('a batch beyond the bucket is taken from a full one, and paid for afterwards', async () => {
    slow.advance(60_000);
    const body = '{}\n'.repeat(35);
    expect((await server.post('/logs/main/events', body, loud, 'application/x-ndjson')).status).toBe(200);
    limited(await server.post('/logs/main/events', '{}', loud), 10, '3');
    slow.advance(2600);
    expect((await server.post('/logs/main/events', '{}', loud)).status).toBe(200);
  });
});
