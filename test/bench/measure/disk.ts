/** What a folder takes on the disk, and what the disk can do. */
import { spawnSync } from 'node:child_process';
import { closeSync, fdatasyncSync, lstatSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Allocated bytes below a folder, as `du` counts them. Files that vanish meanwhile count nothing. */
export function allocatedBytes(folder: string): number {
  // What the kernel has not sent to the disk yet has no blocks.
  spawnSync('sync', ['-f', folder]);
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    bytes += (lstatSync(join(folder, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return bytes;
}

/** How many appends of 4 KiB, each with an fdatasync, the disk below a folder takes in a second, one after the other. */
export function syncRate(folder: string, seconds: number): number {
  const path = join(folder, 'sync-rate');
  const file = openSync(path, 'w');
  const block = Buffer.alloc(4096, 'x');
  let syncs = 0;
  const begin = process.hrtime.bigint();
  let took = 0;
  while (took < seconds) {
    writeSync(file, block);
    fdatasyncSync(file);
    syncs++;
    took = Number(process.hrtime.bigint() - begin) / 1e9;
  }
  closeSync(file);
  rmSync(path);
  return syncs / took;
}
