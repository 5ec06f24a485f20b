/**
 * The by-hash index: from a leaf hash to its leaf index. A follower: it takes the leaf hashes of each commit when that is durable,
 * reads from verified tiles what it missed, and writes where nothing else lives. Deleted, damaged or from another store, it is made
 * again from the log; until then it says that it is behind, and never that a leaf is not there.
 *
 * Of each leaf it has a key of 64 bits (by-hash/leaf-keys.ts). The newest leaves of a log are a tail in memory, read back from tiles
 * after a start. When they are many they become a run, sorted, in the derived store (by-hash/runs.ts), and many runs become a larger
 * one (by-hash/merge-plan.ts). That costs 0.35 µs a leaf in all, where a row for each leaf in LevelDB cost 5. Whatever a key points to
 * is compared with the tree, all 32 bytes.
 */
import { equalBytes } from '../tree/bytes.ts';
import { Follower } from './by-hash/follower.ts';
import { keyWriter } from './by-hash/leaf-keys.ts';
import { INDEX_SIZES, type IndexSizes } from './by-hash/log-index.ts';
import { openSecret, readLogs } from './by-hash/opening.ts';
import { IndexDamage } from './by-hash/runs.ts';
import type { Clock } from './clock.ts';
import { ServerError } from './errors.ts';
import type { Room } from './free-space.ts';
import type { Log } from './log.ts';
import type { DerivedStore } from './storage/derived.ts';
import type { TreeReader } from './tree-reader.ts';

export interface LeafIndexOptions {
  /** Opens the derived store; with `afresh`, nothing that was in it may be left. */
  readonly open: (afresh: boolean) => Promise<DerivedStore>;
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

/** Pause before another try where the index cannot be opened or written, in milliseconds. */
const RETRY_PAUSE = 30_000;

export class LeafIndex {
  readonly #options: LeafIndexOptions;
  readonly #stop = new AbortController();
  /** Who follows the logs, while a store of this very server is open and sound. */
  #follower: Follower | undefined;
  #remake = false;
  #loop: Promise<void> | undefined;

  constructor(options: LeafIndexOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#follower?.end();
    await this.#loop;
  }

  /** Durable entries that the index does not know yet. */
  get lag(): number {
    let lag = 0;
    for (const log of this.#options.logs()) {
      if (log.definition.status !== 'deleted') lag += log.state.treeSize - (this.#follower?.get(log)?.known ?? 0);
    }
    return lag;
  }

  /** These leaves were appended from `first` on, and are durable. */
  committed(log: Log, first: number, hashes: Uint8Array): void {
    this.#follower?.committed(log, first, hashes);
  }

  /** This log was deleted: its leaves are to be forgotten. */
  deleted(log: Log): void {
    this.#follower?.look(log);
  }

  /**
   * The first leaf index below `treeSize` with this leaf hash, or `undefined` if there is none. Throws ServerError `index_behind`
   * while that cannot be told, `damaged` where the tree is.
   */
  async find(log: Log, leafHash: Uint8Array, treeSize: number): Promise<number | undefined> {
    const follower = this.#follower;
    const index = follower?.get(log);
    if (follower === undefined || index === undefined) throw behind();
    const { known } = index;
    const key = index.keyOf(leafHash);
    for (let from = 0; ; ) {
      const leafIndex = await index.find(key, from, treeSize).catch((error) => {
        // Of a store that was closed meanwhile nobody need hear.
        if (follower === this.#follower) this.#failed(error);
        throw behind();
      });
      if (leafIndex === undefined) {
        // And now, for the log may have been forgotten meanwhile.
        if (Math.min(known, index.known) < treeSize) throw behind();
        return undefined;
      }
      const readNode = await this.#options.reader.nodes(log, log.state, [{ level: 0, index: leafIndex }]);
      const found = readNode({ level: 0, index: leafIndex });
      if (equalBytes(found, leafHash)) return leafIndex;
      if (!index.keyOf(found).every((word, i) => word === key[i])) {
        if (follower === this.#follower)
          this.#failed(new IndexDamage(`it points to leaf ${leafIndex} of log ${log.name}, which has another hash`));
        throw behind();
      }
      // Another leaf with the same key, which chance makes possible.
      from = leafIndex + 1;
    }
  }

  /** What the store says is told; where it is damaged, it is made again. */
  #failed(error: unknown): void {
    const { onDamage, onTrouble } = this.#options;
    if (!(error instanceof IndexDamage)) {
      if (!this.#stop.signal.aborted) onTrouble(error);
      return;
    }
    onDamage(`the by-hash index is damaged and is made again: ${error.message}`);
    this.#remake = true;
    this.#follower?.end();
    this.#follower = undefined;
  }

  async #run(): Promise<void> {
    const { open, clock, onTrouble } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let store: DerivedStore | undefined;
      try {
        store = await open(this.#remake);
        await this.#follow(store);
      } catch (error) {
        this.#failed(error);
        // What is damaged is made again at once; what cannot be opened waits for somebody to do something about it.
        if (!(error instanceof IndexDamage)) await clock.sleep(RETRY_PAUSE, signal).catch(() => {});
      }
      await store?.close().catch(onTrouble);
    }
  }

  /** Follows the logs over an open store, until that is to be made again or the server closes. */
  async #follow(store: DerivedStore): Promise<void> {
    const { storeId, logs, sizes = INDEX_SIZES, ...options } = this.#options;
    const { signal } = this.#stop;
    const secret = await openSecret(store, storeId, this.#remake, signal);
    if (secret === undefined) return;
    this.#remake = false;
    const stored = await readLogs(store, logs(), signal);
    if (signal.aborted) return;
    const onTrouble = (error: unknown): void => this.#failed(error);
    const follower = new Follower({ ...options, store, writeKey: keyWriter(secret), sizes, signal, onTrouble }, stored);
    this.#follower = follower;
    // Of a log that was made meanwhile there is nothing yet.
    for (const log of logs()) follower.look(log);
    try {
      await follower.run();
    } finally {
      follower.end();
      this.#follower = undefined;
    }
  }
}

function behind(): ServerError {
  return new ServerError(
    'index_behind',
    'the index of leaf hashes is still following the log; ask again, or ask by index',
  );
}
