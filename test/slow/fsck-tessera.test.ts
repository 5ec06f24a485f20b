/**
 * Our fsck against a log that Tessera's posix-oneshot made, served as static files: it must pass, and name whatever byte is changed.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Ended, User } from '../cli/spawn.ts';
import { temporaryFolder } from '../support/spawn-server.ts';

const hasGo = spawnSync('go', ['version']).status === 0;
if (!hasGo) console.log('SKIPPED: fsck of a log of Tessera: there is no Go on this machine');
const withGo = hasGo ? describe : describe.skip;

/** The test log of Tessera's own data: a public key pair. */
const SIGNER = 'PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg';
const VERIFIER = 'example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx';
const ENTRIES = 700;

const folder = temporaryFolder('oneshot');
const log = join(folder.path, 'log');

function oneshot(): void {
  const bin = join(folder.path, 'bin');
  const built = spawnSync('go', ['install', 'github.com/transparency-dev/tessera/cmd/examples/posix-oneshot@v1.0.4'], {
    env: { ...process.env, GOBIN: bin, GOFLAGS: '-mod=mod' },
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`cannot build posix-oneshot: ${built.stderr}`);
  const entries = join(folder.path, 'entries');
  mkdirSync(entries);
  for (let i = 0; i < ENTRIES; i++) writeFileSync(join(entries, `${i}`), `entry ${i} ${'x'.repeat(i % 50)}`);
  const made = spawnSync(join(bin, 'posix-oneshot'), [`--storage_dir=${log}`, `--entries=${entries}/*`], {
    env: { ...process.env, LOG_PRIVATE_KEY: SIGNER },
    encoding: 'utf8',
    timeout: 120_000,
  });
  if (made.status !== 0) throw new Error(`posix-oneshot failed: ${made.stderr}`);
}

/** Paths of all files that the log serves, below its base URL. */
function pathsOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => /^(?:checkpoint$|tile\/)/.test(name) && statSync(join(directory, name)).isFile())
    .sort();
}

withGo('a log of Tessera', () => {
  let server: Server;
  let user: User;
  let url = '';
  let changed: { readonly path: string; readonly at: number } | undefined;

  beforeAll(async () => {
    oneshot();
    server = createServer((request, response) => {
      const path = (request.url ?? '').slice(1);
      try {
        const bytes = readFileSync(join(log, path));
        if (changed?.path === path) bytes[changed.at] = ((bytes[changed.at] as number) + 1) % 256;
        response.end(bytes);
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    user = await User.at();
  });

  afterEach(() => {
    changed = undefined;
  });

  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    await user.gone();
    folder.remove();
  });

  const fsck = (): Promise<Ended> => user.run(['fsck', '--url', url, '--vkey', VERIFIER]);

  test('passes as it is', async () => {
    const { code, stdout, stderr } = await fsck();
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^nothing differs: ${ENTRIES} entries of example.com/log/testdata`));
  });

  test('one byte changed in any of its files is found, and the file is named', async () => {
    // Partial files that larger ones have replaced are still there, and nobody asks for them.
    const current = [
      ...['checkpoint', 'tile/0/000', 'tile/0/001', 'tile/0/002.p/188', 'tile/1/000.p/2'],
      ...['tile/entries/000', 'tile/entries/001', 'tile/entries/002.p/188'],
    ];
    expect(pathsOf(log)).toEqual(expect.arrayContaining(current));
    for (const path of current) {
      // In a bundle behind the length of the first entry, within its text.
      changed = { path, at: 30 };
      if (path.includes('entries')) changed = { path, at: 4 };
      const { code, stdout } = await fsck();
      expect([path, code]).toEqual([path, 1]);
      expect(stdout.split('\n')[0]).toMatch(`${path}: `);
    }
  });
});
