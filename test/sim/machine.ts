/**
 * A simulated machine: what outlives a process (the rows of the database, the guard, the derived rows), the faults that befall it,
 * and the processes that run on it. A dead process never hears of anything again, as it is.
 */
import type { Disk } from './disk.ts';
import type { Scheduler } from './scheduler.ts';

/** One life of the server on this machine. */
export interface SimProcess {
  readonly name: string;
  /** The database as this process has it open. */
  disk: Disk;
  dead: boolean;
}

/** What an operation is about to do: it takes effect, and then its answer comes, or does not. */
export interface Operation<T> {
  readonly label: string;
  readonly process: SimProcess;
  /** Takes effect; what it throws is the answer. */
  effect(): T;
  /** Whether a crash may find it done although nobody heard of it. */
  readonly lasting: boolean;
}

/** A task that takes effect and is worth a look by a crash. */
export interface LastingTask {
  readonly label: string;
  readonly owner: SimProcess;
  run(): void;
  readonly lasting: boolean;
}

/** Share of operations whose answer comes at once; of the others, something may happen in between. */
const AT_ONCE = 0.5;

/** Runs an operation at a moment that the seed decides, and answers at another one. Never answers a process that is dead by then. */
export function operate<T>(scheduler: Scheduler, random: () => number, operation: Operation<T>): Promise<T> {
  const { label, process, lasting, effect } = operation;
  return new Promise((resolve, reject) => {
    if (process.dead) return;
    const run = (): void => {
      let answer: () => void;
      try {
        const value = effect();
        answer = () => resolve(value);
      } catch (error) {
        if (error === HANGS) return;
        answer = () => reject(error);
      }
      if (process.dead) return;
      if (!lasting || random() < AT_ONCE) answer();
      else scheduler.add({ label: `${label} answered`, owner: process, run: answer });
    };
    const task: LastingTask = { label, owner: process, run, lasting };
    scheduler.add(task);
  });
}

/** Thrown by an effect whose answer never comes. */
export const HANGS = Symbol('hangs');
