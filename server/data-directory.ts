/**
 * The data directory: DIR/{format, db/, guard, keys/, derived/, witness/, run}, and what may be made of what is found there (docs/design.md, Commits and the guard).
 *
 *   first start: keys/ and master → guard with both slots at 0 → db/ → commit 1 → format
 *
 * A crash after any of these steps leaves a directory that the next start recognises; everything else is refused (78), with
 * nothing written.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { utf8 } from '../tree/bytes.ts';
import { DISK_FAILS } from './disk-failures.ts';
import { EXIT, ExitError } from './errors.ts';
import { createWhole, makeDirectory, syncDirectory, syncFilesIn } from './files.ts';
import { createGuard, type GuardContent, GuardError, GuardFile, lastPromised } from './guard.ts';
import { beginRun, endRun, type LastEnd, runStarted } from './last-run.ts';
import { lockPath } from './lock.ts';
import { readChain } from './recovery.ts';
import { createMasterFile, makePrivateDirectory, readMasterFile } from './secrets.ts';
import type { DerivedStore } from './storage/derived.ts';
import { openDerivedLevel } from './storage/derived-level.ts';
import { DEFAULT_WRITE_BUFFER, isLevelFile, openLevelStore } from './storage/level.ts';
import { StorageError, type Store } from './storage/store.ts';
import type { TableScope } from './storage/table-scan.ts';

/** The layout of a data directory that this version reads and writes. */
const FORMAT = 3;

const OUR_NAMES = new Set(['format', 'db', 'guard', 'keys', 'derived', 'witness', 'evidence', 'run', 'lost+found']);

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
  /** How the last run ended. */
  readonly lastEnd: LastEnd;
  readonly store: Store;
  readonly guard: GuardFile;
  readonly content: GuardContent;
  readonly storeId: Uint8Array;
  readonly masterSeed: Uint8Array;
  /** Opens what can be derived again from the store, or makes it; with `afresh` whatever is there is removed first. */
  readonly openDerived: (afresh: boolean) => Promise<DerivedStore>;
  /** Where the database and the guard are. */
  readonly paths: { readonly db: string; readonly guard: string };
  /** LevelDB's write buffer in bytes. */
  readonly writeBufferSize: number;
  /** Marks a start, first or not, as complete. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

export interface Found {
  readonly guard: boolean;
  readonly db: boolean;
  readonly format: boolean;
}

/** Locks, checks and opens a data directory, making it on a first start. Throws ExitError 2, 70, 75 or 78. */
export async function openDataDirectory(options: DataDirectoryOptions): Promise<OpenDirectory> {
  try {
    return await openLocked(options);
  } catch (error) {
    throw asOpeningError(options.path, error);
  }
}

/** An error of the operating system while opening, as an exit code: a failing or full disk is 70, the rest is the operator's to set right. */
export function asOpeningError(path: string, error: unknown): unknown {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (error instanceof ExitError || code === undefined || syscall === undefined) return error;
  return new ExitError(DISK_FAILS.has(code) ? EXIT.failStop : EXIT.usage, `cannot open ${path}: ${message}`, {
    cause: error,
  });
}

async function openLocked(options: DataDirectoryOptions): Promise<OpenDirectory> {
  const path = resolve(options.path);
  const guardPath = resolve(options.guardPath ?? join(path, 'guard'));
  const dbPath = join(path, 'db');
  const before = inspect(path, guardPath);
  if (options.create === false && !(before.guard && before.db)) {
    throw new ExitError(EXIT.usage, `${path} is not a data directory with a guard and a database`);
  }
  makeDirectory(path, 0o700);

  const unlock = [await lockPath(path)];
  try {
    // Looked at again under the lock: another process may have finished its first start in between.
    const { guard: hasGuard, db: hasDb, format: hasFormat } = inspect(path, guardPath);
    makePrivateDirectory(path);
    if (!hasGuard && hasDb) {
      throw refused(
        `${path} has a database but no guard (${guardPath}): what was promised is not known. Put the guard back.`,
      );
    }
    if (!hasGuard) {
      masterOf(path, options.masterSeed, false);
      createGuard(guardPath, new Uint8Array(randomBytes(32)));
    }
    unlock.push(await lockPath(guardPath));

    const { guard, content: found } = openGuard(guardPath);
    let lastEnd: LastEnd | undefined;
    try {
      if (options.checkInode !== false && !guard.isOriginal(found)) throw copied(path, guardPath);
      if (!hasDb && !isUntouched(found)) {
        throw refused(`the guard ${guardPath} has promised commits, but ${dbPath} is missing. Put the database back.`);
      }
      if (hasFormat && isUntouched(found)) {
        throw refused(
          `${path} is a data directory in use, but the guard ${guardPath} has promised nothing: it is not its guard.`,
        );
      }
      const masterSeed = masterOf(path, options.masterSeed, hasDb);
      // Claimed before the database is opened: from here on, whoever had it before cannot acknowledge anything. What the guard holds
      // counts from here on too; before, the owner before may still have been writing.
      const content = await guard.claim();
      if (options.checkInode !== false) await guard.completeIdentity(content);
      // Where the file system keeps no inodes, a place cannot be told from another.
      const watch = (place: string): void => {
        if (options.checkInode !== false) guard.watch(place);
      };
      watch(guardPath);
      watch(path);
      lastEnd = beginRun(path);
      const { store, firstStart } = isUntouched(content)
        ? await openNewStore(dbPath, content.storeId, options)
        : {
            store: await openStore(dbPath, false, options, {
              promised: lastPromised(content),
              tableScope: lastEnd === 'starting' ? 'all' : 'unhashed',
            }),
            firstStart: false,
          };
      watch(dbPath);
      return {
        firstStart,
        lastEnd,
        store,
        guard,
        content,
        storeId: content.storeId,
        masterSeed,
        openDerived: (afresh) => openDerivedLevel(join(path, 'derived', 'by-hash'), afresh),
        paths: { db: dbPath, guard: guardPath },
        writeBufferSize: options.writeBufferSize ?? DEFAULT_WRITE_BUFFER,
        finish: async () => {
          try {
            await writeFormat(path);
          } catch (error) {
            throw asOpeningError(path, error);
          }
          runStarted(path);
        },
        close: async () => {
          await store.close();
          endRun(path);
          guard.close();
          for (const release of unlock) release();
        },
      };
    } catch (error) {
      const reason = guard.reasonOf(error);
      // Refused with a reason: the next start need not look for one.
      if (lastEnd !== undefined) endRun(path);
      guard.close();
      throw reason;
    }
  } catch (error) {
    for (const release of unlock) release();
    throw error;
  }
}

/** Whether nothing was ever promised: both slots as they were made. */
export function isUntouched({ slots }: GuardContent): boolean {
  return slots.every((slot) => slot?.n === 0);
}

/** What is there; refuses a directory that is not ours. Writes nothing. */
export function inspect(path: string, guardPath: string): Found {
  const names = existsSync(path) ? readdirSync(path) : [];
  const found = { guard: existsSync(guardPath), db: names.includes('db'), format: names.includes('format') };
  const strangers = names.filter((name) => !OUR_NAMES.has(name) && !/^(?:guard|format)\.tmp-/.test(name));
  if (!found.format && strangers.length > 0) {
    throw refused(
      `${path} is not a data directory and not empty (it holds ${strangers.slice(0, 3).join(', ')}). Name an empty one.`,
    );
  }
  if (found.format) checkFormat(join(path, 'format'));
  if (found.format && !found.db) {
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
  if (Number(text) < FORMAT) {
    throw refused(
      `${path} says format ${text}, which only versions before the first release wrote. Start the version that made it, or begin anew in another directory.`,
    );
  }
}

/** The master seed: given, or in its file. A database is useless without the very seed it was made with. */
function masterOf(path: string, given: Uint8Array | undefined, hasDb: boolean): Uint8Array {
  const keys = join(path, 'keys');
  const file = join(keys, 'master');
  if (existsSync(keys)) makePrivateDirectory(keys);
  if (given !== undefined) return given;
  if (existsSync(file)) return readMasterFile(file);
  if (hasDb)
    throw refused(
      `${path} has a database, but its master seed ${file} is missing. Put it back, or give it with --master-seed-file.`,
    );
  makePrivateDirectory(keys);
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
      const chain = await readChain(left, storeId).catch(async (error: unknown) => {
        await left.close();
        throw error;
      });
      if (chain !== undefined) return { store: left, firstStart: false };
      await left.close();
    }
    const strangers = readdirSync(path).filter((name) => !isLevelFile(name));
    if (strangers.length > 0) {
      throw refused(
        `${path} is no database of ours: it holds ${strangers.slice(0, 3).join(', ')}. Nothing was removed.`,
      );
    }
    // Whoever lost the directory to us may still be making files in it, until it looks who has it now.
    await rm(path, { recursive: true, maxRetries: 10, retryDelay: 20 });
  }
  const store = await openStore(path, true, options);
  // LevelDB syncs neither its first MANIFEST nor the names of its files; a power cut after commit 1 must find them all.
  syncFilesIn(path, 'LOCK');
  syncDirectory(dirname(path));
  syncDirectory(dirname(dirname(path)));
  return { store, firstStart: true };
}

async function openStore(
  path: string,
  create: boolean,
  { writeBufferSize }: DataDirectoryOptions,
  { promised, tableScope }: { readonly promised?: number | undefined; readonly tableScope?: TableScope } = {},
): Promise<Store> {
  try {
    if (create) makeDirectory(path, 0o700);
    return await openLevelStore({
      path,
      createIfMissing: create,
      ...(tableScope === undefined ? {} : { tableScope }),
      ...(writeBufferSize === undefined ? {} : { writeBufferSize }),
      ...(promised === undefined ? {} : { promised }),
    });
  } catch (error) {
    if (error instanceof StorageError) {
      const { code } = error;
      const exitCode = code === 'locked' ? EXIT.inUse : code === 'failing' ? EXIT.failStop : EXIT.refused;
      throw new ExitError(exitCode, error.message, { cause: error });
    }
    throw error;
  }
}

async function writeFormat(path: string): Promise<void> {
  const target = join(path, 'format');
  if (!existsSync(target)) createWhole(target, () => utf8(`${FORMAT}\n`));
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
