/** Who may do what: every route of the table with every kind of key on every kind of log. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { ROUTES } from '../../../server/http/routes.ts';
import { ADMIN_KEY, type Answer, type Json, type Send, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start();

const KINDS = [
  'none',
  'malformed',
  'unknown',
  'revoked',
  'other log',
  'read only',
  'append only',
  'log admin',
  'server admin',
] as const;
type Kind = (typeof KINDS)[number];

/** What a route says to each kind of key, in the order of KINDS; 0 is what it says when all is well. */
type Row = readonly number[];

const LOGS = ['open', 'closed', '_system', 'nowhere'] as const;

/** Rights, by what a route asks for. A key is for the log that is asked, where there is one; all keys but `other log`. */
const RIGHTS: Readonly<
  Record<'public read' | 'read' | 'append' | 'raw append', Readonly<Record<(typeof LOGS)[number], Row>>>
> = {
  'public read': {
    //      none mal unk rev oth read app adm srv
    open: [0, 401, 401, 401, 0, 0, 0, 0, 0],
    closed: [401, 401, 401, 401, 404, 0, 403, 0, 0],
    _system: [401, 401, 401, 401, 404, 0, 403, 0, 0],
    nowhere: [401, 401, 401, 401, 404, 404, 404, 404, 404],
  },
  read: {
    open: [401, 401, 401, 401, 404, 0, 403, 0, 0],
    closed: [401, 401, 401, 401, 404, 0, 403, 0, 0],
    _system: [401, 401, 401, 401, 404, 0, 403, 0, 0],
    nowhere: [401, 401, 401, 401, 404, 404, 404, 404, 404],
  },
  append: {
    open: [401, 401, 401, 401, 404, 403, 0, 0, 0],
    closed: [401, 401, 401, 401, 404, 403, 0, 0, 0],
    // Only the server writes there, whoever asks.
    _system: [401, 401, 401, 401, 404, 403, 403, 403, 403],
    nowhere: [401, 401, 401, 401, 404, 404, 404, 404, 404],
  },
  // None of these logs is raw: whoever may append is told so.
  'raw append': {
    open: [401, 401, 401, 401, 404, 403, 0, 0, 0],
    closed: [401, 401, 401, 401, 404, 403, 0, 0, 0],
    _system: [401, 401, 401, 401, 404, 403, 0, 0, 0],
    nowhere: [401, 401, 401, 401, 404, 404, 404, 404, 404],
  },
};

/** The same for routes of the server. Here the keys are for the log `open`, but that of the server's admin. */
const ADMIN: Row = [401, 401, 401, 401, 403, 403, 403, 403, 0];
const OPEN: Row = [0, 0, 0, 0, 0, 0, 0, 0, 0];

interface Expected {
  readonly right: keyof typeof RIGHTS | Row;
  /** What follows the log's base URL, or the whole path. */
  readonly path: string;
  /** Status when all is well. */
  readonly good: number;
  readonly send?: () => Send;
}

const json = (body: unknown): Send => ({
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});
let names = 0;

/** One expectation for each route of the table; a route without one fails below. */
const EXPECTED: Readonly<Record<string, Expected>> = {
  'POST /logs/:log/add': { right: 'raw append', path: '/add', good: 409, send: () => ({ body: 'entry' }) },
  'POST /logs/:log/add-batch': { right: 'raw append', path: '/add-batch', good: 409, send: () => ({ body: 'entry' }) },
  'POST /logs/:log/events': { right: 'append', path: '/events', good: 200, send: () => json({ a: 1 }) },
  'GET /logs/:log/events': { right: 'read', path: '/events', good: 200 },
  'GET /logs/:log/events/:index': { right: 'read', path: '/events/0', good: 200 },
  'GET /logs/:log/checkpoint': { right: 'public read', path: '/checkpoint', good: 200 },
  'GET /logs/:log/tile/*': { right: 'public read', path: '/tile/entries/000.p/1', good: 200 },
  'GET /logs/:log/proofs/inclusion': { right: 'public read', path: '/proofs/inclusion?index=0', good: 200 },
  'GET /logs/:log/proofs/:file': { right: 'public read', path: '/proofs/0.tlog-proof', good: 200 },
  'GET /logs/:log/proofs/consistency': {
    right: 'public read',
    path: '/proofs/consistency?first=0&second=1',
    good: 200,
  },
  'GET /logs/:log': { right: 'public read', path: '', good: 200 },
  'GET /logs/:log/tree-head': { right: 'public read', path: '/tree-head', good: 200 },
  'GET /logs/:log/tree-heads': { right: 'public read', path: '/tree-heads', good: 200 },
  'GET /logs/:log/ct/v1/get-sth': { right: 'public read', path: '/ct/v1/get-sth', good: 200 },
  'GET /logs/:log/ct/v1/get-sth-consistency': {
    right: 'public read',
    path: '/ct/v1/get-sth-consistency?first=0&second=1',
    good: 200,
  },
  'GET /logs/:log/ct/v1/get-proof-by-hash': {
    right: 'public read',
    path: '/ct/v1/get-proof-by-hash?hash=x&tree_size=1',
    good: 400,
  },
  'GET /logs/:log/ct/v1/get-entries': { right: 'public read', path: '/ct/v1/get-entries?start=0&end=0', good: 200 },
  'GET /logs/:log/ct/v1/get-entry-and-proof': {
    right: 'public read',
    path: '/ct/v1/get-entry-and-proof?leaf_index=0&tree_size=1',
    good: 200,
  },
  'GET /admin/logs': { right: ADMIN, path: '/admin/logs', good: 200 },
  'POST /admin/logs': { right: ADMIN, path: '/admin/logs', good: 201, send: () => json({ name: `made${names++}` }) },
  'PATCH /admin/logs/:name': {
    right: ADMIN,
    path: '/admin/logs/elsewhere',
    good: 200,
    send: () => json({ public_reads: false }),
  },
  'POST /admin/logs/:name/freeze': { right: ADMIN, path: '/admin/logs/nowhere/freeze', good: 404 },
  'DELETE /admin/logs/:name': { right: ADMIN, path: '/admin/logs/elsewhere', good: 409 },
  'GET /admin/keys': { right: ADMIN, path: '/admin/keys', good: 200 },
  'POST /admin/keys': { right: ADMIN, path: '/admin/keys', good: 201, send: () => json({ scope: 'read' }) },
  'DELETE /admin/keys/:id': { right: ADMIN, path: '/admin/keys/0000000000000000', good: 404 },
  'POST /admin/clock': { right: ADMIN, path: '/admin/clock', good: 200 },
  'GET /healthz': { right: OPEN, path: '/healthz', good: 200 },
  'GET /readyz': { right: OPEN, path: '/readyz', good: 200 },
  'GET /metrics': { right: OPEN, path: '/metrics', good: 200 },
};

const idOf = (key: string): string => key.slice(4, 20);
const revoke = (key: string): Promise<Answer> =>
  server.request('DELETE', `/admin/keys/${idOf(key)}`, { key: ADMIN_KEY });

const keys = new Map<string, string | undefined>();
const keyOf = (kind: Kind, log: string): string | undefined => keys.get(`${kind} ${log}`);

beforeAll(async () => {
  await server.makeLog('open');
  await server.makeLog('closed', { publicReads: false });
  await server.makeLog('elsewhere', { publicReads: false });
  for (const log of ['open', 'closed'])
    expect((await server.post(`/logs/${log}/events?ack=signed`, { a: 1 })).status).toBe(200);
  await server.get('/logs/_system/events/0', ADMIN_KEY);
  for (const log of LOGS) {
    const scope = log === 'nowhere' ? {} : { log };
    keys.set(`none ${log}`, undefined);
    keys.set(`malformed ${log}`, `ind_${'A'.repeat(16)}_${'0'.repeat(64)}`);
    keys.set(`unknown ${log}`, `ind_${'b'.repeat(16)}_${'0'.repeat(64)}`);
    const revoked = await server.makeKey(['admin'], scope);
    expect((await revoke(revoked)).status).toBe(200);
    keys.set(`revoked ${log}`, revoked);
    keys.set(`other log ${log}`, await server.makeKey(['admin'], { log: 'elsewhere' }));
    keys.set(`read only ${log}`, await server.makeKey(['read'], scope));
    keys.set(`append only ${log}`, await server.makeKey(['append'], scope));
    keys.set(`log admin ${log}`, await server.makeKey(['admin'], scope));
    keys.set(`server admin ${log}`, await server.makeKey(['admin']));
  }
});

/** Everything of an answer but the time. */
function whole({ status, headers: { date: _date, ...headers }, text }: Answer): unknown {
  return { status, headers, text };
}

test('there is an expectation for every route', () => {
  expect(ROUTES.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(Object.keys(EXPECTED).sort());
});

describe.each(Object.entries(EXPECTED))('%s', (route, { right, path, good, send }) => {
  const [method] = route.split(' ') as [string];
  const ask = (full: string, key: string | undefined): Promise<Answer> =>
    server.request(method, full, { ...send?.(), key });

  if (typeof right === 'string') {
    test.each(LOGS)('%s', async (log) => {
      const seen: number[] = [];
      for (const kind of KINDS) seen.push((await ask(`/logs/${log}${path}`, keyOf(kind, log))).status);
      expect(seen).toEqual(RIGHTS[right][log].map((status) => (status === 0 ? good : status)));
    });

    test('a log that the key may not know of is one that does not exist', async () => {
      for (const kind of ['none', 'malformed', 'unknown', 'revoked', 'other log'] as const) {
        const key = keyOf(kind, 'closed');
        const [closed, nowhere] = [await ask(`/logs/closed${path}`, key), await ask(`/logs/nowhere${path}`, key)];
        expect(closed.status).toBe(kind === 'other log' ? 404 : 401);
        expect(whole(closed)).toEqual(whole(nowhere));
      }
      // Nor do other methods tell the two apart.
      for (const other of ['PUT', 'OPTIONS', 'HEAD']) {
        const key = keyOf('other log', 'closed');
        const [closed, nowhere] = [
          await server.request(other, `/logs/closed${path}`, { key }),
          await server.request(other, `/logs/nowhere${path}`, { key }),
        ];
        expect(whole(closed)).toEqual(whole(nowhere));
      }
    });
  } else {
    test('of the server', async () => {
      const seen: number[] = [];
      for (const kind of KINDS) seen.push((await ask(path, keyOf(kind, 'open'))).status);
      expect(seen).toEqual(right.map((status) => (status === 0 ? good : status)));
    });
  }
});

describe('what a refusal says', () => {
  test('401 asks for a key and names no reason', async () => {
    const { headers, text } = await server.get('/logs/closed/events');
    expect(headers['www-authenticate']).toMatch(/^Bearer/);
    expect(JSON.parse(text)).toMatchObject({ status: 401, code: 'unauthorized' });
    const answers = await Promise.all(
      (['malformed', 'unknown', 'revoked'] as const).map((kind) =>
        server.get('/logs/closed/events', keyOf(kind, 'closed')),
      ),
    );
    const [first, ...rest] = answers.map(whole);
    for (const other of rest) expect(other).toEqual(first);
  });

  test('404 names no log', async () => {
    const answer = await server.get('/logs/closed/events', keyOf('other log', 'closed'));
    expect(answer.json()).toMatchObject({ status: 404, code: 'not_found' });
    expect(answer.text).not.toContain('closed');
  });

  test('403 names the scope', async () => {
    const answer = await server.post('/logs/closed/events', {}, keyOf('read only', 'closed'));
    expect(answer.json()).toMatchObject({ status: 403, code: 'forbidden', detail: expect.stringContaining('append') });
  });

  test('rights come before everything else that is wrong with a request', async () => {
    const key = keyOf('other log', 'closed') as string;
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

  test('a log of another kind that the key may not know of is one that does not exist', async () => {
    await server.makeLog('blobs', { kind: 'raw', publicReads: false });
    const key = keyOf('other log', 'closed') as string;
    expect(whole(await server.get('/logs/blobs/events', key))).toEqual(
      whole(await server.get('/logs/nowhere/events', key)),
    );
    for (const answer of [
      await server.get('/logs/blobs/events', ADMIN_KEY),
      await server.get('/logs/blobs/events/0', ADMIN_KEY),
      await server.post('/logs/blobs/events', { a: 1 }),
    ])
      expect(answer.json()).toMatchObject({ status: 409, code: 'wrong_log_kind' });
    expect((await server.get('/logs/blobs/checkpoint', ADMIN_KEY)).status).toBe(200);
  });
});

describe('how a key is sent', () => {
  const ask = (authorization: string | string[]): Promise<Answer> =>
    server.request('GET', '/logs/closed/checkpoint', { headers: { authorization } });

  test.each<readonly [name: string, authorization: (key: string) => string, status: number]>([
    ['as it should be', (key) => `Bearer ${key}`, 200],
    ['the scheme has no case', (key) => `bearer ${key}`, 200],
    ['no scheme', (key) => key, 401],
    ['no space', (key) => `Bearer${key}`, 401],
    ['two spaces', (key) => `Bearer  ${key}`, 401],
    ['a tab', (key) => `Bearer\t${key}`, 401],
    ['Basic', (key) => `Basic ${Buffer.from(`${key}:`).toString('base64')}`, 401],
    ['another scheme', (key) => `Token ${key}`, 401],
    ['quoted', (key) => `Bearer "${key}"`, 401],
    ['capitals', (key) => `Bearer ${key.toUpperCase()}`, 401],
    ['something behind it', (key) => `Bearer ${key}0`, 401],
    ['another one behind it', (key) => `Bearer ${key}, Bearer ${key}`, 401],
    ['cut short', (key) => `Bearer ${key.slice(0, -1)}`, 401],
    ['the last digit wrong', (key) => `Bearer ${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`, 401],
    ['the id of one, the secret of another', (key) => `Bearer ${key.slice(0, 21)}${ADMIN_KEY.slice(21)}`, 401],
    ['only its id', (key) => `Bearer ${key.slice(0, 20)}`, 401],
    ['nothing', () => 'Bearer ', 401],
    ['an empty header', () => '', 401],
    ['very long', (key) => `Bearer ${key}${'0'.repeat(8000)}`, 401],
  ])('%s', async (_name, authorization, status) => {
    expect((await ask(authorization(keyOf('read only', 'closed') as string))).status).toBe(status);
  });

  test('nowhere but in the header', async () => {
    const key = keyOf('read only', 'closed') as string;
    const { pathname } = new URL('http://x/logs/closed/tree-head');
    for (const name of ['access_token', 'key', 'authorization'])
      expect((await server.get(`${pathname}?${name}=${key}`)).status).toBe(401);
    expect((await server.request('GET', pathname, { headers: { cookie: `key=${key}` } })).status).toBe(401);
    expect((await server.request('GET', pathname, { headers: { 'x-api-key': key } })).status).toBe(401);
  });

  test('a good key does not lend its rights to headers of proxies', async () => {
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
