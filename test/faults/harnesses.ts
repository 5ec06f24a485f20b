/** All harnesses: a file each in harnesses/, named by its id. */
import { readdirSync } from 'node:fs';
import type { Harness } from './harness.ts';

const FOLDER = new URL('harnesses/', import.meta.url);

export async function allHarnesses(): Promise<Harness[]> {
  const files = readdirSync(FOLDER)
    .filter((name) => name.endsWith('.ts'))
    .sort();
  const harnesses: Harness[] = [];
  for (const name of files) harnesses.push((await import(new URL(name, FOLDER).href)).harness);
  return harnesses;
}
