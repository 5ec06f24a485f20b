/**
 * The by-hash index: from a leaf hash to its leaf index. A follower: it takes the leaf hashes of each commit when that is durable,
 * reads from verified tiles what it missed, and writes where nothing else lives. Deleted, damaged or from another store, it is made
 * again from the log; until then it says that it is behind, and never that a leaf is not there.
 *
 * Of each leaf it has a key of 64 bits (by-hash/leaf-keys.ts). The newest leaves of a log are a tail in memory, read back from tiles
 * after a start. When they are many they become a run, sorted, in the derived store (by-hash/runs.ts), and many runs become a larger
 * one (by-hash/merge-plan.ts). That costs 0.4 µs a leaf in all, where a row for each leaf in LevelDB cost 5. Whatever a key points to
 * is compared with the tree, all 32 bytes.
 */
import { randomBytes } from 'node:crypto';
import { concatBytes, equalBytes } from '../tree/bytes.ts';
import { HASH_SIZE } from '../tree/hash.ts';
import { TILE_WIDTH } from '../tree/tiles.ts';
import { keyWriter, SECRET_SIZE, type WriteKey } from './by-hash/leaf-keys.ts';
import { INDEX_SIZES, type IndexSizes, LogIndex } from './by-hash/log-index.ts';
import { afterPrefix, endOf, IndexDamage, logKey, NO_RUNS, parseLogRow, runPrefix } from './by-hash/runs.ts';
import { STORE_ROW, secretOf, storeRow } from './by-hash/store-row.ts';
import type { Clock } from './clock.ts';
import { ServerError } from './errors.ts';
import type { Room } from './free-space.ts';
import type { Log } from './log.ts';
import type { DerivedStore } from './storage/derived.ts';
import type { TreeReader } from './tree-reader.ts';

export interface LeafIndexOptions {
  readonly open: () => Promise<DerivedStore>;
  readonly storeId: Uint8Array;
  readonly reader: Pick<TreeReader, 'tile' | 'nodes'>;
  readonly clock: Clock;
  /** Whether there is room on the disk; without it, always. The reserve is for what cannot be made again. */
  readonly room?: Room;
  readonly logs: () => Iterable<Log>;
  /** Something of the index was damaged; it is made again. */
  readonly onDamage: (message: string) => void;
  /** The index cannot be written: appends do not care, look-ups answer `index_behind`. */
  readonly onTrouble: (error: unknown) => void;
  readonly sizes?: IndexSizes;
}

/** Tiles read for one log before others have their turn. */
const TILES_AT_ONCE = 16;
/** Logs whose leaves go into one write: with a few leaves each, the write is what costs most. */
const LOGS_AT_ONCE = 64;
/** Log rows read at once, and rows removed at once. */
const STEP = 4096;
/** Pause before another try where the index cannot be opened or written, or a log not be read, in milliseconds. */
const RETRY_PAUSE = 30_000;
/** Pause while the disk is nearly full, or a log waits for its next try, in milliseconds. */
const REST = 1000;
/** Bytes that a leaf takes in a run, with its share of keys, checksums and what LevelDB adds; and a run by itself. */
const LEAF_COST = 16;
const RUN_COST = 4096;

/** What is open, and of this very store. */
interface Opened {
  readonly store: DerivedStore;
  readonly writeKey: WriteKey;
}

/** Whether a log has nothing to do, more to do, leaves to write, or must wait. */
type Turn = 'done' | 'more' | 'flush' | 'rest';

export class LeafIndex {
  readonly #options: LeafIndexOptions;
  readonly #sizes: IndexSizes;
  readonly #stop = new AbortController();
  #opened: Opened | undefined;
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
  #remake = false;
  #nudge: () => void = () => {};
  #loop: Promise<void> | undefined;

  constructor(options: LeafIndexOptions) {
    this.#options = options;
    this.#sizes = options.sizes ?? INDEX_SIZES;
    this.#enough = this.#sizes.run;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#nudge();
    await this.#loop;
  }

  /** Durable entries that the index does not know yet. */
  get lag(): number {
    let lag = 0;
    for (const log of this.#options.logs()) {
      if (log.definition.status === 'deleted') continue;
      lag += log.state.treeSize - (this.#opened === undefined ? 0 : (this.#logs.get(log)?.known ?? 0));
    }
    return lag;
  }

  /** These leaves were appended from `first` on, and are durable. On the way of every commit: 40 ns a leaf, and no input or output. */
  committed(log: Log, first: number, hashes: Uint8Array): void {
    if (this.#opened === undefined) return;
    const index = this.#indexOf(log, this.#opened);
    // Where they cannot be written as fast as they come, they are read back from tiles.
    const room = this.#held + hashes.length / HASH_SIZE <= this.#sizes.held;
    if (room) this.#counted(index, () => index.committed(first, hashes));
    if (index.pending >= this.#enough || this.#crowded || index.known < log.state.treeSize) this.#look(log);
  }

  /** This log was deleted: its leaves are to be forgotten. */
  deleted(log: Log): void {
    this.#look(log);
  }

  /**
   * The first leaf index below `treeSize` with this leaf hash, or `undefined` if there is none. Throws ServerError `index_behind`
   * while that cannot be told, `damaged` where the tree is.
   */
  async find(log: Log, leafHash: Uint8Array, treeSize: number): Promise<number | undefined> {
    const index = this.#opened === undefined ? undefined : this.#logs.get(log);
    if (index === undefined) throw behind();
    const { known } = index;
    const key = index.keyOf(leafHash);
    for (let from = 0; ; ) {
      const leafIndex = await this.#findKey(log, index, key, from, treeSize);
      if (leafIndex === undefined) {
        // And now, for the log may have been forgotten meanwhile.
        if (Math.min(known, index.known) < treeSize) throw behind();
        return undefined;
      }
      const readNode = await this.#options.reader.nodes(log, log.state, [{ level: 0, index: leafIndex }]);
      const found = readNode({ level: 0, index: leafIndex });
      if (equalBytes(found, leafHash)) return leafIndex;
      if (!index.keyOf(found).every((word, i) => word === key[i])) {
        this.#damaged(`it points to leaf ${leafIndex} of log ${log.name}, which has another hash`);
        throw behind();
      }
      // Another leaf with the same key, which chance makes possible.
      from = leafIndex + 1;
    }
  }

  async #findKey(log: Log, index: LogIndex, key: Uint32Array, from: number, to: number): Promise<number | undefined> {
    try {
      return await index.find(key, from, to);
    } catch (error) {
      // Of a store that was closed meanwhile nobody need hear.
      if (this.#logs.get(log) === index) {
        if (error instanceof IndexDamage) this.#damaged(error.message);
        else this.#trouble(error);
      }
      throw behind();
    }
  }

  #indexOf(log: Log, { store, writeKey }: Opened): LogIndex {
    let index = this.#logs.get(log);
    if (index === undefined) {
      index = new LogIndex(log.name, store, writeKey, this.#sizes);
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

  #look(log: Log): void {
    this.#due.add(log);
    this.#nudge();
  }

  #trouble(error: unknown): void {
    if (!this.#stop.signal.aborted) this.#options.onTrouble(error);
  }

  #damaged(message: string): void {
    this.#options.onDamage(`the by-hash index is damaged and is made again: ${message}`);
    this.#remake = true;
    this.#opened = undefined;
    this.#nudge();
  }

  async #run(): Promise<void> {
    const { open, clock, onTrouble } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let store: DerivedStore | undefined;
      try {
        store = await open();
        const opened = await this.#prepare(store);
        if (opened !== undefined) await this.#follow(opened);
      } catch (error) {
        if (error instanceof IndexDamage) this.#damaged(error.message);
        else if (!signal.aborted) {
          onTrouble(error);
          this.#opened = undefined;
          await clock.sleep(RETRY_PAUSE, signal).catch(() => {});
        }
      }
      this.#opened = undefined;
      for (const index of this.#logs.values()) index.forget();
      this.#logs.clear();
      this.#due.clear();
      this.#resting.clear();
      this.#mergeable.clear();
      this.#held = 0;
      await store?.close().catch(onTrouble);
    }
  }

  /** Makes sure that what was opened is of this store, and reads how far it got; `undefined` where the server closes. */
  async #prepare(store: DerivedStore): Promise<Opened | undefined> {
    const { storeId, logs } = this.#options;
    let secret = secretOf(await store.get(STORE_ROW), storeId);
    if (this.#remake || secret === undefined) {
      await this.#remove(store, STORE_ROW, Uint8Array.of(255));
      if (this.#stop.signal.aborted) return undefined;
      secret = randomBytes(SECRET_SIZE);
      await store.write([storeRow(storeId, secret)]);
      this.#remake = false;
    }
    const opened = { store, writeKey: keyWriter(secret) };
    const all = [...logs()];
    for (let at = 0; at < all.length; at += STEP) {
      const some = all.slice(at, at + STEP);
      const rows = await store.getMany(some.map(({ name }) => logKey(name)));
      for (const [i, log] of some.entries()) await this.#begin(opened, log, rows[i]);
    }
    this.#opened = opened;
    // Of a log that was made meanwhile there are no rows.
    for (const log of logs()) this.#due.add(log);
    return opened;
  }

  async #begin({ store, writeKey }: Opened, log: Log, row: Uint8Array | undefined): Promise<void> {
    const stored = row === undefined ? NO_RUNS : parseLogRow(log.name, row);
    const deleted = log.definition.status === 'deleted';
    if (row !== undefined && (deleted || endOf(stored) > log.state.treeSize)) await this.#removeLog(store, log);
    else if (!deleted) this.#logs.set(log, new LogIndex(log.name, store, writeKey, this.#sizes, stored));
  }

  /** Follows all logs until the index is to be made again, or the server closes. */
  async #follow(opened: Opened): Promise<void> {
    const ends = (): boolean => this.#stop.signal.aborted || this.#remake;
    while (!ends()) {
      this.#relieve();
      const due = [...this.#due];
      this.#due.clear();
      const full: Log[] = [];
      for (const log of due) {
        const turn = await this.#serve(opened, log);
        if (turn === 'more') this.#due.add(log);
        if (turn === 'flush') full.push(log);
        if (turn === 'rest') this.#resting.add(log);
        if (ends()) return;
      }
      await this.#flush(opened.store, full);
      const merged = await this.#mergeStep();
      if (this.#due.size === 0 && !merged && !ends()) await this.#pause();
    }
  }

  /** Whether over half of the leaves that may be in memory are. */
  get #crowded(): boolean {
    return this.#held > this.#sizes.held / 2;
  }

  /** Where it is crowded, runs are made of the longest tails, until half of that is left. */
  #relieve(): void {
    this.#enough = this.#sizes.run;
    if (!this.#crowded || this.#rests(0)) return;
    for (const index of this.#logs.values()) this.#counted(index, () => index.dropAhead());
    const byLength = [...this.#logs].sort(([, a], [, b]) => b.pending - a.pending);
    let excess = this.#held - this.#sizes.held / 4;
    for (const [log, { pending }] of byLength) {
      if (excess <= 0 || pending === 0) break;
      excess -= pending;
      this.#enough = Math.min(this.#enough, pending);
      this.#due.add(log);
    }
  }

  /** Does one thing of what a log needs. */
  async #serve(opened: Opened, log: Log): Promise<Turn> {
    if (log.definition.status === 'deleted') {
      await this.#forget(opened.store, log);
      return 'done';
    }
    const index = this.#indexOf(log, opened);
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

  /** Makes runs of the leaves in memory of these logs, several in one write. */
  async #flush(store: DerivedStore, logs: readonly Log[]): Promise<void> {
    for (let at = 0; at < logs.length; ) {
      const group: Log[] = [];
      let leaves = 0;
      for (; at < logs.length && group.length < LOGS_AT_ONCE && leaves < this.#sizes.run; at++) {
        const log = logs[at] as Log;
        group.push(log);
        leaves += this.#logs.get(log)?.pending ?? 0;
      }
      const written = await this.#withRoom(leaves * LEAF_COST + group.length * RUN_COST, async () => {
        const flushes = group.map((log) => (this.#logs.get(log) as LogIndex).flush());
        await store.write(flushes.flatMap(({ rows }) => rows));
        for (const [i, { written }] of flushes.entries())
          this.#counted(this.#logs.get(group[i] as Log) as LogIndex, written);
      });
      for (const log of group) (written ? this.#due : this.#resting).add(log);
    }
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
    const cost = this.#sizes.step * LEAF_COST + RUN_COST;
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
      this.#trouble(error);
    }
  }

  async #forget(store: DerivedStore, log: Log): Promise<void> {
    const index = this.#logs.get(log);
    if (index === undefined) return;
    // First of all: who looks while rows are removed must not hear that a leaf is not there.
    this.#counted(index, () => index.forget());
    this.#logs.delete(log);
    await this.#removeLog(store, log);
  }

  /** Removes all of a log, the log row last: where that is interrupted, the next start finds it. */
  async #removeLog(store: DerivedStore, log: Log): Promise<void> {
    const prefix = runPrefix(log.name);
    await this.#remove(store, prefix, afterPrefix(prefix));
    if (!this.#stop.signal.aborted) await store.write([{ key: logKey(log.name), value: undefined }]);
  }

  /** Removes a range in steps, for a large one takes a while; ends early when the server closes. */
  async #remove(store: DerivedStore, gte: Uint8Array, lt: Uint8Array): Promise<void> {
    for (let from = gte; !this.#stop.signal.aborted; ) {
      const last = (await store.keys(from, lt, STEP)).at(-1);
      if (last === undefined) return;
      const next = concatBytes(last, Uint8Array.of(0));
      await store.clear(from, next);
      from = next;
    }
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
    for (const log of this.#resting) this.#due.add(log);
    this.#resting.clear();
  }
}

function behind(): ServerError {
  return new ServerError(
    'index_behind',
    'the index of leaf hashes is still following the log; ask again, or ask by index',
  );
}
