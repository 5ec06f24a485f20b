/**
 * One history: a thousand things that clients, operators, clocks and bad luck do to a server, in an order that one number decides, and
 * after each restart everything that was ever promised is looked for.
 */
import { createHash } from 'node:crypto';
import type { Log } from '../../server/log.ts';
import { logOf } from '../../server/storage/keys.ts';
import { seededRandom } from '../support/random.ts';
import { auditLog, auditNames } from './audit.ts';
import { Clients } from './clients.ts';
import { drawRates, Faults } from './faults.ts';
import { type Backup, Host, type Options, type Running } from './host.ts';
import { type LogView, Oracle } from './oracle.ts';
import { type OtherDatabaseOptions, tryOtherDatabase } from './other-database.ts';
import type { Parts } from './parts.ts';
import { Scheduler, settled } from './scheduler.ts';
import { reseed } from './seeded-crypto.ts';
import { enter, type World } from './world.ts';

export interface HistoryReport {
  readonly seed: number;
  /** SHA-256 over everything that happened, in order. */
  readonly trace: string;
  /** What must never be; it ends at the first. */
  readonly violations: readonly string[];
  readonly seen: Readonly<Record<string, number>>;
}

export interface HistoryOptions {
  readonly parts: Parts;
  readonly seed: number;
  /** Things that happen in it. */
  readonly operations: number;
  /** Hears every line of the trace. */
  readonly onTrace?: (line: string) => void;
}

const SECOND = 1e6;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;
/** Steps of the clock that are followed, however many; and what a server that was off is believed. */
const FOLLOWED = DAY;
const ABSENCE = 400 * DAY;
/** The times of heads are whole milliseconds, each later than the one before, and a start goes by them: it may be so far ahead of the clock. */
const ROUNDING = 50_000;
/** Tries to start over and over, with a fault each time. */
const MAX_STARTS = 50;
/** Steps without an end: something goes round in circles. */
const MAX_STEPS = 200_000;

export function runHistory(options: HistoryOptions): Promise<HistoryReport> {
  return new History(options).run();
}

class History {
  readonly #seed: number;
  readonly #operations: number;
  readonly #random: () => number;
  readonly #hash = createHash('sha256');
  readonly #onTrace: ((line: string) => void) | undefined;
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #oracle: Oracle;
  readonly #clients: Clients;
  readonly #host: Host;
  readonly #world: World;
  readonly #parts: Parts;
  #process: Running;
  /** A process that was deposed, and does not know it yet. */
  #zombie: Running | undefined;
  /** Database and guard as they once were. */
  #backup: Backup | undefined;
  readonly #others: OtherDatabaseOptions;
  /** The most that wall clock may be ahead of the monotonic one, for all that a server may believe. */
  #believed = 0;
  /** Whether the last start met a wall clock that it could not believe: of a later one it believes what a start would. */
  #unproven = false;
  /** Whether the history has to end here: something was violated. */
  get #over(): boolean {
    return this.#oracle.violations.length > 0;
  }

  constructor({ parts, seed, operations, onTrace }: HistoryOptions) {
    this.#seed = seed;
    this.#operations = operations;
    this.#parts = parts;
    this.#random = seededRandom(seed);
    this.#onTrace = onTrace;
    const trace = (line: string): void => this.#trace(line);
    this.#scheduler = new Scheduler(this.#random, trace);
    this.#oracle = new Oracle(() => this.#believed + ROUNDING + this.#scheduler.monotonicMicros());
    this.#faults = new Faults(drawRates(this.#random), this.#random);
    this.#world = {
      random: this.#random,
      scheduler: this.#scheduler,
      faults: this.#faults,
      files: new Map(),
      opening: undefined,
    };
    this.#host = new Host(parts, this.#world, (process) => this.#serverOptions(process));
    this.#clients = new Clients({
      parts,
      oracle: this.#oracle,
      faults: this.#faults,
      random: this.#random,
      trace,
      excused: () => this.#host.excused,
    });
    this.#believed = this.#scheduler.wallMicros() - this.#scheduler.monotonicMicros();
    this.#others = {
      ...{ host: this.#host, oracle: this.#oracle, faults: this.#faults, random: this.#random, trace },
      drive: (promise) => this.#drive(promise),
    };
    this.#process = this.#host.process();
  }

  async run(): Promise<HistoryReport> {
    enter(this.#world);
    reseed(this.#seed);
    this.#scheduler.takeTurns();
    try {
      await this.#start();
      for (let done = 0; done < this.#operations && !this.#over; done++) await this.#operation();
      if (!this.#over) await this.#end();
    } catch (error) {
      this.#oracle.violate(`the history broke: ${(error as Error).stack}`);
    }
    const { acknowledged, heads, violations } = this.#oracle;
    return {
      seed: this.#seed,
      trace: this.#hash.digest('hex'),
      violations,
      seen: { ...this.#faults.seen, acknowledged, heads },
    };
  }

  #trace(line: string): void {
    this.#hash.update(`${line}\n`);
    this.#onTrace?.(line);
  }

  /** One thing happens, and time for some of what follows from it. */
  async #operation(): Promise<void> {
    const { rates } = this.#faults;
    const random = this.#random;
    const dice = random();
    if (dice < 0.12) this.#timePasses();
    else if (dice < 0.123) await this.#close();
    else if (dice < 0.13) this.#backup = this.#host.excused ? undefined : this.#host.backup();
    else if (this.#faults.happens('clockStep')) await this.#setClock();
    else this.#clients.act(this.#process);
    if (rates.damage > 0 && this.#faults.happens('damage')) this.#damage();
    await settled();
    const steps = random() < 0.05 ? 100 : Math.floor(random() * 9);
    for (let i = 0; i < steps && !this.#over; i++) if (!(await this.#step())) break;
    if (this.#over) return;
    if (this.#process.fatal !== undefined) await this.#afterFailure();
    else if (this.#faults.happens('takeover')) await this.#takeOver();
    else if (this.#faults.happens('powerCut')) await this.#restart(true);
    else if (this.#faults.happens('kill')) await this.#restart(false);
    if (this.#zombie !== undefined && random() < 0.05) this.#buryZombie();
    this.#checkAnswers();
  }

  #timePasses(): void {
    const dice = this.#random();
    const seconds = dice < 0.6 ? this.#random() * 0.05 : dice < 0.95 ? this.#random() * 3 : 600 + this.#random() * 200;
    this.#pass(Math.floor(seconds * SECOND));
  }

  #pass(microseconds: number): void {
    this.#trace(`${microseconds} µs pass`);
    this.#scheduler.pass(microseconds);
  }

  /** The latest time that an entry may have: what follows the wall clock where that went no further than a server may believe. */
  #followClock(limit: number): void {
    const ahead = this.#ahead();
    if (ahead > 0 && ahead <= limit) this.#believed += ahead;
  }

  /** How far the wall clock is ahead of that. */
  #ahead(): number {
    return this.#scheduler.wallMicros() - this.#scheduler.monotonicMicros() - this.#believed;
  }

  async #setClock(): Promise<void> {
    const dice = this.#random();
    const size = dice < 0.5 ? 5 * SECOND : dice < 0.7 ? HOUR : dice < 0.9 ? 30 * DAY : 3650 * DAY;
    const step = Math.floor((this.#random() < 0.5 ? -1 : 1) * size * (0.5 + this.#random()));
    this.#trace(`the clock is set by ${step} µs`);
    this.#faults.saw('clock steps');
    this.#scheduler.set(step);
    this.#clients.clockDoubtful = true;
    if (this.#random() < 0.3) await this.#acceptClock();
  }

  async #acceptClock(): Promise<void> {
    const { server } = this.#process;
    if (server === undefined) return;
    this.#followClock(Number.POSITIVE_INFINITY);
    await this.#drive(server.acceptClock('operator').catch(() => {}));
  }

  #damage(): void {
    const pick = (key: string): boolean => !/\/id\/|^server\/store/.test(key);
    const damage = this.#host.disk.damage(pick, this.#random);
    if (damage === undefined) return;
    this.#trace(`a byte of ${damage.key} is altered`);
    this.#faults.saw('damaged rows');
  }

  /** One task runs, and whatever that shows is looked at. Says whether there was one. */
  async #step(): Promise<boolean> {
    const ran = await this.#scheduler.step();
    // Until it ends: when it has asked for the time, and is proven, only it knows.
    this.#followClock(this.#unproven ? ABSENCE : FOLLOWED);
    this.#look(this.#process);
    if (this.#zombie !== undefined) this.#look(this.#zombie);
    return ran;
  }

  /** Heads as clients see them. A deposed process may go on to show what it has, and nothing new. */
  #look({ name, server, dead, shown, deposed }: Running): void {
    if (server === undefined || dead) return;
    for (const log of server.logs()) {
      if (shown.get(log) === log.published) continue;
      shown.set(log, log.published);
      if (deposed) this.#oracle.violate(`${name} was deposed, and shows a new head of log ${log.name}`);
      const view = this.#oracle.meet(log);
      const before = view.head?.treeSize ?? 0;
      this.#oracle.head(view, log.published, log.state.treeSize);
      this.#trace(`head ${log.name} ${log.published.treeSize} ${log.published.time}`);
      this.#checkSignedOver(view, before, log.published.treeSize);
    }
  }

  /** A head may only be signed of what was read back: not of rows that were altered on their way, and still are. */
  #checkSignedOver(view: LogView, before: number, treeSize: number): void {
    const { disk } = this.#host;
    for (const damage of disk.damages) {
      const { key, treeSize: size } = damage;
      if (size === undefined || logOf(key) !== view.name || !disk.holds(damage)) continue;
      if (before < size && size <= treeSize)
        this.#oracle.violate(`log ${view.name}: a head of size ${treeSize} was signed, and ${key} is altered`);
    }
  }

  /** Runs the world until a promise settles; time passes where nothing else can happen. Says whether it did. */
  async #drive(promise: Promise<unknown>, patience = 60 * SECOND): Promise<boolean> {
    let done = false;
    const end = (): void => {
      done = true;
    };
    promise.then(end, end);
    await settled();
    for (let steps = 0; !done && !this.#over; steps++) {
      if (steps > MAX_STEPS) {
        // What waits for an operation that never ends waits for ever, and what happens every second goes on beside it.
        if (this.#hung) return false;
        throw new Error('the world goes round in circles');
      }
      if (await this.#step()) continue;
      if (!this.#scheduler.skip(patience)) return false;
    }
    return done;
  }

  /** Nobody may wait for ever: where nothing is under way, everything is answered. */
  #checkAnswers(): void {
    if (this.#over || this.#scheduler.busy || this.#process.fatal !== undefined || this.#hung) return;
    const { waiting } = this.#clients;
    if (this.#zombie === undefined && waiting.length > 0) this.#oracle.violate(`never answered: ${waiting.join(', ')}`);
  }

  /** Whether an operation of this process never ended. */
  get #hung(): boolean {
    return (this.#faults.seen['hung operations'] ?? 0) > this.#hungBefore;
  }
  #hungBefore = 0;

  /** The process stops by itself, as it says; for a reason, one hopes. */
  async #afterFailure(): Promise<void> {
    const { fatal, faultsBefore, deposed } = this.#process;
    const { code, stack } = fatal as { readonly code?: string; readonly stack?: string };
    this.#trace(`stops: ${code}`);
    this.#faults.saw('stops by itself');
    if (this.#faults.count === faultsBefore && !deposed && !this.#host.excused)
      this.#oracle.violate(`the server stopped without a reason: ${stack}`);
    // Its last words.
    for (let i = 0; i < 30 && !this.#over; i++) if (!(await this.#step())) break;
    await this.#restart(this.#random() < 0.3);
  }

  /** The machine or the process dies, and another one starts on what is left. */
  async #restart(power: boolean): Promise<void> {
    this.#trace(power ? 'power cut' : 'kill -9');
    this.#faults.saw(power ? 'power cuts' : 'kills');
    this.#buryZombie();
    this.#host.crash(this.#process, power);
    this.#clients.lose(this.#process);
    if (!this.#host.excused && this.#faults.happens('otherDatabase')) {
      await tryOtherDatabase(this.#others, this.#backup);
      this.#backup = undefined;
    }
    if (!this.#over) await this.#start();
  }

  /** A shutdown as it should be. */
  async #close(): Promise<void> {
    const process = this.#process;
    const { server } = process;
    if (server === undefined) return;
    this.#trace('shutdown');
    process.closing = true;
    const closing = server.close();
    if (!(await this.#drive(closing)) || process.fatal !== undefined || this.#over) {
      if (!this.#over && process.fatal === undefined && !this.#hung) this.#oracle.violate('a shutdown never ended');
      if (!this.#over) await this.#restart(false);
      return;
    }
    await settled();
    this.#checkAnswers();
    await this.#restart(false);
  }

  /** Starts until a server runs. Each refusal needs a reason: a fault just now, or data that somebody tampered with. */
  async #start(): Promise<void> {
    for (let tries = 0; tries < MAX_STARTS && !this.#over; tries++) {
      const error = await this.#boot();
      if (this.#over) return;
      if (error === undefined) {
        // Some clients do not wait until the server has warmed up.
        for (let early = Math.floor(this.#random() * 6); early > 0; early--) this.#clients.act(this.#process);
        await this.#audit(false);
        if (this.#process.fatal === undefined) return;
        this.#trace('stopped while it was looked at');
      }
      this.#host.crash(this.#process, this.#random() < 0.3);
      this.#clients.lose(this.#process);
      if (error !== undefined && this.#host.excused) {
        this.#faults.saw('refused starts');
        this.#host.repair();
      }
    }
    if (!this.#over) this.#oracle.violate(`no start in ${MAX_STARTS} succeeded`);
  }

  /** One start. Gives the error it was refused with. */
  async #boot(): Promise<unknown> {
    this.#process = this.#host.process();
    this.#hungBefore = this.#faults.seen['hung operations'] ?? 0;
    this.#trace('start');
    return this.#bootProcess(this.#process);
  }

  async #bootProcess(process: Running, taken?: () => void): Promise<unknown> {
    // A server that was off for long follows the wall clock, but not for ever.
    this.#followClock(ABSENCE);
    this.#unproven = this.#ahead() > ABSENCE;
    const { faultsBefore } = process;
    let failure: unknown;
    const started = this.#host.boot(process, taken).catch((error) => {
      failure = error ?? new Error('rejected with nothing');
    });
    const ended = await this.#drive(started);
    if (this.#over) return undefined;
    if (!ended) {
      if (!this.#hung) this.#oracle.violate('a start never ended');
      return new Error('a start hung');
    }
    if (failure === undefined) {
      this.#host.accepted();
      process.server?.start();
      return undefined;
    }
    const { code, exitCode, message, stack } = failure as {
      code?: string;
      exitCode?: number;
      message: string;
      stack: string;
    };
    this.#trace(`refused: ${exitCode ?? code}`);
    if (exitCode === undefined && code === undefined) this.#oracle.violate(`a start failed without a name: ${stack}`);
    if (this.#faults.count === faultsBefore && !this.#host.excused)
      this.#oracle.violate(`a start was refused without a reason: ${message}`);
    return failure;
  }

  /** Somebody else takes the directory over while this process runs: it may not acknowledge anything from then on. */
  async #takeOver(): Promise<void> {
    this.#buryZombie();
    const old = this.#process;
    this.#trace('takeover');
    this.#faults.saw('takeovers');
    const process = this.#host.process();
    this.#process = process;
    this.#zombie = old;
    const error = await this.#bootProcess(process, () => this.#host.depose(old));
    if (this.#over) return;
    if (error !== undefined) {
      await this.#restart(false);
      return;
    }
    await this.#audit(false);
    if (!this.#over && process.fatal !== undefined) await this.#restart(false);
  }

  #buryZombie(): void {
    if (this.#zombie === undefined) return;
    this.#host.bury(this.#zombie);
    this.#clients.lose(this.#zombie);
    this.#zombie = undefined;
  }

  /** Everything that was promised, against what the server has now. */
  async #audit(whole: boolean): Promise<void> {
    const { server } = this.#process;
    if (server === undefined) return;
    this.#faults.paused = true;
    this.#look(this.#process);
    auditNames(this.#oracle, server);
    for (const log of server.logs()) {
      if (this.#over) break;
      await this.#drive(auditLog(this.#oracle, server, log, whole).catch((error) => this.#auditFailed(log, error)));
    }
    this.#faults.paused = false;
  }

  #auditFailed(log: Log, error: unknown): void {
    const { code, stack } = error as { readonly code?: string; readonly stack?: string };
    if (code === 'damaged' && this.#host.excused) return;
    // Its rows go while they are read.
    if (log.definition.status === 'deleted') return;
    this.#oracle.violate(`log ${log.name} cannot be read: ${stack}`);
  }

  /** The last part of a history: no more bad luck, everything comes to rest, and then all of it is looked at. */
  async #end(): Promise<void> {
    this.#trace('the end');
    await this.#restart(false);
    if (this.#over) return;
    this.#faults.paused = true;
    if (this.#host.excused) {
      this.#host.repair();
      await this.#restart(false);
      if (this.#over) return;
      this.#faults.paused = true;
    }
    await this.#acceptClock();
    const wait = this.#scheduler.sleep(5000);
    await this.#drive(wait);
    if (this.#over) return;
    this.#checkAnswers();
    for (const log of this.#process.server?.logs() ?? []) {
      if (log.published.treeSize !== log.state.treeSize)
        this.#oracle.violate(
          `log ${log.name} has ${log.state.treeSize} leaves, and after 5 s a head of ${log.published.treeSize}`,
        );
    }
    const lag = this.#process.server?.leafIndex.lag;
    if (lag !== 0) this.#oracle.violate(`the by-hash index is ${lag} leaves behind after 5 s of rest`);
    if (!this.#over) await this.#audit(true);
  }

  #serverOptions(process: Running): Options {
    const { errors } = this.#parts;
    const surprised = (what: string): void => {
      if (process.dead || this.#faults.count > process.faultsBefore || this.#host.excused) return;
      this.#oracle.violate(`${what}, and nothing was done to it`);
    };
    return {
      originBase: 'sim.example',
      limits: {
        maxPendingEntries: 400,
        maxPendingBytes: 65_536,
        maxWait: 2000,
        maxGroupEntries: 60,
        maxGroupBytes: 8192,
      },
      indexSizes: { run: 64, fanIn: 3, step: 512, held: 400 },
      readBackBytes: 400,
      room: {
        take: () => {
          if (this.#faults.happens('full'))
            throw new errors.ServerError('storage_full', 'the simulated disk is nearly full');
        },
        release: () => {},
      },
      observer: {
        onDamage: (message) => surprised(`damage was reported: ${message}`),
        onIndexTrouble: (error) => surprised(`the by-hash index had trouble: ${error}`),
      },
    };
  }
}
