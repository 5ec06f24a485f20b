/** Batches against hypercore, a library that is called directly, and that does not wait for the disk. */
import { rawBatch } from '../measure/payloads.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { foundIn, writtenSeries } from '../measure/series.ts';
import { type Writing, writeIndelible } from '../measure/writing.ts';
import type { Bench, Finding, Scenario, Series } from '../scenario.ts';
import { type Appends, findHypercore, measureHypercore } from '../subjects/hypercore.ts';

const ENTRIES = 1000;
const SIZE = 200;

export const scenario: Scenario = {
  id: 'd',
  title: 'batches of 1,000 entries against append(1000) of hypercore',
  quick: false,
  async run(bench: Bench): Promise<Finding> {
    const peer = findHypercore(bench);
    if ('missing' in peer) return { series: [], ratios: [], skipped: [peer.missing] };
    const bodies = Array.from({ length: 4 }, () => rawBatch(ENTRIES, SIZE));
    const writing: Writing = { form: 'add-batch', bodies, connections: 4 };
    const append = (): Promise<Appends> => {
      bench.progress('hypercore');
      const options = { storage: bench.folder('hypercore'), batch: ENTRIES, size: SIZE, seconds: bench.seconds };
      return measureHypercore(peer.found, options);
    };
    const hypercore: Appends[] = [];
    const { indelible } = await alternate(bench.pairs, {
      indelible: async () => {
        const written = await writeIndelible(bench, writing);
        hypercore.push(await append());
        return written;
      },
    });
    const series = (figure: string, unit: string, value: (round: Appends) => number): Series => ({
      ...{ subject: 'hypercore', under: 'not durable', figure, unit },
      values: hypercore.map(value),
    });
    const rate = ({ entriesPerSecond }: Appends): number => entriesPerSecond;
    const cpu = ({ cpuMicros }: Appends): number => cpuMicros;
    return {
      series: [
        ...writtenSeries('durable, index on', indelible),
        series('entries', '/s', rate),
        series('CPU', 'µs', cpu),
      ],
      ratios: [
        {
          text: 'entries/s, ours durable, against hypercore',
          values: ratios(indelible, (round) => round.indexedPerSecond, hypercore, rate),
          atLeast: 3,
          aim: 5,
        },
        {
          text: 'hypercore’s CPU per entry against ours',
          values: ratios(hypercore, cpu, indelible, (round) => round.cpuMicros),
        },
      ],
      found: foundIn(indelible),
    };
  },
};
