import { afterEach, describe, expect, test } from '@jest/globals';
import { ServerError } from '../../server/errors.ts';
import { FreeSpace, type MinFreeSpace, type Place, placesOf, type SpaceReport } from '../../server/free-space.ts';
import { problemOf } from '../../server/http/problem.ts';
import type { Log } from '../../server/log.ts';
import { readConfig } from '../../server/read-config.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { append, firstStart } from './memory-server.ts';

const MIB = 1_048_576;

/** A disk whose figures a test sets: bytes free of 1,000 MiB, an error, or no answer at all. */
class Disk {
  free: number | Error | 'hangs' = 500 * MIB;
  looks = 0;

  readonly statfs = async () => {
    this.looks++;
    if (this.free === 'hangs') return new Promise<never>(() => {});
    if (this.free instanceof Error) throw this.free;
    return { bsize: 4096n, blocks: 256_000n, bavail: BigInt(this.free) / 4096n };
  };
}

const open: FreeSpace[] = [];
afterEach(() => {
  for (const space of open.splice(0)) space.close();
});

async function setUp(minimum: Place['minimum'] | 'off' = () => 8 * MIB) {
  const disk = new Disk();
  const clock = new ManualClock();
  const changes: SpaceReport[] = [];
  const start = async (): Promise<FreeSpace> => {
    const space = await FreeSpace.open({
      places: [{ path: '/data', minimum: minimum === 'off' ? undefined : minimum }],
      clock,
      statfs: disk.statfs,
      onChange: (report) => changes.push(report),
    });
    open.push(space);
    return space;
  };
  const pass = async (): Promise<void> => {
    // A look may be under way that began before what the test did last.
    for (let i = 0; i < 2; i++) {
      clock.advance(1000);
      await settle();
    }
  };
  return { disk, clock, changes, start, pass };
}

function refused(space: FreeSpace, bytes: number): boolean {
  try {
    space.take(bytes);
    space.release(bytes);
    return false;
  } catch (error) {
    expect((error as ServerError).code).toBe('storage_full');
    return true;
  }
}

describe('the watermark', () => {
  test('below it nothing is taken, above it and a little more again, and each change is told once', async () => {
    const { disk, changes, start, pass } = await setUp();
    const space = await start();
    expect([refused(space, 1000), space.report.free]).toEqual([false, 500 * MIB]);
    disk.free = 8 * MIB - 4096;
    await pass();
    expect(refused(space, 1)).toBe(true);
    await pass();
    disk.free = 8.5 * MIB;
    await pass();
    expect([refused(space, 1), space.report.full]).toEqual([true, true]);
    disk.free = 9 * MIB;
    await pass();
    expect([refused(space, 1), space.report.full]).toEqual([false, false]);
    expect(changes.map(({ full }) => full)).toEqual([true, false]);
  });

  test('is known before the first request', async () => {
    const { disk, changes, start } = await setUp();
    disk.free = 0;
    expect(refused(await start(), 1)).toBe(true);
    expect(changes).toEqual([{ path: '/data', free: 0, minimum: 8 * MIB, full: true, error: undefined }]);
  });

  test('a burst between two looks ends at it: each byte counts twice until it is seen on the disk', async () => {
    const { disk, start, pass } = await setUp();
    disk.free = 10 * MIB;
    const space = await start();
    space.take(MIB / 2);
    expect(refused(space, MIB / 2 + 1)).toBe(true);
    space.release(MIB / 2);
    disk.free = 'hangs';
    // What is written counts until the disk has been asked again; here that one question never ends.
    expect(refused(space, MIB / 2 + 1)).toBe(true);
    expect(refused(space, MIB / 2)).toBe(false);
    expect(refused(space, 1)).toBe(true);
    await pass();
    expect(refused(space, 1)).toBe(true);
  });

  test('what is taken and not yet written counts across looks', async () => {
    const { disk, start, pass } = await setUp();
    disk.free = 10 * MIB;
    const space = await start();
    space.take(MIB - 100);
    await pass();
    await pass();
    expect(refused(space, 200)).toBe(true);
    space.release(MIB - 100);
    await pass();
    expect(refused(space, 200)).toBe(false);
  });

  test('near it, the disk is asked at once and not after a second', async () => {
    const { disk, start } = await setUp();
    disk.free = 9 * MIB;
    const space = await start();
    space.take(1000);
    expect(disk.looks).toBe(1);
    space.take(MIB / 2 - 1000);
    expect(disk.looks).toBe(2);
  });

  test('a file system that does not say counts as full until it does', async () => {
    const { disk, changes, start, pass } = await setUp();
    const space = await start();
    disk.free = new Error('EIO: i/o error, statfs');
    await pass();
    expect(refused(space, 1)).toBe(true);
    expect(space.report).toMatchObject({ free: undefined, error: expect.stringContaining('EIO') });
    disk.free = 500 * MIB;
    await pass();
    expect(refused(space, 1)).toBe(false);
    expect(changes).toHaveLength(2);
  });

  test('switched off, the room is measured and never short', async () => {
    const { disk, start, pass } = await setUp('off');
    disk.free = 0;
    const space = await start();
    expect([refused(space, 1e12), space.report.free]).toEqual([false, 0]);
    disk.free = new Error('ENOSYS');
    await pass();
    expect(refused(space, 1)).toBe(false);
  });

  test('of two places the one with less room above its minimum counts', async () => {
    const space = await FreeSpace.open({
      places: [
        { path: '/data', minimum: () => 8 * MIB },
        { path: '/guard', minimum: () => MIB },
      ],
      clock: new ManualClock(),
      statfs: async (path) => ({ bsize: 1n, blocks: 10n ** 9n, bavail: path === '/guard' ? 1_000_000n : 10n ** 8n }),
    });
    open.push(space);
    expect(space.report).toMatchObject({ path: '/guard', full: true });
  });
});

describe('the default and the setting', () => {
  test.each<[string, MinFreeSpace, number, number, number]>([
    ['5 % of a large disk', undefined, 1e12, 5e10, MIB],
    ['twice the write buffer of a small one', undefined, 24 * MIB, 8 * MIB, MIB],
    ['bytes', { bytes: 5000 }, 1e12, 5000, 5000],
    ['a share', { percent: 10 }, 1e9, 1e8, MIB],
  ])('%s', (_name, least, size, db, guard) => {
    const places = placesOf({ db: '/d', guard: '/g' }, 4 * MIB, least);
    expect(places.map(({ path, minimum }) => [path, minimum?.(size)])).toEqual([
      ['/d', db],
      ['/g', guard],
    ]);
  });

  test.each<MinFreeSpace>([{ bytes: 0 }, { percent: 0 }])('%j switches it off', (least) => {
    expect(placesOf({ db: '/d', guard: '/g' }, 4 * MIB, least).map(({ minimum }) => minimum)).toEqual([undefined]);
  });
});

describe('a server without room', () => {
  const full = {
    take: () => {
      throw new ServerError('storage_full', 'no room');
    },
    release: () => {},
  };

  async function fullServer() {
    let isFull = false;
    const run = await firstStart({ room: { take: () => isFull && full.take(), release: () => {} } });
    const { server } = run;
    const { key } = await server.createKey({ name: 'a', scopes: ['append'], log: null }, 'system');
    await server.createLog({ name: 'raw', kind: 'raw', publicReads: true, idPointer: null }, 'system');
    await append(run, run.main, 3);
    return {
      ...run,
      key,
      fill: () => {
        isFull = true;
      },
    };
  }

  const code = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'taken',
      (error) => (error as ServerError).code,
    );

  test('takes no entries, logs or keys, and commits nothing', async () => {
    const run = await fullServer();
    run.fill();
    const { server, store } = run;
    const before = store.commits.length;
    const raw = server.log('raw') as Log;
    expect(await code(append(run, run.main, 1))).toBe('storage_full');
    expect(
      await code(
        server.sequencer.appendRaw({ log: raw, leaves: new Uint8Array(0), source: 'x', idempotencyKey: undefined }),
      ),
    ).toBe('storage_full');
    const fields = { kind: 'events', publicReads: true, idPointer: null } as const;
    expect(await code(server.createLog({ ...fields, name: 'more' }, 'system'))).toBe('storage_full');
    expect(await code(server.createKey({ name: 'b', scopes: ['read'], log: null }, 'system'))).toBe('storage_full');
    expect(store.commits).toHaveLength(before);
    expect([run.main.state.treeSize, server.sequencer.pendingEntries]).toEqual([3, 0]);
    await server.close();
  });

  test('signs, revokes and records all the same', async () => {
    const run = await fullServer();
    run.fill();
    const { server } = run;
    await server.publisher.publishDue();
    expect(run.main.published.treeSize).toBe(3);
    await server.revokeKey(run.key.id, 'system');
    expect(server.apiKeys.get(run.key.id)?.revokedAt).not.toBeNull();
    await server.acceptClock('system');
    expect(run.fatal).toEqual([]);
    await server.close();
  });

  test('what is taken is given back once it is written, or refused', async () => {
    let taken = 0;
    const run = await firstStart({
      room: {
        take: (bytes) => {
          taken += bytes;
        },
        release: (bytes) => {
          taken -= bytes;
        },
      },
    });
    run.store.hold();
    const waiting = append(run, run.main, 2);
    await settle();
    expect(taken).toBeGreaterThan(2048);
    run.store.release();
    await waiting;
    await settle();
    expect(taken).toBe(0);
    const again = { name: 'main', kind: 'events', publicReads: true, idPointer: null } as const;
    expect(await code(run.server.createLog(again, 'system'))).toBe('log_exists');
    await settle();
    expect(taken).toBe(0);
    await run.server.close();
  });
});

test('the answer is 507 with a time to come back', () => {
  const reply = problemOf(new ServerError('storage_full', 'no room'));
  expect([reply.status, reply.headers['retry-after']]).toEqual([507, '10']);
  expect(JSON.parse(String(reply.body))).toMatchObject({ status: 507, code: 'storage_full', detail: 'no room' });
});

describe('--min-free-space', () => {
  const read = (text: string): MinFreeSpace => readConfig({ minFreeSpace: text }, {}).minFreeSpace;

  test('takes bytes or a share', () => {
    expect([read('0'), read('1073741824'), read('10%')]).toEqual([
      { bytes: 0 },
      { bytes: 1_073_741_824 },
      { percent: 10 },
    ]);
    expect(readConfig({}, { INDELIBLE_MIN_FREE_SPACE: '7%' }).minFreeSpace).toEqual({ percent: 7 });
    expect(readConfig({}, {}).minFreeSpace).toBeUndefined();
  });

  test.each(['', '-1', '1.5', '5 %', '100%', '1G', '1e9', '9'.repeat(16)])("refuses '%s'", (text) => {
    expect(() => read(text)).toThrow('--min-free-space');
  });
});
