/**
 * Looking at LevelDB's tables before LevelDB does. It reads them without their checksums: a flipped bit gives wrong bytes, or a
 * row that is not found, and the next compaction writes what it has read under a new and valid checksum (docs/design.md).
 *
 * Leaves, events and tiles are checked by hashes whenever they are read, and one of them missing is noticed. The other rows have
 * nothing behind them: an id row that is not found makes a repeated request a second entry, a head may vanish from a list, a
 * source name may become another one. So every block that may hold such rows is read here with its checksum, and the filter
 * that could hide them too. Tables and blocks that hold only leaves, events or tiles are passed over: they are the bulk.
 *
 * A table is data blocks, filter block, block of metadata, index block, and 48 bytes of footer: where those two are, and a magic
 * number. A block is followed by its type (0 plain, 1 snappy) and a masked CRC-32C of both. The index has for each data block a
 * key that is not below its last one and below the first of the next block (LevelDB's `table_format.md`).
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { equalBytes } from '../../tree/bytes.ts';
import { areHashed } from './keys.ts';
import { littleU16, maskedCrc } from './log-format.ts';
import { type Manifest, Reader, readManifest, type TableFile, userKey } from './manifest.ts';
import { unsnappy } from './snappy.ts';
import { StorageError } from './store.ts';

const FOOTER = 48;
/** Type and checksum after each block. */
const TRAILER = 5;
const MAGIC = Uint8Array.of(0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb);
/** An index of a table of 2 GiB has less. */
const MAX_INDEX = 256 * 1_048_576;

/** Where a block stands in its file, without its trailer. */
interface Handle {
  readonly offset: number;
  readonly size: number;
}

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
  const file = join(path, `${String(table.number).padStart(6, '0')}.ldb`);
  try {
    checkTable(file, table, scope);
    return undefined;
  } catch (cause) {
    // A file system that cannot read is no evidence against what is stored.
    if (!(cause instanceof RangeError) && (cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    return new StorageError(
      'unreadable',
      `${file} is damaged: ${(cause as Error).message}. Restore the data directory from a copy.`,
      { cause },
    );
  }
}

function checkTable(file: string, { size, smallest }: TableFile, scope: TableScope): void {
  const fd = openSync(file, 'r');
  try {
    // LevelDB goes by the size in the MANIFEST; what stands after it does not exist for it.
    const found = fstatSync(fd).size;
    if (found < size || size < FOOTER) throw new RangeError(`it has ${found} bytes of ${size}`);
    const footer = readAt(fd, { offset: size - FOOTER, size: FOOTER });
    if (!equalBytes(footer.subarray(FOOTER - MAGIC.length), MAGIC)) throw new RangeError('its footer is wrong');
    const handles = new Reader(footer);
    const metaIndex = handle(handles);
    const index = handle(handles);
    // Blocks follow each other without gaps, so that no wrong number leads to another block with a right checksum.
    const meta = [...entries(readBlock(fd, metaIndex))].map(({ value }) => handle(new Reader(value)));
    let end = 0;
    let from = smallest;
    for (const { key, value } of entries(readBlock(fd, index))) {
      const block = handle(new Reader(value));
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

function handle(reader: Reader): Handle {
  return { offset: reader.varint(), size: reader.varint() };
}

function readAt(fd: number, { offset, size }: Handle): Uint8Array {
  if (size > MAX_INDEX) throw new RangeError(`a block of ${size} bytes at byte ${offset}`);
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const read = readSync(fd, bytes, at, size - at, offset + at);
    if (read === 0) throw new RangeError(`it ends in the block at byte ${offset}`);
    at += read;
  }
  return bytes;
}

/** The content of a block whose checksum is right. */
function readBlock(fd: number, block: Handle): Uint8Array {
  const bytes = checkBlock(fd, block);
  const content = bytes.subarray(0, block.size);
  return bytes[block.size] === 0 ? content : unsnappy(content, MAX_INDEX);
}

/** A block as it stands, with its trailer, whose checksum is right. Unpacking what nobody looks at was half of the look at the tables. */
function checkBlock(fd: number, { offset, size }: Handle): Uint8Array {
  const bytes = readAt(fd, { offset, size: size + TRAILER });
  const stored = littleU16(bytes, size + 1) + littleU16(bytes, size + 3) * 65_536;
  if (maskedCrc(bytes, 0, size + 1) !== stored)
    throw new RangeError(`the block at byte ${offset} has a wrong checksum`);
  return bytes;
}

/** The entries of an index block: each key shares its beginning with the one before. */
function* entries(block: Uint8Array): Generator<{ readonly key: Uint8Array; readonly value: Uint8Array }> {
  if (block.length < 4) throw new RangeError('an index is too short');
  const restarts = littleU16(block, block.length - 4) + littleU16(block, block.length - 2) * 65_536;
  const end = block.length - 4 - 4 * restarts;
  if (end < 0) throw new RangeError('an index is cut off');
  const reader = new Reader(block.subarray(0, end));
  let last = new Uint8Array(0);
  while (!reader.done) {
    const shared = reader.varint();
    const own = reader.varint();
    const length = reader.varint();
    if (shared > last.length) throw new RangeError('a key of an index is wrong');
    const key = new Uint8Array(shared + own);
    key.set(last.subarray(0, shared));
    key.set(reader.bytes(own), shared);
    last = key;
    yield { key, value: reader.bytes(length) };
  }
}
