/**
 * Reading for a check: everything once, past the engine's cache, counted and paced; what the engine cannot read is a fault and
 * not the end.
 */
import { logOf } from '../storage/keys.ts';
import { type Range, type ReadOnlyStore, type Row, StorageError } from '../storage/store.ts';
import { fault, type Report } from './fault.ts';

/** Called with the work since the last call, in bytes read; whoever checks beside others waits here. */
export type Pace = (bytes: number) => Promise<void>;

export interface ReadOptions {
  readonly store: ReadOnlyStore;
  readonly report: Report;
  readonly pace: Pace;
  readonly signal?: AbortSignal | undefined;
}

/** A value, `undefined` for a row that is not there, an error for one that cannot be read and has been reported. */
export type Found = Uint8Array | undefined | StorageError;

export interface Reads {
  get(key: string): Promise<Found>;
  getMany(keys: readonly string[]): Promise<Found[]>;
  /**
   * The rows of these keys, which must follow each other bytewise without another expected key between; `onOther` hears of every
   * other row from `from` (by default the first key) to the last key.
   */
  between(keys: readonly string[], onOther: (row: Row) => void, from?: string): Promise<Found[]>;
  /** All rows of a range, in pages. A page that cannot be read is reported and ends it. */
  range(range: Omit<Range, 'limit'>, page?: number): AsyncGenerator<Row, void, undefined>;
  /** The rows of a range that holds few, at most 512; an error where it cannot be read, which has been reported. */
  rows(range: Omit<Range, 'limit'>): Promise<readonly Row[] | StorageError>;
  /** Counts work that is not reading, as so many bytes. */
  work(bytes: number): Promise<void>;
}

export function makeReads({ store, report, pace, signal }: ReadOptions): Reads {
  const paced = async <T>(value: T, bytes: number): Promise<T> => {
    await pace(bytes);
    signal?.throwIfAborted();
    return value;
  };
  const unreadable = (error: unknown, key: string): StorageError => {
    if (!(error instanceof StorageError)) throw error;
    report(fault('database', 'unreadable', { log: logOf(key) ?? null, key, stored: error.message }));
    return error;
  };
  const get = async (key: string): Promise<Found> => {
    try {
      const value = await store.get(key);
      return await paced(value, key.length + (value?.length ?? 0));
    } catch (error) {
      return unreadable(error, key);
    }
  };
  const getMany = async (keys: readonly string[]): Promise<Found[]> => {
    let values: (Uint8Array | undefined)[];
    try {
      values = await store.getMany(keys);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      return await oneByOne(keys);
    }
    return await paced(values, sizeOf(values) + keys.length);
  };
  const oneByOne = async (keys: readonly string[]): Promise<Found[]> => {
    const found: Found[] = [];
    for (const key of keys) found.push(await get(key));
    return found;
  };
  async function* range({ gte, lt }: Omit<Range, 'limit'>, page = 64): AsyncGenerator<Row, void, undefined> {
    for (let from = gte; ; ) {
      let rows: Row[];
      try {
        rows = await store.list({ gte: from, lt, limit: page });
      } catch (error) {
        unreadable(error, from);
        return;
      }
      await paced(undefined, sizeOf(rows.map(({ value }) => value)) + rows.length);
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined || rows.length < page) return;
      from = after(last.key);
    }
  }
  return {
    get,
    getMany,
    between: async (keys, onOther, from = keys[0]) => {
      const last = keys.at(-1);
      if (from === undefined || last === undefined) return [];
      const wanted = new Set(keys);
      const values = new Map<string, Uint8Array>();
      try {
        // One more than expected: where all are there and nothing else is, one list is all.
        for (let at = from; ; ) {
          const limit = keys.length + 1;
          const rows = await store.list({ gte: at, lt: after(last), limit });
          await paced(undefined, sizeOf(rows.map(({ value }) => value)) + rows.length);
          for (const row of rows) {
            if (wanted.has(row.key)) values.set(row.key, row.value);
            else onOther(row);
          }
          if (rows.length < limit) break;
          at = after((rows.at(-1) as Row).key);
        }
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        return await oneByOne(keys);
      }
      return keys.map((key) => values.get(key));
    },
    range,
    rows: async (range) => {
      try {
        const rows = await store.list({ ...range, limit: 512 });
        return await paced(rows, sizeOf(rows.map(({ value }) => value)) + rows.length);
      } catch (error) {
        return unreadable(error, range.gte);
      }
    },
    work: (bytes) => paced(undefined, bytes),
  };
}

/** The first key after this one. */
export function after(key: string): string {
  return `${key}\0`;
}

function sizeOf(values: readonly (Uint8Array | undefined)[]): number {
  return values.reduce((sum, value) => sum + (value?.length ?? 0), 0);
}
