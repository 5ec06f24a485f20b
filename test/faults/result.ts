/** What one run of a harness, or of one of its planted bugs, comes to. */
import type { Harness, Outcome, Plant } from './harness.ts';

export interface Result {
  readonly harness: Harness;
  /** The bug that was planted, or `undefined`. */
  readonly plant: string | undefined;
  readonly outcome: Outcome;
  /** How many faults were to be tried. */
  readonly count: number;
  readonly seconds: number;
  readonly mode: 'quick' | 'full';
  readonly seed: number;
}

/** Violations that are shown; the rest are counted. */
const SHOWN = 10;
/** Of fewer faults than these chance may give none of what not each of them gives. */
const FEW = 10;

export interface Description {
  /** Whether nothing was violated and enough was seen, or, of a planted bug, whether what it does was. */
  readonly good: boolean;
  readonly text: string;
  readonly record: object;
}

export function describe(result: Result): Description {
  const { harness, plant, outcome, seconds, mode, seed } = result;
  const { id, unit } = harness;
  const { tried, violations, seen } = outcome;
  const lacks = plant === undefined && violations.length === 0 ? lacking(result) : [];
  const good = tried > 0 && (plant === undefined ? violations.length + lacks.length === 0 : isCaught(result, plant));
  const figures = Object.entries(seen).map(([name, value]) => `${value.toLocaleString('en-US')} ${name}`);
  const title = plant === undefined ? id : `${id} with the bug ${plant}`;
  const [right, wrong] =
    plant === undefined ? ['held', lacks.length > 0 ? 'SAW TOO LITTLE' : 'VIOLATED'] : ['caught', 'NOT CAUGHT'];
  const verdict = good ? right : wrong;
  const first = `${title}: ${tried.toLocaleString('en-US')} ${unit}, seed ${seed}, ${Math.round(seconds)} s: ${verdict}`;
  const shown = violations.slice(0, SHOWN).map(({ seed: at, text }) => `  seed ${at}: ${text}`);
  shown.push(...lacks.map((text) => `  ${text}`));
  if (violations.length > SHOWN) shown.push(`  and ${violations.length - SHOWN} more`);
  return {
    good,
    text: [first, ...(figures.length > 0 ? [`  ${figures.join(', ')}`] : []), ...shown].join('\n'),
    record: { harness: id, plant, mode, seed, tried, unit, seen, violations, lacks, seconds, good },
  };
}

/** Caught is what the oracle saw of the bug, not what it broke in the harness. */
function isCaught({ harness, outcome }: Result, plant: string): boolean {
  const { expect } = harness.plants[plant] as Plant;
  return outcome.violations.some(({ text, broken }) => broken !== true && (expect === undefined || expect.test(text)));
}

/** What a run without a violation has not tried or seen: it shows nothing then. */
function lacking({ harness: { least = {}, unit }, outcome: { tried, seen }, count }: Result): string[] {
  const lacks = tried < count ? [`${tried} ${unit} were tried, not ${count}`] : [];
  for (const [name, each] of Object.entries(least)) {
    const wanted = tried >= FEW ? Math.ceil(each * tried) : each >= 1 ? 1 : 0;
    const had = seen[name] ?? 0;
    if (had < wanted) lacks.push(`${had} ${name} were seen, ${wanted} at least must be`);
  }
  return lacks;
}
