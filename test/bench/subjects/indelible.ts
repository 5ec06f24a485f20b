/** Our server: from the build, as shipped, with every check on. */
import { setTimeout as wait } from 'node:timers/promises';
import { ADMIN_KEY, killAll, ServerProcess, START_FLAGS } from '../../support/spawn-server.ts';
import { forEach } from '../measure/concurrency.ts';
import type { Subject } from './subject.ts';

/** As `npm start` has it. */
const ENVIRONMENT = { MALLOC_ARENA_MAX: '2' };

export interface IndelibleOptions {
  readonly dataDir: string;
  /** Flags beyond the defaults. */
  readonly flags?: readonly string[];
}

export class Indelible implements Subject {
  readonly name = 'indelible';
  readonly headers = { authorization: `Bearer ${ADMIN_KEY}` };
  readonly dataDir: string;
  readonly #flags: readonly string[];
  #server: ServerProcess;

  private constructor({ dataDir, flags = [] }: IndelibleOptions, server: ServerProcess) {
    this.dataDir = dataDir;
    this.#flags = flags;
    this.#server = server;
  }

  /** Starts it on a directory that is empty or was its own before. */
  static async start(options: IndelibleOptions): Promise<Indelible> {
    return new Indelible(options, await launch(options));
  }

  get pid(): number {
    return this.#server.child.pid as number;
  }

  get url(): string {
    return this.#server.url;
  }

  /** Base URL of a log, without a slash at its end. */
  log(name: string): string {
    return `${this.url}/logs/${name}`;
  }

  /** Makes a log that anybody may read. */
  async createLog(name: string, kind: 'raw' | 'events'): Promise<void> {
    const response = await fetch(`${this.url}/admin/logs`, {
      method: 'POST',
      headers: { ...this.headers, 'content-type': 'application/json' },
      body: JSON.stringify({ name, kind, public_reads: true }),
    });
    if (response.status !== 201) throw new Error(`no log ${name}: ${response.status} ${await response.text()}`);
  }

  /** Sum of a metric over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const values = [...text.matchAll(/^(\w+)(?:\{.*\})? (\S+)$/gm)].filter((match) => match[1] === name);
    if (values.length === 0) throw new Error(`the server has no metric ${name}`);
    return values.reduce((sum, match) => sum + Number(match[2]), 0);
  }

  /** Waits until the by-hash index knows every durable leaf. Its newest ones are in memory: nothing says when they have been written. */
  async indexed(): Promise<void> {
    await this.#until('indelible_index_lag_entries');
  }

  /** Waits until a signed head covers every durable entry, and returns the size of a log. Nothing must be appended meanwhile. */
  async size(log: string): Promise<number> {
    return this.sizeOfAll([log]);
  }

  /** The same of all these logs together. */
  async sizeOfAll(logs: readonly string[]): Promise<number> {
    await this.#until('indelible_unsigned_entries');
    let sum = 0;
    await forEach(logs, 32, async (log) => {
      const size = await this.#signedSize(log);
      // In one expression, what others added meanwhile would be lost.
      sum += size;
    });
    return sum;
  }

  /** Size in the newest signed head. What is no number would pass any comparison of counts. */
  async #signedSize(log: string): Promise<number> {
    const response = await fetch(`${this.log(log)}/checkpoint`, { headers: this.headers });
    const text = await response.text();
    const size = Number(text.split('\n')[1]);
    if (response.status === 200 && Number.isSafeInteger(size)) return size;
    throw new Error(`no size of log ${log}: ${response.status} ${text}`);
  }

  /** Waits until a metric is 0. */
  async #until(metric: string): Promise<void> {
    for (const end = Date.now() + 300_000; (await this.metric(metric)) > 0; ) {
      if (Date.now() > end) throw new Error(`${metric} has not been 0 for five minutes`);
      await wait(10);
    }
  }

  /** kill -9. */
  async stop(): Promise<void> {
    await this.#server.stop('SIGKILL');
  }

  /** Ends it in order, so that the next start has nothing to replay. */
  async close(): Promise<void> {
    await this.#server.stop('SIGTERM');
  }

  /** Starts again what was stopped, on the same directory. */
  async restart(): Promise<void> {
    this.#server = await launch({ dataDir: this.dataDir, flags: this.#flags });
  }
}

async function launch({ dataDir, flags = [] }: IndelibleOptions): Promise<ServerProcess> {
  const server = await ServerProcess.start({ dataDir, flags, nodeFlags: START_FLAGS, env: ENVIRONMENT });
  if (server.url === '') throw new Error(`the server did not start: ${server.stderr}`);
  return server;
}

/** Ends what a scenario that failed has left running. */
export const stopServers = killAll;
