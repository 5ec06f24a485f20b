/** Rounds in turn: A B A B, so that a machine that becomes slower for a minute does so for everybody. */

/** A round of each subject a pair, in the order given; one that is undefined is missing, and has no rounds. */
export async function alternate<K extends string, T>(
  pairs: number,
  subjects: Readonly<Record<K, (() => Promise<T>) | undefined>>,
): Promise<Record<K, T[]>> {
  const names = Object.keys(subjects) as K[];
  const rounds = Object.fromEntries(names.map((name) => [name, [] as T[]])) as Record<K, T[]>;
  for (let pair = 0; pair < pairs; pair++) {
    for (const name of names) {
      const round = await subjects[name]?.();
      if (round !== undefined) rounds[name].push(round);
    }
  }
  return rounds;
}

/** Ratio of one figure in each pair of rounds; none where one of the two is missing. */
export function ratios<T, U>(
  above: readonly T[],
  ofAbove: (round: T) => number,
  below: readonly U[],
  ofBelow: (round: U) => number,
): number[] {
  const pairs = Math.min(above.length, below.length);
  return above.slice(0, pairs).map((round, i) => ofAbove(round) / ofBelow(below[i] as U));
}
