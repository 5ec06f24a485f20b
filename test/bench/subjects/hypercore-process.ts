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

const blocks: Buffer[] = Array.from({ length: batch }, () => randomBytes(size));
let entries = 0;

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
    // It keeps references until they are written, so each batch is a new one.
    const fresh = blocks.map((block) => {
      const copy = Buffer.from(block);
      copy.writeUIntBE(entries++, 0, 6);
      return copy;
    });
    await core.append(fresh);
    if (durable === true) syncLog();
    took = Number(process.hrtime.bigint() - begin) / 1e9;
  }
  return took;
}

await appendFor(2);
entries = 0;
const before = process.cpuUsage();
const took = await appendFor(seconds);
const { user, system } = process.cpuUsage(before);
process.stdout.write(`${JSON.stringify({ entriesPerSecond: entries / took, cpuMicros: (user + system) / entries })}\n`);
setInterval(() => {}, 60_000);
