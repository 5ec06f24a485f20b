/**
 * Simulates histories in a process of its own, because it replaces `setImmediate`, random bytes and some modules for all of it:
 * `node --import ./test/support/typescript.js test/sim/main.ts BUILD [SEED [OPERATIONS]]`. Given a seed it prints the trace of that
 * history; without one it reads lines `SEED OPERATIONS` and answers each with a line of JSON.
 */
import { register } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { HistoryReport } from './history.ts';
import { seededCrypto } from './seeded-crypto.ts';
import { virtualFiles } from './virtual-files.ts';

const [build = 'dist', seed, operations = '1000'] = process.argv.slice(2);

register(new URL('replacements.js', import.meta.url));
seededCrypto();
const closeFiles = virtualFiles();
// Loaded only now: what these import must find the replacements in place.
const { loadParts } = await import('./parts.ts');
const { runHistory } = await import('./history.ts');
const parts = await loadParts(resolve(build));

let stray: unknown;
process.on('unhandledRejection', (error) => {
  stray ??= error;
});

async function simulate(number: number, length: number, onTrace?: (line: string) => void): Promise<HistoryReport> {
  stray = undefined;
  closeFiles();
  const report = await runHistory({
    parts,
    seed: number,
    operations: length,
    ...(onTrace === undefined ? {} : { onTrace }),
  });
  if (stray === undefined) return report;
  const text = `nobody handled the rejection of a promise: ${(stray as Error).stack ?? stray}`;
  return { ...report, violations: [...report.violations, text] };
}

const print = (text: string): boolean => process.stdout.write(`${text}\n`);

if (seed !== undefined) {
  const report = await simulate(Number(seed), Number(operations), print);
  print(JSON.stringify(report, undefined, 2));
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    const [number, length] = line.split(' ').map(Number) as [number, number];
    print(JSON.stringify(await simulate(number, length)));
  }
}
process.exit(0);
