import { describe, expect, test } from '@jest/globals';
import { ExitError } from '../../server/errors.ts';
import { frame } from '../../server/frames.ts';
import type { Promised } from '../../server/guard.ts';
import { openLogServer } from '../../server/start.ts';
import { commitRecordHash, encodeCommitRecord, parseCommitRecord } from '../../server/storage/commit-record.ts';
import { headKey, logOf } from '../../server/storage/keys.ts';
import { encodeEdge, encodeHeadRow, parseEdge } from '../../server/storage/rows.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { append, edited, firstStart, grownWorld, restart, type World } from './memory-server.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const fixed = (n: number): string => String(n).padStart(16, '0');
const commitKey = (n: number): string => `server/commit/${fixed(n)}`;

/** The refusal of a start: ExitError 78, and what it says. */
async function refusal(world: World, changed: Partial<World> = {}): Promise<string> {
  const before = JSON.stringify(world.guard.slots.map((slot) => slot && [slot.n, hex(slot.recordHash)]));
  const error = await restart(world, changed).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ExitError);
  expect((error as ExitError).exitCode).toBe(78);
  // A refused start promises nothing.
  expect(JSON.stringify(world.guard.slots.map((slot) => slot && [slot.n, hex(slot.recordHash)]))).toBe(before);
  return (error as ExitError).message;
}

const change = (rows: Map<string, Uint8Array>, key: string, at: number): void => {
  const value = rows.get(key);
  if (value === undefined) throw new Error(`${key} is not stored`);
  value[at] = ((value[at] as number) + 1) % 256;
};

const slotOf = (world: World, n: number): Promised => ({
  n,
  recordHash: commitRecordHash(new Map(world.rows.rows()).get(commitKey(n)) as Uint8Array),
});

/** The same world with another guard. */
const guarded = (world: World, a: Promised | undefined, b: Promised | undefined): World => {
  world.guard.slots = [a, b];
  return world;
};

describe('a start that finds what was promised', () => {
  test('goes on where it ended: entries, heads, keys and ids', async () => {
    const run = await firstStart();
    const { key, text } = await run.server.createKey({ name: 'k', scopes: ['append'], log: 'main' }, 'x');
    await append(run, run.main, 300);
    await run.server.publisher.publishDue();
    await append(run, run.main, 20);
    await run.server.close();
    const again = await restart(run.world);
    expect(again.adopted).toBe(0);
    expect(again.main.state).toEqual(run.main.state);
    expect(again.main.published).toEqual(run.main.published);
    expect(again.main.definition).toEqual(run.main.definition);
    expect(again.server.apiKeys.get(key.id)).toEqual(key);
    expect(again.server.apiKeys.authenticate(`Bearer ${text}`)).toEqual(key);
    expect((await append(again, again.main, 1))[0]?.leafIndex).toBe(320);
    expect((await again.server.entries(again.main, 0, 321)).length).toBe(321);
    expect((await restart(again.world)).main.state.treeSize).toBe(321);
  });

  test.each([0, 1, 255, 256, 257, 511, 512, 700])('at size %d, signed or not', async (size) => {
    for (const world of [await grownWorld(size, 0), await grownWorld(0, size)]) {
      const run = await restart(world);
      expect(run.main.state.treeSize).toBe(size);
      await append(run, run.main, 300);
      await run.server.publisher.publishDue();
      expect(run.main.published.treeSize).toBe(size + 300);
      expect((await restart(run.world)).main.state).toEqual(run.main.state);
    }
  });

  test('with a raw log, whose leaves tell no time', async () => {
    const run = await firstStart();
    const raw = await run.server.createLog({ name: 'raw', kind: 'raw', publicReads: true, idPointer: null }, 'x');
    const leaves = frame([new Uint8Array(3), new Uint8Array(5)]);
    await run.server.sequencer.appendRaw({ log: raw, leaves, source: 'x', idempotencyKey: undefined });
    await run.server.close();
    const again = await restart(run.world);
    expect(again.server.log('raw')?.state).toEqual({ ...raw.state, lastReceivedAt: 0 });
  });

  test('with a raw log whose edge states another time: no leaf vouches for that, and the clock does not go by it', async () => {
    const run = await firstStart();
    const raw = await run.server.createLog({ name: 'raw', kind: 'raw', publicReads: true, idPointer: null }, 'x');
    const leaf = new Uint8Array(3);
    await run.server.sequencer.appendRaw({ log: raw, leaves: leaf, source: 'x', idempotencyKey: undefined });
    const { lastReceivedAt } = raw.state;
    await run.server.close();
    const stored = await run.world.rows.get('log/raw/~edge');
    const edge = { ...parseEdge(stored as Uint8Array), lastReceivedAt: lastReceivedAt + 270 * 86_400e6 };
    await run.world.rows.commit([{ key: 'log/raw/~edge', value: encodeEdge(edge) }]);
    const again = await restart(run.world);
    expect(again.server.entryClock.now()).toBeLessThan(lastReceivedAt + 60e6);
  });

  test('with more keys than one page of the store', async () => {
    const run = await firstStart();
    const made = await Promise.all(
      Array.from({ length: 1200 }, (_, i) => run.server.createKey({ name: `k${i}`, scopes: ['read'], log: null }, 'x')),
    );
    await run.server.close();
    const again = await restart(run.world);
    expect(again.server.apiKeys.list().length).toBe(1201);
    expect(made.every(({ key }) => again.server.apiKeys.get(key.id) !== undefined)).toBe(true);
  }, 30_000);

  test('its clock does not start before the newest entry of any log', async () => {
    const run = await firstStart();
    run.clock.advance(60_000);
    await append(run, run.main, 1);
    const newest = run.main.state.lastReceivedAt;
    await run.server.close();
    const again = await restart(run.world, { clock: new ManualClock() });
    const other = await again.server.createLog(
      { name: 'other', kind: 'events', publicReads: true, idPointer: null },
      'x',
    );
    await append(again, other, 1);
    expect(other.state.lastReceivedAt).toBeGreaterThanOrEqual(newest);
  });

  test('its clock does not start before the newest head of any log', async () => {
    const run = await firstStart();
    const raw = await run.server.createLog({ name: 'raw', kind: 'raw', publicReads: true, idPointer: null }, 'x');
    run.clock.advance(60_000);
    const leaf = new Uint8Array(3);
    await run.server.sequencer.appendRaw({ log: raw, leaves: leaf, source: 'x', idempotencyKey: undefined });
    await run.server.publisher.publishDue();
    const { time } = raw.published;
    await run.server.close();
    const again = await restart(run.world, { clock: new ManualClock() });
    expect(again.server.entryClock.now()).toBeGreaterThanOrEqual(1000 * time);
  });

  test('keeps 1,024 commit records, and starts from them', async () => {
    const run = await firstStart();
    for (let i = 0; i < 1030; i++) await run.server.sequencer.change((t) => t.put('test', Uint8Array.of(i % 256)));
    const records = run.world.rows.rows().filter(([key]) => key.startsWith('server/commit/'));
    expect([records.length, records[0]?.[0], records.at(-1)?.[0]]).toEqual([1024, commitKey(8), commitKey(1031)]);
    const again = await restart(run.world);
    await append(again, again.main, 1);
    expect(again.main.state.treeSize).toBe(1);
    // One record more or less than that is not what any commit leaves.
    await refusal(
      run.world,
      edited(run.world, (rows) => rows.delete(commitKey(8))),
    );
  });

  test('commit records are chained, and hold what the commit changed', async () => {
    const world = await grownWorld(5, 2);
    const rows = new Map(world.rows.rows());
    const records = [1, 2, 3, 4].map((n) => parseCommitRecord(rows.get(commitKey(n)) as Uint8Array));
    expect(records.map(({ n, logCount }) => [n, logCount])).toEqual([1, 2, 3, 4].map((n) => [n, 2]));
    expect(records.map(({ changed }) => changed.map(({ name, treeSize }) => `${name} ${treeSize}`))).toEqual([
      ['_system 3', 'main 0'],
      ['main 5'],
      [],
      ['main 7'],
    ]);
    expect(records.map(({ previous }) => hex(previous))).toEqual([
      '00'.repeat(32),
      ...[1, 2, 3].map((n) => hex(slotOf(world, n).recordHash)),
    ]);
    expect(world.guard.slots).toEqual([slotOf(world, 4), slotOf(world, 3)]);
    expect(rows.has(commitKey(5))).toBe(false);
  });
});

describe('against the guard', () => {
  test('a tail of one commit is adopted, and then promised', async () => {
    const world = await grownWorld(5, 2);
    const run = await restart(guarded(world, slotOf(world, 2), slotOf(world, 3)));
    expect([run.adopted, run.main.state.treeSize]).toEqual([1, 7]);
    expect(world.guard.slots).toEqual([slotOf(world, 4), slotOf(world, 3)]);
    expect((await restart(run.world)).adopted).toBe(0);
  });

  test('a tail of two commits is adopted, and both are promised in turn', async () => {
    const world = await grownWorld(5, 2);
    guarded(world, slotOf(world, 2), slotOf(world, 1));
    const run = await restart(world);
    expect([run.adopted, run.main.state.treeSize]).toEqual([2, 7]);
    expect(world.guard.slots).toEqual([slotOf(world, 4), slotOf(world, 3)]);
    expect((await restart(run.world)).adopted).toBe(0);
  });

  test('a tail of two whose first commit is damaged is not adopted, and nothing is promised', async () => {
    const run = await firstStart();
    await append(run, run.main, 5);
    await run.server.publisher.publishDue();
    await append(run, run.main, 3);
    await append(run, run.main, 2);
    await run.server.sequencer.close();
    const tail = (): World => guarded(run.world, slotOf(run.world, 2), slotOf(run.world, 3));
    expect((await restart(tail())).adopted).toBe(2);
    for (const [key, at] of [
      [`log/main/open/${fixed(5)}`, 40],
      [commitKey(4), 80],
    ] as const) {
      const altered = edited(run.world, (rows) => change(rows, key, at));
      await refusal(tail(), altered);
      expect(run.world.guard.slots).toEqual([slotOf(run.world, 2), slotOf(run.world, 3)]);
    }
  });

  test('where only the first promise of two can be made, the next start adopts the other', async () => {
    const world = await grownWorld(5, 2);
    guarded(world, slotOf(world, 2), slotOf(world, 1));
    const { promise } = world.guard;
    world.guard.promise = async (promised) => {
      if (promised.n === 4) throw new Error('planted crash');
      await promise.call(world.guard, promised);
    };
    await expect(restart(world)).rejects.toThrow('planted crash');
    expect(world.guard.slots).toEqual([slotOf(world, 2), slotOf(world, 3)]);
    world.guard.promise = promise;
    expect((await restart(world)).adopted).toBe(1);
    expect(world.guard.slots).toEqual([slotOf(world, 4), slotOf(world, 3)]);
  });

  test('a torn slot is explained by a tail, and by nothing else', async () => {
    const world = await grownWorld(5, 2);
    expect((await restart(guarded(world, undefined, slotOf(world, 3)))).adopted).toBe(1);
    expect((await restart(guarded(world, slotOf(world, 2), undefined))).adopted).toBe(2);
    expect(world.guard.slots).toEqual([slotOf(world, 4), slotOf(world, 3)]);
    expect(await refusal(guarded(world, slotOf(world, 4), undefined))).toMatch(/one slot/);
    expect(await refusal(guarded(world, undefined, undefined))).toMatch(/both slots/);
  });

  test('an older database under a newer guard is a rollback, and says what there is and what was promised', async () => {
    const run = await firstStart();
    await append(run, run.main, 5);
    const older = edited(run.world, () => {});
    await append(run, run.main, 5);
    await append(run, run.main, 5);
    expect(await refusal(run.world, older)).toMatch(/rollback.*commit 2.*commit 4/);
  });

  test('a database three commits ahead of the guard is refused', async () => {
    const world = await grownWorld(5, 2);
    const none = { n: 0, recordHash: new Uint8Array(32) };
    expect(await refusal(guarded(world, none, slotOf(world, 1)))).toMatch(/commit 4.*only 1/);
  });

  test('another history of the same length is refused', async () => {
    const world = await grownWorld(5, 2);
    const other = await grownWorld(5, 2);
    expect(await refusal(world, { rows: other.rows })).toMatch(/another history|not the one that was promised/);
  });

  test('the records of another store are refused', async () => {
    const world = await grownWorld(5, 2);
    expect(await refusal(world, { storeId: new Uint8Array(32).fill(0x52) })).toMatch(/belongs to store 5151.*5252/);
  });

  test('a tail that is not what its record says is not adopted, and nothing is promised', async () => {
    const world = await grownWorld(5, 300);
    const tail = (): World => guarded(world, slotOf(world, 2), slotOf(world, 3));
    expect((await restart(tail())).adopted).toBe(1);
    for (const [key, at] of [
      [`log/main/open/${fixed(256)}`, 44 * 43 + 5],
      ['stream/main/entries/000', 9000],
      ['log/main/tile/0/000', 8000],
      ['log/main/~edge', 20],
      ['log/main/~edge', 8],
      [commitKey(4), 80],
    ] as const) {
      await refusal(
        tail(),
        edited(world, (rows) => change(rows, key, at)),
      );
    }
  });

  test('what was promised already is not promised again', async () => {
    const world = await grownWorld(5, 2);
    world.guard.failNext('deposed');
    expect((await restart(world)).adopted).toBe(0);
  });

  test('the first record has none before it, whatever the guard says', async () => {
    const { world } = await firstStart();
    const record = parseCommitRecord(new Map(world.rows.rows()).get(commitKey(1)) as Uint8Array);
    const forged = encodeCommitRecord({ ...record, previous: new Uint8Array(32).fill(1) });
    const [none] = world.guard.slots;
    guarded(world, none, { n: 1, recordHash: commitRecordHash(forged) });
    expect(
      await refusal(
        world,
        edited(world, (stored) => stored.set(commitKey(1), forged)),
      ),
    ).toMatch(/does not follow/);
  });

  test('a first start that was interrupted is not for recovery', async () => {
    const { world } = await firstStart();
    const zero = { n: 0, recordHash: new Uint8Array(32) };
    const empty = edited(world, (stored) => stored.clear());
    await expect(restart(guarded(world, zero, zero), empty)).rejects.toThrow('interrupted first start');
  });

  test('a tail with another number of logs is not adopted', async () => {
    const world = guarded(await grownWorld(5, 2), undefined, undefined);
    guarded(world, slotOf(world, 2), slotOf(world, 3));
    const message = await refusal(
      world,
      edited(world, (stored) => {
        const record = parseCommitRecord(stored.get(commitKey(4)) as Uint8Array);
        stored.set(commitKey(4), encodeCommitRecord({ ...record, logCount: 3 }));
      }),
    );
    expect(message).toMatch(/2 logs, 3 promised/);
  });

  test('a tail whose promise fails is not acknowledged; the next start adopts it', async () => {
    const world = guarded(await grownWorld(5, 2), undefined, undefined);
    guarded(world, slotOf(world, 2), slotOf(world, 3));
    world.guard.failNext('deposed', false);
    await expect(restart(world)).rejects.toMatchObject({ code: 'deposed' });
    expect((await restart(world)).adopted).toBe(1);
  });
});

describe('damage', () => {
  let world: World;
  const rows: [what: string, key: string, at: number, says: RegExp][] = [
    ['the size in an edge', 'log/main/~edge', 8, /log main/],
    ['the root in an edge', 'log/main/~edge', 30, /log main/],
    ['the size of the newest head in an edge', 'log/main/~edge', 56, /log main/],
    ['the time of the newest head in an edge', 'log/main/~edge', 64, /log main/],
    ['the frontier in an edge', 'log/main/~edge', 70, /log main/],
    ['the format of an edge', 'log/main/~edge', 0, /log main/],
    ['an open leaf', `log/main/open/${fixed(512)}`, 12, /log main/],
    ['the framing of open leaves', `log/main/open/${fixed(512)}`, 43, /log.main/],
    ['the last of the open leaves', `log/main/open/${fixed(512)}`, 87 * 43 + 30, /log main/],
    ['a leaf in a bundle since the last head', 'stream/main/entries/001', 5000, /log main.*(bundle|tile|leaf|leaves)/],
    ['a tile under the right edge', 'log/main/tile/0/000', 300, /log main/],
    ['a tile since the last head', 'log/main/tile/0/001', 300, /log main/],
    ['the newest head', `log/main/head/${fixed(300)}`, 40, new RegExp(`log main.*head/${fixed(300)}`)],
    ['a definition', 'server/log/main', 3, /server\/log\/main/],
    ['a name in a definition', 'server/log/main', 9, /server\/log\/main/],
    ['an API key', 'server/key/', 1, /server\/key\//],
    ['the ID in an API key', 'server/key/', 8, /server\/key\//],
    ['the newest commit record', commitKey(4), 100, /commit (record )?4/],
    ['the format of a commit record', commitKey(3), 0, /commit record 3/],
    ['the number in a commit record', commitKey(3), 40, /commit record 3/],
    ['an older commit record', commitKey(2), 60, /commit record [23]/],
    ['the first commit record', commitKey(1), 45, /commit record [12]/],
  ];

  test.each(rows)('%s is named', async (_, key, at, says) => {
    world ??= await grownWorld(300, 300);
    const message = await refusal(
      world,
      edited(world, (stored) => {
        const found = [...stored.keys()].find((name) => name.startsWith(key)) as string;
        change(stored, found, at);
      }),
    );
    expect(message).toMatch(says);
  });

  test('whatever byte of an edge changes, the log is refused by its name', async () => {
    world ??= await grownWorld(300, 300);
    const edge = new Map(world.rows.rows()).get('log/main/~edge') as Uint8Array;
    for (let at = 0; at < edge.length; at++) {
      const message = await refusal(
        world,
        edited(world, (stored) => change(stored, 'log/main/~edge', at)),
      );
      expect(message).toMatch(/log main/);
    }
  });

  test.each([
    'log/main/~edge',
    `log/main/open/${fixed(512)}`,
    'stream/main/entries/001',
    'log/main/tile/0/000',
    'log/main/tile/0/001',
    `log/main/head/${fixed(300)}`,
    'server/log/main',
    'server/log/_system',
    commitKey(1),
    commitKey(2),
    commitKey(4),
  ])('a missing %s is refused', async (key) => {
    world ??= await grownWorld(300, 300);
    expect(
      await refusal(
        world,
        edited(world, (stored) => expect(stored.delete(key)).toBe(true)),
      ),
    ).toMatch(/main|_system|commit|logs/);
  });

  test('a definition under the name of another log, and a key under the ID of another, are refused', async () => {
    world ??= await grownWorld(300, 300);
    const moved = (from: string, to: string) =>
      edited(world, (stored) => {
        const found = [...stored.keys()].find((name) => name.startsWith(from)) as string;
        stored.set(to, stored.get(found) as Uint8Array);
        stored.delete(found);
      });
    expect(await refusal(world, moved('server/log/main', 'server/log/other'))).toMatch(
      /other is the definition of main/,
    );
    expect(await refusal(world, moved('server/key/', 'server/key/0123456789abcdef'))).toMatch(/0123456789abcdef holds/);
  });

  test('another time of the last entry is refused, of an empty log too: it would start the clock', async () => {
    for (const size of [0, 3]) {
      const some = await grownWorld(size, 0);
      const message = await refusal(
        some,
        edited(some, (stored) => {
          const edge = parseEdge(stored.get('log/main/~edge') as Uint8Array);
          stored.set('log/main/~edge', encodeEdge({ ...edge, lastReceivedAt: edge.lastReceivedAt + 1 }));
        }),
      );
      expect(message).toMatch(/log main.*last entry/);
    }
  });

  test('what the engine cannot read ends the start as damage does', async () => {
    world ??= await grownWorld(300, 300);
    for (const key of [commitKey(4), 'log/main/~edge', 'log/main/tile/0/000']) {
      const store = new FaultyStore(world.rows);
      store.unreadable.add(key);
      const options = { originBase: 'example.com', clock: world.clock, observer: {}, onFatal: () => {} };
      await expect(openLogServer({ ...world, store }, world.guard.slots, options)).rejects.toMatchObject({
        exitCode: 78,
        message: expect.stringContaining(key),
      });
    }
  });

  test('an extra log is refused', async () => {
    world ??= await grownWorld(300, 300);
    const other = await firstStart();
    await other.server.createLog({ name: 'extra', kind: 'events', publicReads: true, idPointer: null }, 'x');
    const extra = other.world.rows.rows().filter(([key]) => key.includes('extra'));
    const message = await refusal(
      world,
      edited(world, (stored) => {
        for (const [key, value] of extra) stored.set(key, value);
      }),
    );
    expect(message).toMatch(/3 logs, 2 promised/);
  });

  test('a log that went back to an older state of its own is refused', async () => {
    const run = await firstStart();
    await append(run, run.main, 5);
    await run.server.publisher.publishDue();
    const older = run.world.rows.rows().filter(([key]) => logOf(key) === 'main');
    await append(run, run.main, 5);
    await run.server.recordSystemEvent({ action: 'x.y' });
    const message = await refusal(
      run.world,
      edited(run.world, (stored) => {
        for (const key of stored.keys()) if (logOf(key) === 'main') stored.delete(key);
        for (const [key, value] of older) stored.set(key, value);
      }),
    );
    expect(message).toMatch(/sum differs/);
    // Where the last commit changed that very log, it is named.
    const named = await firstStart();
    await append(named, named.main, 5);
    const before = named.world.rows.rows().filter(([key]) => logOf(key) === 'main');
    await append(named, named.main, 5);
    const changed = edited(named.world, (stored) => {
      for (const key of stored.keys()) if (logOf(key) === 'main') stored.delete(key);
      for (const [key, value] of before) stored.set(key, value);
    });
    expect(await refusal(named.world, changed)).toMatch(/log main has 5 entries.*10/);
  });

  test('an edge below its newest head is refused', async () => {
    world ??= await grownWorld(300, 300);
    const message = await refusal(
      world,
      edited(world, (stored) => {
        const edge = parseEdge(stored.get('log/main/~edge') as Uint8Array);
        stored.set('log/main/~edge', encodeEdge({ ...edge, head: { ...edge.head, treeSize: 601 } }));
      }),
    );
    expect(message).toMatch(/600 entries.*head of size 601/);
  });

  test('a stored head that is newer than the edge says is refused', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    await run.server.publisher.publishDue();
    const edge = new Map(run.world.rows.rows()).get('log/main/~edge') as Uint8Array;
    run.clock.advance(600_001);
    await run.server.publisher.publishDue();
    const message = await refusal(
      run.world,
      edited(run.world, (stored) => stored.set('log/main/~edge', edge)),
    );
    expect(message).toMatch(/log main.*head/);
    const higher = await refusal(
      run.world,
      edited(run.world, (stored) => {
        stored.set(headKey('main', 9), stored.get(headKey('main', 3)) as Uint8Array);
      }),
    );
    expect(higher).toMatch(/log main.*head/);
  });

  test('a head that somebody else signed is refused', async () => {
    world ??= await grownWorld(300, 300);
    const other = await restart(await grownWorld(300, 0), {});
    const foreign = await firstStart({ originBase: 'example.org' });
    await append(foreign, foreign.main, 300);
    await foreign.server.publisher.publishDue();
    for (const checkpoint of [foreign.main.published.checkpoint, other.main.published.checkpoint]) {
      const message = await refusal(
        world,
        edited(world, (stored) => {
          const edge = parseEdge(stored.get('log/main/~edge') as Uint8Array);
          stored.set(headKey('main', 300), encodeHeadRow({ checkpoint, time: edge.head.time }));
        }),
      );
      expect(message).toMatch(/log main/);
    }
  });

  test('another master seed is refused, and says whose key is missing', async () => {
    world ??= await grownWorld(300, 300);
    const message = await refusal(world, { masterSeed: new Uint8Array(32).fill(0x4e) });
    expect(message).toMatch(/log (_system|main) was made with the key .*example\.com.*keys\/master/);
  });

  test('a record that was made to fit by somebody without the guard is refused', async () => {
    world ??= await grownWorld(300, 300);
    const forged = edited(world, (stored) => {
      const record = parseCommitRecord(stored.get(commitKey(4)) as Uint8Array);
      stored.set(commitKey(4), encodeCommitRecord({ ...record, sum: new Uint8Array(32) }));
    });
    expect(await refusal(world, forged)).toMatch(/not the one that was promised/);
  });
});
