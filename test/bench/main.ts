/** `npm run bench`: runs scenarios, prints what they found, and judges it. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { ROOT } from '../support/spawn-server.ts';
import { requireWrk } from './measure/wrk.ts';
import { describeCommit, describeMachine } from './report/machine.ts';
import type { ScenarioReport } from './report/report.ts';
import { terminalText } from './report/table.ts';
import type { Bench, Scenario } from './scenario.ts';
import { allScenarios } from './scenarios.ts';
import { stopServers } from './subjects/indelible.ts';
import { stopPrograms } from './subjects/subject.ts';

const program = new Command('npm run bench --')
  .argument('[scenario...]', 'letters of docs/performance.md; default: all')
  .option('--quick', 'under 4 minutes')
  .option('--full', 'under an hour')
  .option('--out <DIR>', 'where the report goes', join(ROOT, 'bench-results'))
  .option('--data <DIR>', 'where the measured data goes; it should be on a disk', join(ROOT, 'bench-results'))
  .parse();
const options = program.opts();
const wanted = program.args;
const mode = options['full'] === true ? 'full' : 'quick';

const wrk = requireWrk();
const scenarios = (await allScenarios()).filter(({ id, quick }) =>
  wanted.length > 0 ? wanted.includes(id) : mode === 'full' || quick,
);
mkdirSync(options['data'], { recursive: true });
const machine = describeMachine(options['data']);

async function run(scenario: Scenario): Promise<ScenarioReport> {
  const { id, title } = scenario;
  const folder = mkdtempSync(join(options['data'], `${id}-`));
  const begin = Date.now();
  const bench: Bench = {
    mode,
    pairs: mode === 'full' ? 3 : 1,
    seconds: mode === 'full' ? 6 : 3,
    folder: (name) => mkdtempSync(join(folder, `${name}-`)),
    progress: (text) => {
      if (process.stderr.isTTY) process.stderr.write(`${id}: ${text}\n`);
    },
  };
  const took = (): number => Math.round((Date.now() - begin) / 1000);
  try {
    const finding = await scenario.run(bench);
    return { id, title, finding, took: took() };
  } catch (error) {
    return { id, title, failed: error instanceof Error ? error.message : String(error), took: took() };
  } finally {
    await stopServers();
    await stopPrograms();
    rmSync(folder, { recursive: true, force: true });
  }
}

const reports: ScenarioReport[] = [];
for (const scenario of scenarios) reports.push(await run(scenario));
process.stdout.write(
  terminalText({
    mode,
    date: new Date().toISOString(),
    commit: describeCommit(),
    machine,
    versions: { node: process.version, wrk },
    scenarios: reports,
  }),
);
