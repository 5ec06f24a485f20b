/** Batches of real events against the same bytes as raw entries: what parsing, ids, salts and commitments cost. */
import { CLOUDTRAIL } from '../../support/events.ts';
import { asRaw, ndjson, rawEntries, realEvents } from '../measure/payloads.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { foundIn, writtenSeries } from '../measure/series.ts';
import { cpu, type Writing, writeBareHttp, writeIndelible } from '../measure/writing.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';

const ENTRIES = 1000;

const REAL = 'event of CloudTrail';
const MADE_UP = 'made-up event';

const inBareRequests = (what: string): string => `CPU per ${what}, in bare requests`;

export const scenario: Scenario = {
  id: 'm',
  title: 'batches of 1,000 events of CloudTrail against the same bytes as raw entries',
  quick: true,
  async run(bench: Bench): Promise<Finding> {
    const all = realEvents();
    const batches = Array.from({ length: Math.floor(all.length / ENTRIES) }, (_, i) =>
      ndjson(all.slice(i * ENTRIES, (i + 1) * ENTRIES)),
    );
    const connections = 4;
    const asEvents: Writing = { form: 'events', bodies: batches, connections };
    const asEntries: Writing = { form: 'add-batch', bodies: batches.map(asRaw), connections };
    const { events, raw, bare } = await alternate(bench.pairs, {
      events: () => writeIndelible(bench, asEvents),
      raw: () => writeIndelible(bench, asEntries),
      bare: () => writeBareHttp(bench, { form: 'add', bodies: rawEntries(200), connections: 256 }),
    });
    // Made-up ones are shorter, and not to be compared with a baseline of real ones.
    const [what, other] = CLOUDTRAIL === undefined ? [MADE_UP, REAL] : [REAL, MADE_UP];
    return {
      series: [...writtenSeries('events', events), ...writtenSeries('raw', raw), ...writtenSeries('200 B', bare)],
      ratios: [
        {
          text: `CPU per ${what} against the same as a raw entry`,
          values: ratios(events, cpu, raw, cpu),
          atMost: 2,
          aim: 1.5,
        },
        { text: inBareRequests(what), values: ratios(events, cpu, bare, cpu), kept: true },
      ],
      found: foundIn(events, raw),
      skipped: CLOUDTRAIL === undefined ? ['the CloudTrail events are not here; measured with 2,000 made-up ones'] : [],
      absent: [inBareRequests(other)],
    };
  },
};
