/**
 * What waits for its commit, and whether more may. How many entries are too many depends on the machine; how long is too long does not
 * (docs/design.md, Pushback).
 */
import { ServerError } from './errors.ts';

export interface BacklogLimits {
  /** Entries that may wait at once; over it, appends answer 503 `pushback`. */
  readonly maxPendingEntries: number;
  /** Bytes of events that may wait at once. */
  readonly maxPendingBytes: number;
  /** Milliseconds of work that may wait, as fast as the commits of late were; over it, appends answer 503 `pushback` too. */
  readonly maxWait: number;
}

export interface Work {
  readonly entries: number;
  readonly bytes: number;
}

/** Fewer entries than these may always wait, however slow the last commits were: the disk may have hung for a moment. */
const ALWAYS = 1024;
/** Commits of fewer entries than these say more about the disk than about how fast many are worked off. */
const TELLING = 256;
/** Microseconds an entry, until there was a commit that told. */
const FIRST_PACE = 50;

export class Backlog {
  readonly #limits: BacklogLimits;
  #entries = 0;
  #bytes = 0;
  /** Microseconds that an entry took in the telling commits of late, with everything that the process did meanwhile. */
  #pace = FIRST_PACE;
  /** When the last work was done, in microseconds: that on the next had begun by then. */
  #lastEnd = 0;

  constructor(limits: BacklogLimits) {
    this.#limits = limits;
  }

  /** Entries that wait. */
  get entries(): number {
    return this.#entries;
  }

  /** A ServerError `pushback` where this may not join what waits. */
  refusal({ entries, bytes }: Work): ServerError | undefined {
    const { maxPendingEntries, maxPendingBytes, maxWait } = this.#limits;
    // What is too large for an empty pool must be let in all the same: its size was limited at the edge.
    if (this.#entries === 0) return undefined;
    if (this.#entries + entries > maxPendingEntries || this.#bytes + bytes > maxPendingBytes) {
      return new ServerError(
        'pushback',
        'too many entries are waiting; nothing was stored, send it again a little later',
      );
    }
    if (this.#entries < ALWAYS || this.#entries * this.#pace <= maxWait * 1000) return undefined;
    return new ServerError(
      'pushback',
      'entries would wait too long for their commit; nothing was stored, send it again a little later',
    );
  }

  add({ entries, bytes }: Work): void {
    this.#entries += entries;
    this.#bytes += bytes;
  }

  /** All of this was done by one commit, on which the work began and ended at these times, in microseconds. */
  done(work: readonly Work[], began: number, end: number): void {
    let entries = 0;
    for (const each of work) {
      entries += each.entries;
      this.#bytes -= each.bytes;
    }
    this.#entries -= entries;
    if (entries >= TELLING) this.#pace = (this.#pace + (end - Math.max(began, this.#lastEnd)) / entries) / 2;
    this.#lastEnd = end;
  }
}
