/** What one run of a harness, or of one of its planted bugs, comes to. */
import type { Harness, Outcome } from './harness.ts';

export interface Result {
  readonly harness: Harness;
  /** The bug that was planted, or `undefined`. */
  readonly plant: string | undefined;
  readonly outcome: Outcome;
  readonly seconds: number;
  readonly mode: 'quick' | 'full';
  readonly seed: number;
}

/** Violations that are shown; the rest are counted. */
const SHOWN = 10;

export interface Description {
  /** Whether nothing was violated, or, of a planted bug, whether something was. */
  readonly good: boolean;
  readonly text: string;
  readonly record: object;
}

export function describe({ harness, plant, outcome, seconds, mode, seed }: Result): Description {
  const { id, unit } = harness;
  const { tried, violations, seen } = outcome;
  // Caught is what the oracle saw; a harness that tried nothing has seen nothing.
  const good = plant === undefined ? violations.length === 0 && tried > 0 : violations.length > 0 && tried > 0;
  const figures = Object.entries(seen).map(([name, value]) => `${value.toLocaleString('en-US')} ${name}`);
  const title = plant === undefined ? id : `${id} with the bug ${plant}`;
  const verdict = plant === undefined ? (good ? 'held' : 'VIOLATED') : good ? 'caught' : 'NOT CAUGHT';
  const first = `${title}: ${tried.toLocaleString('en-US')} ${unit}, seed ${seed}, ${Math.round(seconds)} s: ${verdict}`;
  const shown = violations.slice(0, SHOWN).map(({ seed: at, text }) => `  seed ${at}: ${text}`);
  if (violations.length > SHOWN) shown.push(`  and ${violations.length - SHOWN} more`);
  return {
    good,
    text: [first, ...(figures.length > 0 ? [`  ${figures.join(', ')}`] : []), ...shown].join('\n'),
    record: { harness: id, plant, mode, seed, tried, unit, seen, violations, seconds, good },
  };
}
