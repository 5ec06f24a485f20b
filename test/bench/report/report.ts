/** What a run of the bench found, as it stands in the JSON file. */
import type { Finding } from '../scenario.ts';
import { isMet } from './statistics.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory: string;
  /** File system of the measured data, and its device. */
  readonly disk: string;
  readonly kernel: string;
  /** Over the last minute, before anything ran. */
  readonly loadAverage: number;
}

export interface ScenarioReport {
  readonly id: string;
  readonly title: string;
  readonly finding?: Finding;
  /** Why it has no finding. */
  readonly failed?: string;
  /** Seconds that it took. */
  readonly took: number;
}

export interface Report {
  readonly mode: 'quick' | 'full';
  readonly date: string;
  readonly commit: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly scenarios: readonly ScenarioReport[];
}

/** Every must that was missed, by scenario and text. */
export function missed({ scenarios }: Report): string[] {
  return scenarios.flatMap(({ id, finding }) =>
    (finding?.ratios ?? []).filter((ratio) => isMet(ratio) === false).map(({ text }) => `${id}: ${text}`),
  );
}

/** What was not measured, and why, each reason once. */
export function skipped({ scenarios }: Report): string[] {
  const reasons = new Map<string, string[]>();
  for (const { id, finding } of scenarios) {
    for (const reason of finding?.skipped ?? []) reasons.set(reason, [...(reasons.get(reason) ?? []), id]);
  }
  return [...reasons].map(([reason, ids]) => `${ids.join(', ')}: ${reason}`);
}

/** Longest line of an error in a table or a chart: some carry all that a program said. */
const LINE = 100;

/** What stands in a table or a chart where the figures of a scenario that failed would be. */
export function failureLine(failed: string): string {
  const [line = ''] = failed.split('\n');
  return `failed: ${line.length > LINE ? `${line.slice(0, LINE)}…` : line}`;
}

/** Scenarios that have no finding, and why. */
export function failures({ scenarios }: Report): string[] {
  return scenarios.flatMap(({ id, failed }) => (failed === undefined ? [] : [`${id}: ${failed}`]));
}
