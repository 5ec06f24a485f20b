/**
 * The container image without an engine: each stage of the Dockerfile is done in a folder of its own, from exactly the files that
 * .dockerignore lets through, and the result's command and health check are run. A file that nobody copies is missed here.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { ignoredBy, parseContainerFile, type Stage } from '../support/container-file.ts';
import { ADMIN_KEY, ROOT } from '../support/spawn-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'indelible-container-'));
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const ignored = ignoredBy(ROOT);
const rootOf = (stage: string): string => join(folder, `stage-${stage}`);

/** RUN lines that are done as they are; the others have no meaning outside an image. */
const COMMANDS = new Set(['npm ci', 'npm ci --omit=dev', 'npm run build']);

interface Image {
  readonly workdir: string;
  readonly env: Record<string, string>;
  readonly entry: string[];
  readonly command: string[];
  readonly health: string[];
}

function build(stage: Stage, root: string): Image {
  let workdir = '/';
  const env: Record<string, string> = {};
  const lists: Record<string, string[]> = {};
  const inside = (path: string): string => join(root, path.startsWith('/') ? path : join(workdir, path));
  for (const { instruction, rest } of stage.instructions) {
    if (instruction === 'WORKDIR') {
      workdir = rest;
      mkdirSync(inside('.'), { recursive: true });
    } else if (instruction === 'ENV') {
      for (const [, name, value] of rest.matchAll(/(\w+)=(\S+)/g)) env[name as string] = value as string;
    } else if (instruction === 'COPY') copy(rest, inside);
    else if (instruction === 'RUN' && COMMANDS.has(rest)) {
      const { status, stderr } = spawnSync('bash', ['-c', rest], {
        cwd: inside('.'),
        encoding: 'utf8',
        env: { ...process.env, npm_config_prefer_offline: 'true' },
      });
      expect({ rest, status, stderr: status === 0 ? '' : stderr }).toEqual({ rest, status: 0, stderr: '' });
    } else if (instruction === 'RUN') {
      const [, path] = /^install -d -o 1000 -g 1000 -m 0700 (\S+)$/.exec(rest) ?? [];
      if (path === undefined) throw new Error(`this test does not know: RUN ${rest}`);
      mkdirSync(inside(path), { mode: 0o700 });
    } else if (['CMD', 'ENTRYPOINT'].includes(instruction)) lists[instruction] = JSON.parse(rest) as string[];
    else if (instruction === 'HEALTHCHECK')
      lists['HEALTHCHECK'] = JSON.parse(rest.replace(/^.*? CMD /, '')) as string[];
  }
  const { ENTRYPOINT: entry = [], CMD: command = [], HEALTHCHECK: health = [] } = lists;
  return { workdir: inside('.'), env, entry, command, health };
}

function copy(rest: string, inside: (path: string) => string): void {
  const words = rest.split(' ');
  const from = words[0]?.startsWith('--from=') ? rootOf((words.shift() as string).slice(7)) : undefined;
  const target = words.pop() as string;
  for (const name of words) {
    const source = from === undefined ? join(ROOT, name) : join(from, name);
    const filter = (path: string): boolean => from !== undefined || !ignored(relative(ROOT, path));
    expect({ name, there: existsSync(source) && filter(source) }).toEqual({ name, there: true });
    cpSync(source, target.endsWith('/') ? join(inside(target), name) : inside(target), { recursive: true, filter });
  }
}

/** The Node that the image has, by npm, which has it as a package. */
const IMAGE_NODE = '24.22.3';

/** A PATH that begins with the image's Node, so far as it can be had: what this machine has may be years older. */
function pathOfImage(): string {
  const path = process.env['PATH'] as string;
  const name = `node-linux-${process.arch}`;
  const prefix = join(folder, 'node');
  mkdirSync(prefix);
  const args = ['install', '--prefix', prefix, '--no-save', '--ignore-scripts', `${name}@${IMAGE_NODE}`];
  if (spawnSync('npm', args, { encoding: 'utf8' }).status === 0)
    return `${join(prefix, 'node_modules', name, 'bin')}:${path}`;
  console.log(`SKIPPED: the image on Node ${IMAGE_NODE}, which npm could not get; it runs on ${process.version}`);
  return path;
}

test('what the Dockerfile builds starts, is healthy, takes events and stops', async () => {
  const stages = parseContainerFile(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));
  let image: Image | undefined;
  for (const [i, stage] of stages.entries()) {
    const root = rootOf(stage.name ?? String(i));
    mkdirSync(root, { recursive: true });
    image = build(stage, root);
  }
  const { workdir, env, entry, command, health } = image as Image;
  expect(readdirSync(workdir).sort()).toEqual(['LICENSE', 'dist', 'node_modules', 'package.json']);
  expect(existsSync(join(workdir, 'node_modules/typescript'))).toBe(false);

  const base = `node:${IMAGE_NODE.split('.')[0]}-slim`;
  expect(stages.map((stage) => stage.image)).toEqual(stages.map(() => base));

  // The image's own environment, but for its data directory and its port, which are those of this machine.
  expect(env).toMatchObject({ INDELIBLE_DATA_DIR: '/data', INDELIBLE_LISTEN: '0.0.0.0:8080' });
  const here = { ...env, INDELIBLE_DATA_DIR: join(folder, 'data'), INDELIBLE_LISTEN: '127.0.0.1:0' };
  const [program = '', ...args] = [...entry, ...command];
  const path = pathOfImage();
  const child = spawn(program, args, {
    cwd: workdir,
    env: { ...here, PATH: path, INDELIBLE_ADMIN_KEY: ADMIN_KEY },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.once('data', (chunk) => resolve(/listening on (\S+)/.exec(String(chunk))?.[1] ?? ''));
    // Or nobody would ever listen, nor anything fail.
    child.once('close', (code) => reject(new Error(`the server ended with ${code} before it listened`)));
  });
  const check = (more: Record<string, string>): number | null =>
    spawnSync(health[0] as string, health.slice(1), { cwd: workdir, env: { PATH: path, ...more } }).status;
  expect(check({ INDELIBLE_HEALTH_URL: `${url}/readyz` })).toBe(0);
  expect(check({ INDELIBLE_HEALTH_URL: `${url}/nothing` })).toBe(1);
  const reply = await fetch(`${url}/logs/main/events?ack=signed`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: '{"action":"login"}',
  });
  expect(reply.status).toBe(200);
  child.kill('SIGTERM');
  expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
  expect(check({ INDELIBLE_HEALTH_URL: `${url}/readyz` })).toBe(1);
});
