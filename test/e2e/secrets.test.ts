/**
 * Canaries: every kind of secret is planted, used well and badly, and then looked for in everything that a server and its commands say: the
 * log at its most talkative, error replies, metrics, fsck, configuration, and the messages of the command line.
 */
import { hkdfSync } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventKey, STORE_KEY } from '../../server/storage/keys.ts';
import { openLevelStore } from '../../server/storage/level.ts';
import { type Ended, User } from '../cli/spawn.ts';
import { killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

const folder = temporaryFolder('secrets');
const dataDir = join(folder.path, 'data');

const SEED = '5eed'.repeat(16);
const ADMIN = `ind_${'ad'.repeat(8)}_${'c0de'.repeat(16)}`;
const FLAGS = ['--interval', '20', '--log-level', 'trace', '--trusted-proxies', '127.0.0.1'];
const ENV = { INDELIBLE_ADMIN_KEY: ADMIN, INDELIBLE_MASTER_SEED: SEED };

/** Secrets by name, in every spelling in which one could come out. */
const canaries = new Map<string, string[]>();

function secretText(name: string, text: string): string {
  const bytes = Buffer.from(text);
  // Base64 of a text depends on where it begins; without its ends it is found wherever that is.
  const base64 = [0, 1, 2].map((offset) =>
    bytes.subarray(offset, offset + 3 * Math.floor((bytes.length - offset) / 3)),
  );
  canaries.set(name, [text, bytes.toString('hex'), ...base64.map((part) => part.toString('base64'))]);
  return text;
}

function secretBytes(name: string, bytes: Buffer): void {
  canaries.set(
    name,
    (['hex', 'base64', 'base64url'] as const).map((form) => bytes.toString(form).replace(/=+$/, '')),
  );
}

/** Everything that was said, by whom. */
const said: { readonly who: string; readonly text: string }[] = [];

function found(): string[] {
  return said.flatMap(({ who, text }) =>
    [...canaries].flatMap(([name, spellings]) =>
      spellings.some((spelling) => text.toLowerCase().includes(spelling.toLowerCase())) ? [`${name} in ${who}`] : [],
    ),
  );
}

const EVENT = secretText('an event', 'canary-event-3b1f');
const REFUSED = secretText('an event that was refused', 'canary-refused-77a0');
const ID = secretText('an id', 'canary-id-91c4');
const ONCE = secretText('an idempotency key', 'canary-once-5d2e');
const RAW = secretText('a raw entry', 'canary-raw-e8b6');
const JUNK = secretText('junk in Authorization', 'canary-junk-40f9');
const COOKIE = secretText('a cookie', 'canary-cookie-6a6a');
const QUERY = secretText('a parameter', 'canary-query-0d0d');
secretBytes('the master seed', Buffer.from(SEED, 'hex'));
secretText('the secret of the admin key', ADMIN.slice(21));

let server: ServerProcess;
let user: User;
let apiKey: string;

/** One request; what an error says is looked through, what a good answer says is not: its reader may have it. */
async function ask(path: string, init: RequestInit = {}): Promise<{ readonly status: number; readonly text: string }> {
  const headers = {
    authorization: `Bearer ${ADMIN}`,
    connection: 'close',
    ...(init.headers as Record<string, string>),
  };
  const reply = await fetch(`${server.url}${path}`, { ...init, headers });
  const text = await reply.text();
  const all = `${reply.status} ${JSON.stringify([...reply.headers])} ${text}`;
  if (reply.status >= 400)
    said.push({ who: `${init.method ?? 'GET'} ${path.slice(0, 40)}: ${reply.status}`, text: all });
  return { status: reply.status, text };
}

const post = (path: string, body: string, headers: Record<string, string> = {}) =>
  ask(path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });

async function start(env: Record<string, string> = ENV, flags: readonly string[] = FLAGS): Promise<ServerProcess> {
  return ServerProcess.start({ dataDir, flags, env });
}

function hear(who: string, { stdout, stderr }: { readonly stdout: string; readonly stderr: string }): void {
  said.push({ who: `${who}, stdout`, text: stdout }, { who: `${who}, stderr`, text: stderr });
}

async function stopped(who: string): Promise<void> {
  said.push({ who: `metrics of ${who}`, text: (await ask('/metrics')).text });
  await server.stop();
  hear(who, server);
}

beforeAll(async () => {
  user = await User.at();
  server = await start();
  const made = await post('/admin/keys', '{"scopes":["append","read"],"name":"tenant"}');
  apiKey = (JSON.parse(made.text) as { key: string }).key;
  secretText('the secret of an API key', apiKey.slice(21));
  expect((await post('/admin/logs', '{"name":"blobs","kind":"raw"}')).status).toBe(201);
});
afterEach(() => expect(found()).toEqual([]));
afterAll(async () => {
  await killAll();
  await user.gone();
  folder.remove();
});

describe('nothing that is secret is said', () => {
  test('of what is stored and read', async () => {
    const as = { authorization: `Bearer ${apiKey}` };
    const appended = await post('/logs/main/events?ack=signed&id_pointer=/id', `{"id":"${ID}","a":"${EVENT}"}`, as);
    expect(appended.status).toBe(200);
    const [{ salt }] = (JSON.parse(appended.text) as { entries: [{ salt: string }] }).entries;
    secretBytes('a salt', Buffer.from(salt, 'base64'));
    expect((await post('/logs/main/events', `{"a":"${EVENT}"}`, { ...as, 'idempotency-key': ONCE })).status).toBe(200);
    expect((await post('/logs/blobs/add', RAW, { ...as, 'idempotency-key': ONCE })).status).toBe(200);
    for (const path of ['/logs/main/events/0', '/logs/main/events', '/logs/main/proofs/inclusion?index=0'])
      expect((await ask(path, { headers: as })).status).toBe(200);
  });

  test('of what is refused', async () => {
    const json = (value: unknown): string => JSON.stringify(value);
    const events = [
      `{"a":"${REFUSED}"`,
      `{"${REFUSED}":1,"${REFUSED}":2}`,
      `{"a":"${REFUSED}","b":01}`,
      `{"$sealed":"${REFUSED}"}`,
      `["${REFUSED}"]`,
      REFUSED,
      `\ufeff{"a":"${REFUSED}"}`,
      `{"${REFUSED}":"\\ud800"}`,
      `{"${REFUSED}":9007199254740993}`,
      `${'{"a":'.repeat(40)}"${REFUSED}"${'}'.repeat(40)}`,
      json({ id: `${ID}${'x'.repeat(300)}` }),
      json({ id: [ID] }),
    ];
    for (const event of events) {
      const path = '/logs/main/events?id_pointer=/id';
      expect((await post(path, event)).status).toBeGreaterThanOrEqual(400);
      expect(
        (await post(path, `{}\n${event}\n`, { 'content-type': 'application/x-ndjson' })).status,
      ).toBeGreaterThanOrEqual(400);
    }
    // The event of another under the same id: by the key that has stored the first.
    const as = { authorization: `Bearer ${apiKey}` };
    expect((await post('/logs/main/events?id_pointer=/id', json({ id: ID, a: REFUSED }), as)).status).toBe(409);
    expect((await post('/logs/main/events', json({ a: REFUSED }), { ...as, 'idempotency-key': ONCE })).status).toBe(
      409,
    );
    expect((await post('/logs/blobs/add', REFUSED, { ...as, 'idempotency-key': ONCE })).status).toBe(409);
    expect((await post('/logs/main/events', '{}', { 'idempotency-key': `${ONCE} x` })).status).toBe(400);
    expect((await post('/logs/main/events', REFUSED, { 'content-type': `text/${REFUSED}` })).status).toBe(415);
  });

  test('of who asks, with a key or with what is none', async () => {
    const wrong = `${apiKey.slice(0, -4)}0000`;
    secretText('a wrong secret of a key that is there', wrong.slice(21));
    for (const authorization of [
      `Bearer ${JUNK}`,
      `Basic ${Buffer.from(`admin:${JUNK}`).toString('base64')}`,
      JUNK,
      `Bearer ${wrong}`,
      `Bearer ${ADMIN} ${JUNK}`,
      `Bearer ${apiKey}${JUNK}`,
    ])
      for (const path of ['/logs/main/events/0', '/admin/keys'])
        expect((await ask(path, { headers: { authorization } })).status).toBe(401);
    for (const [path, status] of [
      [`/logs/main/events?access_token=${apiKey}`, 400],
      [`/logs/main/events?from=${QUERY}`, 400],
      [`/logs/main/events?${QUERY}=1`, 400],
      [`/logs/main/proofs/inclusion?leaf_hash=${QUERY}`, 400],
      [`/logs/main/events/${QUERY}`, 400],
      [`/logs/${QUERY}/events`, 404],
      [`/${QUERY}`, 404],
      [`/logs/main/tile/${QUERY}`, 404],
    ] as const)
      expect([path, (await ask(path, { headers: { cookie: COOKIE, 'x-forwarded-for': COOKIE } })).status]).toEqual([
        path,
        status,
      ]);
    // Whole keys in the wrong place, by somebody in a hurry.
    expect((await ask(`/admin/keys/${apiKey}`, { method: 'DELETE' })).status).toBe(404);
    expect((await post('/admin/keys', JSON.stringify({ scope: 'read', log: apiKey }))).status).toBe(400);
    expect((await post('/admin/keys', JSON.stringify({ scope: apiKey }))).status).toBe(400);
    expect((await post('/admin/logs', JSON.stringify({ name: apiKey }))).status).toBe(400);
    expect((await post('/admin/logs', JSON.stringify({ name: 'x', kind: apiKey }))).status).toBe(400);
    expect((await post('/admin/logs', `{"name":"x","${apiKey}":1}`)).status).toBe(400);
    expect((await post(`/admin/logs/${apiKey}/freeze`, '')).status).toBe(404);
  });

  test('in lists and in the log of the server, or in its log lines and metrics', async () => {
    for (const path of ['/admin/keys', '/admin/logs', '/logs/_system/events?limit=1000', '/logs/main', '/readyz'])
      said.push({ who: path, text: (await ask(path)).text });
    await stopped('the server');
    const lines = server.stderr.split('\n').filter((line) => line.startsWith('{'));
    expect(lines.length).toBeGreaterThan(60);
    const store = await openLevelStore({ path: join(dataDir, 'db'), createIfMissing: false });
    const row = Buffer.from((await store.get(STORE_KEY)) as Uint8Array).toString();
    await store.close();
    const { store_id: id } = JSON.parse(row) as { store_id: string };
    for (const purpose of ['sign', 'id'])
      for (const log of ['main', '_system', 'blobs']) {
        const info = `indelible/v1/${purpose}/example.com/logs/${log}/0`;
        const key = Buffer.from(hkdfSync('sha256', Buffer.from(SEED, 'hex'), Buffer.from(id, 'hex'), info, 32));
        secretBytes(`the ${purpose} key of ${log}`, key);
      }
  });

  test('of an event that was damaged at rest', async () => {
    const store = await openLevelStore({ path: join(dataDir, 'db'), createIfMissing: false });
    const key = eventKey('main', 0);
    const value = ((await store.get(key)) as Uint8Array).slice();
    const at = value.length - 3;
    value[at] = ((value[at] as number) + 1) % 256;
    await store.commit([{ key, value }]);
    await store.close();
    hear('fsck', await user.run(['fsck', '--data-dir', dataDir]));
    hear('fsck --json', await user.run(['fsck', '--data-dir', dataDir, '--json']));
    expect(said.at(-2)?.text).toContain('"event"');
    server = await start();
    expect((await ask('/logs/main/events/0')).status).toBe(500);
    await stopped('the server, over a damaged event');
    expect(said.at(-1)?.text).toContain('"alarm":"damage"');
  });

  test('by a server that does not start', async () => {
    const other = secretText('another master seed', 'bad5eed0'.repeat(8));
    for (const env of [
      { ...ENV, INDELIBLE_MASTER_SEED: other },
      { ...ENV, INDELIBLE_MASTER_SEED: `${other}x` },
      { ...ENV, INDELIBLE_ADMIN_KEY: `${ADMIN}x` },
      { ...ENV, INDELIBLE_ADMIN_KEY: other },
      { ...ENV, INDELIBLE_LISTEN: ADMIN },
      { ...ENV, INDELIBLE_INTERVAL: SEED },
    ]) {
      server = await start(env, []);
      expect(server.url).toBe('');
      hear('a server that does not start', server);
    }
  });

  test('by the command line', async () => {
    server = await start();
    const run = async (args: readonly string[], env: Record<string, string> = {}, input = ''): Promise<Ended> => {
      for (const [name, value] of Object.entries(env)) user.env[name] = value;
      const ended = await user.run(args, input);
      hear(args.join(' ').slice(0, 40), ended);
      return ended;
    };
    const at = { INDELIBLE_URL: `${server.url}/logs/main`, INDELIBLE_KEY: ADMIN, ...ENV };
    for (const args of [
      ['config', 'print'],
      ['config', 'print', '--json'],
      ['config', 'check'],
    ])
      expect((await run(args, at)).code).toBe(0);
    for (const args of [
      ['keys', 'list'],
      ['logs', 'list'],
      ['keys', 'list', '--json'],
      ['logs', 'list', '--json'],
    ])
      expect((await run([...args, '--url', server.url])).code).toBe(0);
    expect((await run(['append', '-', '--id-pointer', '/id'], {}, `{"a":"${REFUSED}"`)).code).not.toBe(0);
    expect((await run(['append', '-', '--id-pointer', '/id'], {}, `{"id":["${ID}"]}`)).code).not.toBe(0);
    const wrong = `${apiKey.slice(0, -4)}0000`;
    for (const key of [wrong, JUNK]) {
      expect((await run(['get', '0'], { INDELIBLE_KEY: key })).code).not.toBe(0);
      expect((await run(['keys', 'list', '--url', server.url])).code).not.toBe(0);
      expect((await run(['keys', 'revoke', apiKey, '--url', server.url], { INDELIBLE_KEY: ADMIN })).code).not.toBe(0);
    }
    expect((await run(['get', '0'], { INDELIBLE_URL: `http://user:${JUNK}@127.0.0.1:1/logs/main` })).code).not.toBe(0);
    await stopped('the server of the command line');
  });

  test('and there was much to look through, with something to find', () => {
    expect(canaries.size).toBeGreaterThanOrEqual(18);
    expect(said.length).toBeGreaterThanOrEqual(100);
    const before = said.length;
    said.push({ who: 'a test', text: `x ${Buffer.from(`y${EVENT}`).toString('base64')} ${SEED.toUpperCase()}` });
    expect(found()).toEqual(['an event in a test', 'the master seed in a test']);
    said.length = before;
  });
});
