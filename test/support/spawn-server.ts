/** Real server processes for tests: started from a build, watched, killed, and never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = new URL('../..', import.meta.url).pathname;
export const BUILD = join(ROOT, 'dist');

/** Flags for Node that `npm start` has. */
export const START_FLAGS = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly scripts: { readonly start: string } }
).scripts.start.match(/--[a-z0-9-]+=\d+/g) as readonly string[];

export const ADMIN_KEY = `ind_${'0123456789abcdef'}_${'ab'.repeat(32)}`;

export interface SpawnOptions {
  readonly dataDir: string;
  /** Folder of the build to run; the project's own by default. */
  readonly build?: string;
  readonly flags?: readonly string[];
  /** Flags for Node itself. */
  readonly nodeFlags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Command that runs the server, such as `unshare -n …`; the node command line is appended. */
  readonly wrapper?: readonly string[];
  /** Milliseconds after which a process that neither listens nor has exited is killed. Default: never. */
  readonly patience?: number;
  /** Hears of the process as soon as there is one. */
  readonly onSpawn?: (child: ChildProcess) => void;
  /** Hears each line of stderr, and says whether `stderr` keeps it. Default: it keeps everything. */
  readonly onLine?: (line: string) => boolean;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class ServerProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  url = '';
  stdout = '';
  stderr = '';

  private constructor(child: ChildProcess, onLine?: (line: string) => boolean) {
    this.child = child;
    child.stdout?.on('data', (chunk) => {
      this.stdout += String(chunk);
    });
    let rest = '';
    child.stderr?.on('data', (chunk) => {
      if (onLine === undefined) {
        this.stderr += String(chunk);
        return;
      }
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() as string;
      for (const line of lines) if (onLine(line)) this.stderr += `${line}\n`;
    });
    // What an uncaught error says last has no end of line.
    child.stderr?.on('end', () => {
      this.stderr += rest;
    });
    this.exited = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  }

  /** Commits that nobody had been told of and that it adopted, as it says. */
  get adopted(): number {
    return Number(/adopted durable commits that were never acknowledged: (\d+)/.exec(this.stderr)?.[1] ?? 0);
  }

  /** Starts a server and waits until it listens or has exited; `url` is empty in the second case. */
  static async start({
    dataDir,
    build = BUILD,
    flags = [],
    nodeFlags = [],
    env = {},
    wrapper = [],
    patience,
    onSpawn,
    onLine,
  }: SpawnOptions): Promise<ServerProcess> {
    const command = [
      ...wrapper,
      process.execPath,
      ...nodeFlags,
      join(build, 'cli/main.js'),
      'serve',
      ...['--data-dir', dataDir, '--listen', '127.0.0.1:0', '--origin-base', 'example.com'],
      ...flags,
    ];
    const child = spawn(command[0] as string, command.slice(1), {
      env: { PATH: process.env['PATH'], INDELIBLE_ADMIN_KEY: ADMIN_KEY, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const server = new ServerProcess(child, onLine);
    running.add(server);
    onSpawn?.(child);
    const listening = new Promise<void>((resolve) => {
      child.stdout?.on('data', () => {
        const match = /^listening on (\S+)\n/.exec(server.stdout);
        if (match !== null) {
          server.url = match[1] as string;
          resolve();
        }
      });
    });
    const giveUp = patience === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), patience);
    await Promise.race([listening, server.exited]);
    clearTimeout(giveUp);
    return server;
  }

  /** Ends the process and waits for its end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    this.child.kill(signal);
    const exit = await this.exited;
    running.delete(this);
    return exit;
  }

  /**
   * Ends a process that must have run until now, and says what is wrong where it did not: one that stops or crashes by itself just before
   * looks like one that was killed, unless somebody asks.
   */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<string | undefined> {
    const { exitCode, signalCode } = this.child;
    const ran = exitCode === null && signalCode === null;
    const { code, signal: by } = await this.stop(signal);
    const asked = signal === 'SIGKILL' ? by === 'SIGKILL' : code === 0;
    // A fail-stop has a moment for its last words, in which our signal may find it.
    if (ran && asked && !/^\{"level":60,/m.test(this.stderr)) return undefined;
    return `the server stopped by itself before its ${signal} (${code ?? by}): ${this.stderr.trim().slice(-2000)}`;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    // A connection each: a test that waits for another program keeps this process from hearing that an idle one was closed.
    const headers = {
      authorization: `Bearer ${ADMIN_KEY}`,
      connection: 'close',
      ...(init.headers as Record<string, string>),
    };
    return fetch(`${this.url}${path}`, { ...init, headers });
  }

  /** Appends one event to `main`. */
  append(event: object, query = ''): Promise<Response> {
    return this.fetch(`/logs/main/events${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(event),
    });
  }
}

const running = new Set<ServerProcess>();

/** Kills whatever a test left running; for `afterEach`. */
export async function killAll(): Promise<void> {
  for (const server of running) {
    if (server.child.exitCode === null && server.child.signalCode === null) await server.stop('SIGKILL');
  }
  running.clear();
}

/** A temporary folder, and how to remove it. */
export function temporaryFolder(name: string): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), `indelible-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
