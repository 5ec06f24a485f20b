/** Many hashes in one call are those of node:crypto, by the lanes and without them. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sha256Slices as ofNode } from '#sha256';
import { concatBytes, equalBytes, toHex, utf8 } from '../../tree/bytes.ts';
import { sha256Slices as ofBrowsers, sha256 } from '../../tree/sha256.ts';
import { CONSTANTS, INITIAL, LANES, lanesModule, MESSAGES, WINDOW } from '../../tree/sha256-lanes.ts';
import { makeSha256Slices, type Sha256Slices } from '../../tree/sha256-slices.ts';
import { seededRandom } from '../support/random.ts';
import { engine, withEngine } from '../support/web-assembly.ts';

/** A function of many hashes and how often it has hashed one alone since its trial. */
function counted(maxBlocks: number): { readonly slices: Sha256Slices; readonly alone: () => number } {
  let calls = 0;
  const slices = makeSha256Slices((bytes) => {
    calls++;
    return sha256(bytes);
  }, maxBlocks);
  slices(0, new Uint8Array(2), Uint32Array.of(0, 1, 1, 2));
  calls = 0;
  return { slices, alone: () => calls };
}

const withoutLanes = withEngine(undefined, () => counted(Number.POSITIVE_INFINITY));
const withLanes = counted(Number.POSITIVE_INFINITY);

const ALL: readonly (readonly [string, Sha256Slices])[] = [
  ['in lanes', withLanes.slices],
  ['one by one', withoutLanes.slices],
  ['as Node does', ofNode],
  ['as browsers do', ofBrowsers],
];

/** Messages with other bytes between them, as the framing of a bundle is. */
function joined(
  messages: readonly Uint8Array[],
  gap = 2,
): { readonly bytes: Uint8Array; readonly bounds: Uint32Array } {
  const parts = messages.flatMap((message) => [new Uint8Array(gap).fill(0xee), message]);
  const bounds: number[] = [];
  let at = 0;
  for (const message of messages) {
    bounds.push(at + gap, at + gap + message.length);
    at += gap + message.length;
  }
  return { bytes: concatBytes(...parts), bounds: Uint32Array.from(bounds) };
}

function expected(prefix: number, messages: readonly Uint8Array[]): string[] {
  return messages.map((message) => createHash('sha256').update(Uint8Array.of(prefix)).update(message).digest('hex'));
}

function check(slices: Sha256Slices, prefix: number, messages: readonly Uint8Array[], gap?: number): void {
  const { bytes, bounds } = joined(messages, gap);
  const before = bytes.slice();
  const digests = slices(prefix, bytes, bounds);
  const hex = messages.map((_, i) => toHex(digests.subarray(32 * i, 32 * i + 32)));
  expect(hex).toEqual(expected(prefix, messages));
  expect(digests).toHaveLength(32 * messages.length);
  expect(equalBytes(bytes, before)).toBe(true);
}

function randomBytes(length: number, random: () => number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

describe.each(ALL)('%s', (_, slices) => {
  test('vectors of FIPS 180-4, whose first byte is the prefix', () => {
    const vectors = [
      ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
      [
        'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
        '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
      ],
      [
        'abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu',
        'cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1',
      ],
    ] as const;
    const { bytes, bounds } = joined(vectors.map(([text]) => utf8(text.slice(1))));
    const digests = slices(0x61, bytes, bounds);
    expect(vectors.map((__, i) => toHex(digests.subarray(32 * i, 32 * i + 32)))).toEqual(vectors.map(([, hex]) => hex));
  });

  test('a million times the letter a', () => {
    const message = new Uint8Array(999_999).fill(0x61);
    expect(toHex(slices(0x61, message, Uint32Array.of(0, message.length)))).toBe(
      'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
    );
  });

  test.each([1, 3, 4, 5])('each length up to 200 and around the borders of blocks, %d at a time', (count) => {
    const random = seededRandom(count);
    const lengths = Array.from({ length: 201 }, (__, length) => length);
    for (let border = 256; border <= 1024; border += 64)
      lengths.push(...[-11, -10, -9, -8, -2, -1, 0, 1].map((more) => border + more));
    for (const length of lengths)
      check(
        slices,
        length % 256,
        Array.from({ length: count }, () => randomBytes(length, random)),
      );
  });

  test('messages of any lengths side by side, in every lane', () => {
    const lengths = fc.array(fc.oneof(fc.nat(70), fc.nat(400), fc.nat(3000)), { maxLength: 40 });
    fc.assert(
      fc.property(lengths, fc.nat(255), fc.nat(3), fc.nat(), (sizes, prefix, gap, seed) => {
        const random = seededRandom(seed);
        check(
          slices,
          prefix,
          sizes.map((size) => randomBytes(size, random)),
          gap,
        );
      }),
      { numRuns: 60 },
    );
  });

  test('more bytes than the lanes hold at once, and a message that alone is longer', () => {
    const random = seededRandom(9);
    const sizes = [65_535, 10, 65_535, 65_535, 65_535, 65_535, WINDOW, 3, WINDOW + 1, 0, 5, 70_000, 65_535];
    check(
      slices,
      0,
      sizes.map((size) => randomBytes(size, random)),
    );
  });

  test('more messages than the lanes take at once', () => {
    const random = seededRandom(11);
    const lengths = Array.from({ length: MESSAGES + 3 }, (__, i) => (i % 97 === 0 ? 60 : i % 3));
    check(
      slices,
      1,
      lengths.map((length) => randomBytes(length, random)),
      0,
    );
  });

  test('nothing', () => {
    expect(slices(0, new Uint8Array(0), new Uint32Array(0))).toEqual(new Uint8Array(0));
  });

  test('an array that is a view of another', () => {
    const outer = randomBytes(500, seededRandom(3));
    const bounds = Uint32Array.of(0, 41, 43, 84, 86, 127);
    const messages = [outer.slice(77, 118), outer.slice(120, 161), outer.slice(163, 204)];
    const digests = slices(0, outer.subarray(77, 300), bounds);
    expect([0, 1, 2].map((i) => toHex(digests.subarray(32 * i, 32 * i + 32)))).toEqual(expected(0, messages));
  });
});

describe('the lanes', () => {
  const messages = Array.from({ length: 10 }, (_, i) => new Uint8Array(40 + 100 * i));

  test('hash all but what is alone, and what is longer than they are faster for', () => {
    const all = counted(Number.POSITIVE_INFINITY);
    check(all.slices, 0, messages);
    expect(all.alone()).toBe(0);
    check(all.slices, 0, messages.slice(0, 1));
    expect(all.alone()).toBe(1);
    const four = counted(4);
    check(four.slices, 0, [...messages, new Uint8Array(246), new Uint8Array(247)]);
    // 40, 140, 240 and 246 bytes have four blocks or fewer.
    expect(four.alone()).toBe(8);
  });

  test('are not there without WebAssembly, where a policy forbids it, and where it gives anything else', () => {
    const { Module, Instance, Memory, CompileError } = engine;
    const forbidden = class {
      constructor() {
        throw new CompileError('blocked by Content Security Policy');
      }
    };
    const idle = class {
      readonly exports = { memory: new Memory({ initial: 8 }), run: () => undefined };
    };
    for (const [other, alone] of [
      [undefined, 10],
      [{}, 10],
      [{ Module: forbidden, Instance }, 10],
      [{ Module, Instance: idle }, 10],
      [{ Module, Instance }, 0],
    ] as const) {
      const one = withEngine(other, () => counted(Number.POSITIVE_INFINITY));
      check(one.slices, 0, messages);
      expect(one.alone()).toBe(alone);
    }
  });

  test('are a module of SIMD that engines accept, the same each time', () => {
    expect(engine.validate(lanesModule())).toBe(true);
    expect(lanesModule()).toEqual(lanesModule());
    expect(LANES).toBe(4);
  });

  test('begin and go on with the numbers of the standard', () => {
    const primes: number[] = [];
    for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
    const fraction = (x: number): number => Math.floor((x % 1) * 2 ** 32);
    expect([...CONSTANTS]).toEqual(primes.map((prime) => fraction(Math.cbrt(prime))));
    expect([...INITIAL]).toEqual(primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime))));
  });
});
