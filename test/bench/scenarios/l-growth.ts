/** What an append and a proof cost in a log that is a thousand times as long. */

import { rawEntries } from '../measure/payloads.ts';
import { everyTile, inclusionPaths } from '../measure/proofs.ts';
import { type Read, readCpu, readIndelible, readSeries } from '../measure/reading.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { foundIn, writtenSeries } from '../measure/series.ts';
import { fillNew, LOG, rawStore } from '../measure/stores.ts';
import { cpu, type Writing, type Written, writeInto } from '../measure/writing.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import { Indelible } from '../subjects/indelible.ts';

const LARGE = 10_000_000;
const SMALL = 10_000;

const WRITING: Writing = { form: 'add', bodies: rawEntries(200), connections: 256 };

interface Round {
  /** Of the newest 10,000. */
  readonly proofs: Read;
  readonly written: Written;
}

/** Proofs first: appends make the log longer. */
async function round(bench: Bench, dataDir: string): Promise<Round> {
  const server = await Indelible.start({ dataDir });
  const size = await server.size(LOG);
  await server.close();
  const newest = { paths: inclusionPaths(size - SMALL, SMALL), warm: everyTile(size - SMALL, SMALL) };
  const proofs = await readIndelible(bench, dataDir, newest);
  return { proofs, written: await writeInto(bench, await Indelible.start({ dataDir }), WRITING) };
}

export const scenario: Scenario = {
  id: 'l',
  title: 'growth from 10,000 to 10 M entries: CPU per append at 256 connections, index on, and per proof',
  quick: false,
  async run(bench: Bench): Promise<Finding> {
    const large = await rawStore(bench, LARGE);
    const anywhere: Read[] = [];
    const { of10M, of10k } = await alternate(bench.pairs, {
      of10M: async () => {
        anywhere.push(await readIndelible(bench, large, { paths: inclusionPaths(0, LARGE), warm: [] }));
        return round(bench, large);
      },
      of10k: async () => {
        const small = bench.folder('small');
        await fillNew(bench, small, SMALL);
        return round(bench, small);
      },
    });
    const ofProofs = ({ proofs }: Round): number => readCpu(proofs);
    const ofAppends = ({ written }: Round): number => cpu(written);
    const written = (rounds: readonly Round[]): Written[] => rounds.map((each) => each.written);
    const proofs = (rounds: readonly Round[]): Read[] => rounds.map((each) => each.proofs);
    return {
      series: [
        ...writtenSeries('appends from 10 M on', written(of10M)),
        ...writtenSeries('appends from 10,000 on', written(of10k)),
        ...readSeries('proofs of the newest 10,000 of 10 M', proofs(of10M)),
        ...readSeries('proofs of 10,000', proofs(of10k)),
        ...readSeries('proofs of any of 10 M', anywhere),
      ],
      ratios: [
        {
          text: 'CPU per append, from 10 M entries on against from 10,000 on',
          values: ratios(of10M, ofAppends, of10k, ofAppends),
          atMost: 1.7,
        },
        {
          text: 'CPU per inclusion proof of the newest 10,000 entries, warm, at 10 M against at 10,000',
          values: ratios(of10M, ofProofs, of10k, ofProofs),
          atMost: 1.3,
        },
        {
          text: 'the same of any entry of 10 M, which needs ten times the tiles that are kept in memory',
          values: ratios(anywhere, readCpu, of10k, ofProofs),
        },
      ],
      found: foundIn(written(of10M), written(of10k)),
    };
  },
};
