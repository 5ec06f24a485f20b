/** ext4 file systems in files: made, mounted and checked. Only root may mount them. */
import { execFile, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from './spawn-server.ts';

const run = promisify(execFile);

/** Helps that ext4 gives to programs which forget to sync before they rename are switched off. */
const MOUNT_OPTIONS = 'noatime,noauto_da_alloc,errors=remount-ro';

/** Why ext4 images cannot be used here, or `undefined`. */
export function cannotUseImages(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can mount an ext4 image';
  for (const program of ['mkfs.ext4', 'e2fsck', 'losetup'])
    if (spawnSync(program, ['-V']).error !== undefined) return `${program} is not installed`;
  const { path, remove } = temporaryFolder('probe');
  try {
    const image = join(path, 'image');
    makeImage(image, 16);
    const folder = join(path, 'mounted');
    mkdirSync(folder);
    const { status, stderr } = spawnSync('mount', ['-o', 'loop', image, folder], { encoding: 'utf8' });
    if (status !== 0) return `an ext4 image cannot be mounted: ${stderr.trim()}`;
    spawnSync('umount', [folder]);
    return undefined;
  } finally {
    remove();
  }
}

/** Makes an image of so many MiB with an empty ext4 in it, with blocks of 4 KiB and the smallest journal. */
export function makeImage(path: string, size: number): void {
  closeSync(openSync(path, 'wx'));
  truncateSync(path, size * 1_048_576);
  const options = ['-b', '4096', '-N', '2048', '-m', '0', '-J', 'size=4'];
  const { status, stderr } = spawnSync(
    'mkfs.ext4',
    ['-q', '-F', ...options, '-E', 'lazy_itable_init=0,lazy_journal_init=0', path],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`cannot make an ext4 image: ${stderr}`);
}

/** Folders that something is mounted on: whatever ends this process must not leave them so. */
const inUse = new Set<string>();
process.once('exit', () => {
  for (const path of inUse) spawnSync('umount', ['-l', path]);
});

/** A mounted image. */
export class MountedImage {
  /** Where it is mounted. */
  readonly path: string;
  readonly #image: string;

  private constructor(image: string, path: string) {
    this.#image = image;
    this.path = path;
  }

  /** Mounts an image on a folder, which is made; ext4 replays its journal. */
  static async mount(image: string, path: string): Promise<MountedImage> {
    mkdirSync(path, { recursive: true });
    await run('mount', ['-t', 'ext4', '-o', `loop,${MOUNT_OPTIONS}`, image, path]);
    inUse.add(path);
    return new MountedImage(image, path);
  }

  /** Unmounts it; whatever has files open there must have ended. */
  async unmount(): Promise<void> {
    await run('umount', [this.path]);
    inUse.delete(this.path);
    rmSync(this.path, { recursive: true });
  }

  /** What e2fsck says of the file system, once unmounted: '' where all is well. */
  async faults(): Promise<string> {
    try {
      await run('e2fsck', ['-fn', this.#image]);
      return '';
    } catch (error) {
      return String((error as { stdout?: string }).stdout ?? error);
    }
  }
}
