/**
 * The wall clock steps, stands still, or runs at another rate under a server that is appended to, and across its restarts. The
 * harness keeps its own idea of what the server's clock must be (docs/design.md, The way of an entry): backward steps are ignored, forward ones
 * followed up to a day, across a restart up to 400 days, and what is beyond is refused by name until the clock is right again or
 * an operator accepts it. Each step must raise its alarm, as metric and as log line.
 */
import { parseEventLeaf } from '../../proofs/leaf.ts';
import { parseMicros } from '../../proofs/time.ts';
import { decodeBundle } from '../../tree/bundles.ts';
import { bundlePath } from '../../tree/tiles.ts';
import { FakeTime } from '../support/fake-time.ts';
import { seededRandom } from '../support/random.ts';
import { ServerProcess } from '../support/spawn-server.ts';
import { drawSteps, HOUR, type Step } from './clock-steps.ts';
import { ExpectedLog, pause } from './expected.ts';

export interface ClockRun {
  /** Folder for the data directory and the clock. */
  readonly folder: string;
  readonly steps: number;
  readonly seed: number;
  readonly build?: string;
  readonly progress?: (done: number, text: string) => void;
}

export interface ClockReport {
  readonly steps: number;
  readonly acknowledged: number;
  readonly heads: number;
  readonly restarts: number;
  /** Steps that made the server refuse appends. */
  readonly refused: number;
  /** Alarms, each seen in the metric and in the log. */
  readonly alarms: number;
  readonly violations: readonly string[];
}

/** What the clock may be off by without it being anybody's fault: answers take their time on a busy machine. */
const TOLERANCE = 20_000;
/** The server's own thresholds, in milliseconds. */
const ALARM_STEP = 10_000;
const MAX_FORWARD_STEP = 24 * HOUR;
const MAX_ABSENCE = 400 * 24 * HOUR;
/** How long an odd rate lasts, in milliseconds. */
const ODD_TIME = 2500;
/**
 * What the server's time may be off by in an odd time, in milliseconds, beyond what passes while a probe is under way, which is measured: the
 * library counts a rate from its own start, a little after the one that FakeTime knows. Less than what a server loses at half the rate.
 */
const ODD_TOLERANCE = 500;
/** Clients that append all the time, and their pause after each answer. */
const CLIENTS = 3;
const PAUSE = 15;

type AlarmKind = 'forward_step' | 'backward_step' | 'unsafe';
const ALARM_KINDS: readonly AlarmKind[] = ['forward_step', 'backward_step', 'unsafe'];

/** What the server must make of a clock that is so far ahead of the system's. */
interface Verdict {
  readonly alarm: AlarmKind | undefined;
  /** Milliseconds that the time of the next entry is ahead of the system's clock; `undefined`: it is refused. */
  readonly ahead: number | undefined;
}

/** An append, all in milliseconds of the system's clock but `receivedAt`, which the server gave it at a moment between the other two. */
interface Probe {
  readonly sent: number;
  readonly answered: number;
  readonly receivedAt: number;
}

class Run {
  readonly expected = new ExpectedLog();
  readonly random: () => number;
  readonly #options: ClockRun;
  readonly #fake: FakeTime;
  #server: ServerProcess | undefined;
  #load: { readonly stop: () => Promise<void> } | undefined;
  /** How far the server's time must be ahead of the system's clock, and whether it has said that the wall clock is behind it. */
  #ahead = 0;
  #behind = false;
  /** Time of the newest probe, in microseconds, and of the newest tree head, in milliseconds. */
  #newest = 0;
  #headTime = 0;
  #probed: Probe = { sent: 0, answered: 0, receivedAt: 0 };
  #next = 0;
  restarts = 0;
  refused = 0;
  alarms = 0;

  constructor(options: ClockRun) {
    this.#options = options;
    this.#fake = new FakeTime(options.folder);
    this.random = seededRandom(options.seed);
  }

  get failed(): boolean {
    return this.expected.violations.length > 0;
  }

  get server(): ServerProcess {
    return this.#server as ServerProcess;
  }

  violation(text: string): void {
    this.expected.violations.push(text);
  }

  /** Starts the server with the clock that `turn` sets, and the load on it. */
  async start(turn: () => void): Promise<void> {
    const { folder, build } = this.#options;
    const env = this.#fake.environment();
    turn();
    this.#server = await ServerProcess.start({
      dataDir: `${folder}/data`,
      flags: ['--interval', '50', '--log-level', 'warn'],
      env,
      ...(build === undefined ? {} : { build }),
    });
    if (this.server.url === '') {
      this.violation(`the server did not start: ${this.server.stderr.trim()}`);
      return;
    }
    this.#load = this.#startLoad();
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const { child } = this.server;
    const dead = child.exitCode !== null || child.signalCode !== null;
    if (dead && this.server.url !== '') this.violation(`the server stopped by itself: ${this.server.stderr.trim()}`);
    const exit = await this.server.stop(signal);
    await this.#load?.stop();
    FakeTime.forget(child.pid as number);
    if (signal === 'SIGTERM' && !dead && exit.code !== 0) {
      this.violation(`the server ended with ${exit.code ?? exit.signal}: ${this.server.stderr.trim()}`);
    }
  }

  #startLoad(): { readonly stop: () => Promise<void> } {
    let alive = true;
    const { url } = this.server;
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (alive) {
        const id = `${this.#options.seed}-${this.#next++}`;
        await this.expected.send(url, [{ id, text: JSON.stringify({ id }) }]);
        await pause(PAUSE);
      }
    });
    return {
      stop: async () => {
        alive = false;
        await Promise.all(clients);
      },
    };
  }

  /** One step, what the server must make of it, and back to a clock that is right. */
  async step(step: Step): Promise<void> {
    const { kind, restart, accepted, signal } = step;
    const right = this.#fake.offset;
    const before = restart ? undefined : await this.#alarmCounts();
    const turn = (): void => {
      if (kind === 'frozen') this.#fake.freeze();
      else this.#fake.set(right + step.by, step.rate);
    };
    const mark = this.server.stderr.length;
    const began = Date.now();
    if (restart) {
      await this.stop(signal);
      this.restarts++;
      await this.start(turn);
    } else turn();
    if (this.failed) return;
    const set = Date.now();
    const verdict = this.#judge(right + step.by, restart);
    await this.#probe(verdict);
    await this.#checkAlarm(verdict.alarm, before, restart ? 0 : mark);
    if (verdict.ahead === undefined) await this.#whileRefused(accepted, right, restart);
    else if (step.rate !== 1 || kind === 'frozen') await this.#oddTime(step.rate, right, { began, set });
    // From here on the clock is right again, or what it is now is called right.
    if (kind === 'double') {
      this.#fake.set(right + (Date.now() - set));
      this.#ahead = Math.max(this.#ahead, this.#fake.offset);
    } else if (kind === 'half' || kind === 'frozen' || kind === 'decade-back') this.#fake.set(right);
    this.#behind = this.#fake.offset - this.#ahead < -ALARM_STEP;
    await this.#probe({ alarm: undefined, ahead: this.#ahead });
    await this.#checkHead();
    if (this.server.child.exitCode !== null) this.violation(`the server stopped: ${this.server.stderr.trim()}`);
  }

  /** What a server makes of a wall clock `offset` ahead of the system's; keeps what it believes from then on. */
  #judge(offset: number, restart: boolean): Verdict {
    const step = offset - this.#ahead;
    if (step > (restart ? MAX_ABSENCE : MAX_FORWARD_STEP)) return { alarm: 'unsafe', ahead: undefined };
    const behind = step < -ALARM_STEP;
    const told = behind && (restart || !this.#behind);
    this.#behind = behind;
    this.#ahead = Math.max(this.#ahead, offset);
    const forward = !restart && step > ALARM_STEP;
    return { alarm: told ? 'backward_step' : forward ? 'forward_step' : undefined, ahead: this.#ahead };
  }

  /** Appends one event: it gets the time that it must have and its head, or is refused by name. */
  async #probe({ ahead }: Verdict): Promise<void> {
    const before = Date.now();
    const reply = await this.server.append({ id: `probe-${this.#next++}` }, '?ack=signed');
    const body = (await reply.json()) as { ack?: string; code?: string; entries?: { received_at: string }[] };
    if (ahead === undefined) {
      if (reply.status !== 503 || body.code !== 'clock_unsafe') {
        this.violation(`an append while the clock is ten years ahead was answered ${reply.status} ${body.code ?? ''}`);
      } else if (!(Number(reply.headers.get('retry-after')) > 0)) this.violation('clock_unsafe without Retry-After');
      return;
    }
    if (reply.status !== 200) {
      this.violation(`the clock is right, and an append was answered ${reply.status} ${body.code}`);
      return;
    }
    if (body.ack !== 'signed') this.violation('the clock is right, and no head is signed');
    const receivedAt = parseMicros(body.entries?.[0]?.received_at as string);
    const off = receivedAt / 1000 - (before + ahead);
    if (Math.abs(off) > TOLERANCE + (Date.now() - before)) {
      this.violation(`an entry has a time ${Math.round(off / 1000)} s from what it must be`);
    }
    if (receivedAt < this.#newest) this.violation(`received_at fell by ${(this.#newest - receivedAt) / 1e6} s`);
    this.#newest = receivedAt;
    this.#probed = { sent: before, answered: Date.now(), receivedAt: receivedAt / 1000 };
    // A restart takes away what passed between the newest entry and it; the next step is judged from here.
    this.#ahead = receivedAt / 1000 - Date.now();
  }

  /**
   * Some time in which the wall clock stands still or goes at another rate, from some moment between `began` and `set` on. The server's time goes
   * on as the system's clock does; a wall clock that gets ahead of it is followed.
   */
  async #oddTime(rate: number, right: number, { began, set }: { began: number; set: number }): Promise<void> {
    const first = this.#probed;
    await pause(ODD_TIME);
    await this.#probe({ alarm: undefined, ahead: this.#ahead });
    if (this.failed) return;
    const { sent, answered, receivedAt } = this.#probed;
    // How far the server's time is ahead of the system's clock, at least and at most, as that of the first probe, or as a fast wall clock has it.
    const gained = rate > 1 ? rate - 1 : Number.NEGATIVE_INFINITY;
    const least = Math.max(first.receivedAt - first.answered, right + gained * (sent - set));
    const most = Math.max(first.receivedAt - first.sent, right + gained * (answered - began));
    const early = sent + least - receivedAt;
    const late = receivedAt - (answered + most);
    if (early > ODD_TOLERANCE) this.violation(`an entry has a time ${Math.round(early)} ms below what it must be`);
    if (late > ODD_TOLERANCE) this.violation(`an entry has a time ${Math.round(late)} ms above what it may be`);
  }

  /** Nothing is appended or signed; the rest goes on. Then the clock is put right, or an operator says that it is. */
  async #whileRefused(accepted: boolean, right: number, restart: boolean): Promise<void> {
    const { server } = this;
    this.refused++;
    const before = await this.expected.see(server);
    await pause(200);
    const { treeSize } = await this.expected.see(server);
    if (treeSize !== before.treeSize) this.violation('a head was signed while the clock was ten years ahead');
    const key = await server.fetch('/admin/keys', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'reader', scope: 'read' }),
    });
    if (key.status !== 201) this.violation(`while the clock is unsafe, a new API key was answered ${key.status}`);
    if (accepted) {
      const reply = await server.fetch('/admin/clock', { method: 'POST' });
      if (reply.status !== 200) this.violation(`POST /admin/clock answered ${reply.status}`);
      this.#ahead = this.#fake.offset;
      return;
    }
    // Whoever was off comes back to a later time: what is right is two days later then.
    const now = restart ? right + 48 * HOUR : right;
    this.#fake.set(now);
    this.#ahead = Math.max(this.#ahead, now);
  }

  async #alarmCounts(): Promise<ReadonlyMap<AlarmKind | 'gauge', number>> {
    const text = await (await this.server.fetch('/metrics')).text();
    const value = (name: string): number =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${name} `))
          ?.slice(name.length + 1) ?? 0,
      );
    return new Map<AlarmKind | 'gauge', number>([
      ...ALARM_KINDS.map((kind) => [kind, value(`indelible_clock_alarms_total{kind="${kind}"}`)] as const),
      ['gauge', value('indelible_clock_unsafe')],
    ]);
  }

  /** The alarm of a step, and no other: in the metric, in the gauge, and in the log. */
  async #checkAlarm(
    alarm: AlarmKind | undefined,
    before: ReadonlyMap<AlarmKind | 'gauge', number> | undefined,
    mark: number,
  ): Promise<void> {
    const after = await this.#alarmCounts();
    const lines = this.server.stderr
      .slice(mark)
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { alarm?: string; kind?: string });
    for (const kind of ALARM_KINDS) {
      const wanted = kind === alarm ? 1 : 0;
      const counted = (after.get(kind) as number) - (before?.get(kind) ?? 0);
      const logged = lines.filter((line) => line.alarm === 'clock' && line.kind === kind).length;
      if (counted !== wanted) this.violation(`${counted} alarms ${kind} in the metrics, not ${wanted}`);
      if (logged !== wanted) this.violation(`${logged} alarms ${kind} in the log, not ${wanted}`);
    }
    if (after.get('gauge') !== (alarm === 'unsafe' ? 1 : 0)) {
      this.violation(`indelible_clock_unsafe is ${after.get('gauge')} after ${alarm ?? 'no alarm'}`);
    }
    if (alarm !== undefined) this.alarms++;
  }

  /** The time of the newest head, with its RFC 6962 signature, never goes back. */
  async #checkHead(): Promise<void> {
    await this.expected.see(this.server);
    const reply = await this.server.fetch('/logs/main/tree-head');
    const { timestamp } = (await reply.json()) as { timestamp: number };
    if (timestamp < this.#headTime) this.violation(`the time of the head fell by ${this.#headTime - timestamp} ms`);
    this.#headTime = timestamp;
    if (timestamp > Date.now() + this.#ahead + TOLERANCE) this.violation('a head is from the future');
  }

  /** Ends the server, if it still runs. */
  async end(): Promise<void> {
    const { child } = this.server;
    if (child.exitCode === null && child.signalCode === null) await this.server.stop('SIGKILL');
    await this.#load?.stop();
    FakeTime.forget(child.pid as number);
  }

  /** Everything that was promised is there, and no time in it ever decreases. */
  async finish(): Promise<void> {
    const { expected, server } = this;
    await this.#load?.stop();
    await expected.settle(server.url);
    await expected.check(server);
    if (!this.failed) await expected.checkEvents(server);
    for (const log of ['main', '_system']) await this.#checkLeaves(log);
    await this.#checkHeads();
    await this.stop('SIGTERM');
  }

  async #checkLeaves(log: string): Promise<void> {
    const { tree_size: size } = (await (await this.server.fetch(`/logs/${log}`)).json()) as { tree_size: number };
    let last = 0;
    for (let index = 0; index * 256 < size; index++) {
      const width = Math.min(256, size - index * 256);
      const reply = await this.server.fetch(`/logs/${log}/${bundlePath(index, width)}`);
      const leaves = decodeBundle(new Uint8Array(await reply.arrayBuffer()), width);
      for (const [i, leaf] of leaves.entries()) {
        const { receivedAt } = parseEventLeaf(leaf);
        if (receivedAt < last)
          this.violation(`receivedAt of entry ${index * 256 + i} of ${log} is below the one before`);
        last = receivedAt;
      }
    }
    if (last / 1000 > Date.now() + this.#ahead + TOLERANCE)
      this.violation(`the newest entry of ${log} is from the future`);
  }

  async #checkHeads(): Promise<void> {
    let last = -1;
    for (let from: number | null = 0; from !== null; ) {
      const reply = await this.server.fetch(`/logs/main/tree-heads?from=${from}&limit=1000`);
      const page = (await reply.json()) as {
        tree_heads: { tree_size: number; timestamp: number }[];
        next: number | null;
      };
      for (const { tree_size: size, timestamp } of page.tree_heads) {
        if (timestamp <= last) this.violation(`the head of size ${size} is not later than the one before`);
        last = timestamp;
      }
      from = page.next;
    }
  }
}

export async function clockRun(options: ClockRun): Promise<ClockReport> {
  const run = new Run(options);
  const { expected } = run;
  let done = 0;
  await run.start(() => {});
  try {
    if (!run.failed) await expected.meet(run.server);
    for (const step of drawSteps(options.steps, run.random)) {
      if (run.failed) break;
      const known = expected.violations.length;
      await run.step(step);
      const text = `${step.kind}${step.restart ? ' across a restart' : ''}${step.accepted ? ', accepted' : ''}`;
      for (let i = known; i < expected.violations.length; i++) {
        expected.violations[i] = `step ${done + 1} (${text}): ${expected.violations[i]}`;
      }
      done++;
      options.progress?.(done, text);
    }
    if (!run.failed) await run.finish();
  } catch (error) {
    run.violation(`after step ${done}: ${String(error)} ${run.server.stderr.trim()}`);
  } finally {
    await run.end();
  }
  return {
    steps: done,
    acknowledged: expected.acknowledged.size,
    heads: expected.heads.size,
    restarts: run.restarts,
    refused: run.refused,
    alarms: run.alarms,
    violations: expected.violations,
  };
}
