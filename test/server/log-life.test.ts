/** Deleted logs in recovery: what is left of one must still be what was signed last, and what was not removed yet is removed. */
import { describe, expect, test } from '@jest/globals';
import { ExitError } from '../../server/errors.ts';
import { bodyPrefixes } from '../../server/storage/keys.ts';
import { append, edited, firstStart, restart, type World } from './memory-server.ts';

/** A world in which `main` was deleted with 300 entries, and none of its rows removed yet. */
async function tombstone(): Promise<World> {
  const run = await firstStart();
  await append(run, run.main, 299);
  await run.server.freezeLog(run.main, 'x');
  await run.server.publisher.publishDue();
  await run.server.deleteLog(run.main, 'x');
  await run.server.close();
  return run.world;
}

const keysOf = (world: World): string[] => world.rows.rows().map(([key]) => key);
const isBody = (key: string): boolean => bodyPrefixes('main').some((prefix) => key.startsWith(prefix));

async function refusal(world: World, edit: (rows: Map<string, Uint8Array>) => void): Promise<string> {
  const error = await restart(world, edited(world, edit)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ExitError);
  expect((error as ExitError).exitCode).toBe(78);
  return (error as ExitError).message;
}

describe('a start after a deletion', () => {
  test('needs only the tombstone, and goes on removing the rest', async () => {
    const world = await tombstone();
    expect(keysOf(world).filter(isBody).length).toBeGreaterThan(300);
    const swept = edited(world, (rows) => {
      for (const key of [...rows.keys()]) if (isBody(key)) rows.delete(key);
    });
    expect((await restart(world, swept)).main.definition.status).toBe('deleted');
    const run = await restart(world);
    run.server.start();
    for (let i = 0; i < 1000 && keysOf(run.world).some(isBody); i++) await new Promise(setImmediate);
    expect(keysOf(run.world).filter(isBody)).toEqual([]);
    expect(keysOf(run.world)).toContain('log/main/~edge');
    await run.server.close();
    expect((await restart(run.world)).main.published.treeSize).toBe(300);
  });

  test('does not believe the time in the edge: the leaf that vouched for it is gone, and it would set the clock', async () => {
    const world = await tombstone();
    const run = await restart(
      world,
      edited(world, (rows) => flip(rows, 'log/main/~edge', 10)),
    );
    expect(run.server.entryClock.now()).toBeLessThan(run.clock.wallMicros() + 1e6);
  });

  test.each<readonly [string, (rows: Map<string, Uint8Array>) => void, RegExp]>([
    ['edge missing', (rows) => rows.delete('log/main/~edge'), /main has no edge/],
    ['root of the edge changed', (rows) => flip(rows, 'log/main/~edge', 17), /main/],
    ['frontier changed', (rows) => flip(rows, 'log/main/~edge', 70), /main/],
    ['last head missing', (rows) => rows.delete('log/main/head/0000000000000300'), /main: its newest head/],
    ['last head changed', (rows) => flip(rows, 'log/main/head/0000000000000300', 40), /main/],
    ['the tombstone itself missing', (rows) => rows.delete('server/log/main'), /not those of commit/],
  ])('refuses: %s', async (_, edit, message) => {
    expect(await refusal(await tombstone(), edit)).toMatch(message);
  });

  test('a log is not deleted before its last head is signed', async () => {
    const run = await firstStart();
    await append(run, run.main, 3);
    const both = [run.server.freezeLog(run.main, 'x'), run.server.deleteLog(run.main, 'x')];
    expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await expect(run.server.deleteLog(run.main, 'x')).rejects.toMatchObject({ code: 'log_not_frozen' });
    await run.server.publisher.publishDue();
    await run.server.deleteLog(run.main, 'x');
    expect(run.main.definition.status).toBe('deleted');
  });
});

function flip(rows: Map<string, Uint8Array>, key: string, at: number): void {
  const value = rows.get(key) as Uint8Array;
  value[at] = ((value[at] as number) + 1) % 256;
}
