/** The background scrub, with the clock in hand: its rate, growth under it, what it finds, and how it ends. */
import { describe, expect, test } from '@jest/globals';
import type { Log } from '../../server/log.ts';
import type { Scrub } from '../../server/scrub.ts';
import { bundleKey, edgeKey, eventKey, headKey, openKey, tileKey } from '../../server/storage/keys.ts';
import type { ManualClock } from '../support/manual-clock.ts';
import { settle } from '../support/manual-clock.ts';
import { append, firstStart, type Run, restart } from './memory-server.ts';

const RATE = 100_000;
const OPTIONS = { rate: RATE, delay: 5000, pause: 60_000 };

async function scrubbed(entries: number, rate = RATE): Promise<Run & { readonly scrub: Scrub }> {
  const run = await firstStart({ scrub: { ...OPTIONS, rate } });
  await append(run, run.main, entries);
  await run.server.publisher.publishDue();
  return { ...run, scrub: run.server.scrub as Scrub };
}

/** The same store after a start. */
async function scrubbedAgain({ world, clock }: Run): Promise<Run & { readonly scrub: Scrub }> {
  const run = await restart(world, { clock }, { scrub: OPTIONS });
  return { ...run, scrub: run.server.scrub as Scrub };
}

/** Lets time pass until a promise is settled. Returns the milliseconds that it took. */
async function elapse(clock: ManualClock, promise: Promise<unknown>, each: () => void = () => {}): Promise<number> {
  let done = false;
  const watched = promise.finally(() => {
    done = true;
  });
  watched.catch(() => undefined);
  let passed = 0;
  for (await settle(2); !done; await settle(2)) {
    clock.advance(5);
    passed += 5;
    each();
    if (passed > 600_000) throw new Error('the scrub does not end');
  }
  await promise;
  return passed;
}

async function damage(run: Run, key: string, at: number): Promise<void> {
  const value = (await run.world.rows.get(key))?.slice();
  if (value === undefined) throw new Error(`${key} is not stored`);
  const place = at < 0 ? value.length + at : at;
  value[place] = ((value[place] as number) + 1) % 256;
  await run.world.rows.commit([{ key, value }]);
}

describe('a round', () => {
  test('over a whole store finds nothing, and says how far it is', async () => {
    const run = await scrubbed(600);
    const seen: number[] = [];
    expect(run.scrub.progress).toEqual({ ratio: 0, lastCompleted: 0, bytes: 0 });
    await elapse(run.clock, run.scrub.round(), () => seen.push(run.scrub.progress.ratio));
    expect(run.damage).toEqual([]);
    expect(seen.slice().sort((a, b) => a - b)).toEqual(seen);
    expect(seen.some((ratio) => ratio > 0.2 && ratio < 0.9)).toBe(true);
    const { ratio, lastCompleted, bytes } = run.scrub.progress;
    expect([ratio, lastCompleted]).toEqual([1, Math.floor(run.clock.wallMicros() / 1e6)]);
    let stored = 0;
    for (const [key, value] of run.world.rows.rows()) if (!key.endsWith('/~edge')) stored += value.length;
    expect(bytes).toBeGreaterThanOrEqual(stored);
  });

  test.each([50_000, 400_000])('takes as long as its rate of %d bytes a second says', async (rate) => {
    const run = await scrubbed(600, rate);
    const passed = await elapse(run.clock, run.scrub.round());
    const expected = (run.scrub.progress.bytes / rate) * 1000;
    expect(passed).toBeGreaterThan(expected * 0.95 - 210);
    // Each read counts for 2 KiB more.
    expect(passed).toBeLessThan(expected * 2.2 + 100);
  });

  test('takes its time over many logs with next to nothing in them', async () => {
    const run = await scrubbed(1, 1_000_000);
    for (let i = 0; i < 60; i++)
      await run.server.createLog({ name: `log-${i}`, kind: 'raw', publicReads: true, idPointer: null }, 'x');
    await run.server.publisher.publishDue();
    const passed = await elapse(run.clock, run.scrub.round());
    // Their bytes are few and their reads many; by bytes alone ten thousand logs took all of a core for seconds.
    expect(passed).toBeGreaterThan((2 * run.scrub.progress.bytes) / 1000);
  });

  test('is not disturbed by a log that grows under it, over the ends of bundles too', async () => {
    const run = await scrubbed(500);
    const appends: Promise<unknown>[] = [];
    let turn = 0;
    const passed = await elapse(run.clock, run.scrub.round(), () => {
      turn++;
      if (turn % 3 === 0 && appends.length < 120) appends.push(append(run, run.main, 7));
      if (turn % 10 === 0) appends.push(run.server.publisher.publishDue());
    });
    await Promise.all(appends);
    expect(passed).toBeGreaterThan(500);
    expect(run.main.state.treeSize).toBeGreaterThan(768);
    expect(run.damage).toEqual([]);
    await elapse(run.clock, run.scrub.round());
    expect(run.damage).toEqual([]);
  });

  test.each<[string, (log: Log) => [string, number], string]>([
    ['a bundle', () => [bundleKey('main', 1), 43 * 10 + 20], 'entry bundle 266'],
    ['a tile', () => [tileKey('main', { level: 0, index: 0 }), 77], 'tile (log/main/tile/0/000)'],
    ['an open leaf', () => [openKey('main', 512), 43 * 43 + 20], 'open leaf 555'],
    ['an event', () => [eventKey('main', 300), -3], 'event 300'],
    ['a head', (log) => [headKey('main', log.published.treeSize), 40], 'head 600'],
    ['an edge', () => [edgeKey('main'), 30], 'edge'],
  ])('names damage in %s once, in every round, and the server goes on', async (_name, place, text) => {
    const run = await scrubbed(600);
    await damage(run, ...place(run.main));
    await elapse(run.clock, run.scrub.round());
    expect(run.damage).toEqual([expect.stringContaining(`log main: ${text}`)]);
    await elapse(run.clock, run.scrub.round());
    expect(run.damage).toHaveLength(2);
    expect(run.fatal).toEqual([]);
    await append(run, run.main, 1);
  });

  test('after a restart believes no more of the time in the edge of a raw and of a deleted log than the start did', async () => {
    const before = await scrubbed(300);
    const raw = await before.server.createLog({ name: 'raw', kind: 'raw', publicReads: true, idPointer: null }, 'x');
    const leaf = new Uint8Array(3);
    await before.server.sequencer.appendRaw({ log: raw, leaves: leaf, source: 'x', idempotencyKey: undefined });
    await before.server.freezeLog(before.main, 'x');
    await before.server.publisher.publishDue();
    await before.server.deleteLog(before.main, 'x');
    await before.server.close();
    const run = await scrubbedAgain(before);
    await elapse(run.clock, run.scrub.round());
    expect(run.damage).toEqual([]);
    await damage(run, edgeKey('raw'), 30);
    await elapse(run.clock, run.scrub.round());
    expect(run.damage).toEqual([expect.stringContaining('log raw: edge')]);
  });

  test('knows the keys of heads that were signed after it had begun', async () => {
    const run = await scrubbed(0);
    const log = await run.server.createLog({ name: 'r', kind: 'raw', publicReads: true, idPointer: null }, 'x');
    for (let i = 0; i < 300; i++) {
      await run.server.sequencer.appendRaw({
        log,
        leaves: Uint8Array.of(i % 256),
        source: 'x',
        once: undefined,
      } as never);
      await run.server.publisher.publishDue();
    }
    await elapse(run.clock, run.scrub.round());
    const { bytes } = run.scrub.progress;
    const rotate = async (): Promise<void> => {
      await run.server.rotateKey(log, 'x');
      await run.server.publisher.publishDue();
      await run.server.endRotation(log, 'x');
      await run.server.publisher.publishDue();
    };
    let rotated: Promise<void> | undefined;
    // By then it is at this log, whose heads are most of what there is, and has read the first of them.
    await elapse(run.clock, run.scrub.round(), () => {
      if (run.scrub.progress.bytes > 1.6 * bytes) rotated ??= rotate();
    });
    await rotated;
    expect(log.definition.rotations[0]?.endedAt).toEqual(expect.any(String));
    expect(run.damage).toEqual([]);
  });

  test('does not flood whoever listens', async () => {
    const run = await scrubbed(600);
    for (let i = 0; i < 300; i++) await run.world.rows.commit([{ key: eventKey('main', i), value: undefined }]);
    await elapse(run.clock, run.scrub.round());
    expect(run.damage).toHaveLength(101);
    expect(run.damage.at(-1)).toContain('200 more places');
  });
});

describe('its life', () => {
  test('rounds follow each other with a pause, until it is closed with the server', async () => {
    const run = await scrubbed(50);
    run.scrub.start();
    run.scrub.start();
    const until = async (condition: () => boolean): Promise<void> => {
      for (let i = 0; i < 20_000 && !condition(); i++) {
        await settle(2);
        run.clock.advance(50);
      }
      expect(condition()).toBe(true);
    };
    await until(() => run.scrub.progress.lastCompleted > 0);
    const first = run.scrub.progress;
    await until(() => run.scrub.progress.lastCompleted > first.lastCompleted);
    expect(run.scrub.progress.lastCompleted - first.lastCompleted).toBeGreaterThanOrEqual(60);
    await run.server.close();
    const { bytes } = run.scrub.progress;
    run.clock.advance(1_000_000);
    await settle();
    expect([run.scrub.progress.bytes, run.clock.sleeping, run.damage]).toEqual([bytes, 0, []]);
  });

  test('closing ends a round in its middle', async () => {
    const run = await scrubbed(600);
    run.scrub.start();
    await settle();
    run.clock.advance(4999);
    await settle();
    expect(run.scrub.progress.bytes).toBe(0);
    run.clock.advance(501);
    await settle();
    run.clock.advance(500);
    await settle();
    expect(run.scrub.progress.bytes).toBeGreaterThan(0);
    expect(run.scrub.progress.ratio).toBeLessThan(1);
    await run.server.close();
    expect([run.damage, run.fatal]).toEqual([[], []]);
  });

  test('without a rate there is none', async () => {
    expect((await firstStart()).server.scrub).toBeUndefined();
  });
});
