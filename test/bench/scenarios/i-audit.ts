/** A whole log, read as bundles, hashed and compared with its root: in Node over HTTP, in Chromium the hashing alone. */
import { EVENT_LEAF_SIZE } from '../../../proofs/leaf.ts';
import { eventOf, ndjson } from '../measure/payloads.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { fill, LOG, rawStore } from '../measure/stores.ts';
import type { Bench, Finding, Ratio, Scenario, Series } from '../scenario.ts';
import { type Audited, audit } from '../subjects/audit.ts';
import { findChromium, hashInChromium } from '../subjects/chromium.ts';
import { Indelible } from '../subjects/indelible.ts';

const EVENTS = 500_000;

export const scenario: Scenario = {
  id: 'i',
  title: 'audit of a whole log: in Node over HTTP, from the second round of the process on; in Chromium its hashing',
  quick: false,
  async run(bench: Bench): Promise<Finding> {
    const [inNode, inChromium] = [await auditInNode(bench), await auditInChromium(bench)];
    return {
      series: [...inNode.series, ...inChromium.series],
      ratios: [...inNode.ratios, ...inChromium.ratios],
      skipped: inChromium.skipped ?? [],
    };
  },
};

async function auditInNode(bench: Bench): Promise<Finding> {
  const rawDir = await rawStore(bench, 1_000_000);
  const eventsDir = await eventsStore(bench);
  const one = async (what: string, dataDir: string): Promise<Audited> => {
    bench.progress(`auditing a log of ${what}`);
    const server = await Indelible.start({ dataDir });
    const audited = await audit(server.log(LOG), bench.seconds);
    await server.close();
    return audited;
  };
  const { events, raw } = await alternate(bench.pairs, {
    events: () => one('events', eventsDir),
    raw: () => one('raw entries', rawDir),
  });
  return {
    series: [...auditSeries('log of events, Node', events), ...auditSeries('raw log of 200 B, Node', raw)],
    ratios: [ofCore('events', events), ofCore('raw entries of 200 B', raw)],
  };
}

/** An auditor waits for the server, which has a core of its own: what a core can do is what its CPU time says. */
function ofCore(what: string, rounds: readonly Audited[]): Ratio {
  return {
    text: `${what} audited in Node in a second of its CPU`,
    unit: '/s',
    values: rounds.map(({ cpuMicros }) => 1e6 / cpuMicros),
    atLeast: 250_000,
    aim: 500_000,
  };
}

function auditSeries(under: string, rounds: readonly Audited[]): Series[] {
  const common = { subject: 'auditor', under };
  return [
    { ...common, figure: 'entries', unit: '/s', values: rounds.map(({ entriesPerSecond }) => entriesPerSecond) },
    { ...common, figure: 'CPU', unit: 'µs', values: rounds.map(({ cpuMicros }) => cpuMicros) },
  ];
}

function eventsStore(bench: Bench): Promise<string> {
  return bench.once('events', async (dataDir) => {
    const server = await Indelible.start({ dataDir });
    await server.createLog(LOG, 'events');
    const bodies = Array.from({ length: 4 }, () => ndjson(Array.from({ length: 1000 }, () => eventOf(200))));
    await fill(bench, server, { form: 'events', bodies, entries: EVENTS });
    await server.close();
    return dataDir;
  });
}

async function auditInChromium(bench: Bench): Promise<Finding> {
  const peer = findChromium();
  if ('missing' in peer) return { series: [], ratios: [], skipped: [peer.missing] };
  const series: Series[] = [];
  const found: Ratio[] = [];
  for (const [what, size] of [
    ['leaves of events', EVENT_LEAF_SIZE],
    ['raw entries of 200 B', 200],
  ] as const) {
    bench.progress(`hashing ${what} in Chromium`);
    const { lanes, plain } = await hashInChromium(peer.found, { size, seconds: 2, pairs: bench.pairs });
    const own = (rate: number): number => rate;
    const common = { under: `${what}, Chromium`, figure: 'entries', unit: '/s' };
    series.push({ ...common, subject: 'lanes', values: lanes }, { ...common, subject: 'plain noble', values: plain });
    const text = `${what} hashed to their root in Chromium, against plain noble`;
    found.push({ text, values: ratios(lanes, own, plain, own), atLeast: 5 });
  }
  return { series, ratios: found };
}
