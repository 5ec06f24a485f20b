/** Data directories that scenarios start from: one log, filled by batches, then stopped in order. */
import { Agent } from 'node:http';
import type { Bench } from '../scenario.ts';
import { Indelible } from '../subjects/indelible.ts';
import { forEach } from './concurrency.ts';
import { type Body, rawBatch, withUniqueDigits } from './payloads.ts';
import { type Form, post } from './recorder.ts';

/** The log that is filled. */
export const LOG = 'bench';

const BATCH = 1000;
const SIZE = 200;

/** Data directory with a raw log of so many entries of 200 bytes, indexed; made once in a run. Who appends to it leaves it larger for the next one. */
export function rawStore(bench: Bench, entries: number): Promise<string> {
  return bench.once(`raw-${entries}`, async (dataDir) => {
    await fillNew(bench, dataDir, entries);
    return dataDir;
  });
}

/** Makes the log in an empty directory. */
export async function fillNew(bench: Bench, dataDir: string, entries: number): Promise<void> {
  const server = await Indelible.start({ dataDir });
  await server.createLog(LOG, 'raw');
  await fill(bench, server, { form: 'add-batch', bodies: rawBatches(), entries });
  await server.close();
}

export function rawBatches(): Body[] {
  return Array.from({ length: 4 }, () => rawBatch(BATCH, SIZE));
}

export interface Filling {
  readonly form: Form;
  /** Of the same number of entries each. */
  readonly bodies: readonly Body[];
  /** A multiple of that. */
  readonly entries: number;
}

/** Appends to the log `bench`, and waits until all is indexed and signed. */
export async function fill(bench: Bench, server: Indelible, { form, bodies, entries }: Filling): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const { length: each } = (bodies[0] as Body).unique;
  // A log may be filled twice.
  const mark = Date.now().toString(16).slice(-8);
  const place = { log: server.log(LOG), form, headers: server.headers };
  let done = 0;
  await forEach(Array(entries / each).keys(), 4, async (i) => {
    const body = withUniqueDigits(bodies[i % bodies.length] as Body, mark, i * each);
    const reply = await post(place, agent, body);
    if (reply === undefined) throw new Error('the server ended while a log was filled');
    done += each;
    if (done % 100_000 === 0)
      bench.progress(`${done.toLocaleString('en-US')} of ${entries.toLocaleString('en-US')} entries`);
  });
  agent.destroy();
  await server.indexed();
  await server.size(LOG);
}
