/** Access beside the matrix in authorization/: what a refusal says, revocation, scopes, and the key of the environment. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { ADMIN_KEY, type Answer, type Json, type Send, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start();

const idOf = (key: string): string => key.slice(4, 20);
const revoke = (key: string): Promise<Answer> =>
  server.request('DELETE', `/admin/keys/${idOf(key)}`, { key: ADMIN_KEY });

/** Keys for the log `closed`, and one for another log. */
let reader = '';
let stranger = '';

beforeAll(async () => {
  await server.makeLog('open');
  await server.makeLog('closed', { publicReads: false });
  await server.makeLog('elsewhere', { publicReads: false });
  expect((await server.post('/logs/closed/events?ack=signed', { a: 1 })).status).toBe(200);
  reader = await server.makeKey(['read'], { log: 'closed' });
  stranger = await server.makeKey(['admin'], { log: 'elsewhere' });
});

/** Everything of an answer but the time. */
function whole({ status, headers: { date: _date, ...headers }, text }: Answer): unknown {
  return { status, headers, text };
}

describe('what a refusal says', () => {
  test('401 asks for a key and names no reason', async () => {
    const { headers, text } = await server.get('/logs/closed/events');
    expect(headers['www-authenticate']).toMatch(/^Bearer/);
    expect(JSON.parse(text)).toMatchObject({ status: 401, code: 'unauthorized' });
  });

  test('404 names no log', async () => {
    const answer = await server.get('/logs/closed/events', stranger);
    expect(answer.json()).toMatchObject({ status: 404, code: 'not_found' });
    expect(answer.text).not.toContain('closed');
  });

  test('403 names the scope', async () => {
    const answer = await server.post('/logs/closed/events', {}, reader);
    expect(answer.json()).toMatchObject({ status: 403, code: 'forbidden', detail: expect.stringContaining('append') });
  });

  test('rights come before everything else that is wrong with a request', async () => {
    const key = stranger;
    const asks: readonly (readonly [path: string, send: Send])[] = [
      ['/logs/closed/events', { headers: { 'content-type': 'text/plain' }, body: 'x' }],
      ['/logs/closed/events?nonsense=1', { body: '' }],
      ['/logs/closed/events', { headers: { 'content-encoding': 'gzip' }, body: 'x' }],
    ];
    for (const [path, send] of asks)
      expect([
        (await server.request('POST', path, { ...send, key })).status,
        (await server.request('POST', path, send)).status,
      ]).toEqual([404, 401]);
    for (const path of ['/events/x', '/events?limit=0', '/tile/x', '/proofs/inclusion', '/proofs/consistency?first=9'])
      expect([
        (await server.get(`/logs/closed${path}`, key)).status,
        (await server.get(`/logs/closed${path}`)).status,
      ]).toEqual([404, 401]);
  });

  test('a good key does not lend its id or secret to another, nor its rights to headers of proxies', async () => {
    const mixed = `${reader.slice(0, 21)}${ADMIN_KEY.slice(21)}`;
    expect((await server.get('/logs/closed/checkpoint', mixed)).status).toBe(401);
    const headers = {
      'x-forwarded-for': '127.0.0.1',
      'x-http-method-override': 'DELETE',
      'x-original-url': '/admin/keys',
    };
    const answer = await server.request('GET', '/logs/open/checkpoint', { headers });
    expect(whole(answer)).toEqual(whole(await server.get('/logs/open/checkpoint')));
  });
});

describe('revocation', () => {
  test('holds for the next request, and after a restart', async () => {
    const [append, read, admin] = [
      await server.makeKey(['append'], { log: 'closed' }),
      await server.makeKey(['read'], { log: 'closed' }),
      await server.makeKey(['admin']),
    ];
    const all = async (): Promise<number[]> => [
      (await server.post('/logs/closed/events', { a: 1 }, append)).status,
      (await server.get('/logs/closed/events/0', read)).status,
      (await server.get('/admin/keys', admin)).status,
    ];
    expect(await all()).toEqual([200, 200, 200]);
    expect((await revoke(append)).status).toBe(200);
    expect(await all()).toEqual([401, 200, 200]);
    expect((await revoke(read)).status).toBe(200);
    expect(await all()).toEqual([401, 401, 200]);
    // A key may revoke itself.
    expect((await server.request('DELETE', `/admin/keys/${idOf(admin)}`, { key: admin })).status).toBe(200);
    expect(await all()).toEqual([401, 401, 401]);
    await server.restart();
    expect(await all()).toEqual([401, 401, 401]);
  });

  test('takes in what is still on its way', async () => {
    const key = await server.makeKey(['append'], { log: 'closed' });
    const before = server.sizeOf('closed');
    const answer = server.raw(
      [
        `POST /logs/closed/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: 7\r\nConnection: close\r\n\r\n{"a`,
        '":1}',
      ],
      { pause: 200 },
    );
    await new Promise((wait) => setTimeout(wait, 80));
    expect((await revoke(key)).status).toBe(200);
    expect((await answer).text).toMatch(/^HTTP\/1\.1 401 /);
    expect(server.sizeOf('closed')).toBe(before);
  });

  test('of many at once', async () => {
    const made = await Promise.all(Array.from({ length: 10 }, () => server.makeKey(['append'], { log: 'closed' })));
    const before = server.sizeOf('closed');
    const answers = await Promise.all(made.map(revoke));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    const late = await Promise.all(made.map((key) => server.post('/logs/closed/events', { a: 1 }, key)));
    expect(late.map(({ status }) => status)).toEqual(Array(10).fill(401));
    expect(server.sizeOf('closed')).toBe(before);
  });

  test('is recorded, as all else that an admin does', async () => {
    const key = await server.makeKey(['append'], { log: 'closed', name: 'watched' });
    await revoke(key);
    // The list ends at the newest head; this waits for it.
    const last = server.sizeOf('_system') - 1;
    expect((await server.get(`/logs/_system/events/${last}`, ADMIN_KEY)).status).toBe(200);
    const { text } = await server.get(`/logs/_system/events?from=${last - 1}`, ADMIN_KEY);
    const events = text
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event: Json }).event);
    expect(events).toEqual([
      expect.objectContaining({
        action: 'key.created',
        key: idOf(key),
        name: 'watched',
        scopes: ['append'],
        log: 'closed',
      }),
      expect.objectContaining({ action: 'key.revoked', key: idOf(key), by: idOf(ADMIN_KEY) }),
    ]);
    expect(text).not.toContain(key.slice(21));
  });
});

describe('scopes', () => {
  test('may be had together', async () => {
    const key = await server.makeKey(['append', 'read'], { log: 'closed' });
    expect((await server.post('/logs/closed/events', { a: 1 }, key)).status).toBe(200);
    expect((await server.get('/logs/closed/events/0', key)).status).toBe(200);
    expect((await server.get('/admin/keys', key)).status).toBe(403);
  });

  test('for all logs take in those made later, and not the server', async () => {
    const key = await server.makeKey(['append', 'read']);
    await server.makeLog('later', { publicReads: false });
    expect((await server.post('/logs/later/events', { a: 1 }, key)).status).toBe(200);
    expect((await server.get('/logs/later/events/0', key)).status).toBe(200);
    expect((await server.get('/admin/logs', key)).status).toBe(403);
    expect((await server.get('/logs/nowhere/events', key)).status).toBe(404);
  });
});

describe('INDELIBLE_ADMIN_KEY', () => {
  test('is an admin key that is kept nowhere and cannot be revoked', async () => {
    expect((await server.get('/admin/logs', ADMIN_KEY)).status).toBe(200);
    const { text } = await server.get('/admin/keys', ADMIN_KEY);
    expect(text).not.toContain(idOf(ADMIN_KEY));
    expect((await revoke(ADMIN_KEY)).json()).toMatchObject({ status: 404, code: 'no_such_key' });
    expect((await server.get('/admin/logs', ADMIN_KEY)).status).toBe(200);
    const wrong = `${ADMIN_KEY.slice(0, -1)}1`;
    expect((await server.get('/admin/logs', wrong)).status).toBe(401);
  });

  test('holds only as long as it is set', async () => {
    await server.restart({ adminKey: false });
    expect((await server.get('/admin/logs', ADMIN_KEY)).status).toBe(401);
    await server.restart({ adminKey: true });
    expect((await server.get('/admin/logs', ADMIN_KEY)).status).toBe(200);
    expect(server.fatal).toEqual([]);
  });
});
