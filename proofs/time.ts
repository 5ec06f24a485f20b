/**
 * Times as texts: RFC 3339 in UTC with six decimals, the one spelling we write and read, such as
 * `2026-02-03T04:05:06.000007Z`. In memory they are microseconds since the Unix epoch, up to 2^53 - 1 (in the year 2255).
 */

/** The text of a time. Throws a RangeError unless it is an integer from 0 to 2^53 - 1. */
export function formatMicros(us: number): string {
  if (!Number.isSafeInteger(us) || us < 0) throw new RangeError(`not microseconds since the epoch: ${us}`);
  // Milliseconds are left to Date, which has no more; the seconds of its text are kept.
  const seconds = new Date(Math.floor(us / 1000)).toISOString().slice(0, 19);
  return `${seconds}.${String(us % 1_000_000).padStart(6, '0')}Z`;
}

/** The time of a text in that one spelling. Throws a RangeError on anything else, days that do not exist included. */
export function parseMicros(text: string): number {
  const match = /^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\.([0-9]{6})Z$/.exec(text);
  const us = match === null ? Number.NaN : Date.parse(`${match[1]}Z`) * 1000 + Number(match[2]);
  // Date.parse carries 30 February over to March; writing the time again shows it.
  if (!Number.isSafeInteger(us) || us < 0 || formatMicros(us) !== text)
    throw new RangeError('not a time such as 2026-02-03T04:05:06.000007Z');
  return us;
}
