/** What a check of the store finds: one fault for each thing that is not what it must be. */

export type FaultKind =
  /** The guard, or what it and the database say of each other. */
  | 'guard'
  /** The master seed or the format of the data directory. */
  | 'directory'
  /** LevelDB's own files. */
  | 'database'
  /** Row of the store itself, `server/store`. */
  | 'store'
  /** A commit record, or what it says of the logs. */
  | 'commit record'
  | 'log definition'
  | 'API key'
  | 'edge'
  | 'entry bundle'
  | 'tile'
  | 'open leaf'
  | 'event'
  | 'id'
  | 'head'
  /** A row that no version so far has written. */
  | 'row';

export type Problem = 'missing' | 'differs' | 'malformed' | 'stray' | 'unreadable';

export interface Fault {
  /** Name of the log; `null` for what belongs to the whole store. */
  readonly log: string | null;
  readonly kind: FaultKind;
  readonly problem: Problem;
  /** Leaf index of an event, an open leaf or a leaf in a bundle; tree size of a head; number of a commit record. */
  readonly index: number | null;
  /** Key in the database. */
  readonly key: string | null;
  /** What is stored and what should be, in words and hex; `null` where there is nothing to say. */
  readonly stored: string | null;
  readonly derived: string | null;
}

export type Report = (fault: Fault) => void;

/** A fault from what is known of it. */
export function fault(kind: FaultKind, problem: Problem, rest: Partial<Omit<Fault, 'kind' | 'problem'>> = {}): Fault {
  return { log: null, index: null, key: null, stored: null, derived: null, kind, problem, ...rest };
}

const PROBLEMS: Readonly<Record<Problem, string>> = {
  missing: 'is missing',
  differs: 'differs',
  malformed: 'is malformed',
  stray: 'should not be there',
  unreadable: 'cannot be read',
};

/** One line for people. */
export function faultText({ log, kind, problem, index, key, stored, derived }: Fault): string {
  const where = log === null ? '' : `log ${log}: `;
  const what = index === null ? kind : `${kind} ${index}`;
  const row = key === null ? '' : ` (${key})`;
  const said = [
    stored === null ? undefined : `stored ${stored}`,
    derived === null ? undefined : `derived ${derived}`,
  ].filter((text) => text !== undefined);
  return `${where}${what}${row} ${PROBLEMS[problem]}${said.length === 0 ? '' : `: ${said.join(', ')}`}`;
}

/** All faults counted, the first ones kept: a store that lost a disk block must not fill memory with its complaints. */
export class FaultList {
  readonly kept: Fault[] = [];
  readonly #limit: number;
  #count = 0;

  constructor(limit = 1000) {
    this.#limit = limit;
  }

  get count(): number {
    return this.#count;
  }

  add(found: Fault): void {
    this.#count++;
    if (this.kept.length < this.#limit) this.kept.push(found);
  }
}
