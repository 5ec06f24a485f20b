/** Looking for a key in the runs of a log: one row of each run, all of them read at once. */
import type { DerivedStore } from '../storage/derived.ts';
import { ENTRY_WORDS, lowerBound, offsetAt } from './entries.ts';
import { directoryKey, type LogRuns, parseEntries, ROW_ENTRIES, type Run, rowCount, rowKey } from './runs.ts';

/** Where a run has a key and those after it, if it has it at all. */
interface Place {
  readonly run: Run;
  readonly row: number;
  readonly key: Uint8Array;
}

/**
 * The first leaf index from `from` (inclusive) to `to` (exclusive) with this key in the runs of a log, or `undefined`. Throws
 * IndexDamage, also where the runs were replaced meanwhile.
 */
export async function findInRuns(
  store: DerivedStore,
  prefix: Uint8Array,
  { runs }: LogRuns,
  key: Uint32Array,
  from: number,
  to: number,
): Promise<number | undefined> {
  const wanted = runs.filter(({ first, count }) => first < to && first + count > from);
  await readDirectories(store, prefix, wanted);
  const places = wanted.map((run): Place => {
    const directory = run.directory;
    // Entries that are not before the wanted one begin in the row before the first whose own first entry is not.
    const after = directory === undefined ? 1 : lowerBound(directory, key, from - run.first);
    const row = Math.max(0, after - 1);
    return { run, row, key: rowKey(prefix, run, row) };
  });
  const values = await store.getMany(places.map((place) => place.key));
  for (const [i, { run, row, key: stored }] of places.entries()) {
    const count = Math.min(ROW_ENTRIES, run.count - row * ROW_ENTRIES);
    const entries = parseEntries(stored, values[i], count);
    const at = lowerBound(entries, key, from - run.first);
    const offset =
      at * ENTRY_WORDS < entries.length || run.directory === undefined
        ? offsetAt(entries, at, key)
        : offsetAt(run.directory, row + 1, key);
    if (offset === undefined) continue;
    const leafIndex = run.first + offset;
    return leafIndex < to ? leafIndex : undefined;
  }
  return undefined;
}

/** Reads those directories that nobody has read yet. Throws IndexDamage. */
async function readDirectories(store: DerivedStore, prefix: Uint8Array, runs: readonly Run[]): Promise<void> {
  const unread = runs.filter((run) => run.directory === undefined && rowCount(run) > 1);
  if (unread.length === 0) return;
  const keys = unread.map((run) => directoryKey(prefix, run));
  const values = await store.getMany(keys);
  for (const [i, run] of unread.entries()) {
    run.directory = parseEntries(keys[i] as Uint8Array, values[i], rowCount(run));
  }
}
