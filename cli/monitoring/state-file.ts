/** Where a monitor's state survives: one file, replaced as a whole, written by one process at a time; and the evidence beside it. */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatState, type MonitorState, MonitorStateError, newState, parseState } from '../../client/monitor/state.ts';
import type { VerifierKey, Verify } from '../../proofs/key.ts';
import { ExitError } from '../../server/errors.ts';
import { replaceWhole } from '../../server/files.ts';
import { lockPath } from '../../server/lock.ts';
import { usage } from '../output.ts';

export class StateFile {
  readonly path: string;
  readonly #unlock: () => void;
  /** Writes follow each other. */
  #last: Promise<void> = Promise.resolve();

  private constructor(path: string, unlock: () => void) {
    this.path = path;
    this.#unlock = unlock;
  }

  /** Locks the file, which need not be there yet. Throws CliError `usage` where another process has it. */
  static async open(path: string): Promise<StateFile> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // The state itself is replaced, and a lock on it would be one on what was there before.
    const lock = `${path}.lock`;
    await (await open(lock, 'a', 0o600)).close();
    try {
      return new StateFile(path, await lockPath(lock));
    } catch (cause) {
      if (!(cause instanceof ExitError)) throw cause;
      throw usage(`another monitor uses ${path}: give this one another --state`, cause);
    }
  }

  /** What was written last; a new state where there is no file. Throws CliError `usage` where the file is none, or of another log. */
  async read(key: VerifierKey, verify: Verify): Promise<MonitorState> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return newState(key);
      throw error;
    }
    try {
      return parseState(text, key, verify);
    } catch (cause) {
      if (!(cause instanceof MonitorStateError)) throw cause;
      const help =
        cause.code === 'damaged'
          ? '. It remembers what the log has shown; restore it, or move it away and begin to trust anew.'
          : cause.code === 'foreign'
            ? '. Give this log another --state.'
            : '.';
      throw usage(`${this.path}: ${cause.message}${help}`, cause);
    }
  }

  /** After this, a crash finds the state as it is now. */
  write(state: MonitorState): Promise<void> {
    const text = formatState(state);
    const written = this.#last.then(() => replaceWhole(this.path, text, `${this.path}.tmp`));
    this.#last = written.catch(() => undefined);
    return written;
  }

  async close(): Promise<void> {
    await this.#last;
    this.#unlock();
  }
}

/** Keeps a fraud proof in a directory, under a name that its content gives it. */
export async function keepEvidence(directory: string, fraud: string): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const name = createHash('sha256').update(fraud).digest('hex').slice(0, 16);
  const path = join(directory, `${name}.fraud-proof`);
  await replaceWhole(path, fraud);
  return path;
}
