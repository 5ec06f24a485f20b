/** Numbers, base64, hexadecimal, tile paths, bundles: the floor that the other parsers stand on. */
import { Buffer } from 'node:buffer';
import { concatBytes, utf8 } from '../../../tree/bytes.ts';
import type { Modules } from '../build-modules.ts';
import { below } from '../mutator.ts';
import { bytesTarget, expect, expectSame, nothing, oneOf, type Target, textTarget } from '../target.ts';

const NUMBERS = ['0', '7', '255', '256', '65536', '4294967296', '1234567890123456', '9007199254740991'];

export function treeTargets({ bytes, hash, bundles, tiles, errors, inclusion, consistency }: Modules): Target[] {
  const range = oneOf(RangeError);
  const leaves = [[''], ['a', 'bc', ''], ['x'.repeat(41), 'y'.repeat(255), 'z'.repeat(256)], ['q'.repeat(1000)], []];
  const bundlesOf = leaves.map((each) => bundles.encodeBundle(each.map(utf8)));
  const paths = [
    ...[
      'tile/0/000',
      'tile/0/001.p/255',
      'tile/63/x001/067.p/8',
      'tile/entries/273.p/112',
      'tile/entries/x001/x234/067',
    ],
    ...[
      'tile/1/x999/999.p/1',
      'tile/7/x009/x007/x199/x254/x740/991',
      'tile/entries/x009/x007/x199/x254/x740/991.p/200',
    ],
  ];
  return [
    textTarget({
      name: 'decimal',
      covers: ['tree/bytes parseDecimal'],
      good: NUMBERS,
      refuses: range,
      read: (text) => {
        const isGood = /^[0-9]{1,40}$/.test(text) && String(BigInt(text)) === text && BigInt(text) < 2n ** 53n;
        let value: number;
        try {
          value = bytes.parseDecimal(text);
        } catch (error) {
          expect(!isGood, 'refused, and it is a number');
          throw error;
        }
        expect(isGood && String(value) === text, `accepted as ${value}`);
      },
    }),
    textTarget({
      name: 'base64',
      covers: ['tree/bytes fromBase64'],
      good: [
        '',
        'AA==',
        'AAA=',
        'AAAA',
        '/+8=',
        Buffer.alloc(32, 7).toString('base64'),
        Buffer.alloc(70, 250).toString('base64'),
      ],
      refuses: range,
      read: (text) => {
        const isGood = Buffer.from(text, 'base64').toString('base64') === text;
        let value: Uint8Array;
        try {
          value = bytes.fromBase64(text);
        } catch (error) {
          expect(!isGood, 'refused, and it is base64');
          throw error;
        }
        expectSame(Buffer.from(value).toString('base64'), text);
        expectSame(bytes.toBase64(value), text);
      },
    }),
    textTarget({
      name: 'hexadecimal',
      covers: ['tree/bytes fromHex'],
      good: ['', '00', 'ff', '0123456789abcdef', 'ab'.repeat(32)],
      refuses: range,
      read: (text) => {
        const value = bytes.fromHex(text);
        expectSame(Buffer.from(value).toString('hex'), text);
        expectSame(bytes.toHex(value), text);
      },
    }),
    bytesTarget({
      name: 'UTF-8',
      covers: ['tree/bytes fromUtf8'],
      good: ['', 'plain', '\ufeffé 😀 \u{10ffff}', '— name'].map(utf8),
      refuses: oneOf(TypeError),
      read: (input) => expectSame(utf8(bytes.fromUtf8(input)), input),
    }),
    bytesTarget({
      name: 'binary numbers',
      covers: ['tree/bytes readU16', 'tree/bytes readU32', 'tree/bytes readU64'],
      good: [0, 1, 2 ** 32, 2 ** 53 - 1].map((n) => concatBytes(new Uint8Array(5), bytes.u64(n), bytes.u64(n))),
      refuses: range,
      read: (input, random) => {
        const at = below(random, 12) - 1;
        const big = (size: number): bigint => BigInt(`0x${Buffer.from(input.subarray(at, at + size)).toString('hex')}`);
        expect(BigInt(bytes.readU16(input, at)) === big(2), 'another u16');
        expect(BigInt(bytes.readU32(input, at)) === big(4), 'another u32');
        expect(BigInt(bytes.readU64(input, at)) === big(8), 'another u64');
      },
    }),
    bytesTarget({
      name: 'hash of the tree',
      covers: ['tree/hash asTreeHash', 'tree/hash asLeafHash'],
      good: [new Uint8Array(32), new Uint8Array(32).fill(255)],
      refuses: range,
      read: (input) => {
        expect(hash.asTreeHash(input).length === 32, 'a hash of another length');
        expect(hash.asLeafHash(input).length === 32, 'a hash of another length');
      },
    }),
    bytesTarget({
      name: 'entry bundle',
      covers: ['tree/bundles decodeBundle', 'tree/bundles bundleBounds', 'tree/bundles decodeFrames'],
      good: bundlesOf,
      refuses: range,
      read: (input) => {
        const frames = bundles.decodeFrames(input, 10_000);
        expectSame(bundles.encodeBundle(frames), input);
        // What can be read without a count can be read with it, and with no other one.
        expectSame(bundles.encodeBundle(bundles.decodeBundle(input, frames.length)), input);
        expect(bundles.bundleBounds(input, frames.length).length === 2 * frames.length, 'bounds of another number');
        for (const other of [frames.length + 1, frames.length - 1]) {
          if (other < 0) continue;
          expect(
            throws(() => bundles.decodeBundle(input, other)),
            `accepted with ${other} leaves too`,
          );
        }
      },
    }),
    bytesTarget({
      name: 'entry bundle of any count',
      covers: ['tree/bundles decodePrefix', 'tree/bundles prefixBounds'],
      good: bundlesOf,
      refuses: range,
      read: (input, random) => {
        const count = random() < 0.9 ? below(random, 1 + frameCount(input)) : 2 ** below(random, 53);
        const prefix = bundles.decodePrefix(input, count);
        expect(prefix.length === count, 'another number of leaves');
        const written = bundles.encodeBundle(prefix);
        expectSame(written, input.subarray(0, written.length));
        expect(bundles.prefixBounds(input, count).length === 2 * count, 'bounds of another number');
      },
    }),
    textTarget({
      name: 'tile path',
      covers: ['tree/tiles parseTilePath'],
      good: paths,
      words: ['tile/', 'entries', 'x000/', 'x001/', '000', '/000', '.p/', '.p/256', '.p/0', '.p/08', '..', '%2f'],
      refuses: nothing,
      read: (text) => {
        const path = tiles.parseTilePath(text);
        if (path === undefined) return;
        const { level, index, width } = path.tile;
        expectSame(path.kind === 'tile' ? tiles.tilePath(path.tile) : tiles.bundlePath(index, width), text);
        const inRange = level >= 0 && level <= 63 && width >= 1 && width <= 256 && Number.isSafeInteger(index);
        expect(inRange && index >= 0, `accepted as tile ${level}/${index} of ${width}`);
      },
    }),
    bytesTarget({
      name: 'node in a tile',
      covers: ['tree/tiles nodeFromTile'],
      good: [new Uint8Array(8192).fill(3), new Uint8Array(32 * 5).fill(4)],
      cost: 20,
      refuses: range,
      read: (input, random) => {
        const node = { level: below(random, random() < 0.9 ? 4 : 60), index: below(random, 256) };
        const found = tiles.nodeFromTile(node, input);
        expect(found.length === 32, 'a hash of another length');
      },
    }),
    textTarget({
      name: 'numbers of a query for a proof',
      covers: [],
      good: ['0 1', '3 7', '0 9007199254740991', '4503599627370496 9007199254740991'],
      refuses: oneOf(errors.ProofError),
      read: (text) => {
        const [a, b] = text.split(' ').map(Number) as [number, number];
        const length = inclusion.planInclusion({ leafIndex: a, treeSize: b }).length;
        expect(length <= 53, `an inclusion proof of ${length} hashes`);
        const steps = consistency.planConsistency({ first: a, second: b }).length;
        expect(steps <= 54, `a consistency proof of ${steps} hashes`);
      },
    }),
  ];
}

function frameCount(input: Uint8Array): number {
  let count = 0;
  for (let at = 0; at + 1 < input.length; count++) at += 2 + (input[at] as number) * 256 + (input[at + 1] as number);
  return count;
}

function throws(action: () => unknown): boolean {
  try {
    action();
    return false;
  } catch (error) {
    if (error instanceof RangeError) return true;
    throw error;
  }
}
