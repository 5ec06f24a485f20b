/**
 * Looking at LevelDB's tables before LevelDB does. It reads them without their checksums: a flipped bit gives wrong bytes, or a
 * row that is not found, and the next compaction writes what it has read under a new and valid checksum (docs/design.md).
 *
 * Leaves, events and tiles are checked by hashes whenever they are read, and one of them missing is noticed. The other rows have
 * nothing behind them: an id row that is not found makes a repeated request a second entry, a head may vanish from a list, a
 * source name may become another one. So every block that may hold such rows is read here with its checksum, and the filter
 * that could hide them too. Tables and blocks that hold only leaves, events or tiles are passed over: they are the bulk.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { areHashed } from './keys.ts';
import { type Manifest, readManifest, type TableFile, tableFile, userKey } from './manifest.ts';
import type { StorageError } from './store.ts';
import {
  checkBlock,
  entries,
  FOOTER,
  parseHandle,
  readBlock,
  readFooter,
  TRAILER,
  tableDamage,
} from './table-format.ts';

/** Which blocks are read: those that nothing else vouches for, or all of them. */
export type TableScope = 'unhashed' | 'all';

/** Others get their turn: whoever asks whether the server is ready should hear that it is not yet. */
function turn(): Promise<void> {
  return new Promise(setImmediate);
}

export interface TableCheck {
  readonly scope?: TableScope | undefined;
  /** Waited for before each table, which then takes some milliseconds. */
  readonly pause?: () => Promise<void>;
  /** Of the database, if it was read already. */
  readonly manifest?: Manifest | undefined;
}

/** Reads the tables that a database is made of, before it is opened. Throws StorageError `unreadable` where one is damaged. */
export async function checkTables(
  path: string,
  { scope = 'unhashed', pause = turn, manifest = readManifest(path) }: TableCheck = {},
): Promise<void> {
  // Without a MANIFEST that can be read LevelDB opens nothing.
  for (const table of manifest?.tables ?? []) {
    if (scope === 'unhashed' && areHashed(table.smallest, table.largest)) continue;
    await pause();
    const fault = faultOf(path, table, scope);
    if (fault !== undefined) throw fault;
  }
}

/** Reads all tables of a database that is open, some tens of milliseconds of each tenth of a second; says which are damaged. */
export async function watchTables(
  path: string,
  pause: () => Promise<void>,
  onDamage: (message: string) => void,
): Promise<void> {
  for (const table of readManifest(path)?.tables ?? []) {
    await pause();
    const fault = faultOf(path, table, 'all');
    // A table that was compacted away meanwhile is nobody's any more.
    if (fault !== undefined && readManifest(path)?.tables.some(({ number }) => number === table.number))
      onDamage(fault.message);
  }
}

function faultOf(path: string, table: TableFile, scope: TableScope): StorageError | undefined {
  const file = tableFile(path, table);
  try {
    checkTable(file, table, scope);
    return undefined;
  } catch (cause) {
    return tableDamage(file, cause);
  }
}

function checkTable(file: string, { size, smallest }: TableFile, scope: TableScope): void {
  const fd = openSync(file, 'r');
  try {
    // LevelDB goes by the size in the MANIFEST; what stands after it does not exist for it.
    const found = fstatSync(fd).size;
    if (found < size || size < FOOTER) throw new RangeError(`it has ${found} bytes of ${size}`);
    const { metaIndex, index } = readFooter(fd, size);
    // Blocks follow each other without gaps, so that no wrong number leads to another block with a right checksum.
    const meta = [...entries(readBlock(fd, metaIndex))].map(({ value }) => parseHandle(value));
    let end = 0;
    let from = smallest;
    for (const { key, value } of entries(readBlock(fd, index))) {
      const block = parseHandle(value);
      const to = userKey(key);
      if (block.offset !== end) throw new RangeError(`its index misses the block at byte ${end}`);
      if (scope === 'all' || !areHashed(from, to)) checkBlock(fd, block);
      end = block.offset + block.size + TRAILER;
      from = to;
    }
    for (const block of [...meta, metaIndex, index]) {
      if (block.offset !== end) throw new RangeError(`there is no block at byte ${end}`);
      checkBlock(fd, block);
      end += block.size + TRAILER;
    }
    if (end + FOOTER !== size) throw new RangeError('its blocks do not fill it');
  } finally {
    closeSync(fd);
  }
}
