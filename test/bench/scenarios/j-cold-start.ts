/** After kill -9, how long until the server answers: recovery must not read the log, however long it is. */
import { timeOfNode, timeToFirstAnswer } from '../measure/cold-start.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { fill, fillNew, rawBatches, rawStore } from '../measure/stores.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import { Indelible } from '../subjects/indelible.ts';

const LARGE = 10_000_000;
const SMALL = 10_000;

/** A start takes less than a second, and swings with the machine. */
const PAIRS = 7;

/** Written just before each kill, so that there is as much to recover in both. */
const FRESH = 1000;

export const scenario: Scenario = {
  id: 'j',
  title: 'start to first answer after kill -9, 10 M entries against 10,000; files are in the page cache',
  quick: false,
  async run(bench: Bench): Promise<Finding> {
    const large = await rawStore(bench, LARGE);
    const small = bench.folder('small');
    await fillNew(bench, small, SMALL);
    const start = async (dataDir: string): Promise<number> => {
      const server = await Indelible.start({ dataDir });
      await fill(bench, server, { form: 'add-batch', bodies: rawBatches(), entries: FRESH });
      await server.stop();
      bench.progress('starting again');
      const took = await timeToFirstAnswer(server);
      await server.stop();
      return took;
    };
    const { of10M, of10k, ofNode } = await alternate(PAIRS, {
      of10M: () => start(large),
      of10k: () => start(small),
      ofNode: timeOfNode,
    });
    const own = (milliseconds: number): number => milliseconds;
    const subject = 'indelible';
    return {
      series: [
        { subject, under: '10 M entries', figure: 'start to answer', unit: 'ms', values: of10M },
        { subject, under: '10,000 entries', figure: 'start to answer', unit: 'ms', values: of10k },
        { subject: 'node -e 0', figure: 'start to end', unit: 'ms', values: ofNode },
      ],
      ratios: [
        {
          text: 'process start to first answer, 10 M entries against 10,000',
          values: ratios(of10M, own, of10k, own),
          atMost: 1.2,
        },
        {
          text: 'the same at 10 M, less a start of Node without a program',
          unit: 'ms',
          values: of10M.map((milliseconds, i) => milliseconds - (ofNode[i] as number)),
          atMost: 1000,
        },
      ],
    };
  },
};
