/** Bytes that the server sends to the disk for a byte of event, where each commit is small: the database's log, its tables, and their compactions. */
import { setTimeout as wait } from 'node:timers/promises';
import { crashAndLook } from '../measure/crash.ts';
import { eventOf, ndjson } from '../measure/payloads.ts';
import { alternate } from '../measure/rounds.ts';
import { LOG } from '../measure/stores.ts';
import { usageOf } from '../measure/usage.ts';
import { applyLoad, type Load, prepare } from '../measure/wrk.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import { Indelible } from '../subjects/indelible.ts';

const EVENTS = 10;
const SIZE = 16_384;
const BODY = EVENTS * SIZE;

/** Several hundred MB, so that tables are compacted more than once. */
const SECONDS = 12;

interface Amplified {
  readonly load: Load;
  readonly found: number;
}

/** One connection, so that each batch is a commit of its own. */
async function round(bench: Bench): Promise<Amplified> {
  const server = await Indelible.start({ dataDir: bench.folder('data') });
  await server.createLog(LOG, 'events');
  const bodies = Array.from({ length: 16 }, () => ndjson(Array.from({ length: EVENTS }, () => eventOf(SIZE))));
  const requests = prepare(
    bench.folder('requests'),
    'events',
    bodies.map((body) => ({
      method: 'POST',
      path: `/logs/${LOG}/events`,
      headers: { ...server.headers, 'content-type': 'application/x-ndjson' },
      body,
    })),
  );
  const settle = (): Promise<void> => written(server.pid);
  bench.progress('batches of 10 over one connection');
  const load = await applyLoad({ subject: server, requests, connections: 1, seconds: SECONDS, settle });
  bench.progress('kill -9 under load, and a look for what was acknowledged');
  const found = await crashAndLook({ server, logs: [LOG], form: 'events', bodies, requests, connections: 1 });
  await server.stop();
  return { load, found };
}

/** Waits until nothing has been written for two seconds: compactions run after the last reply, too. */
async function written(pid: number): Promise<void> {
  for (let before = -1, now = usageOf(pid).writtenBytes; now !== before; now = usageOf(pid).writtenBytes) {
    before = now;
    await wait(2000);
  }
}

export const scenario: Scenario = {
  id: 'n',
  title: 'write amplification: 10 events of 16 KiB a commit',
  quick: false,
  async run(bench: Bench): Promise<Finding> {
    const { rounds } = await alternate(bench.pairs, { rounds: () => round(bench) });
    const of = (figure: (load: Load) => number): number[] => rounds.map(({ load }) => figure(load));
    const common = { subject: 'indelible', under: '10 events of 16 KiB a commit' };
    return {
      series: [
        { ...common, figure: 'commits', unit: '/s', values: of(({ perSecond }) => perSecond) },
        { ...common, figure: 'payload', unit: 'MB', values: of(({ requests }) => (requests * BODY) / 1e6) },
        { ...common, figure: 'written', unit: 'MB', values: of(({ writtenBytes }) => writtenBytes / 1e6) },
      ],
      ratios: [
        {
          text: 'bytes sent to the disk for a byte of event, compactions included',
          values: of(({ requests, writtenBytes }) => writtenBytes / (requests * BODY)),
          atMost: 4,
        },
      ],
      found: rounds.reduce((sum, { found }) => sum + found, 0),
    };
  },
};
