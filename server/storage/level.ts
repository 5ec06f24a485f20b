/**
 * The LevelDB engine. Only this file and the one for derived state import it.
 *
 * What LevelDB does to a careless user was measured (docs/design.md): after a failed append it goes on acknowledging writes
 * that recovery drops, and a lost CURRENT file opens as a new, empty database. Hence the sticky failure and `createIfMissing`
 * as an argument. A commit is one chained batch with `sync: true`: a later sync does not cover an earlier log file, and an
 * array batch costs five to seven times the CPU of a chained one.
 */
import { Level } from 'level';
import { type Range, type Row, StorageError, type Store, type Write } from './store.ts';
import { checkTables } from './table-scan.ts';
import { checkLogFiles, checkTextLog } from './wal-scan.ts';

export interface LevelOptions {
  /** Folder of the database. */
  readonly path: string;
  /** Whether a missing database may be made: only ever on a first start. */
  readonly createIfMissing: boolean;
  /** Bytes of LevelDB's write buffer; small ones make flush and compaction frequent, which tests want. Default 4 MiB. */
  readonly writeBufferSize?: number;
}

/** Whether LevelDB calls its files so; only a folder with nothing else in it is ever removed. */
export function isLevelFile(name: string): boolean {
  return /^(?:CURRENT|LOCK|LOG(?:\.old)?|MANIFEST-[0-9]+|[0-9]+\.(?:log|ldb|sst|dbtmp))$/.test(name);
}

/** Bytes of the write buffer unless told otherwise. */
export const DEFAULT_WRITE_BUFFER = 4 * 1024 * 1024;

/** The engine hands out Node buffers; the contract says plain bytes. */
function bytes(value: Uint8Array): Uint8Array {
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

class LevelStore implements Store {
  readonly #db: Level<string, Uint8Array>;
  #failure: StorageError | undefined;

  constructor(db: Level<string, Uint8Array>) {
    this.#db = db;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const value = await this.#readable(() => this.#db.get(key));
    return value === undefined ? undefined : bytes(value);
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const values = await this.#readable(() => this.#db.getMany([...keys]));
    return values.map((value) => (value === undefined ? undefined : bytes(value)));
  }

  async list({ gte, lt, limit, reverse }: Range): Promise<Row[]> {
    const rows = await this.#readable(() => this.#db.iterator({ gte, lt, limit, reverse: reverse ?? false }).all());
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
      throw new StorageError(
        'unreadable',
        `LevelDB cannot read what is stored in ${this.#db.location}: ${reason(cause)}`,
        { cause },
      );
    }
  }
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** What the C library says to ENOSPC, EDQUOT, EROFS and EIO; LevelDB passes on nothing else. */
const DISK_FAILS = /No space left on device|Disk quota exceeded|Read-only file system|Input\/output error/;

/** Opens the database. Throws a StorageError: `locked` if another process has it, `failing` without room, `unreadable` otherwise. */
export async function openLevelStore({ path, createIfMissing, writeBufferSize }: LevelOptions): Promise<Store> {
  checkLogFiles(path);
  await checkTables(path);
  const db = new Level<string, Uint8Array>(path, {
    keyEncoding: 'utf8',
    valueEncoding: 'view',
    createIfMissing,
    writeBufferSize: writeBufferSize ?? DEFAULT_WRITE_BUFFER,
  });
  try {
    await db.open();
    checkTextLog(path);
  } catch (error) {
    if (error instanceof StorageError) {
      await db.close();
      throw error;
    }
    const cause = error instanceof Error ? (error.cause as { code?: string } | undefined) : undefined;
    if (cause?.code === 'LEVEL_LOCKED') {
      throw new StorageError('locked', `another process has the database ${path} open`, { cause: error });
    }
    const code = DISK_FAILS.test(reason(error)) ? 'failing' : 'unreadable';
    throw new StorageError(code, `cannot open the database ${path}: ${reason(error)}`, { cause: error });
  }
  return new LevelStore(db);
}
