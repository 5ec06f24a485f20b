/** Looking for keys in the tables of a database that is not open. */
import { closeSync, openSync } from 'node:fs';
import { type Manifest, type TableFile, tableFile, userKey } from './manifest.ts';
import type { Range } from './store.ts';
import { entries, parseHandle, readBlock, readFooter, tableDamage } from './table-format.ts';

/** The last key of this range that a table says anything of, be it that it was deleted. Throws StorageError `unreadable` where one that may is damaged. */
export function lastInTables(path: string, { tables }: Manifest, range: Pick<Range, 'gte' | 'lt'>): string | undefined {
  let last: string | undefined;
  for (const table of tables) {
    if (table.smallest >= range.lt || range.gte > table.largest) continue;
    const own = lastIn(tableFile(path, table), table, range);
    if (own !== undefined && (last === undefined || own > last)) last = own;
  }
  return last;
}

function lastIn(file: string, { size }: TableFile, { gte, lt }: Pick<Range, 'gte' | 'lt'>): string | undefined {
  let fd: number | undefined;
  let last: string | undefined;
  try {
    fd = openSync(file, 'r');
    for (const { key: end, value } of entries(readBlock(fd, readFooter(fd, size).index))) {
      if (userKey(end) < gte) continue;
      for (const row of entries(readBlock(fd, parseHandle(value)))) {
        const key = userKey(row.key);
        if (key >= lt) return last;
        if (key >= gte) last = key;
      }
    }
    return last;
  } catch (cause) {
    throw tableDamage(file, cause);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
