/**
 * The interfaces of the wire, read by clients that other people wrote: the verbs of RFC 6962 by certificate-transparency-go, over
 * both kinds of logs, and protobuf by Go's own implementation from the schema alone.
 */
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { encodeBundle } from '../../tree/bundles.ts';
import { utf8 } from '../../tree/bytes.ts';
import { ADMIN_KEY, killAll, ROOT, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

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

/** Not spawnSync: while this process stood still, the server would close the connections that it keeps for later. */
function run(file: string, args: readonly string[], cwd = ROOT): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(file, args, { cwd, encoding: 'utf8', maxBuffer: 1e8 }, (_error, stdout, stderr) =>
      resolve({ status: child.exitCode, stdout, stderr }),
    );
  });
}

const wire = (vkey: string, ...args: string[]): Promise<Run> => run(binary, ['-vkey', vkey, ...args]);

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
  const built = await run('go', ['build', '-o', binary, './wire'], join(ROOT, 'test/interop/go'));
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
      const found = await wire(await vkeyOf(log), 'ct', `${server.url}/logs/${log}`);
      expect(found).toMatchObject({ status: 0, stdout: expect.stringContaining(`${SIZE} leaves verified`) });
    },
    120_000,
  );

  test('refuses the tree head of another key', async () => {
    const found = await wire(await vkeyOf('blobs'), 'ct', `${server.url}/logs/main`);
    expect(found).toMatchObject({ status: 1, stderr: expect.stringContaining('the signature does not verify') });
  }, 120_000);
});

withGo("Go's protobuf", () => {
  test('appends, reads, and verifies proofs and signatures by the schema alone', async () => {
    await post('/admin/logs', 'application/json', '{"name":"proto"}');
    const events = Array.from({ length: 300 }, (_, i) => `{"n":${i}}\n`).join('');
    await post('/logs/proto/events?ack=signed', 'application/x-ndjson', events);
    const schema = join(ROOT, 'proto/indelible.proto');
    const args = ['-bearer', ADMIN_KEY, '-schema', schema, 'protobuf', `${server.url}/logs/proto`];
    expect(await wire(await vkeyOf('proto'), ...args)).toMatchObject({
      status: 0,
      stdout: '2 entries verified in protobuf\n',
    });
    const entry = (await (await server.fetch('/logs/proto/events/301')).json()) as {
      event: unknown;
      tree_size: number;
    };
    expect(entry).toMatchObject({ event: { by: 'go', n: 2 }, tree_size: 302 });
    expect(await wire(await vkeyOf('main'), ...args)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('the signature does not verify'),
    });
  }, 120_000);
});
