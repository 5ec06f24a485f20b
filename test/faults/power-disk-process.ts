/**
 * The process behind a disk whose power can be cut (power-disk.ts): it has to answer while the harness waits for the kernel. Arguments:
 * the image to begin with, the file to mount on, the folder that the file system on it will be mounted on.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mountFile, serve } from './fuse-file.ts';
import { VolatileDisk } from './volatile-disk.ts';

/** From the harness: cut the power after so many more writes and flushes. */
export interface CutRequest {
  readonly path: string;
  readonly seed: number;
  readonly after: number;
}

/** A disk of which nothing is wanted is cut after so many milliseconds. */
const IDLE = 500;

const [image, file, folder] = process.argv.slice(2) as [string, string, string];
const disk = new VolatileDisk(image);

let armed: (CutRequest & { readonly at: number }) | undefined;
/** Resolves when the harness has noted what was acknowledged until the cut; until then no request is answered. */
let goOn: (() => void) | undefined;
let frozen: Promise<void> | undefined;

function cut(): void {
  if (armed === undefined) return;
  const { path, seed } = armed;
  armed = undefined;
  frozen = new Promise((resolve) => {
    goOn = resolve;
  });
  process.send?.(disk.cut(path, seed));
}

/** Between two requests, a cut may be due; then the one that comes waits. */
function ready(): Promise<void> | undefined {
  // Most wait for a moment in which there is something to lose.
  if (armed !== undefined && disk.requests >= armed.at && (disk.dirty || armed.seed % 4 === 0)) cut();
  return frozen;
}

process.on('message', (message: CutRequest | 'go on') => {
  if (message === 'go on') {
    frozen = undefined;
    goOn?.();
    return;
  }
  const request = { ...message, at: disk.requests + message.after };
  armed = request;
  setTimeout(
    () => {
      if (armed === request) cut();
    },
    message.after === 0 ? 0 : IDLE,
  );
});

// The harness is gone, perhaps without a word. This process must go on answering until nothing is mounted any more.
process.once('disconnect', () => {
  frozen = undefined;
  goOn?.();
  armed = undefined;
  for (const place of [folder, file]) spawn('umount', ['-l', place], { stdio: 'ignore' });
  setTimeout(() => process.exit(1), 5000).unref();
});

const fd = mountFile(file);
process.send?.('mounted');
serve(fd, disk, ready).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    spawnSync('umount', ['-l', file]);
    process.exit(1);
  },
);
