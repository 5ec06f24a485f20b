/** 10,000 logs in one server, each written to in turn, against one log: what a log costs that is one of many. */
import { forEach } from '../measure/concurrency.ts';
import { crashAndLook } from '../measure/crash.ts';
import { type Body, rawBatch, rawEntries } from '../measure/payloads.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { applyLoad, type Load, prepare } from '../measure/wrk.ts';
import type { Bench, Finding, Ratio, Scenario, Series } from '../scenario.ts';
import { Indelible } from '../subjects/indelible.ts';

const MANY = 10_000;
/** How many of them are written to by batches. */
const SOME = 1000;

interface Case {
  readonly form: 'add' | 'add-batch';
  readonly bodies: readonly Body[];
  readonly connections: number;
  readonly under: string;
  readonly atLeast?: number;
}

interface Round {
  readonly entriesPerSecond: number;
  readonly cpuMicros: number;
  readonly load: Load;
  readonly found: number;
}

/** A data directory with so many raw logs, and their names. */
async function makeLogs(bench: Bench, count: number): Promise<{ readonly dataDir: string; readonly logs: string[] }> {
  const dataDir = bench.folder('data');
  const logs = Array.from({ length: count }, (_, i) => `log-${i}`);
  const server = await Indelible.start({ dataDir });
  let made = 0;
  await forEach(logs, 32, async (log) => {
    await server.createLog(log, 'raw');
    made++;
    if (made % 500 === 0)
      bench.progress(`${made.toLocaleString('en-US')} of ${count.toLocaleString('en-US')} logs made`);
  });
  await server.sizeOfAll(logs);
  await server.close();
  return { dataDir, logs };
}

async function round(
  bench: Bench,
  { dataDir, logs }: { readonly dataDir: string; readonly logs: readonly string[] },
  { form, bodies, connections, under }: Case,
): Promise<Round> {
  const server = await Indelible.start({ dataDir });
  const headers = { ...server.headers, 'content-type': 'application/octet-stream' };
  // As many requests for one log as for many, or the generator would have less to read. Batches for all would be 200 MB.
  const turns = form === 'add' ? MANY : SOME;
  const logAt = (i: number): string => logs[i % logs.length] as string;
  const requests = prepare(
    bench.folder('requests'),
    form,
    Array.from({ length: turns }, (_, i) => ({
      ...{ method: 'POST' as const, path: `/logs/${logAt(i)}/${form}`, headers },
      body: bodies[i % bodies.length] as Body,
    })),
  );
  bench.progress(`${under}, to ${logs.length > 1 ? 'many logs' : 'one log'}`);
  const load = await applyLoad({
    ...{ subject: server, requests, connections, seconds: bench.seconds },
    settle: () => server.indexed(),
  });
  bench.progress('kill -9 under load, and a look for what was acknowledged');
  const found = await crashAndLook({ server, logs, form, bodies, requests, connections });
  await server.stop();
  const entries = (bodies[0] as Body).unique.length;
  return {
    ...{ load, found },
    entriesPerSecond: load.perSecond * entries,
    cpuMicros: load.cpuMicros / entries,
  };
}

const rate = ({ entriesPerSecond }: Round): number => entriesPerSecond;

function series(subject: string, under: string, rounds: readonly Round[]): Series[] {
  const common = { subject, under };
  return [
    { ...common, figure: 'entries', unit: '/s', values: rounds.map(rate) },
    { ...common, figure: 'CPU', unit: 'µs', values: rounds.map(({ cpuMicros }) => cpuMicros) },
    { ...common, figure: 'p99', unit: 'ms', values: rounds.map(({ load }) => load.p99) },
    { ...common, figure: 'RSS', unit: 'MB', values: rounds.map(({ load }) => load.rssBytes / 1e6) },
  ];
}

export const scenario: Scenario = {
  id: 'o',
  title: '10,000 logs in one server against one log',
  quick: false,
  async run(bench: Bench): Promise<Finding> {
    const cases: Case[] = [
      {
        form: 'add',
        bodies: rawEntries(200),
        connections: 256,
        under: 'single entries, 256 connections',
        atLeast: 0.5,
      },
      {
        form: 'add-batch',
        bodies: Array.from({ length: 4 }, () => rawBatch(100, 200)),
        connections: 16,
        under: 'batches of 100 to 1,000 of them',
      },
    ];
    const [many, one] = [await makeLogs(bench, MANY), await makeLogs(bench, 1)];
    const finding = { series: [] as Series[], ratios: [] as Ratio[], found: 0 };
    for (const each of cases) {
      // What is only shown runs once: with so many logs a round takes half a minute.
      const rounds = await alternate(each.atLeast === undefined ? 1 : bench.pairs, {
        many: () => round(bench, many, each),
        one: () => round(bench, one, each),
      });
      finding.series.push(
        ...series('10,000 logs', each.under, rounds.many),
        ...series('one log', each.under, rounds.one),
      );
      finding.ratios.push({
        text: `entries/s to 10,000 logs against one, ${each.under}`,
        values: ratios(rounds.many, rate, rounds.one, rate),
        ...(each.atLeast === undefined ? {} : { atLeast: each.atLeast }),
      });
      finding.found += [...rounds.many, ...rounds.one].reduce((sum, { found }) => sum + found, 0);
    }
    return finding;
  },
};
