/**
 * Checking a data directory whose server is stopped: files, guard, and everything in the database. Nothing in the directory is
 * written, not even by LevelDB; ownership is not claimed, a tail is not adopted.
 */
import { join, resolve } from 'node:path';
import { fromHex, fromUtf8 } from '../tree/bytes.ts';
import { FaultList, fault, type Report } from './check/fault.ts';
import { checkStore, type StoreCheck } from './check/store-check.ts';
import { inspect, isUntouched } from './data-directory.ts';
import { EXIT, ExitError } from './errors.ts';
import { type GuardContent, GuardError, lastPromised, readGuard } from './guard.ts';
import { lockPath } from './lock.ts';
import { type KeyRing, makeKeyRing, readMasterFile } from './secrets.ts';
import { judgeStart } from './start-rules.ts';
import type { LogHead } from './storage/commit-record.ts';
import { makeDatabaseView } from './storage/database-view.ts';
import { COMMIT_PREFIX, STORE_KEY } from './storage/keys.ts';
import { openLevelStore } from './storage/level.ts';
import { type ReadOnlyStore, StorageError, type Store } from './storage/store.ts';
import { checkTextLog } from './storage/wal-scan.ts';

export interface FsckOptions {
  readonly path: string;
  /** Path of the guard file, if not DIR/guard. */
  readonly guardPath?: string;
  /** Master seed, if not that of DIR/keys/master. */
  readonly masterSeed?: Uint8Array;
  /** Faults that are kept in the report; all are counted. */
  readonly maxFaults?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface FsckReport {
  readonly faults: FaultList;
  /** What a person should know and what is no fault, such as that the directory is a copy. */
  readonly notes: readonly string[];
  /** What was derived of each log. */
  readonly logs: readonly LogHead[];
  /** Number of the last commit. */
  readonly commit: number;
}

/**
 * Checks a data directory. Throws ExitError: 2 where there is none, 75 where a server has it, 78 where the database cannot be opened at
 * all. Everything else that is wrong is in the report.
 */
export async function checkDataDirectory(options: FsckOptions): Promise<FsckReport> {
  const path = resolve(options.path);
  const guardPath = resolve(options.guardPath ?? join(path, 'guard'));
  const found = inspect(path, guardPath);
  if (!found.guard && !found.db)
    throw new ExitError(EXIT.usage, `${path} is not a data directory: it has no guard and no database`);
  const unlock = [await lockPath(path)];
  try {
    if (found.guard) unlock.push(await lockPath(guardPath));
    const faults = new FaultList(options.maxFaults);
    const notes: string[] = [];
    if (!found.format) notes.push('the first start of this directory was never finished: it has no file format');
    const guard = found.guard ? guardOf(guardPath, faults, notes) : undefined;
    if (!found.guard) faults.add(fault('guard', 'missing', { stored: guardPath }));
    if (!found.db) {
      if (guard === undefined || !isUntouched(guard))
        throw new ExitError(
          EXIT.refused,
          `the guard ${guardPath} has promised commits, but ${join(path, 'db')} is missing`,
        );
      notes.push('a first start was interrupted before its first commit: there is nothing to check yet');
      return { faults, notes, logs: [], commit: 0 };
    }
    const promised = guard === undefined ? undefined : lastPromised(guard);
    const checked = await withDatabase(join(path, 'db'), promised, faults, async (store, report) => {
      const storeId = guard?.storeId ?? (await storedId(store));
      const keys = keysOf(path, storeId, options.masterSeed, faults);
      return await checkStore({ ...options, store, storeId, keys, report, pace: politely() });
    });
    const commit = Math.max(0, ...checked.hashes.keys());
    const lost = faults.kept.some(({ problem, key }) => problem === 'unreadable' && key?.startsWith(COMMIT_PREFIX));
    if (lost) notes.push('the commit records cannot be read, so guard and database were not compared');
    else if (guard !== undefined) judge(guard, guardPath, checked, commit, faults, notes);
    return { faults, notes, logs: checked.heads, commit };
  } finally {
    for (const release of unlock) release();
  }
}

function guardOf(path: string, faults: FaultList, notes: string[]): GuardContent | undefined {
  try {
    const { content, isOriginal } = readGuard(path);
    if (content.inode === undefined)
      faults.add(fault('guard', 'malformed', { stored: `${path}: its identity block is damaged` }));
    else if (!isOriginal)
      notes.push(`the guard ${path} is a copy: a start would refuse it until it is adopted (indelible adopt)`);
    return content;
  } catch (error) {
    if (!(error instanceof GuardError)) throw error;
    faults.add(fault('guard', 'malformed', { stored: error.message }));
    return undefined;
  }
}

/** Compares guard and database as a start would, without adopting what it would adopt. */
function judge(
  { slots }: GuardContent,
  path: string,
  { hashes }: StoreCheck,
  n: number,
  faults: FaultList,
  notes: string[],
): void {
  const verdict = judgeStart(slots, { n, recordHash: (i) => hashes.get(i) });
  if (verdict.action === 'refuse') faults.add(fault('guard', 'differs', { stored: path, derived: verdict.reason }));
  if (verdict.action === 'adopt')
    notes.push(
      `after commit ${verdict.promised} up to ${n}, what is durable was never acknowledged: the next start adopts it`,
    );
  if (verdict.action === 'restart-init')
    notes.push('a first start was interrupted before its first commit: the next start makes the database again');
}

/** Opens a view of the database, so that nothing in the folder itself changes. What is told names the real files. */
async function withDatabase<T>(
  path: string,
  promised: number | undefined,
  faults: FaultList,
  use: (store: ReadOnlyStore, report: Report) => Promise<T>,
): Promise<T> {
  const view = makeDatabaseView(path);
  const real = (text: string): string => text.replaceAll(view.path, path);
  const report: Report = (found) => faults.add({ ...found, stored: found.stored === null ? null : real(found.stored) });
  try {
    // What LevelDB said while a server ran, such as of checksums that did not hold when it compacted.
    reportStorageError(() => checkTextLog(path), faults);
    let store: Store;
    try {
      store = await openLevelStore({
        path: view.path,
        createIfMissing: false,
        ...(promised === undefined ? {} : { promised }),
        onDamage: ({ message }) => report(fault('database', 'malformed', { stored: message })),
      });
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      const exitCode = error.code === 'locked' ? EXIT.inUse : EXIT.refused;
      throw new ExitError(exitCode, real(error.message), { cause: error });
    }
    try {
      return await use(store.uncached ?? store, report);
    } finally {
      await store.close();
    }
  } finally {
    view.remove();
  }
}

function reportStorageError(check: () => void, faults: FaultList): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    faults.add(fault('database', 'malformed', { stored: error.message }));
  }
}

/** The store id as the database has it, where the guard cannot say. */
async function storedId(store: ReadOnlyStore): Promise<Uint8Array> {
  try {
    const { store_id: id } = JSON.parse(fromUtf8((await store.get(STORE_KEY)) ?? new Uint8Array(0))) as {
      store_id: string;
    };
    return fromHex(id);
  } catch (cause) {
    throw new ExitError(EXIT.refused, 'neither guard nor database say which store this is: nothing can be derived', {
      cause,
    });
  }
}

function keysOf(
  path: string,
  storeId: Uint8Array,
  given: Uint8Array | undefined,
  faults: FaultList,
): KeyRing | undefined {
  try {
    return makeKeyRing(given ?? readMasterFile(join(path, 'keys', 'master')), storeId);
  } catch (error) {
    const stored = `the master seed: ${(error as Error).message}`;
    faults.add(fault('directory', 'unreadable', { stored, derived: 'no id row and no verifier key' }));
    return undefined;
  }
}

/** Bytes between two turns of the event loop, in which progress is shown and signals are heard. */
const TURN = 262_144;

function politely(): (bytes: number) => Promise<void> {
  let since = 0;
  return async (bytes) => {
    since += bytes;
    if (since < TURN) return;
    since = 0;
    await new Promise(setImmediate);
  };
}
