/**
 * The LevelDB engine. Only this file and the one for derived state import it.
 *
 * What LevelDB does to a careless user was measured (docs/design.md): after a failed append it goes on acknowledging writes
 * that recovery drops, and a lost CURRENT file opens as a new, empty database. Hence the sticky failure and `createIfMissing`
 * as an argument. A commit is one chained batch with `sync: true`: a later sync does not cover an earlier log file, and an
 * array batch costs five to seven times the CPU of a chained one.
 */
import { truncateSync } from 'node:fs';
import { Level } from 'level';
import { DISK_FAILS } from '../disk-failures.ts';
import { syncDirectory } from '../files.ts';
import { readManifest } from './manifest.ts';
import { type Range, type ReadOnlyStore, type Row, StorageError, type Store, type Write } from './store.ts';
import { checkTables, type TableScope } from './table-scan.ts';
import { type BrokenTail, checkLogFiles, checkTextLog } from './wal-scan.ts';

export interface LevelOptions {
  /** Folder of the database. */
  readonly path: string;
  /** Whether a missing database may be made: only ever on a first start. */
  readonly createIfMissing: boolean;
  /** Bytes of LevelDB's write buffer; small ones make flush and compaction frequent, which tests want. Default 12 MiB. */
  readonly writeBufferSize?: number;
  /**
   * Number of the commit that was promised last: what follows it in the log files was never acknowledged. A broken rest is
   * cut off there; without this it counts as damage.
   */
  readonly promised?: number;
  /** Which blocks of its tables are read before it is opened; by default those that nothing else vouches for. */
  readonly tableScope?: TableScope;
  /** Hears of damage that was found in LevelDB's log files and noticed by LevelDB; without it, damage is an error. */
  readonly onDamage?: (error: StorageError) => void;
}

/** Whether LevelDB calls its files so; only a folder with nothing else in it is ever removed. */
export function isLevelFile(name: string): boolean {
  return /^(?:CURRENT|LOCK|LOG(?:\.old)?|MANIFEST-[0-9]+|[0-9]+\.(?:log|ldb|sst|dbtmp))$/.test(name);
}

/**
 * Bytes of the write buffer unless told otherwise. Four of them are merged at a time, with up to 10 MB of the next level: of 16-KiB events 3.4
 * bytes were written for one, where 8 MiB made it 3.5 and 4 MiB 3.8. What a start has to read again stays short.
 */
export const DEFAULT_WRITE_BUFFER = 12 * 1024 * 1024;

/**
 * Tables that stay open, as few as LevelDB allows. They are mapped, and what was read of them counts as memory of the process: with LevelDB's own
 * 1,000 a server under batches took 390 MB instead of 250, and more with time. A read of a table that is not open opens it (measured, any entry
 * of 10 M: a tenth more for a proof, a quarter for an entry bundle).
 */
export const OPEN_FILES = 74;

/** The engine hands out Node buffers; the contract says plain bytes. */
function bytes(value: Uint8Array): Uint8Array {
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

/** Whether what is read joins LevelDB's cache of blocks; by default it does. */
interface ReadOptions {
  readonly fillCache?: boolean;
}

class LevelStore implements Store {
  readonly uncached: ReadOnlyStore;
  readonly #db: Level<string, Uint8Array>;
  #failure: StorageError | undefined;

  constructor(db: Level<string, Uint8Array>) {
    this.#db = db;
    const options = { fillCache: false };
    this.uncached = {
      get: (key) => this.get(key, options),
      getMany: (keys) => this.getMany(keys, options),
      list: (range) => this.list(range, options),
    };
  }

  async get(key: string, options: ReadOptions = {}): Promise<Uint8Array | undefined> {
    const value = await this.#readable(() => this.#db.get(key, options));
    return value === undefined ? undefined : bytes(value);
  }

  async getMany(keys: readonly string[], options: ReadOptions = {}): Promise<(Uint8Array | undefined)[]> {
    const values = await this.#readable(() => this.#db.getMany([...keys], options));
    return values.map((value) => (value === undefined ? undefined : bytes(value)));
  }

  async list({ gte, lt, limit, reverse }: Range, options: ReadOptions = {}): Promise<Row[]> {
    const range = { ...options, gte, lt, limit, reverse: reverse ?? false };
    const rows = await this.#readable(() => this.#db.iterator(range).all());
    return rows.map(([key, value]) => ({ key, value: bytes(value) }));
  }

  async listKeys({ gte, lt, limit, reverse }: Range): Promise<string[]> {
    return this.#readable(() => this.#db.keys({ gte, lt, limit, reverse: reverse ?? false }).all());
  }

  async commit(writes: readonly Write[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      const batch = this.#db.batch();
      for (const { key, value } of writes) {
        if (value === undefined) batch.del(key);
        else batch.put(key, value);
      }
      await batch.write({ sync: true });
    } catch (cause) {
      this.#failure = new StorageError('outcome_unknown', `LevelDB could not complete a commit: ${reason(cause)}`, {
        cause,
      });
      throw this.#failure;
    }
  }

  async close(): Promise<void> {
    await this.#db.close();
  }

  /** What LevelDB cannot read is an error of the contract, not of LevelDB. */
  async #readable<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (cause) {
      const why = reason(cause);
      const code = saysDiskFails(why) ? 'failing' : 'unreadable';
      throw new StorageError(code, `LevelDB cannot read what is stored in ${this.#db.location}: ${why}`, { cause });
    }
  }
}

/** Runs a check whose StorageError may have somebody to hear it. */
async function judge<T>(check: () => T | Promise<T>, onDamage: LevelOptions['onDamage']): Promise<T | undefined> {
  try {
    return await check();
  } catch (error) {
    if (onDamage === undefined || !(error instanceof StorageError)) throw error;
    onDamage(error);
    return undefined;
  }
}

/** Crash here: the tail is there or gone, and the next start does the same. */
function cutOff({ file, offset }: BrokenTail): void {
  truncateSync(file, offset);
  syncDirectory(file);
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** Of what the system said LevelDB passes on the text alone. */
function saysDiskFails(text: string): boolean {
  return [...DISK_FAILS.values()].some((said) => text.includes(said));
}

/** Whether it comes from the operating system by way of Node, which says more than we could. */
function isSystemError(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).syscall !== undefined;
}

/**
 * Opens the database. Throws a StorageError: `locked` if another process has it, `failing` where the disk fails or is full, `unreadable`
 * otherwise; and errors of the operating system where our own looks meet them.
 */
export async function openLevelStore({
  path,
  createIfMissing,
  writeBufferSize,
  promised,
  tableScope,
  onDamage,
}: LevelOptions): Promise<Store> {
  // Of a large database that is some milliseconds of a start.
  const manifest = readManifest(path);
  const tail = await judge(() => checkLogFiles(path, promised, manifest), onDamage);
  await judge(() => checkTables(path, { scope: tableScope, manifest }), onDamage);
  if (tail !== undefined) cutOff(tail);
  const db = new Level<string, Uint8Array>(path, {
    keyEncoding: 'utf8',
    valueEncoding: 'view',
    createIfMissing,
    writeBufferSize: writeBufferSize ?? DEFAULT_WRITE_BUFFER,
    maxOpenFiles: OPEN_FILES,
  });
  try {
    await db.open();
    await judge(() => checkTextLog(path), onDamage);
  } catch (error) {
    if (error instanceof StorageError || isSystemError(error)) {
      await db.close();
      throw error;
    }
    const cause = error instanceof Error ? (error.cause as { code?: string } | undefined) : undefined;
    if (cause?.code === 'LEVEL_LOCKED') {
      throw new StorageError('locked', `another process has the database ${path} open`, { cause: error });
    }
    const code = saysDiskFails(reason(error)) ? 'failing' : 'unreadable';
    throw new StorageError(code, `cannot open the database ${path}: ${reason(error)}`, { cause: error });
  }
  return new LevelStore(db);
}
