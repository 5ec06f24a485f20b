/**
 * Who may do what: every route of the server's table, with every kind of key, on every kind of log, against the rules of rules.ts. A refused
 * request changes nothing, and nobody can tell a log that is not his from one that is not there.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ROUTES } from '../../../../server/http/routes.ts';
import { ADMIN_KEY, type Answer, type Send, TestServer } from '../../../support/test-server.ts';
import { WitnessedLog } from '../../../support/witnessed-log.ts';
import { closeWitnesses, OpenWitness } from '../../witness/open-witness.ts';
import {
  type Bearer,
  type LogState,
  type Need,
  type Scope,
  type Verdict,
  verdictOnLog,
  verdictOnServer,
} from './rules.ts';

/** A log that the witness in the server knows: it is asked by anybody, and cares for no key. */
const witnessed = new WitnessedLog('example.com/logs/main', 8);
const opened = await OpenWitness.of([witnessed]);
const server = await TestServer.start({ context: { witness: opened.witness } });

/** How a route is asked, and what it says to whoever may ask. A new route needs an entry of its own here. */
interface Asked extends Need {
  /** What follows the log's base URL, or the whole path with the log's name for `*`. */
  readonly path: string;
  /** Status when all is well: of the route, or by the state of the log that it names. */
  readonly good: number | Readonly<Partial<Record<LogState['status'] | 'system', number>>>;
  readonly send?: () => Send;
}

const json = (body: unknown): Send => ({
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});
let names = 0;

const read = { right: 'read*', good: 200 } as const;
const admin = { right: 'server', good: 200 } as const;
const open = { right: 'open', good: 200 } as const;

const ASKED: Readonly<Record<string, Asked>> = {
  'POST /logs/:log/events': { right: 'append', kind: 'events', path: '/events', good: 200, send: () => json({ a: 1 }) },
  'POST /logs/:log/add': { right: 'append', kind: 'raw', path: '/add', good: 200, send: () => ({ body: 'entry' }) },
  'POST /logs/:log/add-batch': {
    right: 'append',
    kind: 'raw',
    path: '/add-batch',
    good: 200,
    send: () => ({ body: Uint8Array.of(0, 1, 65) }),
  },
  'GET /logs/:log/events': { right: 'read', kind: 'events', path: '/events', good: 200 },
  'GET /logs/:log/events/:index': { right: 'read', kind: 'events', path: '/events/0', good: 200 },
  'GET /logs/:log/checkpoint': { ...read, path: '/checkpoint' },
  'GET /logs/:log/tile/*': { ...read, path: '/tile/entries/000.p/1' },
  'GET /logs/:log/proofs/inclusion': { ...read, path: '/proofs/inclusion?index=0' },
  'GET /logs/:log/proofs/consistency': { ...read, path: '/proofs/consistency?first=0&second=1' },
  'GET /logs/:log/proofs/:file': { ...read, path: '/proofs/0.tlog-proof' },
  'GET /logs/:log': { ...read, path: '' },
  'GET /logs/:log/tree-head': { ...read, path: '/tree-head' },
  'GET /logs/:log/rotations': { ...read, path: '/rotations' },
  'GET /logs/:log/tree-heads': { ...read, path: '/tree-heads' },
  'GET /logs/:log/ct/v1/get-sth': { ...read, path: '/ct/v1/get-sth' },
  'GET /logs/:log/ct/v1/get-sth-consistency': { ...read, path: '/ct/v1/get-sth-consistency?first=0&second=1' },
  // A hash that is none: whether the index has caught up is another matter.
  'GET /logs/:log/ct/v1/get-proof-by-hash': { ...read, path: '/ct/v1/get-proof-by-hash?hash=x&tree_size=1', good: 400 },
  'GET /logs/:log/ct/v1/get-entries': { ...read, path: '/ct/v1/get-entries?start=0&end=0' },
  'GET /logs/:log/ct/v1/get-entry-and-proof': { ...read, path: '/ct/v1/get-entry-and-proof?leaf_index=0&tree_size=1' },
  'GET /admin/logs': { ...admin, path: '/admin/logs' },
  'POST /admin/logs': { ...admin, path: '/admin/logs', good: 201, send: () => json({ name: `made${names++}` }) },
  'PATCH /admin/logs/:name': {
    right: 'server',
    path: '/admin/logs/*',
    good: { active: 200, frozen: 200, deleted: 410, absent: 404, system: 403 },
    send: () => json({ public_reads: names++ % 2 === 0 }),
  },
  'POST /admin/logs/:name/freeze': {
    right: 'server',
    path: '/admin/logs/*/freeze',
    good: { active: 200, frozen: 200, deleted: 410, absent: 404, system: 403 },
  },
  'DELETE /admin/logs/:name': {
    right: 'server',
    path: '/admin/logs/*',
    good: { active: 409, frozen: 200, deleted: 410, absent: 404, system: 403 },
  },
  // A parameter that nobody knows: a rotation that one sender begins would be in the way of the next.
  'POST /admin/logs/:name/rotation': { ...admin, path: '/admin/logs/main/rotation?x=1', good: 400 },
  'DELETE /admin/logs/:name/rotation': { ...admin, path: '/admin/logs/main/rotation?x=1', good: 400 },
  'GET /admin/keys': { ...admin, path: '/admin/keys' },
  'POST /admin/keys': { ...admin, path: '/admin/keys', good: 201, send: () => json({ scope: 'read' }) },
  'DELETE /admin/keys/:id': { ...admin, path: '/admin/keys/0000000000000000', good: 404 },
  'POST /admin/clock': { ...admin, path: '/admin/clock' },
  'POST /witness/add-checkpoint': {
    ...open,
    path: '/witness/add-checkpoint',
    send: () => ({ body: witnessed.body(0, 0) }),
  },
  'GET /witness/:hash/checkpoint': { ...open, path: `/witness/${witnessed.hash}/checkpoint` },
  'GET /healthz': { ...open, path: '/healthz' },
  'GET /readyz': { ...open, path: '/readyz' },
  'GET /metrics': { ...open, path: '/metrics' },
};

const state = (
  name: string,
  status: LogState['status'],
  publicReads: boolean,
  kind: LogState['kind'] = 'events',
): LogState => ({ name, status, publicReads, kind });

const LOGS: readonly LogState[] = [
  state('open', 'active', true),
  state('closed', 'active', false),
  state('raw-open', 'active', true, 'raw'),
  state('raw-closed', 'active', false, 'raw'),
  state('frozen-open', 'frozen', true),
  state('frozen-closed', 'frozen', false),
  state('frozen-raw', 'frozen', false, 'raw'),
  state('deleted-open', 'deleted', true),
  state('deleted-closed', 'deleted', false),
  state('_system', 'active', false),
  state('nowhere', 'absent', false),
];
/** The log that the keys of somebody else are for. */
const OTHER = 'elsewhere';

const SCOPES: readonly (readonly Scope[])[] = [
  ['append'],
  ['read'],
  ['admin'],
  ['append', 'read'],
  ['append', 'admin'],
  ['read', 'admin'],
  ['append', 'read', 'admin'],
];

/** One of each sort that must learn nothing of a log. */
const WITHOUT_RIGHTS = ['no key', 'a key that nobody knows', 'admin for another log'];

interface Sender {
  readonly name: string;
  readonly bearer: Bearer;
  readonly authorization: string | undefined;
}

/** Whoever sends something to any log. */
const strangers: Sender[] = [];
/** Keys for one log, by its name. */
const owners = new Map<string, Sender[]>();

async function holders(log: string | null, what: string): Promise<Sender[]> {
  const made: Sender[] = [];
  for (const scopes of SCOPES) {
    const key = await server.makeKey(scopes, log === null ? {} : { log });
    made.push({
      name: `${scopes.join(' and ')} for ${what}`,
      bearer: { proof: 'key', scopes, log },
      authorization: `Bearer ${key}`,
    });
  }
  return made;
}

/** A log as its state says, with one entry under a signed head, and keys for it; a deleted one still has its keys. */
async function makeLog({ name, status, publicReads, kind }: LogState): Promise<void> {
  if (name === '_system') owners.set(name, await holders(name, 'this log'));
  if (name === '_system' || status === 'absent') return;
  await server.makeLog(name, { publicReads, kind });
  owners.set(name, await holders(name, 'this log'));
  const [path, body] = kind === 'raw' ? ['add', 'entry'] : ['events', '{"a":1}'];
  expect((await server.post(`/logs/${name}/${path}`, body)).status).toBe(200);
  if (status === 'active') return;
  expect((await server.request('POST', `/admin/logs/${name}/freeze`, { key: ADMIN_KEY })).status).toBe(200);
  if (status === 'deleted')
    expect((await server.request('DELETE', `/admin/logs/${name}`, { key: ADMIN_KEY })).status).toBe(200);
}

beforeAll(async () => {
  await opened.ask(witnessed.request(0, 0));
  for (const log of LOGS) await makeLog(log);
  await server.makeLog(OTHER, { publicReads: false });
  const revoked = await server.makeKey(['admin']);
  expect((await server.request('DELETE', `/admin/keys/${revoked.slice(4, 20)}`, { key: ADMIN_KEY })).status).toBe(200);
  const worthless = (name: string, authorization: string): Sender => ({
    name,
    bearer: { proof: 'worthless' },
    authorization,
  });
  strangers.push(
    { name: 'no key', bearer: { proof: 'none' }, authorization: undefined },
    worthless('no key of ours', 'Bearer somebody'),
    worthless('another scheme', `Basic ${Buffer.from(`admin:${ADMIN_KEY}`).toString('base64')}`),
    worthless('a key that nobody knows', `Bearer ind_${'b'.repeat(16)}_${'0'.repeat(64)}`),
    worthless('the id of an admin, another secret', `Bearer ${ADMIN_KEY.slice(0, -1)}1`),
    worthless('a revoked admin', `Bearer ${revoked}`),
    ...(await holders(OTHER, 'another log')),
    ...(await holders(null, 'all logs')),
    {
      name: 'INDELIBLE_ADMIN_KEY',
      bearer: { proof: 'key', scopes: ['admin'], log: null },
      authorization: `Bearer ${ADMIN_KEY}`,
    },
  );
  await server.sign();
});

/** Everything of an answer but the time. */
function whole({ status, headers: { date: _date, ...headers }, text }: Answer): unknown {
  return { status, headers, text };
}

/** Everything that a request could have changed; what was changed is another object. */
function stored(): readonly unknown[] {
  const logs = server.started.server.logs();
  return [
    ...logs.flatMap(({ definition, state }) => [definition, state.treeSize]),
    ...server.started.server.apiKeys.list(),
  ];
}

async function ask(method: string, path: string, { authorization }: Sender, send: Send = {}): Promise<Answer> {
  const headers = { ...send.headers, ...(authorization === undefined ? {} : { authorization }) };
  return server.request(method, path, { ...send, headers });
}

interface Outcome {
  readonly status: number;
  /** Of an error that rights explain. */
  readonly code?: string;
}

function outcomeOf(verdict: Verdict, good: number): Outcome {
  return verdict === 'good' ? { status: good } : { status: verdict[0], code: verdict[1] };
}

/** What one sender was answered, as it is to be compared; a refusal must have left everything as it was. */
async function seen(
  method: string,
  path: string,
  sender: Sender,
  verdict: Verdict,
  send?: Send,
): Promise<[Outcome, Answer]> {
  const before = verdict === 'good' ? [] : stored();
  const answer = await ask(method, path, sender, send);
  const after = verdict === 'good' ? [] : stored();
  expect(after.length === before.length && after.every((each, i) => each === before[i])).toBe(true);
  if (verdict === 'good') return [{ status: answer.status }, answer];
  return [{ status: answer.status, code: answer.json()['code'] as string }, answer];
}

afterAll(closeWitnesses);

test('every route has an entry, and every entry is of a route', () => {
  expect(ROUTES.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(Object.keys(ASKED).sort());
});

test('the rights of the table are those of the entries', () => {
  const needs = ROUTES.map((route): [string, string] => {
    const { scope, for: of } = route;
    const right =
      of === 'server'
        ? scope === undefined
          ? 'open'
          : 'server'
        : scope === 'read' && route.public
          ? 'read*'
          : `${scope}`;
    return [`${route.method} ${route.path}`, `${right} ${of === 'log' ? (route.kind ?? 'any') : 'any'}`];
  });
  const said = Object.entries(ASKED).map(([route, { right, kind }]): [string, string] => [
    route,
    `${right} ${kind ?? 'any'}`,
  ]);
  expect(Object.fromEntries(needs)).toEqual(Object.fromEntries(said));
});

const OF_LOGS = Object.entries(ASKED).filter(([, { right }]) => right !== 'open' && right !== 'server');

describe.each(OF_LOGS)('%s', (route, { path, good, send, ...need }) => {
  const [method = ''] = route.split(' ');
  /** The first answer of each kind that must not tell one log from another. */
  const same = new Map<string, unknown>();

  test.each(LOGS.map((log) => [log.name, log] as const))('%s', async (name, log) => {
    for (const sender of [...strangers, ...(owners.get(name) ?? [])]) {
      const verdict = verdictOnLog(need, log, sender.bearer);
      const [outcome, answer] = await seen(method, `/logs/${name}${path}`, sender, verdict, send?.());
      expect([sender.name, outcome]).toEqual([sender.name, outcomeOf(verdict, good as number)]);
      // That somebody may read a public log is no secret, and its errors say so to browsers.
      if (
        verdict === 'good' ||
        (verdict[0] !== 401 && verdict[0] !== 404) ||
        (need.right === 'read*' && log.publicReads)
      )
        continue;
      const kind = `${sender.bearer.proof} ${verdict[1]}`;
      if (same.has(kind)) expect([sender.name, whole(answer)]).toEqual([sender.name, same.get(kind)]);
      else same.set(kind, whole(answer));
    }
  });

  test('the three refusals that hide a log have each one form', () => {
    expect([...same.keys()].sort()).toEqual(['key not_found', 'none unauthorized', 'worthless unauthorized']);
  });

  test('other methods do not tell what is not there from what is not theirs', async () => {
    const senders = strangers.filter(({ name }) => WITHOUT_RIGHTS.includes(name));
    expect(senders.length).toBe(WITHOUT_RIGHTS.length);
    for (const other of ['PUT', 'OPTIONS', 'HEAD']) {
      for (const sender of senders) {
        const [absent, ...rest] = await Promise.all(
          ['nowhere', 'closed', 'raw-closed', 'frozen-closed', 'deleted-closed', '_system'].map(async (name) =>
            whole(await ask(other, `/logs/${name}${path}`, sender)),
          ),
        );
        for (const answer of rest) expect([other, sender.name, answer]).toEqual([other, sender.name, absent]);
      }
    }
  });
});

const OF_SERVER = Object.entries(ASKED).filter(([, { right }]) => right === 'open' || right === 'server');

let victims = 0;
/** A log in that state that nobody else needs. */
async function victim(log: LogState): Promise<string> {
  if (log.status === 'absent' || log.status === 'deleted' || log.name === '_system') return log.name;
  const name = `victim${victims++}`;
  await makeLog({ ...log, name });
  owners.delete(name);
  return name;
}

describe.each(OF_SERVER)('%s', (route, { path, good, send, ...need }) => {
  const [method = ''] = route.split(' ');
  const logs = path.includes('*') ? LOGS : LOGS.slice(0, 1);

  test.each(logs.map((log) => [path.includes('*') ? log.name : 'the server', log] as const))('%s', async (_, log) => {
    for (const sender of [...strangers, ...(owners.get(log.name) ?? [])]) {
      const verdict = verdictOnServer(need, sender.bearer);
      const name = verdict === 'good' && path.includes('*') ? await victim(log) : log.name;
      const [outcome] = await seen(method, path.replace('*', name), sender, verdict, send?.());
      const status = typeof good === 'number' ? good : good[name === '_system' ? 'system' : log.status];
      expect([sender.name, outcome]).toEqual([sender.name, outcomeOf(verdict, status as number)]);
    }
  });
});

test('nothing of all that has stopped the server', () => expect(server.fatal).toEqual([]));
