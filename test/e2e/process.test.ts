/** The server as a process: first start, what it prints, how it stops, what it exits with. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { injector, straceMissing } from '../faults/strace.ts';
import { ADMIN_KEY, BUILD, killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

let firstStart: ChildProcess | undefined;

afterEach(async () => {
  firstStart?.kill('SIGKILL');
  await killAll();
});

function serve(
  args: readonly string[],
  env: Record<string, string> = {},
): { status: number | null; stderr: string; stdout: string } {
  const { status, stderr, stdout } = spawnSync(process.execPath, [join(BUILD, 'cli/main.js'), 'serve', ...args], {
    encoding: 'utf8',
    timeout: 20_000,
    env: { PATH: process.env['PATH'], ...env },
  });
  return { status, stderr, stdout };
}

describe('the server process', () => {
  test('a first start makes main and _system, and prints key, verifier key and three lines, once and on stderr', async () => {
    const { path, remove } = temporaryFolder('first');
    const dataDir = join(path, 'data');
    const child = spawn(
      process.execPath,
      [join(BUILD, 'cli/main.js'), 'serve', '--data-dir', dataDir, '--listen', '127.0.0.1:0'],
      { env: { PATH: process.env['PATH'] } },
    );
    firstStart = child;
    let stderr = '';
    let stdout = '';
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
    });
    await new Promise<void>((resolve) =>
      child.stdout.on('data', (chunk) => {
        stdout += String(chunk);
        resolve();
      }),
    );
    const url = /^listening on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(stdout)?.[1];
    const key = /admin key +(ind_[0-9a-f]{16}_[0-9a-f]{64})/.exec(stderr)?.[1];
    const vkey = /verifier key +([0-9a-f]{16}\.indelible\.invalid\/logs\/main\+[0-9a-f]{8}\+\S+)/.exec(stderr)?.[1];
    expect([url, key, vkey].every((found) => found !== undefined)).toBe(true);

    // The three lines, as a person would paste them.
    const lines = stderr.split('\n').filter((line) => /^ {2}(curl|node) /.test(line));
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      const run = spawnSync(
        'bash',
        ['-c', line.replace('node dist/cli/main.js', `node ${join(BUILD, 'cli/main.js')}`)],
        { cwd: path, encoding: 'utf8' },
      );
      expect({ line, status: run.status, stderr: run.stderr }).toEqual({ line, status: 0, stderr: '' });
    }
    child.kill('SIGTERM');
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
    expect(stdout.split('\n')).toHaveLength(2);
    expect(statSync(dataDir).mode % 0o1000).toBe(0o700);
    expect(statSync(join(dataDir, 'keys/master')).mode % 0o1000).toBe(0o600);

    const again = await ServerProcess.start({ dataDir, env: { INDELIBLE_ADMIN_KEY: ADMIN_KEY } });
    expect(again.stderr).not.toContain('admin key');
    expect(await (await again.fetch('/admin/logs')).json()).toMatchObject({
      logs: [{ name: '_system' }, { name: 'main' }],
    });
    await again.stop();
    remove();
  });

  test('SIGTERM drains: running requests are answered, what was acknowledged stays, exit 0', async () => {
    const { path, remove } = temporaryFolder('drain');
    const server = await ServerProcess.start({ dataDir: path, flags: ['--interval', '3000'] });
    await server.append({ id: 'warm' }, '?ack=signed');
    const waiting = Array.from({ length: 20 }, (_, i) => server.append({ id: i }, '?ack=signed'));
    // All of them have arrived, and wait for the head that the drain signs.
    while (!/^indelible_unsigned_entries 20$/m.test(await (await server.fetch('/metrics')).text()));
    const exit = server.stop('SIGTERM');
    const answers = await Promise.all(waiting);
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(await exit).toEqual({ code: 0, signal: null });
    const again = await ServerProcess.start({ dataDir: path });
    expect(await (await again.fetch('/logs/main')).json()).toMatchObject({ tree_size: 21 });
    await again.stop();
    remove();
  });

  test('all problems of the configuration are reported at once: exit 2', () => {
    const { status, stderr } = serve(['--listen', 'nowhere', '--interval', '0'], {
      INDELIBLE_ADMIN_KEY: 'secret',
      INDELIBLE_MAX_EVENTS: 'many',
    });
    expect(status).toBe(2);
    for (const word of ['--listen', '--interval', 'INDELIBLE_ADMIN_KEY', 'INDELIBLE_MAX_EVENTS'])
      expect(stderr).toContain(word);
    expect(stderr).not.toContain('secret');
    expect(serve(['--no-such-flag']).status).toBe(2);
  });

  test('a taken port: exit 2 before anything is made, so that the admin key is not lost', async () => {
    const { path, remove } = temporaryFolder('port');
    const server = await ServerProcess.start({ dataDir: join(path, 'one') });
    const { status, stderr } = serve(['--data-dir', join(path, 'two'), '--listen', server.url.replace('http://', '')]);
    expect(status).toBe(2);
    expect(stderr).toContain('cannot listen on');
    expect(existsSync(join(path, 'two'))).toBe(false);
    await server.stop();
    remove();
  });

  test('a data directory that is a file: exit 2 with the reason', () => {
    const { status, stderr } = serve(['--data-dir', join(BUILD, 'cli/main.js'), '--listen', '127.0.0.1:0']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^indelible: cannot open .*main\.js/);
  });

  test.each([
    ['the guard', 1],
    ["LevelDB's log file", 16],
  ])('a file that cannot grow, %s: exit 70 with the reason, and the next start goes on', async (_, limit) => {
    const { path, remove } = temporaryFolder('limited');
    const dataDir = join(path, 'data');
    const wrapper = ['bash', '-c', 'ulimit -f "$0"; exec "$@"', String(limit)];
    const limited = await ServerProcess.start({ dataDir, wrapper });
    if (limited.url !== '') {
      expect((await limited.append({ filler: 'x'.repeat(20_000) })).status).toBe(503);
    }
    expect((await limited.exited).code).toBe(70);
    expect(limited.stderr).toMatch(/EFBIG|File too large/);
    const free = await ServerProcess.start({ dataDir });
    expect((await free.append({ after: true })).status).toBe(200);
    expect((await free.stop()).code).toBe(0);
    remove();
  });

  const testTraced = straceMissing() === undefined && process.arch === 'x64' ? test : test.skip;
  testTraced.each(['', 'keys', 'db'])(
    'a directory that the disk cannot make, "%s": exit 70 with the reason',
    async (name) => {
      const { path, remove } = temporaryFolder('no-directory');
      const dataDir = join(path, 'data');
      const wrapper = injector(
        join(path, 'trace'),
        [join(dataDir, name)],
        [{ name: 'mkdir', effect: 'EIO', when: '1' }],
      );
      const failing = await ServerProcess.start({ dataDir, wrapper });
      expect((await failing.exited).code).toBe(70);
      expect(failing.stderr).toContain('EIO');
      remove();
    },
  );

  test('a master seed that others can read: exit 78', async () => {
    const { path, remove } = temporaryFolder('mode');
    const server = await ServerProcess.start({ dataDir: path });
    await server.stop();
    chmodSync(join(path, 'keys/master'), 0o640);
    const { status, stderr } = serve(['--data-dir', path, '--listen', '127.0.0.1:0']);
    expect(status).toBe(78);
    expect(stderr).toContain('chmod 600');
    remove();
  });

  test('a master seed from a file elsewhere: used if it is private, 78 if others can read it, 2 if it is missing', async () => {
    const { path, remove } = temporaryFolder('seed');
    const file = join(path, 'seed');
    const flags = ['--master-seed-file', file];
    expect(serve(['--data-dir', join(path, 'data'), '--listen', '127.0.0.1:0', ...flags])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('cannot read'),
    });
    writeFileSync(file, `${'5a'.repeat(32)}\n`, { mode: 0o644 });
    expect(serve(['--data-dir', join(path, 'data'), '--listen', '127.0.0.1:0', ...flags])).toMatchObject({
      status: 78,
      stderr: expect.stringContaining('chmod 600'),
    });
    chmodSync(file, 0o600);
    const server = await ServerProcess.start({ dataDir: join(path, 'data'), flags });
    expect((await server.append({ id: 1 })).status).toBe(200);
    expect(existsSync(join(path, 'data/keys/master'))).toBe(false);
    await server.stop();
    remove();
  });

  test('a directory that was open to others is made 0700', async () => {
    const { path, remove } = temporaryFolder('open');
    const dataDir = join(path, 'data');
    mkdirSync(dataDir, { mode: 0o755 });
    const server = await ServerProcess.start({ dataDir });
    expect(statSync(dataDir).mode % 0o1000).toBe(0o700);
    await server.stop();
    remove();
  });

  test('every command has help with an example', () => {
    for (const command of ['serve', 'append', 'get', 'verify', 'logs', 'keys', 'adopt']) {
      const { stdout, status } = spawnSync(process.execPath, [join(BUILD, 'cli/main.js'), command, '--help'], {
        encoding: 'utf8',
      });
      expect({ command, status, example: stdout.includes('Example') }).toEqual({ command, status: 0, example: true });
    }
  });
});
