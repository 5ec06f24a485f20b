/**
 * The baseline: medians of the ratios that are kept, in the repository, so that a change that makes the server slower is seen by CI. They
 * are of CPU per operation in units of a bare request, which a slower or busier machine changes little.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Ratio } from '../scenario.ts';
import type { Report } from './report.ts';
import { summarize } from './statistics.ts';

/** A ratio may become worse by so much: CPU per operation swings by 15 % on a machine that others use too. */
export const TOLERANCE = 0.3;

export interface Baseline {
  /** Where it was measured, for people. */
  readonly made: { readonly date: string; readonly commit: string; readonly cpu: string; readonly node: string };
  /** By scenario and text of the ratio. */
  readonly ratios: Readonly<Record<string, number>>;
}

export interface Comparison {
  readonly name: string;
  readonly now: number;
  /** Undefined: the baseline does not have it. */
  readonly then?: number;
  /** How much worse it is: 0.1 is a tenth, below 0 is better. */
  readonly worse: number;
}

function keptOf(report: Report): { readonly name: string; readonly ratio: Ratio }[] {
  return report.scenarios.flatMap(({ id, finding }) =>
    (finding?.ratios ?? [])
      .filter(({ kept }) => kept === true)
      .map((ratio) => ({ name: `${id}: ${ratio.text}`, ratio })),
  );
}

/** Every kept ratio of a report beside the baseline. */
export function compare(report: Report, { ratios }: Baseline): Comparison[] {
  return keptOf(report).map(({ name, ratio }) => {
    const now = summarize(ratio.values).median;
    const then = ratios[name];
    if (then === undefined) return { name, now, worse: 0 };
    return { name, now, then, worse: (ratio.atLeast === undefined ? now / then : then / now) - 1 };
  });
}

/** Whether it fell by more than is tolerated. */
export function hasFallen({ worse }: Comparison): boolean {
  return worse > TOLERANCE;
}

/** The baseline with what this report measured; of scenarios that did not run it keeps what it had. */
export function updated({ ratios }: Baseline, report: Report): Baseline {
  const ran = new Set(report.scenarios.filter(({ finding }) => finding !== undefined).map(({ id }) => id));
  const kept = Object.entries(ratios).filter(([name]) => !ran.has(name.split(':')[0] as string));
  const measured = keptOf(report).map(({ name, ratio }): [string, number] => [
    name,
    Number(summarize(ratio.values).median.toPrecision(3)),
  ]);
  const { date, commit, machine, versions } = report;
  return {
    made: { date, commit, cpu: machine.cpu, node: versions['Node'] ?? '' },
    ratios: Object.fromEntries([...kept, ...measured].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** An empty one where there is no file. */
export function readBaseline(file: string): Baseline {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return { made: { date: '', commit: '', cpu: '', node: '' }, ratios: {} };
  }
}

export function writeBaseline(file: string, baseline: Baseline): void {
  writeFileSync(file, `${JSON.stringify(baseline, null, 2)}\n`);
}
