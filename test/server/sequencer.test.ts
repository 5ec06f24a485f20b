import { describe, expect, test } from '@jest/globals';
import { entryLeaf } from '../../proofs/entry.ts';
import { parseHeader } from '../../proofs/leaf.ts';
import { type Appended, type AppendRequest, wantedIds } from '../../server/append.ts';
import { CLOCK_LIMITS, EntryClock } from '../../server/clock.ts';
import { Committer } from '../../server/committer.ts';
import type { StoredEntry } from '../../server/entry.ts';
import { frame } from '../../server/frames.ts';
import { parsePointer } from '../../server/ingest/event-id.ts';
import type { Log } from '../../server/log.ts';
import { CHANGE_COST, SEQUENCER_LIMITS, Sequencer, type SequencerOptions } from '../../server/sequencer.ts';
import { LogSum } from '../../server/storage/commit-record.ts';
import { encodeIdRow, parseIdRow } from '../../server/storage/rows.ts';
import { readUsedIds } from '../../server/used-ids.ts';
import { settle } from '../support/manual-clock.ts';
import { ReferenceTree } from '../support/reference-tree.ts';
import { append, firstStart, type Run, restart } from './memory-server.ts';

const encoder = new TextEncoder();
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');
const pointer = parsePointer('/id');

/** An event with an id, as HTTP hands it in. */
const withId = (id: string | number, more = ''): { event: Uint8Array; id: string } => ({
  event: encoder.encode(`{"id":${JSON.stringify(id)}${more}}`),
  id: JSON.stringify(id),
});

function request(run: Run, events: AppendRequest['events'], log: Log = run.main, source = 'test'): Promise<Appended[]> {
  return run.server.sequencer.append({
    log,
    events,
    by: '0123456789abcdef',
    source,
    via: 'events',
    once: { kind: 'pointer', pointer },
  });
}

const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: { code?: string }) => error.code ?? String(error),
  );

const counters = (run: Run): [number, number] => [run.main.state.treeSize, run.store.commits.length];

describe('group commit', () => {
  test('what arrives in one turn is one commit, in the order of its arrival', async () => {
    const run = await firstStart();
    const before = run.store.commits.length;
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => append(run, run.main, 1, `no ${i}`)));
    expect(run.store.commits.length).toBe(before + 1);
    expect(answers.map(([entry]) => entry?.leafIndex)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(run.guard.slots.map((slot) => slot?.n).sort()).toEqual([1, 2]);
  });

  test('what arrives while a commit runs is the next one', async () => {
    const run = await firstStart();
    run.store.hold();
    const first = append(run, run.main, 1);
    await settle();
    const later = [append(run, run.main, 2), append(run, run.main, 3), append(run, run.main, 1)];
    await settle();
    expect(run.main.state.treeSize).toBe(0);
    run.store.release();
    await Promise.all([first, ...later]);
    expect(counters(run)).toEqual([7, 3]);
  });

  test('nothing is answered before the guard has it', async () => {
    const run = await firstStart();
    run.guard.hold();
    let answered = false;
    const waiting = append(run, run.main, 1).then(() => {
      answered = true;
    });
    await settle();
    expect(run.store.commits.length).toBe(2);
    expect([answered, run.main.state.treeSize]).toEqual([false, 0]);
    run.guard.release();
    await waiting;
    expect(run.main.state.treeSize).toBe(1);
  });

  test('several logs, a head and a key share one commit', async () => {
    const run = await firstStart();
    const log = await run.server.createLog({ name: 'other', kind: 'events', publicReads: false, idPointer: null }, 'x');
    const before = run.store.commits.length;
    await Promise.all([
      append(run, run.main, 2),
      append(run, log, 3),
      run.server.createKey({ name: undefined, scopes: ['read'], log: null }, 'x'),
    ]);
    expect(run.store.commits.length).toBe(before + 1);
    expect([run.main.state.treeSize, log.state.treeSize]).toEqual([2, 3]);
  });

  test('a group ends at its bound, but one request is never cut', async () => {
    const run = await firstStart({ limits: { ...SEQUENCER_LIMITS, maxGroupEntries: 10, maxGroupBytes: 1000 } });
    const sizes = [4, 6, 1, 25, 10];
    await Promise.all(sizes.map((count) => append(run, run.main, count)));
    const heights = run.store.commits
      .slice(1)
      .map((writes) => writes.filter(({ key }) => key.includes('/event/')).length);
    expect(heights).toEqual([10, 1, 25, 10]);
  });

  test('bytes bound a group as well: up to the bound, and no further', async () => {
    const size = encoder.encode('{"n":0,"note":"x"}').length;
    const run = await firstStart({ limits: { ...SEQUENCER_LIMITS, maxGroupBytes: 3 * size } });
    await Promise.all([1, 2, 1, 5, 1].map((count) => append(run, run.main, count)));
    const heights = run.store.commits
      .slice(1)
      .map((writes) => writes.filter(({ key }) => key.includes('/event/')).length);
    expect(heights).toEqual([3, 1, 5, 1]);
  });

  test('changes without entries are bounded too', async () => {
    const run = await firstStart({ limits: { ...SEQUENCER_LIMITS, maxGroupEntries: 3 } });
    await Promise.all(
      Array.from({ length: 7 }, (_, i) =>
        run.server.sequencer.change((transaction) => transaction.put(`test/${i}`, new Uint8Array(0))),
      ),
    );
    expect(run.store.commits.length).toBe(1 + 3);
  });

  test('every entry opens its leaf, and the tree is the one of those leaves', async () => {
    const run = await firstStart();
    const entries = (await Promise.all([append(run, run.main, 300), append(run, run.main, 5)])).flat();
    const leaves = entries.map(({ leafHash: _, ...entry }) => entryLeaf(entry, 'example.com/logs/main'));
    expect(leaves.map(hex)).toEqual(entries.map(({ leaf }) => hex(leaf)));
    const tree = new ReferenceTree(leaves);
    expect(hex(run.main.state.rootHash)).toBe(hex(tree.root(305)));
    expect(entries.map(({ leafHash }) => hex(leafHash))).toEqual(leaves.map((_, i) => hex(tree.hash(i, i + 1))));
    expect(new Set(entries.map(({ salt }) => hex(salt))).size).toBe(305);
    expect(entries.every(({ salt }) => salt.length === 32)).toBe(true);
    const stored = await run.server.entries(run.main, 0, 305);
    expect(stored.map(({ event }) => hex(event))).toEqual(entries.map(({ event }) => hex(event)));
    expect(parseHeader(entries[0]?.header as Uint8Array)).toEqual({ by: '0123456789abcdef', via: 'events' });
  });

  test('receivedAt is the clock, and never decreases', async () => {
    const run = await firstStart();
    const [first] = await append(run, run.main, 1);
    run.clock.step(-60_000);
    const [second] = await append(run, run.main, 1);
    run.clock.advance(5);
    const [third] = await append(run, run.main, 1);
    expect(second?.receivedAt).toBe(first?.receivedAt);
    expect(third?.receivedAt).toBe((first?.receivedAt as number) + 5000);
  });
});

describe('the pool is bounded', () => {
  test('over the bound: pushback, nothing stored; room again after the commit', async () => {
    const run = await firstStart({ limits: { ...SEQUENCER_LIMITS, maxPendingEntries: 10 } });
    run.store.hold();
    const accepted = [append(run, run.main, 6), append(run, run.main, 4)];
    expect(await codeOf(append(run, run.main, 1))).toBe('pushback');
    expect(run.server.sequencer.pendingEntries).toBe(10);
    run.store.release();
    await Promise.all(accepted);
    expect(run.server.sequencer.pendingEntries).toBe(0);
    expect(await codeOf(append(run, run.main, 10))).toBe('ok');
    expect(run.main.state.treeSize).toBe(20);
  });

  test('bytes count as well', async () => {
    const size = encoder.encode('{"n":0,"note":"x"}').length;
    const run = await firstStart({ limits: { ...SEQUENCER_LIMITS, maxPendingBytes: 5 * size } });
    run.store.hold();
    const accepted = [append(run, run.main, 3), append(run, run.main, 2)];
    expect(await codeOf(append(run, run.main, 1))).toBe('pushback');
    run.store.release();
    await Promise.all(accepted);
    run.store.hold();
    const again = [append(run, run.main, 3), append(run, run.main, 2)].map(codeOf);
    run.store.release();
    expect(await Promise.all(again)).toEqual(['ok', 'ok']);
  });

  test('one request larger than the whole pool is let in when nothing waits', async () => {
    const run = await firstStart({ limits: { ...SEQUENCER_LIMITS, maxPendingEntries: 10 } });
    expect((await append(run, run.main, 50)).length).toBe(50);
  });

  test('what would wait more than two seconds at the pace of the last commits is pushed back, but for a thousand entries', async () => {
    const run = await firstStart();
    run.store.hold();
    const slow = append(run, run.main, 1500);
    await settle();
    run.clock.advance(6000);
    run.store.release();
    await slow;
    await settle();
    run.store.hold();
    const waiting = [append(run, run.main, 1000)];
    run.server.sequencer.checkRoom();
    waiting.push(append(run, run.main, 24));
    expect(await codeOf(append(run, run.main, 1))).toBe('pushback');
    expect(() => run.server.sequencer.checkRoom()).toThrow('would wait too long');
    run.store.release();
    await Promise.all(waiting);
    await settle();
    // That took no time at all: twice as many may wait now, and then again.
    run.store.hold();
    const more = append(run, run.main, 1500);
    expect(await codeOf(Promise.race([append(run, run.main, 1), settle()]))).toBe('ok');
    run.store.release();
    await more;
    expect(run.main.state.treeSize).toBe(1500 + 1024 + 1501);
  });

  test('while one waits that is larger than the pool, heads and keys go on', async () => {
    const run = await firstStart({ limits: { ...SEQUENCER_LIMITS, maxPendingEntries: 10 } });
    run.store.hold();
    const large = append(run, run.main, 50);
    const key = run.server.createKey({ name: 'x', scopes: ['read'], log: null }, 'x');
    expect(await codeOf(append(run, run.main, 1))).toBe('pushback');
    run.store.release();
    expect((await large).length).toBe(50);
    expect((await key).key.name).toBe('x');
  });

  test('heads, keys and revocations are not pushed back', async () => {
    const run = await firstStart({ limits: { ...SEQUENCER_LIMITS, maxPendingEntries: 2 } });
    run.store.hold();
    const waiting = append(run, run.main, 2);
    const key = run.server.createKey({ name: 'x', scopes: ['read'], log: null }, 'x');
    run.store.release();
    await waiting;
    expect((await key).key.name).toBe('x');
  });
});

describe('while the guard takes a promise', () => {
  /** A run whose guard holds its first promise, of the commit that appends one entry to `main`. */
  const held = async (): Promise<{ readonly run: Run; readonly first: Promise<string>; readonly done: string[] }> => {
    const run = await firstStart();
    const done: string[] = [];
    run.guard.hold();
    const first = codeOf(append(run, run.main, 1)).then((code) => said(done, 'first', code));
    await settle();
    return { run, first, done };
  };
  const said = (done: string[], name: string, code: string): string => {
    done.push(name);
    return code;
  };

  test('the next appends are stored, and one commit more waits for it', async () => {
    const { run, first, done } = await held();
    const second = codeOf(append(run, run.main, 2)).then((code) => said(done, 'second', code));
    await settle();
    const third = codeOf(append(run, run.main, 4)).then((code) => said(done, 'third', code));
    await settle();
    expect(run.store.commits.length).toBe(3);
    expect([run.main.state.treeSize, run.main.sequenced.treeSize, done]).toEqual([0, 3, []]);
    expect(run.guard.slots.map((slot) => slot?.n)).toEqual([0, 1]);
    run.guard.release();
    await Promise.all([first, second, third]);
    expect(done).toEqual(['first', 'second', 'third']);
    expect(counters(run)).toEqual([7, 4]);
    const leaves = await run.server.reader.leafHashes(run.main, run.main.state, 0, 7);
    const again = await restart(run.world);
    expect(await again.server.reader.leafHashes(again.main, again.main.state, 0, 7)).toEqual(leaves);
  });

  test('nothing is stored behind a group of many requests', async () => {
    for (const [requests, commits] of [
      [64, 3],
      [65, 2],
    ] as const) {
      const run = await firstStart();
      run.guard.hold();
      const first = Array.from({ length: requests }, () => append(run, run.main, 1));
      await settle();
      const later = Array.from({ length: 100 }, () => append(run, run.main, 1));
      await settle();
      expect(run.store.commits.length).toBe(commits);
      run.guard.release();
      await Promise.all([...first, ...later]);
      expect(counters(run)).toEqual([requests + 100, 3]);
    }
  });

  test('what appends nothing waits, and what follows on that waits as well', async () => {
    const { run, first, done } = await held();
    const seen: number[] = [];
    const change = run.server.sequencer
      .change((transaction, now) => {
        seen.push(run.main.state.treeSize, run.guard.slots[0]?.n ?? 0);
        transaction.append(run.main, new Uint8Array(1), now);
      })
      .then(() => said(done, 'change', ''));
    await settle();
    expect([run.store.commits.length, seen]).toEqual([2, []]);
    run.guard.release();
    run.guard.hold();
    await first;
    await settle();
    const last = append(run, run.main, 1).then(() => said(done, 'last', ''));
    await settle();
    expect([run.store.commits.length, done]).toEqual([3, ['first']]);
    run.guard.release();
    await Promise.all([change, last]);
    expect([seen, done]).toEqual([
      [1, 2],
      ['first', 'change', 'last'],
    ]);
  });

  test('an id that is stored and not promised yet is found, and said to be used once it is', async () => {
    const run = await firstStart();
    run.guard.hold();
    const done: string[] = [];
    const first = request(run, [withId('a')]).then(([entry]) => {
      done.push('first');
      return entry;
    });
    await settle();
    const again = request(run, [withId('a')]).then(([entry]) => {
      done.push('again');
      return entry;
    });
    const other = codeOf(request(run, [withId('a', ',"b":1')])).then((code) => said(done, 'other', code));
    await settle();
    expect([run.store.commits.length, done]).toEqual([2, []]);
    run.guard.release();
    expect((await first)?.replayed).toBe(false);
    expect(await again).toMatchObject({ leafIndex: 0, replayed: true, leaf: (await first)?.leaf });
    expect(await other).toBe('id_conflict');
    expect(done[0]).toBe('first');
    expect(counters(run)).toEqual([1, 2]);
  });

  test('a promise that fails takes the stored commit behind it along; a start adopts both', async () => {
    const run = await firstStart();
    run.guard.hold();
    run.guard.failNext('outcome_unknown', false);
    const first = codeOf(append(run, run.main, 1));
    await settle();
    const second = codeOf(append(run, run.main, 2));
    await settle();
    expect(run.store.commits.length).toBe(3);
    run.guard.release();
    expect(await Promise.all([first, second])).toEqual(['outcome_unknown', 'outcome_unknown']);
    await run.server.close();
    expect([run.fatal.length, run.main.state.treeSize]).toEqual([1, 0]);
    // Later promises would succeed, and the second must not have been made.
    expect(run.guard.slots.map((slot) => slot?.n)).toEqual([0, 1]);
    const again = await restart(run.world);
    expect([again.adopted, again.main.state.treeSize]).toEqual([2, 3]);
  });

  test('a change that waits for a promise which fails is neither built nor written', async () => {
    const { run, first } = await held();
    let built = false;
    const change = codeOf(
      run.server.sequencer.change((transaction) => {
        built = true;
        transaction.put('a', new Uint8Array(1));
      }),
    );
    await settle();
    run.server.sequencer.fail(new Error('planted'));
    run.guard.release();
    expect(await Promise.all([first, change])).toEqual(['ok', 'outcome_unknown']);
    await run.server.close();
    expect([built, run.store.commits.length]).toEqual([false, 2]);
  });

  test('a batch that fails behind it leaves what was promised acknowledged', async () => {
    const { run, first } = await held();
    run.store.failNext('durable');
    const second = codeOf(append(run, run.main, 2));
    expect(await second).toBe('outcome_unknown');
    run.guard.release();
    expect(await first).toBe('ok');
    await run.server.close();
    expect([run.fatal.length, run.main.state.treeSize]).toEqual([1, 1]);
    const again = await restart(run.world);
    expect([again.adopted, again.main.state.treeSize]).toEqual([1, 3]);
  });
});

describe('fail-stop', () => {
  const faults: [string, (run: Run) => void, 'lost' | 'to adopt' | 'promised'][] = [
    ['the batch fails and is lost', (run) => run.store.failNext('lost'), 'lost'],
    ['the batch fails and is durable', (run) => run.store.failNext('durable'), 'to adopt'],
    ['the guard cannot be written', (run) => run.guard.failNext('outcome_unknown', false), 'to adopt'],
    ['the guard fails after its write', (run) => run.guard.failNext('outcome_unknown', true), 'promised'],
    ['another process owns the guard', (run) => run.guard.failNext('deposed', true), 'promised'],
  ];

  test.each(faults)('%s: whoever waits learns it, and nothing is accepted again', async (_, fail, outcome) => {
    const run = await firstStart();
    await append(run, run.main, 3);
    fail(run);
    run.store.hold();
    const inGroup = [
      append(run, run.main, 1),
      append(run, run.main, 2),
      run.server.createKey({ name: 'lost', scopes: ['read'], log: null }, 'x'),
    ].map(codeOf);
    await settle();
    const inPool = [append(run, run.main, 1), run.server.publisher.publishDue()].map(codeOf);
    await settle();
    run.store.release();
    expect(await Promise.all([...inGroup, ...inPool])).toEqual(new Array(5).fill('outcome_unknown'));
    expect(run.fatal.length).toBe(1);
    // Nobody sees any of it: neither entries nor heads nor keys.
    expect([run.main.state.treeSize, run.main.published.treeSize]).toEqual([3, 0]);
    expect(run.server.apiKeys.list().map(({ name }) => name)).toEqual(['admin']);

    const commits = run.store.commits.length;
    expect(await codeOf(append(run, run.main, 1))).toBe('outcome_unknown');
    expect(await codeOf(run.server.recordSystemEvent({ action: 'x.y' }))).toBe('outcome_unknown');
    await run.server.close();
    expect([run.store.commits.length, run.fatal.length]).toEqual([commits, 1]);

    const again = await restart(run.world);
    expect(again.main.state.treeSize).toBe(outcome === 'lost' ? 3 : 6);
    expect(again.adopted).toBe(outcome === 'to adopt' ? 1 : 0);
    expect((await append(again, again.main, 1)).length).toBe(1);
  });

  test('however many parts of the server fail, the process hears of it once', async () => {
    const run = await firstStart();
    run.store.hold();
    run.store.failNext('lost');
    const waiting = append(run, run.main, 1);
    await settle();
    run.server.sequencer.fail(new Error('planted'));
    run.store.release();
    await expect(waiting).rejects.toMatchObject({ code: 'outcome_unknown', cause: new Error('planted') });
    run.server.sequencer.fail(new Error('planted again'));
    await settle();
    expect(run.fatal).toEqual([new Error('planted')]);
  });

  test('an error of one request is nobody else’s', async () => {
    const run = await firstStart();
    const bad = run.server.sequencer.change(() => {
      throw new Error('planted');
    });
    const good = append(run, run.main, 1);
    await expect(bad).rejects.toThrow('planted');
    expect((await good).length).toBe(1);
    expect(run.fatal).toEqual([]);
  });
});

describe('by itself', () => {
  /** A sequencer over the store of a run, with nothing that is optional but what a test gives. */
  const alone = (run: Run, extra: Partial<SequencerOptions> = {}): Sequencer => {
    const end = { storeId: run.world.storeId, n: 1, recordHash: new Uint8Array(32), sum: new LogSum(), logCount: 2 };
    return new Sequencer({
      store: run.store,
      readEntries: async () => [],
      readLeafHashes: async () => [],
      committer: new Committer(run.store, run.guard, end),
      clock: new EntryClock(run.clock, 0, CLOCK_LIMITS, () => {}),
      onFatal: (error) => void run.fatal.push(error),
      ...extra,
    });
  };

  test('needs neither room nor anybody who listens', async () => {
    const run = await firstStart();
    const sequencer = alone(run);
    expect(await sequencer.change(() => 'done', CHANGE_COST)).toBe('done');
    expect(
      await sequencer.change((transaction) => transaction.put('a', new Uint8Array(1)), CHANGE_COST),
    ).toBeUndefined();
    expect(run.fatal).toEqual([]);
  });

  test('tells of each commit, and of none where nothing was to be written', async () => {
    const run = await firstStart();
    const told: number[] = [];
    const sequencer = alone(run, { onCommit: (hashes) => void told.push(hashes.size) });
    await sequencer.change(() => 'nothing');
    expect(told).toEqual([]);
    await sequencer.change((transaction) => transaction.put('a', new Uint8Array(1)));
    await sequencer.change((transaction, now) => transaction.append(run.main, new Uint8Array(1), now));
    expect(told).toEqual([0, 1]);
  });

  test('takes room for what adds to the store, by its size, and gives it back', async () => {
    const run = await firstStart();
    const room: string[] = [];
    const take = (cost: number): void => void room.push(`take ${cost}`);
    const release = (cost: number): void => void room.push(`release ${cost}`);
    const sequencer = alone(run, { room: { take, release } });
    const raw = await run.server.createLog({ name: 'raw', kind: 'raw', publicReads: true, idPointer: null }, 'x');
    await sequencer.change(() => 'free');
    expect(room).toEqual([]);
    await sequencer.change(() => 'dear', 7);
    await append({ server: { sequencer } } as Run, run.main, 2, 'x');
    await sequencer.appendRaw({ log: raw, leaves: new Uint8Array(10), source: 'x', idempotencyKey: undefined });
    const leaves = frame([new Uint8Array(3), new Uint8Array(5)]);
    await sequencer.appendRaw({ log: raw, leaves, source: 'x', idempotencyKey: undefined });
    const events = 2 * encoder.encode('{"n":0,"note":"x"}').length;
    const costs = [7, 2 * 1024 + events, 1024 + 10, 2 * 1024 + 2 * 2 + 3 + 5];
    expect(room).toEqual(costs.flatMap((cost) => [`take ${cost}`, `release ${cost}`]));
  });
});

describe('closing', () => {
  test('what was accepted is answered, what comes later is refused', async () => {
    const run = await firstStart();
    run.store.hold();
    const accepted = append(run, run.main, 1);
    const closing = run.server.sequencer.close();
    expect(await codeOf(append(run, run.main, 1))).toBe('shutting_down');
    run.store.release();
    expect((await accepted).length).toBe(1);
    await closing;
    expect(run.main.state.treeSize).toBe(1);
    expect(run.fatal).toEqual([]);
    await run.server.sequencer.close();
    expect(await codeOf(append(run, run.main, 1))).toBe('shutting_down');
  });

  test('after a failure it is the failure that everybody hears of', async () => {
    const run = await firstStart();
    run.server.sequencer.fail(new Error('planted'));
    await run.server.sequencer.close();
    expect(await codeOf(append(run, run.main, 1))).toBe('outcome_unknown');
  });
});

describe('an unsafe clock', () => {
  test('appends are refused, revocations are not, and all goes on once it is accepted', async () => {
    const run = await firstStart();
    const { key } = await run.server.createKey({ name: 'x', scopes: ['read'], log: null }, 'x');
    await request(run, [withId('a')]);
    run.clock.step(30 * 86400e3);
    expect(await codeOf(append(run, run.main, 1))).toBe('clock_unsafe');
    expect(await codeOf(request(run, [withId('b')]))).toBe('clock_unsafe');
    expect((await request(run, [withId('a')]))[0]).toMatchObject({ leafIndex: 0, replayed: true });
    expect((await run.server.revokeKey(key.id, 'x')).revokedAt).not.toBeNull();
    expect(run.main.state.treeSize).toBe(1);
    await run.server.acceptClock('x');
    expect(await codeOf(append(run, run.main, 1))).toBe('ok');
    expect(run.main.state.lastReceivedAt).toBe(run.clock.wallMicros());
  });

  test('no log is made, for that would sign a head', async () => {
    const run = await firstStart();
    run.clock.step(30 * 86400e3);
    const fields = { name: 'other', kind: 'events', publicReads: false, idPointer: null } as const;
    expect(await codeOf(run.server.createLog(fields, 'x'))).toBe('clock_unsafe');
    expect(run.server.log('other')).toBeUndefined();
    await run.server.acceptClock('x');
    expect(await codeOf(run.server.createLog(fields, 'x'))).toBe('ok');
  });
});

describe('exactly once', () => {
  test('an id of a log that was deleted is refused, and its entries are not looked for', async () => {
    const run = await firstStart();
    await request(run, [withId('a')]);
    await run.server.freezeLog(run.main, 'x');
    await run.server.publisher.publishDue();
    await run.server.deleteLog(run.main, 'x');
    const again = await restart(run.world);
    for (const each of [run, again]) {
      expect(await codeOf(request(each, [withId('a')]))).toBe('log_frozen');
      expect(await codeOf(request(each, [withId('a', ',"b":1')]))).toBe('log_frozen');
      expect(each.damage).toEqual([]);
    }
  });

  test('the same id again: the first index, also after a restart', async () => {
    const run = await firstStart();
    const [first] = await request(run, [withId('a')]);
    const [again] = await request(run, [withId('a')]);
    expect(first?.replayed).toBe(false);
    expect(again).toMatchObject({ leafIndex: first?.leafIndex, receivedAt: first?.receivedAt, replayed: true });
    expect([hex(again?.salt), hex(again?.leaf), hex(again?.header)]).toEqual(
      [first?.salt, first?.leaf, first?.header].map(hex),
    );
    expect(parseHeader(first?.header as Uint8Array)).toMatchObject({ id_pointer: '/id' });
    await run.server.close();
    const later = await restart(run.world);
    expect((await request(later, [withId('a')]))[0]).toMatchObject({ leafIndex: 0, replayed: true });
    expect(later.main.state.treeSize).toBe(1);
  });

  test('a repeat is one, whoever comes without an id in the same group', async () => {
    const run = await firstStart();
    await request(run, [withId('a')]);
    const answers = await Promise.all([
      append(run, run.main, 1),
      request(run, [withId('a')]),
      append(run, run.main, 1),
    ]);
    expect(answers.flat().map(({ leafIndex, replayed }) => [leafIndex, replayed])).toEqual([
      [1, false],
      [0, true],
      [2, false],
    ]);
  });

  test('other bytes under an id: conflict, and nothing of the request is stored', async () => {
    const run = await firstStart();
    await request(run, [withId('a')]);
    const refused = request(run, [withId('b'), withId('a', ',"x":1')]);
    await expect(refused).rejects.toMatchObject({
      code: 'id_conflict',
      details: { leaf_index: 0 },
      conflicts: [{ position: 1, leafIndex: 0 }],
    });
    expect(run.main.state.treeSize).toBe(1);
    expect((await request(run, [withId('b')]))[0]).toMatchObject({ leafIndex: 1, replayed: false });
  });

  test('two requests of one group with one id are one entry; a pending id is waited for', async () => {
    const run = await firstStart();
    run.store.hold();
    const group = [request(run, [withId('a')]), request(run, [withId('a')])];
    await settle();
    const pending = request(run, [withId('a')]);
    const other = codeOf(request(run, [withId('a', ',"x":1')]));
    let answered = false;
    void other.then(() => {
      answered = true;
    });
    await settle();
    expect(answered).toBe(false);
    run.store.release();
    const answers = (await Promise.all([...group, pending])).flat();
    expect(answers.map(({ leafIndex }) => leafIndex)).toEqual([0, 0, 0]);
    expect(answers.map(({ replayed }) => replayed)).toEqual([false, true, true]);
    expect(new Set(answers.map(({ leafHash, salt }) => hex(salt) + (leafHash === undefined)))).toHaveProperty(
      'size',
      2,
    );
    expect(await other).toBe('id_conflict');
    expect(run.main.state.treeSize).toBe(1);
  });

  test('a conflict within one group is answered only when the first is durable', async () => {
    const run = await firstStart();
    run.store.failNext('lost');
    const both = [codeOf(request(run, [withId('a')])), codeOf(request(run, [withId('a', ',"x":1')]))];
    expect(await Promise.all(both)).toEqual(['outcome_unknown', 'outcome_unknown']);
  });

  test('twice in one request: one entry if the bytes are the same, else a conflict', async () => {
    const run = await firstStart();
    const [a, b, c] = await request(run, [withId('a'), withId('b'), withId('a')]);
    expect([a?.leafIndex, b?.leafIndex, c?.leafIndex]).toEqual([0, 1, 0]);
    expect([a?.replayed, b?.replayed, c?.replayed]).toEqual([false, false, true]);
    expect(await codeOf(request(run, [withId('c'), withId('c', ',"x":1')]))).toBe('id_conflict');
    expect(run.main.state.treeSize).toBe(2);
  });

  test('ids are apart by log, source, pointer and type', async () => {
    const run = await firstStart();
    const log = await run.server.createLog({ name: 'other', kind: 'events', publicReads: false, idPointer: null }, 'x');
    const event = encoder.encode('{"id":1,"k":1}');
    const at = (path: string, id: string, source: string, where: Log): AppendRequest => ({
      log: where,
      events: [{ event, id }],
      by: 'x',
      source,
      via: 'events',
      once: { kind: 'pointer', pointer: parsePointer(path) },
    });
    for (const one of [
      at('/id', '1', 'a', run.main),
      at('/id', '1', 'b', run.main),
      at('/k', '1', 'a', run.main),
      at('/id', '1', 'a', log),
    ]) {
      expect((await run.server.sequencer.append(one))[0]?.replayed).toBe(false);
    }
    expect((await request(run, [withId(2)]))[0]?.replayed).toBe(false);
    expect((await request(run, [withId('2')]))[0]?.replayed).toBe(false);
    expect((await run.server.sequencer.append(at('/id', '1', 'a', run.main)))[0]?.replayed).toBe(true);
  });

  test('an id row that points elsewhere, or to a damaged entry, is damage: no false replay, nothing stored', async () => {
    const run = await firstStart();
    await request(run, [withId('a')]);
    await request(run, [withId('b')]);
    const rows = run.world.rows.rows();
    const ids = rows.filter(([key]) => key.includes('/id/'));
    expect(ids.length).toBe(2);
    const [[firstKey], [, secondValue]] = ids as [[string, Uint8Array], [string, Uint8Array]];
    await run.world.rows.commit([{ key: firstKey, value: secondValue }]);
    const codes = [await codeOf(request(run, [withId('a')])), await codeOf(request(run, [withId('b')]))];
    expect(codes.sort()).toEqual(['damaged', 'ok']);
    expect(run.main.state.treeSize).toBe(2);
    // Wherever in a request it stands.
    for (const ids of ['ac', 'ca', 'bd', 'db'])
      codes.push(
        await codeOf(
          request(
            run,
            [...ids].map((id) => withId(id)),
          ),
        ),
      );
    expect(codes.slice(2).sort()).toEqual(['damaged', 'damaged', 'ok', 'ok']);
    // Others in the same group are not concerned.
    const mixed = [
      codeOf(request(run, [withId('a')])),
      codeOf(request(run, [withId('b')])),
      codeOf(request(run, [withId('e')])),
    ];
    expect((await Promise.all(mixed)).sort()).toEqual(['damaged', 'ok', 'ok']);
    expect(run.fatal).toEqual([]);
  });

  test('the row of an idempotency key that does not tell the truth is damage too', async () => {
    const run = await firstStart();
    const keyed = (idempotencyKey: string): Promise<Appended[]> =>
      run.server.sequencer.append({
        log: run.main,
        events: [{ event: encoder.encode('{}'), id: undefined }],
        by: 'x',
        source: 'test',
        via: 'events',
        once: { kind: 'key', idempotencyKey },
      });
    await keyed('a');
    await keyed('b');
    const rows = run.world.rows.rows().filter(([key]) => key.includes('/id/'));
    const [keyOfA] = rows.find(([, value]) => parseIdRow(value).leafIndex === 0) as [string, Uint8Array];
    for (const value of [
      encodeIdRow({ leafIndex: 1, count: 1 }),
      encodeIdRow({ leafIndex: 1, count: 2 }),
      encodeIdRow({ leafIndex: 0, count: 0 }),
      encodeIdRow({ leafIndex: 2, count: 1 }),
      encodeIdRow({ leafIndex: 0, count: 1 }).subarray(1),
    ]) {
      await run.world.rows.commit([{ key: keyOfA, value }]);
      expect(await codeOf(keyed('a'))).toBe('damaged');
    }
    expect((await keyed('b'))[0]?.replayed).toBe(true);
    expect(run.main.state.treeSize).toBe(2);
  });

  test('a repeat is one, whatever else comes under its idempotency key in the same group', async () => {
    const run = await firstStart();
    const keyed = (bodies: readonly string[]): Promise<Appended[]> =>
      run.server.sequencer.append({
        log: run.main,
        events: bodies.map((body) => ({ event: encoder.encode(body), id: undefined })),
        by: 'x',
        source: 'test',
        via: 'events',
        once: { kind: 'key', idempotencyKey: 'k' },
      });
    const raw = await run.server.createLog({ name: 'raw', kind: 'raw', publicReads: true, idPointer: null }, 'x');
    const leaves = (bodies: readonly string[]) =>
      run.server.sequencer.appendRaw({
        log: raw,
        leaves: frame(bodies.map((body) => encoder.encode(body))),
        source: 'test',
        idempotencyKey: 'k',
      });
    const first = ['{"a":1}', '{"a":2}', '{"a":3}'];
    await keyed(first);
    await leaves(first);
    const others = [['{"a":1}', '{}', '{"a":3}'], ['{"a":1}', '{"a":2}', '{}'], [...first, '{}'], first.slice(0, 2)];
    for (const bodies of [
      [first, ...others],
      [...others, first],
      [...others, first, ...others],
    ]) {
      const expected = bodies.map((body) => (body === first ? 'ok' : 'id_conflict'));
      const commits = run.store.commits.length;
      expect(await Promise.all(bodies.map((body) => codeOf(keyed(body))))).toEqual(expected);
      expect(await Promise.all(bodies.map((body) => codeOf(leaves(body))))).toEqual(expected);
      expect(run.store.commits.length).toBe(commits);
    }
    expect([run.main.state.treeSize, raw.state.treeSize]).toEqual([3, 3]);
  });

  test('of stored events that somebody contradicts nothing is kept while the group is built', async () => {
    const run = await firstStart();
    const large = 'x'.repeat(100_000);
    for (let i = 0; i < 3; i++) await request(run, [withId(i, `,"large":"${large}"`)]);
    const used = async (events: AppendRequest['events']) => {
      const asked = {
        log: run.main,
        events,
        by: 'x',
        source: 'test',
        via: 'events',
        once: { kind: 'pointer', pointer },
      };
      const ids = wantedIds(asked as AppendRequest).filter((id) => id !== undefined);
      const { server } = run;
      return await readUsedIds(
        {
          store: run.store,
          readEntries: (log, leafIndexes) =>
            Promise.all(leafIndexes.map(async (i) => (await server.entries(log, i, i + 1))[0] as StoredEntry)),
          readLeafHashes: (log, from, to) => server.reader.leafHashes(log, log.state, from, to),
        },
        ids,
      );
    };
    const { stored } = await used([withId(0), withId(1, `,"large":"${large}"`), withId(2)]);
    expect([...stored.values()].map(({ leafIndex, entries }) => [leafIndex, entries.length])).toEqual([
      [0, 0],
      [1, 1],
      [2, 0],
    ]);
  });

  test('a request that is refused by 64 conflicts is not compared any further, and others in its group are', async () => {
    const run = await firstStart();
    const ids = Array.from({ length: 300 }, (_, i) => i);
    await request(
      run,
      ids.map((i) => withId(i)),
    );
    const reads: number[] = [];
    const used = async (...requests: AppendRequest['events'][]) => {
      const wanted = requests.flatMap((events) =>
        wantedIds({
          ...{ log: run.main, events, by: 'x', source: 'test', via: 'events' },
          once: { kind: 'pointer', pointer },
        } as AppendRequest),
      );
      reads.length = 0;
      const { stored } = await readUsedIds(
        {
          store: run.store,
          readEntries: async (log, leafIndexes) => {
            reads.push(...leafIndexes);
            return Promise.all(
              leafIndexes.map(async (i) => (await run.server.entries(log, i, i + 1))[0] as StoredEntry),
            );
          },
          readLeafHashes: (log, from, to) => run.server.reader.leafHashes(log, log.state, from, to),
        },
        wanted.filter((id) => id !== undefined),
      );
      return stored;
    };
    const others = ids.map((i) => withId(i, ',"other":1'));
    expect((await used(others)).size).toBe(64);
    expect(reads).toHaveLength(64);
    // 63 are not enough.
    expect((await used([...others.slice(0, 63), ...ids.slice(63).map((i) => withId(i))])).size).toBe(300);
    // What another request brings as it is stored is looked at, wherever it stands.
    const stored = await used(others, [withId(299), withId(5)]);
    expect(
      [...stored.values()].filter(({ entries }) => entries.length === 1).map(({ leafIndex }) => leafIndex),
    ).toEqual(expect.arrayContaining([299, 5]));
    expect(reads).toHaveLength(65);
    const answers = await Promise.allSettled([request(run, others), request(run, [withId(299), withId(5)])]);
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(run.main.state.treeSize).toBe(300);
  });

  test('the longest pointer that is accepted fits the header', async () => {
    const run = await firstStart();
    for (const text of [`/${'\u0001'.repeat(126)}${'€'.repeat(41)}`, `/${'"'.repeat(255)}`, `/${'é'.repeat(127)}`]) {
      const [entry] = await run.server.sequencer.append({
        log: run.main,
        events: [{ event: encoder.encode(`{${JSON.stringify(parsePointer(text).steps[0]?.name)}:1}`), id: '1' }],
        by: '0123456789abcdef',
        source: 'x',
        via: 'events',
        once: { kind: 'pointer', pointer: parsePointer(text) },
      });
      expect(entry?.header.length).toBeLessThanOrEqual(1024);
      expect(parseHeader(entry?.header as Uint8Array).id_pointer).toBe(text);
    }
  });

  test('every conflict of a request is named', async () => {
    const run = await firstStart();
    await request(run, [withId('a'), withId('b')]);
    const refused = request(run, [withId('b', ',"x":1'), withId('c'), withId('c', ',"x":1'), withId('a', ',"x":1')]);
    await expect(refused).rejects.toMatchObject({
      code: 'id_conflict',
      conflicts: [
        { position: 0, leafIndex: 1 },
        { position: 2, leafIndex: undefined },
        { position: 3, leafIndex: 0 },
      ],
    });
    expect(run.main.state.treeSize).toBe(2);
  });
});
