/** `indelible witness` as a process: what it prints, how it stops, what it exits with. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openNote } from '../../proofs/note.ts';
import { BUILD, killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { killWitnesses, WitnessProcess } from '../support/spawn-witness.ts';
import { logsFile, WitnessedLog } from '../support/witnessed-log.ts';
import { type Ended, User } from './spawn.ts';

const MAIN = join(BUILD, 'cli/main.js');
const NAME = 'witness.example.com/w1';
const log = new WitnessedLog('example.com/logs/main');
const other = new WitnessedLog('example.com/logs/other', 16, { seed: 2 });

let folder: ReturnType<typeof temporaryFolder>;
let dataDir: string;
let policy: string;

beforeEach(() => {
  folder = temporaryFolder('cli-witness');
  dataDir = join(folder.path, 'w');
  policy = join(folder.path, 'logs.txt');
  writeFileSync(policy, logsFile(log));
});
afterEach(async () => {
  await killWitnesses();
  await killAll();
  folder.remove();
});

/** One that is not expected to start. */
async function refused(...args: readonly string[]): Promise<Ended> {
  const user = await User.at();
  const ended = await user.run(['witness', ...args]);
  await user.gone();
  return ended;
}

const common = (): string[] => ['--data-dir', dataDir, '--policy', policy, '--listen', '127.0.0.1:0'];

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('a witness', () => {
  test('prints its verifier key and its address, cosigns, drains on SIGTERM, and goes on where it was', async () => {
    const witness = await WitnessProcess.start({ dataDir, policy, name: NAME });
    expect(witness.stdout).toBe(`verifier key ${witness.vkey}\nlistening on ${witness.url}\n`);
    expect(witness.key).toMatchObject({ name: NAME, algorithm: 4 });
    const reply = await witness.add(log.body(0, 5));
    const before = Math.floor(Date.now() / 1000);
    expect(reply.status).toBe(200);
    const { signatures } = openNote(log.checkpoint(5) + (await reply.text()), [witness.key]);
    const time = Number(Buffer.from(signatures[0]?.signature as Uint8Array).readBigUInt64BE(0));
    expect(Math.abs(time - before)).toBeLessThan(60);
    expect(await witness.stop()).toEqual({ code: 0, signal: null });

    const again = await WitnessProcess.start({ dataDir, policy });
    expect(again.vkey).toBe(witness.vkey);
    const conflict = await again.add(log.body(0, 6));
    expect([conflict.status, await conflict.text()]).toEqual([409, '5\n']);
    expect((await again.add(log.body(5, 6))).status).toBe(200);
    expect((await again.get(`${log.hash}/checkpoint`)).status).toBe(200);
    expect(await (await again.get('metrics')).text()).toMatch(/^indelible_witness_cosignatures_total 1$/m);
    await again.stop();
  });

  test('takes other logs on SIGHUP, and keeps those it has where the file is no good', async () => {
    const witness = await WitnessProcess.start({ dataDir, policy, name: NAME });
    expect((await witness.add(other.body(0, 3))).status).toBe(404);
    writeFileSync(policy, 'log nonsense\n');
    witness.child.kill('SIGHUP');
    await until(() => witness.stderr.includes('kept the logs that are witnessed'));
    expect(witness.stderr).toContain('"alarm":"witness-logs"');
    expect((await witness.add(log.body(0, 3))).status).toBe(200);
    writeFileSync(policy, logsFile(other));
    witness.child.kill('SIGHUP');
    await until(() => witness.stderr.includes('reloaded the logs that are witnessed'));
    expect((await witness.add(other.body(0, 3))).status).toBe(200);
    expect((await witness.add(log.body(3, 4))).status).toBe(404);
    expect((await witness.stop()).code).toBe(0);
  });

  test('of no log yet prints its key all the same, and says so', async () => {
    writeFileSync(policy, 'quorum none\n');
    const witness = await WitnessProcess.start({ dataDir, policy, name: NAME });
    expect(witness.vkey).toContain(NAME);
    await until(() => witness.stderr.includes('names none'));
    await witness.stop();
  });

  test('--json prints one object, and --help an example', async () => {
    const child = spawn(process.execPath, [MAIN, 'witness', ...common(), '--name', NAME, '--json'], { stdio: 'pipe' });
    const line = await new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(String(chunk))));
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(JSON.parse(line)).toEqual({
      verifier_key: expect.stringContaining(NAME),
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:[0-9]+$/),
      logs: 1,
    });
    const { code, stdout } = await refused('--help');
    expect([code, stdout]).toEqual([0, expect.stringContaining('$ indelible witness --data-dir')]);
  });

  test('tells of two trees of one log', async () => {
    const witness = await WitnessProcess.start({ dataDir, policy, name: NAME });
    await witness.add(log.body(0, 5));
    expect((await witness.add(log.forked(2).body(5, 5))).status).toBe(422);
    await until(() => witness.stderr.includes('"alarm":"split-view"'));
    expect(await (await witness.get('metrics')).text()).toMatch(/findings_total\{kind="split_view"\} 1/);
    await witness.stop();
  });
});

describe('one that cannot start', () => {
  test('usage: 2, and nothing is made', async () => {
    for (const [args, words] of [
      [[], '--data-dir'],
      [['--data-dir', dataDir], '--policy'],
      [common(), 'give it a name for ever with --name'],
      [[...common(), '--name', 'a b'], '--name'],
      [[...common(), '--name', 'https://example.com'], '--name'],
      [[...common(), '--name', NAME, '--listen', 'nowhere'], '--listen'],
      [[...common(), '--name', NAME, '--policy', join(folder.path, 'nothing')], 'cannot be read (ENOENT)'],
      [[...common(), '--name', NAME, '--policy', folder.path], 'cannot be read (EISDIR)'],
      [[...common(), '--nonsense'], '--nonsense'],
    ] as const) {
      const { code, stdout, stderr } = await refused(...args);
      expect([words, code, stdout, stderr]).toEqual([words, 2, '', expect.stringContaining(words)]);
      expect(stderr).not.toMatch(/^ {4}at /m);
    }
    expect(existsSync(dataDir)).toBe(false);
  });

  test('a policy without a quorum line, or a key of a witness as that of a log: 2, with line and reason', async () => {
    const cases = [
      [`log ${log.key.text}\n`, 'quorum none'],
      [`quorum none\nlog witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN\n`, 'line 2'],
      [`quorum none`, 'newline'],
      [`PRIVATE+KEY+EnochRoot+af0cfe78+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n`, 'line 1'],
    ] as const;
    for (const [text, words] of cases) {
      writeFileSync(policy, text);
      const { code, stderr } = await refused(...common(), '--name', NAME);
      expect([words, code, stderr]).toEqual([words, 2, expect.stringContaining(words)]);
      expect(stderr).not.toContain('AQAAAA');
    }
    expect(existsSync(dataDir)).toBe(false);
  });

  test('--json says the same as an object', async () => {
    const { code, stdout } = await refused(...common(), '--json');
    expect([code, JSON.parse(stdout)]).toEqual([
      2,
      { ok: false, code: 'usage', message: expect.stringContaining('--name') },
    ]);
  });

  test('a taken port: 2 before a key is made', async () => {
    const witness = await WitnessProcess.start({ dataDir, policy, name: NAME });
    const second = join(folder.path, 'second');
    const { code, stderr } = await refused(
      '--data-dir',
      second,
      '--policy',
      policy,
      '--name',
      NAME,
      '--listen',
      witness.url.slice(7),
    );
    expect([code, stderr]).toEqual([2, expect.stringContaining('cannot listen on')]);
    expect(existsSync(second)).toBe(false);
  });

  test('a directory in use: 75; an open key: 78', async () => {
    const witness = await WitnessProcess.start({ dataDir, policy, name: NAME });
    expect((await refused(...common())).code).toBe(75);
    await witness.stop();
    chmodSync(join(dataDir, 'key'), 0o640);
    const { code, stderr } = await refused(...common());
    expect([code, stderr]).toEqual([78, expect.stringContaining('can be read by others')]);
    expect(stderr).not.toContain(readFileSync(join(dataDir, 'key'), 'utf8').trim());
  });

  test('a disk where nothing can grow: 70, at the first head as at the first start, and the next start goes on', async () => {
    const wrapper = ['bash', '-c', 'ulimit -f 0; exec "$@"', 'bash'];
    const first = await WitnessProcess.start({ dataDir, policy, name: NAME, wrapper });
    expect((await first.exited).code).toBe(70);
    const good = await WitnessProcess.start({ dataDir, policy, name: NAME });
    expect((await good.add(log.body(0, 5))).status).toBe(200);
    await good.stop();
    const limited = await WitnessProcess.start({ dataDir, policy, wrapper });
    const reply = await limited.add(log.body(5, 6));
    expect([reply.status, JSON.parse(await reply.text())]).toMatchObject([503, { code: 'outcome_unknown' }]);
    expect((await limited.exited).code).toBe(70);
    expect(limited.stderr).toContain('stopping: a write or a check failed');
    expect(limited.stderr).toContain('cannot keep the newest head');
    const after = await WitnessProcess.start({ dataDir, policy });
    const conflict = await after.add(log.body(0, 7));
    expect([conflict.status, await conflict.text()]).toEqual([409, '5\n']);
    expect((await after.add(log.body(5, 6))).status).toBe(200);
  });
});

describe('a witness in a server', () => {
  const flags = (): string[] => ['--witness-logs', policy, '--witness-name', NAME];

  test('is under /witness/, in DIR/witness, with its key told at its first start', async () => {
    const server = await ServerProcess.start({ dataDir, flags: flags() });
    const vkey = /witness key +(\S+)/.exec(server.stderr)?.[1];
    expect(vkey).toMatch(/^witness\.example\.com\/w1\+/);
    const add = (body: string): Promise<Response> => server.fetch('/witness/add-checkpoint', { method: 'POST', body });
    expect((await add(log.body(0, 5))).status).toBe(200);
    expect((await server.fetch(`/witness/${log.hash}/checkpoint`)).status).toBe(200);
    expect(await (await server.fetch('/metrics')).text()).toMatch(/^indelible_witness_cosignatures_total 1$/m);
    writeFileSync(policy, logsFile(log, other));
    server.child.kill('SIGHUP');
    await until(() => server.stderr.includes('reloaded the logs that are witnessed'));
    expect((await add(other.body(0, 1))).status).toBe(200);
    // Nobody else gets at it meanwhile.
    expect((await refused('--data-dir', join(dataDir, 'witness'), '--policy', policy)).code).toBe(75);
    expect(await server.stop()).toEqual({ code: 0, signal: null });

    const again = await ServerProcess.start({ dataDir, flags: flags() });
    expect(again.stderr).not.toMatch(/witness key/);
    expect(again.stderr).toContain(vkey);
    expect((await again.fetch('/witness/add-checkpoint', { method: 'POST', body: log.body(0, 6) })).status).toBe(409);
    await again.stop();
    // Without the flags it is a server like any other, and its directory is not strange to it.
    const plain = await ServerProcess.start({ dataDir });
    expect((await plain.fetch('/witness/add-checkpoint', { method: 'POST', body: log.body(5, 6) })).status).toBe(404);
    await plain.stop();
    const witness = await WitnessProcess.start({ dataDir: join(dataDir, 'witness'), policy });
    expect(witness.vkey).toBe(vkey);
  });

  test('one flag without the other: 2; another name, a bad file: 2, before or after the admin key was shown', async () => {
    const one = await ServerProcess.start({ dataDir, flags: ['--witness-name', NAME] });
    expect([(await one.exited).code, one.stderr]).toEqual([2, expect.stringContaining('give witness-logs too')]);
    const two = await ServerProcess.start({ dataDir, flags: ['--witness-logs', policy] });
    expect([(await two.exited).code, two.stderr]).toEqual([2, expect.stringContaining('give witness-name too')]);
    const none = await ServerProcess.start({
      dataDir,
      flags: ['--witness-logs', `${policy}x`, '--witness-name', NAME],
    });
    expect([(await none.exited).code, none.stderr]).toEqual([2, expect.stringContaining('--witness-logs')]);
    expect(existsSync(dataDir)).toBe(false);
    await (await ServerProcess.start({ dataDir, flags: flags() })).stop();
    const named = await ServerProcess.start({
      dataDir,
      flags: ['--witness-logs', policy, '--witness-name', 'other.example'],
    });
    expect([(await named.exited).code, named.stderr]).toEqual([2, expect.stringContaining('for ever')]);
  });

  test('config check reads the file of the logs', async () => {
    const user = await User.at();
    const check = (file: string): Promise<Ended> =>
      user.run(['config', 'check', '--witness-logs', file, '--witness-name', NAME]);
    expect(await check(policy)).toMatchObject({ code: 0, stdout: 'ok\n' });
    const missing = await check(`${policy}x`);
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining('cannot be read (ENOENT)')]);
    writeFileSync(policy, `log ${log.key.text}\n`);
    const incomplete = await check(policy);
    expect([incomplete.code, incomplete.stderr]).toEqual([2, expect.stringContaining('quorum none')]);
    await user.gone();
  });

  test('a head that cannot be kept stops the server: 70', async () => {
    const server = await ServerProcess.start({ dataDir, flags: flags() });
    rmSync(join(dataDir, 'witness/origins'), { recursive: true });
    const reply = await server.fetch('/witness/add-checkpoint', { method: 'POST', body: log.body(0, 5) });
    expect(reply.status).toBe(503);
    expect((await server.exited).code).toBe(70);
    // And what is gone is not taken for a witness that has promised nothing.
    const again = await ServerProcess.start({ dataDir, flags: flags() });
    expect([(await again.exited).code, again.stderr]).toEqual([78, expect.stringContaining('origins is missing')]);
  });
});
