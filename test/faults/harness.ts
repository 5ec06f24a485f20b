/** What a harness is given, and what it found out. Each has one kind of fault, a seed that repeats it, and planted bugs that it has to catch. */
import type { Bug } from '../support/plant.ts';

export interface HarnessRun {
  /** How many faults to try: cycles, injections, damages, seeds, requests. */
  readonly count: number;
  /** The same seed and count try the same faults, as far as the kernel lets them. */
  readonly seed: number;
  /** Folder of a build to test instead of the project's own, and with it a bug that was planted there. */
  readonly build?: string;
  /** Says how many of them are done, on a terminal. */
  progress(done: number, text?: string): void;
}

/** What must never be: `seed` and `count` are those that show it again. */
export interface Violation {
  readonly seed: number;
  readonly text: string;
  /** The harness itself broke: that says nothing of the server, and catches no planted bug. */
  readonly broken?: true;
}

export interface Outcome {
  /** How many faults were tried; fewer than asked for where it stopped at a violation. */
  readonly tried: number;
  /** Empty is good. */
  readonly violations: readonly Violation[];
  /** What was seen, by name: acknowledged entries, refused starts, adopted commits. */
  readonly seen: Readonly<Record<string, number>>;
}

export interface Harness {
  /** Such as `kill`, for the command line and the table in docs/reliability.md. */
  readonly id: string;
  /** The fault, in a line. */
  readonly title: string;
  /** What has to hold after each of them, in a line. */
  readonly required: string;
  /** What one of them is: `cycles`, `injections`. */
  readonly unit: string;
  /** How many in the quick and in the full form. */
  readonly count: { readonly quick: number; readonly full: number };
  /**
   * The least that must have been seen for each fault that was tried, by the names of `seen`: a run that saw less has looked at nothing. What every
   * single fault gives is 1 or more, and asked for of few of them, too.
   */
  readonly least?: Readonly<Record<string, number>>;
  /** Whether nothing else is to run beside it, since it judges times. */
  readonly alone?: true;
  /** Why it cannot run on this machine, or `undefined`. */
  missing?(): string | undefined;
  /** Bugs that it has to catch, by name, and how many faults that takes at most. */
  readonly plants: Readonly<Record<string, Plant>>;
  run(options: HarnessRun): Promise<Outcome>;
}

export interface Plant {
  readonly bugs: readonly Bug[];
  readonly count: number;
  /** What a violation says that comes of this bug. Where it is known, any other does not count: the bug may have broken something else, too. */
  readonly expect?: RegExp;
}
