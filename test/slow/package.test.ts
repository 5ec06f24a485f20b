/** The packed tarball, installed in an empty directory by somebody with an empty HOME: command line, server and SDK. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { ADMIN_KEY, ROOT } from '../support/spawn-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'indelible-package-'));
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(cwd: string, env: Record<string, string>, program: string, ...args: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: 'utf8', maxBuffer: 1e8 });
  expect({ program, args, status, stderr: status === 0 ? '' : stderr }).toMatchObject({ status: 0 });
  return { status, stdout, stderr };
}

const PATH = process.env['PATH'] as string;
/** What npm packs, by folder; everything else is a mistake. */
const PACKED =
  /^(?:(?:dist|docs|contrib)\/.+|proto\/[\w-]+\.proto|CHANGELOG\.md|SECURITY\.md|README\.md|LICENSE|package\.json)$/;

test('npm pack, npm install, and everything that the README says', async () => {
  const everything = process.env as Record<string, string>;
  const [packed] = JSON.parse(run(ROOT, everything, 'npm', 'pack', '--json', '--pack-destination', folder).stdout) as {
    filename: string;
    files: { path: string }[];
  }[];
  const paths = (packed?.files ?? []).map(({ path }) => path);
  expect(paths.filter((path) => !PACKED.test(path))).toEqual([]);
  expect(
    paths.filter((path) => /(?:^|\/)(?:test|node_modules|data)\/|\.test\.|\.tsbuildinfo$|\.pyc$/.test(path)),
  ).toEqual([]);
  const { files, bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    files: string[];
    bin: { indelible: string };
  };
  for (const pattern of files)
    expect({ pattern, there: paths.some((path) => path.startsWith(pattern.replace(/\*.*$/, ''))) }).toEqual({
      pattern,
      there: true,
    });
  expect(paths).toContain(bin.indelible);

  // A stranger: an empty HOME, nothing of our environment, npm's cache and registry excepted.
  const home = join(folder, 'home');
  const project = join(folder, 'project');
  for (const path of [home, project]) mkdirSync(path);
  const setting = (name: string): string => run(ROOT, everything, 'npm', 'config', 'get', name).stdout.trim();
  const npm = {
    npm_config_cache: setting('cache'),
    npm_config_registry: setting('registry'),
    npm_config_prefer_offline: 'true',
    npm_config_ignore_scripts: 'true',
    npm_config_audit: 'false',
  };
  const stranger = { PATH, HOME: home, ...npm };
  writeFileSync(join(project, 'package.json'), '{"name":"stranger","version":"1.0.0","private":true,"type":"module"}');
  const tarball = join(folder, packed?.filename ?? '');
  run(project, stranger, 'npm', 'install', tarball);

  const installed = join(project, 'node_modules/indelible');
  const text = paths
    .filter((path) => !path.startsWith('dist/'))
    .map((path) => readFileSync(join(installed, path), 'utf8'));
  const built = paths
    .filter((path) => path.startsWith('dist/'))
    .map((path) => readFileSync(join(installed, path), 'utf8'));
  for (const content of [...text, ...built]) expect(content.includes(ROOT) || content.includes(folder)).toBe(false);

  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  expect(run(project, stranger, 'npx', '--no-install', 'indelible', '--version').stdout.trim()).toBe(version);

  const command = join(project, 'node_modules/.bin/indelible');
  const user = { PATH, HOME: home, INDELIBLE_KEY: ADMIN_KEY };
  const server = spawn(
    command,
    ['serve', '--data-dir', join(folder, 'data'), '--listen', '127.0.0.1:0', '--interval', '100'],
    {
      cwd: project,
      env: { PATH, HOME: home, INDELIBLE_ADMIN_KEY: ADMIN_KEY },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  children.push(server);
  const url = await new Promise<string>((resolve) =>
    server.stdout?.once('data', (chunk) => resolve(`${/listening on (\S+)/.exec(String(chunk))?.[1]}/logs/main`)),
  );
  const indelible = (...args: string[]): string =>
    run(project, { ...user, INDELIBLE_URL: url }, command, ...args).stdout;

  writeFileSync(join(project, 'events.ndjson'), '{"id":"e-1","action":"login"}\n{"id":"e-2","action":"logout"}\n');
  const appended = indelible('append', 'events.ndjson', '--id-pointer', '/id', '--ack', 'signed', '--json');
  expect(JSON.parse(appended)).toMatchObject({ appended: 2, replayed: 0 });
  expect(indelible('get', '1')).toBe('{"id":"e-2","action":"logout"}\n');
  indelible('verify', '--all');
  writeFileSync(join(project, 'event-1.json'), indelible('get', '1', '--reply'));
  const { verifier_key: vkey } = (await (await fetch(url)).json()) as { verifier_key: string };

  const script = `
    import { LogClient } from 'indelible';
    const log = new LogClient({ url: process.argv[2], key: process.argv[3] });
    const event = new TextEncoder().encode('{"id":"e-3","action":"sdk"}');
    const { entries } = await log.append([event], { ack: 'signed', idPointer: '/id' });
    console.log(entries[0].leafIndex, new TextDecoder().decode((await log.event(2)).event));
  `;
  writeFileSync(join(project, 'sdk.js'), script);
  expect(run(project, user, 'node', 'sdk.js', url, ADMIN_KEY).stdout).toBe('2 {"id":"e-3","action":"sdk"}\n');

  server.kill('SIGTERM');
  expect(await new Promise((resolve) => server.once('close', resolve))).toBe(0);
  // Offline, by the installed command and by the verifier in Python that came along.
  run(project, { PATH, HOME: home }, command, 'verify', 'event-1.json', '--vkey', vkey);
  if (spawnSync('python3', ['--version']).status === 0)
    run(project, { PATH, HOME: home }, 'python3', join(installed, 'contrib/verify.py'), '--vkey', vkey, 'event-1.json');
});
