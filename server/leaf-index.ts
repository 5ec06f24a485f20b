/**
 * The by-hash index: from a leaf hash to its leaf index. A follower: it takes the leaf hashes of each commit when that is durable,
 * reads from verified tiles what it missed, and writes both where nothing else lives. Deleted, damaged or from another store, it
 * is made again from the log; until then it says that it is behind, and never that a leaf is not there.
 *
 * Keys: 0x00 → store id; 0x01 ‖ log → u64 cursor, the next leaf index to follow; 0x02 ‖ u8 length of the log's name ‖ log ‖ first
 * 16 bytes of the leaf hash ‖ u48 leaf index → nothing. So equal leaves stand side by side, the first of them first, without
 * looking before writing. What is found is compared with the tree, all 32 bytes.
 */
import { concatBytes, equalBytes, readU64, u64, utf8 } from '../tree/bytes.ts';
import { asLeafHash, HASH_SIZE, type LeafHash } from '../tree/hash.ts';
import { hashInTile } from '../tree/tiles.ts';
import type { Clock } from './clock.ts';
import { ServerError } from './errors.ts';
import type { Room } from './free-space.ts';
import type { Log } from './log.ts';
import type { DerivedRow, DerivedStore } from './storage/derived.ts';
import type { TreeReader } from './tree-reader.ts';

export interface LeafIndexOptions {
  readonly open: () => Promise<DerivedStore>;
  readonly storeId: Uint8Array;
  readonly reader: TreeReader;
  readonly clock: Clock;
  /** Whether there is room on the disk; without it, always. The reserve is for what cannot be made again. */
  readonly room?: Room;
  readonly logs: () => Iterable<Log>;
  /** Something of the index was damaged; it is made again. */
  readonly onDamage: (message: string) => void;
  /** The index cannot be written: appends do not care, look-ups answer `index_behind`. */
  readonly onTrouble: (error: unknown) => void;
}

/** Leaf hashes written at once, and rows removed at once: others have their turn between. */
const STEP = 4096;
/** Leaf hashes of fresh commits kept for the follower; what is more is read back from tiles. */
const MAX_FRESH = 65_536;
/** Pause before another try where the index cannot be opened or written, or a log not be read, in milliseconds. */
const RETRY_PAUSE = 30_000;
/** Pause while the disk is nearly full, in milliseconds. */
const ROOM_PAUSE = 1000;
/** Bytes that a leaf takes in the index, its key and what LevelDB adds. */
const ROW_COST = 100;

const STORE_KEY = Uint8Array.of(0);
const CURSOR = 1;
const LEAF = 2;
const NOTHING = new Uint8Array(0);
/** Bytes of a leaf hash that a key has. */
const HASH_PART = 16;

interface Fresh {
  readonly first: number;
  readonly hashes: LeafHash[];
}

export class LeafIndex {
  readonly #options: LeafIndexOptions;
  readonly #stop = new AbortController();
  /** Open and of this very store. */
  #store: DerivedStore | undefined;
  readonly #cursors = new Map<Log, number>();
  readonly #fresh = new Map<Log, Fresh>();
  #freshCount = 0;
  /** Logs that could not be read, and when to try again, in microseconds of the monotonic clock. */
  readonly #unreadable = new Map<Log, number>();
  /** When to look for room again, in microseconds of the monotonic clock. */
  #roomAgain = 0;
  #remake = false;
  #nudge: () => void = () => {};
  #loop: Promise<void> | undefined;

  constructor(options: LeafIndexOptions) {
    this.#options = options;
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
      if (log.definition.status !== 'deleted') lag += log.state.treeSize - (this.#cursors.get(log) ?? 0);
    }
    return lag;
  }

  /** These leaves were appended from `first` on, and are durable. */
  committed(log: Log, first: number, leafHashes: Uint8Array): void {
    if (this.#loop === undefined) return;
    const hashes = Array.from({ length: leafHashes.length / HASH_SIZE }, (_, i) =>
      asLeafHash(hashInTile(leafHashes, i)),
    );
    const fresh = this.#fresh.get(log);
    if (fresh === undefined) this.#fresh.set(log, { first, hashes: [...hashes] });
    else for (const hash of hashes) fresh.hashes.push(hash);
    this.#freshCount += hashes.length;
    if (this.#freshCount > MAX_FRESH) this.#dropFresh();
    this.#nudge();
  }

  /**
   * The first leaf index below `treeSize` with this leaf hash, or `undefined` if there is none. Throws ServerError `index_behind`
   * while that cannot be told, `damaged` where the tree is.
   */
  async find(log: Log, leafHash: Uint8Array, treeSize: number): Promise<number | undefined> {
    const store = this.#store;
    if (store === undefined) throw behind();
    // Looked at first: what is written meanwhile may be missed by the search, but not by the cursor.
    const cursor = this.#cursors.get(log) ?? 0;
    const prefix = logPrefix(log);
    const [gte, lt] = [leafKey(prefix, leafHash, 0), leafKey(prefix, leafHash, treeSize)];
    const keys = await store.keys(gte, lt, 1).catch((error) => {
      this.#trouble(error);
      throw behind();
    });
    const [key] = keys;
    if (key === undefined) {
      // And again, for the log may have been forgotten meanwhile.
      if (cursor < treeSize || (this.#cursors.get(log) ?? 0) < treeSize) throw behind();
      return undefined;
    }
    const leafIndex = readU48(key, key.length - 6);
    const readNode = await this.#options.reader.nodes(log, log.state, [{ level: 0, index: leafIndex }]);
    if (equalBytes(readNode({ level: 0, index: leafIndex }), leafHash)) return leafIndex;
    this.#options.onDamage(
      `log ${log.name}: the by-hash index points to leaf ${leafIndex}, which has another hash; it is made again`,
    );
    this.#remake = true;
    this.#store = undefined;
    this.#cursors.clear();
    this.#nudge();
    throw behind();
  }

  async #run(): Promise<void> {
    const { open, clock, onTrouble } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let store: DerivedStore | undefined;
      try {
        store = await open();
        await this.#prepare(store);
        this.#store = store;
        await this.#follow(store);
      } catch (error) {
        if (!signal.aborted) {
          onTrouble(error);
          await clock.sleep(RETRY_PAUSE, signal).catch(() => {});
        }
      }
      this.#store = undefined;
      this.#cursors.clear();
      await store?.close().catch(onTrouble);
    }
  }

  #trouble(error: unknown): void {
    if (!this.#stop.signal.aborted) this.#options.onTrouble(error);
  }

  /** Makes sure that what was opened is of this store, and reads how far it got. */
  async #prepare(store: DerivedStore): Promise<void> {
    const { storeId, logs } = this.#options;
    const stored = await store.get(STORE_KEY);
    if (this.#remake || stored === undefined || !equalBytes(stored, storeId)) {
      await this.#remove(store, STORE_KEY, Uint8Array.of(LEAF + 1));
      if (this.#stop.signal.aborted) return;
      await store.write([{ key: STORE_KEY, value: storeId }]);
      this.#remake = false;
    }
    for (const log of logs()) {
      const cursor = await store.get(cursorKey(log));
      const next = cursor === undefined ? 0 : cursor.length === 8 ? readU64(cursor, 0) : Number.POSITIVE_INFINITY;
      // Of a deleted log there may be rows without a cursor, where forgetting it was interrupted.
      if (next <= log.state.treeSize && log.definition.status !== 'deleted') this.#cursors.set(log, next);
      else await this.#clear(store, log);
    }
  }

  /** Follows all logs until the index is to be made again, or the server closes. */
  async #follow(store: DerivedStore): Promise<void> {
    while (!this.#stop.signal.aborted && !this.#remake) {
      let idle = true;
      for (const log of this.#options.logs()) {
        const next = this.#cursors.get(log) ?? 0;
        if (log.definition.status === 'deleted') {
          if (next === 0) continue;
          idle = false;
          await this.#clear(store, log);
        } else if (next < log.state.treeSize && !this.#rests(log)) {
          idle = false;
          await this.#advance(store, log, next);
        }
        if (this.#stop.signal.aborted) return;
      }
      if (idle) await this.#pause();
    }
  }

  async #advance(store: DerivedStore, log: Log, next: number): Promise<void> {
    const hashes = this.#takeFresh(log, next) ?? (await this.#readHashes(log, next));
    if (hashes === undefined) return;
    const cost = hashes.length * ROW_COST;
    try {
      this.#options.room?.take(cost);
    } catch {
      // What was taken of the fresh ones is read back from tiles later.
      this.#roomAgain = this.#options.clock.monotonicMicros() + ROOM_PAUSE * 1000;
      return;
    }
    const prefix = logPrefix(log);
    const rows: DerivedRow[] = hashes.map((hash, i) => ({ key: leafKey(prefix, hash, next + i), value: NOTHING }));
    rows.push({ key: cursorKey(log), value: u64(next + hashes.length) });
    await store.write(rows).finally(() => this.#options.room?.release(cost));
    this.#cursors.set(log, next + hashes.length);
  }

  #rests(log: Log): boolean {
    return Math.max(this.#roomAgain, this.#unreadable.get(log) ?? 0) > this.#options.clock.monotonicMicros();
  }

  /** The next leaf hashes from tiles. A log that cannot be read stays behind for a while, and the others go on. */
  async #readHashes(log: Log, next: number): Promise<LeafHash[] | undefined> {
    const { reader, clock } = this.#options;
    const { state } = log;
    try {
      return await reader.leafHashes(log, state, next, Math.min(state.treeSize, next + STEP));
    } catch (error) {
      this.#unreadable.set(log, clock.monotonicMicros() + RETRY_PAUSE * 1000);
      this.#trouble(error);
      return undefined;
    }
  }

  /** The next leaf hashes of the commits that follow on the cursor. */
  #takeFresh(log: Log, next: number): readonly LeafHash[] | undefined {
    const fresh = this.#fresh.get(log);
    if (fresh === undefined || fresh.first > next) return undefined;
    // The first of them may have been read from tiles already.
    const from = next - fresh.first;
    const hashes = fresh.hashes.slice(from, from + STEP);
    const rest = fresh.hashes.slice(from + STEP);
    this.#freshCount -= fresh.hashes.length - rest.length;
    if (rest.length === 0) this.#fresh.delete(log);
    else this.#fresh.set(log, { first: next + hashes.length, hashes: rest });
    return hashes.length === 0 ? undefined : hashes;
  }

  #dropFresh(): void {
    this.#fresh.clear();
    this.#freshCount = 0;
  }

  /** Forgets a log: cursor and leaves. */
  async #clear(store: DerivedStore, log: Log): Promise<void> {
    // First of all: who looks while leaves are removed must not hear that they are not there.
    this.#cursors.set(log, 0);
    const prefix = logPrefix(log);
    await this.#remove(store, cursorKey(log), concatBytes(cursorKey(log), Uint8Array.of(0)));
    await this.#remove(store, prefix, concatBytes(prefix, new Uint8Array(23).fill(255)));
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

  /** Waits for a nudge; a timer of its own only where there is something to look at again without one. */
  async #pause(): Promise<void> {
    // Nothing is missed: between the last look and here nobody else had a turn.
    if (this.#stop.signal.aborted || this.#remake) return;
    const { clock } = this.#options;
    const nudged = new Promise<void>((resolve) => {
      this.#nudge = resolve;
    });
    const resting =
      this.#roomAgain > clock.monotonicMicros() ? ROOM_PAUSE : this.#unreadable.size > 0 ? RETRY_PAUSE : 0;
    if (resting === 0) await nudged;
    else {
      const wake = new AbortController();
      await Promise.race([nudged, clock.sleep(resting, wake.signal).catch(() => {})]);
      wake.abort();
    }
    this.#nudge = () => {};
  }
}

function behind(): ServerError {
  return new ServerError(
    'index_behind',
    'the index of leaf hashes is still following the log; ask again, or ask by index',
  );
}

function cursorKey({ name }: Log): Uint8Array {
  return concatBytes(Uint8Array.of(CURSOR), utf8(name));
}

function logPrefix({ name }: Log): Uint8Array {
  return concatBytes(Uint8Array.of(LEAF, name.length), utf8(name));
}

/** One array and no copies of parts: a key is made for every leaf. */
function leafKey(prefix: Uint8Array, leafHash: Uint8Array, leafIndex: number): Uint8Array {
  const key = new Uint8Array(prefix.length + HASH_PART + 6);
  key.set(prefix);
  for (let i = 0; i < HASH_PART; i++) key[prefix.length + i] = leafHash[i] as number;
  let rest = leafIndex;
  // Six bytes are enough: sizes above 2^48 are far beyond what a log can hold.
  for (let at = key.length - 1; rest > 0; at--, rest = Math.floor(rest / 256)) key[at] = rest % 256;
  return key;
}

function readU48(bytes: Uint8Array, at: number): number {
  return readU64(concatBytes(Uint8Array.of(0, 0), bytes.subarray(at, at + 6)), 0);
}
