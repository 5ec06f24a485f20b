/** What a run of the bench found, as it stands in the JSON file. */
import type { Finding } from '../scenario.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory: string;
  /** File system of the measured data, and its device. */
  readonly disk: string;
  readonly kernel: string;
  /** Over the last minute, before anything ran. */
  readonly loadAverage: number;
}

export interface ScenarioReport {
  readonly id: string;
  readonly title: string;
  readonly finding?: Finding;
  /** Why it has no finding. */
  readonly failed?: string;
  /** Seconds that it took. */
  readonly took: number;
}

export interface Report {
  readonly mode: 'quick' | 'full';
  readonly date: string;
  readonly commit: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly scenarios: readonly ScenarioReport[];
}
