/** Rounds as the series of a report. */
import type { Series } from '../scenario.ts';
import type { Written } from './writing.ts';

/** What is shown of rounds of writing, under conditions such as `256 connections`; none of a peer that is missing. */
export function writtenSeries(under: string, rounds: readonly Written[]): Series[] {
  const subject = rounds[0]?.subject ?? '';
  const series = (figure: string, unit: string, value: (round: Written) => number): Series => ({
    ...{ subject, under, figure, unit },
    values: rounds.map(value),
  });
  const all = [
    series('entries', '/s', (round) => round.perSecond),
    series('indexed', '/s', (round) => round.indexedPerSecond),
    series('CPU', 'µs', (round) => round.cpuMicros),
    series('p50', 'ms', (round) => round.p50),
    series('p99', 'ms', (round) => round.p99),
    series('p99.9', 'ms', (round) => round.p999),
    series('RSS', 'MB', (round) => round.rssBytes / 1e6),
    series('peak RSS', 'MB', (round) => round.peakRssBytes / 1e6),
    series('disk', 'B', (round) => round.diskBytes),
  ];
  return all.filter(({ values }) => values.some((value) => value > 0));
}

/** How many entries were found after kill -9, over all rounds. */
export function foundIn(...rounds: readonly (readonly Written[])[]): number {
  return rounds.flat().reduce((sum, { found }) => sum + found, 0);
}
