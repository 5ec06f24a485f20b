/** Rounds in turn: A B A B, so that a machine that becomes slower for a minute does so for everybody. */

/** Runs each subject once a pair, in the order given; the values come in the order of the rounds. */
export async function alternate<K extends string, T>(
  pairs: number,
  subjects: Readonly<Record<K, () => Promise<T>>>,
): Promise<Record<K, T[]>> {
  const names = Object.keys(subjects) as K[];
  const rounds = Object.fromEntries(names.map((name) => [name, [] as T[]])) as Record<K, T[]>;
  for (let pair = 0; pair < pairs; pair++) {
    for (const name of names) rounds[name].push(await subjects[name]());
  }
  return rounds;
}

/** Ratio of each pair of rounds. */
export function ratios(above: readonly number[], below: readonly number[]): number[] {
  return above.map((value, i) => value / (below[i] as number));
}
