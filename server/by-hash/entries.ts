/**
 * Entries of the by-hash index, packed: three words each, the two of the key and the offset of the leaf from the first one of its run.
 * They stand in the order of key, then offset; so equal leaves stand side by side, the first of them first.
 */

/** Words of a key. */
export const KEY_WORDS = 2;
/** Words of an entry. */
export const ENTRY_WORDS = KEY_WORDS + 1;

/** Number of the first entry that is not before this key and offset. */
export function lowerBound(entries: Uint32Array, key: Uint32Array, offset: number): number {
  const [high, low] = key as unknown as [number, number];
  let from = 0;
  let to = entries.length / ENTRY_WORDS;
  while (from < to) {
    const middle = Math.floor((from + to) / 2);
    const at = middle * ENTRY_WORDS;
    const difference =
      (entries[at] as number) - high || (entries[at + 1] as number) - low || (entries[at + 2] as number) - offset;
    if (difference < 0) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Offset of entry `i`, if there is one and it has this key. */
export function offsetAt(entries: Uint32Array, i: number, key: Uint32Array): number | undefined {
  const at = i * ENTRY_WORDS;
  if (at >= entries.length || entries[at] !== key[0] || entries[at + 1] !== key[1]) return undefined;
  return entries[at + 2];
}

/** Digits have 8 bits below this many entries, and 11 above: a digit costs its counters, and a pass over all entries. */
const MANY = 4096;

/**
 * Entries of the first `count` keys, whose offsets are their places, in order. By digits, the last one first: every pass keeps the
 * order of the one before, so no choice of leaves makes it slow, and equal keys stay in order of offset. 35 ns an entry.
 */
export function sortedEntries(keys: Uint32Array, count: number): Uint32Array {
  const bits = count < MANY ? 8 : 11;
  const counters = new Uint32Array(2 ** bits);
  let order = new Uint32Array(count);
  let next = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  for (let word = KEY_WORDS - 1; word >= 0; word--) {
    for (let shift = 0; shift < 32; shift += bits) {
      sortByDigit(keys, word, shift, counters, order, next);
      [order, next] = [next, order];
    }
  }
  const entries = new Uint32Array(count * ENTRY_WORDS);
  for (let i = 0, at = 0; i < count; i++, at += ENTRY_WORDS) {
    const offset = order[i] as number;
    entries[at] = keys[offset * KEY_WORDS] as number;
    entries[at + 1] = keys[offset * KEY_WORDS + 1] as number;
    entries[at + 2] = offset;
  }
  return entries;
}

/** Brings `order` into the order of one digit of the keys, with one counter for each value of it. */
function sortByDigit(
  keys: Uint32Array,
  word: number,
  shift: number,
  counters: Uint32Array,
  order: Uint32Array,
  sorted: Uint32Array,
): void {
  const mask = counters.length - 1;
  counters.fill(0);
  // biome-ignore-start lint/suspicious/noBitwiseOperators: digits of a 32-bit word
  for (let i = 0; i < order.length; i++) {
    const digit = ((keys[i * KEY_WORDS + word] as number) >>> shift) & mask;
    counters[digit] = (counters[digit] as number) + 1;
  }
  for (let digit = 0, before = 0; digit <= mask; digit++) {
    const here = counters[digit] as number;
    counters[digit] = before;
    before += here;
  }
  for (let i = 0; i < order.length; i++) {
    const offset = order[i] as number;
    const digit = ((keys[offset * KEY_WORDS + word] as number) >>> shift) & mask;
    const place = counters[digit] as number;
    counters[digit] = place + 1;
    sorted[place] = offset;
  }
  // biome-ignore-end lint/suspicious/noBitwiseOperators: end of the digits
}

/** Entries in order that are to be merged with others. */
export interface MergeInput {
  entries: Uint32Array;
  /** Number of the first entry that is not taken yet. */
  at: number;
  /** Whether none comes after these. */
  ended: boolean;
  /** Added to every offset. */
  readonly shift: number;
}

/**
 * Merges into `out`, from entry `from` on, until that is full, an input that has not ended has nothing left, or there is nothing more.
 * Returns the number of entries in `out`. Of equal keys, those of earlier inputs come first. A tree of losers: an entry is compared
 * once for each level of it, which is half of what a heap does; 40 ns an entry for 16 inputs.
 */
export function mergeEntries(inputs: readonly MergeInput[], out: Uint32Array, from: number): number {
  let width = 1;
  while (width < inputs.length) width *= 2;
  /** First word of each input's next entry; infinite where there is none. */
  const high = new Float64Array(width).fill(Number.POSITIVE_INFINITY);
  const low = new Uint32Array(width);
  const isBefore = (a: number, b: number): boolean => {
    if (high[a] !== high[b]) return (high[a] as number) < (high[b] as number);
    return low[a] === low[b] ? a < b : (low[a] as number) < (low[b] as number);
  };
  for (const [i, { entries, at, ended }] of inputs.entries()) {
    if (at * ENTRY_WORDS < entries.length) {
      high[i] = entries[at * ENTRY_WORDS] as number;
      low[i] = entries[at * ENTRY_WORDS + 1] as number;
    } else if (!ended) return from;
  }
  /** Who lost at each inner node; the inputs are the leaves, from `width` on. */
  const losers = new Uint32Array(width);
  const play = (node: number): number => {
    if (node >= width) return node - width;
    const [a, b] = [play(2 * node), play(2 * node + 1)];
    const aWins = isBefore(a, b);
    losers[node] = aWins ? b : a;
    return aWins ? a : b;
  };
  let winner = play(1);
  let to = from * ENTRY_WORDS;
  while (to < out.length && high[winner] !== Number.POSITIVE_INFINITY) {
    const input = inputs[winner] as MergeInput;
    const { entries } = input;
    const at = input.at * ENTRY_WORDS;
    out[to++] = entries[at] as number;
    out[to++] = entries[at + 1] as number;
    out[to++] = (entries[at + 2] as number) + input.shift;
    input.at++;
    if (at + ENTRY_WORDS < entries.length) {
      high[winner] = entries[at + ENTRY_WORDS] as number;
      low[winner] = entries[at + ENTRY_WORDS + 1] as number;
    } else if (input.ended) high[winner] = Number.POSITIVE_INFINITY;
    else break;
    for (let node = Math.floor((winner + width) / 2); node >= 1; node = Math.floor(node / 2)) {
      const loser = losers[node] as number;
      if (!isBefore(loser, winner)) continue;
      losers[node] = winner;
      winner = loser;
    }
  }
  return to / ENTRY_WORDS;
}
