/** How late everything is on this machine, and how much memory the server takes: what is not the server's fault is not held against it. */
import { readFileSync } from 'node:fs';
import { FairClock } from '../../support/fair-clock.ts';

/** Ticks of the clock between two looks at the memory. */
const LOOK = 10;

export class Machine {
  /** Resident memory of the server in bytes, and how many requests had been sent. */
  readonly memory: { readonly done: number; readonly bytes: number }[] = [];
  readonly #pid: number;
  readonly #clock: FairClock;
  #ticks = 0;

  /** `done` says how many requests have been sent, `look` is called at every tick. */
  constructor(pid: number, done: () => number, look: () => void) {
    this.#pid = pid;
    this.#clock = new FairClock({
      pids: [pid],
      late: true,
      onTick: () => {
        if (this.#ticks++ % LOOK === 0) this.memory.push({ done: done(), bytes: this.#residentBytes() });
        look();
      },
    });
  }

  /** A clock that stands still while this process or the server could not run, in milliseconds. */
  now(): number {
    return this.#clock.now();
  }

  /** Milliseconds that it has stood still. */
  get lost(): number {
    return this.#clock.lost;
  }

  stop(): void {
    this.#clock.stop();
  }

  #residentBytes(): number {
    try {
      const status = readFileSync(`/proc/${this.#pid}/status`, 'latin1');
      return Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
    } catch {
      return 0;
    }
  }
}

/** Requests after which a server has warmed up: its code is compiled, its pools and caches are made. */
const WARM = 0.3;

/**
 * How much the memory grew after the warm-up, in bytes: the lowest of the last fifth, when garbage has just been collected, minus the
 * highest of the time around the end of the warm-up.
 */
export function growthOf(memory: Machine['memory'], total: number): number {
  const between = (from: number, to: number): number[] =>
    memory.filter(({ done }) => done >= from * total && done <= to * total).map(({ bytes }) => bytes);
  const before = between(WARM - 0.1, WARM);
  const after = between(0.8, 1);
  return before.length === 0 || after.length === 0 ? 0 : Math.min(...after) - Math.max(...before);
}
