/**
 * The data directory: DIR/{format, db/, guard, keys/}, and what may be made of what is found there (DESIGN §3, Start).
 *
 *   first start: keys/ and master → guard with both slots at 0 → db/ → commit 1 → format
 *
 * A crash after any of these steps leaves a directory that the next start recognises; everything else is refused (78), with
 * nothing written.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { EXIT, ExitError } from './errors.ts';
import { createGuard, type GuardContent, GuardError, GuardFile, syncDirectory } from './guard.ts';
import { lockPath } from './lock.ts';
import { readChain } from './recovery.ts';
import { createMasterFile, makePrivateDirectory, readMasterFile } from './secrets.ts';
import { openLevelStore } from './storage/level.ts';
import { StorageError, type Store } from './storage/store.ts';

/** The layout of a data directory that this version reads and writes. */
const FORMAT = 1;

const OUR_NAMES = new Set(['format', 'db', 'guard', 'guard.tmp', 'format.tmp', 'keys', 'lost+found']);

export interface DataDirectoryOptions {
  readonly path: string;
  /** Path of the guard file; by default DIR/guard, better on another disk. */
  readonly guardPath?: string;
  /** Master seed, if not that of DIR/keys/master. */
  readonly masterSeed?: Uint8Array;
  /** Whether the guard must be the very file it was made as; off where the file system keeps no inodes. Default true. */
  readonly checkInode?: boolean;
  /** LevelDB's write buffer in bytes. */
  readonly writeBufferSize?: number;
  /** Whether a missing store may be made. Default true. */
  readonly create?: boolean;
}

/** A data directory that this process owns. */
export interface OpenDirectory {
  readonly firstStart: boolean;
  readonly store: Store;
  readonly guard: GuardFile;
  readonly content: GuardContent;
  readonly storeId: Uint8Array;
  readonly masterSeed: Uint8Array;
  /** Marks a first start as complete. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

interface Found {
  readonly guard: boolean;
  readonly db: boolean;
}

/** Locks, checks and opens a data directory, making it on a first start. Throws ExitError 75 or 78. */
export async function openDataDirectory(options: DataDirectoryOptions): Promise<OpenDirectory> {
  const path = resolve(options.path);
  const guardPath = resolve(options.guardPath ?? join(path, 'guard'));
  const dbPath = join(path, 'db');
  const found = inspect(path, guardPath);
  if (options.create === false && !(found.guard && found.db)) {
    throw new ExitError(EXIT.usage, `${path} is not a data directory with a guard and a database`);
  }
  mkdirSync(path, { recursive: true, mode: 0o700 });

  const unlock = [await lockPath(path)];
  try {
    // Looked at again under the lock: another process may have finished its first start in between.
    const { guard: hasGuard, db: hasDb } = inspect(path, guardPath);
    makePrivateDirectory(path);
    if (!hasGuard && hasDb) {
      throw refused(
        `${path} has a database but no guard (${guardPath}): what was promised is not known. Put the guard back.`,
      );
    }
    const masterSeed = masterOf(path, options.masterSeed, hasDb);
    if (!hasGuard) await createGuard(guardPath, new Uint8Array(randomBytes(32)));
    unlock.push(await lockPath(guardPath));

    const { guard, content } = openGuard(guardPath);
    try {
      if (options.checkInode !== false && content.inode !== guard.inode) throw copied(path, guardPath);
      const untouched = content.slots.every((slot) => slot?.n === 0);
      if (!hasDb && !untouched) {
        throw refused(`the guard ${guardPath} has promised commits, but ${dbPath} is missing. Put the database back.`);
      }
      // Claimed before the database is opened: from here on, whoever had it before cannot acknowledge anything.
      await guard.claim();
      const { store, firstStart } = untouched
        ? await openNewStore(dbPath, content.storeId, options)
        : { store: await openStore(dbPath, false, options), firstStart: false };
      return {
        firstStart,
        store,
        guard,
        content,
        storeId: content.storeId,
        masterSeed,
        finish: () => writeFormat(path),
        close: async () => {
          await store.close();
          guard.close();
          for (const release of unlock) release();
        },
      };
    } catch (error) {
      guard.close();
      throw error;
    }
  } catch (error) {
    for (const release of unlock) release();
    throw error;
  }
}

/** What is there; refuses a directory that is not ours. Writes nothing. */
function inspect(path: string, guardPath: string): Found {
  const names = existsSync(path) ? readdirSync(path) : [];
  const found = { guard: existsSync(guardPath), db: names.includes('db') };
  const strangers = names.filter((name) => !OUR_NAMES.has(name));
  if (!found.guard && !found.db && !names.includes('format') && strangers.length > 0) {
    throw refused(
      `${path} is not a data directory and not empty (it holds ${strangers.slice(0, 3).join(', ')}). Name an empty one.`,
    );
  }
  if (names.includes('format')) checkFormat(join(path, 'format'));
  if (names.includes('format') && !found.db) {
    throw refused(`${path} was a data directory, but its database is missing. Put db/ back.`);
  }
  return found;
}

function checkFormat(path: string): void {
  const text = readFileSync(path, 'utf8').trim();
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw refused(`${path} does not hold the number of a format`);
  if (Number(text) > FORMAT) {
    throw refused(`${path} says format ${text}: this data directory was made by a newer version. Start that one.`);
  }
}

/** The master seed: given, or in its file. A database is useless without the very seed it was made with. */
function masterOf(path: string, given: Uint8Array | undefined, hasDb: boolean): Uint8Array {
  const file = join(path, 'keys', 'master');
  makePrivateDirectory(join(path, 'keys'));
  if (given !== undefined) return given;
  if (existsSync(file)) return readMasterFile(file);
  if (hasDb)
    throw refused(
      `${path} has a database, but its master seed ${file} is missing. Put it back, or give it with --master-seed-file.`,
    );
  return createMasterFile(file);
}

function openGuard(path: string): { readonly guard: GuardFile; readonly content: GuardContent } {
  try {
    return GuardFile.open(path);
  } catch (error) {
    if (error instanceof GuardError) throw refused(`${error.message}. What was promised is not known.`, error);
    throw error;
  }
}

/**
 * The database of a guard that has promised nothing yet. One without a commit record, or that was not even made completely, is
 * what an interrupted first start left behind: nobody was ever told of anything in it, so it is made again.
 */
async function openNewStore(
  path: string,
  storeId: Uint8Array,
  options: DataDirectoryOptions,
): Promise<{ readonly store: Store; readonly firstStart: boolean }> {
  if (existsSync(path)) {
    const left = await openStore(path, false, options).catch((error: unknown) => {
      if (error instanceof ExitError && error.exitCode === EXIT.refused) return undefined;
      throw error;
    });
    if (left !== undefined) {
      if ((await readChain(left, storeId)) !== undefined) return { store: left, firstStart: false };
      await left.close();
    }
    await rm(path, { recursive: true });
  }
  return { store: await openStore(path, true, options), firstStart: true };
}

async function openStore(path: string, create: boolean, { writeBufferSize }: DataDirectoryOptions): Promise<Store> {
  try {
    if (create) await mkdir(path, { recursive: true, mode: 0o700 });
    return await openLevelStore({
      path,
      createIfMissing: create,
      ...(writeBufferSize === undefined ? {} : { writeBufferSize }),
    });
  } catch (error) {
    if (error instanceof StorageError) {
      throw new ExitError(error.code === 'locked' ? EXIT.inUse : EXIT.refused, error.message, { cause: error });
    }
    throw error;
  }
}

async function writeFormat(path: string): Promise<void> {
  const target = join(path, 'format');
  if (existsSync(target)) return;
  const file = await open(`${target}.tmp`, 'w', 0o600);
  try {
    await file.writeFile(`${FORMAT}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${target}.tmp`, target);
  await syncDirectory(path);
}

function copied(path: string, guardPath: string): ExitError {
  return refused(
    `${guardPath} is a copy: it is not the file that this store was made with. Two servers with one history would sign two trees. ` +
      `If the original will never run again, take this copy over with: indelible adopt --data-dir ${path}`,
  );
}

function refused(message: string, cause?: unknown): ExitError {
  return new ExitError(EXIT.refused, message, cause === undefined ? undefined : { cause });
}
