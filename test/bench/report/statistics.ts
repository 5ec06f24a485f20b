/** The arithmetic of the report: medians, spreads, targets. */
import type { Ratio } from '../scenario.ts';

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Median and spread. Throws a RangeError where there are no values, or one that is no number. */
export function summarize(values: readonly number[]): Summary {
  if (values.length === 0 || values.some(Number.isNaN)) throw new RangeError(`no values: ${values.join(', ')}`);
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  const median = sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
  return { median, min: sorted[0] as number, max: sorted.at(-1) as number };
}

/** Whether the median reaches what it must; undefined where nothing is asked of it. */
export function isMet({ values, atLeast, atMost }: Ratio): boolean | undefined {
  if (atLeast === undefined && atMost === undefined) return undefined;
  const { median } = summarize(values);
  return median >= (atLeast ?? -Infinity) && median <= (atMost ?? Infinity);
}

/** A value in units of what it must be, 1 and more being good enough; undefined where nothing is asked of it. */
export function inMusts(value: number, { atLeast, atMost }: Ratio): number | undefined {
  if (atLeast !== undefined) return value / atLeast;
  return atMost === undefined ? undefined : atMost / value;
}
