/**
 * A wall clock that a test turns while a process runs: libfaketime (Debian package of that name) reads it from a file at every
 * question. The monotonic clock stays the system's. At another rate the process's timers run at that rate as well.
 */
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  (machine) => `/usr/lib/${machine}/faketime/libfaketimeMT.so.1`,
);

function library(): string | undefined {
  return LIBRARIES.find((path) => existsSync(path));
}

export class FakeTime {
  readonly #file: string;
  /** When the process that it is for was started: the library counts rates from there. */
  #started = Date.now();
  /** How far it is ahead of the system's clock, in milliseconds, as long as it is not frozen and its rate is 1. */
  offset = 0;

  /** Keeps its file in `folder`. */
  constructor(folder: string) {
    this.#file = join(folder, 'faketime');
    this.set(0);
  }

  static missing(): string | undefined {
    return library() === undefined ? 'there is no libfaketime (Debian: apt install libfaketime)' : undefined;
  }

  /** Environment of a process that is started now and has this clock. */
  environment(): Record<string, string> {
    this.#started = Date.now();
    return {
      LD_PRELOAD: library() as string,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      // Older and newer name of the same.
      DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
      TZ: 'UTC',
    };
  }

  /** Goes on from `offset` milliseconds ahead of the system's clock, at that rate. */
  set(offset: number, rate = 1): void {
    this.offset = offset;
    const since = (rate - 1) * (Date.now() - this.#started);
    this.#write(`${offset - since < 0 ? '' : '+'}${((offset - since) / 1000).toFixed(3)} x${rate}`);
  }

  /** Stops where it is. */
  freeze(): void {
    this.#write(new Date(Date.now() + this.offset).toISOString().replace('T', ' ').replace(/\..*$/, ''));
  }

  /** Removes what the library leaves behind in shared memory of a process that was killed. */
  static forget(pid: number): void {
    for (const name of ['faketime_shm_', 'sem.faketime_sem_']) rmSync(`/dev/shm/${name}${pid}`, { force: true });
  }

  /** In one step: the library may read it at any moment. */
  #write(text: string): void {
    writeFileSync(`${this.#file}.new`, `${text}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }
}
