/**
 * The one place where it is decided what happens next. Everything that takes time in a simulated world (reads, commits, writes of
 * the guard, timers, turns of the event loop) is a task here, and the seed picks which of those that could run does. Between two tasks
 * all promises settle, in the order that the language prescribes: so the same seed gives the same history.
 */
import type { Clock } from '../../server/clock.ts';
import { START_OF_TESTS } from '../support/manual-clock.ts';

/** The real one, before a simulation takes its place. */
const realSetImmediate = globalThis.setImmediate;

export interface Task {
  /** For the trace. */
  readonly label: string;
  /** Whose it is: what a crash ends. */
  readonly owner: object | undefined;
  run(): void;
}

interface Sleeper extends Task {
  /** Moment of the monotonic clock. */
  readonly due: number;
}

/** Most microseconds that pass with a task. */
const TASK_TIME = 100;

export class Scheduler implements Clock {
  readonly #random: () => number;
  readonly #trace: (line: string) => void;
  #ready: Task[] = [];
  #sleepers: Sleeper[] = [];
  #wall = START_OF_TESTS;
  #monotonic = 5_000_000;

  constructor(random: () => number, trace: (line: string) => void) {
    this.#random = random;
    this.#trace = trace;
  }

  /** From now on `setImmediate` of this process is a task of this world. */
  takeTurns(): void {
    const take = (callback: (...args: unknown[]) => void, ...args: unknown[]): void =>
      this.add({ label: 'turn', owner: undefined, run: () => callback(...args) });
    globalThis.setImmediate = take as unknown as typeof setImmediate;
  }

  add(task: Task): void {
    this.#ready.push(task);
  }

  /** Whether something could run without any time passing. */
  get busy(): boolean {
    this.#wake();
    return this.#ready.length > 0;
  }

  /** Runs one of the tasks that could run, and all that follows from it at once. Says whether there was one. */
  async step(): Promise<boolean> {
    this.#wake();
    const { length } = this.#ready;
    if (length === 0) return false;
    const place = Math.floor(this.#random() * length);
    const task = this.#ready[place] as Task;
    this.#ready[place] = this.#ready[length - 1] as Task;
    this.#ready.pop();
    this.pass(1 + Math.floor(this.#random() * TASK_TIME));
    this.#trace(task.label);
    task.run();
    await settled();
    return true;
  }

  /** Takes the tasks and timers of an owner away, and hands them out in the order they came in. */
  end(owner: object): Task[] {
    const own = this.#ready.filter((task) => task.owner === owner);
    this.#ready = this.#ready.filter((task) => task.owner !== owner);
    this.#sleepers = this.#sleepers.filter((task) => task.owner !== owner);
    return own;
  }

  /** Time passes, on both clocks. */
  pass(microseconds: number): void {
    this.#wall += microseconds;
    this.#monotonic += microseconds;
  }

  /** Somebody sets the wall clock, by that many microseconds. */
  set(step: number): void {
    this.#wall += step;
  }

  /** Time passes until the next timer, if there is one within so many microseconds. Says whether there was. */
  skip(limit: number): boolean {
    const next = Math.min(...this.#sleepers.map(({ due }) => due));
    if (next > this.#monotonic + limit) return false;
    this.pass(Math.max(0, next - this.#monotonic));
    return true;
  }

  wallMicros(): number {
    return this.#wall;
  }

  monotonicMicros(): number {
    return this.#monotonic;
  }

  sleep(milliseconds: number, signal?: AbortSignal, owner?: object): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const breakOff = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        this.#ready = this.#ready.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      const sleeper: Sleeper = {
        label: 'timer',
        owner,
        due: this.#monotonic + milliseconds * 1000,
        run: () => {
          signal?.removeEventListener('abort', breakOff);
          resolve();
        },
      };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', breakOff);
    });
  }

  #wake(): void {
    if (!this.#sleepers.some(({ due }) => due <= this.#monotonic)) return;
    this.#ready.push(...this.#sleepers.filter(({ due }) => due <= this.#monotonic));
    this.#sleepers = this.#sleepers.filter(({ due }) => due > this.#monotonic);
  }
}

/** Resolves when every promise that could settle has. */
export function settled(): Promise<void> {
  return new Promise((resolve) => realSetImmediate(resolve));
}
