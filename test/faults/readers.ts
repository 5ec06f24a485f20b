/**
 * Readers that ask for large replies and take them slowly, or not at all, under a cap of memory. A reply that nobody takes stays in the
 * server; what is asked for costs a client a hundred bytes and the server eight megabytes. Meanwhile others append and read, at
 * the pace of every day.
 *
 * The cap is not a cgroup's, which needs rights that a test has not everywhere: the kernel keeps the peak of a process's memory (VmHWM),
 * which says afterwards whether it would have been killed.
 *
 * Times are those of a clock that stands still while the machine does other things (test/support/fair-clock.ts). Whom the server has cut it says
 * itself: a socket that does not read hears nothing, and to ask it would be a sign of life.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { bundlePath } from '../../tree/tiles.ts';
import { CutLines } from '../support/cut-lines.ts';
import { FairClock } from '../support/fair-clock.ts';
import { seededRandom } from '../support/random.ts';
import { ADMIN_KEY, ServerProcess } from '../support/spawn-server.ts';
import { ExpectedLog, pause } from './expected.ts';

export interface ReadersRun {
  readonly dataDir: string;
  /** Slow readers. */
  readonly readers: number;
  readonly seed: number;
  /** Build of which the stall limit is STALL. */
  readonly build: string;
  readonly progress?: (done: number, text: string) => void;
}

export interface ReadersReport {
  readonly readers: number;
  readonly seen: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** Most bytes of memory, and what of it JavaScript's own heap may take. */
const MEMORY = 512 * 1_048_576;
const HEAP = ['--max-old-space-size=320', '--max-semi-space-size=8'];
/** The stall limit of the build that is tested, in milliseconds. */
export const STALL = 8000;
/**
 * Time after the last reply has begun by which those that take nothing must have been cut, in milliseconds: until the watch has seen it, a
 * quarter of the limit, and the limit twice, since Node's timer begins anew when it finds that the system's buffers have taken a part.
 */
const HELD = 2.5 * STALL;
/** Time for the end of a connection to be heard of by who writes to it, and for what was cut to be forgotten, in milliseconds. */
const SOON = 5000;
/** Time for all replies to begin, and to be held, in milliseconds. */
const PATIENCE = 120_000;

/** Events of the log, and bytes of each: a list of a thousand ends at 8 MiB. */
const EVENTS = 1200;
const EVENT_SIZE = 4000;
/** Usual readers and writers, their pause after each answer, and the most milliseconds that 99 of 100 of their requests take. */
const USUAL = 8;
const WRITERS = 4;
const PAUSE = 20;
const P99 = 2000;
/** Where they take longer than that without any slow reader, at this moment on this machine, so many times as long. */
const SLOWER = 8;
/** How long that is measured, in milliseconds. */
const BASELINE = 4000;

/** Bytes of a reply that cannot be in the system's buffers as a whole. */
const LARGE = 6 * 1_048_576;

/** What a slow reader asks for, and whether it takes a little of it from time to time. */
interface Habit {
  readonly path: string;
  readonly drips: boolean;
}

/** A connection that asks for something large, and reads next to nothing. */
class SlowReader {
  readonly #socket: Socket;
  readonly habit: Habit;
  readonly #now: () => number;
  cut = false;
  /** Our port; 0 until there is a connection. */
  port = 0;
  /** Bytes of the reply. */
  size = 0;
  answeredAt = 0;
  #status = '';

  constructor(port: number, habit: Habit, now: () => number) {
    this.habit = habit;
    this.#now = now;
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.once('connect', () => {
      this.port = this.#socket.localPort ?? 0;
    });
    this.#socket.on('error', () => {});
    this.#socket.once('close', () => {
      this.cut = true;
    });
    this.#socket.write(`GET ${habit.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN_KEY}\r\n\r\n`);
    // The status line is read, and from there on a chunk a time or nothing.
    this.#socket.once('data', (chunk) => {
      const text = chunk.toString('latin1');
      this.#status = text.slice(9, 12);
      this.answeredAt = this.#now();
      this.size = Number(/^content-length: *([0-9]+)/im.exec(text)?.[1] ?? 0);
      this.#socket.pause();
    });
  }

  get status(): string {
    return this.#status;
  }

  /** Whether it takes nothing of a reply that cannot be in the system's buffers. */
  get deaf(): boolean {
    return !this.habit.drips && this.size > LARGE;
  }

  /** Takes a chunk, if it is one of those that do. */
  drip(): void {
    if (!this.habit.drips || this.cut) return;
    if (this.#socket.listenerCount('data') === 0) this.#socket.once('data', () => this.#socket.pause());
    this.#socket.resume();
  }

  /** Whether the server has ended the connection: a socket that does not read hears of it at its next write only. */
  knock(): void {
    if (!this.cut && !this.#socket.destroyed) this.#socket.write('\r\n');
  }

  end(): void {
    this.#socket.destroy();
  }
}

class Run {
  readonly expected = new ExpectedLog();
  readonly seen: Record<string, number> = {};
  readonly #options: ReadersRun;
  #times: { readonly append: number[]; readonly read: number[] } = { append: [], read: [] };
  readonly #cuts = new CutLines();
  server!: ServerProcess;
  clock!: FairClock;
  #next = 0;
  #alive = true;

  constructor(options: ReadersRun) {
    this.#options = options;
  }

  violation(text: string): void {
    if (!this.expected.violations.includes(text)) this.expected.violations.push(text);
  }

  async start(): Promise<void> {
    const { dataDir, build } = this.#options;
    const flags = ['--interval', '100', '--log-level', 'debug', '--scrub-rate', '0'];
    const { onLine } = this.#cuts;
    this.server = await ServerProcess.start({ dataDir, build, flags, nodeFlags: HEAP, onLine });
    if (this.server.url === '') throw new Error(`the server did not start: ${this.server.stderr.trim()}`);
    this.clock?.stop();
    this.clock = new FairClock({ pids: [this.server.child.pid as number] });
  }

  /** Something to read. */
  async fill(): Promise<void> {
    const filler = 'abcdefghij'.repeat(EVENT_SIZE / 10);
    for (let at = 0; at < EVENTS; at += 100) {
      const batch = Array.from({ length: 100 }, (_, i) => {
        const id = `${this.#options.seed}-large-${at + i}`;
        return { id, text: JSON.stringify({ id, filler }) };
      });
      if ((await this.expected.send(this.server.url, batch)) !== 200) throw new Error('the log could not be filled');
    }
    await this.expected.check(this.server);
  }

  /** The usual traffic, timed, until `end`, which gives the time that 99 of 100 took. */
  usual(): { readonly end: () => Promise<Record<'append' | 'read', number>> } {
    this.#alive = true;
    this.#times = { append: [], read: [] };
    const writers = Array.from({ length: WRITERS }, () => this.#loop('append', () => this.#append()));
    const readers = Array.from({ length: USUAL }, (_, i) => this.#loop('read', (n) => this.#read(i + n)));
    const running = Promise.all([...writers, ...readers]).catch((error: unknown) =>
      this.violation(`usual traffic failed: ${String(error)} ${this.server.stderr.trim().slice(-500)}`),
    );
    const p99 = (times: number[]): number => {
      times.sort((a, b) => a - b);
      return Math.round(times[Math.floor(times.length * 0.99)] ?? Number.POSITIVE_INFINITY);
    };
    return {
      end: async () => {
        this.#alive = false;
        await running;
        return { append: p99(this.#times.append), read: p99(this.#times.read) };
      },
    };
  }

  /** Compares the usual traffic with what it was without slow readers. */
  compare(before: Record<'append' | 'read', number>, during: Record<'append' | 'read', number>): void {
    for (const kind of ['append', 'read'] as const) {
      this.seen[`${kind} p99 ms`] = during[kind];
      this.seen[`${kind} p99 ms before`] = before[kind];
      if (during[kind] > Math.max(P99, SLOWER * before[kind])) {
        this.violation(`99 of 100 usual ${kind}s took up to ${during[kind]} ms, and ${before[kind]} before`);
      }
    }
  }

  async #loop(kind: 'append' | 'read', once: (n: number) => Promise<void>): Promise<void> {
    for (let n = 0; this.#alive; n++) {
      const began = this.clock.now();
      await once(n);
      this.#times[kind].push(this.clock.now() - began);
      await pause(PAUSE);
    }
  }

  async #append(): Promise<void> {
    const id = `${this.#options.seed}-${this.#next++}`;
    const status = await this.expected.send(this.server.url, [{ id, text: JSON.stringify({ id }) }]);
    if (status !== 200) this.violation(`a usual append was answered ${status ?? 'nothing'}`);
  }

  async #read(n: number): Promise<void> {
    const paths = [
      '/logs/main/checkpoint',
      `/logs/main/proofs/inclusion?index=${n % EVENTS}`,
      `/logs/main/events/${n % EVENTS}`,
    ];
    const reply = await this.server.fetch(paths[n % paths.length] as string);
    await reply.arrayBuffer();
    if (reply.status !== 200) this.violation(`a usual read was answered ${reply.status}`);
  }

  checkMemory(): void {
    const status = readFileSync(`/proc/${this.server.child.pid}/status`, 'utf8');
    const peak = Number(/^VmHWM:\s+([0-9]+) kB$/m.exec(status)?.[1]) * 1024;
    this.seen['MiB of memory'] = Math.round(peak / 1_048_576);
    if (!(peak <= MEMORY)) this.violation(`it took ${Math.round(peak / 1_048_576)} MiB of memory`);
  }

  get dead(): boolean {
    return this.server.child.exitCode !== null || this.server.child.signalCode !== null;
  }

  /** Readers of the seed, all at once; holds them, and looks who was cut. */
  async slowReaders(): Promise<void> {
    const { readers: count, seed, progress } = this.#options;
    const random = seededRandom(seed);
    const port = Number(new URL(this.server.url).port);
    const readers = Array.from({ length: count }, () => {
      const kind = random();
      const from = Math.floor(random() * 100);
      const path =
        kind < 0.7
          ? `/logs/main/events?from=${from}&limit=1000`
          : kind < 0.85
            ? '/logs/main/tree-heads?limit=1000'
            : `/logs/main/${bundlePath(Math.floor(random() * 4), 256)}`;
      return new SlowReader(port, { path, drips: random() < 0.25 }, () => this.clock.now());
    });
    const named = (reader: SlowReader): boolean => this.#cuts.of(reader.port) !== undefined;
    const patience = this.clock.now() + PATIENCE;
    while (!this.dead && this.clock.now() < patience) {
      for (const reader of readers) reader.drip();
      await pause(100);
      const answered = readers.filter((reader) => reader.status !== '' || reader.cut || named(reader)).length;
      const deaf = readers.filter((reader) => reader.deaf);
      progress?.(answered, `${readers.filter(named).length} cut`);
      const last = Math.max(...readers.map(({ answeredAt }) => answeredAt));
      if (answered === count && (deaf.every(named) || this.clock.now() > last + HELD)) break;
    }
    this.checkOrDead();
    // Whoever did not take a byte has been cut; a first write is answered by a reset, a second one fails.
    for (
      const end = this.clock.now() + SOON;
      this.clock.now() < end && readers.some(({ deaf, cut }) => deaf && !cut);
    ) {
      for (const reader of readers) if (!reader.habit.drips) reader.knock();
      await pause(100);
    }
    for (const { status, cut } of readers) {
      // Eight seconds are short: on a slow machine some are cut while they wait for their turn.
      if (status !== '200' && status !== '503' && !(status === '' && (cut || this.dead))) {
        this.violation(`a slow reader was answered ${status === '' ? 'nothing' : status}`);
      }
    }
    // What is small enough for the system's buffers has left the server whether it was read or not.
    const large = readers.filter(({ deaf }) => deaf);
    const held = large.filter(({ cut }) => !cut).length;
    this.seen['large replies not taken'] = large.length;
    if (held > 0) this.violation(`${held} of ${large.length} readers that take nothing were not cut`);
    const wrong = large.map(({ port: own }) => this.#cuts.of(own)?.reason).filter((reason) => reason !== 'not_taken');
    if (wrong.length > 0 && !this.dead)
      this.violation(`readers that take nothing were cut for another reason: ${wrong.map(String).join(', ')}`);
    if (large.length === 0 && !this.dead) throw new Error('nobody got a large reply: nothing was tried');
    this.seen['refused'] = readers.filter(({ status }) => status === '503').length;
    for (const reader of readers) reader.end();
  }

  checkOrDead(): void {
    if (this.dead) this.violation(`the server died: ${this.server.stderr.trim().slice(-500)}`);
    else this.checkMemory();
  }
}

export async function readersRun(options: ReadersRun): Promise<ReadersReport> {
  const run = new Run(options);
  const { violations } = run.expected;
  await run.start();
  await run.expected.meet(run.server);
  await run.fill();
  const alone = run.usual();
  await run.clock.pause(BASELINE);
  const before = await alone.end();
  const usual = run.usual();
  await run.slowReaders();
  run.compare(before, await usual.end());
  if (!run.dead) {
    run.checkMemory();
    // The replies that were cut are forgotten: a large one is there for whoever takes it.
    let found = { status: 0, length: 0 };
    const whole = (): boolean => found.status === 200 && found.length >= 4 * 1_048_576;
    for (const end = run.clock.now() + SOON; !whole() && run.clock.now() < end; await pause(100)) {
      const reply = await run.server.fetch('/logs/main/events?limit=1000').catch(() => undefined);
      found = { status: reply?.status ?? 0, length: (await reply?.text())?.length ?? 0 };
    }
    if (!whole()) run.violation(`afterwards a list has ${found.length} bytes, status ${found.status}`);
  }
  if (violations.length === 0) {
    await run.server.stop('SIGKILL');
    await run.start();
    await run.expected.settle(run.server.url);
    await run.expected.check(run.server);
    await run.server.stop('SIGTERM');
  }
  run.clock.stop();
  run.seen['acknowledged'] = run.expected.acknowledged.size;
  return { readers: options.readers, seen: run.seen, violations };
}
