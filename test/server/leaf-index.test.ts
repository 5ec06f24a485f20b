/** The by-hash index: finds what is there, says when it cannot tell, and is made again whatever happened to it. */
import { describe, expect, test } from '@jest/globals';
import { SECRET_SIZE } from '../../server/by-hash/leaf-keys.ts';
import type { IndexSizes } from '../../server/by-hash/log-index.ts';
import { logKey, logRow, ROW_ENTRIES } from '../../server/by-hash/runs.ts';
import { storeRow } from '../../server/by-hash/store-row.ts';
import { ServerError } from '../../server/errors.ts';
import { frame } from '../../server/frames.ts';
import type { LeafIndex } from '../../server/leaf-index.ts';
import type { Log } from '../../server/log.ts';
import type { DerivedStore } from '../../server/storage/derived.ts';
import { MemoryDerivedStore } from '../../server/storage/derived-memory.ts';
import { tileKey } from '../../server/storage/keys.ts';
import { utf8 } from '../../tree/bytes.ts';
import { leafHash } from '../../tree/hash.ts';
import { settle } from '../support/manual-clock.ts';
import { append, firstStart, type Run, restart } from './memory-server.ts';

/** Runs so short that a few hundred leaves make several tiers of them. */
const SMALL: IndexSizes = { run: 50, fanIn: 3, step: ROW_ENTRIES, held: 20_000 };

const index = (run: Run): LeafIndex => run.server.leafIndex;

/** Lets the follower run until it has nothing left to do. */
async function caughtUp(run: Run): Promise<void> {
  for (let i = 0; i < 500 && index(run).lag > 0; i++) await settle();
  expect(index(run).lag).toBe(0);
}

/** What the index says of a leaf hash: an index, `absent`, or a code. */
const find = (run: Run, log: Log, hash: Uint8Array, treeSize = log.state.treeSize): Promise<unknown> =>
  index(run)
    .find(log, hash, treeSize)
    .then(
      (found) => found ?? 'absent',
      (error: { code?: string }) => error.code ?? error,
    );

const raw = async (run: Run, leaves: readonly string[]): Promise<Log> => {
  const log = await run.server.createLog({ name: 'raw', kind: 'raw', publicReads: true, idPointer: null }, 'x');
  await run.server.sequencer.appendRaw({
    log,
    leaves: frame(leaves.map(utf8)),
    source: 'x',
    idempotencyKey: undefined,
  });
  return log;
};
const hashOf = (text: string): Uint8Array => leafHash(utf8(text));
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `leaf ${i}`);

/** Keys of the rows of runs that a log has. */
const rowsOf = (derived: DerivedStore, log: string): Promise<Uint8Array[]> =>
  derived.keys(Uint8Array.of(2, log.length, ...utf8(log)), Uint8Array.of(2, log.length, ...utf8(log), 255, 255), 1e6);

/** A store whose writes and removals wait, after they are done, while a test says so. */
class SlowStore extends MemoryDerivedStore {
  readonly written: number[] = [];
  removals = 0;
  gate: Promise<void> | undefined;
  release: () => void = () => {};

  hold(): void {
    this.gate = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  override async write(rows: Parameters<DerivedStore['write']>[0]): Promise<void> {
    await super.write(rows);
    this.written.push(rows.length);
    await this.gate;
  }

  override async clear(gte: Uint8Array, lt: Uint8Array): Promise<void> {
    await super.clear(gte, lt);
    this.removals++;
    await this.gate;
  }
}

/** A store whose writes fail while a test says so. */
class FailingStore extends MemoryDerivedStore {
  failing = false;

  override async write(rows: Parameters<DerivedStore['write']>[0]): Promise<void> {
    if (this.failing) throw new Error('no space left on the device');
    await super.write(rows);
  }
}

describe.each([
  ['in memory', {}],
  ['in runs', { indexSizes: SMALL }],
])('a leaf %s', (_, extra) => {
  test('is found by its hash, in events logs and in raw logs', async () => {
    const run = await firstStart(extra);
    index(run).start();
    const entries = await append(run, run.main, 700);
    const log = await raw(run, names(300));
    await caughtUp(run);
    for (const i of [0, 1, 255, 256, 511, 512, 699])
      expect(await find(run, run.main, leafHash(entries[i]?.leaf as Uint8Array))).toBe(i);
    for (const i of [0, 255, 256, 299]) expect(await find(run, log, hashOf(`leaf ${i}`))).toBe(i);
    expect(await find(run, log, hashOf('leaf 300'))).toBe('absent');
    expect(await find(run, run.main, hashOf('leaf 0'))).toBe('absent');
  });

  test('that is there several times is the first of them, and only in trees that hold it', async () => {
    const run = await firstStart(extra);
    index(run).start();
    const log = await raw(run, ['a', 'b', 'a', 'c', 'a', 'b']);
    await caughtUp(run);
    expect([await find(run, log, hashOf('a')), await find(run, log, hashOf('b'))]).toEqual([0, 1]);
    expect([await find(run, log, hashOf('c'), 3), await find(run, log, hashOf('c'), 4)]).toEqual(['absent', 3]);
    expect(await find(run, log, hashOf('a'), 0)).toBe('absent');
  });

  test('of which nobody knows yet is behind, never absent', async () => {
    const run = await firstStart(extra);
    const log = await raw(run, names(10));
    expect(await find(run, log, hashOf('leaf 3'))).toBe('index_behind');
    index(run).start();
    expect(await find(run, log, hashOf('leaf 3'))).toBe('index_behind');
    await caughtUp(run);
    expect(await find(run, log, hashOf('leaf 3'))).toBe(3);
    expect(await find(run, log, hashOf('leaf 10'))).toBe('absent');
  });
});

describe('the follower', () => {
  test('goes on where it ended, and takes what was appended without it from the tiles', async () => {
    const run = await firstStart();
    index(run).start();
    await append(run, run.main, 300);
    await caughtUp(run);
    await run.server.close();
    const without = await restart(run.world);
    const entries = await append(without, without.main, 6000);
    await without.server.close();
    const again = await restart(without.world);
    expect(index(again).lag).toBe(6300 + (again.server.log('_system')?.state.treeSize ?? 0));
    index(again).start();
    await caughtUp(again);
    for (const i of [0, 211, 212, 5999])
      expect(await find(again, again.main, leafHash(entries[i]?.leaf as Uint8Array))).toBe(300 + i);
  });

  test('reads back what came faster than it could write', async () => {
    const run = await firstStart();
    const log = await raw(run, ['first']);
    index(run).start();
    for (let i = 0; i < 5; i++)
      await run.server.sequencer.appendRaw({
        log,
        leaves: frame(names(16_000).map((name) => utf8(`${i} ${name}`))),
        source: 'x',
        idempotencyKey: undefined,
      });
    await caughtUp(run);
    for (const i of [0, 4]) expect(await find(run, log, hashOf(`${i} leaf 15999`))).toBe((i + 1) * 16_000);
  });

  test('begins again with a store that was deleted, or that followed another server', async () => {
    const run = await firstStart();
    index(run).start();
    const log = await raw(run, names(300));
    await caughtUp(run);
    await run.server.close();
    const other = await firstStart();
    const derived = new MemoryDerivedStore();
    for (const openDerived of [async () => new MemoryDerivedStore(), async () => derived, other.world.openDerived]) {
      if (openDerived === other.world.openDerived)
        await (await openDerived()).write([{ key: Uint8Array.of(0), value: new Uint8Array(32) }]);
      const again = await restart(run.world, { openDerived });
      const same = again.server.log(log.name) as Log;
      index(again).start();
      await caughtUp(again);
      expect(await find(again, same, hashOf('leaf 299'))).toBe(299);
      await again.server.close();
    }
  });

  test('begins a log again whose cursor is beyond its end', async () => {
    const run = await firstStart();
    const log = await raw(run, names(3));
    const derived = await run.world.openDerived();
    await derived.write([
      storeRow(run.world.storeId, new Uint8Array(SECRET_SIZE)),
      logRow('raw', { runs: [{ id: 0, first: 0, count: 9 }], rubbish: [], nextId: 1 }),
    ]);
    index(run).start();
    await caughtUp(run);
    expect(await find(run, log, hashOf('leaf 2'))).toBe(2);
  });

  test('forgets a deleted log', async () => {
    const run = await firstStart({ indexSizes: SMALL });
    index(run).start();
    const log = await raw(run, names(200));
    await caughtUp(run);
    await settle();
    expect((await rowsOf(await run.world.openDerived(), 'raw')).length).toBeGreaterThan(0);
    await run.server.freezeLog(log, 'x');
    await run.server.publisher.publishDue();
    await run.server.deleteLog(log, 'x');
    await append(run, run.main, 1);
    await caughtUp(run);
    await settle();
    const derived = await run.world.openDerived();
    expect(await rowsOf(derived, 'raw')).toEqual([]);
    expect(await derived.get(logKey('raw'))).toBeUndefined();
  });
});

describe('the follower never keeps others from their turn for long', () => {
  test('what it could not write for a while is written in steps', async () => {
    const derived = new SlowStore();
    const world = (await firstStart()).world;
    const run = await restart(world, { openDerived: async () => derived });
    const log = await raw(run, ['first']);
    index(run).start();
    await settle();
    derived.hold();
    const batch = (i: number): Promise<unknown> =>
      run.server.sequencer.appendRaw({
        log,
        leaves: frame(names(10_000).map((name) => utf8(`${i} ${name}`))),
        source: 'x',
        idempotencyKey: undefined,
      });
    for (let i = 0; i < 5; i++) await batch(i);
    derived.release();
    derived.gate = undefined;
    await caughtUp(run);
    // The rows of 32,768 leaves, their directory and the log row.
    expect(Math.max(...derived.written)).toBe(64 + 2);
    for (const i of [0, 4]) expect(await find(run, log, hashOf(`${i} leaf 9999`))).toBe((i + 1) * 10_000);
    expect(await find(run, log, hashOf('5 leaf 0'))).toBe('absent');
  });

  test('a large log is forgotten in steps: nothing is called absent meanwhile, closing need not wait, the next start goes on', async () => {
    const derived = new SlowStore();
    const world = (await firstStart()).world;
    // A row for every two leaves, and no merges.
    const sizes = { indexSizes: { ...SMALL, run: 2, fanIn: 100_000 } };
    const run = await restart(world, { openDerived: async () => derived }, sizes);
    index(run).start();
    const log = await raw(run, names(10_000));
    await caughtUp(run);
    const rows = async (): Promise<number> => (await rowsOf(derived, 'raw')).length;
    for (let i = 0; i < 50 && (await rows()) < 5000; i++) await settle(1000);
    expect(await rows()).toBe(5000);
    await run.server.freezeLog(log, 'x');
    await run.server.publisher.publishDue();
    await caughtUp(run);
    derived.hold();
    const found = names(10_000)
      .filter((_, i) => i % 400 === 0)
      .map((name) => find(run, log, hashOf(name)));
    await run.server.deleteLog(log, 'x');
    for (let i = 0; i < 10 && derived.removals < 1; i++) {
      derived.release();
      derived.hold();
      await settle();
    }
    expect(await Promise.all(found)).not.toContain('absent');
    expect(await rows()).toBe(5000 - 4096);
    for (const name of names(20)) expect(await find(run, log, hashOf(name))).not.toBe('absent');
    const closed = run.server.close();
    derived.release();
    derived.gate = undefined;
    await closed;
    expect(await rows()).toBe(5000 - 4096);
    const again = await restart(run.world, { openDerived: async () => derived }, sizes);
    index(again).start();
    await caughtUp(again);
    expect(await rows()).toBe(0);
    expect(await derived.get(logKey('raw'))).toBeUndefined();
    await again.server.close();
  });
});

describe('damage', () => {
  test('of one log keeps the others from nothing, and is looked at again later', async () => {
    const run = await firstStart();
    const damaged = await raw(run, names(300));
    const fields = { kind: 'raw', publicReads: true, idPointer: null } as const;
    const other = await run.server.createLog({ ...fields, name: 'other' }, 'x');
    const key = tileKey(damaged.name, { level: 0, index: 0 });
    const tile = (await run.world.rows.get(key)) as Uint8Array;
    await run.world.rows.commit([{ key, value: tile.with(7, ((tile[7] as number) + 1) % 256) }]);
    index(run).start();
    await settle();
    for (const text of ['a', 'b']) {
      await run.server.sequencer.appendRaw({
        log: other,
        leaves: utf8(text),
        source: 'x',
        idempotencyKey: undefined,
      });
      await settle();
      expect(await find(run, other, hashOf(text))).toBe(other.state.treeSize - 1);
    }
    expect(await find(run, other, hashOf('c'))).toBe('absent');
    expect(await find(run, damaged, hashOf('leaf 5'))).toBe('index_behind');
    // Once, not at every turn.
    expect(run.damage.length).toBe(1);
    await run.world.rows.commit([{ key, value: tile }]);
    run.clock.advance(60_000);
    await caughtUp(run);
    expect(await find(run, damaged, hashOf('leaf 5'))).toBe(5);
    expect(run.fatal).toEqual([]);
    await run.server.close();
  });

  test('an answer that the tree contradicts is not given: the index is made again', async () => {
    const run = await firstStart({ indexSizes: SMALL });
    index(run).start();
    const log = await raw(run, names(300));
    await caughtUp(run);
    await run.server.close();
    // As if another history had been followed: its entries are whole, and none is of this log.
    const other = await firstStart({ indexSizes: SMALL });
    const wrong = await other.world.openDerived();
    await wrong.write([storeRow(other.world.storeId, new Uint8Array(SECRET_SIZE))]);
    index(other).start();
    await raw(other, names(300).reverse());
    await caughtUp(other);
    await settle();
    await other.server.close();
    const afresh: boolean[] = [];
    const openDerived = async (removed = false): Promise<DerivedStore> => {
      afresh.push(removed);
      return wrong;
    };
    const again = await restart(run.world, { openDerived }, { indexSizes: SMALL });
    const same = again.server.log(log.name) as Log;
    index(again).start();
    await caughtUp(again);
    expect(await find(again, same, hashOf('leaf 290'))).toBe('index_behind');
    expect(again.damage.join()).toContain('by-hash index');
    await caughtUp(again);
    for (const i of [0, 150, 290, 299]) expect(await find(again, same, hashOf(`leaf ${i}`))).toBe(i);
    // Rows of a damaged table may come back however often they are deleted: the files are to go.
    expect(afresh).toEqual([false, true]);
    expect(again.fatal).toEqual([]);
  });

  test('while the disk is nearly full nothing is written, and it goes on when there is room', async () => {
    let full = false;
    let taken = 0;
    const room = {
      take: (bytes: number) => {
        if (full) throw new ServerError('storage_full', 'full');
        taken += bytes;
      },
      release: (bytes: number) => {
        taken -= bytes;
      },
    };
    const run = await firstStart({ room, indexSizes: { ...SMALL, held: 200 } });
    const log = await raw(run, names(5000));
    full = true;
    index(run).start();
    await settle();
    expect(await find(run, log, hashOf('leaf 4999'))).toBe('index_behind');
    expect(index(run).lag).toBeGreaterThan(0);
    full = false;
    run.clock.advance(1000);
    await caughtUp(run);
    expect(await find(run, log, hashOf('leaf 4999'))).toBe(4999);
    expect(taken).toBe(0);
    await run.server.close();
  });

  test('an index that cannot be written keeps nobody from appending, and catches up later', async () => {
    const run = await firstStart();
    const derived = new FailingStore();
    await run.server.close();
    const again = await restart(run.world, { openDerived: async () => derived }, { indexSizes: SMALL });
    index(again).start();
    await settle();
    derived.failing = true;
    const [entry] = await append(again, again.main, SMALL.run);
    await settle();
    await append(again, again.main, 5);
    expect(await find(again, again.main, leafHash(entry?.leaf as Uint8Array))).toBe('index_behind');
    expect(again.fatal).toEqual([]);
    derived.failing = false;
    again.clock.advance(30_000);
    await caughtUp(again);
    expect(await find(again, again.main, leafHash(entry?.leaf as Uint8Array))).toBe(0);
  });
});
