/**
 * The by-hash index over a log of its own, without a server: against a plain map, cut off after any write, and with any row altered.
 * Of every leaf it says the first index, or that it is behind; never another index, never that a leaf is not there.
 */
import { describe, expect, test } from '@jest/globals';
import { SECRET_SIZE } from '../../../server/by-hash/leaf-keys.ts';
import type { IndexSizes } from '../../../server/by-hash/log-index.ts';
import {
  endOf,
  IndexDamage,
  logKey,
  logRow,
  parseLogRow,
  ROW_ENTRIES,
  rowCount,
  seal,
  unseal,
} from '../../../server/by-hash/runs.ts';
import { storeRow } from '../../../server/by-hash/store-row.ts';
import type { Room } from '../../../server/free-space.ts';
import { LeafIndex } from '../../../server/leaf-index.ts';
import type { Log } from '../../../server/log.ts';
import type { DerivedRow } from '../../../server/storage/derived.ts';
import { MemoryDerivedStore } from '../../../server/storage/derived-memory.ts';
import type { TreeReader } from '../../../server/tree-reader.ts';
import { concatBytes, toHex, u64, utf8 } from '../../../tree/bytes.ts';
import { type LeafHash, leafHash } from '../../../tree/hash.ts';
import { ManualClock, settle } from '../../support/manual-clock.ts';
import { seededRandom } from '../../support/random.ts';

const STORE_ID = new Uint8Array(32).fill(0x51);

/** A merge of these has several rows, and several steps. */
const SIZES: IndexSizes = { run: 200, fanIn: 4, step: ROW_ENTRIES, held: 100_000 };

/** A store that remembers all writes, and whose look-ups a test can hold up. */
class RecordingStore extends MemoryDerivedStore {
  readonly writes: (readonly DerivedRow[])[] = [];
  /** What look-ups wait for before they read. */
  gate: Promise<void> | undefined;
  /** What writes wait for when they are done. */
  written: Promise<void> | undefined;

  override async getMany(keys: readonly Uint8Array[], { once = false } = {}): Promise<(Uint8Array | undefined)[]> {
    if (!once) await this.gate;
    return super.getMany(keys);
  }

  override async write(rows: readonly DerivedRow[]): Promise<void> {
    await super.write(rows);
    this.writes.push(rows);
    await this.written;
  }
}

/** A log that is nothing but leaf hashes, and how often one of them was read. */
class HashLog {
  readonly hashes: LeafHash[] = [];
  /** The first place of each hash, by its hex digits. */
  readonly first = new Map<string, number>();
  readonly log: Log;
  reads = 0;

  constructor(name = 'log') {
    this.log = { name, definition: { status: 'active' }, state: { treeSize: 0 } } as unknown as Log;
  }

  append(index: LeafIndex, hashes: readonly LeafHash[]): void {
    const first = this.hashes.length;
    this.grow(hashes);
    index.committed(this.log, first, concatBytes(...hashes));
  }

  /** Grows without telling anybody. */
  grow(hashes: readonly LeafHash[]): void {
    for (const hash of hashes) {
      const text = toHex(hash);
      if (!this.first.has(text)) this.first.set(text, this.hashes.length);
      this.hashes.push(hash);
    }
    (this.log as { state: unknown }).state = { treeSize: this.hashes.length };
  }

  delete(index: LeafIndex): void {
    (this.log as { definition: unknown }).definition = { status: 'deleted' };
    index.deleted(this.log);
  }
}

interface Rig {
  readonly index: LeafIndex;
  readonly damage: string[];
  readonly trouble: unknown[];
  readonly clock: ManualClock;
}

function open(store: MemoryDerivedStore, logs: readonly HashLog[], sizes: IndexSizes = SIZES, room?: Room): Rig {
  const [damage, trouble]: [string[], unknown[]] = [[], []];
  const of = (log: Log): HashLog => logs.find((one) => one.log === log) as HashLog;
  const reader: Pick<TreeReader, 'tile' | 'nodes'> = {
    tile: async (log, _, { index, width }) => {
      await settle(1);
      return concatBytes(...of(log).hashes.slice(256 * index, 256 * index + width));
    },
    nodes: async (log) => (node) => {
      of(log).reads++;
      return of(log).hashes[node.index] as LeafHash;
    },
  };
  const clock = new ManualClock();
  const index = new LeafIndex({
    open: async () => store,
    storeId: STORE_ID,
    reader,
    clock,
    logs: () => logs.map(({ log }) => log),
    onDamage: (message) => void damage.push(message),
    onTrouble: (error) => void trouble.push(error),
    sizes,
    ...(room === undefined ? {} : { room }),
  });
  index.start();
  return { index, damage, trouble, clock };
}

/** Lets the follower run until it knows all, and has merged and removed what it wanted to. */
async function quiet({ index }: Rig, store: RecordingStore): Promise<void> {
  for (let written = -1; index.lag > 0 || written !== store.writes.length; ) {
    written = store.writes.length;
    await settle(30);
  }
}

const find = ({ index }: Rig, { log, hashes }: HashLog, hash: Uint8Array, treeSize = hashes.length): Promise<unknown> =>
  index.find(log, hash, treeSize).then(
    (found) => found ?? 'absent',
    (error: { code?: string }) => error.code ?? error,
  );

const numbered = (n: number): LeafHash => leafHash(u64(n));
const range = (from: number, to: number): LeafHash[] => Array.from({ length: to - from }, (_, i) => numbered(from + i));

/** What is right to say of a leaf hash. */
function truth({ first }: HashLog, hash: Uint8Array, treeSize: number): number | 'absent' {
  const at = first.get(toHex(hash)) ?? treeSize;
  return at < treeSize ? at : 'absent';
}

/** All rows of a log must be those that its log row names. */
async function expectTidy(store: MemoryDerivedStore, name: string): Promise<void> {
  const row = await store.get(logKey(name));
  const stored = row === undefined ? undefined : parseLogRow(name, row);
  expect(stored?.rubbish ?? []).toEqual([]);
  const wanted = (stored?.runs ?? []).reduce((sum, run) => sum + rowCount(run) + (rowCount(run) > 1 ? 1 : 0), 0);
  const prefix = [2, name.length, ...utf8(name)];
  const keys = await store.keys(Uint8Array.of(...prefix), Uint8Array.of(...prefix, 255, 255, 255, 255, 255), 1e6);
  expect(keys.length).toBe(wanted);
}

/** A log of leaves many of which are equal, appended in commits of all sizes. */
function appendMany(rig: Rig, log: HashLog, count: number, random: () => number): void {
  while (log.hashes.length < count) {
    const size = Math.min(count - log.hashes.length, 1 + Math.floor(random() * random() * 300));
    log.append(
      rig.index,
      Array.from({ length: size }, () => numbered(Math.floor(random() * count * 0.7))),
    );
  }
}

test('every leaf is found at its first place, in trees of every size, while runs are made and merged', async () => {
  const random = seededRandom(1);
  const [log, store] = [new HashLog(), new RecordingStore()];
  const rig = open(store, [log]);
  await settle();
  for (let size = 500; size <= 12_000; size += 500) {
    appendMany(rig, log, size, random);
    const asked = Array.from({ length: 60 }, () => {
      const treeSize = Math.floor(random() * (size + 1));
      const hash =
        random() < 0.8 ? log.hashes[Math.floor(random() * size)] : numbered(1e6 + Math.floor(random() * 1e6));
      return { hash: hash as LeafHash, treeSize };
    });
    const said = await Promise.all(asked.map(({ hash, treeSize }) => find(rig, log, hash, treeSize)));
    expect(said).toEqual(asked.map(({ hash, treeSize }) => truth(log, hash, treeSize)));
  }
  await quiet(rig, store);
  await expectTidy(store, 'log');
  const stored = parseLogRow('log', (await store.get(logKey('log'))) as Uint8Array);
  expect(log.hashes.length - endOf(stored)).toBeLessThan(SIZES.run);
  expect(stored.runs.length).toBeLessThan(4 * 4);
  expect(rig.trouble).toEqual([]);
  expect(rig.damage).toEqual([]);
  await rig.index.close();
});

test('a crash after any write loses no leaf and leaves no row behind', async () => {
  const random = seededRandom(2);
  const [log, store] = [new HashLog(), new RecordingStore()];
  const rig = open(store, [log]);
  await settle();
  for (let size = 300; size <= 4200; size += 300) {
    appendMany(rig, log, size, random);
    await quiet(rig, store);
  }
  await rig.index.close();
  // Runs, merges in one step and in several, and removals.
  expect(store.writes.length).toBeGreaterThan(40);
  for (let kept = 0; kept <= store.writes.length; kept++) {
    const left = new RecordingStore();
    for (const rows of store.writes.slice(0, kept)) await left.write(rows);
    const again = open(left, [log]);
    await quiet(again, left);
    await expectTidy(left, 'log');
    for (let n = 0; n < 30; n++) {
      const [hash, treeSize] = [numbered(Math.floor(random() * 3000)), Math.floor(random() * 4201)];
      expect(await find(again, log, hash, treeSize)).toBe(truth(log, hash, treeSize));
    }
    expect([again.damage, again.trouble]).toEqual([[], []]);
    await again.index.close();
  }
});

describe('a look-up that waits for the store', () => {
  async function held(): Promise<{ log: HashLog; store: RecordingStore; rig: Rig; release: () => void }> {
    const [log, store] = [new HashLog(), new RecordingStore()];
    const rig = open(store, [log]);
    await settle();
    log.append(rig.index, range(0, 600));
    await quiet(rig, store);
    let release = (): void => {};
    store.gate = new Promise((resolve) => {
      release = resolve;
    });
    return { log, store, rig, release };
  }

  test('finds its leaf where runs were merged and removed meanwhile', async () => {
    const { log, store, rig, release } = await held();
    const said = [numbered(5), numbered(1e6)].map((hash) => find(rig, log, hash));
    log.append(rig.index, range(600, 850));
    await quiet(rig, store);
    await expectTidy(store, 'log');
    expect(store.writes.length).toBeGreaterThan(6);
    release();
    expect(await Promise.all(said)).toEqual([5, 'absent']);
    expect(rig.damage).toEqual([]);
    await rig.index.close();
  });

  test('cannot tell where the log was forgotten meanwhile', async () => {
    const { log, store, rig, release } = await held();
    const said = [numbered(5), numbered(1e6)].map((hash) => find(rig, log, hash));
    log.delete(rig.index);
    await quiet(rig, store);
    expect((await store.keys(Uint8Array.of(1), Uint8Array.of(255), 9)).length).toBe(0);
    release();
    expect(await Promise.all(said)).toEqual(['index_behind', 'index_behind']);
    expect([rig.damage, rig.trouble]).toEqual([[], []]);
    await rig.index.close();
  });

  test('cannot tell of what became known meanwhile only', async () => {
    const { log, rig, release } = await held();
    log.grow([numbered(600)]);
    const said = find(rig, log, numbered(600));
    rig.index.committed(log.log, 600, numbered(600));
    expect(rig.index.lag).toBe(0);
    release();
    expect(await said).toBe('index_behind');
    expect(await find(rig, log, numbered(600))).toBe(600);
    await rig.index.close();
  });
});

test('it catches up while others go on appending', async () => {
  const [log, store] = [new HashLog(), new RecordingStore()];
  const before = open(store, [log]);
  log.append(before.index, range(0, 10_000));
  await before.index.close();
  const rig = open(store, [log]);
  let turns = 0;
  for (; turns < 100 && (turns < 10 || rig.index.lag > 0); turns++) {
    const first = log.hashes.length;
    log.append(
      rig.index,
      Array.from({ length: 300 }, (_, i) => numbered(first + i)),
    );
    if (rig.index.lag > 0) expect(await find(rig, log, numbered(1e6))).toBe('index_behind');
    await settle(1);
  }
  expect(turns).toBeLessThan(100);
  for (let n = 0; n < log.hashes.length; n += 97) expect(await find(rig, log, numbered(n))).toBe(n);
  expect(await find(rig, log, numbered(1e6))).toBe('absent');
  await rig.index.close();
});

describe('damage in a row', () => {
  const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, ((bytes[at] as number) + 1) % 256);
  test.each<readonly [string, (row: Uint8Array, other: Uint8Array) => Uint8Array | undefined]>([
    ['altered at its beginning', (row) => flipped(row, 0)],
    ['altered in its middle', (row) => flipped(row, Math.floor(row.length / 2))],
    ['altered at its end', (row) => flipped(row, row.length - 1)],
    ['cut off', (row) => row.slice(0, row.length - 12)],
    ['empty', () => new Uint8Array(0)],
    ['missing', () => undefined],
    ['another row in its place', (_, other) => other],
  ])('%s: it is noticed or does not matter, and the index is made again', async (_, spoil) => {
    const [log, store] = [new HashLog(), new RecordingStore()];
    const rig = open(store, [log]);
    await settle();
    log.append(rig.index, range(0, 3000));
    await quiet(rig, store);
    await rig.index.close();
    const keys = await store.keys(Uint8Array.of(0), Uint8Array.of(255), 1000);
    // Several runs of one row, one of several with its directory, the log row and the store row.
    expect(keys.length).toBeGreaterThan(8);
    for (const [i, key] of keys.entries()) {
      const copy = new RecordingStore();
      for (const rows of store.writes) await copy.write(rows);
      const value = (await copy.get(key)) as Uint8Array;
      const other = (await copy.get(keys[(i + 1) % keys.length] as Uint8Array)) as Uint8Array;
      await copy.write([{ key, value: spoil(value, other) }]);
      const again = open(copy, [log]);
      await quiet(again, copy);
      for (let n = 0; n < 3000; n += 23) {
        const said = await find(again, log, numbered(n));
        if (said !== 'index_behind') expect(said).toBe(n);
        else await quiet(again, copy);
      }
      for (let n = 0; n < 3000; n += 23) expect(await find(again, log, numbered(n))).toBe(n);
      expect(await find(again, log, numbered(3000))).toBe('absent');
      // The store row says by itself that all is to be made again; a log row that is missing, that its log is.
      const quietly = i === 0 || (key[0] === 1 && spoil(value, other) === undefined);
      expect(again.damage.length).toBe(quietly ? 0 : 1);
      await again.index.close();
    }
  });

  test('met by two look-ups at once is told once', async () => {
    const [log, store] = [new HashLog(), new RecordingStore()];
    const rig = open(store, [log]);
    await settle();
    log.append(rig.index, range(0, 600));
    await quiet(rig, store);
    const [, , key] = await store.keys(Uint8Array.of(0), Uint8Array.of(255), 1000);
    await store.write([{ key: key as Uint8Array, value: undefined }]);
    const said = await Promise.all([find(rig, log, numbered(5)), find(rig, log, numbered(1e6))]);
    expect(said).toEqual(['index_behind', 'index_behind']);
    await quiet(rig, store);
    expect(rig.damage.length).toBe(1);
    await rig.index.close();
  });

  test('found by a merge, it is made again as well', async () => {
    const [log, store] = [new HashLog(), new RecordingStore()];
    const rig = open(store, [log]);
    await settle();
    log.append(rig.index, range(0, 600));
    await quiet(rig, store);
    const [, , key] = await store.keys(Uint8Array.of(0), Uint8Array.of(255), 1000);
    await store.write([{ key: key as Uint8Array, value: new Uint8Array(9) }]);
    log.append(
      rig.index,
      Array.from({ length: 400 }, (_, n) => numbered(600 + n)),
    );
    await quiet(rig, store);
    expect(rig.damage.length).toBe(1);
    for (let n = 0; n < 1000; n += 9) expect(await find(rig, log, numbered(n))).toBe(n);
    await rig.index.close();
  });
});

test('a log row with a right checksum that is shorter or longer than it says is damage', () => {
  const key = logKey('log');
  const run = { id: 3, first: 0, count: 200 };
  const content = unseal(key, logRow('log', { runs: [run], rubbish: [run], nextId: 4 }).value);
  expect(parseLogRow('log', seal(key, content))).toEqual({ runs: [run], rubbish: [run], nextId: 4 });
  for (let length = 0; length < content.length; length++)
    expect(() => parseLogRow('log', seal(key, content.subarray(0, length)))).toThrow(IndexDamage);
  expect(() => parseLogRow('log', seal(key, concatBytes(content, Uint8Array.of(0))))).toThrow(IndexDamage);
});

describe('leaves with one key', () => {
  /** Two leaves whose hashes begin with the same four bytes. */
  function twins(): [LeafHash, LeafHash] {
    const seen = new Map<string, LeafHash>();
    for (let n = 0; ; n++) {
      const hash = numbered(n);
      const start = toHex(hash.subarray(0, 4));
      const twin = seen.get(start);
      if (twin !== undefined) return [twin, hash];
      seen.set(start, hash);
    }
  }

  test('are told apart by the tree', async () => {
    const [a, b] = twins();
    const [log, store] = [new HashLog(), new RecordingStore()];
    // Under this secret a key is the first four bytes and nothing else.
    await store.write([storeRow(STORE_ID, new Uint8Array(SECRET_SIZE))]);
    const rig = open(store, [log]);
    await settle();
    const others = (n: number): LeafHash[] => Array.from({ length: 300 }, (_, i) => numbered(1e7 + 300 * n + i));
    const absent = a.with(31, ((a[31] as number) + 1) % 256);
    for (let n = 0; n < 12; n++) {
      log.append(rig.index, [...others(n), n < 4 ? a : b]);
      if (n % 3 === 0) await quiet(rig, store);
      for (const hash of [a, b, absent]) {
        const { length } = log.hashes;
        for (const treeSize of [300, 301, 1505, length])
          if (treeSize <= length) expect(await find(rig, log, hash, treeSize)).toBe(truth(log, hash, treeSize));
      }
    }
    expect(rig.damage).toEqual([]);
    await rig.index.close();
  });

  test('that are all the same leaf make no look-up slow, nor one for a hash that differs at its end', async () => {
    const [log, store] = [new HashLog(), new RecordingStore()];
    const rig = open(store, [log]);
    await settle();
    const popular = numbered(0);
    log.append(rig.index, [numbered(1), numbered(2)]);
    for (let n = 0; n < 20; n++) log.append(rig.index, new Array(1000).fill(popular));
    log.append(rig.index, [numbered(3)]);
    await quiet(rig, store);
    expect(await find(rig, log, popular)).toBe(2);
    expect(await find(rig, log, popular, 2)).toBe('absent');
    expect(await find(rig, log, numbered(3))).toBe(20_002);
    expect(log.reads).toBe(2);
    for (let at = 4; at < 32; at++) {
      const absent = popular.with(at, ((popular[at] as number) + 128) % 256);
      expect(await find(rig, log, absent)).toBe('absent');
    }
    expect(log.reads).toBe(2);
    await rig.index.close();
  });
});

test.each([
  ['another server', (row: Uint8Array) => row.fill(9, 5, 37)],
  [
    'a machine with another order of bytes',
    (row: Uint8Array) => row.with(1, row[4] as number).with(4, row[1] as number),
  ],
  ['a later layout', (row: Uint8Array) => row.with(0, 3)],
  ['one with a secret of another length', (row: Uint8Array) => row.slice(0, row.length - 4)],
])('what %s left is removed', async (_, change) => {
  const [log, store] = [new HashLog(), new RecordingStore()];
  const rig = open(store, [log]);
  await settle();
  log.append(rig.index, range(0, 600));
  await quiet(rig, store);
  await rig.index.close();
  const key = Uint8Array.of(0);
  const content = unseal(key, await store.get(key));
  await store.write([{ key, value: seal(key, change(content.slice())) }]);
  const again = open(store, [log]);
  await quiet(again, store);
  await expectTidy(store, 'log');
  // Made again, under a secret of its own.
  expect(unseal(key, await store.get(key)).slice(0, 37)).toEqual(content.slice(0, 37));
  expect(unseal(key, await store.get(key))).not.toEqual(content);
  for (let n = 0; n < 600; n += 37) expect(await find(again, log, numbered(n))).toBe(n);
  expect([again.damage, again.trouble]).toEqual([[], []]);
  await again.index.close();
});

test('what the former layout left is removed', async () => {
  const [log, store] = [new HashLog(), new RecordingStore()];
  const old = (n: number): DerivedRow => ({
    key: concatBytes(Uint8Array.of(2, 3), utf8('log'), numbered(n)),
    value: new Uint8Array(0),
  });
  const former = { key: Uint8Array.of(0), value: STORE_ID };
  await store.write([
    former,
    { key: logKey('log'), value: u64(300) },
    ...Array.from({ length: 300 }, (_, n) => old(n)),
  ]);
  const rig = open(store, [log]);
  await settle();
  log.append(rig.index, range(0, 1000));
  await quiet(rig, store);
  await expectTidy(store, 'log');
  for (let n = 0; n < 1000; n += 50) expect(await find(rig, log, numbered(n))).toBe(n);
  expect(rig.damage).toEqual([]);
  await rig.index.close();
});

describe('many logs', () => {
  test('with few leaves each have them in memory, and when these are too many together, in short runs', async () => {
    const logs = Array.from({ length: 150 }, (_, i) => new HashLog(`log-${i}`));
    const store = new RecordingStore();
    const rig = open(store, logs, { ...SIZES, held: 4000 });
    await settle();
    for (let round = 0; round < 40; round++) {
      for (const [i, log] of logs.entries()) log.append(rig.index, [numbered(1000 * i + round)]);
      if (round === 5) {
        await quiet(rig, store);
        expect((await store.keys(Uint8Array.of(2), Uint8Array.of(3), 10)).length).toBe(0);
      }
      await settle(5);
    }
    await quiet(rig, store);
    expect((await store.keys(Uint8Array.of(2), Uint8Array.of(3), 1000)).length).toBeGreaterThan(100);
    for (const [i, log] of logs.entries()) {
      await expectTidy(store, log.log.name);
      expect(await find(rig, log, numbered(1000 * i + (i % 40)))).toBe(i % 40);
      expect(await find(rig, log, numbered(1000 * i + 40))).toBe('absent');
    }
    await rig.index.close();
    const again = open(store, logs, { ...SIZES, held: 4000 });
    await quiet(again, store);
    for (const [i, log] of logs.entries()) expect(await find(again, log, numbered(1000 * i + 39))).toBe(39);
    await again.index.close();
  });

  test('are closed while their runs are written, and none gets a run without leaves', async () => {
    const logs = Array.from({ length: 150 }, (_, i) => new HashLog(`log-${i}`));
    const store = new RecordingStore();
    const rig = open(store, logs);
    await settle();
    // Each has enough for a run, and a write takes the runs of 64 logs at most: closing comes between two writes.
    for (const [i, log] of logs.entries()) log.append(rig.index, range(1000 * i, 1000 * i + 200));
    let release = (): void => {};
    store.written = new Promise((resolve) => {
      release = resolve;
    });
    await settle(500);
    const closed = rig.index.close();
    release();
    await closed;
    store.written = undefined;
    const again = open(store, logs);
    await quiet(again, store);
    for (const [i, log] of logs.entries()) {
      await expectTidy(store, log.log.name);
      expect(await find(again, log, numbered(1000 * i + 199))).toBe(199);
    }
    expect(again.damage).toEqual([]);
    await again.index.close();
  });

  test('never have more in memory than they may, while the disk is full and while one reads back much', async () => {
    let full = true;
    const room: Room = {
      take: () => {
        if (full) throw new Error('full');
      },
      release: () => {},
    };
    const logs = Array.from({ length: 60 }, (_, i) => new HashLog(`log-${i}`));
    for (const [i, log] of logs.entries()) log.grow(range(1000 * i, 1000 * i + 100));
    const store = new RecordingStore();
    const rig = open(store, logs, { ...SIZES, held: 2000 }, room);
    await settle(500);
    // Half of what is allowed, and one log more.
    expect(rig.index.lag).toBe(6000 - 1100);
    for (const [i, log] of logs.entries()) log.append(rig.index, range(1000 * i + 100, 1000 * i + 300));
    await settle(500);
    expect(rig.index.lag).toBeGreaterThanOrEqual(18_000 - 2000);
    expect(store.writes.length).toBe(1);
    full = false;
    rig.clock.advance(1000);
    await quiet(rig, store);
    // What comes beyond the gap of a log that is far behind takes its share, and must give it back for the gap to be read.
    const [large] = logs as [HashLog];
    large.grow(range(1e6, 1e6 + 20_000));
    large.append(rig.index, range(2e6, 2e6 + 1300));
    await quiet(rig, store);
    expect(await find(rig, large, numbered(2e6 + 1299))).toBe(21_599);
    for (const [i, log] of logs.entries()) {
      expect(await find(rig, log, numbered(1000 * i + 149))).toBe(149);
      await expectTidy(store, log.log.name);
    }
    await rig.index.close();
  });
});
