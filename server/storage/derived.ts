/**
 * The contract of stores for derived state: what follows a log with a cursor, can be thrown away and made again, and is never the
 * reason that an append waits. It lives apart from the primary store, so that its writes, its compactions and its damage are its own.
 *
 * Keys are bytes, ordered bytewise. A write is atomic and not synchronous: a crash may lose the last ones, never one between others.
 */

export interface DerivedRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface DerivedStore {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** Keys from `gte` (inclusive) to `lt` (exclusive), ascending, at most `limit`. */
  keys(gte: Uint8Array, lt: Uint8Array, limit: number): Promise<Uint8Array[]>;
  /** Puts all rows or none. */
  write(rows: readonly DerivedRow[]): Promise<void>;
  /** Removes all keys from `gte` (inclusive) to `lt` (exclusive). */
  clear(gte: Uint8Array, lt: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
