import { expect, test } from '@jest/globals';
import { auditLog } from '../../client/audit.ts';
import { LogClient } from '../../client/log-client.ts';
import { entryLeaf } from '../../proofs/entry.ts';
import { API_KEY, codeOfAsync, FakeLog } from './fake-log.ts';

function clientOf(log: FakeLog): LogClient {
  const clock = { now: () => 0, sleep: async () => undefined };
  return new LogClient({ url: 'http://x.example/logs/main', key: API_KEY, fetch: log.fetch, clock });
}

test.each([0, 1, 2, 7, 8, 300])('a log of %d entries makes the root hash that it signed', async (size) => {
  const log = new FakeLog().fill(size);
  log.page = 100;
  const seen: number[] = [];
  const checkpoint = await auditLog(clientOf(log), { onProgress: (read) => seen.push(read) });
  expect([checkpoint.treeSize, seen.length]).toEqual([size, size]);
});

test('an entry under no head yet is left out', async () => {
  const log = new FakeLog().fill(5);
  log.signs = false;
  log.fill(7);
  expect((await auditLog(clientOf(log))).treeSize).toBe(5);
});

test('an entry that is another one than was signed is noticed, though its leaf is right', async () => {
  const log = new FakeLog().fill(6);
  const signed = log.checkpoint();
  const forged = new FakeLog().fill(3);
  forged.add('{"id":"forged"}', '/id');
  forged.fill(6);
  forged.tamperText = () => signed;
  expect(await codeOfAsync(() => auditLog(clientOf(forged)))).toBe('root_mismatch');
});

test('entries that are kept back are noticed', async () => {
  const log = new FakeLog().fill(6);
  const client = clientOf(log);
  await client.checkpoint();
  const fewer: FakeLog = new FakeLog().fill(4);
  fewer.tamperText = () => log.checkpoint();
  expect(await codeOfAsync(() => auditLog(clientOf(fewer)))).toBe('missing_entries');
});

test('time that goes back is noticed, though the head is rightly signed', async () => {
  const log = new FakeLog().fill(3);
  const last = log.entries[2];
  if (last === undefined) throw new Error('no entry');
  const earlier = { ...last, receivedAt: last.receivedAt - 2 };
  log.entries[2] = { ...earlier, leaf: entryLeaf(earlier, log.origin) };
  expect(await codeOfAsync(() => auditLog(clientOf(log)))).toBe('time_went_back');
});
