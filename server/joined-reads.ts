/** Reads that are asked for in the same turn, as one. */
import type { RowReader } from './storage/store.ts';

/**
 * A reader that joins what is asked of it before the others get their turn: logs that are verified side by side want a few rows each, and
 * each trip to a thread of LevelDB's costs this one more than the rows.
 */
export function joinReads(store: RowReader): RowReader {
  let wanted: string[] = [];
  let values: Promise<(Uint8Array | undefined)[]> | undefined;
  return {
    async getMany(keys) {
      const first = wanted.length;
      wanted.push(...keys);
      values ??= Promise.resolve().then(() => {
        const all = wanted;
        wanted = [];
        values = undefined;
        return store.getMany(all);
      });
      return (await values).slice(first, first + keys.length);
    },
  };
}
