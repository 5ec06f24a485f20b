/** hypercore 11.0.0, the append-only log of the Holepunch stack: a library, so it is measured in a process without HTTP. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../support/spawn-server.ts';
import type { Bench } from '../scenario.ts';
import { type Peer, Program } from './subject.ts';

const PACKAGE = 'hypercore@11.0.0';
const FOLDER = join(ROOT, '.tools/hypercore');
const HOOK = new URL('../../support/typescript.js', import.meta.url).href;
const PROCESS = new URL('hypercore-process.ts', import.meta.url).pathname;

/** The folder whose node_modules has it. A full run installs it; its native parts come built in the packages, so no script has to run. */
export function findHypercore({ mode, progress }: Pick<Bench, 'mode' | 'progress'>): Peer<string> {
  const found = join(FOLDER, 'node_modules/hypercore/package.json');
  if (existsSync(found)) return { found: FOLDER };
  if (mode === 'quick') return { missing: `${PACKAGE} is not here; a full run installs it` };
  progress(`installing ${PACKAGE}`);
  mkdirSync(FOLDER, { recursive: true });
  const args = ['install', '--prefix', FOLDER, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', PACKAGE];
  const { status, stderr } = spawnSync('npm', args, { cwd: FOLDER, encoding: 'utf8' });
  if (status === 0) return { found: FOLDER };
  return { missing: `${PACKAGE} cannot be installed: ${(stderr ?? '').trim().split('\n')[0]}` };
}

export interface Appends {
  readonly entriesPerSecond: number;
  /** CPU of the whole process for an entry, in µs. */
  readonly cpuMicros: number;
}

export interface AppendOptions {
  /** An empty folder. */
  readonly storage: string;
  /** Blocks in one append. */
  readonly batch: number;
  /** Bytes of a block. */
  readonly size: number;
  readonly seconds: number;
  /** Whether its database's log is synced after each append, which it does not do by itself. */
  readonly durable: boolean;
}

/** One append after the other into a new core. */
export async function measureHypercore(folder: string, options: AppendOptions): Promise<Appends> {
  const program = new Program(process.execPath, ['--import', HOOK, PROCESS, folder, JSON.stringify(options)]);
  const [line] = await program.says(/^\{.*\}$/m);
  await program.stop();
  return JSON.parse(line);
}
