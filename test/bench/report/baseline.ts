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
  /** Undefined: the scenario ran, and measured nothing of this name. */
  readonly now?: number;
  /** Undefined: the baseline does not have it. */
  readonly then?: number;
  /** How much worse it is: 0.1 is a tenth, below 0 is better. */
  readonly worse: number;
}

/** The name of a ratio in the baseline. */
function nameOf(id: string, text: string): string {
  return `${id}: ${text}`;
}

function keptOf(report: Report): { readonly name: string; readonly ratio: Ratio }[] {
  return report.scenarios.flatMap(({ id, finding }) =>
    (finding?.ratios ?? [])
      .filter(({ kept }) => kept === true)
      .map((ratio) => ({ name: nameOf(id, ratio.text), ratio })),
  );
}

/** Whether this run had to measure what has this name: not where the scenario failed, was skipped, or says that it cannot. */
function isDue(name: string, { scenarios }: Report): boolean {
  const [id] = name.split(':');
  const finding = scenarios.find((scenario) => scenario.id === id)?.finding;
  if (finding === undefined) return false;
  const { ratios, skipped = [], absent = [] } = finding;
  if (ratios.length === 0 && skipped.length > 0) return false;
  return absent.every((text) => nameOf(id as string, text) !== name);
}

/** Every kept ratio of a report beside the baseline, and what the baseline has and the report should have. */
export function compare(report: Report, { ratios }: Baseline): Comparison[] {
  const measured = keptOf(report).map(({ name, ratio }) => {
    const now = summarize(ratio.values).median;
    const then = ratios[name];
    if (then === undefined) return { name, now, worse: 0 };
    return { name, now, then, worse: (ratio.atLeast === undefined ? now / then : then / now) - 1 };
  });
  const names = new Set(measured.map(({ name }) => name));
  const missing = Object.entries(ratios)
    .filter(([name]) => !names.has(name) && isDue(name, report))
    .map(([name, then]) => ({ name, then, worse: 0 }));
  return [...measured, ...missing];
}

/** Whether it fell by more than is tolerated, or is gone: a ratio under a new name has nothing to be compared with. */
export function hasFallen({ now, worse }: Comparison): boolean {
  return now === undefined || worse > TOLERANCE;
}

/** The baseline with what this report measured; of what it did not have to measure it keeps what it had. */
export function updated({ ratios }: Baseline, report: Report): Baseline {
  const kept = Object.entries(ratios).filter(([name]) => !isDue(name, report));
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
