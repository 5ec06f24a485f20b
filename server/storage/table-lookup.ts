/** Looking for one key in the tables of a database that is not open. */
import { closeSync, openSync } from 'node:fs';
import { type Manifest, type TableFile, tableFile, userKey } from './manifest.ts';
import { entries, parseHandle, readBlock, readFooter } from './table-format.ts';

/** Last byte of LevelDB's eight behind a key that has a value; of a deleted one it is 0. */
const HAS_VALUE = 1;

/** Whether a table has a value under a key. What is in a table that cannot be read, or is damaged there, is not found. */
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
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
