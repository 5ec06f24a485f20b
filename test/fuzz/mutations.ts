/**
 * Ways in which a text or some bytes may be altered, as arbitraries of fast-check: what an attacker, a proxy or a helpful editor
 * does. `INDELIBLE_FUZZ_RUNS=100000` raises the number of runs of every property; the seed of a failure is printed with it.
 */
import fc from 'fast-check';
import { concatBytes, utf8 } from '../../tree/bytes.ts';

const WANTED = Number(process.env['INDELIBLE_FUZZ_RUNS'] ?? 0) || 0;

/** Settings of a property: so many runs, or as many as the environment asks for. */
export function runs(count: number): { readonly numRuns: number } {
  return { numRuns: Math.max(count, WANTED) };
}

/** Pieces that parsers stumble over: separators, white space of all sorts, look-alikes, numbers just too large. */
const NASTY: readonly string[] = [
  ...[
    '\0',
    '\t',
    '\n',
    '\n\n',
    '\r',
    '\r\n',
    ' ',
    '\v',
    '\u001f',
    '\u007f',
    '\u0085',
    '\u00a0',
    '\u2028',
    '\u3000',
    '\ufeff',
  ],
  ...[
    '+',
    '-',
    '_',
    '=',
    '==',
    '/',
    '//',
    '.',
    '..',
    ',',
    ':',
    '"',
    '\\',
    '%',
    '%30',
    '%00',
    '{',
    '}',
    '[',
    ']',
    'x',
    'e',
    'E',
    'x000/',
    'x001/',
  ],
  ...[
    '0',
    '00',
    '1',
    '7',
    '9',
    '256',
    '999',
    '9007199254740992',
    '18446744073709551616',
    '1e3',
    '0x1',
    'Infinity',
    'NaN',
    '-0',
  ],
  // Digits and letters of other scripts, the Kelvin sign, the long s, dashes, a lone surrogate, a combining accent.
  ...[
    '\u0661',
    '\uff10',
    '\u00b2',
    '\u{1d7ce}',
    '\u0430',
    '\u0435',
    '\u212a',
    '\u017f',
    '\u2014',
    '\u2013',
    '\ud800',
    '\u0301',
    '\ufffd',
  ],
];

type Change = (text: string) => string;

const at = fc.nat({ max: 0xffff_ffff });
const short = fc.integer({ min: 1, max: 8 });

/** One change of a text, at a place that is chosen by its length. */
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(at, fc.constantFrom(...NASTY)).map(
    ([n, piece]): Change =>
      (text) =>
        splice(text, n, 0, piece),
  ),
  fc.tuple(at, fc.constantFrom(...NASTY)).map(
    ([n, piece]): Change =>
      (text) =>
        splice(text, n, 1, piece),
  ),
  fc.tuple(at, short).map(
    ([n, length]): Change =>
      (text) =>
        splice(text, n, length, ''),
  ),
  fc.tuple(at, short).map(
    ([n, length]): Change =>
      (text) =>
        splice(text, n, 0, text.substr(place(text, n), length)),
  ),
  fc.tuple(at, fc.nat(15)).map(
    ([n, bit]): Change =>
      (text) =>
        flippedLetter(text, place(text, n), bit),
  ),
  fc.tuple(at, at).map(
    ([n, m]): Change =>
      (text) =>
        swapped(text, place(text, n), place(text, m)),
  ),
  at.map(
    (n): Change =>
      (text) =>
        text.slice(0, place(text, n)),
  ),
  at.map(
    (n): Change =>
      (text) =>
        text.slice(place(text, n)),
  ),
  at.map(
    (n): Change =>
      (text) =>
        otherCase(text, place(text, n)),
  ),
  fc.constantFrom<Change>(
    (text) => text.replaceAll('\n', '\r\n'),
    (text) => text.replaceAll('\n', '\r'),
    (text) => text.replaceAll('+', '-').replaceAll('/', '_'),
    (text) => text.replaceAll('=', ''),
    (text) => text.toUpperCase(),
    (text) => text.toLowerCase(),
    (text) => text.normalize('NFD'),
    (text) => text + text,
    (text) => `\ufeff${text}`,
    (text) => `${text}\n`,
    (text) => [...text].reverse().join(''),
    (text) => encodeURIComponent(text.replaceAll(/\p{Cs}/gu, '')),
  ),
);

/** A text of `good`, altered one to three times; it may be the same again. */
function altered(good: fc.Arbitrary<string>): fc.Arbitrary<{ readonly good: string; readonly text: string }> {
  return fc
    .tuple(good, fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([text, changes]) => ({ good: text, text: changes.reduce((now, apply) => apply(now), text) }));
}

/** Texts of all sorts, made of the letters and pieces that parsers care about. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: fc.constantFrom(...NASTY, 'a', 'Z', 'tile/', 'p'), maxLength: 12 }),
);

type ByteChange = (bytes: Uint8Array) => Uint8Array;

const byteChange: fc.Arbitrary<ByteChange> = fc.oneof(
  fc.tuple(at, fc.nat(7)).map(
    ([n, bit]): ByteChange =>
      (bytes) =>
        flippedByte(bytes, place(bytes, n), bit),
  ),
  fc.tuple(at, fc.nat(255)).map(
    ([n, byte]): ByteChange =>
      (bytes) =>
        spliceBytes(bytes, n, 1, Uint8Array.of(byte)),
  ),
  fc.tuple(at, fc.uint8Array({ minLength: 1, maxLength: 9 })).map(
    ([n, piece]): ByteChange =>
      (bytes) =>
        spliceBytes(bytes, n, 0, piece),
  ),
  fc.tuple(at, short).map(
    ([n, length]): ByteChange =>
      (bytes) =>
        spliceBytes(bytes, n, length, new Uint8Array(0)),
  ),
  fc.tuple(at, short).map(
    ([n, length]): ByteChange =>
      (bytes) =>
        spliceBytes(bytes, n, length, new Uint8Array(length).fill(255)),
  ),
  fc.tuple(at, short).map(
    ([n, length]): ByteChange =>
      (bytes) =>
        spliceBytes(bytes, n, length, new Uint8Array(length)),
  ),
  at.map(
    (n): ByteChange =>
      (bytes) =>
        bytes.slice(0, place(bytes, n)),
  ),
  at.map(
    (n): ByteChange =>
      (bytes) =>
        bytes.slice(place(bytes, n)),
  ),
  fc.constant<ByteChange>((bytes) => concatBytes(bytes, bytes)),
  fc.constant<ByteChange>((bytes) => concatBytes(bytes, Uint8Array.of(0))),
);

/** Bytes of `good`, altered one to three times. */
function alteredBytes(
  good: fc.Arbitrary<Uint8Array>,
): fc.Arbitrary<{ readonly good: Uint8Array; readonly bytes: Uint8Array }> {
  return fc
    .tuple(good, fc.array(byteChange, { minLength: 1, maxLength: 3 }))
    .map(([bytes, changes]) => ({ good: bytes, bytes: changes.reduce((now, apply) => apply(now), bytes) }));
}

/** Bytes of a text, altered as a text or as bytes. */
export function alteredUtf8(
  good: fc.Arbitrary<string>,
): fc.Arbitrary<{ readonly good: string; readonly bytes: Uint8Array }> {
  return fc.oneof(
    altered(good).map((both) => ({ good: both.good, bytes: utf8(both.text) })),
    good.chain((text) => alteredBytes(fc.constant(utf8(text))).map(({ bytes }) => ({ good: text, bytes }))),
  );
}

/** A place from 0 to the end, chosen by a number: half of them anywhere, half of them beside a separator, where formats are tender. */
function place(whole: string | Uint8Array, n: number): number {
  const places = n % 2 === 0 ? [] : separators(whole);
  const chosen = Math.floor(n / 2);
  return places.length === 0 ? chosen % (whole.length + 1) : (places[chosen % places.length] as number);
}

const SEPARATORS = new Set([...'\n /+.=:",{}[]&?;-'].map((letter) => letter.charCodeAt(0)));

/** Before and after each separator, and the end. Of bytes only the ends: in them a separator means nothing. */
function separators(whole: string | Uint8Array): readonly number[] {
  if (typeof whole !== 'string') return [0, whole.length, Math.max(0, whole.length - 1)];
  const found = [whole.length];
  for (let i = 0; i < whole.length; i++) if (SEPARATORS.has(whole.charCodeAt(i))) found.push(i, i + 1);
  return found;
}

function splice(text: string, n: number, length: number, piece: string): string {
  const start = place(text, n);
  return text.slice(0, start) + piece + text.slice(start + length);
}

function spliceBytes(bytes: Uint8Array, n: number, length: number, piece: Uint8Array): Uint8Array {
  const start = place(bytes, n);
  return concatBytes(bytes.subarray(0, start), piece, bytes.subarray(start + length));
}

function flippedNumber(value: number, bit: number): number {
  const weight = 2 ** bit;
  return Math.floor(value / weight) % 2 === 0 ? value + weight : value - weight;
}

function flippedLetter(text: string, start: number, bit: number): string {
  if (start >= text.length) return text;
  const letter = String.fromCharCode(flippedNumber(text.charCodeAt(start), bit));
  return text.slice(0, start) + letter + text.slice(start + 1);
}

function flippedByte(bytes: Uint8Array, start: number, bit: number): Uint8Array {
  if (start >= bytes.length) return bytes;
  return bytes.with(start, flippedNumber(bytes[start] as number, bit));
}

function swapped(text: string, n: number, m: number): string {
  const [first, second] = n < m ? [n, m] : [m, n];
  if (first === second || second >= text.length) return text;
  return text.slice(0, first) + text[second] + text.slice(first + 1, second) + text[first] + text.slice(second + 1);
}

function otherCase(text: string, start: number): string {
  const letter = text.charAt(start);
  const other = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
  return text.slice(0, start) + other + text.slice(start + 1);
}
