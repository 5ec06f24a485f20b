/**
 * The storage contract: commit, read, list. Everything the server keeps goes through it; nothing outside this folder knows
 * an engine. The suite in test/server/storage/suite.ts is the contract in executable form, and every engine passes it.
 *
 * Keys are ASCII texts, ordered bytewise; values are bytes. A value handed out may be kept and must not be changed.
 */
import { LogError } from '../../proofs/error.ts';

/** One change: a value to put, or `undefined` to delete the key. */
export interface Write {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

export interface Row {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Keys from `gte` (inclusive) to `lt` (exclusive), ascending unless `reverse`; at most `limit` rows. */
export interface Range {
  readonly gte: string;
  readonly lt: string;
  readonly limit: number;
  readonly reverse?: boolean;
}

/** Reading alone. */
export type ReadOnlyStore = Pick<Store, 'get' | 'getMany' | 'list'>;
/** Reading of rows whose keys are known. */
export type RowReader = Pick<Store, 'getMany'>;

export interface Store {
  /** The same reads for whoever reads everything once: what they read does not push out what the engine keeps in memory for others. */
  readonly uncached?: ReadOnlyStore;
  /** Value of a key, or `undefined`. Reading rejects with `unreadable` where the engine cannot; a wrong value it may not notice. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Values of several keys, in the order asked for. */
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>;
  list(range: Range): Promise<Row[]>;
  /** Keys alone, for rows whose values may be large. */
  listKeys(range: Range): Promise<string[]>;
  /**
   * Applies all writes or none, and resolves when they survive a power cut.
   * Rejects with `outcome_unknown` when it cannot say whether they did; from then on every commit rejects, because an engine
   * that failed once may acknowledge what it later drops (docs/design.md, Commits and the guard). Only a new process may go on.
   */
  commit(writes: readonly Write[]): Promise<void>;
  close(): Promise<void>;
}

export type StorageErrorCode =
  /** Another process has the database open. */
  | 'locked'
  /** The disk has no room or fails: nothing is said against what is stored. */
  | 'failing'
  /** The engine cannot open or read what is there. */
  | 'unreadable'
  /** A commit failed: its writes may or may not be durable. */
  | 'outcome_unknown';

export class StorageError extends LogError<StorageErrorCode> {}

/** The range of all keys that begin with `prefix`, which must end in an ASCII character below 0x7f. */
export function prefixRange(prefix: string, limit: number, reverse = false): Range {
  const last = prefix.charCodeAt(prefix.length - 1);
  return { gte: prefix, lt: prefix.slice(0, -1) + String.fromCharCode(last + 1), limit, reverse };
}
