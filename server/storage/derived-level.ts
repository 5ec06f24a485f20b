/**
 * Derived state in a LevelDB of its own. Nothing in it is worth saving: whatever is wrong with it, it is removed and made anew, and
 * who follows the log begins again. Log files and tables are looked at first all the same. LevelDB would skip a damaged block of a log
 * file and leave a hole before a cursor that says that all is there; and at some damage of a table it ends the process.
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { Level } from 'level';
import type { DerivedRow, DerivedStore } from './derived.ts';
import { isLevelFile, OPEN_FILES } from './level.ts';
import { readManifest } from './manifest.ts';
import { StorageError } from './store.ts';
import { checkTables } from './table-scan.ts';
import { checkLogFiles, checkTextLog } from './wal-scan.ts';

/** Bytes of the write buffer: LevelDB's own size. Larger ones take memory and save nothing where rows are large and few. */
const WRITE_BUFFER = 4 * 1024 * 1024;
/**
 * Before each table that is looked at, in milliseconds, about as long as a look takes: requests are answered by then, and of a log of
 * 10 M entries the first one waited for a tenth of the start.
 */
const LOOK_PAUSE = 5;

class LevelDerivedStore implements DerivedStore {
  readonly #db: Level<Uint8Array, Uint8Array>;

  constructor(db: Level<Uint8Array, Uint8Array>) {
    this.#db = db;
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#db.get(key);
  }

  getMany(
    keys: readonly Uint8Array[],
    { once = false }: { readonly once?: boolean } = {},
  ): Promise<(Uint8Array | undefined)[]> {
    return this.#db.getMany([...keys], { fillCache: !once });
  }

  keys(gte: Uint8Array, lt: Uint8Array, limit: number): Promise<Uint8Array[]> {
    return this.#db.keys({ gte, lt, limit }).all();
  }

  async write(rows: readonly DerivedRow[]): Promise<void> {
    const batch = this.#db.batch();
    for (const { key, value } of rows) {
      if (value === undefined) batch.del(key);
      else batch.put(key, value);
    }
    await batch.write();
  }

  clear(gte: Uint8Array, lt: Uint8Array): Promise<void> {
    return this.#db.clear({ gte, lt });
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}

/**
 * Opens what is there, or makes it; what is damaged or cannot be opened is removed first, and with `afresh` whatever is there: the files
 * themselves, because rows of a damaged table can be read wrongly, or not, however often they are deleted. Rejects where that cannot be
 * done either, or where the folder holds what LevelDB never wrote.
 */
export async function openDerivedLevel(path: string, afresh = false): Promise<DerivedStore> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  if (afresh) await removeDerived(path, 'it is to be made again');
  try {
    const manifest = readManifest(path);
    checkLogFiles(path, undefined, manifest);
    await checkTables(path, { manifest, pause: () => wait(LOOK_PAUSE) });
    return await open(path);
  } catch (error) {
    await removeDerived(path, error);
    return await open(path);
  }
}

async function open(path: string): Promise<DerivedStore> {
  const db = new Level<Uint8Array, Uint8Array>(path, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    // Keys are hashes: there is nothing in them to compress.
    compression: false,
    writeBufferSize: WRITE_BUFFER,
    maxOpenFiles: OPEN_FILES,
  });
  try {
    await db.open();
    checkTextLog(path);
  } catch (error) {
    await db.close();
    throw error;
  }
  return new LevelDerivedStore(db);
}

/** Removes derived state, if nothing else is in its folder. */
async function removeDerived(path: string, cause: unknown): Promise<void> {
  const strangers = (existsSync(path) ? readdirSync(path) : []).filter((name) => !isLevelFile(name));
  if (strangers.length > 0) {
    throw new StorageError(
      'unreadable',
      `${path} holds what is not ours (${strangers.slice(0, 3).join(', ')}) and cannot be used: ${String(cause)}`,
      { cause },
    );
  }
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true, mode: 0o700 });
}
