/**
 * `npm run mutate [-- group…]`: changes the code that everything rests on, one small change at a time, and looks whether a test
 * notices. Prints what was not noticed, the score of each file and of all; exits 1 where the score is below the bound.
 */
import type { MutantResult } from '@stryker-mutator/api/core';
import { Stryker } from '@stryker-mutator/core';
import { GROUPS, type Group } from './groups.ts';
import { bad, scoreOf, survivors, table } from './score.ts';

/** Least share of the mutants that tests must notice, in percent. */
const BOUND = 90;

function groupsOf(names: readonly string[]): readonly Group[] {
  const unknown = names.filter((name) => !GROUPS.some((group) => group.name === name));
  if (unknown.length > 0) {
    process.stderr.write(
      `no such group: ${unknown.join(', ')}; there are ${GROUPS.map(({ name }) => name).join(', ')}\n`,
    );
    process.exit(2);
  }
  return names.length === 0 ? GROUPS : GROUPS.filter(({ name }) => names.includes(name));
}

function run({ name, mutate, tests }: Group): Promise<MutantResult[]> {
  process.env['INDELIBLE_MUTATE_TESTS'] = tests.join(',');
  return new Stryker({
    configFile: 'test/mutate/stryker.json',
    mutate: [...mutate],
    htmlReporter: { fileName: `reports/mutation/${name}.html` },
    jsonReporter: { fileName: `reports/mutation/${name}.json` },
  }).runMutationTest();
}

const started = Date.now();
const all: MutantResult[] = [];
/** Groups whose tests fail without a mutant, or that could not be run. */
const broken: string[] = [];
for (const group of groupsOf(process.argv.slice(2))) {
  const begun = Date.now();
  let results: MutantResult[];
  try {
    results = await run(group);
  } catch (error) {
    process.stdout.write(`${group.name} could not be run: ${(error as Error).message}\n`);
    broken.push(group.name);
    continue;
  }
  all.push(...results);
  process.stdout.write(`${group.name}: ${results.length} mutants in ${Math.round((Date.now() - begun) / 1000)} s\n`);
  process.stdout.write(survivors(results));
}
const score = scoreOf(all);
process.stdout.write(`\n${table(all)}`);
process.stdout.write(`in ${Math.round((Date.now() - started) / 1000)} s; the bound is ${BOUND} %\n`);
if (broken.length > 0) process.stdout.write(`not run: ${broken.join(', ')}\n`);
process.exitCode = broken.length > 0 || bad(score, BOUND) ? 1 : 0;
