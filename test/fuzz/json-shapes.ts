/** Alters a JSON text by its shape: one member or element is left out, or something else stands in its place. */
import { fromUtf8, toBase64, utf8 } from '../../tree/bytes.ts';
import { below, pick, type Random } from './mutator.ts';

/** What may stand in the place of anything. */
export const JUNK: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    0.5,
    1e300,
    2 ** 53,
    -0,
    '',
    'null',
    [],
    {},
    [[]],
    [null],
    'AA==',
    'AAAA',
    'durable',
    'signed',
  ],
  ...[
    'witnessed',
    'events',
    'raw',
    'frozen',
    toBase64(new Uint8Array(32)),
    '2026-01-01T00:00:00.000000Z',
    '\ud800',
    { length: 1 },
  ],
];

type Way = readonly (string | number)[];

/** The text with another shape; as it is where it is no JSON. */
export function reshaped(input: Uint8Array, random: Random): Uint8Array {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(input));
  } catch {
    return input;
  }
  const way = pick(random, waysOf(value));
  const put = random() < 0.2 ? undefined : random() < 0.2 ? below(random, 300) : pick(random, JUNK);
  return utf8(JSON.stringify(replaced(value, way, put)) ?? '');
}

/** Ways to the value itself and to all that is in it. */
export function waysOf(value: unknown, way: Way = []): Way[] {
  if (typeof value !== 'object' || value === null) return [way];
  const keys = Array.isArray(value) ? value.map((_, i) => i) : Object.keys(value);
  return [way, ...keys.flatMap((key) => waysOf((value as Record<string | number, unknown>)[key], [...way, key]))];
}

/** The value with something else, or nothing, at that place. */
export function replaced(value: unknown, [key, ...rest]: Way, put: unknown): unknown {
  if (key === undefined) return put;
  const next = replaced((value as Record<string | number, unknown>)[key], rest, put);
  if (Array.isArray(value))
    return next === undefined ? value.toSpliced(key as number, 1) : value.with(key as number, next);
  // What is undefined is not written.
  return { ...(value as object), [key]: next };
}
