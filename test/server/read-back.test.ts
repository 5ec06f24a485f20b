import { describe, expect, test } from '@jest/globals';
import { bundleKey, headKey } from '../../server/storage/keys.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { settle } from '../support/manual-clock.ts';
import { append, firstStart, type Run, restart } from './memory-server.ts';

/** Bundles that are read from now on, in order. */
function bundlesRead(run: Run): string[] {
  const read: string[] = [];
  const { store } = run;
  const { getMany } = store;
  store.getMany = (keys) => {
    read.push(...keys.filter((key) => key.startsWith('stream/main/entries/')));
    return getMany.call(store, keys);
  };
  return read;
}

/** Reads wait from now on, until the function that is returned is called. */
function holdReads({ store }: Run): () => void {
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const { getMany } = store;
  store.getMany = async (keys) => {
    await gate;
    return getMany.call(store, keys);
  };
  return open;
}

/** Leaves of events take 43 bytes each, framing included. */
const BUNDLE_BYTES = 256 * 43;

async function signedOnce(readBackBytes: number): Promise<Run> {
  const run = await firstStart({ readBackBytes });
  await append(run, run.main, 256);
  await run.server.publisher.publishDue();
  return run;
}

describe('reading a log back before its next head', () => {
  test('what grew by enough is read at once, and for the head only what came since', async () => {
    const run = await signedOnce(BUNDLE_BYTES);
    const read = bundlesRead(run);
    await append(run, run.main, 255);
    await settle();
    expect(read).toEqual([]);
    await append(run, run.main, 1);
    await settle();
    expect(read).toEqual([bundleKey('main', 1)]);
    expect(run.main.published.treeSize).toBe(256);
    await append(run, run.main, 300);
    await settle();
    expect(read).toEqual([1, 2].map((index) => bundleKey('main', index)));
    await append(run, run.main, 212);
    read.length = 0;
    await run.server.publisher.publishDue();
    expect(read).toEqual([bundleKey('main', 3)]);
    expect([run.main.published.treeSize, run.fatal]).toEqual([1024, []]);
  });

  test('a log that was not signed in this run is read for its head alone', async () => {
    const run = await firstStart({ readBackBytes: 1 });
    const read = bundlesRead(run);
    await append(run, run.main, 300);
    await settle();
    expect(read).toEqual([]);
    await run.server.publisher.publishDue();
    expect(read).toEqual([bundleKey('main', 0)]);
    await append(run, run.main, 300);
    await settle();
    await run.server.close();
    const again = await restart(run.world, {}, { readBackBytes: 1 });
    const readAgain = bundlesRead(again);
    await append(again, again.main, 300);
    await settle();
    expect(readAgain).toEqual([]);
  });

  test.each([
    ['a bundle was changed', (value: Uint8Array) => value.with(1000, 255 - (value[1000] as number))],
    ['a bundle is missing', () => undefined],
  ])('%s: the server stops then, long before the head, and signs nothing', async (_, change) => {
    const run = await signedOnce(1);
    run.store.hold('after');
    const growing = append(run, run.main, 256).catch((error: unknown) => error);
    await settle();
    const key = bundleKey('main', 1);
    await run.world.rows.commit([{ key, value: change((await run.world.rows.get(key)) as Uint8Array) }]);
    run.store.release();
    await growing;
    await settle();
    expect(run.fatal).toEqual([expect.objectContaining({ code: 'damaged' })]);
    await expect(run.server.publisher.publishDue()).rejects.toMatchObject({ code: 'damaged' });
    expect(await run.server.publisher.waitFor(run.main, 512, 3_600_000)).toBe(false);
    expect(await run.world.rows.get(headKey('main', 512))).toBeUndefined();
    await expect(append(run, run.main, 1)).rejects.toMatchObject({ code: 'outcome_unknown' });
  });

  test.each([
    ['read ahead', 1],
    ['under a head', Number.POSITIVE_INFINITY],
  ])('leaves that were %s as open rows are read once more where they stand in a bundle', async (how, readBackBytes) => {
    const run = await signedOnce(readBackBytes);
    await append(run, run.main, 44);
    await settle();
    if (how === 'under a head') await run.server.publisher.publishDue();
    const { treeSize: signed } = run.main.published;
    run.store.hold('after');
    const growing = append(run, run.main, 300).catch((error: unknown) => error);
    await settle();
    const key = bundleKey('main', 1);
    const bundle = ((await run.world.rows.get(key)) as Uint8Array).slice();
    // In the first of the 44.
    bundle[20] = 255 - (bundle[20] as number);
    await run.world.rows.commit([{ key, value: bundle }]);
    run.store.release();
    await growing;
    await settle();
    await expect(run.server.publisher.publishDue()).rejects.toMatchObject({ code: 'damaged' });
    expect(run.main.published.treeSize).toBe(signed);
  });

  test('the root in memory is not the one of the stored leaves: noticed then', async () => {
    const run = await signedOnce(1);
    run.main.state = { ...run.main.state, rootHash: asTreeHash(new Uint8Array(32).fill(1)) };
    run.main.appendedBytes += 1;
    run.server.publisher.grew(run.main);
    await settle();
    expect(run.fatal).toEqual([expect.objectContaining({ code: 'damaged' })]);
  });

  test('a head of another root than the one it was read on top of is not followed', async () => {
    const run = await signedOnce(1);
    await append(run, run.main, 300);
    await settle();
    run.main.published = { ...run.main.published, rootHash: asTreeHash(new Uint8Array(32).fill(1)) };
    await expect(run.server.publisher.publishDue()).rejects.toMatchObject({ code: 'damaged' });
    expect(await run.world.rows.get(headKey('main', 556))).toBeUndefined();
  });

  test('a head that comes meanwhile waits for it, and builds on it', async () => {
    const run = await signedOnce(1);
    const open = holdReads(run);
    await append(run, run.main, 256);
    const publishing = run.server.publisher.publishDue();
    await settle();
    await append(run, run.main, 100);
    expect(run.main.published.treeSize).toBe(256);
    open();
    await publishing;
    expect([run.main.published.treeSize, run.fatal]).toEqual([612, []]);
  });

  test('a server that closes waits for it, and begins none', async () => {
    const run = await signedOnce(1);
    const open = holdReads(run);
    await append(run, run.main, 256);
    let closed = false;
    const closing = run.server.close().then(() => {
      closed = true;
    });
    await settle();
    expect(closed).toBe(false);
    open();
    await closing;
    expect(run.fatal).toEqual([]);
  });

  test('none is begun where nothing is signed any more, or while the log is signed', async () => {
    const run = await signedOnce(BUNDLE_BYTES);
    await append(run, run.main, 256);
    await settle();
    const open = holdReads(run);
    const read = bundlesRead(run);
    await append(run, run.main, 100);
    const publishing = run.server.publisher.publishDue();
    await settle();
    await append(run, run.main, 300);
    await settle();
    expect(read).toEqual([]);
    open();
    await publishing;
    await run.server.publisher.close();
    read.length = 0;
    await append(run, run.main, 300);
    await settle();
    expect([read, run.fatal]).toEqual([[], []]);
  });
});
