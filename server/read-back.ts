/**
 * Reading back: what the store has of a log, re-hashed up to where its next head will stand. The publisher signs nothing else.
 *
 * A log is read back when it is signed, and before that when a commit finds that it has grown by some bytes, unless one is being read. Read once
 * a second, a second's entries stopped everything else for as long as they were hashed, and had left LevelDB's memory by then, so that all tables they
 * were in were mapped: with raw batches over four connections the slowest hundredth took 50 ms instead of 30, and the process 80 MB more (two runs
 * in turn, the same rate and CPU).
 */
import { equalBytes } from '../tree/bytes.ts';
import { type Frontier, frontierRoot } from '../tree/frontier.ts';
import { ServerError } from './errors.ts';
import type { Log, Published } from './log.ts';
import { type LogState, verifyGrowth } from './log-state.ts';
import type { RowReader, Store } from './storage/store.ts';

/** Bytes of leaves after which a log is read back before its next head. */
const READ_BACK_BYTES = 1024 * 1024;

export interface ReadBackOptions {
  readonly store: Store;
  /** The frontier at a log's newest published head, from verified tiles. */
  readonly frontierAt: (log: Log, treeSize: number) => Promise<Frontier>;
  /** Bytes of leaves after which a log is read back before its next head; by default 1 MiB. */
  readonly readBackBytes?: number;
  /** What was read back before a head is not what was promised. */
  readonly onDamage: (error: unknown) => void;
}

/** How far a log was read back. */
interface Verified {
  /** The head on which everything that was read since builds. */
  readonly head: Pick<Published, 'treeSize' | 'rootHash'>;
  readonly treeSize: number;
  readonly frontier: Frontier;
  /** What the log had counted by then; negative infinity of what was not read in this run, from where on nobody counted. */
  readonly appendedBytes: number;
}

export class ReadBack {
  readonly #options: ReadBackOptions;
  readonly #verified = new Map<Log, Verified>();
  /** The one log that is being read ahead of its head. */
  #ahead: Promise<void> | undefined;

  constructor(options: ReadBackOptions) {
    this.#options = options;
  }

  /** Resolves when nothing is being read ahead of a head. */
  get settled(): Promise<void> {
    return this.#ahead ?? Promise.resolve();
  }

  /** A log grew: it is read back if that was much, and if no other one is. */
  grew(log: Log): void {
    const { readBackBytes = READ_BACK_BYTES, onDamage } = this.#options;
    if (this.#ahead !== undefined || log.signing) return;
    const verified = this.#verified.get(log);
    if (verified === undefined || log.appendedBytes - verified.appendedBytes < readBackBytes) return;
    this.#ahead = this.#extend(log, verified)
      .then((extended) => {
        this.#verified.set(log, extended);
      })
      .catch(onDamage)
      .finally(() => {
        this.#ahead = undefined;
      });
  }

  /**
   * Reads back everything of a log that is durable, on top of its newest published head, and returns its state there: that may be signed.
   * `openRows` reads the open rows in the store's place. Throws ServerError `damaged`. Not twice at once for a log, which must be `signing`.
   */
  async all(log: Log, openRows: RowReader): Promise<LogState> {
    await this.#ahead;
    const from = await this.#from(log);
    const { state } = log;
    const extended = await this.#extend(log, from, openRows);
    const { treeSize, rootHash } = state;
    // Whether or not this head is stored: where it is not, the next one begins at the published one again.
    this.#verified.set(log, { ...extended, head: { treeSize, rootHash } });
    return state;
  }

  /** What was read back on top of the newest published head; where it was on top of another one, that head alone. */
  async #from(log: Log): Promise<Verified> {
    const { treeSize, rootHash } = log.published;
    const known = this.#verified.get(log);
    const differs = (): ServerError =>
      new ServerError('damaged', `log ${log.name}: the stored tree at size ${treeSize} is not the one that was signed`);
    if (known?.head.treeSize === treeSize) {
      if (!equalBytes(known.head.rootHash, rootHash)) throw differs();
      return known;
    }
    const frontier = await this.#options.frontierAt(log, treeSize);
    if (!equalBytes(frontierRoot(frontier), rootHash)) throw differs();
    return { head: { treeSize, rootHash }, treeSize, frontier, appendedBytes: Number.NEGATIVE_INFINITY };
  }

  /** Reads what a log has that is not read yet. */
  async #extend(log: Log, from: Verified, openRows?: RowReader): Promise<Verified> {
    const { state, appendedBytes } = log;
    const { treeSize, rootHash, open } = state;
    const growth = { treeSize, open, bytes: appendedBytes - from.appendedBytes };
    const frontier = await verifyGrowth(this.#options.store, log.name, from, growth, openRows);
    if (!equalBytes(frontierRoot(frontier), rootHash)) {
      throw new ServerError(
        'damaged',
        `log ${log.name}: the stored leaves do not hash to the root at size ${treeSize}; nothing was signed`,
      );
    }
    return { ...from, treeSize, frontier, appendedBytes };
  }
}
