/** Runs one scenario, and leaves nothing behind, whatever happens in it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ScenarioReport } from './report/report.ts';
import type { Bench, Scenario } from './scenario.ts';
import type { Shared } from './shared.ts';
import { stopServers } from './subjects/indelible.ts';
import { stopPrograms } from './subjects/subject.ts';

/** How long and how often each form measures. */
const FORMS = {
  quick: { pairs: 2, seconds: 3 },
  full: { pairs: 3, seconds: 6 },
} as const;

export interface RunOptions {
  readonly mode: 'quick' | 'full';
  /** Where the data goes. */
  readonly data: string;
  readonly shared: Shared;
  readonly say: (text: string) => void;
}

export async function runScenario(
  scenario: Scenario,
  { mode, data, shared, say }: RunOptions,
): Promise<ScenarioReport> {
  const { id, title } = scenario;
  const folder = mkdtempSync(join(data, `data-${id}-`));
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeFolder);
  const bench: Bench = {
    mode,
    ...FORMS[mode],
    folder: (name) => mkdtempSync(join(folder, `${name}-`)),
    once: (name, make) => shared.once(name, make),
    progress: say,
  };
  const begin = Date.now();
  const took = (): number => Math.round((Date.now() - begin) / 1000);
  try {
    const finding = await scenario.run(bench);
    return { id, title, finding, took: took() };
  } catch (error) {
    return { id, title, failed: error instanceof Error ? (error.stack ?? error.message) : String(error), took: took() };
  } finally {
    await stopServers();
    await stopPrograms();
    removeFolder();
    process.removeListener('exit', removeFolder);
  }
}
