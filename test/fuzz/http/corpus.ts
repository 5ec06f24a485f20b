/**
 * Good requests for every route of the server's own table. A route that is new gets requests by itself, with whatever stands below for its
 * parameters; if none of them is answered with a success, the run says so, and the route wants a line here.
 */
import { ROUTES, type Route } from '../../../server/http/routes.ts';
import { encodeBundle } from '../../../tree/bundles.ts';
import { concatBytes, utf8 } from '../../../tree/bytes.ts';
import { ADMIN_KEY } from '../../support/spawn-server.ts';
import { WitnessedLog } from '../../support/witnessed-log.ts';
import { below, pick, type Random } from '../mutator.ts';

export interface HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** Names that requests use; logs and keys are there before the first of them. */
export const LOGS = {
  /** Takes events. */
  events: 'main',
  /** Takes raw entries. */
  raw: 'raw',
  /** Frozen and public: what is read there is the same for ever. */
  frozen: 'frozen',
} as const;
/** A log that the server is a witness of. */
export const WITNESSED = new WitnessedLog('fuzz.example/logs/witnessed', 8);
/** Entries of the frozen log. */
export const FROZEN_SIZE = 300;

export interface World {
  /** API keys by what they may. */
  readonly keys: { readonly append: string; readonly read: string };
  /** IDs of keys that may be revoked. */
  readonly spareKeys: readonly string[];
  /** Leaf hashes of the frozen log, base64. */
  readonly hashes: readonly string[];
}

/** Names of logs that may be made, frozen and deleted. */
const SCRATCH = Array.from({ length: 24 }, (_, i) => `scratch-${i}`);
export const MADE = SCRATCH.slice(0, 12);

/** How much more seldom than others a route is asked: what it makes stays, or costs as much as hundreds of others. */
const SELDOM: Readonly<Record<string, number>> = {
  'POST /admin/logs': 0.1,
  'POST /admin/keys': 0.1,
  'GET /admin/logs': 0.2,
  'GET /admin/keys': 0.2,
  'GET /metrics': 0.3,
  // Or all logs are frozen before anything else was done to one of them: seed 49400533 had no key rotated.
  'POST /admin/logs/:name/freeze': 0.2,
};

export function nameOf({ method, path }: Route): string {
  return `${method} ${path}`;
}

const WEIGHTS = ROUTES.map((route) => SELDOM[nameOf(route)] ?? 1);
const TOTAL = WEIGHTS.reduce((sum, weight) => sum + weight, 0);

export function anyRoute(random: Random): Route {
  let at = random() * TOTAL;
  for (const [i, weight] of WEIGHTS.entries()) {
    at -= weight;
    if (at < 0) return ROUTES[i] as Route;
  }
  return ROUTES[0] as Route;
}

const TILES = ['0/000', '1/000.p/1', 'entries/000', `0/001.p/${FROZEN_SIZE - 256}`, 'entries/001.p/3', '0/000.p/7'];

/** What stands in place of `:x` and `*`. */
function parameter(name: string, route: Route, world: World, random: Random): string {
  if (name === ':log') return logFor(route);
  if (name === ':index') return String(below(random, FROZEN_SIZE));
  if (name === ':file') return `${below(random, FROZEN_SIZE)}.tlog-proof`;
  if (name === ':name') return pick(random, SCRATCH);
  if (name === ':hash') return WITNESSED.hash;
  if (name === ':id') return pick(random, world.spareKeys);
  return name === '*' ? pick(random, TILES) : pick(random, ['0', '1', 'main', 'x']);
}

function logFor(route: Route): string {
  if (route.for !== 'log' || route.method === 'GET') return LOGS.frozen;
  return route.kind === 'raw' ? LOGS.raw : LOGS.events;
}

/** Queries of routes below /logs/:log, by the rest of their path; what is not here is asked without one. */
const QUERIES: Readonly<Record<string, (random: Random, world: World) => string>> = {
  'POST /events': (random) =>
    pick(random, ['', '', '', 'ack=durable', 'ack=signed', 'id_pointer=/id', 'ack=signed&id_pointer=%2Fid']),
  'GET /events': (random) => `from=${below(random, FROZEN_SIZE)}&limit=${1 + below(random, 20)}`,
  'GET /proofs/inclusion': (random, { hashes }) => {
    const size = 1 + below(random, FROZEN_SIZE);
    const leafIndex = below(random, size);
    return random() < 0.5
      ? `index=${leafIndex}&tree_size=${size}`
      : `leaf_hash=${encodeURIComponent(hashes[leafIndex] as string)}&tree_size=${size}`;
  },
  'GET /proofs/consistency': (random) => {
    const second = below(random, FROZEN_SIZE + 1);
    return `first=${below(random, second + 1)}&second=${second}`;
  },
  'GET /tree-heads': (random) => `from=${below(random, FROZEN_SIZE)}&limit=5`,
  'GET /ct/v1/get-sth-consistency': (random) => `first=${1 + below(random, 99)}&second=${100 + below(random, 100)}`,
  'GET /ct/v1/get-proof-by-hash': (random, { hashes }) => {
    const leafIndex = below(random, FROZEN_SIZE);
    return `hash=${encodeURIComponent(hashes[leafIndex] as string)}&tree_size=${FROZEN_SIZE}`;
  },
  'GET /ct/v1/get-entries': (random) => {
    const start = below(random, FROZEN_SIZE);
    return `start=${start}&end=${start + below(random, 20)}`;
  },
  'GET /ct/v1/get-entry-and-proof': (random) =>
    `leaf_index=${below(random, 100)}&tree_size=${100 + below(random, 200)}`,
};

interface Content {
  readonly type: string;
  readonly body: Uint8Array;
}

/** The text of an event that nobody sent before in this run, if `number` is new. */
function event(number: string, random: Random): string {
  const id = random() < 0.8 ? number : `again-${below(random, 50)}`;
  const extra = pick(random, [
    '',
    ',"actor":{"id":"alice","n":[1,2.5,null]}',
    `,"note":"${'é😀 '.repeat(below(random, 30))}"`,
    ',"deep":[[[[]]]]',
  ]);
  return `{"id":"${id}"${random() < 0.8 ? extra : ''}}`;
}

const CONTENTS: Readonly<Record<string, (number: string, random: Random) => Content>> = {
  'POST /logs/:log/events': (number, random) => {
    const events = Array.from({ length: 1 + below(random, 6) }, (_, i) => event(`${number}.${i}`, random));
    const chosen = random();
    if (chosen < 0.5) return { type: 'application/json', body: utf8(event(number, random)) };
    if (chosen < 0.8)
      return { type: 'application/x-ndjson', body: utf8(events.join(pick(random, ['\n', '\r\n', '\n\n']))) };
    const parts = events.flatMap((text) => [Uint8Array.of(10), varint(utf8(text).length), utf8(text)]);
    return { type: 'application/x-protobuf', body: concatBytes(...parts) };
  },
  'POST /logs/:log/add': (number, random) => ({
    type: 'application/octet-stream',
    body: utf8(`${number} `.repeat(below(random, 12))),
  }),
  'POST /logs/:log/add-batch': (number, random) => ({
    type: 'application/octet-stream',
    body: encodeBundle(
      Array.from({ length: 1 + below(random, 5) }, (_, i) => utf8(`${number} ${i}`.repeat(1 + below(random, 4)))),
    ),
  }),
  'POST /admin/logs': (_, random) =>
    json({ name: pick(random, SCRATCH), kind: pick(random, ['events', 'raw']), public_reads: true }),
  'PATCH /admin/logs/:name': (_, random) => json({ public_reads: random() < 0.5 }),
  // Of the empty tree, which may be sent again for ever.
  'POST /witness/add-checkpoint': () => ({ type: 'text/plain', body: utf8(WITNESSED.body(0, 0)) }),
  'POST /admin/keys': (_, random) => json({ name: 'fuzz', scope: pick(random, ['append', 'read']), log: LOGS.frozen }),
};

function json(value: object): Content {
  return { type: 'application/json', body: utf8(JSON.stringify(value)) };
}

function varint(value: number): Uint8Array {
  return value < 128 ? Uint8Array.of(value) : Uint8Array.of(128 + (value % 128), Math.floor(value / 128));
}

/** A good request for a route; `number` goes into what it appends. */
export function goodRequest(route: Route, number: string, world: World, random: Random): HttpRequest {
  const path = route.path.replaceAll(/:[a-z]+|\*/g, (name) => parameter(name, route, world, random));
  const rest = route.path.startsWith('/logs/:log') ? route.path.slice('/logs/:log'.length) : undefined;
  const query = rest === undefined ? '' : (QUERIES[`${route.method} ${rest}`]?.(random, world) ?? '');
  const content = CONTENTS[nameOf(route)]?.(number, random);
  const key = keyFor(route, world, random);
  const headers: [string, string][] = [['Host', 'fuzz.example']];
  if (key !== undefined) headers.push(['Authorization', `Bearer ${key}`]);
  if (content !== undefined)
    headers.push(['Content-Type', content.type], ['Content-Length', String(content.body.length)]);
  if (random() < 0.1)
    headers.push([
      'Accept',
      pick(random, ['application/x-protobuf', '*/*', 'application/json', 'text/html;q=0.9, */*;q=0.1']),
    ]);
  if (route.method === 'POST' && rest !== undefined && random() < 0.05 && !query.includes('id_pointer'))
    headers.push(['Idempotency-Key', `key-${random() < 0.5 ? number : below(random, 20)}`]);
  return {
    method: route.method,
    target: query === '' ? path : `${path}?${query}`,
    version: 'HTTP/1.1',
    headers,
    body: content?.body ?? new Uint8Array(0),
  };
}

function keyFor(route: Route, { keys }: World, random: Random): string | undefined {
  if (route.for === 'server') return route.scope === undefined ? undefined : ADMIN_KEY;
  if (route.scope === 'append') return keys.append;
  return route.public === true && random() < 0.5 ? undefined : keys.read;
}
