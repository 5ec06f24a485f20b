/** Figures as text. */
import type { Ratio } from '../scenario.ts';
import { summarize } from './statistics.ts';

/** Three digits, or all of those before the point, in groups of three. */
export function number(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const [whole, fraction] = value.toFixed(digits).split('.') as [string, string | undefined];
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** `2.11×`, `9.40 ms`. */
export function figure(value: number, unit: string): string {
  return `${number(value)}${unit === '×' || unit.startsWith('/') ? '' : ' '}${unit}`;
}

/** Median and spread: `2.11× (2.05–2.30)`. */
export function spread(values: readonly number[], unit: string): string {
  const { median, min, max } = summarize(values);
  return `${figure(median, unit)}${values.length > 1 ? ` (${number(min)}–${number(max)})` : ''}`;
}

/** A target as it was set, without digits that nobody wrote: `≥ 1.25×, aim 2×`. */
export function target({ atLeast, atMost, aim, unit = '×' }: Ratio): string {
  const space = unit === '×' || unit.startsWith('/') ? '' : ' ';
  const parts: string[] = [];
  if (atLeast !== undefined) parts.push(`≥ ${atLeast.toLocaleString('en-US')}${space}${unit}`);
  if (atMost !== undefined) parts.push(`≤ ${atMost.toLocaleString('en-US')}${space}${unit}`);
  if (aim !== undefined) parts.push(`aim ${aim.toLocaleString('en-US')}${space}${unit}`);
  return parts.join(', ');
}
