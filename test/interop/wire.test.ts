/**
 * The interfaces of the wire, read by clients that other people wrote: the verbs of RFC 6962 by certificate-transparency-go, over
 * both kinds of logs.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { encodeBundle } from '../../tree/bundles.ts';
import { utf8 } from '../../tree/bytes.ts';
import { killAll, ROOT, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

const hasGo = spawnSync('go', ['version']).status === 0;
if (!hasGo) console.log('SKIPPED: the wire read by Go clients: there is no Go on this machine');
const withGo = hasGo ? describe : describe.skip;

const folder = temporaryFolder('wire');
const binary = join(folder.path, 'wire');
const SIZE = 1100;
let server: ServerProcess;

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function wire(vkey: string, ...args: string[]): Run {
  const { status, stdout, stderr } = spawnSync(binary, ['-vkey', vkey, ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  return { status, stdout, stderr };
}

async function vkeyOf(log: string): Promise<string> {
  return ((await (await server.fetch(`/logs/${log}`)).json()) as { verifier_key: string }).verifier_key;
}

async function post(path: string, type: string, body: Uint8Array | string): Promise<void> {
  const reply = await server.fetch(path, {
    method: 'POST',
    headers: { 'content-type': type },
    body: body as NonNullable<RequestInit['body']>,
  });
  expect([path, reply.status < 300]).toEqual([path, true]);
}

beforeAll(async () => {
  if (!hasGo) return;
  server = await ServerProcess.start({ dataDir: join(folder.path, 'data'), flags: ['--interval', '100'] });
  await post('/admin/logs', 'application/json', '{"name":"blobs","kind":"raw","public_reads":true}');
  const events = Array.from({ length: SIZE }, (_, i) => `{"n":${i}}\n`).join('');
  await post('/logs/main/events?ack=signed', 'application/x-ndjson', events);
  const leaves = Array.from({ length: SIZE }, (_, i) => utf8(i === 5 ? '' : `blob ${i}`));
  await post('/logs/blobs/add-batch', 'application/octet-stream', encodeBundle(leaves));
  const last = `/logs/blobs/proofs/${SIZE - 1}.tlog-proof`;
  expect((await server.fetch(last)).status).toBe(200);
  const built = spawnSync('go', ['build', '-o', binary, './wire'], {
    cwd: join(ROOT, 'test/interop/go'),
    encoding: 'utf8',
  });
  expect({ status: built.status, stderr: built.status === 0 ? '' : built.stderr }).toEqual({ status: 0, stderr: '' });
}, 300_000);

afterAll(async () => {
  await killAll();
  folder.remove();
});

withGo('certificate-transparency-go', () => {
  test.each(['main', 'blobs'])(
    'reads and verifies the log %s',
    async (log) => {
      const run = wire(await vkeyOf(log), 'ct', `${server.url}/logs/${log}`);
      expect(run).toMatchObject({ status: 0, stdout: expect.stringContaining(`${SIZE} leaves verified`) });
    },
    120_000,
  );

  test('refuses the tree head of another key', async () => {
    const run = wire(await vkeyOf('blobs'), 'ct', `${server.url}/logs/main`);
    expect(run).toMatchObject({ status: 1, stderr: expect.stringContaining('the signature does not verify') });
  }, 120_000);
});
