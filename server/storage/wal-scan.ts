/**
 * Looking at LevelDB's log files before LevelDB does, and at what it says after.
 *
 * LevelDB skips damaged blocks of its log, goes on with the next one, deletes the file, and says so in a text file only: one
 * flipped bit drops whole commits, and nobody is told (docs/design.md). So every `*.log` that LevelDB would read is read here
 * first. Whatever is not a whole record with the right checksum is damage, but for one thing: a torn record at the very end of the
 * newest file is what a crash leaves behind, and was never acknowledged.
 *
 * A power cut can leave more than that: of a record that was being written, some sectors are on the disk and others are not, under
 * a length that is. By itself this looks like any other damage. But whoever knows which commit was promised last knows that nothing after
 * that commit was ever acknowledged, and then it is torn, too. (Seen: a compaction syncs the length of the log file just then.)
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MOST_ADOPTED } from './commit-record.ts';
import { COMMIT_PREFIX, commitKey, numberInKey } from './keys.ts';
import { type LogFault, recordsBehind, scanLog } from './log-format.ts';
import { type Manifest, Reader, readManifest } from './manifest.ts';
import { prefixRange, StorageError } from './store.ts';
import { lastInTables } from './table-lookup.ts';

/** What is left of a record that was being written and that LevelDB must not see: it would tell of damage. */
export interface BrokenTail {
  readonly file: string;
  /** Byte from which on nothing counts. */
  readonly offset: number;
}

/**
 * Reads the log files of a database that is not open. Those below the number that the MANIFEST names are left-overs that LevelDB
 * only forgot to delete. Throws StorageError `unreadable` where one is damaged; returns what is broken behind the commit that was promised
 * last, if it is known which that was.
 */
export function checkLogFiles(
  path: string,
  promised?: number,
  manifest: Manifest | undefined = readManifest(path),
): BrokenTail | undefined {
  // Where that cannot be told, all count.
  const first = manifest?.firstLog ?? 0;
  const numbers = (existsSync(path) ? readdirSync(path) : [])
    .filter((name) => /^[0-9]+\.log$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .filter((number) => number >= first)
    .sort((a, b) => b - a);
  // A file that was made for what comes next and has nothing in it yet does not count as the newest.
  let newest = true;
  let tail: BrokenTail | undefined;
  const files = numbers.map((number) => join(path, `${String(number).padStart(6, '0')}.log`));
  for (const [i, file] of files.entries()) {
    const bytes = readFileSync(file);
    const fault = scanLog(bytes);
    if (fault !== undefined && newest && (fault.torn || isBehind(promised, fault, files.slice(i), path, manifest))) {
      if (fault.told) tail = { file, offset: fault.offset };
    } else if (fault !== undefined) {
      throw new StorageError(
        'unreadable',
        `${file} is damaged at byte ${fault.offset}: opening it would drop commits without a word. Restore the data directory from a copy.`,
      );
    }
    if (bytes.length > 0) newest = false;
  }
  return tail;
}

/**
 * Whether nothing from the fault in the first of these log files on, newest first, was ever acknowledged: the promised commit stands before it, and no
 * commit stands anywhere that may not follow on it yet. Where no whole record stands before it, since a start or a full memory was written into tables,
 * the tables are asked: a power cut during the first commit after a start leaves that. A guard that is older than it may be vouches for nothing.
 */
function isBehind(
  promised: number | undefined,
  fault: LogFault,
  files: readonly string[],
  path: string,
  manifest: Manifest | undefined,
): boolean {
  if (promised === undefined) return false;
  const isTooNew = (n: number | undefined): boolean => n !== undefined && n > promised + MOST_ADOPTED;
  const [newest] = files as [string];
  for (const data of recordsBehind(readFileSync(newest), fault)) if (isTooNew(commitIn(data))) return false;
  const last = files.map(lastRecord).find((data) => data !== undefined);
  const n = last === undefined ? lastCommitInTables(path, manifest, promised) : commitIn(last);
  return n !== undefined && promised <= n && !isTooNew(n);
}

/** Data of the last whole record before the first fault of a log file. */
function lastRecord(file: string): Uint8Array | undefined {
  let last: Uint8Array | undefined;
  scanLog(readFileSync(file), (data) => {
    last = data;
  });
  return last;
}

/** Number of the last commit, from this one on, that the tables know of. What a damaged one knows is not known. */
function lastCommitInTables(path: string, manifest: Manifest | undefined, from: number): number | undefined {
  if (manifest === undefined) return undefined;
  const { lt } = prefixRange(COMMIT_PREFIX, 1);
  try {
    const key = lastInTables(path, manifest, { gte: commitKey(from), lt });
    return key === undefined ? undefined : numberInKey(key);
  } catch (error) {
    if (error instanceof StorageError) return undefined;
    throw error;
  }
}

/**
 * Number of the commit that a batch of LevelDB is: u64 sequence ‖ u32 count ‖ writes, each u8 1 ‖ key ‖ value, or u8 0 ‖ key. What is no batch
 * is no commit: behind a fault, somebody's event may look like a record.
 */
function commitIn(batch: Uint8Array): number | undefined {
  const reader = new Reader(batch.subarray(12));
  try {
    while (!reader.done) {
      const isPut = reader.bytes(1)[0] === 1;
      const key = Buffer.from(reader.bytes()).toString('latin1');
      if (isPut) reader.bytes();
      if (isPut && key.startsWith(COMMIT_PREFIX)) return numberInKey(key);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return undefined;
}

/** Looks for damage that LevelDB noticed, dropped and went on from. Throws StorageError `unreadable`. */
export function checkTextLog(path: string): void {
  const file = join(path, 'LOG');
  const line = existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .find((text) => /dropping|corrupt|ignoring error/i.test(text))
    : undefined;
  if (line !== undefined)
    throw new StorageError('unreadable', `LevelDB found damage in ${path} when it opened it: ${line.trim()}`);
}
