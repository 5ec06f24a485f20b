/**
 * Batches of 1,000 entries. The clock stops when every leaf can be found by its hash, in memory or on the disk. What the index has yet to
 * write and to merge then is not counted (docs/performance.md, How it is measured).
 */
import { eventOf, ndjson, rawBatch, rawEntries, realEvents } from '../measure/payloads.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { foundIn, writtenSeries } from '../measure/series.ts';
import {
  cpu,
  indexedRate,
  rate,
  type Writing,
  writeBareHttp,
  writeIndelible,
  writeTessera,
} from '../measure/writing.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import { findTessera } from '../subjects/tessera.ts';

const ENTRIES = 1000;
/** Enough that one batch is read while another is committed. */
const CONNECTIONS = 4;

/** Real events are few, so that a batch of them comes round again; its ids do not. */
function realBatches(): string[][] {
  const events = realEvents();
  return Array.from({ length: Math.floor(events.length / ENTRIES) }, (_, i) =>
    events.slice(i * ENTRIES, (i + 1) * ENTRIES),
  );
}

export const scenario: Scenario = {
  id: 'c',
  title: 'batches of 1,000 entries, index on and caught up',
  quick: true,
  async run(bench: Bench): Promise<Finding> {
    const full = bench.mode === 'full';
    const peer = findTessera(bench);
    const some = <T>(make: () => T): T[] => Array.from({ length: 4 }, make);
    const raw: Writing = { form: 'add-batch', bodies: some(() => rawBatch(ENTRIES, 200)), connections: CONNECTIONS };
    const events: Writing = {
      form: 'events',
      bodies: some(() => ndjson(Array.from({ length: ENTRIES }, () => eventOf(200)))),
      connections: CONNECTIONS,
    };
    const larger: Writing = {
      form: 'add-batch',
      bodies: some(() => rawBatch(ENTRIES, 1024)),
      connections: CONNECTIONS,
    };
    const real: Writing = { form: 'events', bodies: realBatches().map(ndjson), connections: CONNECTIONS };
    const single: Writing = { form: 'add', bodies: rawEntries(200), connections: 256 };

    const rounds = await alternate(bench.pairs, {
      raw: () => writeIndelible(bench, raw),
      events: () => writeIndelible(bench, events),
      tessera: full && 'found' in peer ? () => writeTessera(bench, peer.found, single) : undefined,
      bare: () => writeBareHttp(bench, single),
      larger: full ? () => writeIndelible(bench, larger) : undefined,
      real: full ? () => writeIndelible(bench, real) : undefined,
    });
    const against = [
      {
        text: 'raw entries/s against Tessera’s single writes/s at 256 connections',
        values: ratios(rounds.raw, indexedRate, rounds.tessera, rate),
        atLeast: 5,
        aim: 6.5,
      },
      {
        text: 'NDJSON events/s against the same',
        values: ratios(rounds.events, indexedRate, rounds.tessera, rate),
        atLeast: 3,
        aim: 5,
      },
    ];
    return {
      series: [
        ...writtenSeries('raw, 200 B', rounds.raw),
        ...writtenSeries('raw, 1 KiB', rounds.larger),
        ...writtenSeries('events, 200 B', rounds.events),
        ...writtenSeries('events of CloudTrail', rounds.real),
        ...writtenSeries('single entries, 256 connections', rounds.tessera),
        ...writtenSeries('single entries, 256 connections', rounds.bare),
      ],
      ratios: [
        ...(rounds.tessera.length > 0 ? against : []),
        { text: 'CPU per raw entry, in bare requests', values: ratios(rounds.raw, cpu, rounds.bare, cpu), kept: true },
        { text: 'CPU per event, in bare requests', values: ratios(rounds.events, cpu, rounds.bare, cpu), kept: true },
      ],
      found: foundIn(rounds.raw, rounds.events, rounds.larger, rounds.real),
      skipped: full && 'missing' in peer ? [peer.missing] : [],
    };
  },
};
