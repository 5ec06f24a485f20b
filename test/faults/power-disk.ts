/**
 * A disk whose power can be cut under a running server, and a file system on it.
 *
 *   server → ext4 → loop device → FUSE file → power-disk-process.ts with its volatile write cache (volatile-disk.ts)
 *
 * Why the image that a cut leaves is what a power cut leaves: the file system's page cache is the kernel's memory, and nothing of it is
 * in the image before the kernel hands it to the loop device as a write. Whatever the disk has answered before the last flush is in
 * the image; what it was given since is there in part (a copy of a loop device's backing file would have all of it, and could be read
 * while it changes). Between the cut and the note of what was acknowledged until then the disk answers nothing, so no acknowledgement can
 * rest on a write or a flush that is not in the image.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MountedImage } from '../support/ext4-image.ts';
import { ROOT } from '../support/spawn-server.ts';
import type { CutRequest } from './power-disk-process.ts';
import type { Cut } from './volatile-disk.ts';

const run = promisify(execFile);

/** Why there can be no such disk here, or `undefined`. */
export function cannotCutPower(): string | undefined {
  return existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse';
}

export class PowerDisk {
  /** Where its file system is mounted. */
  readonly path: string;
  readonly #file: string;
  readonly #process: ChildProcess;
  readonly #gone: Promise<never>;
  #mounted: MountedImage | undefined;

  private constructor(file: string, path: string, child: ChildProcess) {
    this.#file = file;
    this.path = path;
    this.#process = child;
    this.#gone = once(child, 'exit').then(([code]) => {
      throw new Error(`the process behind the disk has ended (${code})`);
    });
    // Expected at the end, when nobody waits for it any more.
    this.#gone.catch(() => {});
  }

  /** A disk that begins with what is in an image; everything else it needs is made in an empty folder. */
  static async start(image: string, folder: string): Promise<PowerDisk> {
    const file = join(folder, 'disk');
    const path = join(folder, 'mounted');
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, '');
    const child = spawn(
      process.execPath,
      [
        '--import',
        join(ROOT, 'test/support/typescript.js'),
        join(ROOT, 'test/faults/power-disk-process.ts'),
        ...[image, file, path],
      ],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    const disk = new PowerDisk(file, path, child);
    await disk.#answer();
    try {
      disk.#mounted = await MountedImage.mount(file, path);
    } catch (error) {
      await disk.remove();
      throw error;
    }
    return disk;
  }

  /**
   * Cuts the power after so many more writes and flushes, and leaves the image at `path`. `note` is called while nothing that the disk does
   * can be acknowledged any more. Then the disk goes on as if nothing had been.
   */
  async cut(request: CutRequest, note: () => void): Promise<Cut> {
    this.#process.send(request);
    const cut = (await this.#answer()) as Cut;
    note();
    this.#process.send('go on');
    return cut;
  }

  async #answer(): Promise<unknown> {
    const [message] = (await Promise.race([once(this.#process, 'message'), this.#gone])) as [unknown];
    return message;
  }

  /** The disk and all that is on it go away; whatever has files open there must have ended. */
  async remove(): Promise<void> {
    await this.#mounted?.unmount();
    const ended = this.#process.exitCode === null ? once(this.#process, 'exit') : undefined;
    // The kernel lets the loop device go a moment after its file system.
    for (let more = 100; ; more--) {
      try {
        await run('umount', [this.#file]);
        break;
      } catch (error) {
        if (more === 0) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    await ended;
  }
}
