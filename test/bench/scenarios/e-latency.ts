/** From request to durable answer, 64 connections that each wait for their answer. */
import { rawEntries } from '../measure/payloads.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { foundIn, writtenSeries } from '../measure/series.ts';
import { type Writing, type Written, writeIndelible, writeTessera } from '../measure/writing.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import { findTessera } from '../subjects/tessera.ts';

export const scenario: Scenario = {
  id: 'e',
  title: 'latency to durable, 64 connections',
  quick: false,
  async run(bench: Bench): Promise<Finding> {
    const peer = findTessera(bench);
    const bodies = rawEntries(200);
    const writing: Writing = { form: 'add', bodies, connections: 64 };
    const { indelible, tessera } = await alternate(bench.pairs, {
      indelible: () => writeIndelible(bench, writing),
      tessera: 'found' in peer ? () => writeTessera(bench, peer.found, writing) : undefined,
    });
    const p50 = (round: Written): number => round.p50;
    const against = { text: 'Tessera’s p50 against ours', values: ratios(tessera, p50, indelible, p50), atLeast: 20 };
    return {
      series: [...writtenSeries('64 connections', indelible), ...writtenSeries('64 connections', tessera)],
      ratios: [
        { text: 'p50 to durable, 64 connections', unit: 'ms', values: indelible.map(p50), atMost: 10 },
        {
          text: 'p99 to durable, 64 connections',
          unit: 'ms',
          values: indelible.map((round) => round.p99),
          atMost: 50,
          aim: 15,
        },
        ...(tessera.length > 0 ? [against] : []),
      ],
      found: foundIn(indelible),
      skipped: 'missing' in peer ? [peer.missing] : [],
    };
  },
};
