/** Small disks of their own for a test: a tmpfs, or ext4 in a file on a loop device. Only root may make either. */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './spawn-server.ts';

const MIB = 1_048_576;

/** In memory, where every byte counts at once; or a file system with a journal, that hands out blocks late. */
export type FileSystem = 'tmpfs' | 'ext4';

/** Whether this user may mount; says so loudly if not. */
export function canMount(): boolean {
  const can = canMake('tmpfs');
  if (!can) console.log('SKIPPED: what happens on a full disk: only root can mount a small one');
  return can;
}

/** Whether such a disk can be made here. */
export function canMake(fileSystem: FileSystem): boolean {
  const disk = SmallDisk.make(fileSystem === 'tmpfs' ? 1 : 8, fileSystem);
  disk?.remove();
  return disk !== undefined;
}

/** Output of a command that must succeed. */
function run(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout.trim();
}

export class SmallDisk {
  readonly path: string;
  /** The file that the disk is in, and the device that it is shown as. */
  readonly #loop: { readonly image: string; readonly device: string } | undefined;
  readonly #remove: () => void;

  private constructor(path: string, loop: { image: string; device: string } | undefined, remove: () => void) {
    this.path = path;
    this.#loop = loop;
    this.#remove = remove;
  }

  /** A disk of so many MiB, or `undefined` where it cannot be made. */
  static make(size: number, fileSystem: FileSystem = 'tmpfs'): SmallDisk | undefined {
    const { path: folder, remove } = temporaryFolder('disk');
    const path = join(folder, 'mount');
    mkdirSync(path);
    let device: string | undefined;
    try {
      if (fileSystem === 'tmpfs') {
        run('mount', '-t', 'tmpfs', '-o', `size=${size}m`, 'indelible-test', path);
        return new SmallDisk(path, undefined, remove);
      }
      const image = join(folder, 'image');
      writeFileSync(image, '');
      truncateSync(image, size * MIB);
      // Nothing set aside for root: the server of a test is root itself.
      run('mkfs.ext4', '-q', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image);
      device = run('losetup', '--find', '--show', image);
      run('mount', '-t', 'ext4', device, path);
      return new SmallDisk(path, { image, device }, remove);
    } catch {
      if (device !== undefined) spawnSync('losetup', ['-d', device]);
      remove();
      return undefined;
    }
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

  /** Makes the disk larger, to so many MiB; nothing may run on it. */
  grow(size: number): void {
    if (this.#loop === undefined) {
      run('mount', '-o', `remount,size=${size}m`, this.path);
      return;
    }
    const { image, device } = this.#loop;
    // Not while it is mounted: that takes CAP_SYS_RESOURCE, which root in a container may not have.
    run('umount', this.path);
    truncateSync(image, size * MIB);
    run('losetup', '-c', device);
    run('e2fsck', '-f', '-p', device);
    run('resize2fs', device);
    run('mount', '-t', 'ext4', device, this.path);
  }

  /** The disk and all that is on it go away. */
  remove(): void {
    if (existsSync(this.path)) rmSync(join(this.path, 'ballast'), { force: true });
    spawnSync('umount', ['-l', this.path]);
    // Where something still runs on it, the kernel lets go of the device when that ends.
    if (this.#loop !== undefined) spawnSync('losetup', ['-d', this.#loop.device]);
    this.#remove();
  }
}
