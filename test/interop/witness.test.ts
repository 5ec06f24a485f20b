/**
 * Our witness and a log that other people wrote: Tessera's posix-oneshot publishes nothing that its witnesses have not cosigned, and takes
 * our cosignatures for such. Then the same log is shown in another shape to the witness, which refuses it.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { originHash } from '../../proofs/add-checkpoint.ts';
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { parseSignerKey, type VerifierKey } from '../../proofs/key.ts';
import { parsePolicy } from '../../proofs/policy.ts';
import { openWitnessed } from '../../proofs/witnessed.ts';
import { temporaryFolder } from '../support/spawn-server.ts';
import { killWitnesses, WitnessProcess } from '../support/spawn-witness.ts';

/** Public test material (Tessera's testdata). */
const LOG_KEY = 'PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg';
const MODULE = 'github.com/transparency-dev/tessera/cmd/examples/posix-oneshot@v1.0.4';

const folder = temporaryFolder('interop-witness');
const binary = findOneshot();
if (binary === undefined)
  console.log('SKIPPED: our witness cosigns heads of a Tessera log: there is no Go on this machine');
const withTessera = binary === undefined ? describe.skip : describe;

/** The program, built from the module proxy: two minutes where nothing is cached. */
function findOneshot(): string | undefined {
  if (spawnSync('go', ['version']).status !== 0) return undefined;
  const { status, stderr } = spawnSync('go', ['install', MODULE], {
    env: { ...process.env, GOBIN: folder.path, GOFLAGS: '-mod=mod' },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`cannot build posix-oneshot: ${stderr}`);
  return join(folder.path, 'posix-oneshot');
}

const logKey: VerifierKey = parseSignerKey(LOG_KEY).verifierKey;
const storage = join(folder.path, 'log');
const entries = join(folder.path, 'entries');
const logs = join(folder.path, 'logs.txt');
const policyFile = join(folder.path, 'policy.txt');
const keyFile = join(folder.path, 'log.key');
let witness: WitnessProcess;

/** Appends entries of these texts, and publishes the head where the policy's witnesses have cosigned it. */
function append(
  texts: readonly string[],
  directory = storage,
  timeout = 60_000,
): { readonly status: number | null; readonly output: string } {
  rmSync(entries, { recursive: true, force: true });
  mkdirSync(entries);
  for (const [i, text] of texts.entries()) writeFileSync(join(entries, `${String(i).padStart(4, '0')}.txt`), text);
  const { status, stdout, stderr } = spawnSync(
    binary as string,
    [
      `--storage_dir=${directory}`,
      `--entries=${join(entries, '*')}`,
      `--private_key=${keyFile}`,
      `--witness_policy_file=${policyFile}`,
    ],
    { encoding: 'utf8', timeout },
  );
  return { status, output: stdout + stderr };
}

const published = (directory = storage): string => readFileSync(join(directory, 'checkpoint'), 'utf8');

beforeAll(async () => {
  if (binary === undefined) return;
  writeFileSync(keyFile, LOG_KEY);
  writeFileSync(logs, `log ${logKey.text}\nquorum none\n`);
  witness = await WitnessProcess.start({
    dataDir: join(folder.path, 'w'),
    policy: logs,
    name: 'witness.example.com/w1',
  });
  writeFileSync(policyFile, `witness ours ${witness.vkey} ${witness.url}\nquorum ours\n`);
}, 300_000);

afterAll(async () => {
  await killWitnesses();
  folder.remove();
});

withTessera('a Tessera log and our witness', () => {
  test('the heads that it publishes carry our cosignature', async () => {
    const policy = parsePolicy(readFileSync(policyFile));
    let size = 0;
    for (const texts of [['one'], ['two', 'three'], Array.from({ length: 300 }, (_, i) => `entry ${i}`)]) {
      const { status, output } = append(texts);
      expect([status, output]).toEqual([0, expect.any(String)]);
      size += texts.length;
      const head = openWitnessed(published(), logKey, policy);
      expect([head.treeSize, head.cosignatures.map(({ witness: { name } }) => name)]).toEqual([size, ['ours']]);
      // What monitors are shown is the same head.
      const shown = await (await witness.get(`${originHash(logKey.name)}/checkpoint`)).text();
      expect(openWitnessed(shown, logKey, policy)).toMatchObject({ treeSize: size, rootHash: head.rootHash });
    }
  }, 120_000);

  test('goes on over a restart of the witness', async () => {
    const port = new URL(witness.url).port;
    await witness.stop('SIGKILL');
    witness = await WitnessProcess.start({
      dataDir: join(folder.path, 'w'),
      policy: logs,
      flags: ['--listen', `127.0.0.1:${port}`],
    });
    const before = openCheckpoint(published(), logKey).treeSize;
    expect(append(['after the restart']).status).toBe(0);
    expect(openCheckpoint(published(), logKey).treeSize).toBe(before + 1);
  }, 60_000);

  test('a second history under the same key is not cosigned, and so not published', async () => {
    const fork = join(folder.path, 'fork');
    cpSync(storage, fork, { recursive: true });
    expect(append(['the history that everybody knows']).status).toBe(0);
    const known = openCheckpoint(published(), logKey);
    const before = published(fork);
    // It waits for its publication for ever.
    expect(append(['another one', 'and one more'], fork, 10_000).status).not.toBe(0);
    expect(published(fork)).toBe(before);
    const shown = await (await witness.get(`${originHash(logKey.name)}/checkpoint`)).text();
    expect(openCheckpoint(shown, logKey)).toMatchObject({ treeSize: known.treeSize, rootHash: known.rootHash });
  }, 120_000);
});
