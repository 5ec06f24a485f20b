/** A monitor follows a log of 100,000 entries, is killed again and again, and misses nothing; and its memory does not grow with the log. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ADMIN_KEY, BUILD, killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

const ENTRIES = 100_000;
const KILLS = 20;
/** One of so many events is watched for. */
const EVERY = 997;
/** What a monitor may need more for ten times the entries, in bytes: garbage that was not collected yet, not state. */
const SLACK = 24 * 1_048_576;

const folder = temporaryFolder('monitor');
let server: ServerProcess;
let vkey: string;

beforeAll(async () => {
  server = await ServerProcess.start({ dataDir: join(folder.path, 'data'), flags: ['--interval', '100'] });
  ({ verifier_key: vkey } = (await (await server.fetch('/logs/main')).json()) as { verifier_key: string });
  writeFileSync(join(folder.path, 'rules.yaml'), "rules:\n- name: odd\n  action: 'odd.*'\n");
}, 120_000);

afterAll(async () => {
  await killAll();
  folder.remove();
});

/** Appends events up to a size of the log. */
async function fill(size: number): Promise<void> {
  const { tree_size: from } = (await (await server.fetch('/logs/main')).json()) as { tree_size: number };
  for (let first = from; first < size; first += 2500) {
    const count = Math.min(2500, size - first);
    const body = Array.from({ length: count }, (_, i) => {
      const n = first + i;
      return `{"id":"e-${n}","action":"${n % EVERY === 0 ? 'odd.one' : 'usual.one'}","actor":{"id":"u-${n % 50}"}}\n`;
    }).join('');
    await append(body);
  }
}

/** Appends a batch, again where the machine is too busy: the ids make it once. */
async function append(body: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const reply = await server
      .fetch('/logs/main/events?ack=signed&id_pointer=/id', {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body,
      })
      .catch((error: unknown) => String(error));
    const text = typeof reply === 'string' ? reply : await reply.text();
    if (typeof reply !== 'string' && reply.status === 200) return;
    if (attempt === 20) throw new Error(`append: ${text.slice(0, 500)}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  lines(): Record<string, unknown>[];
}

/** Little room for garbage: how much of it a process lets lie depends on the machine, and hides what the process keeps. */
const TIDY = ['--max-semi-space-size=2', '--max-old-space-size=48'];

function monitor(state: string, flags: readonly string[] = [], nodeFlags: readonly string[] = []): Running {
  const child = spawn(
    process.execPath,
    [
      ...nodeFlags,
      join(BUILD, 'cli/main.js'),
      ...['monitor', `${server.url}/logs/main`, '--vkey', vkey, '--key', ADMIN_KEY, '--json', '--interval', '1'],
      ...['--state', join(folder.path, state), '--watch', join(folder.path, 'rules.yaml'), '--watch-all', ...flags],
    ],
    { env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let text = '';
  child.stdout?.on('data', (part) => {
    text += String(part);
  });
  return {
    child,
    ended: new Promise((resolve) => child.once('close', resolve)),
    // A line that was cut off by the kill was not told.
    lines: () =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

/** How far a state has come; nothing where there is none yet. */
function stateOf(name: string): { read: number; watched: number; head: number } {
  try {
    const { tree, progress, events } = JSON.parse(readFileSync(join(folder.path, name), 'utf8')) as Record<
      string,
      { size: number } | null
    >;
    return { read: (progress ?? tree)?.size ?? 0, watched: events?.size ?? 0, head: tree?.size ?? 0 };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { read: 0, watched: 0, head: 0 };
    throw error;
  }
}

/** The largest resident set of a process so far, in bytes. */
function peakMemory(pid: number): number {
  const [, kilobytes = '0'] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return 1024 * Number(kilobytes);
}

/** Runs a monitor over the whole log, and gives the most memory that it had. */
async function followed(state: string, size: number): Promise<number> {
  const { child, ended } = monitor(state, [], TIDY);
  let peak = 0;
  const end = Date.now() + 300_000;
  while (stateOf(state).watched < size && child.exitCode === null && Date.now() < end) {
    peak = Math.max(peak, peakMemory(child.pid as number));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(stateOf(state)).toMatchObject({ watched: size, head: size });
  return peak;
}

describe('a monitor', () => {
  let small = 0;

  test('follows 10,000 entries', async () => {
    await fill(10_000);
    small = await followed('small.json', 10_000);
    expect(small).toBeGreaterThan(0);
  });

  test('killed over and over while the log grows to 100,000, misses nothing', async () => {
    let fault: unknown;
    const growing = fill(ENTRIES).catch((error: unknown) => {
      fault = error;
    });
    const told = new Map<string, unknown>();
    const collect = (running: Running): void => {
      for (const { id, code, details } of running.lines()) {
        expect(code).toBe('rule_matched');
        told.set(id as string, (details as { leaf_index: number }).leaf_index);
      }
    };
    for (let kill = 0; kill < KILLS; kill++) {
      const running = monitor('killed.json');
      // Each one gets a little further than the last one had come, so that all of the way is died on.
      const from = stateOf('killed.json');
      const goal = Math.floor((ENTRIES * (kill + 1)) / KILLS);
      const end = Date.now() + 20_000;
      for (;;) {
        const { read, watched } = stateOf('killed.json');
        const moved = read > from.read || watched > from.watched;
        if ((moved && (read >= goal || watched >= goal || kill % 2 === 0)) || Date.now() > end) break;
        await new Promise((resolve) => setTimeout(resolve, 7));
      }
      running.child.kill('SIGKILL');
      await running.ended;
      collect(running);
    }
    await growing;
    expect(fault).toBeUndefined();
    const last = monitor('killed.json', ['--once']);
    expect([0, 1]).toContain(await last.ended);
    const lines = last.lines();
    expect(lines.pop()).toMatchObject({ type: 'status', ok: true, verified_tree_size: ENTRIES, alarms: [] });
    for (const { id, details } of lines) told.set(id as string, (details as { leaf_index: number }).leaf_index);
    expect(stateOf('killed.json')).toMatchObject({ watched: ENTRIES, head: ENTRIES });
    const expected = Array.from({ length: Math.ceil(ENTRIES / EVERY) }, (_, i) => i * EVERY);
    expect([...told.values()].sort((a, b) => (a as number) - (b as number))).toEqual(expected);
  });

  test('needs no more memory for ten times the entries', async () => {
    const large = await followed('large.json', ENTRIES);
    console.log(
      `peak memory: ${Math.round(small / 1e6)} MB at 10,000 entries, ${Math.round(large / 1e6)} MB at ${ENTRIES}`,
    );
    expect(large - small).toBeLessThan(SLACK);
  });
});
