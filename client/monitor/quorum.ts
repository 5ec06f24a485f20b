/** What the cosignatures of a head say by a policy: whether the quorum holds, and whether it is of late. */
import type { Checkpoint } from '../../proofs/checkpoint.ts';
import { holdsQuorum, type Policy, type PolicyWitness } from '../../proofs/policy.ts';
import type { Cosigned } from '../../proofs/witnessed.ts';
import type { AlarmBook } from './alarms.ts';

/** A witness's clock may be ahead of ours by so many milliseconds. */
const CLOCK_SKEW = 300_000;

/** Sets and clears `quorum_not_met` and `stale_cosignatures`. `maxAge` in milliseconds, 0 for any age; `fault` is what is wrong with a line. */
export function judgeQuorum(
  book: AlarmBook,
  policy: Policy,
  head: Checkpoint,
  {
    cosignatures,
    fault,
    now,
    maxAge,
  }: {
    readonly cosignatures: readonly Cosigned[];
    readonly fault: string | undefined;
    readonly now: number;
    readonly maxAge: number;
  },
): void {
  const names = (witnesses: readonly PolicyWitness[]) => witnesses.map(({ name }) => name).join(', ') || 'nobody';
  const timeOf = (witness: PolicyWitness) => cosignatures.find((each) => each.witness === witness)?.time;
  const holds = holdsQuorum(policy, (witness) => timeOf(witness) !== undefined);
  const missing = policy.witnesses.filter((witness) => timeOf(witness) === undefined);
  const reason = fault ?? `it is not cosigned by ${names(missing)}`;
  book.set(
    'quorum_not_met',
    '',
    holds && fault === undefined ? undefined : `the head of size ${head.treeSize} has no quorum: ${reason}`,
  );
  const isFresh = (witness: PolicyWitness): boolean => {
    const time = timeOf(witness);
    if (time === undefined) return false;
    // A time far ahead says nothing about now.
    return time * 1000 >= now - maxAge && time * 1000 <= now + CLOCK_SKEW;
  };
  const isStale = maxAge > 0 && holds && !holdsQuorum(policy, isFresh);
  const stale = policy.witnesses.filter((witness) => timeOf(witness) !== undefined && !isFresh(witness));
  book.set(
    'stale_cosignatures',
    '',
    isStale
      ? `the cosignatures of size ${head.treeSize} by ${names(stale)} are not of the last ${Math.round(maxAge / 1000)} s`
      : undefined,
  );
}
