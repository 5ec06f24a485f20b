/** The process that audits (audit.ts): rounds over a whole log with the built client, the first of which does not count. */
import { join } from 'node:path';

const [, , root, options] = process.argv;
const { url, seconds } = JSON.parse(options as string);
// The build, as an auditor has it: with what package.json names for Node.
const { checkTiledLog, Transport } = (await import(
  join(root as string, 'dist/client/index.js')
)) as typeof import('../../../client/index.ts');

/** Entries checked. */
async function audit(): Promise<number> {
  const { checkpoint, differences, complete } = await checkTiledLog({
    transport: new Transport({ url }),
    entriesOnly: true,
  });
  if (checkpoint === undefined || differences > 0 || !complete) throw new Error(`${differences} differences`);
  return checkpoint.treeSize;
}

await audit();
const before = process.cpuUsage();
const begin = performance.now();
let entries = 0;
while (performance.now() - begin < seconds * 1000) entries += await audit();
const took = (performance.now() - begin) / 1000;
const { user, system } = process.cpuUsage(before);
process.stdout.write(`${JSON.stringify({ entriesPerSecond: entries / took, cpuMicros: (user + system) / entries })}\n`);
