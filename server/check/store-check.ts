/**
 * Checks a whole store from its stored bytes alone: everything that can be derived is derived again and compared. What is found is
 * told, one fault a thing, and the check goes on; it writes nothing and repairs nothing.
 */

import type { KeyRing } from '../secrets.ts';
import type { LogHead } from '../storage/commit-record.ts';
import { edgeKey } from '../storage/keys.ts';
import { parseEdge } from '../storage/rows.ts';
import type { ReadOnlyStore } from '../storage/store.ts';
import type { Report } from './fault.ts';
import { checkLog } from './log-check.ts';
import { makeReads, type Pace } from './reads.ts';
import {
  type Commits,
  checkApiKeys,
  checkCommits,
  checkDefinitions,
  checkOtherRows,
  checkStoreRow,
  checkSum,
  type DefinedLog,
} from './server-rows.ts';

export interface StoreCheckOptions {
  readonly store: ReadOnlyStore;
  readonly storeId: Uint8Array;
  /** Keys derived from the master seed; without them verifier keys are taken from the definitions, and ids are not derived. */
  readonly keys: KeyRing | undefined;
  readonly report: Report;
  readonly pace: Pace;
  readonly signal?: AbortSignal | undefined;
  /** Entries checked so far, of how many. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface StoreCheck extends Commits {
  /** What was derived of each log that it could be derived of. */
  readonly heads: readonly LogHead[];
  readonly logCount: number;
}

/** Checks a store that nobody writes to. */
export async function checkStore(options: StoreCheckOptions): Promise<StoreCheck> {
  const { report, keys, onProgress } = options;
  const reads = makeReads(options);
  const common = { ...options, reads };
  await checkStoreRow(common);
  const commits = await checkCommits(common);
  const apiKeys = await checkApiKeys(common);
  const logs = await checkDefinitions(common);
  const total = await entriesOf(options.store, logs);
  let before = 0;
  const heads: LogHead[] = [];
  for (const { definition, verifierKeys } of logs) {
    let done = 0;
    const head = await checkLog({
      definition,
      verifierKeys: () => verifierKeys,
      idDigest: keys?.idDigest(definition.origin),
      sourceOf: (id) => {
        const key = apiKeys.get(id);
        return key === null ? null : key?.name;
      },
      reads,
      report,
      onEntries: (entries) => {
        done = entries;
        onProgress?.(before + done, total);
      },
    });
    before += done;
    if (head !== undefined) heads.push(head);
  }
  if (commits.last !== undefined) checkSum(commits.last, heads, logs.length, report);
  await checkOtherRows(common, new Set(logs.map(({ definition }) => definition.name)));
  return { ...commits, heads, logCount: logs.length };
}

/** What the edges say there is to do; only a measure for progress. */
async function entriesOf(store: StoreCheckOptions['store'], logs: readonly DefinedLog[]): Promise<number> {
  let total = 0;
  for (const { definition } of logs) {
    try {
      total += parseEdge((await store.get(edgeKey(definition.name))) ?? new Uint8Array(0)).treeSize;
    } catch {
      // Told of by the check itself.
    }
  }
  return total;
}
