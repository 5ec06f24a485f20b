/** The check of a whole store: clean stores are clean, and every planted fault is named exactly, alone. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { signCheckpoint } from '../../../proofs/checkpoint.ts';
import { type Fault, faultText } from '../../../server/check/fault.ts';
import { checkStore, type StoreCheck } from '../../../server/check/store-check.ts';
import { frame } from '../../../server/frames.ts';
import { parsePointer } from '../../../server/ingest/event-id.ts';
import type { Log } from '../../../server/log.ts';
import { makeKeyRing } from '../../../server/secrets.ts';
import {
  apiKeyKey,
  bundleKey,
  COMMIT_PREFIX,
  commitKey,
  edgeKey,
  eventKey,
  headKey,
  idKey,
  logDefinitionKey,
  openKey,
  refreshKey,
  STORE_KEY,
  tileKey,
} from '../../../server/storage/keys.ts';
import { MemoryStore } from '../../../server/storage/memory.ts';
import { encodeHeadRow, encodeIdRow } from '../../../server/storage/rows.ts';
import { type Range, type Row, StorageError } from '../../../server/storage/store.ts';
import { asTreeHash } from '../../../tree/hash.ts';
import { seededRandom } from '../../support/random.ts';
import { append, firstStart, type World } from '../memory-server.ts';

type Rows = Map<string, Uint8Array>;

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** The store that faults are planted in: `main` with 600 entries, 3 with ids, a request under one key, the raw log `raw` (300), and what is left of a log. */
let world: World;
/** ID of the stored API key that brought the ids, and the digest of the ids of `main`. */
let by: string;
let idRows: string[];

async function appendRaw(log: Log, count: number, run: Awaited<ReturnType<typeof firstStart>>): Promise<void> {
  const first = log.state.treeSize;
  await run.server.sequencer.appendRaw({
    log,
    source: 'test',
    idempotencyKey: undefined,
    leaves: frame(Array.from({ length: count }, (_, i) => text(`leaf ${first + i}`))),
  });
}

beforeAll(async () => {
  const run = await firstStart();
  const { server, main, clock } = run;
  const raw = await server.createLog({ name: 'raw', kind: 'raw', publicReads: true, idPointer: null }, 'system');
  const { key } = await server.createKey({ name: 'billing', scopes: ['append'], log: null }, 'system');
  by = key.id;
  await append(run, main, 290);
  await server.publisher.publishDue();
  const pointer = parsePointer('/id');
  await server.sequencer.append({
    log: main,
    events: [1, 2, 3].map((n) => ({ event: text(`{"id":"e-${n}"}`), id: `"e-${n}"` })),
    by,
    source: 'billing',
    via: 'events',
    once: { kind: 'pointer', pointer },
  });
  clock.advance(2000);
  await server.publisher.publishDue();
  await append(run, main, 304);
  await server.sequencer.append({
    log: main,
    events: [1, 2, 3].map((n) => ({ event: text(`{"keyed":${n}}`), id: undefined })),
    by,
    source: 'billing',
    via: 'events',
    once: { kind: 'key', idempotencyKey: 'request-1' },
  });
  await appendRaw(raw, 300, run);
  const gone = await server.createLog({ name: 'gone', kind: 'raw', publicReads: true, idPointer: null }, 'system');
  await appendRaw(gone, 20, run);
  await server.freezeLog(gone, 'system');
  clock.advance(2000);
  await server.publisher.publishDue();
  clock.advance(700_000);
  await server.publisher.publishDue();
  await server.treeHeadSigner.newest(main);
  // Its rows are swept later, by a server that runs.
  await server.deleteLog(gone, 'system');
  await server.sequencer.close();
  world = run.world;
  idRows = world.rows
    .rows()
    .map(([key]) => key)
    .filter((key) => key.startsWith(idKey('main', '')));
});

/** A store of its own with the raw log `wide` of 65,800 entries, which has a full tile of level 1. */
async function wideWorld(): Promise<World> {
  const run = await firstStart();
  const fields = { name: 'wide', kind: 'raw', publicReads: true, idPointer: null } as const;
  const wide = await run.server.createLog(fields, 'system');
  for (let i = 0; i < 7; i++) await appendRaw(wide, 9400, run);
  await run.server.publisher.publishDue();
  await run.server.sequencer.close();
  return run.world;
}

async function check(
  store: Pick<MemoryStore, 'get' | 'getMany' | 'list'>,
  masterSeed: Uint8Array | null = world.masterSeed,
): Promise<{ faults: Fault[]; result: StoreCheck }> {
  const faults: Fault[] = [];
  const result = await checkStore({
    store,
    storeId: world.storeId,
    keys: masterSeed === null ? undefined : makeKeyRing(masterSeed, world.storeId),
    report: (found) => faults.push(found),
    pace: async () => {},
  });
  return { faults, result };
}

/** What a check finds after the rows were edited: log, kind, problem, index and key of each fault. */
const copy = (of = world): Rows => new Map(of.rows.rows().map(([key, value]) => [key, value.slice()]));

async function faultsAfter(edit: (rows: Rows) => void, of = world): Promise<unknown[]> {
  const rows = copy(of);
  edit(rows);
  const { faults } = await check(new MemoryStore(rows));
  for (const found of faults) expect(faultText(found).length).toBeGreaterThan(20);
  return faults.map(({ log, kind, problem, index, key }) => [log, kind, problem, index, key]);
}

const flip = (key: string, at: number) => (rows: Rows) => {
  const value = rows.get(key) as Uint8Array;
  const place = at < 0 ? value.length + at : at;
  value[place] = ((value[place] as number) + 1) % 256;
};
const drop = (key: string) => (rows: Rows) => {
  if (!rows.delete(key)) throw new Error(`${key} is not there`);
};
const add =
  (key: string, value: Uint8Array = text('x')) =>
  (rows: Rows) => {
    if (rows.has(key)) throw new Error(`${key} is there`);
    rows.set(key, value);
  };
const swap = (a: string, b: string) => (rows: Rows) => {
  const [x, y] = [rows.get(a) as Uint8Array, rows.get(b) as Uint8Array];
  rows.set(a, y).set(b, x);
};
/** Replaces a text within a value by another of the same length. */
/** Other words in a row, and no check that would give them away. */
const reword = (key: string, from: string, to: string) => (rows: Rows) => {
  const value = Buffer.from(rows.get(key) as Uint8Array).toString('latin1');
  if (!value.includes(from)) throw new Error(`${key} does not hold ${from}`);
  const changed = value.replace(from, to).replace(/,"check":"[0-9a-f]{32}"\}$/, '}');
  rows.set(key, new Uint8Array(Buffer.from(changed, 'latin1')));
};

/** Stands for the key of the newest head of `main`, which has a time in it. */
const REFRESHED = 'refreshed';
const refreshedHead = (): string =>
  world.rows
    .rows()
    .map(([key]) => key)
    .find((key) => /^log\/main\/head\/\d{16}\/\d{16}$/.test(key)) as string;

const lastRecord = (): string =>
  world.rows
    .rows()
    .map(([key]) => key)
    .findLast((key) => key.startsWith(COMMIT_PREFIX)) as string;

const at = (index: number, log = 'main') => tileKey(log, { level: 0, index });
const zeros = 'A'.repeat(43);

test('a store as the server leaves it is clean, and its heads are derived', async () => {
  const { faults, result } = await check(world.rows);
  expect(faults.map(faultText)).toEqual([]);
  expect(result.heads.map(({ name, treeSize }) => [name, treeSize]).sort()).toEqual([
    ['_system', 8],
    ['gone', 20],
    ['main', 600],
    ['raw', 300],
  ]);
  expect(idRows).toHaveLength(4);
});

type Case = [name: string, edit: (rows: Rows) => void, expected: unknown[]];

const CASES: Case[] = [
  // Bundles: 43 bytes a leaf in `main`, 2 of them its length.
  [
    'a byte of a leaf in a bundle of an events log',
    flip(bundleKey('main', 1), 43 * 10 + 20),
    [['main', 'entry bundle', 'differs', 266, bundleKey('main', 1)]],
  ],
  [
    'the time of a leaf in a bundle',
    flip(bundleKey('main', 0), 43 * 3 + 10),
    [['main', 'entry bundle', 'differs', 3, bundleKey('main', 0)]],
  ],
  [
    'a byte of a leaf in a bundle of a raw log',
    flip(bundleKey('raw', 0), 5),
    [['raw', 'entry bundle', 'differs', 0, bundleKey('raw', 0)]],
  ],
  [
    'a length in a bundle',
    flip(bundleKey('main', 0), 1),
    [['main', 'entry bundle', 'malformed', null, bundleKey('main', 0)]],
  ],
  ['a missing bundle', drop(bundleKey('main', 1)), [['main', 'entry bundle', 'missing', null, bundleKey('main', 1)]]],
  [
    'a partial bundle',
    add('stream/main/entries/001.p/5'),
    [['main', 'entry bundle', 'stray', null, 'stream/main/entries/001.p/5']],
  ],
  [
    'a bundle beyond the size',
    add(bundleKey('main', 2)),
    [['main', 'entry bundle', 'stray', null, bundleKey('main', 2)]],
  ],
  // Tiles.
  ['a hash in a tile of level 0', flip(at(1), 32 * 7), [['main', 'tile', 'differs', null, at(1)]]],
  ['a missing tile', drop(at(0)), [['main', 'tile', 'missing', null, at(0)]]],
  [
    'a short tile',
    (rows) => rows.set(at(0), (rows.get(at(0)) as Uint8Array).slice(32)),
    [['main', 'tile', 'malformed', null, at(0)]],
  ],
  ['a tile beyond the size', add(at(2)), [['main', 'tile', 'stray', null, at(2)]]],
  [
    'a tile of a level that is not there',
    add(tileKey('main', { level: 1, index: 0 })),
    [['main', 'tile', 'stray', null, tileKey('main', { level: 1, index: 0 })]],
  ],
  ['a path of no tile', add('log/main/tile/0/000~'), [['main', 'tile', 'stray', null, 'log/main/tile/0/000~']]],
  [
    'two bundles that changed places',
    swap(bundleKey('raw', 0), bundleKey('main', 0)),
    [
      ...Array.from({ length: 256 }, (_, i) => ['main', 'entry bundle', 'differs', i, bundleKey('main', 0)]),
      ...Array.from({ length: 256 }, (_, i) => ['raw', 'entry bundle', 'differs', i, bundleKey('raw', 0)]),
    ],
  ],
  // Open leaves: 512 to 596 and 597 to 599 in `main`, of 41 bytes; 256 to 299 in `raw`, of 8; 300 = 256 + 32 + 8 + 4.
  [
    'an open leaf of an events log',
    flip(openKey('main', 512), 18 * 43 + 2 + 30),
    [['main', 'open leaf', 'differs', 530, openKey('main', 512)]],
  ],
  [
    'an open leaf of a raw log',
    flip(openKey('raw', 256), 34 * 10 + 2),
    [['raw', 'open leaf', 'differs', 288, openKey('raw', 256)]],
  ],
  [
    'missing open leaves',
    drop(openKey('main', 597)),
    [
      ['main', 'open leaf', 'missing', 597, openKey('main', 597)],
      ['main', 'tile', 'unreadable', null, bundleKey('main', 2)],
    ],
  ],
  [
    'the framing of open leaves',
    // Of the last leaf: a wrong length before others may lead to the end of the row as well, by chance.
    flip(openKey('main', 512), -43),
    [
      ['main', 'open leaf', 'malformed', 512, openKey('main', 512)],
      ['main', 'tile', 'unreadable', null, bundleKey('main', 2)],
    ],
  ],
  [
    'an open row within another',
    add(openKey('main', 550)),
    [['main', 'open leaf', 'stray', 550, openKey('main', 550)]],
  ],
  [
    'an open leaf beyond the size',
    add(openKey('main', 600)),
    [['main', 'open leaf', 'stray', 600, openKey('main', 600)]],
  ],
  [
    'an open leaf whose bundle is full',
    add(openKey('main', 511)),
    [['main', 'open leaf', 'stray', 511, openKey('main', 511)]],
  ],
  [
    'an open leaf under a key of another form',
    add('log/main/open/x'),
    [['main', 'open leaf', 'stray', null, 'log/main/open/x']],
  ],
  // The edge: format 1, size 8, receivedAt 8, root 32, head 16, frontier.
  ['a root hash in an edge', flip(edgeKey('main'), 20), [['main', 'edge', 'differs', null, edgeKey('main')]]],
  ['a receivedAt in an edge', flip(edgeKey('main'), 16), [['main', 'edge', 'differs', null, edgeKey('main')]]],
  ['a frontier hash in an edge', flip(edgeKey('raw'), 65), [['raw', 'edge', 'differs', null, edgeKey('raw')]]],
  ['the head that an edge names', flip(edgeKey('main'), 64), [['main', 'head', 'differs', 600, headKey('main', 600)]]],
  ['a malformed edge', flip(edgeKey('main'), 0), [['main', 'edge', 'malformed', null, edgeKey('main')]]],
  ['a missing edge', drop(edgeKey('raw')), [['raw', 'edge', 'missing', null, edgeKey('raw')]]],
  // Events.
  ['a byte of an event', flip(eventKey('main', 400), -3), [['main', 'event', 'differs', 400, eventKey('main', 400)]]],
  ['a salt', flip(eventKey('main', 0), 5), [['main', 'event', 'differs', 0, eventKey('main', 0)]]],
  [
    'an event of an open leaf',
    flip(eventKey('main', 599), -3),
    [['main', 'event', 'differs', 599, eventKey('main', 599)]],
  ],
  ['a state byte', flip(eventKey('main', 8), 0), [['main', 'event', 'malformed', 8, eventKey('main', 8)]]],
  ['a missing event', drop(eventKey('main', 9)), [['main', 'event', 'missing', 9, eventKey('main', 9)]]],
  ['an event beyond the size', add(eventKey('main', 600)), [['main', 'event', 'stray', 600, eventKey('main', 600)]]],
  [
    'an event under a key of another form',
    add(`${eventKey('main', 7)}~`),
    [['main', 'event', 'stray', null, `${eventKey('main', 7)}~`]],
  ],
  ['an event before the first', add('stream/main/event/!'), [['main', 'event', 'stray', null, 'stream/main/event/!']]],
  [
    'two events that changed places',
    swap(eventKey('main', 3), eventKey('main', 300)),
    [
      ['main', 'event', 'differs', 3, eventKey('main', 3)],
      ['main', 'event', 'differs', 300, eventKey('main', 300)],
    ],
  ],
  // Heads.
  [
    'a byte of a signature',
    (rows) => {
      const key = headKey('main', 290);
      const value = new TextDecoder().decode(rows.get(key));
      const place = value.indexOf('=\\n"') - 20;
      rows.set(key, text(value.slice(0, place) + (value[place] === 'A' ? 'B' : 'A') + value.slice(place + 1)));
    },
    [['main', 'head', 'malformed', 290, headKey('main', 290)]],
  ],
  [
    'an origin in a checkpoint',
    reword(headKey('main', 290), 'example.com/logs/main', 'example.com/logs/mean'),
    [['main', 'head', 'malformed', 290, headKey('main', 290)]],
  ],
  ['the head that a log is made with', drop(headKey('main', 0)), [['main', 'head', 'missing', 0, headKey('main', 0)]]],
  [
    'a head under the key of another size',
    (rows) => add(headKey('main', 291), rows.get(headKey('main', 290)))(rows),
    [['main', 'head', 'malformed', 291, headKey('main', 291)]],
  ],
  [
    'a head beyond the size',
    (rows) => add(headKey('main', 601), rows.get(headKey('main', 290)))(rows),
    [['main', 'head', 'stray', 601, headKey('main', 601)]],
  ],
  [
    'a head of another log',
    (rows) => rows.set(headKey('raw', 300), rows.get(headKey('main', 600)) as Uint8Array),
    [['raw', 'head', 'malformed', 300, headKey('raw', 300)]],
  ],
  [
    'a head under a key of another form',
    add(`${headKey('main', 290)}/7`),
    [['main', 'head', 'stray', null, `${headKey('main', 290)}/7`]],
  ],
  [
    'a tree head signature',
    (rows) => {
      const key = refreshedHead();
      const value = new TextDecoder().decode(rows.get(key));
      const place = value.indexOf('"tree_head_signature":"') + 60;
      rows.set(key, text(value.slice(0, place) + (value[place] === 'A' ? 'B' : 'A') + value.slice(place + 1)));
    },
    [['main', 'head', 'malformed', 600, REFRESHED]],
  ],
  ['the last head of a deleted log', drop(headKey('gone', 20)), [['gone', 'head', 'missing', 20, headKey('gone', 20)]]],
  [
    'the edge of a deleted log',
    flip(edgeKey('gone'), 20),
    [
      ['gone', 'edge', 'differs', null, edgeKey('gone')],
      [null, 'commit record', 'differs', -1, ''],
    ],
  ],
  ['a row of no kind in a deleted log', add('log/gone/x'), [['gone', 'row', 'stray', null, 'log/gone/x']]],
  // Rows of no kind, and of the server.
  ['a row of no kind in a log', add('log/main/colour'), [['main', 'row', 'stray', null, 'log/main/colour']]],
  ['a row after all others of a log', add('log/main/zzz'), [['main', 'row', 'stray', null, 'log/main/zzz']]],
  ['rows of a log that is not defined', add('log/other/~edge'), [['other', 'row', 'stray', null, 'log/other/~edge']]],
  ['events of one', add(eventKey('other', 0)), [['other', 'row', 'stray', null, eventKey('other', 0)]]],
  ['a row of no kind beside bundles', add('stream/main/x'), [['main', 'row', 'stray', null, 'stream/main/x']]],
  ['a row behind all logs', add('stream/x'), [[null, 'row', 'stray', null, 'stream/x']]],
  [
    'a bundle among the tiles',
    add('log/main/tile/entries/000'),
    [['main', 'tile', 'stray', null, 'log/main/tile/entries/000']],
  ],
  ['a tile among the bundles', add('stream/main/0/000'), [['main', 'row', 'stray', null, 'stream/main/0/000']]],
  ['a row of no kind in the store', add('server/colour'), [[null, 'row', 'stray', null, 'server/colour']]],
  ['a row before all others', add('a'), [[null, 'row', 'stray', null, 'a']]],
  ['the row that names the store', drop(STORE_KEY), [[null, 'store', 'missing', null, STORE_KEY]]],
  ['another store id', reword(STORE_KEY, '515151', '525151'), [[null, 'store', 'differs', null, STORE_KEY]]],
  [
    'a malformed definition',
    flip(logDefinitionKey('raw'), 0),
    [
      [null, 'log definition', 'malformed', null, logDefinitionKey('raw')],
      [null, 'commit record', 'differs', -1, ''],
      ['raw', 'row', 'stray', null, headKey('raw', 0)],
    ],
  ],
  [
    'another verifier key in a definition',
    reword(logDefinitionKey('raw'), '"verifier_key":"example.com/logs/raw+', '"verifier_key":"example.com/logs/row+'),
    [['raw', 'log definition', 'malformed', null, logDefinitionKey('raw')]],
  ],
  ['a missing commit record', drop(commitKey(3)), [[null, 'commit record', 'missing', 3, commitKey(3)]]],
  ['the oldest commit record', drop(commitKey(1)), [[null, 'commit record', 'missing', 1, commitKey(1)]]],
  ['a changed commit record', flip(commitKey(4), 80), [[null, 'commit record', 'differs', 5, commitKey(5)]]],
];

describe('one planted fault is one finding', () => {
  test.each(CASES)('%s', async (_name, edit, expected) => {
    const n = Number(lastRecord().slice(-16));
    const last = (found: unknown): unknown =>
      Array.isArray(found) && found[4] === REFRESHED
        ? [...found.slice(0, 4), refreshedHead()]
        : Array.isArray(found) && found[3] === -1
          ? [found[0], found[1], found[2], n, commitKey(n)]
          : found;
    expect(await faultsAfter(edit)).toEqual(expected.map(last));
  });
});

const WIDE_CASES: Case[] = [
  [
    'a bundle under a whole tile of level 1',
    flip(bundleKey('wide', 77), 4),
    [['wide', 'entry bundle', 'differs', 77 * 256, bundleKey('wide', 77)]],
  ],
  [
    'a hash in a tile of level 0 under a whole tile of level 1',
    flip(at(200, 'wide'), 32 * 7),
    [['wide', 'tile', 'differs', null, at(200, 'wide')]],
  ],
  [
    'a hash in a tile of level 1',
    flip(tileKey('wide', { level: 1, index: 0 }), 32 * 9),
    [['wide', 'tile', 'differs', null, tileKey('wide', { level: 1, index: 0 })]],
  ],
  [
    'a missing tile of level 1',
    drop(tileKey('wide', { level: 1, index: 0 })),
    [['wide', 'tile', 'missing', null, tileKey('wide', { level: 1, index: 0 })]],
  ],
  ['a missing edge', drop(edgeKey('wide')), [['wide', 'edge', 'missing', null, edgeKey('wide')]]],
];

describe('where a tile of level 1 is full', () => {
  let wide: World;

  beforeAll(async () => {
    wide = await wideWorld();
  });

  test('a whole store is clean', async () => {
    expect((await check(wide.rows)).faults.map(faultText)).toEqual([]);
  });

  test.each(WIDE_CASES)('%s', async (_name, edit, expected) => {
    expect(await faultsAfter(edit, wide)).toEqual(expected);
  });
});

describe('ids', () => {
  const row = (leafIndex: number, count = 1): Uint8Array => encodeIdRow({ leafIndex, count });
  const rowOf = (rows: Rows, leafIndex: number): string =>
    idRows.find(
      (key) => rows.get(key)?.[7] === leafIndex % 256 && rows.get(key)?.[6] === Math.floor(leafIndex / 256),
    ) as string;

  test('a missing row is missed by its entry', async () => {
    let key = '';
    const found = await faultsAfter((rows) => {
      key = rowOf(rows, 291);
      rows.delete(key);
    });
    expect(found).toEqual([['main', 'id', 'missing', 291, key]]);
  });

  test('the row of a request counts all of its entries', async () => {
    let key = '';
    const edit = (value: Uint8Array | undefined) => (rows: Rows) => {
      key = rowOf(rows, 597);
      if (value === undefined) rows.delete(key);
      else rows.set(key, value);
    };
    expect(await faultsAfter(edit(undefined))).toEqual([['main', 'id', 'missing', 597, key]]);
    expect(await faultsAfter(edit(row(597, 2)))).toEqual([['main', 'id', 'differs', 597, key]]);
    expect(await faultsAfter(edit(row(598, 2)))).toEqual([['main', 'id', 'differs', 597, key]]);
    expect(await faultsAfter(drop(eventKey('main', 597)))).toEqual([
      ['main', 'event', 'missing', 597, eventKey('main', 597)],
    ]);
    expect(await faultsAfter(drop(eventKey('main', 598)))).toEqual([
      ['main', 'event', 'missing', 598, eventKey('main', 598)],
    ]);
  });

  test('a row that points to another entry', async () => {
    let key = '';
    const found = await faultsAfter((rows) => {
      key = rowOf(rows, 291);
      rows.set(key, row(290));
    });
    expect(found).toEqual([['main', 'id', 'differs', 291, key]]);
  });

  test.each([
    ['of an entry without id', 5, 1, ['main', 'id', 'stray', 5]],
    ['of an entry with another id', 292, 1, ['main', 'id', 'stray', 292]],
    ['of nothing', 600, 1, ['main', 'id', 'stray', 600]],
    ['of no entries', 5, 0, ['main', 'id', 'stray', 5]],
  ])('a row more, %s', async (_name, leafIndex, count, expected) => {
    const key = idKey('main', zeros);
    expect(await faultsAfter((rows) => rows.set(key, row(leafIndex, count)))).toEqual([[...expected, key]]);
  });

  test('a row that is too short, and one under a key of another form', async () => {
    const key = idKey('main', zeros);
    expect(await faultsAfter((rows) => rows.set(key, text('x')))).toEqual([['main', 'id', 'malformed', null, key]]);
    expect(await faultsAfter((rows) => rows.set(idKey('main', 'short'), row(5)))).toEqual([
      ['main', 'id', 'stray', null, idKey('main', 'short')],
    ]);
  });

  test('one row that took the place of another is two findings', async () => {
    let key = '';
    const found = await faultsAfter((rows) => {
      key = rowOf(rows, 290);
      rows.delete(key);
      rows.set(idKey('main', zeros), row(290));
    });
    expect(found).toEqual([
      ['main', 'id', 'missing', 290, key],
      ['main', 'id', 'stray', 290, idKey('main', zeros)],
    ]);
  });

  test('the rows of a raw log are checked for their form only', async () => {
    const key = idKey('raw', zeros);
    expect(await faultsAfter((rows) => rows.set(key, row(10, 290)))).toEqual([]);
    expect(await faultsAfter((rows) => rows.set(key, row(10, 291)))).toEqual([['raw', 'id', 'stray', 10, key]]);
  });

  test('an API key that is gone takes the names of its ids with it', async () => {
    const found = await faultsAfter((rows) => rows.delete(apiKeyKey(by)));
    expect(found).toEqual([
      ...[290, 291, 292, 597].map((leafIndex) => ['main', 'id', 'missing', leafIndex, expect.any(String)]),
      ...[290, 291, 292, 597].map(() => ['main', 'id', 'stray', expect.any(Number), expect.any(String)]),
    ]);
  });
});

describe('what was signed is not what is stored', () => {
  const signed = (treeSize: number, rootHash: Uint8Array, time: number): Uint8Array => {
    const origin = 'example.com/logs/main';
    const signer = makeKeyRing(world.masterSeed, world.storeId).signer(origin, 0);
    return encodeHeadRow({
      checkpoint: signCheckpoint({ origin, treeSize, rootHash: asTreeHash(rootHash) }, signer),
      time,
    });
  };
  const other = new Uint8Array(32).fill(7);

  test.each([1, 255, 256, 257, 290, 512, 599])('another root at size %d, rightly signed', async (size) => {
    const key = headKey('main', size);
    expect(await faultsAfter((rows) => rows.set(key, signed(size, other, 5)))).toEqual([
      ['main', 'head', 'differs', size, key],
    ]);
  });

  test('a second root at one size', async () => {
    const key = refreshKey('main', 290, 9);
    expect(await faultsAfter((rows) => rows.set(key, signed(290, other, 9)))).toEqual([
      ['main', 'head', 'differs', 290, key],
    ]);
  });

  test('a time that is not that of the key', async () => {
    const key = refreshKey('main', 290, 9);
    expect(await faultsAfter((rows) => rows.set(key, signed(290, other, 8)))).toEqual([
      ['main', 'head', 'malformed', 290, key],
    ]);
  });

  test.each([
    ['the number of logs', 76],
    ['the sum over all logs', 90],
  ])('%s in the last commit record', async (_name, place) => {
    const key = lastRecord();
    expect(await faultsAfter(flip(key, place))).toEqual([
      [null, 'commit record', 'differs', Number(key.slice(-16)), key],
    ]);
  });
});

test('whatever byte of what can be derived is changed: it is found, and never more than a few things are blamed', async () => {
  const random = seededRandom(20261124);
  // All but what nothing else says: the receivedAt of raw logs, and what JSON rows hold besides.
  const keys = [...copy().keys()].filter((key) =>
    /^log\/(?:main|_system)\/(?:edge|id|open|tile)|^log\/raw\/(?:open|tile)|^stream\/|^server\/commit\//.test(key),
  );
  for (let i = 0; i < 120; i++) {
    const key = keys[Math.floor(random() * keys.length)] as string;
    let place = 0;
    const found = await faultsAfter((rows) => {
      place = Math.floor(random() * (rows.get(key) as Uint8Array).length);
      flip(key, place)(rows);
    });
    expect([key, place, found.length > 0 && found.length <= 4]).toEqual([key, place, true]);
  }
});

test('a damaged API key is one finding, whatever was brought under it', async () => {
  expect(await faultsAfter(flip(apiKeyKey(by), 0))).toEqual([[null, 'API key', 'malformed', null, apiKeyKey(by)]]);
  const other = apiKeyKey('0'.repeat(16));
  expect(await faultsAfter((rows) => add(other, rows.get(apiKeyKey(by)))(rows))).toEqual([
    [null, 'API key', 'differs', null, other],
  ]);
});

describe('what the engine or the operator cannot give', () => {
  test('rows that cannot be read are named, and the rest is checked', async () => {
    const bad = at(1);
    const fail = (): never => {
      throw new StorageError('unreadable', 'LevelDB cannot read what is stored');
    };
    const rows = copy();
    flip(eventKey('main', 400), -3)(rows);
    const inner = new MemoryStore(rows);
    const { faults } = await check({
      get: (key) => (key === bad ? fail() : inner.get(key)),
      getMany: (keys) => (keys.includes(bad) ? fail() : inner.getMany(keys)),
      list: async (range: Range): Promise<Row[]> => {
        const found = await inner.list(range);
        return found.some(({ key }) => key === bad) ? fail() : found;
      },
    });
    expect(faults.map(({ kind, problem, key }) => [kind, problem, key])).toEqual([
      ['database', 'unreadable', bad],
      ['event', 'differs', eventKey('main', 400)],
    ]);
  });

  test('without the master seed all but the ids is derived', async () => {
    const { faults } = await check(world.rows, null);
    expect(faults).toEqual([]);
    const rows = copy();
    rows.set(idKey('main', zeros), encodeIdRow({ leafIndex: 5, count: 1 }));
    rows.set(idKey('main', `${zeros.slice(1)}B`), encodeIdRow({ leafIndex: 600, count: 1 }));
    const found = (await check(new MemoryStore(rows), null)).faults;
    expect(found.map(({ kind, index }) => [kind, index])).toEqual([['id', 600]]);
  });

  test('with another master seed every log says so', async () => {
    const { faults } = await check(world.rows, new Uint8Array(32).fill(9));
    const logs = faults.filter(({ kind }) => kind === 'log definition').map(({ log }) => log);
    expect(logs).toEqual(['_system', 'gone', 'main', 'raw']);
  });
});

test('a refreshed head without the first one of its size', async () => {
  const refreshed = world.rows
    .rows()
    .map(([key]) => key)
    .find((key) => /^log\/main\/head\/\d{16}\/\d{16}$/.test(key)) as string;
  expect(refreshed.startsWith(refreshKey('main', 600, 0).slice(0, -16))).toBe(true);
  expect(await faultsAfter(drop(headKey('main', 600)))).toEqual([
    ['main', 'head', 'missing', 600, headKey('main', 600)],
  ]);
  expect(await faultsAfter(drop(refreshed))).toEqual([['main', 'head', 'differs', 600, headKey('main', 600)]]);
});
