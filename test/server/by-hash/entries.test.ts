/** Sorting, searching and merging packed entries, against the slow and plain way. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ENTRY_WORDS,
  lowerBound,
  type MergeInput,
  mergeEntries,
  offsetAt,
  sortedEntries,
} from '../../../server/by-hash/entries.ts';
import { seededRandom } from '../../support/random.ts';

type Entry = readonly [high: number, low: number, offset: number];

const pack = (entries: readonly Entry[]): Uint32Array => Uint32Array.from(entries.flat());
const unpack = (words: Uint32Array): Entry[] =>
  Array.from(
    { length: words.length / ENTRY_WORDS },
    (_, i) => [...words.subarray(3 * i, 3 * i + 3)] as unknown as Entry,
  );
const compare = (a: Entry, b: Entry): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

/** Words that are often the same, and often at an end of what a word can be. */
const word = fc.oneof(fc.constantFrom(0, 1, 2047, 2048, 0x7fffffff, 0x80000000, 0xffffffff), fc.nat(0xffffffff));
const keys = fc.array(fc.tuple(word, word), { maxLength: 300 });

test('entries are sorted by key, then offset', () => {
  fc.assert(
    fc.property(keys, (list) => {
      const entries = list.map(([high, low], i): Entry => [high, low, i]);
      expect(unpack(sortedEntries(Uint32Array.from(list.flat()), list.length))).toEqual(entries.sort(compare));
    }),
  );
});

test.each([4095, 4096, 20_000])('%d keys, many of them equal, are sorted', (count) => {
  const random = seededRandom(count);
  const words = Uint32Array.from({ length: 2 * count }, (_, i) => Math.floor(random() * (i % 3 === 0 ? 5 : 2 ** 32)));
  const entries = Array.from(
    { length: count },
    (_, i): Entry => [words[2 * i] as number, words[2 * i + 1] as number, i],
  );
  // More keys than are asked for may be there.
  expect(unpack(sortedEntries(Uint32Array.from([...words, 1, 2, 3, 4]), count))).toEqual(entries.sort(compare));
});

test('the first entry that is not before a key and an offset is found', () => {
  fc.assert(
    fc.property(keys, word, word, fc.nat(310), (list, high, low, offset) => {
      const entries = list.map(([h, l], i): Entry => [h, l, i]).sort(compare);
      for (const [h, l] of [[high, low], ...(list[0] === undefined ? [] : [list[0]])] as [number, number][]) {
        const wanted = entries.findIndex((entry) => compare(entry, [h, l, offset]) >= 0);
        const key = Uint32Array.of(h, l);
        const found = lowerBound(pack(entries), key, offset);
        expect(found).toBe(wanted < 0 ? entries.length : wanted);
        const entry = entries[found];
        expect(offsetAt(pack(entries), found, key)).toBe(entry?.[0] === h && entry[1] === l ? entry[2] : undefined);
      }
    }),
  );
});

describe('merging', () => {
  /** Merges as who reads piece by piece does: each input gets `piece` more entries when it has none left. */
  function merge(
    inputs: readonly (readonly Entry[])[],
    shifts: readonly number[],
    piece: number,
    room: number,
  ): Entry[] {
    const readers = inputs.map((entries, i): MergeInput & { rest: readonly Entry[] } => {
      const { rest, ...input } = { rest: entries, entries: new Uint32Array(0), at: 0, ended: entries.length === 0 };
      return { ...input, shift: shifts[i] as number, rest };
    });
    const merged: Entry[] = [];
    const total = inputs.reduce((sum, { length }) => sum + length, 0);
    while (merged.length < total) {
      const out = new Uint32Array(Math.min(room, total - merged.length) * ENTRY_WORDS);
      for (let made = 0; made * ENTRY_WORDS < out.length; ) {
        for (const reader of readers) {
          if (reader.ended || reader.at * ENTRY_WORDS < reader.entries.length) continue;
          reader.entries = pack(reader.rest.slice(0, piece));
          reader.at = 0;
          reader.rest = reader.rest.slice(piece);
          reader.ended = reader.rest.length === 0;
        }
        made = mergeEntries(readers, out, made);
      }
      merged.push(...unpack(out));
    }
    return merged;
  }

  test('gives all entries in order, those of earlier inputs first where keys are equal', () => {
    const input = fc.array(fc.tuple(word, word), { maxLength: 40 });
    fc.assert(
      fc.property(
        fc.array(input, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 60 }),
        (lists, piece, room) => {
          const inputs = lists.map((list) => list.map(([h, l], i): Entry => [h, l, i]).sort(compare));
          const shifts = lists.map((_, i) => 1000 * i);
          const wanted = inputs
            .flatMap((entries, i) => entries.map(([h, l, o]): Entry => [h, l, o + 1000 * i]))
            .sort(compare);
          expect(merge(inputs, shifts, piece, room)).toEqual(wanted);
        },
      ),
    );
  });

  test('offsets reach as far as a word does', () => {
    const inputs = [[[7, 7, 0]], [[7, 7, 0x0fffffff]]] as Entry[][];
    expect(merge(inputs, [0, 0xf0000000], 1, 2)).toEqual([
      [7, 7, 0],
      [7, 7, 0xffffffff],
    ]);
  });
});
