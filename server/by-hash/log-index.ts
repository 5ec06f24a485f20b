/**
 * The index of one log: runs in the store, a tail in memory. It writes when it is told to, one thing at a time, and each write is
 * whole or not there: a crash leaves the runs that the log row names, and what it names as rubbish. Whoever looks for a leaf
 * meanwhile sees the runs before or after.
 */
import { HASH_SIZE } from '../../tree/hash.ts';
import type { DerivedRow, DerivedStore } from '../storage/derived.ts';
import { KEY_WORDS } from './entries.ts';
import type { WriteKey } from './leaf-keys.ts';
import { nextMerge } from './merge-plan.ts';
import { RunMerge } from './run-merge.ts';
import {
  directoryKey,
  endOf,
  IndexDamage,
  type LogRuns,
  logRow,
  NO_RUNS,
  type Run,
  rowCount,
  rowKey,
  runPrefix,
  runRows,
} from './runs.ts';
import { findInRuns } from './search.ts';
import { Tail } from './tail.ts';

export interface IndexSizes {
  /** Leaves that make a run, and most leaves of one. Sorting and writing them takes about 3 ms. */
  readonly run: number;
  /** Runs of one tier that are merged into one of the next. */
  readonly fanIn: number;
  /** Leaves that a step of a merge writes; a multiple of ROW_ENTRIES. */
  readonly step: number;
  /** Leaves in memory, of all logs together, at 8 bytes each; over half of it, shorter runs are written. */
  readonly held: number;
}

export const INDEX_SIZES: IndexSizes = { run: 32_768, fanIn: 16, step: 32_768, held: 1_048_576 };

/** Rows removed at once. */
const REMOVED_AT_ONCE = 4096;

export class LogIndex {
  readonly #name: string;
  readonly #prefix: Uint8Array;
  readonly #store: DerivedStore;
  readonly #writeKey: WriteKey;
  readonly #sizes: IndexSizes;
  #stored: LogRuns;
  #tail: Tail;
  /** Leaves of commits beyond a gap that is being read from tiles. */
  #ahead: Tail | undefined;
  #merge: RunMerge | undefined;
  /** Rows of the first rubbish run that are removed. */
  #removed = 0;

  constructor(name: string, store: DerivedStore, writeKey: WriteKey, sizes: IndexSizes, stored: LogRuns = NO_RUNS) {
    this.#name = name;
    this.#prefix = runPrefix(name);
    this.#store = store;
    this.#writeKey = writeKey;
    this.#sizes = sizes;
    this.#stored = stored;
    this.#tail = new Tail(endOf(stored));
  }

  /** The first leaf that is not known. */
  get known(): number {
    return this.#tail.end;
  }

  /** Leaves in memory. */
  get held(): number {
    return this.#tail.count + (this.#ahead?.count ?? 0);
  }

  /** Leaves in memory that a run can be made of. */
  get pending(): number {
    return this.#tail.count;
  }

  /** Adds leaves from `first` on: those that follow are known at once, others when the gap before them was read. */
  committed(first: number, hashes: Uint8Array): void {
    let tail = this.#tail;
    if (tail.end !== first) {
      if (this.#ahead?.end !== first) this.#ahead = new Tail(first);
      tail = this.#ahead;
    }
    for (let at = 0; at < hashes.length; at += HASH_SIZE) tail.push(this.#writeKey, hashes, at);
  }

  /** Adds the leaves that follow on the known ones, given their hashes side by side. */
  read(hashes: Uint8Array): void {
    for (let at = 0; at < hashes.length; at += HASH_SIZE) this.#tail.push(this.#writeKey, hashes, at);
    if (this.#ahead === undefined || this.#ahead.first > this.known) return;
    this.#tail.append(this.#ahead);
    this.#ahead = undefined;
  }

  /** Forgets the leaves beyond a gap. */
  dropAhead(): void {
    this.#ahead = undefined;
  }

  keyOf(hash: Uint8Array): Uint32Array {
    const key = new Uint32Array(KEY_WORDS);
    this.#writeKey(hash, 0, key, 0);
    return key;
  }

  /** The first known leaf index from `from` (inclusive) to `to` (exclusive) with this key, or `undefined`. Throws IndexDamage. */
  async find(key: Uint32Array, from: number, to: number): Promise<number | undefined> {
    for (;;) {
      const stored = this.#stored;
      const inTail = this.#tail.find(key, from, to);
      try {
        return (await findInRuns(this.#store, this.#prefix, stored, key, from, to)) ?? inTail;
      } catch (error) {
        // Runs that were merged meanwhile are gone; then it is looked for in the new one.
        if (!(error instanceof IndexDamage) || stored === this.#stored) throw error;
      }
    }
  }

  /** The rows that make a run of the first leaves in memory, and what to do once they are written. */
  flush(): { readonly rows: readonly DerivedRow[]; readonly written: () => void } {
    const stored = this.#stored;
    const count = Math.min(this.#tail.count, this.#sizes.run);
    const run: Run = { id: stored.nextId, first: this.#tail.first, count };
    const next = { ...stored, runs: [...stored.runs, run], nextId: run.id + 1 };
    return {
      rows: [...runRows(this.#prefix, run, this.#tail.sorted(count)), logRow(this.#name, next)],
      written: () => {
        this.#stored = next;
        this.#tail.drop(count);
      },
    };
  }

  /** Whether there are runs to merge. */
  get mergeable(): boolean {
    return this.#merge !== undefined || this.#nextMerge() !== undefined;
  }

  /** Takes a merge a step further, or begins one. Throws IndexDamage. */
  async mergeStep(): Promise<void> {
    const { nextId, runs, rubbish } = this.#stored;
    const begun = this.#merge;
    const merge = begun ?? new RunMerge(this.#prefix, this.#nextMerge() as Run[], nextId, this.#sizes.step);
    this.#merge = merge;
    const { output } = merge;
    const rows = await merge.step(this.#store);
    if (merge.done) {
      const from = runs.indexOf(merge.runs[0] as Run);
      await this.#write(rows, {
        runs: runs.toSpliced(from, merge.runs.length, output),
        rubbish: [...rubbish.filter((run) => run !== output), ...merge.runs],
        nextId: Math.max(nextId, output.id + 1),
      });
      this.#merge = undefined;
    } else if (begun === undefined) {
      await this.#write(rows, { runs, rubbish: [...rubbish, output], nextId: nextId + 1 });
    } else await this.#store.write(rows);
  }

  #nextMerge(): Run[] | undefined {
    const { runs } = this.#stored;
    const counts = runs.map(({ count }) => count);
    const plan = nextMerge(counts, this.#sizes.fanIn);
    return plan === undefined ? undefined : runs.slice(plan.from, plan.to);
  }

  /** Whether there are rows that nobody needs. */
  get hasRubbish(): boolean {
    return this.#rubbish().length > 0;
  }

  /** Removes some of the rows that nobody needs. */
  async removeRubbish(): Promise<void> {
    const rows: DerivedRow[] = [];
    const gone = new Set<Run>();
    for (const run of this.#rubbish()) {
      const last = rowCount(run);
      for (; this.#removed < last && rows.length < REMOVED_AT_ONCE; this.#removed++)
        rows.push({ key: rowKey(this.#prefix, run, this.#removed), value: undefined });
      if (this.#removed < last) break;
      rows.push({ key: directoryKey(this.#prefix, run), value: undefined });
      gone.add(run);
      this.#removed = 0;
    }
    await this.#write(rows, { ...this.#stored, rubbish: this.#stored.rubbish.filter((run) => !gone.has(run)) });
  }

  /** The output of a merge that runs is rubbish only if that does not end. */
  #rubbish(): Run[] {
    return this.#stored.rubbish.filter((run) => run !== this.#merge?.output);
  }

  /** Knows nothing from now on. */
  forget(): void {
    this.#stored = NO_RUNS;
    this.#tail = new Tail(0);
    this.#ahead = undefined;
    this.#merge = undefined;
  }

  /** Writes rows together with what the log has from then on. */
  async #write(rows: readonly DerivedRow[], next: LogRuns): Promise<void> {
    await this.#store.write([...rows, logRow(this.#name, next)]);
    this.#stored = next;
  }
}
