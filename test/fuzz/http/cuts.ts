/**
 * Whether a server may have ended a connection on which complete requests waited for their replies. It says why (server/http/cuts.ts); a
 * reason that is a limit of time holds only if so much time has gone by, which it does here only where the machine did not
 * let one of us run: a client that could run would have sent, or complained of a missing reply, long before.
 */
import type { Cut, CutReason } from '../../../server/http/cuts.ts';

/** The limits of time, in milliseconds. */
const LIMITS: Partial<Record<CutReason, number>> = {
  too_slow: 10_000,
  lingered: 1000,
  idle: 120_000,
  stalled: 120_000,
  not_taken: 120_000,
};

/** `took` is how many milliseconds the exchange had lasted, by the wall. Returns what is wrong with the cut, or `undefined`. */
export function cutFault(cut: Cut | undefined, took: number): string | undefined {
  if (cut === undefined) return 'and the server says nothing about it';
  const limit = LIMITS[cut.reason];
  if (limit === undefined) return `the server says: ${cut.reason}`;
  return took >= limit ? undefined : `the server says: ${cut.reason}, after ${Math.round(took)} ms of ${limit}`;
}
