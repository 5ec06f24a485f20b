/** Checks the head that a log withholds until its witnesses have signed, if there is one: it opens under one of the log's keys, and signs the root that was derived. */
import { equalBytes, toHex } from '../../tree/bytes.ts';
import { frontierRoot } from '../../tree/frontier.ts';
import type { TreeHash } from '../../tree/hash.ts';
import { parseWithheld } from '../cosigning/withheld.ts';
import { withheldKey } from '../storage/keys.ts';
import { fault } from './fault.ts';
import type { HeadsOptions } from './heads.ts';

/** The withheld head, beside a walk over the tree. */
export interface WithheldCheck {
  /** Its tree size, until it has been compared; then infinity. */
  next(): number;
  compare(frontier: readonly TreeHash[] | undefined): void;
}

export async function makeWithheldCheck({
  log,
  keys,
  treeSize,
  reads,
  report,
  growing,
}: HeadsOptions): Promise<WithheldCheck> {
  const key = withheldKey(log);
  const row = await reads.get(key);
  let next = Number.POSITIVE_INFINITY;
  let rootHash: TreeHash | undefined;
  if (row instanceof Uint8Array) {
    try {
      const head = parseWithheld(row, keys());
      if (head.treeSize <= treeSize) ({ treeSize: next, rootHash } = head);
      else if (!growing)
        report(
          fault('head', 'stray', {
            log,
            index: head.treeSize,
            key,
            stored: `a withheld head of size ${head.treeSize}`,
            derived: `a tree of size ${treeSize}`,
          }),
        );
    } catch (error) {
      report(fault('head', 'malformed', { log, key, stored: (error as Error).message }));
    }
  }
  return {
    next: () => next,
    compare: (frontier) => {
      const index = next;
      next = Number.POSITIVE_INFINITY;
      if (frontier === undefined || rootHash === undefined || equalBytes(frontierRoot(frontier), rootHash)) return;
      const [stored, derived] = [`root hash ${toHex(rootHash)}`, toHex(frontierRoot(frontier))];
      report(fault('head', 'differs', { log, index, key, stored, derived }));
    },
  };
}
