/**
 * The layout of LevelDB's tables: data blocks, filter block, block of metadata, index block, and 48 bytes of footer: where those two are, and a magic
 * number. A block is followed by its type (0 plain, 1 snappy) and a masked CRC-32C of both. The index has for each data block a
 * key that is not below its last one and below the first of the next block (LevelDB's `table_format.md`). What is not so is a RangeError.
 */
import { readSync } from 'node:fs';
import { equalBytes } from '../../tree/bytes.ts';
import { littleU16, maskedCrc } from './log-format.ts';
import { Reader } from './manifest.ts';
import { unsnappy } from './snappy.ts';
import { StorageError } from './store.ts';

export const FOOTER = 48;
/** Type and checksum after each block. */
export const TRAILER = 5;
const MAGIC = Uint8Array.of(0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb);
/** An index of a table of 2 GiB has less. */
const MAX_INDEX = 256 * 1_048_576;

/** Where a block stands in its file, without its trailer. */
export interface Handle {
  readonly offset: number;
  readonly size: number;
}

/** Where the block of metadata and the index are, of a table that is so long. */
export function readFooter(fd: number, size: number): { readonly metaIndex: Handle; readonly index: Handle } {
  const footer = readAt(fd, { offset: size - FOOTER, size: FOOTER });
  if (!equalBytes(footer.subarray(FOOTER - MAGIC.length), MAGIC)) throw new RangeError('its footer is wrong');
  const handles = new Reader(footer);
  return { metaIndex: handle(handles), index: handle(handles) };
}

function handle(reader: Reader): Handle {
  return { offset: reader.varint(), size: reader.varint() };
}

/** The value of an entry of the index or of the metadata. */
export function parseHandle(value: Uint8Array): Handle {
  return handle(new Reader(value));
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
export function readBlock(fd: number, block: Handle): Uint8Array {
  const bytes = checkBlock(fd, block);
  const content = bytes.subarray(0, block.size);
  return bytes[block.size] === 0 ? content : unsnappy(content, MAX_INDEX);
}

/** A block as it stands, with its trailer, whose checksum is right. Unpacking what nobody looks at was half of the look at the tables. */
export function checkBlock(fd: number, { offset, size }: Handle): Uint8Array {
  const bytes = readAt(fd, { offset, size: size + TRAILER });
  const stored = littleU16(bytes, size + 1) + littleU16(bytes, size + 3) * 65_536;
  if (maskedCrc(bytes, 0, size + 1) !== stored)
    throw new RangeError(`the block at byte ${offset} has a wrong checksum`);
  return bytes;
}

/** The entries of a block: each key shares its beginning with the one before. Values are views. */
export function* entries(block: Uint8Array): Generator<{ readonly key: Uint8Array; readonly value: Uint8Array }> {
  if (block.length < 4) throw new RangeError('a block is too short');
  const restarts = littleU16(block, block.length - 4) + littleU16(block, block.length - 2) * 65_536;
  const end = block.length - 4 - 4 * restarts;
  if (end < 0) throw new RangeError('a block is cut off');
  const reader = new Reader(block.subarray(0, end));
  let last = new Uint8Array(0);
  while (!reader.done) {
    const shared = reader.varint();
    const own = reader.varint();
    const length = reader.varint();
    if (shared > last.length) throw new RangeError('a key of a block is wrong');
    const key = new Uint8Array(shared + own);
    key.set(last.subarray(0, shared));
    key.set(reader.bytes(own), shared);
    last = key;
    yield { key, value: reader.bytes(length) };
  }
}

/** What a look at a table failed with, as damage of that table. Throws it where it is no evidence against what is stored: a file system that cannot read. */
export function tableDamage(file: string, cause: unknown): StorageError {
  if (!(cause instanceof RangeError) && (cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
  return new StorageError(
    'unreadable',
    `${file} is damaged: ${(cause as Error).message}. Restore the data directory from a copy.`,
    { cause },
  );
}
