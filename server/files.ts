/** Files that must be whole or not there at all, whoever else is making them at the same moment. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inodeOf } from './inode.ts';

/** File systems without hard links say one of these. */
const NO_LINKS = new Set(['EPERM', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP', 'EMLINK']);

/**
 * Makes a private file (0600) with the bytes that `content` gives for its inode, unless the name is taken: written under a name
 * of its own, synced, then linked into place, and the directory synced. Returns whether this call made it.
 * Crash here: a whole file, or none and a leftover `.tmp-…` that nothing reads.
 */
export function createWhole(path: string, content: (inode: number) => Uint8Array): boolean {
  const temporary = `${path}.tmp-${randomBytes(6).toString('hex')}`;
  const fd = openSync(temporary, 'wx', 0o600);
  let made = true;
  try {
    try {
      // Writes on after a short write, until all is written or the system says why not.
      writeFileSync(fd, content(inodeOf(fd)));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    made = link(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
  syncDirectory(dirname(path));
  return made;
}

function link(temporary: string, path: string): boolean {
  try {
    linkSync(temporary, path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'EEXIST') return false;
    if (!NO_LINKS.has(code)) throw error;
    // Without hard links two first starts at the same moment are told apart by the owner block only.
    renameSync(temporary, path);
  }
  return true;
}

/**
 * Puts a private file (0600) with this content in the place of the one that is there, or of none; durable when this resolves. For one
 * writer at a time. Rejects with the system's error; then either file is there, and the new one perhaps not for long.
 * Crash here: the old file or the new one, whole, and perhaps a leftover `.tmp-…`. Whoever is the only writer may give `temporary`, a name
 * beside `path`: the next write takes the leftover's place, and they do not pile up.
 */
export async function replaceWhole(path: string, content: Uint8Array | string, temporary?: string): Promise<void> {
  const written = temporary ?? `${path}.tmp-${randomBytes(6).toString('hex')}`;
  try {
    await syncedAndClosed(await open(written, temporary === undefined ? 'wx' : 'w', 0o600), content);
    await rename(written, path);
  } catch (error) {
    await rm(written, { force: true }).catch(() => {});
    throw error;
  }
  await syncedAndClosed(await open(dirname(path), 'r'));
}

async function syncedAndClosed(file: FileHandle, content?: Uint8Array | string): Promise<void> {
  try {
    if (content !== undefined) await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Makes the files in a directory and their names durable, but for one that this process has locked: a lock of POSIX is lost when any
 * descriptor of the file is closed, also one that was opened only to sync it.
 */
export function syncFilesIn(path: string, locked: string): void {
  for (const name of readdirSync(path)) if (name !== locked) syncDirectory(join(path, name));
  syncDirectory(path);
}

/**
 * Makes a directory, and those above it that are missing, unless it is there. As Node's `recursive`, which says ENOENT where a disk fails
 * (EIO, EROFS): whoever starts a server then looks in the wrong place.
 */
export function makeDirectory(path: string, mode: number): void {
  try {
    makeOneDirectory(path, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    makeDirectory(dirname(path), mode);
    makeOneDirectory(path, mode);
  }
}

function makeOneDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(path).isDirectory()) throw error;
  }
}

/** The first bytes of a file: a device or pipe that never ends must not fill the memory. */
export function readAtMost(path: string, limit: number): Uint8Array {
  const fd = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(limit);
    let size = 0;
    while (size < limit) {
      const read = readSync(fd, bytes, size, limit - size, null);
      if (read === 0) break;
      size += read;
    }
    return bytes.subarray(0, size);
  } finally {
    closeSync(fd);
  }
}

/** Makes the names in a directory durable; given a file, its content. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
