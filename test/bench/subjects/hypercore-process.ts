/** The process of hypercore (hypercore.ts): warms up for two seconds, measures, prints. */
import { randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

interface Hypercore {
  ready(): Promise<void>;
  append(blocks: readonly Uint8Array[]): Promise<unknown>;
}

const [, , folder, options] = process.argv;
const { storage, batch, size, seconds, durable } = JSON.parse(options as string);
const Core = createRequire(join(folder as string, 'node_modules/'))('hypercore') as new (storage: string) => Hypercore;
const core = new Core(storage);
await core.ready();

/**
 * Batches made beforehand, so that making them is not counted against it. It takes each as it is and keeps references until its append has
 * ended; they come round again long after that, and too far apart for a compressor to see one twice.
 */
const RING = 64;
const batches: Uint8Array[][] = Array.from({ length: RING }, () => {
  const bytes = randomBytes(batch * size);
  return Array.from({ length: batch }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
});
let appends = 0;

/** Sends its database's write-ahead log to the disk: the newest by its number, as RocksDB names them. */
function syncLog(): void {
  const logs = readdirSync(join(storage, 'db')).filter((name) => name.endsWith('.log'));
  const file = openSync(join(storage, 'db', logs.sort().at(-1) as string), 'r+');
  fdatasyncSync(file);
  closeSync(file);
}

async function appendFor(duration: number): Promise<number> {
  const begin = process.hrtime.bigint();
  let took = 0;
  while (took < duration) {
    await core.append(batches[appends++ % RING] as Uint8Array[]);
    if (durable === true) syncLog();
    took = Number(process.hrtime.bigint() - begin) / 1e9;
  }
  return took;
}

await appendFor(2);
appends = 0;
const before = process.cpuUsage();
const took = await appendFor(seconds);
const { user, system } = process.cpuUsage(before);
const entries = appends * batch;
process.stdout.write(`${JSON.stringify({ entriesPerSecond: entries / took, cpuMicros: (user + system) / entries })}\n`);
setInterval(() => {}, 60_000);
