import { describe, expect, test } from '@jest/globals';
import { verifyTreeHeadSignature } from '../../proofs/tree-head-signature.ts';
import { headKey, refreshKey } from '../../server/storage/keys.ts';
import { encodeHeadRow, parseHeadRow } from '../../server/storage/rows.ts';
import { prefixRange } from '../../server/storage/store.ts';
import type { SignedHead } from '../../server/tree-head-signer.ts';
import { settle } from '../support/manual-clock.ts';
import { append, edited, firstStart, type Run, restart } from './memory-server.ts';

const sign = (run: Run): Promise<SignedHead> => run.server.treeHeadSigner.newest(run.main);

const codeOf = async (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (error: { code?: string }) => error.code,
  );

async function grow(run: Run, count = 1): Promise<void> {
  await append(run, run.main, count);
  await run.server.publisher.publishDue();
}

const rowOf = async (run: Run, key: string): Promise<ReturnType<typeof parseHeadRow> | undefined> => {
  const row = await run.store.get(key);
  return row === undefined ? undefined : parseHeadRow(row);
};

function verify(run: Run, head: SignedHead): void {
  verifyTreeHeadSignature(head.signature, { ...head, timestamp: head.time }, run.main.signer.verifierKey);
}

describe('a tree head signature', () => {
  test('is made when first asked for, of the newest head, at the time of that head', async () => {
    const run = await firstStart();
    await grow(run, 3);
    expect(run.main.published.signature).toBeUndefined();
    run.clock.advance(5000);
    const head = await sign(run);
    expect(head).toMatchObject({ treeSize: 3, rootHash: run.main.state.rootHash, time: run.main.published.time });
    expect(head.time * 1000).toBeGreaterThanOrEqual(run.main.state.lastReceivedAt);
    verify(run, head);
  });

  test('is there for the empty tree as well', async () => {
    const run = await firstStart();
    verify(run, await sign(run));
  });

  test('is made once a head, whoever asks at the same time', async () => {
    const run = await firstStart();
    await grow(run, 3);
    const commits = run.store.commits.length;
    const heads = await Promise.all(Array.from({ length: 20 }, () => sign(run)));
    heads.push(await sign(run));
    expect(new Set(heads.map(({ signature }) => Buffer.from(signature).toString('hex'))).size).toBe(1);
    expect(run.store.commits.length).toBe(commits + 1);
  });

  test('is stored before anybody sees it, in the row of its head, and survives a restart', async () => {
    const run = await firstStart();
    await grow(run, 3);
    run.store.hold();
    let shown: SignedHead | undefined;
    const asked = sign(run).then((head) => {
      shown = head;
    });
    await settle();
    expect([shown, run.main.published.signature]).toEqual([undefined, undefined]);
    run.store.release();
    await asked;
    const { checkpoint, time, signature } = shown as unknown as SignedHead;
    expect(await rowOf(run, headKey('main', 3))).toEqual({ checkpoint, time, signature });

    await run.server.close();
    const again = await restart(run.world);
    expect(again.main.published).toEqual(shown);
    const commits = again.store.commits.length;
    expect((await sign(again)).signature).toEqual(signature);
    expect(again.store.commits.length).toBe(commits);
  });

  test.each(['lost', 'durable'] as const)(
    'is not shown where its commit fails (%s); the next start has the same',
    async (fault) => {
      const run = await firstStart();
      await grow(run, 3);
      run.store.failNext(fault);
      expect(await codeOf(sign(run))).toBe('outcome_unknown');
      expect(run.fatal).toHaveLength(1);
      const written = run.store.commits.at(-1)?.find(({ key }) => key === headKey('main', 3))?.value as Uint8Array;
      const again = await restart(run.world);
      expect((await sign(again)).signature).toEqual(parseHeadRow(written).signature);
    },
  );

  test('has later times from head to head, whatever the wall clock does', async () => {
    const run = await firstStart();
    const times = [(await sign(run)).time];
    for (const step of [0, -60_000, 5000, -3_600_000, 0.001, 0]) {
      run.clock.step(step);
      await grow(run);
      const head = await sign(run);
      verify(run, head);
      times.push(head.time);
    }
    expect(times.slice().sort((a, b) => a - b)).toEqual(times);
    expect(new Set(times).size).toBe(7);
  });
});

describe('an idle head', () => {
  test('that was signed again gets a new signature with a later time; the first one stays', async () => {
    const run = await firstStart();
    await grow(run, 3);
    const first = await sign(run);
    run.clock.advance(600_001);
    await run.server.publisher.publishDue();
    expect(run.main.published.signature).toBeUndefined();
    const second = await sign(run);
    verify(run, second);
    expect(second.treeSize).toBe(3);
    expect(second.time).toBeGreaterThan(first.time);
    expect((await rowOf(run, headKey('main', 3)))?.signature).toEqual(first.signature);
    expect((await rowOf(run, refreshKey('main', 3, second.time)))?.signature).toEqual(second.signature);
    expect((await restart(run.world)).main.published).toEqual(second);
  });

  test('no row comes back that the same commit deletes', async () => {
    const run = await firstStart();
    await grow(run, 3);
    run.clock.advance(600_001);
    await run.server.publisher.publishDue();
    const old = run.main.published.time;
    run.clock.advance(600_001);
    // Another commit is under way, so that both jobs wait and share the next one, the publisher's first.
    run.store.hold();
    const blocked = run.server.recordSystemEvent({ action: 'test.blocks' });
    await settle();
    const publishing = run.server.publisher.publishDue();
    await settle();
    const asked = sign(run);
    await settle();
    run.store.release();
    await Promise.all([blocked, publishing]);
    const head = await asked;
    expect(head.time).toBeGreaterThan(old);
    verify(run, head);
    const rows = await run.store.list(prefixRange('log/main/head/', 10));
    expect(rows.map(({ key }) => key)).toEqual([
      headKey('main', 0),
      headKey('main', 3),
      refreshKey('main', 3, head.time),
    ]);
    expect((await restart(run.world)).main.published).toEqual(head);
  });

  test('a head that grows meanwhile is the one that is signed', async () => {
    const run = await firstStart();
    await grow(run, 3);
    await append(run, run.main, 1);
    run.store.hold();
    const blocked = run.server.recordSystemEvent({ action: 'test.blocks' });
    await settle();
    const publishing = run.server.publisher.publishDue();
    await settle();
    const asked = sign(run);
    await settle();
    run.store.release();
    await Promise.all([blocked, publishing]);
    const head = await asked;
    expect(head.treeSize).toBe(4);
    verify(run, head);
    expect((await rowOf(run, headKey('main', 3)))?.signature).toBeUndefined();
  });
});

describe('while the clock is unsafe', () => {
  test('nothing is signed, and what was signed is shown', async () => {
    const run = await firstStart();
    await grow(run, 3);
    const head = await sign(run);
    run.clock.step(48 * 3600e3);
    expect(run.server.entryClock.unsafe).toBe(true);
    expect(await sign(run)).toEqual(head);

    const other = await firstStart();
    await grow(other, 3);
    other.clock.step(48 * 3600e3);
    const commits = other.store.commits.length;
    expect(await codeOf(sign(other))).toBe('clock_unsafe');
    expect(other.store.commits.length).toBe(commits);
    await other.server.acceptClock('x');
    verify(other, await sign(other));
  });
});

describe('a stored signature that is not by the log', () => {
  const damages: readonly (readonly [what: string, change: (signature: Uint8Array) => Uint8Array])[] = [
    ['a bit turned', (s) => s.map((byte, i) => (i === 30 ? 255 - byte : byte))],
    ['another algorithm', (s) => s.map((byte, i) => (i === 1 ? 3 : byte))],
    ['cut short', (s) => s.subarray(1)],
  ];

  test.each(damages)('%s: the newest one refuses the start, an older one is not served', async (_what, change) => {
    const run = await firstStart();
    await grow(run, 3);
    await sign(run);
    const spoil = (rows: Map<string, Uint8Array>): void => {
      const head = parseHeadRow(rows.get(headKey('main', 3)) as Uint8Array);
      rows.set(headKey('main', 3), encodeHeadRow({ ...head, signature: change(head.signature as Uint8Array) }));
    };
    await expect(restart(run.world, edited(run.world, spoil))).rejects.toMatchObject({ exitCode: 78 });
    await grow(run, 1);
    const again = await restart(run.world, edited(run.world, spoil));
    expect(await codeOf(again.server.heads(again.main, 0, 10))).toBe('damaged');
    expect(again.damage).toHaveLength(1);
  });

  test('nor may it be under another time', async () => {
    const run = await firstStart();
    await grow(run, 3);
    await sign(run);
    await grow(run, 1);
    const world = edited(run.world, (rows) => {
      const head = parseHeadRow(rows.get(headKey('main', 3)) as Uint8Array);
      rows.set(headKey('main', 3), encodeHeadRow({ ...head, time: head.time - 1 }));
    });
    const again = await restart(run.world, world);
    expect(await codeOf(again.server.heads(again.main, 0, 10))).toBe('damaged');
  });
});
