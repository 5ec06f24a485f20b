/**
 * The follower of the by-hash index, over one opened store: gives every log its turns. What a turn does is small, so that appends and
 * requests have theirs between. It ends when it is told to, or with the first error.
 */
import { HASH_SIZE } from '../../tree/hash.ts';
import { TILE_WIDTH } from '../../tree/tiles.ts';
import type { Clock } from '../clock.ts';
import type { Room } from '../free-space.ts';
import type { Log } from '../log.ts';
import type { DerivedStore } from '../storage/derived.ts';
import type { TreeReader } from '../tree-reader.ts';
import type { WriteKey } from './leaf-keys.ts';
import { type IndexSizes, LogIndex } from './log-index.ts';
import { removeLog } from './opening.ts';
import type { LogRuns } from './runs.ts';

export interface FollowerOptions {
  readonly store: DerivedStore;
  readonly writeKey: WriteKey;
  readonly sizes: IndexSizes;
  readonly reader: Pick<TreeReader, 'tile'>;
  readonly clock: Clock;
  readonly room?: Room | undefined;
  readonly signal: AbortSignal;
  /** A log cannot be read. */
  readonly onTrouble: (error: unknown) => void;
}

/** Tiles read for one log before others have their turn. */
const TILES_AT_ONCE = 16;
/** Logs that have their turn before others have theirs, and whose leaves go into one write, which costs more than a few leaves do. */
const LOGS_AT_ONCE = 64;
/** Pause before another try where a log cannot be read, in milliseconds. */
const RETRY_PAUSE = 30_000;
/** Pause while the disk is nearly full, or a log waits for its next try, in milliseconds. */
const REST = 1000;
/** Bytes that a leaf takes in a run, with its share of keys, checksums and what LevelDB adds; and a run by itself. */
const LEAF_COST = 16;
const RUN_COST = 4096;

/** Whether a log has nothing to do, more to do, leaves to write, or must wait. */
type Turn = 'done' | 'more' | 'flush' | 'rest';

export class Follower {
  readonly #options: FollowerOptions;
  readonly #logs = new Map<Log, LogIndex>();
  /** Logs of which something may have to be read, written or removed. */
  readonly #due = new Set<Log>();
  /** Those of them that must wait for room, or for their next try. */
  readonly #resting = new Set<Log>();
  /** Logs with runs to merge. One after the other, for a merge takes memory. */
  readonly #mergeable = new Set<Log>();
  /** Leaves in memory. */
  #held = 0;
  /** Leaves of a log that are to become a run. */
  #enough: number;
  /** Logs that could not be read, and when to try again, in microseconds of the monotonic clock. */
  readonly #unreadable = new Map<Log, number>();
  /** When to look for room again, in microseconds of the monotonic clock. */
  #roomAgain = 0;
  #ended = false;
  #nudge: () => void = () => {};

  /** Follows these logs, with what is stored of them, and others from their first leaf on. */
  constructor(options: FollowerOptions, stored: ReadonlyMap<Log, LogRuns>) {
    this.#options = options;
    this.#enough = options.sizes.run;
    for (const [log, runs] of stored) this.#logs.set(log, this.#begin(log, runs));
  }

  #begin(log: Log, runs?: LogRuns): LogIndex {
    const { store, writeKey, sizes } = this.#options;
    return new LogIndex(log.name, store, writeKey, sizes, runs);
  }

  /** What is known of a log, if it is followed. */
  get(log: Log): LogIndex | undefined {
    return this.#logs.get(log);
  }

  /** These leaves were appended from `first` on, and are durable. On the way of every commit: 45 ns a leaf, and no input or output. */
  committed(log: Log, first: number, hashes: Uint8Array): void {
    const index = this.#indexOf(log);
    // Where they cannot be written as fast as they come, they are read back from tiles.
    const room = this.#held + hashes.length / HASH_SIZE <= this.#options.sizes.held;
    if (room) this.#counted(index, () => index.committed(first, hashes));
    if (index.pending >= this.#enough || this.#crowded || index.known < log.state.treeSize) this.look(log);
  }

  /** Something of a log may have to be done. */
  look(log: Log): void {
    this.#due.add(log);
    this.#nudge();
  }

  /** Ends, and knows nothing from now on. */
  end(): void {
    this.#ended = true;
    for (const index of this.#logs.values()) index.forget();
    this.#nudge();
  }

  /** Resolves when it was told to end. Rejects with what the store says, or IndexDamage. */
  async run(): Promise<void> {
    while (!this.#ended) {
      this.#relieve();
      const due = [...this.#due];
      this.#due.clear();
      const full: Log[] = [];
      for (const [i, log] of due.entries()) {
        // What is at hand is read without a pause: of thousands of logs, it would be a long time for everybody else.
        if (i % LOGS_AT_ONCE === LOGS_AT_ONCE - 1) await new Promise(setImmediate);
        const turn = await this.#serve(log);
        if (turn === 'more') this.#due.add(log);
        if (turn === 'flush') full.push(log);
        if (turn === 'rest') this.#resting.add(log);
        if (this.#ended) return;
      }
      // There is more room in memory now, which others may have waited for.
      if (await this.#flush(full)) this.#wake();
      const merged = await this.#mergeStep();
      if (this.#due.size === 0 && !merged && !this.#ended) await this.#pause();
    }
  }

  #indexOf(log: Log): LogIndex {
    let index = this.#logs.get(log);
    if (index === undefined) {
      index = this.#begin(log);
      this.#logs.set(log, index);
    }
    return index;
  }

  /** Keeps count of the leaves in memory while a log's change. */
  #counted(index: LogIndex, change: () => void): void {
    this.#held -= index.held;
    change();
    this.#held += index.held;
  }

  /** Whether over half of the leaves that may be in memory are. */
  get #crowded(): boolean {
    return this.#held > this.#options.sizes.held / 2;
  }

  /** Where it is crowded, runs are made of the longest tails, until half of that is left. */
  #relieve(): void {
    this.#enough = this.#options.sizes.run;
    if (!this.#crowded || this.#rests(0)) return;
    for (const index of this.#logs.values()) this.#counted(index, () => index.dropAhead());
    const byLength = [...this.#logs].sort(([, a], [, b]) => b.pending - a.pending);
    let excess = this.#held - this.#options.sizes.held / 4;
    for (const [log, { pending }] of byLength) {
      if (excess <= 0 || pending === 0) break;
      excess -= pending;
      this.#enough = Math.min(this.#enough, pending);
      this.#due.add(log);
    }
  }

  /** Does one thing of what a log needs. */
  async #serve(log: Log): Promise<Turn> {
    if (log.definition.status === 'deleted') {
      await this.#forget(log);
      return 'done';
    }
    const index = this.#indexOf(log);
    if (index.pending >= this.#enough) return 'flush';
    if (index.known < log.state.treeSize) {
      if (this.#crowded || this.#rests(this.#unreadable.get(log) ?? 0)) return 'rest';
      await this.#catchUp(log, index);
      return 'more';
    }
    if (index.hasRubbish) {
      await index.removeRubbish();
      return 'more';
    }
    if (index.mergeable) this.#mergeable.add(log);
    return 'done';
  }

  /** Makes runs of the leaves in memory of these logs, several in one write; says whether there was any. */
  async #flush(logs: readonly Log[]): Promise<boolean> {
    let any = false;
    // Told to end meanwhile, it knows nothing any more that it could write.
    for (let at = 0; at < logs.length && !this.#ended; ) {
      const group: Log[] = [];
      let leaves = 0;
      for (; at < logs.length && group.length < LOGS_AT_ONCE && leaves < this.#options.sizes.run; at++) {
        const log = logs[at] as Log;
        group.push(log);
        leaves += this.#logs.get(log)?.pending ?? 0;
      }
      const written = await this.#withRoom(leaves * LEAF_COST + group.length * RUN_COST, async () => {
        const flushes = group.map((log) => (this.#logs.get(log) as LogIndex).flush());
        await this.#options.store.write(flushes.flatMap(({ rows }) => rows));
        for (const [i, { written }] of flushes.entries())
          this.#counted(this.#logs.get(group[i] as Log) as LogIndex, written);
      });
      for (const log of group) (written ? this.#due : this.#resting).add(log);
      any ||= written;
    }
    return any;
  }

  /** Takes one merge a step further; says whether there was something to do. */
  async #mergeStep(): Promise<boolean> {
    const [log] = this.#mergeable;
    if (log === undefined) return false;
    const index = this.#logs.get(log);
    if (index?.mergeable !== true) {
      this.#mergeable.delete(log);
      return true;
    }
    const cost = this.#options.sizes.step * LEAF_COST + RUN_COST;
    if (!(await this.#withRoom(cost, () => index.mergeStep()))) return false;
    // What the merge leaves behind is removed in the log's own turn.
    this.#due.add(log);
    return true;
  }

  /** Writes so many bytes if there is room for them; says whether there was. */
  async #withRoom(bytes: number, write: () => Promise<void>): Promise<boolean> {
    const { room, clock } = this.#options;
    if (this.#rests(0)) return false;
    try {
      room?.take(bytes);
    } catch {
      this.#roomAgain = clock.monotonicMicros() + REST * 1000;
      return false;
    }
    await write().finally(() => room?.release(bytes));
    return true;
  }

  /** Whether it is too early to try again, for want of room or until that moment. */
  #rests(until: number): boolean {
    return Math.max(this.#roomAgain, until) > this.#options.clock.monotonicMicros();
  }

  /** Takes the next leaf hashes from tiles. A log that cannot be read stays behind for a while, and the others go on. */
  async #catchUp(log: Log, index: LogIndex): Promise<void> {
    const { reader, clock } = this.#options;
    const { state } = log;
    try {
      for (let tiles = 0; tiles < TILES_AT_ONCE && index.known < state.treeSize; tiles++) {
        const tile = Math.floor(index.known / TILE_WIDTH);
        const width = Math.min(TILE_WIDTH, state.treeSize - tile * TILE_WIDTH);
        const hashes = await reader.tile(log, state, { level: 0, index: tile, width });
        this.#counted(index, () => index.read(hashes.subarray((index.known - tile * TILE_WIDTH) * HASH_SIZE)));
      }
    } catch (error) {
      this.#unreadable.set(log, clock.monotonicMicros() + RETRY_PAUSE * 1000);
      this.#options.onTrouble(error);
    }
  }

  async #forget(log: Log): Promise<void> {
    const index = this.#logs.get(log);
    if (index === undefined) return;
    // First of all: who looks while rows are removed must not hear that a leaf is not there.
    this.#counted(index, () => index.forget());
    this.#logs.delete(log);
    await removeLog(this.#options.store, log.name, this.#options.signal);
  }

  /** Waits for a nudge; with a timer only where something is to be tried again without one. */
  async #pause(): Promise<void> {
    const { clock } = this.#options;
    const nudged = new Promise<void>((resolve) => {
      this.#nudge = resolve;
    });
    if (this.#resting.size === 0 && this.#mergeable.size === 0) await nudged;
    else {
      const wake = new AbortController();
      await Promise.race([nudged, clock.sleep(REST, wake.signal).catch(() => {})]);
      wake.abort();
    }
    this.#nudge = () => {};
    this.#wake();
  }

  #wake(): void {
    for (const log of this.#resting) this.#due.add(log);
    this.#resting.clear();
  }
}
