/** What a scenario of the bench is given, and what it finds. Subjects run in turn, A B A B, and every figure keeps all its rounds. */

/** One figure of one subject over the rounds, in the order they ran. */
export interface Series {
  /** Who was measured: `indelible`, or a peer. */
  readonly subject: string;
  /** Under which conditions, such as `256 connections, 200 B`. */
  readonly under?: string;
  /** What was measured, in a word or two: `entries`, `CPU`, `p99`. It heads a column of the report. */
  readonly figure: string;
  /** Such as `/s`, `µs`, `ms`, `MB`, `B`. */
  readonly unit: string;
  readonly values: readonly number[];
}

/** A ratio over the rounds, or an absolute figure that has a target; of figures, only ratios are claimed. */
export interface Ratio {
  readonly text: string;
  /** Of a figure that is no ratio, such as `ms`. Default `×`. */
  readonly unit?: string;
  /** One value a pair of rounds. */
  readonly values: readonly number[];
  /** What the median has to reach; without either, the ratio is shown only. */
  readonly atLeast?: number;
  readonly atMost?: number;
  /** What it should reach one day. */
  readonly aim?: number;
  /**
   * Of CPU per operation, so that it travels between machines: compared with the baseline kept in the repository. Its text is its name
   * there. Less is better unless `atLeast` is given.
   */
  readonly kept?: boolean;
}

export interface Finding {
  readonly series: readonly Series[];
  readonly ratios: readonly Ratio[];
  /** Acknowledged entries that were looked for after kill -9, all of them found. */
  readonly found?: number;
  /** What was not measured, and why: a missing peer. */
  readonly skipped?: readonly string[];
  /** Texts of kept ratios that this form, or a machine without some data, cannot measure: the baseline may have them all the same. */
  readonly absent?: readonly string[];
}

export interface Bench {
  readonly mode: 'quick' | 'full';
  /** Pairs of rounds: at least three in a full run. */
  readonly pairs: number;
  /** Seconds of measured load in a round. */
  readonly seconds: number;
  /** An empty folder of its own on the disk that is measured, removed after the scenario. */
  folder(name: string): string;
  /** What several scenarios use, such as a large log: made at the first call in a run of the bench, in a folder that stays until its end. */
  once<T>(name: string, make: (folder: string) => Promise<T>): Promise<T>;
  /** Says what goes on, on a terminal. */
  progress(text: string): void;
}

/** The export `scenario` of each file in scenarios/. */
export interface Scenario {
  /** The letter it has in docs/performance.md. */
  readonly id: string;
  readonly title: string;
  /** Whether the quick form runs it. */
  readonly quick: boolean;
  run(bench: Bench): Promise<Finding>;
}
