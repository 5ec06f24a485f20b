/**
 * The baseline: medians of the ratios that are kept, in the repository, so that a change that makes the server slower is seen by CI. They
 * are of CPU per operation in units of a bare request, which a slower or busier machine changes little. Another model of CPU changes them by up to
 * a half, since it does not make system calls and hashes dearer alike: so there is one for each that was measured.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Ratio } from '../scenario.ts';
import type { Report } from './report.ts';
import { summarize } from './statistics.ts';

/** A ratio may become worse by so much: CPU per operation swings by 15 % on a machine that others use too. */
export const TOLERANCE = 0.3;

export interface Baseline {
  /** When and with what it was measured, for people. */
  readonly made: { readonly date: string; readonly commit: string; readonly node: string };
  /** By scenario and text of the ratio. */
  readonly ratios: Readonly<Record<string, number>>;
}

/** By model of CPU, as the system calls it. */
export type Baselines = Readonly<Record<string, Baseline>>;

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

/**
 * Every kept ratio of a report beside the baseline of its CPU, and what that has and the report should have. A CPU that was never measured is
 * held to the least that any other reached.
 */
export function compare(report: Report, baselines: Baselines): Comparison[] {
  const own = baselines[report.machine.cpu];
  const those = (own === undefined ? Object.values(baselines) : [own]).map(({ ratios }) => ratios);
  const measured = keptOf(report).map(({ name, ratio }) => {
    const now = summarize(ratio.values).median;
    const known = those.flatMap((ratios) => ratios[name] ?? []);
    if (known.length === 0) return { name, now, worse: 0 };
    const isCost = ratio.atLeast === undefined;
    const then = isCost ? Math.max(...known) : Math.min(...known);
    return { name, now, then, worse: (isCost ? now / then : then / now) - 1 };
  });
  const names = new Set(measured.map(({ name }) => name));
  const missing = Object.entries(Object.assign({}, ...those) as Baseline['ratios'])
    .filter(([name]) => !names.has(name) && isDue(name, report))
    .map(([name, then]) => ({ name, then, worse: 0 }));
  return [...measured, ...missing];
}

/** Whether it fell by more than is tolerated, or is gone: a ratio under a new name has nothing to be compared with. */
export function hasFallen({ now, worse }: Comparison): boolean {
  return now === undefined || worse > TOLERANCE;
}

/** The baselines with what this report measured in that of its CPU; of what it did not have to measure it keeps what it had. */
export function updated(baselines: Baselines, report: Report): Baselines {
  const { date, commit, machine, versions } = report;
  const kept = Object.entries(baselines[machine.cpu]?.ratios ?? {}).filter(([name]) => !isDue(name, report));
  const measured = keptOf(report).map(({ name, ratio }): [string, number] => [
    name,
    Number(summarize(ratio.values).median.toPrecision(3)),
  ]);
  return {
    ...baselines,
    [machine.cpu]: {
      made: { date, commit, node: versions['Node'] ?? '' },
      ratios: Object.fromEntries([...kept, ...measured].sort(([a], [b]) => (a < b ? -1 : 1))),
    },
  };
}

/** None where there is no file. */
export function readBaselines(file: string): Baselines {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return {};
  }
}

export function writeBaselines(file: string, baselines: Baselines): void {
  writeFileSync(file, `${JSON.stringify(baselines, null, 2)}\n`);
}
