/**
 * A clock that stands still while the machine does other things: what a busy machine costs is not held against a server, and on a machine
 * that does nothing else it is the wall's. In each tick the time counts as lost in which threads of ours were ready to run and
 * waited for a processor (the kernel's sched-stats.txt), as far as processes of others ran meanwhile (/proc/stat): where none did,
 * our own threads waited for each other, and that is nobody else's fault. Where the kernel does not tell, nothing is lost.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Between two looks, in milliseconds. */
const TICK = 20;
/** What the kernel counts processor time in, in milliseconds. */
const JIFFY = 10;
/** Foreign processor time that may be charged later than it was used, in milliseconds: the kernel counts it in jiffies. */
const CREDIT = 100;

/** Milliseconds that the threads of a process have waited for a processor in all, by thread. */
function waits(pid: number | 'self'): Map<string, number> {
  const found = new Map<string, number>();
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const [, waited] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ');
      found.set(thread, Number(waited) / 1e6);
    }
  } catch {
    // The process has ended, or a thread of it.
  }
  return found;
}

/** Milliseconds of processor time: of everybody, and taken from this machine by its host. */
function machineTime(): { readonly busy: number; readonly stolen: number } {
  try {
    const [line = ''] = readFileSync('/proc/stat', 'latin1').split('\n', 1);
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
      .trim()
      .split(/ +/)
      .slice(1)
      .map(Number);
    return { busy: (user + nice + system + irq + softirq) * JIFFY, stolen: steal * JIFFY };
  } catch {
    return { busy: 0, stolen: 0 };
  }
}

/** Milliseconds of processor time that a process has had. */
function timeOf(pid: number | 'self'): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) * JIFFY;
  } catch {
    return 0;
  }
}

export interface FairClockOptions {
  /** Processes whose time it is, beside this one. */
  readonly pids: readonly number[];
  /** Whether it also counts as lost how late this process is, for whatever reason: for a harness that is busy itself. */
  readonly late?: boolean;
  /** Called at every tick. */
  readonly onTick?: () => void;
}

export class FairClock {
  readonly #options: FairClockOptions;
  readonly #ours: readonly (number | 'self')[];
  readonly #timer: NodeJS.Timeout;
  #lost = 0;
  #at = performance.now();
  #waits: readonly Map<string, number>[];
  #foreign: number;
  #stolen: number;
  #credit = 0;

  constructor(options: FairClockOptions) {
    this.#options = options;
    this.#ours = ['self', ...options.pids];
    this.#waits = this.#ours.map(waits);
    const { busy, stolen } = machineTime();
    this.#foreign = busy - this.#ownTime();
    this.#stolen = stolen;
    this.#timer = setInterval(() => this.#tick(), TICK).unref();
  }

  /** Milliseconds, from any beginning. */
  now(): number {
    return performance.now() - this.#lost;
  }

  /** Milliseconds lost so far. */
  get lost(): number {
    return this.#lost;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Resolves when so many milliseconds of this clock are over. */
  async pause(milliseconds: number): Promise<void> {
    for (const end = this.now() + milliseconds; this.now() < end; )
      await new Promise((resolve) => setTimeout(resolve, Math.min(TICK, end - this.now() + 1)));
  }

  #tick(): void {
    const now = performance.now();
    const elapsed = now - this.#at;
    this.#at = now;
    const waited = this.#waited();
    const { busy, stolen } = machineTime();
    const foreign = busy - this.#ownTime();
    this.#credit = Math.min(CREDIT + elapsed * availableParallelism(), this.#credit + foreign - this.#foreign);
    this.#foreign = foreign;
    const taken = Math.max(0, Math.min(waited, this.#credit));
    this.#credit -= taken;
    const away = (stolen - this.#stolen) / availableParallelism();
    this.#stolen = stolen;
    const late = this.#options.late === true ? elapsed - TICK : 0;
    this.#lost += Math.min(elapsed, Math.max(0, late, taken + away));
    this.#options.onTick?.();
  }

  #ownTime(): number {
    return this.#ours.reduce<number>((sum, pid) => sum + timeOf(pid), 0);
  }

  /** What all our threads have waited since the last tick. */
  #waited(): number {
    const before = this.#waits;
    this.#waits = this.#ours.map(waits);
    let sum = 0;
    for (const [i, threads] of this.#waits.entries())
      for (const [thread, waited] of threads) sum += Math.max(0, waited - (before[i]?.get(thread) ?? waited));
    return sum;
  }
}
