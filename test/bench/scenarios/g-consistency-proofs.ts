/** Consistency proofs between any two sizes, against inclusion proofs of the same log: they need more tiles. */
import { consistencyPaths, everyTile, inclusionPaths, PROOF_SIZE } from '../measure/proofs.ts';
import { readBareHttp, readCpu, readIndelible, readRate, readSeries } from '../measure/reading.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { rawStore } from '../measure/stores.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';

export const scenario: Scenario = {
  id: 'g',
  title: 'consistency proofs of random pairs in 1 M entries (quick: 100,000), tiles warm',
  quick: true,
  async run(bench: Bench): Promise<Finding> {
    const full = bench.mode === 'full';
    const entries = full ? 1_000_000 : 100_000;
    const dataDir = await rawStore(bench, entries);
    const warm = [...everyTile(0, entries)];
    const { consistency, inclusion, bare } = await alternate(bench.pairs, {
      consistency: () => readIndelible(bench, dataDir, { paths: consistencyPaths(entries), warm }),
      inclusion: full ? () => readIndelible(bench, dataDir, { paths: inclusionPaths(0, entries), warm }) : undefined,
      bare: () => readBareHttp(bench, PROOF_SIZE),
    });
    const against = {
      text: 'consistency proofs/s against inclusion proofs/s',
      values: ratios(consistency, readRate, inclusion, readRate),
      atLeast: 0.7,
      aim: 0.9,
    };
    return {
      series: [
        ...readSeries('consistency', consistency),
        ...readSeries('inclusion', inclusion),
        ...readSeries(`${PROOF_SIZE} B`, bare),
      ],
      ratios: [
        ...(full ? [against] : []),
        { text: 'CPU per proof, in bare requests', values: ratios(consistency, readCpu, bare, readCpu), kept: true },
      ],
    };
  },
};
