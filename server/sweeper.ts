/**
 * The sweeper removes the rows of deleted logs, all but definition, edge and heads, in commits of bounded size. A crash in between
 * leaves rows that nobody reads; the next start goes on with them.
 */
import type { Clock } from './clock.ts';
import { ServerError } from './errors.ts';
import type { Log } from './log.ts';
import type { Sequencer } from './sequencer.ts';
import { bodyPrefixes } from './storage/keys.ts';
import { prefixRange, StorageError, type Store } from './storage/store.ts';

export interface SweeperOptions {
  readonly store: Store;
  readonly sequencer: Sequencer;
  readonly clock: Clock;
  readonly onDamage: (message: string) => void;
}

/** Rows removed by one commit. */
const STEP = 1000;
/** Time for those who read the log when it was deleted, in milliseconds. */
const GRACE = 10_000;

export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #stop = new AbortController();
  #work: Promise<void> = Promise.resolve();

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** Removes what is left of logs that were deleted before this start. */
  start(logs: Iterable<Log>): void {
    for (const log of logs) if (log.definition.status === 'deleted') this.#enqueue(log, 0);
  }

  /** A log was deleted just now. */
  deleted(log: Log): void {
    this.#enqueue(log, GRACE);
  }

  /** Resolves when no commit of it is under way. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  #enqueue(log: Log, delay: number): void {
    this.#work = this.#work.then(() => this.#sweep(log, delay));
  }

  async #sweep(log: Log, delay: number): Promise<void> {
    const { store, sequencer, clock, onDamage } = this.#options;
    const { signal } = this.#stop;
    try {
      if (delay > 0) await clock.sleep(delay, signal).catch(() => {});
      for (const prefix of bodyPrefixes(log.name)) {
        for (;;) {
          if (signal.aborted) return;
          const keys = await store.listKeys(prefixRange(prefix, STEP));
          if (keys.length === 0) break;
          await sequencer.change((transaction) => {
            for (const key of keys) transaction.delete(key);
          });
        }
      }
    } catch (error) {
      // A sequencer that stopped has said why; the next start goes on.
      if (error instanceof StorageError)
        onDamage(`log ${log.name} was deleted, and its rows cannot be read: ${error.message}`);
      else if (!(error instanceof ServerError)) sequencer.fail(error);
    }
  }
}
