/** Opening the store of the by-hash index: whose it is, how far it got, and removing what does not belong there. */
import { randomBytes } from 'node:crypto';
import { concatBytes } from '../../tree/bytes.ts';
import type { Log } from '../log.ts';
import type { DerivedStore } from '../storage/derived.ts';
import { SECRET_SIZE } from './leaf-keys.ts';
import { afterPrefix, endOf, type LogRuns, logKey, NO_RUNS, parseLogRow, runPrefix } from './runs.ts';
import { STORE_ROW, secretOf, storeRow } from './store-row.ts';

/** Log rows read at once, and rows removed at once: others have their turn between. */
const STEP = 4096;

/**
 * The secret of a store. One that is not of this server, of another layout, damaged, or to be made again, is emptied and gets a new
 * secret; `undefined` where the signal fires first.
 */
export async function openSecret(
  store: DerivedStore,
  storeId: Uint8Array,
  remake: boolean,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const stored = secretOf(await store.get(STORE_ROW), storeId);
  if (stored !== undefined && !remake) return stored;
  // Its own row goes first, so that a crash in between is not taken for a whole index.
  await removeRange(store, STORE_ROW, Uint8Array.of(255), signal);
  if (signal.aborted) return undefined;
  const secret = randomBytes(SECRET_SIZE);
  await store.write([storeRow(storeId, secret)]);
  return secret;
}

/** What is stored of the logs. Deleted ones are removed, and those that reach beyond the end of their log. Throws IndexDamage. */
export async function readLogs(
  store: DerivedStore,
  logs: Iterable<Log>,
  signal: AbortSignal,
): Promise<Map<Log, LogRuns>> {
  const all = [...logs];
  const found = new Map<Log, LogRuns>();
  for (let at = 0; at < all.length && !signal.aborted; at += STEP) {
    const some = all.slice(at, at + STEP);
    const rows = await store.getMany(some.map(({ name }) => logKey(name)));
    for (const [i, log] of some.entries()) {
      const row = rows[i];
      const stored = row === undefined ? NO_RUNS : parseLogRow(log.name, row);
      const deleted = log.definition.status === 'deleted';
      const wrong = deleted || endOf(stored) > log.state.treeSize;
      if (wrong && row !== undefined) await removeLog(store, log.name, signal);
      if (!deleted) found.set(log, wrong ? NO_RUNS : stored);
    }
  }
  return found;
}

/** Removes all of a log, the log row last: where that is interrupted, the next start finds it. */
export async function removeLog(store: DerivedStore, name: string, signal: AbortSignal): Promise<void> {
  const prefix = runPrefix(name);
  await removeRange(store, prefix, afterPrefix(prefix), signal);
  if (!signal.aborted) await store.write([{ key: logKey(name), value: undefined }]);
}

/** Removes a range in steps, for a large one takes a while; ends early when the signal fires. */
async function removeRange(store: DerivedStore, gte: Uint8Array, lt: Uint8Array, signal: AbortSignal): Promise<void> {
  for (let from = gte; !signal.aborted; ) {
    const last = (await store.keys(from, lt, STEP)).at(-1);
    if (last === undefined) return;
    const next = concatBytes(last, Uint8Array.of(0));
    await store.clear(from, next);
    from = next;
  }
}
