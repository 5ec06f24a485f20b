/**
 * The start rules: given what the guard promised and how far the database got, may this server go on?
 *
 * Pure, so that every row of the table is a test. Everything that is not plainly one of the accepted states is refused; there
 * is no repair.
 */
import { equalBytes } from '../tree/bytes.ts';
import type { Promised } from './guard.ts';
import { MOST_ADOPTED } from './storage/commit-record.ts';

export type Verdict =
  /** The database is exactly where the guard says. */
  | { readonly action: 'accept' }
  /** The database has one commit more, or two: durable, never acknowledged. Check them, then promise those after number `promised`, in turn. */
  | { readonly action: 'adopt'; readonly promised: number }
  /** A first start was interrupted before its first commit: make the database again. */
  | { readonly action: 'restart-init' }
  | { readonly action: 'refuse'; readonly reason: string };

/** The newest commit record of the database: its number, 0 for none, and the hashes of the last records by number. */
export interface DatabaseEnd {
  readonly n: number;
  recordHash(n: number): Uint8Array | undefined;
}

/** Decides from the two slots (`undefined`: torn) and the database's end. */
export function judgeStart(
  slots: readonly [Promised | undefined, Promised | undefined],
  database: DatabaseEnd,
): Verdict {
  const [a, b] = slots;
  if (a === undefined && b === undefined) return refuse('both slots of the guard are damaged');
  const valid = [a, b].filter((slot) => slot !== undefined).sort((x, y) => y.n - x.n);
  const newest = valid[0] as Promised;
  const older = valid[1];

  if (older !== undefined && older.n !== newest.n - 1 && !(newest.n === 0 && older.n === 0)) {
    return refuse(`the guard's slots hold ${older.n} and ${newest.n}, which do not follow each other`);
  }
  if (newest.n === 0 && older !== undefined && database.n === 0) return { action: 'restart-init' };
  if (database.n < newest.n) {
    return refuse(`rollback: the database ends at commit ${database.n}, but commit ${newest.n} was promised`);
  }
  // Before the first commit there is nothing to go on from.
  if (database.n > newest.n + (newest.n === 0 ? 1 : MOST_ADOPTED)) {
    return refuse(`the database is at commit ${database.n}, but the guard has promised only ${newest.n}`);
  }
  for (const slot of valid) {
    if (slot.n === 0) continue;
    const hash = database.recordHash(slot.n);
    if (hash === undefined || !equalBytes(hash, slot.recordHash)) {
      return refuse(`commit ${slot.n} in the database is not the one that was promised: another history`);
    }
  }
  if (database.n > newest.n) return { action: 'adopt', promised: newest.n };
  if (older === undefined) {
    return refuse(
      `one slot of the guard is damaged, yet the database has no commit after ${newest.n} that explains it`,
    );
  }
  return { action: 'accept' };
}

function refuse(reason: string): Verdict {
  return { action: 'refuse', reason };
}
