/**
 * Three times as much as the server can take, at a fixed rate that waits for nobody: each request leaves when it is due, on a
 * connection of its own if all others still wait. Measured from that moment on, what is acknowledged must be so soon, everything
 * else must be refused by name, and nothing acknowledged may be lost, kill -9 in the middle of a last burst included.
 *
 * Load and server share two cores. So that the load can be three times the capacity, requests are batches of events: a batch costs
 * the load a fraction of what it costs the server. All times, the rate of the load too, are those of a clock that stands still while the machine
 * does other things (test/support/fair-clock.ts).
 */
import { readFileSync } from 'node:fs';
import { FairClock } from '../support/fair-clock.ts';
import { ADMIN_KEY, ServerProcess, START_FLAGS } from '../support/spawn-server.ts';
import { ExpectedLog, pause } from './expected.ts';
import { Ledger } from './ledger.ts';
import { type Answer, Connections, header } from './raw-http.ts';

export interface OverloadRun {
  readonly dataDir: string;
  /** How long the overload lasts. */
  readonly seconds: number;
  readonly seed: number;
  readonly build?: string;
  readonly progress?: (done: number, text: string) => void;
}

export interface OverloadReport {
  /** Seconds of overload that there were. */
  readonly seconds: number;
  readonly seen: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** Events of a batch. */
const BATCH = 50;
/** How many times the capacity is offered. */
const OVERLOAD = 3;
/** Seconds of closed loop in which the capacity is measured, after as many of warming up. */
const MEASURED = 3;
const CLOSED_LOOP = 24;
/**
 * Connections that are there before the load: enough for what may wait at a time. New ones are taken one in each turn of Node's event loop, so
 * that under load they wait where nobody can refuse them.
 */
const OPENED = 6000;
/** Fewer than the server takes: more waiting requests than these are a backlog without bound. */
const CONNECTIONS = 8000;

/**
 * Most milliseconds from the moment a batch was due to its acknowledgment, for 99 of 100. Alone it takes 10 ms; the pool of 65,536 entries is
 * worked off in two or three seconds by a server of this size. What is promised is 30 s (`ack_timeout`); five leave room for a machine that is
 * busy with other things.
 */
const P99 = 5000;
/** Most milliseconds between two heads; they are made every second. */
const HEAD_GAP = 15_000;
/** Most bytes of memory: the pool of 64 MiB, bodies of 128 MiB, LevelDB, and garbage as much again. */
const MEMORY = 1024 * 1_048_576;
/** When it must serve as ever after the end, and how fast that is, in milliseconds. */
const RECOVERY = 5000;
const NORMAL = 1500;
/** What the kernel counts processor time in, a second. */
const TICKS = 100;
/** Seconds of load at the end, in which it is killed. */
const LAST_BURST = 1;

class Run {
  readonly expected = new ExpectedLog();
  readonly ledger: Ledger;
  readonly #options: OverloadRun;
  server!: ServerProcess;
  clock!: FairClock;
  #next = 0;
  readonly latencies: number[] = [];
  /** Answers of the overload by what they were. */
  readonly counts = { acknowledged: 0, pushback: 0, cut: 0, unsent: 0 };
  readonly seen: Record<string, number> = {};

  constructor(options: OverloadRun) {
    this.#options = options;
    const { seed } = options;
    const filler = 'abcdefghij'.repeat(15);
    this.ledger = new Ledger(
      this.expected,
      BATCH,
      (batch, position) => `{"id":"${seed}-${batch}-${position}","actor":"user ${position % 7}","note":"${filler}"}`,
    );
  }

  violation(text: string): void {
    if (!this.expected.violations.includes(text)) this.expected.violations.push(text);
  }

  async start(): Promise<void> {
    const { dataDir, build } = this.#options;
    this.server = await ServerProcess.start({
      dataDir,
      flags: ['--log-level', 'warn'],
      nodeFlags: START_FLAGS,
      ...(build === undefined ? {} : { build }),
    });
    if (this.server.url === '') throw new Error(`the server did not start: ${this.server.stderr.trim()}`);
    this.clock?.stop();
    this.clock = new FairClock({ pids: [this.server.child.pid as number] });
  }

  /** The next batch as a whole request. */
  request(): { readonly batch: number; readonly bytes: string } {
    const batch = this.#next++;
    const body = this.ledger.body(batch);
    const head = `POST /logs/main/events?id_pointer=/id HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN_KEY}\r\ncontent-type: application/x-ndjson\r\ncontent-length: ${body.length}\r\n\r\n`;
    return { batch, bytes: head + body };
  }

  /** As many requests at a time, the next when one is answered; returns batches a second. */
  async closedLoop(seconds: number): Promise<number> {
    const connections = new Connections(this.server.url, CLOSED_LOOP);
    const end = this.clock.now() + seconds * 1000;
    let done = 0;
    const work = async (): Promise<void> => {
      while (this.clock.now() < end) {
        const { batch, bytes } = this.request();
        const answer = await new Promise<Answer | undefined>((resolve) => connections.send(bytes, resolve));
        this.note(batch, answer);
        if (answer?.status === 200) done++;
      }
    };
    await Promise.all(Array.from({ length: CLOSED_LOOP }, work));
    connections.close();
    return done / seconds;
  }

  /**
   * `rate` requests a second for so long, whatever becomes of them; resolves when all are answered, or `patience` is over. `onBegin` is called
   * when its connections are there.
   */
  async openLoop(rate: number, seconds: number, patience: number, onBegin?: () => void): Promise<void> {
    const measured = onBegin === undefined;
    const connections = new Connections(this.server.url, CONNECTIONS);
    await connections.open(Math.min(OPENED, Math.round(rate * seconds)));
    onBegin?.();
    const { clock } = this;
    const began = clock.now();
    const total = Math.round(rate * seconds);
    let sent = 0;
    const send = (): void => {
      const due = began + (sent++ * 1000) / rate;
      const { batch, bytes } = this.request();
      const went = connections.send(bytes, (answer) => {
        this.note(batch, answer);
        if (measured) this.measure(clock.now() - due, answer);
      });
      if (!went) this.counts.unsent++;
    };
    while (sent < total) {
      const due = Math.min(total, Math.floor(((clock.now() - began) * rate) / 1000));
      // What is late is sent late, and its time counts from when it was due.
      while (sent < due) send();
      await pause(2);
    }
    const took = (clock.now() - began) / 1000;
    if (measured && took > seconds * 1.1)
      throw new Error(`the load took ${took} s for ${seconds}: it is too slow itself`);
    for (const end = clock.now() + patience; connections.waiting > 0 && clock.now() < end; ) await pause(20);
    if (measured && connections.waiting > 0) {
      this.violation(`${connections.waiting} requests still had no answer ${patience} ms after the load`);
    }
    if (measured) this.seen['connections'] = connections.peak;
    connections.close();
  }

  /** What an answer means for what must be in the log. */
  note(batch: number, answer: Answer | undefined): void {
    if (answer === undefined) this.ledger.unanswered += BATCH;
    else if (answer.status === 200) this.ledger.acknowledge(batch, answer.body);
    else {
      const code = /"code":"([a-z_]+)"/.exec(answer.body)?.[1];
      if (answer.status !== 503 || code !== 'pushback')
        this.violation(`an append was answered ${answer.status} ${code}`);
      else if (!(Number(header(answer, 'retry-after')) >= 1)) this.violation('503 pushback without Retry-After');
    }
  }

  measure(milliseconds: number, answer: Answer | undefined): void {
    if (answer === undefined) this.counts.cut++;
    else if (answer.status === 200) {
      this.counts.acknowledged++;
      this.latencies.push(milliseconds);
    } else this.counts.pushback++;
  }

  /** Looks at heads, memory and metrics until it is told to end. */
  watch(): { readonly end: () => Promise<void> } {
    let alive = true;
    let size = -1;
    let grown = this.clock.now();
    let gap = 0;
    const began = this.clock.now();
    const look = async (): Promise<void> => {
      while (alive) {
        const { treeSize } = await this.expected.see(this.server);
        const now = this.clock.now();
        gap = Math.max(gap, now - grown);
        if (treeSize > size) grown = now;
        size = treeSize;
        const seconds = Math.floor((now - began) / 1000);
        this.#options.progress?.(Math.min(seconds, this.#options.seconds), `${size} under heads`);
        await pause(250);
      }
    };
    const looking = look().catch((error: unknown) => this.violation(`no checkpoint during the load: ${String(error)}`));
    return {
      end: async () => {
        alive = false;
        await looking;
        this.seen['longest ms between heads'] = Math.round(gap);
        if (gap > HEAD_GAP) this.violation(`no new head for ${Math.round(gap)} ms`);
      },
    };
  }

  /** Peak of the process's memory, as the kernel counts it. */
  checkMemory(): void {
    const status = readFileSync(`/proc/${this.server.child.pid}/status`, 'utf8');
    const peak = Number(/^VmHWM:\s+([0-9]+) kB$/m.exec(status)?.[1]) * 1024;
    this.seen['MiB of memory'] = Math.round(peak / 1_048_576);
    if (!(peak <= MEMORY)) this.violation(`it took ${Math.round(peak / 1_048_576)} MiB of memory`);
  }

  /** The alarm of operations.md: 503 in the metrics. */
  async checkAlarm(): Promise<void> {
    const text = await (await this.server.fetch('/metrics')).text();
    const counted = Number(
      /^indelible_http_requests_total\{method="POST",route="\/logs\/:log\/events",status="503"\} ([0-9]+)$/m.exec(
        text,
      )?.[1] ?? 0,
    );
    if (counted < this.counts.pushback)
      this.violation(`${counted} of ${this.counts.pushback} answers 503 are in the metrics`);
  }

  /** Appends, each with its head, at the pace of every day. */
  async checkNormal(): Promise<number> {
    const count = 10;
    for (let i = 0; i < count; i++) {
      const began = this.clock.now();
      const reply = await this.server.append({ id: `after-${i}` }, '?ack=signed');
      const { ack } = (await reply.json()) as { ack?: string };
      const took = this.clock.now() - began;
      if (reply.status !== 200 || ack !== 'signed')
        this.violation(`after the load an append was answered ${reply.status} ${ack}`);
      // A head may have to wait for the next second.
      if (took > NORMAL + 1000) this.violation(`after the load an append took ${Math.round(took)} ms`);
    }
    return count;
  }
}

/** Seconds of a core that a process has had. */
function coreSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

export async function overloadRun(options: OverloadRun): Promise<OverloadReport> {
  const run = new Run(options);
  const { violations } = run.expected;
  await run.start();
  await run.expected.meet(run.server);
  let others = 0;
  let seconds = 0;
  await run.closedLoop(MEASURED);
  const capacity = await run.closedLoop(MEASURED);
  const rate = OVERLOAD * capacity;
  const before = coreSeconds(run.server.child.pid as number);
  const [began, lost] = [performance.now(), run.clock.lost];
  const watch = run.watch();
  await run.openLoop(rate, options.seconds, P99);
  await watch.end();
  const took = performance.now() - began;
  const share = (1000 * (coreSeconds(run.server.child.pid as number) - before)) / took;
  run.seen['% of a core'] = Math.round(100 * share);
  run.seen['% of the time lost to the machine'] = Math.round((100 * (run.clock.lost - lost)) / took);
  seconds = options.seconds;
  const { acknowledged, pushback, cut, unsent } = run.counts;
  const sorted = run.latencies.sort((a, b) => a - b);
  const p99 = Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? Number.POSITIVE_INFINITY);
  Object.assign(run.seen, {
    'batches a second at most': Math.round(capacity),
    acknowledged,
    pushback,
    'p99 ms': p99,
  });
  if (p99 > P99) run.violation(`99 of 100 acknowledgments took up to ${p99} ms`);
  if (cut > 0) run.violation(`${cut} connections ended without an answer`);
  if (unsent > 0) run.violation(`${unsent} requests were due while ${CONNECTIONS} others waited`);
  if (pushback === 0 && violations.length === 0) throw new Error('nothing was refused: that was no overload');
  run.checkMemory();
  await run.checkAlarm();
  if (violations.length > 0) {
    // What is broken already need not be waited for: a server that signs no heads has ten appends wait for one.
    run.clock.stop();
    await run.server.stop('SIGKILL');
    return { seconds, seen: run.seen, violations };
  }
  await run.clock.pause(RECOVERY);
  others = await run.checkNormal();
  let burst: Promise<void> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    burst = run.openLoop(rate, LAST_BURST, 0, resolve);
    burst.catch(reject);
  });
  await run.clock.pause(LAST_BURST * 800);
  const early = await run.server.end('SIGKILL');
  if (early !== undefined) run.violation(early);
  await burst;
  await run.start();
  await run.ledger.check(run.server, others);
  const late = await run.server.end('SIGTERM');
  if (late !== undefined) run.violation(late);
  run.clock.stop();
  run.seen['entries'] = run.ledger.entries;
  return { seconds, seen: run.seen, violations };
}
