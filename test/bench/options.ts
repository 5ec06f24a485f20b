/** The command line of the bench. */
import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { Scenario } from './scenario.ts';

export interface Options {
  readonly mode: 'quick' | 'full';
  readonly scenarios: readonly Scenario[];
  readonly out: string;
  readonly data: string;
  readonly json: boolean;
  readonly updateBaseline: boolean;
}

/** Below the root of the project, where npm runs it. */
const RESULTS = 'bench-results';

/** Reads the command line; usage errors end the process with 2. */
export function readOptions(all: readonly Scenario[], argv: readonly string[]): Options {
  const byId = new Map(all.map((scenario) => [scenario.id, scenario]));
  const command = new Command('npm run bench --')
    .description('Measures our server and its peers in turn, A B A B, on this machine.')
    .argument('[scenario...]', 'letters of the scenarios to run; default: all that the form has', (id, before) => {
      const scenario = byId.get(id);
      if (scenario === undefined) throw new InvalidArgumentError(`There are ${[...byId.keys()].join(', ')}.`);
      return [...((before as Scenario[] | undefined) ?? []), scenario];
    })
    .option('--quick', 'the form for CI, under 4 minutes: judged by the baseline')
    .option(
      '--full',
      'every scenario, under an hour: judged by what each must reach; fetches the peers that are missing',
    )
    .option('--out <DIR>', 'where JSON, SVG and Markdown go', RESULTS)
    .option('--data <DIR>', 'where the measured data goes for a while; it should be on a real disk', RESULTS)
    .option('--json', 'print the report as JSON')
    .option('--update-baseline', 'keep the ratios of this run in test/bench/baseline.json')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .addHelpText('after', help(all))
    .parse(argv, { from: 'user' });
  const { quick, full, out, data, json = false, updateBaseline = false } = command.opts();
  if ((quick === true) === (full === true)) command.error('error: say --quick or --full');
  const wanted = (command.processedArgs[0] ?? []) as Scenario[];
  const scenarios = wanted.length > 0 ? wanted : all.filter((scenario) => full === true || scenario.quick);
  return {
    mode: full === true ? 'full' : 'quick',
    scenarios,
    out: resolve(out),
    data: resolve(data),
    json,
    updateBaseline,
  };
}

function help(all: readonly Scenario[]): string {
  const lines = all.map(({ id, title, quick }) => `  ${id}  ${title}${quick ? '' : ' (full only)'}`);
  return `
Scenarios:
${lines.join('\n')}

It needs Linux and wrk. A peer that is missing is skipped, and the report says so.

Exit codes: 0 as it should be; 1 a scenario failed, a ratio is worse than its baseline by more than 30 % or missing (quick), or a must is
missed (full); 2 usage, or no wrk.

Examples:
  $ npm run bench -- --quick
  $ npm run bench -- --full a c --out /tmp/bench`;
}
