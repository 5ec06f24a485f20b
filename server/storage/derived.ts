/**
 * The contract of stores for derived state: what follows a log with a cursor, can be thrown away and made again, and is never the
 * reason that an append waits. It lives apart from the primary store, so that its writes, its compactions and its damage are its own.
 *
 * Keys are bytes, ordered bytewise. A write is atomic and not synchronous: a crash may lose the last ones, never one between others.
 */

/** A row as it is to be; without a value, it is removed. */
export interface DerivedRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export interface DerivedStore {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** Values in the order of the keys. `once`: they will not be asked for again soon, and need not be remembered. */
  getMany(keys: readonly Uint8Array[], options?: { readonly once?: boolean }): Promise<(Uint8Array | undefined)[]>;
  /** Keys from `gte` (inclusive) to `lt` (exclusive), ascending, at most `limit`. */
  keys(gte: Uint8Array, lt: Uint8Array, limit: number): Promise<Uint8Array[]>;
  /** Puts and removes all of these rows or none. The values are copied before this returns. */
  write(rows: readonly DerivedRow[]): Promise<void>;
  /** Removes all keys from `gte` (inclusive) to `lt` (exclusive). */
  clear(gte: Uint8Array, lt: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
