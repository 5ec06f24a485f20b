/** Heads of witnesses that the log itself does not show. They may wait for a quorum, but not for ever. */
import type { Checkpoint } from '../../proofs/checkpoint.ts';
import type { AlarmBook } from './alarms.ts';
import type { WitnessAhead, WitnessSeen } from './state.ts';

/**
 * Judges what a witness holds beside the head that the log shows: sets or clears `rollback` of that witness, and returns what is to be
 * remembered of it. Times in milliseconds; `patience` is how long a head may wait.
 */
export function judgeWithheld(
  book: AlarmBook,
  name: string,
  seen: WitnessSeen | undefined,
  shown: Checkpoint,
  { now, patience }: { readonly now: number; readonly patience: number },
): WitnessSeen | undefined {
  const ahead = seen && aheadOf(seen, shown.treeSize, now);
  const withheld = ahead !== undefined && now - ahead.since > patience ? ahead : undefined;
  book.set(
    'rollback',
    name,
    withheld === undefined
      ? undefined
      : `witness ${name} holds a head of size ${withheld.treeSize} that the log has signed, and the log shows only ${shown.treeSize}`,
    withheld === undefined ? {} : { heads: [withheld.note, shown.note] },
  );
  return seen && { ...seen, ahead };
}

/**
 * The oldest head of a witness that the log does not show yet. Of those between it and the newest nothing is known; they are taken to be as
 * young as the newest, so that a log that is always one head behind its witness is no alarm, and one whose lag is longer than that is.
 */
function aheadOf(seen: WitnessSeen, shown: number, now: number): WitnessAhead | undefined {
  const { note, treeSize, at, ahead } = seen;
  if (treeSize <= shown) return undefined;
  if (ahead === undefined) return { note, treeSize, since: now };
  return ahead.treeSize > shown ? ahead : { note, treeSize, since: Math.max(at, ahead.since) };
}
