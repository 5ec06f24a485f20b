/** The command line of the fault tests. */
import { Command, InvalidArgumentError } from 'commander';
import type { Harness } from './harness.ts';

export interface Options {
  readonly mode: 'quick' | 'full';
  readonly harnesses: readonly Harness[];
  readonly seed: number;
  /** Instead of the harness's own count. */
  readonly count: number | undefined;
  /** Runs with this planted bug, and succeeds if it is caught. */
  readonly plant: string | undefined;
  /** Also runs every planted bug of the harnesses. */
  readonly plants: boolean;
  readonly json: boolean;
  /** How many harnesses run at a time. */
  readonly lanes: number;
}

/** Reads the command line; usage errors end the process with 2. */
export function readOptions(all: readonly Harness[], argv: readonly string[]): Options {
  const byId = new Map(all.map((harness) => [harness.id, harness]));
  const command = new Command('npm run test:faults --')
    .description(
      'Breaks things under real servers, and looks whether anything acknowledged was lost or anything wrong served.',
    )
    .argument('[harness...]', 'which of them; default: all', (id, before) => {
      const harness = byId.get(id);
      if (harness === undefined) throw new InvalidArgumentError(`There are ${[...byId.keys()].join(', ')}.`);
      return [...((before as Harness[] | undefined) ?? []), harness];
    })
    .option('--quick', 'the form for CI, under 12 minutes')
    .option('--full', 'the figures of docs/reliability.md; some take hours')
    .option('--seed <N>', 'repeat a run; default: another one each time', wholeNumber)
    .option('--count <N>', 'so many faults instead of what the form has', wholeNumber)
    .option('--plant <NAME>', 'run one harness on a build with that bug in it: it must be caught')
    .option('--plants', 'after each harness, plant each of its bugs: all must be caught')
    .option('--json', 'print a JSON object a harness')
    .option('--lanes <N>', 'run so many at a time, but for those that judge times; default: 1', wholeNumber)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .addHelpText('after', help(all))
    .parse(argv, { from: 'user' });
  const { quick, full, seed, count, plant, plants = false, json = false, lanes = 1 } = command.opts();
  if ((quick === true) === (full === true)) command.error('error: say --quick or --full');
  if (lanes < 1 || lanes > 16) command.error('error: --lanes is 1 to 16');
  if (lanes > 1 && json) command.error('error: --lanes and --json do not go together');
  const wanted = (command.processedArgs[0] ?? []) as Harness[];
  const harnesses = wanted.length > 0 ? wanted : all;
  if (plant !== undefined && harnesses.some((harness) => harness.plants[plant] === undefined)) {
    const known = harnesses.map(({ id, plants: own }) => `${id}: ${Object.keys(own).join(', ') || 'none'}`);
    command.error(`error: no planted bug "${plant}"; there are ${known.join('; ')}`);
  }
  const mode = full === true ? 'full' : 'quick';
  return { mode, harnesses, seed: seed ?? Date.now() % 1e9, count, plant, plants, json, lanes };
}

function wholeNumber(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new InvalidArgumentError('Not a whole number below 1,000,000,000.');
  return Number(text);
}

function help(all: readonly Harness[]): string {
  const width = Math.max(...all.map(({ id }) => id.length));
  const lines = all.map(
    ({ id, title, unit, count: { quick, full } }) =>
      `  ${id.padEnd(width)}  ${title}: ${quick.toLocaleString('en-US')} ${unit}, in full ${full.toLocaleString('en-US')}`,
  );
  return `
Harnesses:
${lines.join('\n')}

What a machine lacks (root, strace, a loop device) is skipped, and said so.

Exit codes: 0 nothing lost and nothing wrong served, and each planted bug that was asked for was caught; 1 otherwise; 2 usage.

Examples:
  $ npm run test:faults -- --quick
  $ npm run test:faults -- --full kill --seed 7
  $ npm run test:faults -- --quick kill --plant acknowledged-too-early`;
}
