/** How many mutants the tests noticed. */
import { relative } from 'node:path';
import type { MutantResult } from '@stryker-mutator/api/core';

export interface Score {
  /** Noticed: a test failed, or did not end. */
  readonly killed: number;
  readonly survived: number;
}

export function scoreOf(mutants: readonly MutantResult[]): Score {
  const count = (...statuses: MutantResult['status'][]): number =>
    mutants.filter(({ status }) => statuses.includes(status)).length;
  return { killed: count('Killed', 'Timeout'), survived: count('Survived', 'NoCoverage') };
}

function percent({ killed, survived }: Score): number {
  return killed + survived === 0 ? 0 : (100 * killed) / (killed + survived);
}

/** Whether the score is below the bound; nothing mutated is nothing proved. */
export function bad(score: Score, bound: number): boolean {
  return percent(score) < bound;
}

/** A line for each mutant that no test noticed. */
export function survivors(mutants: readonly MutantResult[]): string {
  return mutants
    .filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
    .map(({ fileName, location, mutatorName, replacement, status }) => {
      const place = `${relative('', fileName)}:${location.start.line}:${location.start.column + 1}`;
      return `  ${place} ${mutatorName}${status === 'NoCoverage' ? ' (no test comes here)' : ''}: ${replacement.replace(/\s+/g, ' ').slice(0, 120)}\n`;
    })
    .join('');
}

/** A line for each file, and one for all. */
export function table(mutants: readonly MutantResult[]): string {
  const files = [...new Set(mutants.map(({ fileName }) => fileName))];
  const line = (name: string, some: readonly MutantResult[]): string => {
    const score = scoreOf(some);
    return `${name.padEnd(34)} ${percent(score).toFixed(1).padStart(5)} %  ${score.killed} of ${score.killed + score.survived}\n`;
  };
  const each = files.map((file) =>
    line(
      relative('', file),
      mutants.filter(({ fileName }) => fileName === file),
    ),
  );
  return `${each.join('')}${line('all', mutants)}`;
}
