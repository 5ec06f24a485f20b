/**
 * Looking at LevelDB's log files before LevelDB does, and at what it says after.
 *
 * LevelDB skips damaged blocks of its log, goes on with the next one, deletes the file, and says so in a text file only: one
 * flipped bit drops whole commits, and nobody is told (docs/design.md). So every `*.log` that LevelDB would read is read here
 * first. Whatever is not a whole record with the right checksum is damage, but for one thing: a torn record at the very end of the
 * newest file is what a crash leaves behind, and was never acknowledged.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { scanLog } from './log-format.ts';
import { readManifest } from './manifest.ts';
import { StorageError } from './store.ts';

/**
 * Reads the log files of a database that is not open. Those below the number that the MANIFEST names are left-overs that LevelDB
 * only forgot to delete. Throws StorageError `unreadable` where one is damaged.
 */
export function checkLogFiles(path: string): void {
  // Where that cannot be told, all count.
  const first = readManifest(path)?.firstLog ?? 0;
  const numbers = (existsSync(path) ? readdirSync(path) : [])
    .filter((name) => /^[0-9]+\.log$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .filter((number) => number >= first)
    .sort((a, b) => b - a);
  // A file that was made for what comes next and has nothing in it yet does not count as the newest.
  let newest = true;
  for (const number of numbers) {
    const file = join(path, `${String(number).padStart(6, '0')}.log`);
    const bytes = readFileSync(file);
    const fault = scanLog(bytes);
    if (fault !== undefined && !(fault.torn && newest)) {
      throw new StorageError(
        'unreadable',
        `${file} is damaged at byte ${fault.offset}: opening it would drop commits without a word. Restore the data directory from a copy.`,
      );
    }
    if (bytes.length > 0) newest = false;
  }
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
