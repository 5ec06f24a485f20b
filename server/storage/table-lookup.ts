/** Looking for keys in the tables of a database that is not open. */
import { closeSync, openSync } from 'node:fs';
import { type Manifest, type TableFile, tableFile, userKey } from './manifest.ts';
import type { Range } from './store.ts';
import { entries, parseHandle, readBlock, readFooter, tableDamage } from './table-format.ts';

/** Whether a table says anything of a key in this range, be it that it was deleted. Throws StorageError `unreadable` where one that may is damaged. */
export function inTables(path: string, { tables }: Manifest, range: Pick<Range, 'gte' | 'lt'>): boolean {
  return tables.some(
    (table) => table.smallest < range.lt && range.gte <= table.largest && isIn(tableFile(path, table), table, range),
  );
}

function isIn(file: string, { size }: TableFile, { gte, lt }: Pick<Range, 'gte' | 'lt'>): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    for (const { key: last, value } of entries(readBlock(fd, readFooter(fd, size).index))) {
      if (userKey(last) < gte) continue;
      for (const row of entries(readBlock(fd, parseHandle(value)))) {
        const key = userKey(row.key);
        if (key >= gte) return key < lt;
      }
    }
    return false;
  } catch (cause) {
    throw tableDamage(file, cause);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
