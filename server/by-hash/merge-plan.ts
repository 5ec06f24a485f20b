/**
 * Which runs are merged: as many of one tier as `fanIn`, into one of a higher tier. A run of tier t has from fanIn^t to fanIn^(t+1) − 1
 * leaves. So a leaf is merged once a tier, and a look-up has to look at fewer than fanIn runs of each.
 */

/** Runs of at least this many leaves stay as they are: sixteen of them would have more than an offset can count. */
const LARGEST = 2 ** 28;

/** The runs to merge next, given the numbers of leaves of all runs in the order of the log: from `from` (inclusive) to `to` (exclusive). */
export function nextMerge(counts: readonly number[], fanIn: number): { from: number; to: number } | undefined {
  let from = counts.findLastIndex((count) => count >= LARGEST) + 1;
  const tiers = counts.map((count) => tierOf(count, fanIn));
  for (let to = from + 1; to <= tiers.length; to++) {
    const tier = tiers[to - 1] as number;
    const next = tiers[to];
    if (next !== undefined && next > tier) {
      // Small ones before a larger one, as where many logs left little room in memory for a while, go with it: there might be some
      // before every larger one.
      while (from > 0 && (tiers[from - 1] as number) < next && (counts[from - 1] as number) < LARGEST) from--;
      return { from, to: to + 1 };
    }
    if (to - from === fanIn) return { from, to };
    if (next !== tier) from = to;
  }
  return undefined;
}

function tierOf(count: number, fanIn: number): number {
  let tier = 0;
  for (let least = fanIn; least <= count; least *= fanIn) tier++;
  return tier;
}
