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

/** Bytes of events in a round at least, so that tables are compacted more than once; by time, a slow disk would be measured before that. */
const PAYLOAD = 400e6;
/** Of one run of load; there are as many as the payload takes. */
const SECONDS = 12;

interface Amplified {
  readonly commitsPerSecond: number;
  readonly payloadBytes: number;
  readonly writtenBytes: number;
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
  const loads: Load[] = [];
  const sum = (figure: (load: Load) => number): number => loads.reduce((all, load) => all + figure(load), 0);
  const payload = (): number => sum((load) => load.requests) * BODY;
  while (payload() < PAYLOAD) {
    // What a run leaves to compact is waited for and counted with it, so that nothing is written between two of them.
    const warmUp = loads.length === 0 ? 2 : 0;
    loads.push(await applyLoad({ subject: server, requests, connections: 1, seconds: SECONDS, warmUp, settle }));
  }
  bench.progress('kill -9 under load, and a look for what was acknowledged');
  const found = await crashAndLook({ server, logs: [LOG], form: 'events', bodies, requests, connections: 1 });
  await server.stop();
  return {
    commitsPerSecond: sum((load) => load.requests) / sum((load) => load.seconds),
    payloadBytes: payload(),
    writtenBytes: sum((load) => load.writtenBytes),
    found,
  };
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
    const of = (figure: (round: Amplified) => number): number[] => rounds.map(figure);
    const common = { subject: 'indelible', under: '10 events of 16 KiB a commit' };
    return {
      series: [
        { ...common, figure: 'commits', unit: '/s', values: of((each) => each.commitsPerSecond) },
        { ...common, figure: 'payload', unit: 'MB', values: of((each) => each.payloadBytes / 1e6) },
        { ...common, figure: 'written', unit: 'MB', values: of((each) => each.writtenBytes / 1e6) },
      ],
      ratios: [
        {
          text: 'bytes sent to the disk for a byte of event, compactions included',
          values: of((each) => each.writtenBytes / each.payloadBytes),
          atMost: 4,
        },
      ],
      found: rounds.reduce((sum, { found }) => sum + found, 0),
    };
  },
};
