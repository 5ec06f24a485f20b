/** All scenarios: a file each in scenarios/, named by its letter. */
import { readdirSync } from 'node:fs';
import type { Scenario } from './scenario.ts';

const FOLDER = new URL('scenarios/', import.meta.url);

/** In the order of their letters. */
export async function allScenarios(): Promise<Scenario[]> {
  const files = readdirSync(FOLDER)
    .filter((name) => /^[a-z]-.*\.ts$/.test(name))
    .sort();
  const scenarios: Scenario[] = [];
  for (const name of files) scenarios.push((await import(new URL(name, FOLDER).href)).scenario);
  return scenarios;
}
