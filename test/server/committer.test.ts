/** What one commit collects, and in which order it becomes true. */
import { describe, expect, test } from '@jest/globals';
import { type Commit, Committer, Transaction } from '../../server/committer.ts';
import { frame } from '../../server/frames.ts';
import type { Guard, Promised } from '../../server/guard.ts';
import type { LogDefinition } from '../../server/log.ts';
import { commitRecordHash, LogSum, parseCommitRecord } from '../../server/storage/commit-record.ts';
import { commitKey, logDefinitionKey } from '../../server/storage/keys.ts';
import { MemoryStore } from '../../server/storage/memory.ts';
import { utf8 } from '../../tree/bytes.ts';
import { append, firstStart } from './memory-server.ts';

const leaf = utf8('leaf');

/** All steps of a commit, one after the other. */
async function commitWith(committer: Committer, transaction: Transaction): Promise<Commit> {
  const commit = committer.prepare(transaction);
  await committer.store(commit);
  await committer.promise(commit);
  return commit;
}

describe('a transaction', () => {
  test('knows what it will have made of a log, while the log itself stays as it is', async () => {
    const { main } = await firstStart();
    const transaction = new Transaction();
    expect([transaction.treeSize(main), transaction.lastReceivedAt(main)]).toEqual([0, main.state.lastReceivedAt]);
    expect(transaction.append(main, leaf, 70)).toBe(0);
    expect(transaction.append(main, leaf, 70)).toBe(1);
    expect(transaction.appendFramed(main, frame([leaf, leaf, leaf]), 80)).toBe(2);
    expect(transaction.appendFramed(main, frame([leaf]), 80)).toBe(5);
    expect(transaction.append(main, leaf, 90)).toBe(6);
    expect([transaction.treeSize(main), transaction.lastReceivedAt(main)]).toEqual([7, 90]);
    expect([main.state.treeSize, main.state.lastReceivedAt]).toEqual([0, 0]);
  });

  test('goes on where the log ends', async () => {
    const run = await firstStart();
    await append(run, run.main, 4);
    const transaction = new Transaction();
    const { lastReceivedAt } = run.main.state;
    expect([transaction.treeSize(run.main), transaction.lastReceivedAt(run.main)]).toEqual([4, lastReceivedAt]);
    expect(() => transaction.append(run.main, leaf, lastReceivedAt - 1)).toThrow();
    expect(transaction.append(run.main, leaf, lastReceivedAt)).toBe(4);
    expect(transaction.appendFramed(run.main, frame([leaf]), lastReceivedAt)).toBe(5);
  });

  test('takes no entry that came before the last one', async () => {
    const { main } = await firstStart();
    const transaction = new Transaction();
    transaction.append(main, leaf, 70);
    expect(() => transaction.append(main, leaf, 69)).toThrow();
    expect(() => transaction.appendFramed(main, frame([leaf]), 69)).toThrow();
    expect(transaction.treeSize(main)).toBe(1);
  });

  test('is empty until something is written or a log is touched', async () => {
    const { main } = await firstStart();
    const put = new Transaction();
    expect(put.empty).toBe(true);
    put.put('a', leaf);
    put.delete('b');
    expect(put.empty).toBe(false);
    expect(put.writes).toEqual([
      { key: 'a', value: leaf },
      { key: 'b', value: undefined },
    ]);
    const touched = new Transaction();
    touched.append(main, leaf, 1);
    expect([touched.empty, touched.writes.length]).toEqual([false, 0]);
  });

  test('shows a new definition and a new head at once inside, and outside when it is done', async () => {
    const { main } = await firstStart();
    const { definition, published, state } = main;
    const transaction = new Transaction();
    expect(transaction.definitionOf(main)).toBe(definition);
    expect(transaction.newestHead(main)).toBe(state.head);
    const frozen: LogDefinition = { ...definition, status: 'frozen', frozenAt: '2026-01-01T00:00:00Z' };
    const head = { ...published, time: published.time + 1 };
    transaction.redefine(main, frozen);
    transaction.publish(main, head);
    expect(transaction.writes.map(({ key }) => key)).toEqual([logDefinitionKey('main')]);
    expect(transaction.definitionOf(main)).toBe(frozen);
    expect(transaction.newestHead(main)).toEqual({ treeSize: 0, time: head.time });
    expect([main.definition, main.published]).toEqual([definition, published]);
    transaction.done();
    expect([main.definition, main.published]).toEqual([frozen, head]);
  });
});

describe('a commit', () => {
  const end = () => ({
    storeId: new Uint8Array(32),
    n: 7,
    recordHash: new Uint8Array(32).fill(7),
    sum: new LogSum(),
    logCount: 1,
  });

  test('asks who owns the store, writes, promises, and only then is true', async () => {
    const { main } = await firstStart();
    const seen: string[] = [];
    const note = (what: string): void => void seen.push(`${what} ${main.state.treeSize}`);
    const store = new MemoryStore();
    const commit = store.commit.bind(store);
    store.commit = async (writes) => {
      note('batch');
      await commit(writes);
    };
    const guard: Guard = {
      checkOwner: () => note('owner'),
      promise: async ({ n }) => note(`promise ${n}`),
    };
    const committer = new Committer(store, guard, end());
    const transaction = new Transaction();
    transaction.append(main, leaf, 70);
    transaction.whenDone(() => note('done'));
    const { leafHashes, promised } = await commitWith(committer, transaction);
    expect([...leafHashes.values()].map(({ length }) => length)).toEqual([32]);
    expect(seen).toEqual(['owner 0', 'batch 0', 'promise 8 0', 'done 1']);
    expect(promised.n).toBe(8);
  });

  test('goes on from the one before, which may still be on its way', async () => {
    const { main } = await firstStart();
    const store = new MemoryStore();
    const promises: Promised[] = [];
    const guard: Guard = { checkOwner: () => {}, promise: async (promised) => void promises.push(promised) };
    const committer = new Committer(store, guard, end());
    const commits = [];
    for (let i = 0; i < 2; i++) {
      const transaction = new Transaction();
      expect(transaction.append(main, leaf, 70 + i)).toBe(i);
      const commit = committer.prepare(transaction);
      await committer.store(commit);
      commits.push(commit);
      expect([main.state.treeSize, main.sequenced.treeSize]).toEqual([0, i + 1]);
    }
    for (const [i, commit] of commits.entries()) {
      await committer.promise(commit);
      expect([main.state.treeSize, main.state.lastReceivedAt]).toEqual([i + 1, 70 + i]);
    }
    const records = await Promise.all(promises.map(({ n }) => store.get(commitKey(n))));
    expect(promises.map(({ n }) => n)).toEqual([8, 9]);
    for (const [i, record] of records.entries())
      expect(commitRecordHash(record as Uint8Array)).toEqual(promises[i]?.recordHash);
    expect(parseCommitRecord(records[1] as Uint8Array).previous).toEqual(promises[0]?.recordHash);
  });

  test('keeps nothing of what it needed for itself alone', async () => {
    const { main } = await firstStart();
    const guard: Guard = { checkOwner: () => {}, promise: async () => {} };
    const committer = new Committer(new MemoryStore(), guard, end());
    for (const first of [true, false]) {
      const transaction = new Transaction();
      transaction.append(main, leaf, 70);
      const slab = transaction.slab.take(1).buffer;
      const { leafHashes } = await commitWith(committer, transaction);
      expect(transaction.slab.take(1).buffer).toBe(slab);
      const { open, partials, frontier, rootHash } = main.state;
      const kept = [open.bytes, open.starts, ...partials, ...frontier, rootHash, ...leafHashes.values()];
      expect(kept.length).toBeGreaterThan(4);
      for (const { buffer } of kept) expect(buffer === slab).toBe(false);
      expect(open.starts.length).toBe(first ? 1 : 2);
    }
  });

  test('of who was deposed writes nothing', async () => {
    const { main } = await firstStart();
    const store = new MemoryStore();
    const guard: Guard = {
      checkOwner: () => {
        throw new Error('deposed');
      },
      promise: async () => {},
    };
    const committer = new Committer(store, guard, end());
    const transaction = new Transaction();
    transaction.append(main, leaf, 70);
    await expect(commitWith(committer, transaction)).rejects.toThrow('deposed');
    expect([store.rows().length, main.state.treeSize]).toEqual([0, 0]);
  });
});
