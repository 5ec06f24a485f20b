import { expect, test } from '@jest/globals';
import { AdminClient } from '../../client/admin-client.ts';
import { API_KEY, codeOfAsync, FakeLog } from './fake-log.ts';

const clientOf = (log: FakeLog, key = API_KEY) =>
  new AdminClient({ url: 'http://x.example/', key, fetch: log.fetch, retries: { attempts: 1 } });

test('creates, lists and shows logs', async () => {
  const log = new FakeLog();
  const admin = clientOf(log);
  const created = await admin.createLog({ name: 'billing', publicReads: true, idPointer: '/id' });
  expect(created).toMatchObject({ name: 'billing', kind: 'events', origin: 'example.com/logs/billing', treeSize: 0 });
  const { body } = log.requests.at(-1) ?? { body: new Uint8Array(0) };
  expect(JSON.parse(new TextDecoder().decode(body))).toEqual({
    name: 'billing',
    public_reads: true,
    id_pointer: '/id',
  });
  expect((await admin.logs()).map(({ name }) => name)).toEqual(['main', 'billing']);
  expect(await admin.log('main')).toMatchObject({ name: 'main', verifierKey: log.vkey });
  expect(admin.logUrl('main')).toBe('http://x.example/logs/main');
  expect(await codeOfAsync(() => admin.createLog({ name: 'main' }))).toBe('http');
});

test('creates, lists and revokes keys', async () => {
  const log = new FakeLog();
  const admin = clientOf(log);
  const key = await admin.createKey({ name: 'billing', scopes: ['append', 'read'], log: 'main' });
  expect(key).toMatchObject({ scopes: ['append', 'read'], log: 'main', revokedAt: undefined });
  expect(key.key).toMatch(/^ind_/);
  await admin.createKey({ name: 'ops', scopes: ['admin'] });
  expect((await admin.revokeKey(key.id)).revokedAt).toBe(Date.parse('2026-01-01T00:00:00Z') * 1000);
  expect((await admin.keys()).map(({ name, log, revokedAt }) => [name, log, revokedAt === undefined])).toEqual([
    ['billing', 'main', false],
    ['ops', undefined, true],
  ]);
  expect(await codeOfAsync(() => admin.revokeKey('../logs'))).toBe('http');
});

test('says when nobody knows what became of a request', async () => {
  const log = new FakeLog();
  log.faults.push({ kind: 'drop-after' });
  expect(await codeOfAsync(() => clientOf(log).createKey({ name: 'x', scopes: ['read'] }))).toBe('outcome_unknown');
});

test('refuses answers of another shape', async () => {
  const log = new FakeLog();
  log.tamper = (_request, reply) => ({ ...reply, scopes: ['root'], kind: 'other', logs: {} });
  const admin = clientOf(log);
  expect(await codeOfAsync(() => admin.createKey({ name: 'x', scopes: ['read'] }))).toBe('bad_reply');
  expect(await codeOfAsync(() => admin.log('main'))).toBe('bad_reply');
  expect(await codeOfAsync(() => admin.logs())).toBe('bad_reply');
});
