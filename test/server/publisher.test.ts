import { describe, expect, test } from '@jest/globals';
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import type { Log } from '../../server/log.ts';
import { headKey, refreshKey } from '../../server/storage/keys.ts';
import { parseEdge, parseHeadRow } from '../../server/storage/rows.ts';
import { prefixRange } from '../../server/storage/store.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { settle } from '../support/manual-clock.ts';
import { append, firstStart, grownWorld, type Run, restart } from './memory-server.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const errorOf = async (promise: Promise<unknown>): Promise<{ code?: string; message?: string } | undefined> =>
  promise.then(
    () => undefined,
    (error: { code?: string }) => error,
  );

/** Keys of the heads that are stored. */
async function headKeys(run: Run, log: Log = run.main): Promise<string[]> {
  const rows = await run.store.list(prefixRange(`log/${log.name}/head/`, 100));
  return rows.map(({ key }) => key);
}

/** Adds one to a byte of a stored value, behind the server's back. */
async function damage(run: Run, key: string, at: number): Promise<void> {
  const value = (await run.world.rows.get(key))?.slice();
  if (value === undefined) throw new Error(`${key} is not stored`);
  value[at] = ((value[at] as number) + 1) % 256;
  await run.world.rows.commit([{ key, value }]);
}

function makeLogs(run: Run, count: number): Promise<Log[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) =>
      run.server.createLog({ name: `log-${i}`, kind: 'events', publicReads: true, idPointer: null }, 'x'),
    ),
  );
}

describe('signing', () => {
  test('a new log has its signed head of size 0, stored', async () => {
    const run = await firstStart();
    const { published, signer } = run.main;
    expect(openCheckpoint(published.checkpoint, signer.verifierKey)).toMatchObject({
      origin: 'example.com/logs/main',
      treeSize: 0,
    });
    expect(await headKeys(run)).toEqual([headKey('main', 0)]);
  });

  test('growth is signed: the head is stored, the edge names it, and it opens', async () => {
    const run = await firstStart();
    await append(run, run.main, 300);
    await run.server.publisher.publishDue();
    const { published, signer, state } = run.main;
    const checkpoint = openCheckpoint(published.checkpoint, signer.verifierKey);
    expect([checkpoint.treeSize, hex(checkpoint.rootHash)]).toEqual([300, hex(state.rootHash)]);
    expect(await headKeys(run)).toEqual([headKey('main', 0), headKey('main', 300)]);
    const row = await run.store.get(headKey('main', 300));
    expect(parseHeadRow(row as Uint8Array)).toEqual({ checkpoint: published.checkpoint, time: published.time });
    const edge = parseEdge((await run.store.get('log/main/~edge')) as Uint8Array);
    expect(edge.head).toEqual({ treeSize: 300, time: published.time });
    expect(edge.treeSize).toBe(300);
  });

  test('without growth nothing is signed and nothing committed', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    await run.server.publisher.publishDue();
    const commits = run.store.commits.length;
    await run.server.publisher.publishDue();
    await run.server.publisher.publishDue();
    expect(run.store.commits.length).toBe(commits);
  });

  test('a head is stored before anybody sees it, and the guard has it too', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    run.store.hold('after');
    const signing = run.server.publisher.publishDue();
    await settle();
    expect(await run.world.rows.get(headKey('main', 3))).toBeDefined();
    expect(run.main.published.treeSize).toBe(0);
    run.guard.hold();
    run.store.release();
    await settle();
    expect(run.main.published.treeSize).toBe(0);
    run.guard.release();
    await signing;
    expect(run.main.published.treeSize).toBe(3);
  });

  test('all logs that grew are signed in one commit', async () => {
    const run = await firstStart();
    const log = await run.server.createLog({ name: 'other', kind: 'events', publicReads: false, idPointer: null }, 'x');
    await Promise.all([append(run, run.main, 2), append(run, log, 5)]);
    const commits = run.store.commits.length;
    await run.server.publisher.publishDue();
    expect(run.store.commits.length).toBe(commits + 1);
    const system = run.server.log('_system') as Log;
    expect([run.main, log, system].map(({ published, state }) => published.treeSize - state.treeSize)).toEqual([
      0, 0, 0,
    ]);
  });

  test('of many logs each has the head of its own tree, by its own keys, also while one gets a new key', async () => {
    const run = await firstStart();
    const logs = await makeLogs(run, 40);
    const sizes = [1, 3, 256, 257, 300];
    await Promise.all(logs.map((log, i) => append(run, log, sizes[i % 5] as number)));
    await run.server.rotateKey(logs[7] as Log, 'x');
    await run.server.publisher.publishDue();
    for (const { state, published, verifierKeys } of logs) {
      for (const key of verifierKeys) {
        const { treeSize, rootHash } = openCheckpoint(published.checkpoint, key);
        expect([treeSize, hex(rootHash)]).toEqual([state.treeSize, hex(state.rootHash)]);
      }
    }
    expect(logs[7]?.verifierKeys.length).toBe(2);
  });

  test('of many logs a damaged one is named, and nothing is signed with it', async () => {
    const run = await firstStart();
    const logs = await makeLogs(run, 12);
    await Promise.all(logs.map((log) => append(run, log, 3)));
    await damage(run, 'log/log-5/open/0000000000000000', 20);
    expect(await errorOf(run.server.publisher.publishDue())).toMatchObject({
      code: 'damaged',
      message: expect.stringContaining('log-5'),
    });
    expect(logs.every(({ published }) => published.treeSize === 0)).toBe(true);
  });

  test('times of heads increase, and are not before their newest entry', async () => {
    const run = await firstStart();
    const times = [run.main.published.time];
    for (let i = 0; i < 5; i++) {
      if (i === 2) run.clock.step(-10_000);
      if (i === 4) run.clock.advance(0.001);
      await append(run, run.main, 1);
      await run.server.publisher.publishDue();
      times.push(run.main.published.time);
      expect(run.main.published.time * 1000).toBeGreaterThanOrEqual(run.main.state.lastReceivedAt);
    }
    expect(new Set(times).size).toBe(6);
    expect(times.slice().sort((a, b) => a - b)).toEqual(times);
  });

  test('a head that was not stored is not shown; the next start signs the same bytes', async () => {
    const stored = await firstStart();
    await append(stored, stored.main, 3);
    stored.store.failNext('lost');
    expect(await errorOf(stored.server.publisher.publishDue())).toMatchObject({ code: 'outcome_unknown' });
    expect(stored.fatal.length).toBe(1);
    expect(stored.main.published.treeSize).toBe(0);
    const lost = stored.store.commits.at(-1)?.find(({ key }) => key === headKey('main', 3))?.value as Uint8Array;

    const again = await restart(stored.world);
    expect(again.main.published.treeSize).toBe(0);
    await again.server.publisher.publishDue();
    expect(again.main.published.checkpoint).toBe(parseHeadRow(lost).checkpoint);
  });

  test('a head that was stored by a commit nobody heard of is shown by the next start', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    run.guard.failNext('outcome_unknown', false);
    await errorOf(run.server.publisher.publishDue());
    expect(run.main.published.treeSize).toBe(0);
    const again = await restart(run.world);
    expect([again.adopted, again.main.published.treeSize]).toEqual([1, 3]);
    await again.server.publisher.publishDue();
    expect((await headKeys(again)).filter((key) => key.startsWith(headKey('main', 3)))).toEqual([headKey('main', 3)]);
  });
});

describe('refreshing', () => {
  test('an idle head is signed again after ten minutes; the first one of its size stays as it was', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    await run.server.publisher.publishDue();
    const first = await run.store.get(headKey('main', 3));
    const { checkpoint, time } = run.main.published;
    run.clock.advance(599_999);
    await run.server.publisher.publishDue();
    expect(run.main.published.time).toBe(time);

    const refreshes: number[] = [];
    for (let i = 0; i < 3; i++) {
      run.clock.advance(600_000);
      await run.server.publisher.publishDue();
      refreshes.push(run.main.published.time);
      // The same head signs to the same note; only its time is new, and only the newest refresh is kept.
      expect(run.main.published).toMatchObject({ checkpoint, treeSize: 3 });
      expect(await headKeys(run)).toEqual([
        headKey('main', 0),
        headKey('main', 3),
        refreshKey('main', 3, run.main.published.time),
      ]);
      expect(hex((await run.store.get(headKey('main', 3))) as Uint8Array)).toBe(hex(first as Uint8Array));
    }
    expect(new Set(refreshes).size).toBe(3);
    await append(run, run.main, 1);
    await run.server.publisher.publishDue();
    expect((await run.server.heads(run.main, 0, 10)).map(({ treeSize, time: t }) => [treeSize, t])).toEqual([
      [0, expect.any(Number)],
      [3, time],
      [4, run.main.published.time],
    ]);
    expect((await run.server.heads(run.main, 1, 1)).map(({ treeSize }) => treeSize)).toEqual([3]);

    await run.server.close();
    const again = await restart(run.world);
    expect(again.main.published).toEqual(run.main.published);
  });

  test('after a restart the refreshed head is the published one, and a new refresh replaces it', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    await run.server.publisher.publishDue();
    run.clock.advance(600_000);
    await run.server.publisher.publishDue();
    await run.server.close();
    const again = await restart(run.world);
    expect(again.main.published).toEqual(run.main.published);
    again.clock.advance(600_000);
    await again.server.publisher.publishDue();
    expect((await headKeys(again)).length).toBe(3);
  });
});

test('a stored head that is damaged, or stands under another size, is not listed', async () => {
  const run = await firstStart();
  await append(run, run.main, 3);
  await run.server.publisher.publishDue();
  const value = (await run.store.get(headKey('main', 3))) as Uint8Array;
  await run.world.rows.commit([{ key: headKey('main', 2), value }]);
  expect(await errorOf(run.server.heads(run.main, 0, 10))).toMatchObject({ code: 'damaged' });
  await run.world.rows.commit([{ key: headKey('main', 2), value: undefined }]);
  expect((await run.server.heads(run.main, 0, 10)).length).toBe(2);
  await damage(run, headKey('main', 3), 45);
  expect(await errorOf(run.server.heads(run.main, 0, 10))).toMatchObject({ code: 'damaged' });
});

describe('what is stored is not what was promised: nothing is signed', () => {
  const stored: [string, string, number][] = [
    ['an open leaf', 'log/main/open/0000000000000512', 90],
    ['the framing of open leaves', 'log/main/open/0000000000000512', 43],
    ['a leaf in an entry bundle', 'stream/main/entries/001', 1000],
    ['the framing of an entry bundle', 'stream/main/entries/001', 0],
    ['a hash in a tile', 'log/main/tile/0/001', 255 * 32],
    ['the first hash of the tile that the last head ended in', 'log/main/tile/0/000', 0],
  ];

  test.each(stored)('%s was changed', async (_, key, at) => {
    const run = await firstStart();
    await append(run, run.main, 100);
    await run.server.publisher.publishDue();
    await append(run, run.main, 550);
    await damage(run, key, at);
    const heads = await headKeys(run);
    run.server.publisher.start();
    await settle();
    expect(run.fatal).toEqual([expect.objectContaining({ code: 'damaged' })]);
    expect(run.main.published.treeSize).toBe(100);
    expect(await headKeys(run)).toEqual(heads);
  });

  test.each(['stream/main/entries/001', 'log/main/tile/0/001', 'log/main/open/0000000000000512'])(
    '%s is missing',
    async (key) => {
      const run = await firstStart();
      await append(run, run.main, 650);
      await run.world.rows.commit([{ key, value: undefined }]);
      expect(await errorOf(run.server.publisher.publishDue())).toMatchObject({ code: 'damaged' });
      expect(run.main.published.treeSize).toBe(0);
    },
  );

  test('a tile of a higher level was changed', async () => {
    const run = await firstStart();
    for (let i = 0; i < 5; i++) await append(run, run.main, 14_000);
    await damage(run, 'log/main/tile/1/000', 255 * 32);
    expect(await errorOf(run.server.publisher.publishDue())).toMatchObject({ code: 'damaged' });
  });

  test('a leaf was changed before the first signature after a restart', async () => {
    const world = await grownWorld(300, 0);
    const run = await restart(world);
    await append(run, run.main, 300);
    await damage(run, 'log/main/tile/0/001', 3);
    expect(await errorOf(run.server.publisher.publishDue())).toMatchObject({ code: 'damaged' });
    expect(run.main.published.treeSize).toBe(300);
  });

  test('the root in memory is not the one of the stored leaves', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    run.main.state = { ...run.main.state, rootHash: asTreeHash(new Uint8Array(32).fill(1)) };
    expect(await errorOf(run.server.publisher.publishDue())).toMatchObject({ code: 'damaged' });
    expect(run.main.published.treeSize).toBe(0);
  });

  test('one size never gets two roots: not even a refresh signs another one', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    await run.server.publisher.publishDue();
    const { published, state } = run.main;
    run.clock.advance(600_001);
    run.main.state = { ...state, rootHash: asTreeHash(new Uint8Array(32).fill(1)) };
    expect(await errorOf(run.server.publisher.publishDue())).toMatchObject({ code: 'damaged' });
    run.main.state = state;
    run.main.published = { ...published, rootHash: asTreeHash(new Uint8Array(32).fill(1)) };
    expect(await errorOf(run.server.publisher.publishDue())).toMatchObject({ code: 'damaged' });
    expect((await headKeys(run)).length).toBe(2);
  });

  test('nothing more is accepted either: whoever waits learns outcome_unknown', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    await damage(run, 'log/main/open/0000000000000000', 50);
    run.server.publisher.start();
    await settle();
    expect(run.fatal.length).toBe(1);
    expect(await errorOf(append(run, run.main, 1))).toMatchObject({ code: 'outcome_unknown' });
    expect(run.main.state.treeSize).toBe(3);
  });
});

describe('while entries go on arriving', () => {
  test('a bundle that fills up between commit and promise is no damage', async () => {
    const run = await firstStart();
    await append(run, run.main, 250);
    run.guard.hold();
    const growing = append(run, run.main, 20);
    await settle();
    // The batch is in the database, its open rows are gone, and nobody has heard of it yet.
    expect(await run.world.rows.get('log/main/open/0000000000000000')).toBeUndefined();
    expect(run.main.state.treeSize).toBe(250);
    const signing = run.server.publisher.publishDue();
    await settle();
    run.guard.release();
    await Promise.all([growing, signing]);
    expect(run.main.published.treeSize).toBe(250);
    await run.server.publisher.publishDue();
    expect(run.main.published.treeSize).toBe(270);
    expect(run.fatal).toEqual([]);
  });

  test('heads follow each other under load, and each is of the tree at its size', async () => {
    const run = await firstStart({ intervals: { interval: 10, refresh: 600_000 } });
    run.server.publisher.start();
    const sizes = new Set<number>();
    for (let i = 0; i < 60; i++) {
      const appended = append(run, run.main, 1 + ((i * 7) % 40));
      run.clock.advance(3);
      await settle(i % 4);
      sizes.add(run.main.published.treeSize);
      await appended;
    }
    await run.server.close();
    expect(run.fatal).toEqual([]);
    expect(run.main.published.treeSize).toBe(run.main.state.treeSize);
    expect(sizes.size).toBeGreaterThan(5);
    const leaves = await run.server.reader.leaves(run.main, run.main.state, 0, run.main.state.treeSize);
    const { ReferenceTree } = await import('../support/reference-tree.ts');
    const tree = new ReferenceTree(leaves);
    for (const head of await run.server.heads(run.main, 0, 1000)) {
      expect(hex(head.rootHash)).toBe(hex(tree.root(head.treeSize)));
    }
  });
});

describe('the schedule', () => {
  test('the first growth is signed at once, the next not before the interval has passed', async () => {
    const run = await firstStart({ intervals: { interval: 1000, refresh: 600_000 } });
    run.server.publisher.start();
    await settle();
    run.clock.advance(1000);
    await settle();
    await append(run, run.main, 1);
    await settle();
    expect(run.main.published.treeSize).toBe(1);
    await append(run, run.main, 1);
    await settle();
    run.clock.advance(999);
    await settle();
    expect(run.main.published.treeSize).toBe(1);
    run.clock.advance(1);
    await settle();
    expect(run.main.published.treeSize).toBe(2);
    await run.server.close();
    expect(run.clock.sleeping).toBe(0);
  });

  test('a head that waits long for its commit does not put off the next one', async () => {
    const run = await firstStart({ intervals: { interval: 1000, refresh: 600_000 } });
    run.server.publisher.start();
    await settle();
    await append(run, run.main, 1);
    await settle();
    run.store.hold();
    run.clock.advance(1000);
    await settle();
    run.clock.advance(10_000);
    run.store.release();
    await settle();
    expect(run.main.published.treeSize).toBe(1);
    await append(run, run.main, 1);
    await settle();
    run.clock.advance(1000);
    await settle();
    expect(run.main.published.treeSize).toBe(2);
    await run.server.close();
  });

  test('an idle server refreshes by itself', async () => {
    const run = await firstStart({ intervals: { interval: 1000, refresh: 600_000 } });
    run.server.publisher.start();
    const { time } = run.main.published;
    for (let i = 0; i < 62; i++) {
      run.clock.advance(10_000);
      await settle(5);
    }
    expect(run.main.published.time).toBeGreaterThan(time);
    expect((await headKeys(run)).length).toBe(2);
    await run.server.close();
  });

  test('closing signs what is still unsigned', async () => {
    const run = await firstStart();
    run.server.publisher.start();
    await settle();
    await append(run, run.main, 7);
    await run.server.close();
    expect(run.main.published.treeSize).toBe(7);
    expect(run.fatal).toEqual([]);
    expect(run.clock.sleeping).toBe(0);
  });

  test('while the clock is unsafe nothing is signed; when it is accepted, all is', async () => {
    const run = await firstStart();
    run.server.publisher.start();
    await settle();
    await append(run, run.main, 1);
    run.clock.step(30 * 86400e3);
    run.clock.advance(11_000);
    await settle();
    const before = run.main.published.treeSize;
    await run.server.publisher.publishDue();
    expect([before, run.main.published.treeSize]).toEqual([0, 0]);
    expect(await headKeys(run)).toEqual([headKey('main', 0)]);
    await run.server.acceptClock('x');
    run.clock.advance(11_000);
    await settle();
    expect(run.main.published.treeSize).toBe(1);
    await run.server.close();
    expect(run.fatal).toEqual([]);
  });
});

describe('waiting for a head', () => {
  test('resolves when a head of that size is shown, not before', async () => {
    const run = await firstStart();
    await append(run, run.main, 5);
    let reached: boolean | undefined;
    const waiting = run.server.publisher.waitFor(run.main, 5, 30_000).then((result) => {
      reached = result;
    });
    await settle();
    expect(reached).toBeUndefined();
    await run.server.publisher.publishDue();
    await waiting;
    expect(reached).toBe(true);
    expect(await run.server.publisher.waitFor(run.main, 5, 30_000)).toBe(true);
    expect(run.clock.sleeping).toBe(0);
  });

  test('gives up after its time, and says so', async () => {
    const run = await firstStart();
    await append(run, run.main, 1);
    const waiting = run.server.publisher.waitFor(run.main, 2, 30_000);
    await run.server.publisher.publishDue();
    run.clock.advance(29_999);
    await settle();
    expect(run.clock.sleeping).toBe(1);
    run.clock.advance(1);
    expect(await waiting).toBe(false);
  });

  test('a server that closes lets nobody wait', async () => {
    const run = await firstStart();
    const waiting = run.server.publisher.waitFor(run.main, 1, 30_000);
    await run.server.close();
    expect(await waiting).toBe(false);
    expect(await run.server.publisher.waitFor(run.main, 1, 30_000)).toBe(false);
  });
});

describe('waiting for a head', () => {
  const HOUR = 3_600_000;

  test('as many entries wait as memory has room for; beyond it nobody waits, until some are answered', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    const { publisher } = run.server;
    const large = publisher.waitFor(run.main, 3, HOUR, { weight: 250_000 });
    // A request counts for 16 at least.
    const small = Array.from({ length: 759 }, () => publisher.waitFor(run.main, 3, HOUR));
    expect(await publisher.waitFor(run.main, 3, HOUR)).toBe(false);
    expect(await publisher.waitFor(run.main, 0, HOUR)).toBe(true);
    await publisher.publishDue();
    expect(await large).toBe(true);
    expect(new Set(await Promise.all(small))).toEqual(new Set([true]));
    await append(run, run.main, 1);
    const again = publisher.waitFor(run.main, 4, HOUR, { weight: 262_144 });
    await publisher.publishDue();
    expect(await again).toBe(true);
  });
});
