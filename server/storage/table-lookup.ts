/** Looking for one key in the tables of a database that is not open. */
import { closeSync, openSync } from 'node:fs';
import { type Manifest, type TableFile, tableFile, userKey } from './manifest.ts';
import { entries, parseHandle, readBlock, readFooter, tableDamage } from './table-format.ts';

/** The first of the eight bytes that LevelDB adds to a key that has a value; of a deleted one it is 0. */
const HAS_VALUE = 1;

/** Whether a table has a value under a key. Throws StorageError `unreadable` where a table that may have it is damaged. */
export function inTables(path: string, { tables }: Manifest, key: string): boolean {
  return tables.some(
    (table) => table.smallest <= key && key <= table.largest && isIn(tableFile(path, table), table, key),
  );
}

function isIn(file: string, { size }: TableFile, key: string): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    for (const { key: last, value } of entries(readBlock(fd, readFooter(fd, size).index))) {
      if (userKey(last) < key) continue;
      for (const row of entries(readBlock(fd, parseHandle(value))))
        if (userKey(row.key) === key) return row.key.at(-8) === HAS_VALUE;
      return false;
    }
    return false;
  } catch (cause) {
    throw tableDamage(file, cause);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
