/** Many histories, in processes of their own; what comes out does not depend on how many of those there are. */
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { BUILD, ROOT } from '../support/spawn-server.ts';
import type { HistoryReport } from './history.ts';

export interface SimulationRun {
  readonly seed: number;
  readonly count: number;
  /** Things that happen in each history. */
  readonly operations: number;
  readonly build?: string;
  readonly workers?: number;
  readonly progress?: (done: number) => void;
}

/** At most; a machine of ten cores has other things to do as well. */
const MAX_WORKERS = 2;

/**
 * Simulates the histories of `count` seeds from `seed` on, and stops at the first that violates something: it comes last. Those that others
 * were busy with beyond it are left out.
 */
export async function simulateMany({
  seed,
  count,
  operations,
  build,
  workers,
  progress,
}: SimulationRun): Promise<HistoryReport[]> {
  const reports: HistoryReport[] = [];
  let next = 0;
  let end = count;
  let done = 0;
  const work = async (): Promise<void> => {
    const child = new SimulatorProcess(build ?? BUILD);
    try {
      while (next < end) {
        const place = next++;
        const report = await child.simulate(seed + place, operations);
        reports[place] = report;
        if (report.violations.length > 0) end = Math.min(end, place + 1);
        progress?.(++done);
      }
    } catch (error) {
      // The others need not go on for nobody.
      end = 0;
      throw error;
    } finally {
      child.end();
    }
  };
  const parallel = workers ?? Math.min(MAX_WORKERS, availableParallelism());
  await Promise.all(Array.from({ length: parallel }, work));
  return reports.slice(0, end);
}

class SimulatorProcess {
  readonly #child: ChildProcess;
  #answer: (line: string) => void = () => {};
  #fail: (error: Error) => void = () => {};
  #stderr = '';

  constructor(build: string) {
    const loader = join(ROOT, 'test/support/typescript.js');
    const main = join(ROOT, 'test/sim/main.ts');
    // When this process ends, however it does, the end of its input ends the other one.
    this.#child = spawn(process.execPath, ['--enable-source-maps', '--import', loader, main, build], { stdio: 'pipe' });
    this.#child.stderr?.on('data', (chunk) => {
      this.#stderr += String(chunk);
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => this.#answer(line));
    this.#child.once('close', (code) => this.#fail(new Error(`the simulator ended with ${code}: ${this.#stderr}`)));
  }

  async simulate(seed: number, operations: number): Promise<HistoryReport> {
    const line = await new Promise<string>((resolve, reject) => {
      this.#answer = resolve;
      this.#fail = reject;
      this.#child.stdin?.write(`${seed} ${operations}\n`);
    });
    return JSON.parse(line) as HistoryReport;
  }

  end(): void {
    this.#fail = () => {};
    this.#child.kill('SIGKILL');
  }
}
