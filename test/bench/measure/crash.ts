/**
 * The end of every timed run of ours that writes: kill -9 in the middle of the load, a restart, and a look for what was acknowledged. A
 * log that answers before its entries are on the disk is fast, too.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Indelible } from '../subjects/indelible.ts';
import { lookFor } from './look.ts';
import type { Body } from './payloads.ts';
import { type Form, record } from './recorder.ts';
import { Wrk } from './wrk.ts';

/** Of the client that records; the load beside it has many more. */
const CONNECTIONS = 8;

export interface CrashOptions {
  readonly server: Indelible;
  /** To which the load writes. */
  readonly logs: readonly string[];
  readonly form: Form;
  readonly bodies: readonly Body[];
  /** The load of the timed run. */
  readonly requests: string;
  readonly connections: number;
}

/**
 * Loads the server, kills it, starts it again. Returns how many acknowledged entries were compared, index and bytes, and throws an
 * Error if one is missing or differs. What the load had acknowledged is counted: the log must have grown by at least so much.
 */
export async function crashAndLook(options: CrashOptions): Promise<number> {
  const { server, logs, form, bodies, requests, connections } = options;
  const before = await server.sizeOfAll(logs);
  const load = new Wrk({ subject: server, requests, connections, seconds: 30 });
  const kill = async () => {
    await wait(1000);
    await server.stop();
    await load.interrupt();
    return load.result;
  };
  const watched = logs.slice(0, CONNECTIONS);
  const recordings = watched.map(async (log) => ({
    log,
    recorded: await record({
      ...{ log: server.log(log), form, headers: server.headers, bodies },
      connections: Math.floor(CONNECTIONS / watched.length),
    }),
  }));
  const [{ requests: answered, refused }, ...records] = await Promise.all([kill(), ...recordings]);
  const count = records.reduce((sum, { recorded }) => sum + recorded.length, 0);
  if (count === 0) throw new Error('nothing was acknowledged to the client that records');
  await server.restart();

  const entries = (bodies[0] as Body).unique.length;
  const least = before + (answered - refused) * entries + count;
  const size = await server.sizeOfAll(logs);
  // Not `size < least`, which is false where one of them is no number.
  if (!(size >= least)) throw new Error(`after kill -9 there are ${size} entries, and ${least} were acknowledged`);
  for (const { log, recorded } of records) {
    await lookFor(recorded, { server, log, form, size: await server.size(log) });
  }
  return count;
}
