/** Load by wrk, and what it costs the server. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { Program, type Subject } from '../subjects/subject.ts';
import { type Request, writeRequests } from './requests.ts';
import { sampleMemory, usageOf } from './usage.ts';

const SCRIPT = new URL('requests.lua', import.meta.url).pathname;

/** Threads of wrk: one is enough to keep any server on two cores busy, and leaves it the other core. */
const THREADS = cpus().length >= 8 ? 2 : 1;

export interface LoadOptions {
  readonly subject: Subject;
  /** File of requests, made by `prepare`. */
  readonly requests: string;
  readonly connections: number;
  /** Of the measured window. */
  readonly seconds: number;
  /** Of load before the window, not counted. Default 2: after 1 s Node's compiler is still at work, and a request costs a fifth more. */
  readonly warmUp?: number;
  /** What belongs to the work and ends after the last reply, such as an index that follows; its CPU counts. */
  readonly settle?: () => Promise<void>;
}

/** What was seen in the measured window. */
export interface Load {
  readonly requests: number;
  readonly warmUpRequests: number;
  readonly seconds: number;
  /** Until everything had settled, too. */
  readonly settledSeconds: number;
  readonly perSecond: number;
  /** CPU of the server for a request, in µs. */
  readonly cpuMicros: number;
  /** CPU of the server in all, in µs. */
  readonly totalCpuMicros: number;
  /** Bytes that were sent to the disk. */
  readonly writtenBytes: number;
  /** Memory of the server as it stood several times a second in the window: the median. */
  readonly rssBytes: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** How much of its threads' time the generator worked: near 1 it was the bottleneck. */
  readonly generatorBusy: number;
}

/** Its version; undefined where it is missing, and then nothing can be measured. */
export function wrkVersion(): string | undefined {
  const { stdout, error } = spawnSync('wrk', ['-v'], { encoding: 'utf8' });
  return error === undefined ? (/^wrk (?:debian\/)?(\S+)/.exec(stdout)?.[1] ?? 'unknown') : undefined;
}

/** Writes requests into a file for `applyLoad`. */
export function prepare(folder: string, name: string, requests: readonly Request[]): string {
  const file = join(folder, `${name}.requests`);
  writeRequests(file, requests);
  return file;
}

/** Warms up, then measures. Any request that failed makes the figures worthless: that is an Error. */
export async function applyLoad(options: LoadOptions): Promise<Load> {
  const { subject, warmUp = 2, settle = async () => {} } = options;
  let warmUpRequests = 0;
  if (warmUp > 0) {
    const result = await new Wrk({ ...options, seconds: warmUp }).result;
    check(result, subject);
    warmUpRequests = result.requests;
    await settle();
  }
  const before = usageOf(subject.pid);
  const memory = sampleMemory(subject.pid);
  const result = await new Wrk(options).result;
  const rssBytes = memory.median();
  const ended = performance.now();
  await settle();
  const settled = (performance.now() - ended) / 1000;
  const after = usageOf(subject.pid);
  check(result, subject);
  const seconds = result.micros / 1e6;
  const totalCpuMicros = after.cpuMicros - before.cpuMicros;
  return {
    requests: result.requests,
    warmUpRequests,
    seconds,
    settledSeconds: seconds + settled,
    perSecond: result.requests / seconds,
    cpuMicros: totalCpuMicros / result.requests,
    totalCpuMicros,
    writtenBytes: after.writtenBytes - before.writtenBytes,
    rssBytes,
    p50: result.p50 / 1000,
    p99: result.p99 / 1000,
    p999: result.p999 / 1000,
    generatorBusy: result.generatorSeconds / seconds / THREADS,
  };
}

interface Result {
  readonly requests: number;
  readonly micros: number;
  /** Replies of 400 and above. */
  readonly refused: number;
  /** Connections that could not be made, broke, or waited too long. */
  readonly broken: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly generatorSeconds: number;
}

function check({ requests, refused, broken }: Result, { name }: Subject): void {
  if (requests === 0) throw new Error(`${name} answered nothing`);
  if (refused + broken > 0)
    throw new Error(`${name}: of ${requests} requests ${refused} were refused, ${broken} broke`);
}

/** One run of wrk. */
export class Wrk {
  readonly result: Promise<Result>;
  readonly #program: Program;

  constructor({ subject, requests, connections, seconds }: Omit<LoadOptions, 'warmUp' | 'settle'>) {
    const options = ['-t', `${THREADS}`, '-c', `${connections}`, '-d', `${seconds}s`, '--timeout', '30s', '-s', SCRIPT];
    this.#program = new Program('wrk', [...options, subject.url], {
      env: { BENCH_REQUESTS: requests, BENCH_MARK: randomBytes(3).toString('hex'), BENCH_THREADS: `${THREADS}` },
    });
    this.result = this.#program.ended.then(() => {
      const line = /^\{.*\}$/m.exec(this.#program.output)?.[0];
      if (line === undefined) throw new Error(`wrk failed: ${this.#program.output}`);
      return JSON.parse(line);
    });
  }

  /** Ends it before its time; it still tells what it saw. */
  interrupt(): Promise<void> {
    return this.#program.stop('SIGINT');
  }
}
