/**
 * The life of a process that serves: ready, then drained at a first signal and ended at a second one, or stopped at once because a write
 * failed. Exit codes and last words are the same for a server and a witness.
 */
import type { Logger } from 'pino';
import { EXIT } from './errors.ts';
import { GuardError } from './guard.ts';

/** Time for the answers of failed requests to leave before a fail-stop, in milliseconds. */
const LAST_WORDS = 250;

export class ProcessLife {
  /** Resolves with the exit code when the process has to end, whoever says so. */
  readonly stopped: Promise<number>;
  readonly #logger: Logger;
  #finish: (exitCode: number) => void = () => {};
  #ready = false;
  #draining = false;
  #failed: number | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.stopped = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Whether requests are taken. */
  get ready(): boolean {
    return this.#ready;
  }

  begin(): void {
    this.#ready = true;
  }

  /** A write failed, or what is stored is not what was promised. */
  fail(error: unknown): void {
    if (this.#failed !== undefined) return;
    this.#ready = false;
    const deposed = error instanceof GuardError && error.code === 'deposed';
    const exitCode = deposed ? EXIT.inUse : EXIT.failStop;
    this.#failed = exitCode;
    this.#logger.fatal(
      { err: error },
      deposed ? 'another process owns the data directory now' : 'stopping: a write or a check failed',
    );
    // Nothing is closed properly: whatever is on disk is what the next start must judge. Who was deposed leaves at once: LevelDB's
    // own threads might still delete files that are the successor's.
    setTimeout(() => this.#finish(exitCode), deposed ? 0 : LAST_WORDS);
  }

  /** A signal: `shutDown` ends what runs. At a second one, or after a failure, there is no more waiting. */
  stop(shutDown: () => Promise<void>): void {
    if (this.#draining || this.#failed !== undefined) {
      this.#finish(this.#failed ?? 1);
      return;
    }
    this.#draining = true;
    this.#ready = false;
    this.#logger.info('draining');
    shutDown().then(
      () => {
        this.#logger.info('stopped');
        // A write may also fail while the last requests run: that is no clean stop.
        this.#finish(this.#failed ?? EXIT.ok);
      },
      (error: unknown) => {
        this.#logger.fatal({ err: error }, 'could not stop cleanly');
        this.#finish(this.#failed ?? EXIT.failStop);
      },
    );
  }
}
