/** The commands against the real server, with real events where they are at hand. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { LogClient } from '../../client/log-client.ts';
import { equalBytes, utf8 } from '../../tree/bytes.ts';
import { API_KEY, type Json } from '../client/fake-log.ts';
import { freePort } from '../support/free-port.ts';
import { User } from './spawn.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const REAL_EVENTS = fileURLToPath(new URL('../../../shared/data/cloudtrail.ndjson.gz', import.meta.url));

let server: ChildProcess;
let user: User;
let file: string;
let events: Uint8Array[];

beforeAll(async () => {
  user = await User.at();
  const port = await freePort();
  server = spawn(
    process.execPath,
    [MAIN, 'serve', '--data-dir', user.path('data'), '--listen', `127.0.0.1:${port}`, '--origin-base', 'example.com'],
    { env: { PATH: process.env['PATH'], INDELIBLE_ADMIN_KEY: API_KEY }, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  await new Promise<void>((resolve, reject) => {
    server.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    server.stdout?.on('data', () => resolve());
  });
  user.env['INDELIBLE_URL'] = `http://127.0.0.1:${port}/logs/main`;
  file = REAL_EVENTS;
  if (!existsSync(file)) {
    file = user.path('events.ndjson.gz');
    const text = Array.from({ length: 2000 }, (_, i) => `{"eventID":"id-${i}","eventName":"Event${i % 17}"}\n`).join(
      '',
    );
    await writeFile(file, gzipSync(text));
  }
  events = gunzipSync(await readFile(file))
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => utf8(line));
});

afterAll(async () => {
  const ended = new Promise((resolve) => server.on('exit', resolve));
  server.kill('SIGTERM');
  await ended;
  await user.gone();
});

test('a file of events goes in once, however often it is appended, and comes back byte for byte', async () => {
  const once = await user.run(['append', file, '--id-pointer', '/eventID', '--json']);
  expect(JSON.parse(once.stdout)).toMatchObject({ ok: true, appended: events.length, replayed: 0, without_id: 0 });
  const twice = await user.run(['append', file, '--id-pointer', '/eventID', '--ack', 'signed', '--json']);
  expect(JSON.parse(twice.stdout)).toMatchObject({ appended: 0, replayed: events.length, ack: 'signed' });
  const client = new LogClient({ url: user.env['INDELIBLE_URL'] as string, key: API_KEY });
  let read = 0;
  for await (const { event } of client.entries()) {
    if (!equalBytes(event, events[read] as Uint8Array)) throw new Error(`entry ${read} came back changed`);
    read++;
  }
  expect(read).toBe(events.length);
  expect((await user.run(['verify', '--all'])).stdout).toContain(`all ${events.length} entries proven`);
});

test('a saved answer verifies without the server', async () => {
  const last = String(events.length - 1);
  await writeFile(user.path('last.json'), events.at(-1) as Uint8Array);
  expect((await user.run(['get', last, '--reply', '--out', 'reply.json'])).code).toBe(0);
  const url = user.env['INDELIBLE_URL'];
  delete user.env['INDELIBLE_URL'];
  expect((await user.run(['verify', 'reply.json', '--event', 'last.json'])).code).toBe(0);
  user.env['INDELIBLE_URL'] = url;
});

test('bad lines are named, and nothing of their batch is stored', async () => {
  const { code, stdout } = await user.run(['append', '-', '--json'], '{"a":1}\n\n{"a":1,"a":2}\n[]\n');
  expect([code, JSON.parse(stdout)]).toMatchObject([
    2,
    {
      appended: 0,
      errors: [
        { line: 3, code: 'duplicate_key' },
        { line: 4, code: 'not_an_object' },
      ],
    },
  ]);
  const single = await user.run(['append', '-', '--json'], '\n{"a":1,"a":2}\n');
  expect(JSON.parse(single.stdout)).toMatchObject({ errors: [{ line: 2, code: 'duplicate_key' }] });
  const conflict = await user.run(
    ['append', '-', '--json', '--id-pointer', '/eventID'],
    '{"eventID":"n1"}\n\n{"eventID":"n1","x":1}\n',
  );
  expect([conflict.code, JSON.parse(conflict.stdout)]).toMatchObject([
    2,
    { code: 'id_conflict', errors: [{ line: 3 }] },
  ]);
  expect((await user.run(['verify', String(events.length)])).code).toBe(2);
});

test('logs and keys: a key for one log does there what it may, and nothing after it is revoked', async () => {
  expect((await user.run(['logs', 'create', 'billing', '--id-pointer', '/id'])).code).toBe(0);
  const created = JSON.parse(
    (await user.run(['keys', 'create', '--name', 'b', '--scope', 'append', '--log', 'billing', '--json'])).stdout,
  ) as Json;
  const url = (user.env['INDELIBLE_URL'] as string).replace('/main', '/billing');
  const key = created['key'] as string;
  const billing = ['--url', url, '--key', key];
  expect((await user.run(['append', '-', ...billing], '{"id":1}\n')).stdout).toContain('appended 1');
  expect((await user.run(['append', '-', ...billing], '{"id":1}\n')).stdout).toContain('replayed 1');
  expect((await user.run(['get', '0', ...billing])).code).toBe(2);
  expect((await user.run(['append', '-', '--key', key], '{}\n')).code).toBe(2);
  expect((await user.run(['keys', 'revoke', created['id'] as string])).code).toBe(0);
  expect((await user.run(['append', '-', ...billing], '{"id":2}\n')).code).toBe(2);
  expect((await user.run(['keys', 'list'])).stdout).toContain('billing');
});

test('without ids, an idempotency key makes a second run add nothing', async () => {
  expect((await user.run(['logs', 'create', 'keyed'])).code).toBe(0);
  const url = ['--url', (user.env['INDELIBLE_URL'] as string).replace('/main', '/keyed')];
  const text = Array.from({ length: 2500 }, (_, i) => `{"n":${i}}\n`).join('');
  for (const [appended, replayed] of [
    [2500, 0],
    [0, 2500],
  ] as const) {
    const { stdout } = await user.run(['append', '-', ...url, '--idempotency-key', 'import-1', '--json'], text);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, appended, replayed, without_id: 0 });
  }
  const other = await user.run(['append', '-', ...url, '--idempotency-key', 'import-1', '--json'], '{"n":9}\n');
  expect([other.code, JSON.parse(other.stdout)]).toMatchObject([2, { code: 'id_conflict' }]);
  const both = await user.run(['append', '-', ...url, '--idempotency-key', 'a', '--id-pointer', '/n'], text);
  expect(both.code).toBe(2);
});

test('a log is changed, frozen and deleted, the last two only by somebody who says so twice', async () => {
  expect((await user.run(['logs', 'create', 'brief'])).code).toBe(0);
  const url = ['--url', (user.env['INDELIBLE_URL'] as string).replace('/main', '/brief')];
  const set = await user.run(['logs', 'set', 'brief', '--public-reads', '--id-pointer', '/id']);
  expect(set.code).toBe(0);
  expect((await user.run(['append', '-', ...url], '{"id":1}\n')).stdout).toContain('appended 1');
  expect((await user.run(['logs', 'set', 'brief', '--no-id-pointer', '--no-public-reads'])).code).toBe(0);
  expect((await user.run(['logs', 'set', 'brief'])).code).toBe(2);
  for (const command of ['freeze', 'delete']) {
    const refused = await user.run(['logs', command, 'brief']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--yes')]);
  }
  expect((await user.run(['logs', 'delete', 'brief', '--yes'])).stderr).toContain('log_not_frozen');
  const frozen = await user.run(['logs', 'freeze', 'brief', '--yes', '--json']);
  // The event, two changes of settings, and the freeze itself.
  expect(JSON.parse(frozen.stdout)).toMatchObject({ status: 'frozen', tree_size: 4 });
  const late = await user.run(['append', '-', ...url], '{"id":2}\n');
  expect([late.code, late.stderr]).toEqual([2, expect.stringContaining('log_frozen')]);
  expect((await user.run(['verify', '--all', ...url])).stdout).toContain('all 4 entries proven');
  expect((await user.run(['logs', 'delete', 'brief', '--yes'])).code).toBe(0);
  expect((await user.run(['get', '0', ...url])).stderr).toContain('log_deleted');
  expect((await user.run(['logs', 'list'])).stdout).toMatch(/brief\s+events\s+deleted\s+4/);
});
