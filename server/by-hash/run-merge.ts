/** Merging runs into one, in steps: what a step reads and writes is bounded, so that others have their turn between. */
import type { DerivedRow, DerivedStore } from '../storage/derived.ts';
import { ENTRY_WORDS, type MergeInput, mergeEntries } from './entries.ts';
import {
  directoryKey,
  entriesRow,
  IndexDamage,
  parseEntries,
  ROW_ENTRIES,
  type Run,
  rowCount,
  rowKey,
} from './runs.ts';

interface Input extends MergeInput {
  readonly run: Run;
  /** The next row to read. */
  row: number;
}

export class RunMerge {
  readonly output: Run;
  readonly #prefix: Uint8Array;
  readonly #step: number;
  readonly #inputs: readonly Input[];
  readonly #directory: Uint32Array;
  /** Rows of the output that are made. */
  #row = 0;

  /** Merges runs that follow each other into one with this number; `step` entries at once, a multiple of ROW_ENTRIES. */
  constructor(prefix: Uint8Array, runs: readonly Run[], id: number, step: number) {
    const { first } = runs[0] as Run;
    this.output = { id, first, count: runs.reduce((sum, { count }) => sum + count, 0) };
    this.#prefix = prefix;
    this.#step = step;
    this.#inputs = runs.map((run) => ({
      run,
      row: 0,
      entries: new Uint32Array(0),
      at: 0,
      ended: false,
      shift: run.first - first,
    }));
    this.#directory = new Uint32Array(rowCount(this.output) * ENTRY_WORDS);
  }

  get runs(): readonly Run[] {
    return this.#inputs.map(({ run }) => run);
  }

  get done(): boolean {
    return this.#row * ENTRY_WORDS === this.#directory.length;
  }

  /** The next rows of the output; the directory comes with the last of them. Throws IndexDamage. */
  async step(store: DerivedStore): Promise<DerivedRow[]> {
    const left = this.output.count - this.#row * ROW_ENTRIES;
    const out = new Uint32Array(Math.min(this.#step, left) * ENTRY_WORDS);
    for (let made = 0; made * ENTRY_WORDS < out.length; ) {
      await this.#read(store);
      const before = made;
      made = mergeEntries(this.#inputs, out, made);
      // With all inputs topped up there is one to take, or this would never end.
      if (made === before) throw new IndexDamage('runs of the by-hash index have fewer entries than they say');
    }
    const rows: DerivedRow[] = [];
    for (let at = 0; at < out.length; at += ROW_ENTRIES * ENTRY_WORDS) {
      const part = out.subarray(at, at + ROW_ENTRIES * ENTRY_WORDS);
      this.#directory.set(part.subarray(0, ENTRY_WORDS), this.#row * ENTRY_WORDS);
      rows.push(entriesRow(rowKey(this.#prefix, this.output, this.#row), part));
      this.#row++;
    }
    if (this.done && this.#row > 1) rows.push(entriesRow(directoryKey(this.#prefix, this.output), this.#directory));
    if (this.done) this.output.directory = this.#directory;
    return rows;
  }

  /**
   * Tops up every input to what two steps take of it on average, all in one read: keys are spread evenly, so the inputs run dry at
   * about the same time.
   */
  async #read(store: DerivedStore): Promise<void> {
    const enough = Math.ceil((2 * this.#step) / this.#inputs.length / ROW_ENTRIES);
    const wanted = this.#inputs.flatMap((input) => {
      const rows = rowCount(input.run);
      const atHand = Math.floor((input.entries.length / ENTRY_WORDS - input.at) / ROW_ENTRIES);
      const more = Math.min(rows - input.row, Math.max(0, enough - atHand));
      return Array.from({ length: more }, (_, i) => ({ input, row: input.row + i }));
    });
    const keys = wanted.map(({ input, row }) => rowKey(this.#prefix, input.run, row));
    const values = await store.getMany(keys, { once: true });
    const read = new Map<Input, Uint32Array[]>();
    for (const [i, { input, row }] of wanted.entries()) {
      const count = Math.min(ROW_ENTRIES, input.run.count - row * ROW_ENTRIES);
      const entries = parseEntries(keys[i] as Uint8Array, values[i], count);
      const parts = read.get(input);
      if (parts === undefined) read.set(input, [entries]);
      else parts.push(entries);
    }
    for (const [input, parts] of read) {
      input.entries = joined([input.entries.subarray(input.at * ENTRY_WORDS), ...parts]);
      input.at = 0;
      input.row += parts.length;
      input.ended = input.row === rowCount(input.run);
    }
  }
}

function joined(parts: readonly Uint32Array[]): Uint32Array {
  const all = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
