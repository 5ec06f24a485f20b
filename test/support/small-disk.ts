/** A small disk of its own for a test: a tmpfs, which only root may mount. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statfsSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './spawn-server.ts';

const MIB = 1_048_576;

/** Whether this user may mount; says so loudly if not. */
export function canMount(): boolean {
  const disk = SmallDisk.make(1);
  if (disk === undefined) console.log('SKIPPED: what happens on a full disk: only root can mount a small one');
  disk?.remove();
  return disk !== undefined;
}

export class SmallDisk {
  readonly path: string;
  readonly #remove: () => void;

  private constructor(path: string, remove: () => void) {
    this.path = path;
    this.#remove = remove;
  }

  /** A disk of so many MiB, or `undefined` where it cannot be mounted. */
  static make(size: number): SmallDisk | undefined {
    const { path, remove } = temporaryFolder('disk');
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}m`, 'indelible-test', path]);
    if (status === 0) return new SmallDisk(path, remove);
    remove();
    return undefined;
  }

  get free(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Something else on the disk takes so many bytes, or all there are; in place of what it took before. */
  occupy(bytes: number): void {
    const file = join(this.path, 'ballast');
    const fd = openSync(file, 'a');
    try {
      truncateSync(file, 0);
      const chunk = new Uint8Array(MIB / 16).fill(1);
      for (let left = bytes; left > 0; ) left -= writeSync(fd, chunk, 0, Math.min(left, chunk.length));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Makes the disk larger, to so many MiB, under whatever runs on it. */
  grow(size: number): void {
    const { status, stderr } = spawnSync('mount', ['-o', `remount,size=${size}m`, this.path], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`cannot make the disk larger: ${stderr}`);
  }

  /** The disk and all that is on it go away. */
  remove(): void {
    rmSync(join(this.path, 'ballast'), { force: true });
    spawnSync('umount', ['-l', this.path]);
    this.#remove();
  }
}
