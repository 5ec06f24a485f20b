/** Refused API keys by address: 429 before the key is looked at, and nobody else locked out. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { LoginThrottle, networkOf } from '../../../server/http/login-throttle.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { ADMIN_KEY, type Answer, TestServer } from '../../support/test-server.ts';

const keyOf = (id: string, secret = 'c'.repeat(64)): string => `ind_${id.padStart(16, '0')}_${secret}`;
const WRONG = `Bearer ${keyOf('1')}`;
const GOOD = `Bearer ${keyOf('2')}`;
const HERE = '203.0.113.9';

const serverClock = new ManualClock();
const withThrottle = (): Promise<TestServer> =>
  TestServer.start({ context: { throttle: new LoginThrottle(5, serverClock) } });
const first = await withThrottle();
const second = await withThrottle();

describe('the throttle', () => {
  let clock: ManualClock;
  let throttle: LoginThrottle;

  beforeEach(() => {
    clock = new ManualClock();
    throttle = new LoginThrottle(60, clock);
  });

  /** How many of so many tries at once are looked at. */
  function tries(count: number, authorization = WRONG, client = HERE): number {
    let looked = 0;
    for (let i = 0; i < count; i++) {
      if (throttle.wait(authorization, client) > 0) continue;
      throttle.refused(authorization, client);
      looked++;
    }
    return looked;
  }

  test('so many a minute, and then one whenever the minute gives one', () => {
    expect(tries(100)).toBe(60);
    expect(throttle.wait(WRONG, HERE)).toBe(1);
    clock.advance(999);
    expect(tries(5)).toBe(0);
    clock.advance(1);
    expect(tries(5)).toBe(1);
    clock.advance(10_000);
    expect(tries(50)).toBe(10);
    clock.advance(3_600_000);
    expect(tries(100)).toBe(60);
  });

  test('an hour of tries is looked at so often in each minute', () => {
    let looked = 0;
    for (let second = 0; second < 3600; second++) {
      looked += tries(20);
      clock.advance(1000);
    }
    expect(looked).toBe(60 + 3599);
  });

  test('Retry-After is when it is looked at, rounded up', () => {
    const slow = new LoginThrottle(2, clock);
    for (let i = 0; i < 2; i++) slow.refused(WRONG, HERE);
    expect(slow.wait(WRONG, HERE)).toBe(30);
    clock.advance(29_500);
    expect(slow.wait(WRONG, HERE)).toBe(1);
    clock.advance(500);
    expect(slow.wait(WRONG, HERE)).toBe(0);
  });

  test('other addresses are not concerned', () => {
    tries(100);
    expect(tries(100, WRONG, '203.0.113.10')).toBe(60);
    expect(tries(100, WRONG, '2001:db8::1')).toBe(60);
    expect(tries(100, WRONG, '2001:db8:0:0:ffff::2')).toBe(0);
    expect(tries(100, WRONG, '2001:db8:0:1::1')).toBe(60);
  });

  test('a key that was proved there goes on, with a share of its own for failures with its id', () => {
    throttle.proved(GOOD, HERE);
    expect(tries(100)).toBe(60);
    expect(throttle.wait(GOOD, HERE)).toBe(0);
    // Another secret under its id.
    expect(tries(100, `Bearer ${keyOf('2', 'd'.repeat(64))}`)).toBe(60);
    expect(throttle.wait(GOOD, HERE)).toBe(1);
    clock.advance(1000);
    expect(throttle.wait(GOOD, HERE)).toBe(0);
  });

  test('a key that was proved elsewhere is new here, and so is what is no key', () => {
    throttle.proved(GOOD, '203.0.113.10');
    tries(100);
    expect([throttle.wait(GOOD, HERE), throttle.wait('Basic x', HERE), throttle.wait('', HERE)]).toEqual([1, 1, 1]);
  });

  test('0 is no limit', () => {
    throttle = new LoginThrottle(0, clock);
    expect(tries(1000)).toBe(1000);
  });

  test('of ten thousand addresses more the first is forgotten, and nothing grows', () => {
    tries(60);
    for (let i = 0; i < 10_000; i++) throttle.refused(WRONG, `10.1.${Math.floor(i / 256)}.${i % 256}`);
    expect(throttle.wait(WRONG, HERE)).toBe(0);
  });
});

test.each([
  ['203.0.113.9', '203.0.113.9'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8:0001:2::', '2001:db8:1:2::/64'],
  ['2001:db8::5', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['1::2:3:4:5:6', '1:0:0:2::/64'],
  ['unknown', 'unknown'],
])('the network of %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});

describe('a server', () => {
  const wrong = keyOf('feed');

  /** Each over a connection of its own. */
  const ask = (key: string | undefined, path = '/logs/main'): Promise<Answer> =>
    first.request('GET', path, { key, headers: { connection: 'close' } });

  test('answers 429 with Retry-After before it looks at the key, and goes on with who is known', async () => {
    expect((await ask(ADMIN_KEY)).status).toBe(200);
    for (let i = 0; i < 5; i++) expect((await ask(wrong)).status).toBe(401);
    const refused = await ask(wrong);
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '12']);
    expect(refused.json()).toMatchObject({ code: 'too_many_failures', status: 429 });
    // A key that nobody has used from here is not looked at either, valid as it is.
    const unused = await first.makeKey(['read']);
    expect((await ask(unused)).json()).toMatchObject({ code: 'too_many_failures' });
    expect((await ask(ADMIN_KEY)).status).toBe(200);
    // Nothing of it for who needs no key.
    expect((await ask(undefined, '/logs/main/checkpoint')).status).toBe(200);
    expect((await ask(wrong, '/healthz')).status).toBe(200);
    const metrics = (await ask(undefined, '/metrics')).text;
    expect(metrics).toMatch(/^indelible_failed_logins_total 5$/m);
    expect(metrics).toMatch(/^indelible_logins_throttled_total 2$/m);
    serverClock.advance(12_000);
    expect((await ask(unused)).status).toBe(200);
    expect((await ask(wrong)).status).toBe(401);
  });

  test('asks no connection again that has proved its key', async () => {
    const key = await second.makeKey(['read']);
    const get = (): Promise<Answer> => second.get('/logs/main', key);
    expect((await get()).status).toBe(200);
    // Not over the connection that is kept.
    const elsewhere = async (other: string): Promise<number> => {
      const headers = { authorization: `Bearer ${other}`, connection: 'close' };
      return (await fetch(`${second.url}/logs/main`, { headers })).status;
    };
    for (let i = 0; i < 10; i++) await elsewhere(keyOf(key.slice(4, 20), 'd'.repeat(64)));
    expect(await elsewhere(key)).toBe(429);
    expect((await get()).status).toBe(200);
  });
});
