/**
 * The rows of a simulated database, and what a crash leaves of them. LevelDB's bad manners are here (docs/design.md, Commits and the
 * guard): after a torn append it goes on and acknowledges what recovery drops; a batch whose sync failed may be there after the
 * next start; what was not synced is lost by a power cut; a disk may lie. Which of it happens is decided by whoever calls.
 */
import { edgeKey, logOf } from '../../server/storage/keys.ts';
import type { Write } from '../../server/storage/store.ts';

/** What goes wrong with a batch. */
export type BatchFault =
  /** The append fails, and nothing of it is left. */
  | 'lost'
  /** The append fails halfway: recovery drops the record, and some that come after it and are acknowledged. */
  | 'torn'
  /** The sync fails, yet the batch is there after a restart. */
  | 'durable'
  /** The sync fails: a power cut loses the batch, kill -9 does not. */
  | 'unsynced'
  /** Acknowledged, and lost by a power cut with all that follows: a disk that lies. */
  | 'lied'
  /** Acknowledged, with one byte altered on its way. */
  | 'altered';

/** What a crash does to a batch. */
type Fate = 'kept' | 'dropped' | 'cached' | 'lied';

interface Batch {
  readonly writes: readonly Write[];
  /** Values before it; `undefined` where it was not applied. */
  readonly undo: readonly (readonly [string, Uint8Array | undefined])[] | undefined;
  fate: Fate;
}

/** A row that is not what was written. */
export interface Damage {
  readonly key: string;
  readonly was: Uint8Array;
  readonly now: Uint8Array;
  /** Size that the batch left the log of this row with, where it was altered on its way. */
  readonly treeSize: number | undefined;
}

/** Rows that the publisher reads back. */
const READ_BACK = /^log\/[^/]+\/(?:open|tile)\/|^stream\/[^/]+\/entries\//;

/** Batches that one torn record takes with it at most. */
const TORN_TAKES = 6;

export class Disk {
  /** Rows as they are read. */
  #rows = new Map<string, Uint8Array>();
  /** Their keys in order. */
  #keys: string[] = [];
  /** Batches that a crash may undo, oldest first, and all that followed them. */
  #uncertain: Batch[] = [];
  /** How many of the next batches recovery will drop. */
  #torn = 0;
  #poisoned = false;
  #lying = false;
  readonly damages: Damage[] = [];

  /** Another disk with the same rows, and what is uncertain about them. */
  fork(): Disk {
    const copy = new Disk();
    copy.#rows = new Map(this.#rows);
    copy.#keys = this.#keys.slice();
    copy.#uncertain = this.#uncertain.slice();
    return copy;
  }

  /** Whether it has acknowledged what a power cut would take. */
  get lying(): boolean {
    return this.#lying;
  }

  /** Takes the rows of another one, which must not be used any more. */
  become(other: Disk): void {
    this.#rows = other.#rows;
    this.#keys = other.#keys;
    this.#uncertain = [];
  }

  get(key: string): Uint8Array | undefined {
    return this.#rows.get(key);
  }

  /** Keys from `gte` (inclusive) to `lt` (exclusive). */
  range({ gte, lt, limit, reverse }: { gte: string; lt: string; limit: number; reverse: boolean }): string[] {
    const [from, to] = [this.#place(gte), this.#place(lt)];
    return reverse
      ? this.#keys.slice(Math.max(from, to - limit), to).reverse()
      : this.#keys.slice(from, Math.min(to, from + limit));
  }

  /** A batch. Throws where LevelDB says that it failed. */
  commit(writes: readonly Write[], sync: boolean, fault: BatchFault | undefined, random: () => number): void {
    if (this.#poisoned) throw new Error('IO error: an earlier sync failed');
    if (fault === 'lost') throw new Error('No space left on device');
    if (fault === 'torn') {
      this.#torn = 1 + Math.floor(random() * TORN_TAKES);
      throw new Error('Input/output error in the middle of a record');
    }
    if (fault === 'durable' || fault === 'unsynced') {
      this.#poisoned = true;
      this.#uncertain.push({ writes, undo: undefined, fate: fault === 'durable' ? 'kept' : 'cached' });
      throw new Error('Input/output error while syncing');
    }
    if (fault === 'lied') this.#lying = true;
    const stored = fault === 'altered' ? this.#alter(writes, random) : writes;
    if (sync) this.#syncEarlier(random);
    const fate = this.#fate(sync);
    if (fate === 'kept' && this.#uncertain.length === 0) {
      for (const { key, value } of stored) this.#put(key, value);
      return;
    }
    const undo = stored.map(({ key }) => [key, this.#rows.get(key)] as const);
    for (const { key, value } of stored) this.#put(key, value);
    this.#uncertain.push({ writes: stored, undo, fate });
  }

  /** What a restart finds: after kill -9, or after a power cut. Says whether it lost what was acknowledged. */
  crash(power: boolean, random: () => number): { readonly lied: boolean } {
    let lied = false;
    const survives = (batch: Batch): boolean => {
      if (batch.fate === 'lied' && power) lied = true;
      return (
        batch.fate === 'kept' || (batch.fate !== 'dropped' && (!power || (batch.fate === 'cached' && random() < 0.5)))
      );
    };
    const survivors = this.#uncertain.filter(survives);
    for (const { undo } of this.#uncertain.toReversed())
      for (const [key, value] of undo?.toReversed() ?? []) this.#put(key, value);
    for (const { writes } of survivors) for (const { key, value } of writes) this.#put(key, value);
    this.#uncertain = [];
    this.#torn = 0;
    this.#poisoned = false;
    this.#lying = false;
    return { lied };
  }

  clear(): void {
    this.#rows.clear();
    this.#keys = [];
  }

  /** Alters a byte of a row that is stored. */
  damage(pick: (key: string) => boolean, random: () => number): Damage | undefined {
    const keys = this.#keys.filter(pick);
    const key = keys[Math.floor(random() * keys.length)];
    if (key === undefined) return undefined;
    const was = this.#rows.get(key) as Uint8Array;
    const damage = { key, was, now: flipped(was, Math.floor(random() * was.length), random), treeSize: undefined };
    this.#rows.set(key, damage.now);
    this.damages.push(damage);
    return damage;
  }

  /** Whether a row is still the altered one. */
  holds({ key, now }: Damage): boolean {
    return this.#rows.get(key) === now;
  }

  /** Puts the right bytes back, of a row that was altered twice as well. */
  repair(): void {
    for (const damage of this.damages.toReversed()) if (this.holds(damage)) this.#rows.set(damage.key, damage.was);
    this.damages.length = 0;
  }

  /** Of a batch, a byte of open leaves, of a bundle or of a tile: what the publisher reads back before it signs. */
  #alter(writes: readonly Write[], random: () => number): readonly Write[] {
    const rows = writes.filter(({ key, value }) => value !== undefined && READ_BACK.test(key));
    const row = rows[Math.floor(random() * rows.length)];
    if (row?.value === undefined) return writes;
    const { key, value: was } = row;
    const now = flipped(was, Math.floor(random() * was.length), random);
    const edge = writes.find((write) => write.key === edgeKey(logOf(key) as string))?.value as Uint8Array;
    this.damages.push({ key, was, now, treeSize: Number(new DataView(edge.buffer, edge.byteOffset).getBigUint64(1)) });
    return writes.map((write) => (write === row ? { key, value: now } : write));
  }

  #fate(sync: boolean): Fate {
    if (this.#torn > 0) {
      // After them LevelDB begins another log file, which is read again: a hole.
      this.#torn--;
      return 'dropped';
    }
    if (this.#lying) return 'lied';
    return sync ? 'kept' : 'cached';
  }

  /** A sync covers what was appended before it, unless that stands in a log file that LevelDB had closed already. */
  #syncEarlier(random: () => number): void {
    for (const batch of this.#uncertain) if (batch.fate === 'cached' && random() < 0.5) batch.fate = 'kept';
  }

  #put(key: string, value: Uint8Array | undefined): void {
    if (value === undefined) {
      if (this.#rows.delete(key)) this.#keys.splice(this.#place(key), 1);
      return;
    }
    if (!this.#rows.has(key)) this.#keys.splice(this.#place(key), 0, key);
    this.#rows.set(key, value);
  }

  /** Number of keys below this one. */
  #place(key: string): number {
    let from = 0;
    let to = this.#keys.length;
    while (from < to) {
      const middle = Math.floor((from + to) / 2);
      if ((this.#keys[middle] as string) < key) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

function flipped(bytes: Uint8Array, at: number, random: () => number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = ((copy[at] as number) + 1 + Math.floor(random() * 255)) % 256;
  return copy;
}
