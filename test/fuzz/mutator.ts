/**
 * Alters bytes as an attacker, a bad disk or a helpful editor would, by the hundred thousand a second: no arbitraries, no shrinking, one
 * seeded generator. What it makes depends on nothing but the seed and what it is given.
 */
import { concatBytes, utf8 } from '../../tree/bytes.ts';

export type Random = () => number;

/** What an alteration may draw from. */
export interface Material {
  /** Pieces that these parsers stumble over. */
  readonly words: readonly Uint8Array[];
  /** Other good inputs, of which pieces are taken. */
  readonly others: readonly Uint8Array[];
}

/** Longest result: what is longer takes time and finds nothing. */
const MAX_SIZE = 65_536;

/** A whole number from 0 up to, not including, `n`. */
export function below(random: Random, n: number): number {
  return Math.floor(random() * n);
}

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[below(random, list.length)] as T;
}

/** Separators, white space of all sorts, look-alikes, names that JavaScript itself gives a meaning. */
const TEXTS: readonly string[] = [
  ...[
    '\0',
    '\t',
    '\n',
    '\n\n',
    '\r',
    '\r\n',
    ' ',
    '\v',
    '\f',
    '\u001f',
    '\u007f',
    '\u0085',
    '\u00a0',
    '\u2028',
    '\u3000',
  ],
  ...[
    '\ufeff',
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
    ';',
    '"',
    "'",
    '\\',
    '%',
    '%30',
    '%00',
    '%zz',
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    '(',
    ')',
    '<',
    '>',
    '&',
    '?',
    '#',
    '*',
    '!',
    'x',
    'e',
    'E',
    'x000/',
    'x001/',
    '.p/',
    'null',
    'true',
  ],
  ...['\\u0000', '\\ud800', '\\udc00', '\\ud83d\\ude00', '__proto__', 'constructor', 'toString', '$sealed', 'check'],
  ...[
    '— ',
    '– ',
    'é',
    'e\u0301',
    '\u0661',
    '\uff10',
    '\u00b2',
    '\u{1d7ce}',
    '\u0430',
    '\u212a',
    '\u017f',
    '\u0301',
    '\ufffd',
    '😀',
  ],
];

/** Not UTF-8, or only to careless readers: overlong, a surrogate, beyond U+10FFFF, a lone continuation. */
const BROKEN: readonly (readonly number[])[] = [
  [0xc0, 0x80],
  [0xe0, 0x80, 0xaf],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0x80],
  [0xff],
  [0xe2, 0x80],
];

/** Pieces for any format. */
export const WORDS: readonly Uint8Array[] = [...TEXTS.map(utf8), ...BROKEN.map((bytes) => Uint8Array.from(bytes))];

/** Numbers at the edges, as they stand in texts. */
const NUMBERS: readonly string[] = [
  ...[
    '0',
    '00',
    '-0',
    '1',
    '-1',
    '01',
    '+1',
    '7',
    '9',
    '10',
    '16',
    '31',
    '32',
    '33',
    '63',
    '64',
    '127',
    '128',
    '255',
    '256',
  ],
  ...[
    '257',
    '999',
    '1000',
    '1001',
    '1024',
    '10000',
    '65535',
    '65536',
    '2147483647',
    '2147483648',
    '4294967295',
    '4294967296',
  ],
  ...['9007199254740991', '9007199254740992', '9007199254740993', '9223372036854775808', '18446744073709551615'],
  ...[
    '18446744073709551616',
    '1e3',
    '1E400',
    '1e-400',
    '1.0',
    '0.1',
    '.5',
    '5.',
    '0x1',
    'Infinity',
    'NaN',
    '1'.repeat(40),
  ],
];
const NUMBER_BYTES = NUMBERS.map(utf8);

/** The same for 1, 2, 4 and 8 bytes. */
const EDGES: readonly bigint[] = [
  ...[
    0n,
    1n,
    2n,
    0x7fn,
    0x80n,
    0xffn,
    0x100n,
    0x7fffn,
    0x8000n,
    0xffffn,
    0x10000n,
    0x7fffffffn,
    0x80000000n,
    0xffffffffn,
  ],
  ...[0x100000000n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n],
];
const EDGE_BYTES: readonly Uint8Array[] = [1, 2, 4, 8].flatMap((size) =>
  EDGES.filter((edge) => edge < 256n ** BigInt(size)).flatMap((edge) => {
    const bytes = Uint8Array.from({ length: size }, (_, i) => Number((edge / 256n ** BigInt(size - 1 - i)) % 256n));
    return size === 1 ? [bytes] : [bytes, bytes.slice().reverse()];
  }),
);

/** One to four alterations; the result may be what it was. */
export function alter(bytes: Uint8Array, random: Random, material: Material): Uint8Array {
  let out = bytes;
  for (let times = random() < 0.6 ? 1 : 2 + below(random, 3); times > 0; times--)
    out = alterOnce(out, random, material);
  return out.length > MAX_SIZE ? out.slice(0, MAX_SIZE) : out;
}

function alterOnce(bytes: Uint8Array, random: Random, { words, others }: Material): Uint8Array {
  const at = place(bytes, random);
  const short = 1 + below(random, 8);
  switch (below(random, 16)) {
    case 0:
    case 1:
    case 2:
      return flipBit(bytes, at, below(random, 8));
    case 3:
      return splice(bytes, at, 1, Uint8Array.of(below(random, 256)));
    case 4:
      return splice(bytes, at, 0, Uint8Array.of(below(random, 256)));
    case 5:
    case 6:
      return splice(bytes, at, 0, pick(random, words));
    case 7:
      return splice(bytes, at, random() < 0.5 ? 1 : short, pick(random, words));
    case 8:
      return splice(bytes, at, random() < 0.5 ? 1 : short, new Uint8Array(0));
    case 9:
      return splice(bytes, at, 0, bytes.subarray(at, at + short * (1 + below(random, 8))));
    case 10:
      return replaceNumber(bytes, at, pick(random, NUMBER_BYTES));
    case 11: {
      const edge = pick(random, EDGE_BYTES);
      return splice(bytes, at, edge.length, edge);
    }
    case 12:
      return swap(bytes, at, place(bytes, random));
    case 13:
      return random() < 0.5 ? bytes.slice(0, at) : bytes.slice(at);
    case 14: {
      const other = pick(random, others);
      const from = place(other, random);
      const piece = other.subarray(from, random() < 0.3 ? other.length : from + 1 + below(random, 40));
      return random() < 0.3 ? concatBytes(bytes.subarray(0, at), piece) : splice(bytes, at, piece.length, piece);
    }
    default:
      return splice(bytes, at, 0, repeated(bytes.subarray(at, at + short), 2 ** below(random, 9)));
  }
}

const SEPARATORS: ReadonlySet<number> = new Set(utf8('\n /+.=:",{}[]&?;-'));

/** A place from 0 to the end: half of them anywhere, half of them at the next separator, where formats are tender. */
function place(bytes: Uint8Array, random: Random): number {
  let at = below(random, bytes.length + 1);
  if (random() < 0.5) return at;
  for (const end = Math.min(bytes.length, at + 64); at < end; at++) if (SEPARATORS.has(bytes[at] as number)) break;
  return random() < 0.5 ? at : Math.min(bytes.length, at + 1);
}

/** `length` bytes from `at` on, replaced. */
export function splice(bytes: Uint8Array, at: number, length: number, piece: Uint8Array): Uint8Array {
  return concatBytes(bytes.subarray(0, at), piece, bytes.subarray(at + length));
}

export function flipBit(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  if (at >= bytes.length) return bytes;
  const copy = bytes.slice();
  // biome-ignore lint/suspicious/noBitwiseOperators: one bit of one byte
  copy[at] = (copy[at] as number) ^ (1 << bit);
  return copy;
}

function swap(bytes: Uint8Array, a: number, b: number): Uint8Array {
  if (a >= bytes.length || b >= bytes.length) return bytes;
  const copy = bytes.slice();
  copy[a] = bytes[b] as number;
  copy[b] = bytes[a] as number;
  return copy;
}

/** The digits at or after a place, replaced. */
function replaceNumber(bytes: Uint8Array, at: number, digits: Uint8Array): Uint8Array {
  const isDigit = (i: number): boolean => (bytes[i] as number) >= 0x30 && (bytes[i] as number) <= 0x39;
  let from = at;
  while (from < bytes.length && !isDigit(from)) from++;
  let to = from;
  while (to < bytes.length && isDigit(to)) to++;
  return splice(bytes, from, to - from, digits);
}

function repeated(piece: Uint8Array, times: number): Uint8Array {
  const out = new Uint8Array(piece.length * times);
  for (let i = 0; i < times; i++) out.set(piece, i * piece.length);
  return out;
}
