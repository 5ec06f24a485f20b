/** What the jobs of one commit share while the sequencer builds it. */
import type { Transaction } from './committer.ts';
import { ServerError } from './errors.ts';
import type { Log } from './log.ts';
import type { IdUse } from './used-ids.ts';

export interface Group {
  readonly transaction: Transaction;
  /** Time for entries of this group in microseconds; `undefined` while the clock is unsafe. */
  readonly now: number | undefined;
  /** Entries that use an id already, by key of the id row. */
  readonly stored: ReadonlyMap<string, IdUse>;
  /** Ids that this group itself uses for the first time. */
  readonly fresh: Map<string, IdUse>;
}

/** Answers a job once its group is durable, given the hashes of the leaves that were appended to each log, side by side. */
export type Answer = (leafHashes: ReadonlyMap<Log, Uint8Array>) => void;

/** receivedAt for what the group appends to a log. Throws ServerError `log_frozen`, `clock_unsafe`. */
export function receivedAtIn({ now, transaction }: Group, log: Log): number {
  const { status, frozenAt } = transaction.definitionOf(log);
  if (status !== 'active')
    throw new ServerError('log_frozen', `this log was frozen at ${frozenAt} and takes no entries any more`);
  if (now === undefined) {
    throw new ServerError(
      'clock_unsafe',
      'the clock of the server jumped too far; nothing is appended until that is settled',
    );
  }
  return Math.max(now, transaction.lastReceivedAt(log));
}
