/** `npm run bench`: runs scenarios one after the other, reports what they found, and judges it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { wrkVersion } from './measure/wrk.ts';
import { type Options, readOptions } from './options.ts';
import { Progress } from './progress.ts';
import { type Comparison, compare, hasFallen, readBaselines, updated, writeBaselines } from './report/baseline.ts';
import { describeCommit, describeMachine, describePrograms } from './report/machine.ts';
import { markdownText } from './report/markdown.ts';
import { failures, missed, type Report, type ScenarioReport } from './report/report.ts';
import { chart } from './report/svg.ts';
import { terminalText } from './report/text.ts';
import { runScenario } from './run.ts';
import { allScenarios } from './scenarios.ts';
import { Shared } from './shared.ts';
import { stopServers } from './subjects/indelible.ts';
import { stopPrograms } from './subjects/subject.ts';

const BASELINE = new URL('baseline.json', import.meta.url).pathname;

async function measure({ mode, scenarios, data }: Options, wrk: string): Promise<Report> {
  mkdirSync(data, { recursive: true });
  const machine = describeMachine(data);
  const progress = new Progress(scenarios.length);
  const shared = new Shared(data);
  const reports: ScenarioReport[] = [];
  for (const scenario of scenarios) {
    progress.begin(scenario);
    reports.push(await runScenario(scenario, { mode, data, shared, say: (text) => progress.say(text) }));
  }
  shared.remove();
  progress.end();
  const date = new Date().toISOString();
  return { mode, date, commit: describeCommit(), machine, versions: describePrograms(wrk), scenarios: reports };
}

function write(report: Report, comparisons: readonly Comparison[], { out, json }: Options): void {
  mkdirSync(out, { recursive: true });
  const text = `${JSON.stringify({ ...report, baseline: comparisons }, null, 2)}\n`;
  writeFileSync(join(out, `${report.mode}.json`), text);
  writeFileSync(join(out, `${report.mode}.svg`), chart(report));
  writeFileSync(join(out, `${report.mode}.md`), markdownText(report));
  process.stdout.write(
    json ? text : `${terminalText(report, comparisons)}\nreport in ${join(out, report.mode)}.{json,svg,md}\n`,
  );
}

const options = readOptions(await allScenarios(), process.argv.slice(2));
const wrk = wrkVersion();
if (wrk === undefined) {
  process.stderr.write(
    'there is no wrk on this machine, and nothing can be measured without it (Debian package wrk)\n',
  );
  process.exit(2);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    await stopServers();
    await stopPrograms();
    process.exit(130);
  });
}
const report = await measure(options, wrk);
const baselines = readBaselines(BASELINE);
const comparisons = compare(report, baselines);
write(report, comparisons, options);
if (options.updateBaseline) writeBaselines(BASELINE, updated(baselines, report));
const judged = options.mode === 'full' ? missed(report) : comparisons.filter(hasFallen);
process.exitCode = judged.length + failures(report).length > 0 ? 1 : 0;
