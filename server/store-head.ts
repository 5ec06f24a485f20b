/** Storing a head that everybody may see from this commit on. */
import type { Transaction } from './committer.ts';
import type { Log, Published } from './log.ts';
import { headKey, refreshKey } from './storage/keys.ts';
import { encodeHeadRow } from './storage/rows.ts';

/** The first head of a size is never replaced; later signatures of it stand beside it, the newest only. */
export function storeHead(transaction: Transaction, log: Log, head: Published): void {
  const last = log.published;
  const grew = head.treeSize > last.treeSize;
  const key = grew ? headKey(log.name, head.treeSize) : refreshKey(log.name, head.treeSize, head.time);
  const previous = refreshKey(log.name, last.treeSize, last.time);
  if (!grew && key !== previous) transaction.delete(previous);
  transaction.put(key, encodeHeadRow(head));
  transaction.publish(log, head);
}
