/**
 * Batches against hypercore, a library that is called directly, and that as shipped does not wait for the disk. The load differs: ours comes
 * over several connections, and what arrives together is one commit; hypercore takes one append after the other. So the texts say it.
 */
import { rawBatch } from '../measure/payloads.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { foundIn, writtenSeries } from '../measure/series.ts';
import { cpu, indexedRate, type Writing, type Written, writeIndelible } from '../measure/writing.ts';
import type { Bench, Finding, Scenario, Series } from '../scenario.ts';
import { type Appends, findHypercore, measureHypercore } from '../subjects/hypercore.ts';

const ENTRIES = 1000;
const SIZE = 200;
/** Enough for both cores to be busy. */
const CONNECTIONS = 12;

const OURS = `durable, ${CONNECTIONS} connections`;
const ITS = 'one append of 1,000 at a time';

export const scenario: Scenario = {
  id: 'd',
  title: 'batches of 1,000 entries against append(1000) of hypercore',
  quick: false,
  async run(bench: Bench): Promise<Finding> {
    const peer = findHypercore(bench);
    if ('missing' in peer) return { series: [], ratios: [], skipped: [peer.missing] };
    const bodies = Array.from({ length: 4 }, () => rawBatch(ENTRIES, SIZE));
    const writing: Writing = { form: 'add-batch', bodies, connections: CONNECTIONS };
    const ours: Written[] = [];
    const append = async (durable: boolean): Promise<Appends> => {
      bench.progress(`hypercore, ${durable ? 'made durable' : 'as shipped'}`);
      const storage = bench.folder('hypercore');
      return measureHypercore(peer.found, { storage, batch: ENTRIES, size: SIZE, seconds: bench.seconds, durable });
    };
    const { shipped, synced } = await alternate(bench.pairs, {
      shipped: async () => {
        ours.push(await writeIndelible(bench, writing));
        return append(false);
      },
      synced: () => append(true),
    });
    const rate = ({ entriesPerSecond }: Appends): number => entriesPerSecond;
    const itsCpu = ({ cpuMicros }: Appends): number => cpuMicros;
    return {
      series: [
        ...writtenSeries(`${OURS}, index on`, ours),
        ...appendSeries(`as shipped, ${ITS}`, shipped),
        ...appendSeries(`log synced after each append, ${ITS}`, synced),
      ],
      ratios: [
        {
          text: `entries/s, ours ${OURS}, against hypercore as shipped, ${ITS}`,
          values: ratios(ours, indexedRate, shipped, rate),
          atLeast: 3,
          aim: 5,
        },
        {
          text: `entries/s, both durable: ours over ${CONNECTIONS} connections, hypercore ${ITS}`,
          values: ratios(ours, indexedRate, synced, rate),
        },
        {
          text: `hypercore’s CPU per entry, ${ITS}, against ours over ${CONNECTIONS} connections`,
          values: ratios(shipped, itsCpu, ours, cpu),
        },
      ],
      found: foundIn(ours),
    };
  },
};

function appendSeries(under: string, rounds: readonly Appends[]): Series[] {
  const common = { subject: 'hypercore', under };
  return [
    { ...common, figure: 'entries', unit: '/s', values: rounds.map((round) => round.entriesPerSecond) },
    { ...common, figure: 'CPU', unit: 'µs', values: rounds.map((round) => round.cpuMicros) },
  ];
}
