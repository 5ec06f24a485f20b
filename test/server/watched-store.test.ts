/** Rows that the engine cannot read: damage for whoever asks for them, and for nobody else. */
import { describe, expect, test } from '@jest/globals';
import type { ServerError } from '../../server/errors.ts';
import { parsePointer } from '../../server/ingest/event-id.ts';
import { eventKey, headKey, idKey, refreshKey, tileKey } from '../../server/storage/keys.ts';
import { utf8 } from '../../tree/bytes.ts';
import { append, firstStart, type Run, restart } from './memory-server.ts';

const POINTER = parsePointer('/id');

function send(run: Run, ...ids: string[]): Promise<unknown> {
  return run.server.sequencer.append({
    log: run.main,
    events: ids.map((id) => ({ event: utf8(JSON.stringify({ id })), id: JSON.stringify(id) })),
    by: '0123456789abcdef',
    source: 'test',
    via: 'events',
    once: { kind: 'pointer', pointer: POINTER },
  });
}

function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'fine',
    (error) => (error as ServerError).code,
  );
}

describe('a row that cannot be read', () => {
  test('an id row: who uses that id gets damaged, others of the same group go on, nothing is stored twice', async () => {
    const run = await firstStart();
    await send(run, 'a', 'b');
    const key = idKey('main', run.main.idDigest('["pointer","test","/id","a"]'));
    expect(await run.store.get(key)).toBeDefined();
    run.store.unreadable.add(key);
    expect(await Promise.all([code(send(run, 'a')), code(send(run, 'b')), code(send(run, 'c'))])).toEqual([
      'damaged',
      'fine',
      'fine',
    ]);
    expect(run.main.state.treeSize).toBe(3);
    expect(run.damage.join()).toContain(key);
    expect(run.fatal).toEqual([]);
  });

  test('an event row: that entry is damaged, the others are read', async () => {
    const run = await firstStart();
    await append(run, run.main, 5);
    run.store.unreadable.add(eventKey('main', 2));
    expect(await code(run.server.entries(run.main, 2, 3))).toBe('damaged');
    expect(await code(run.server.entries(run.main, 0, 2))).toBe('fine');
    expect(run.damage.length).toBeGreaterThan(0);
  });

  test('a tile and a head: damaged, and counted', async () => {
    const first = await firstStart();
    await append(first, first.main, 300);
    await first.server.publisher.publishDue();
    await first.server.close();
    const run = await restart(first.world);
    run.store.unreadable.add(tileKey('main', { level: 0, index: 0 })).add(headKey('main', 0));
    const tile = run.server.reader.tile(run.main, run.main.state, { level: 0, index: 0, width: 256 });
    expect(await code(tile)).toBe('damaged');
    expect(await code(run.server.heads(run.main, 0, 10))).toBe('damaged');
    expect(run.damage.length).toBeGreaterThanOrEqual(2);
    expect(run.fatal).toEqual([]);
  });

  test('the head that a signature is asked for: damaged, and counted', async () => {
    const run = await firstStart();
    const { treeSize, time } = run.main.published;
    run.store.unreadable.add(refreshKey('main', treeSize, time));
    expect(await code(run.server.treeHeadSigner.newest(run.main))).toBe('damaged');
    expect(run.damage.length).toBe(1);
    expect(run.fatal).toEqual([]);
  });

  test('what the publisher must read to sign: the server stops, and signs nothing', async () => {
    const run = await firstStart();
    await append(run, run.main, 300);
    const { treeSize } = run.main.published;
    run.store.unreadable.add(tileKey('main', { level: 0, index: 0 }));
    expect(await code(run.server.publisher.publishDue())).toBe('damaged');
    expect(run.main.published.treeSize).toBe(treeSize);
  });

  test('the message for clients does not say what the engine said', async () => {
    const run = await firstStart();
    await append(run, run.main, 1);
    run.store.unreadable.add(eventKey('main', 0));
    const error = await run.server.entries(run.main, 0, 1).catch((caught: Error) => caught);
    expect((error as Error).message).not.toContain('corrupted');
    expect(run.damage.join()).toContain('corrupted');
  });
});
