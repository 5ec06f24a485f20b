/** Who is measured: a server in a process of its own, on 127.0.0.1. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

export interface Subject {
  /** As it stands in the report. */
  readonly name: string;
  /** The process to account for, with its children. */
  readonly pid: number;
  /** Without a slash at its end. */
  readonly url: string;
  /** What a request has to carry, such as the API key. */
  readonly headers: Readonly<Record<string, string>>;
  /** Kills it and waits for its end. */
  stop(): Promise<void>;
}

/** A peer that is here, or why it is not. */
export type Peer<T> = { readonly found: T } | { readonly missing: string };

/** Path of a program in the first of these folders that has it. */
export function findProgram(name: string, folders: readonly string[]): string | undefined {
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A program that was started, with all that it said. */
export class Program {
  readonly pid: number;
  readonly ended: Promise<void>;
  output = '';
  readonly #child: ChildProcess;
  #over = false;

  constructor(command: string, args: readonly string[], { env = {}, cwd }: ProgramOptions = {}) {
    this.#child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk) => {
        // A program that logs every request must not fill the memory of the bench.
        if (this.output.length < 100_000) this.output += String(chunk);
      });
    }
    this.ended = new Promise((resolve) => {
      const over = (): void => {
        this.#over = true;
        programs.delete(this);
        resolve();
      };
      this.#child.once('close', over);
      this.#child.once('error', (error) => {
        this.output += String(error);
        over();
      });
    });
    this.pid = this.#child.pid ?? 0;
    programs.add(this);
  }

  /** Waits until it has printed this. Throws an Error if it ends before, or does not say so within a minute. */
  async says(what: RegExp): Promise<RegExpExecArray> {
    return this.until(`saying ${what}`, async () => what.exec(this.output) ?? undefined);
  }

  /** Waits until this URL is answered, however. */
  async answers(url: string): Promise<void> {
    await this.until(`answering ${url}`, () => fetch(url).catch(() => undefined));
  }

  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    for (const end = Date.now() + 60_000; ; ) {
      const found = await look();
      if (found !== undefined) return found;
      if (this.#over) throw new Error(`a program ended before ${what}: ${this.output}`);
      if (Date.now() > end) throw new Error(`a program runs for a minute without ${what}: ${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#child.kill(signal);
    await this.ended;
  }
}

const programs = new Set<Program>();

/** Ends what a scenario that failed has left running; SIGTERM, so that those with children end them. */
export async function stopPrograms(): Promise<void> {
  for (const program of programs) await program.stop('SIGTERM');
}
