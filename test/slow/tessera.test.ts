/**
 * Tessera's own tools against a raw log of ours: hammer writes and checks that every checkpoint extends the one before, fsck
 * reads the whole log over HTTP and derives every tile and the root again. While it grows, and after kill -9 and a restart.
 */
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { ADMIN_KEY, killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

const hasGo = spawnSync('go', ['version']).status === 0;
if (!hasGo) console.log('SKIPPED: hammer and fsck: there is no Go on this machine');
const withGo = hasGo ? test : test.skip;

const folder = temporaryFolder('tessera');
const TOOLS = join(folder.path, 'bin');

afterAll(async () => {
  await killAll();
  folder.remove();
});

function install(name: string): void {
  const { status, stderr } = spawnSync('go', ['install', `github.com/transparency-dev/tessera/${name}@v1.0.4`], {
    env: { ...process.env, GOBIN: TOOLS, GOFLAGS: '-mod=mod' },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`cannot build ${name}: ${stderr}`);
}

/** Runs a tool to its end; the server in this test is another process, so waiting must not block us. */
function run(tool: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(join(TOOLS, tool), args, { timeout: 120_000 });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += String(chunk);
      });
    }
    child.once('close', (code) => resolve({ code, output }));
  });
}

describe('Tessera’s tools', () => {
  withGo('hammer and fsck accept a raw log, growing and restarted', async () => {
    install('internal/hammer');
    install('cmd/fsck');
    const dataDir = join(folder.path, 'data');
    let server = await ServerProcess.start({ dataDir, flags: ['--interval', '200', '--write-buffer', '65536'] });
    await server.fetch('/admin/logs', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'raw', kind: 'raw', public_reads: true }),
    });
    const { verifier_key: vkey } = (await (await server.fetch('/logs/raw')).json()) as { verifier_key: string };
    const keyFile = join(folder.path, 'vkey.txt');
    writeFileSync(keyFile, vkey);

    const hammer = (goal: number): Promise<{ code: number | null; output: string }> =>
      run('hammer', [
        `--log_public_key=${vkey}`,
        `--log_url=${server.url}/logs/raw/`,
        `--bearer_token_write=${ADMIN_KEY}`,
        ...['--num_writers=32', '--max_write_ops=2000', '--leaf_min_size=200', `--leaf_write_goal=${goal}`],
        ...['--max_runtime=60s', '--show_ui=false'],
      ]);
    // fsck exits 0 even on failure; what it prints is what counts.
    const fsck = async (): Promise<void> => {
      const { output } = await run('fsck', [
        ...[`--storage_url=${server.url}/logs/raw/`, `--public_key=${keyFile}`, '--N=8', '--ui=false', '--logtostderr'],
      ]);
      expect(output).toContain("Successfully fsck'd log");
    };

    const growing = hammer(5000);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await fsck();
    expect((await growing).code).toBe(0);
    await fsck();

    const interrupted = hammer(1_000_000);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await server.stop('SIGKILL');
    server = await ServerProcess.start({ dataDir, flags: ['--interval', '200'] });
    expect(server.url).not.toBe('');
    await fsck();
    expect((await hammer(1000)).code).toBe(0);
    await fsck();
    await interrupted;
  });
});
