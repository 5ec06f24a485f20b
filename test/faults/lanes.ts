/**
 * Harnesses beside each other, each in a process of its own: most of their time is spent waiting for a disk or for a process to end. Those that
 * judge times run alone at the end, or they would disturb each other.
 */
import { spawn } from 'node:child_process';
import type { Harness } from './harness.ts';

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface LanesOptions {
  /** How many at a time. */
  readonly lanes: number;
  /** The command line of one of them, without the program. */
  readonly argv: (harness: Harness) => readonly string[];
  /** Hears what one of them has printed, when it has ended. */
  readonly print: (text: string) => void;
}

/** What the last line of a run counts. */
const COUNTS = /^(\d+) passed, (\d+) failed, (\d+) skipped\n$/m;

export async function runInLanes(harnesses: readonly Harness[], options: LanesOptions): Promise<Counts> {
  const together = harnesses.filter(({ alone }) => alone !== true);
  const children = new Set<{ kill(signal: NodeJS.Signals): boolean }>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.prependListener(signal, () => {
      for (const child of children) child.kill(signal);
    });
  const all: Counts[] = [];
  const run = async (harness: Harness): Promise<void> => {
    const child = spawn(process.execPath, [...process.execArgv, MAIN, ...options.argv(harness)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.add(child);
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    const ended = await new Promise<string>((resolve) =>
      child.once('close', (code, signal) => resolve(String(code ?? signal))),
    );
    children.delete(child);
    const [line, passed, failed, skipped] = COUNTS.exec(text) ?? [];
    options.print(line === undefined ? `${text}${harness.id} ended with ${ended}\n` : text.replace(line, ''));
    const counted = { passed: Number(passed), failed: Number(failed), skipped: Number(skipped) };
    all.push(line === undefined ? { passed: 0, failed: 1, skipped: 0 } : counted);
  };
  const waiting = [...together];
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await run(next);
  };
  await Promise.all(Array.from({ length: options.lanes }, lane));
  for (const harness of harnesses) if (harness.alone === true) await run(harness);
  const sum = (what: keyof Counts): number => all.reduce((total, counts) => total + counts[what], 0);
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
}

const MAIN = new URL('main.ts', import.meta.url).pathname;
