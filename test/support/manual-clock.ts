/** A clock that moves only when a test says so. Wall clock and monotonic clock can be moved apart. */
import type { Clock } from '../../server/clock.ts';

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

/** 1 January 2026, 00:00:00 UTC, in microseconds. */
export const START_OF_TESTS = Date.UTC(2026, 0, 1) * 1000;

export class ManualClock implements Clock {
  #wall: number;
  #monotonic = 5_000_000;
  #sleepers: Sleeper[] = [];

  constructor(wall: number = START_OF_TESTS) {
    this.#wall = wall;
  }

  wallMicros(): number {
    return this.#wall;
  }

  monotonicMicros(): number {
    return this.#monotonic;
  }

  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const breakOff = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', breakOff);
        resolve();
      };
      const sleeper = { until: this.#monotonic + milliseconds * 1000, wake };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', breakOff);
    });
  }

  /** Sleepers that wait. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  /** Time passes: both clocks move, whoever has slept long enough wakes. */
  advance(milliseconds: number): void {
    this.#wall += milliseconds * 1000;
    this.#monotonic += milliseconds * 1000;
    const due = this.#sleepers.filter(({ until }) => until <= this.#monotonic);
    this.#sleepers = this.#sleepers.filter(({ until }) => until > this.#monotonic);
    for (const { wake } of due) wake();
  }

  /** Somebody sets the wall clock: it jumps by that many milliseconds, in either direction. */
  step(milliseconds: number): void {
    this.#wall += milliseconds * 1000;
  }
}

/** Lets everything run that needs no time: enough turns of the event loop for a commit and its answers. */
export async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise(setImmediate);
}
