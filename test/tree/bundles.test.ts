import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  bundleBounds,
  decodeBundle,
  decodeFrames,
  decodePrefix,
  encodeBundle,
  MAX_LEAF_SIZE,
  prefixBounds,
} from '../../tree/bundles.ts';
import { concatBytes, toHex, utf8 } from '../../tree/bytes.ts';

test('each leaf stands behind its length, and an empty one is legal', () => {
  expect(toHex(encodeBundle([utf8('hello'), utf8('')]))).toBe('000568656c6c6f0000');
  expect(encodeBundle([])).toEqual(new Uint8Array(0));
  expect(toHex(encodeBundle([new Uint8Array(300)])).slice(0, 6)).toBe('012c00');
});

test('leaves are read back, all or the first few', () => {
  const leaves = fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 20 });
  fc.assert(
    fc.property(leaves, fc.nat(), (written, seed) => {
      const bundle = encodeBundle(written);
      expect(decodeBundle(bundle, written.length)).toEqual(written);
      const count = seed % (written.length + 1);
      expect(decodePrefix(bundle, count)).toEqual(written.slice(0, count));
      if (count < written.length) expect(() => decodeBundle(bundle, count)).toThrow(RangeError);
    }),
  );
});

test('bounds say where the leaves stand, all or the first few', () => {
  const bundle = encodeBundle([utf8('one'), utf8(''), utf8('three')]);
  expect([...bundleBounds(bundle, 3)]).toEqual([2, 5, 7, 7, 9, 14]);
  expect([...prefixBounds(bundle, 2)]).toEqual([2, 5, 7, 7]);
  expect([...bundleBounds(new Uint8Array(0), 0)]).toEqual([]);
  expect(() => bundleBounds(bundle, 2)).toThrow('after the last entry');
  for (const count of [4, 2 ** 40]) expect(() => prefixBounds(bundle, count)).toThrow('truncated');
});

test('of frames no more are read than asked for, so that millions of empty ones cost nothing', () => {
  const frames = encodeBundle([utf8('a'), utf8(''), utf8('b'), utf8('c')]);
  for (let limit = 0; limit <= 5; limit++)
    expect(decodeFrames(frames, limit)).toEqual(decodePrefix(frames, Math.min(limit, 4)));
  expect(decodeFrames(concatBytes(frames, Uint8Array.of(0)), 4).length).toBe(4);
  expect(() => decodeFrames(concatBytes(frames, Uint8Array.of(0)), 5)).toThrow(RangeError);
});

test('a leaf has at most 65,535 bytes', () => {
  const longest = new Uint8Array(MAX_LEAF_SIZE);
  expect(decodeBundle(encodeBundle([longest]), 1)).toEqual([longest]);
  expect(() => encodeBundle([new Uint8Array(MAX_LEAF_SIZE + 1)])).toThrow(RangeError);
});

test('every cut, every surplus and every wrong count is refused', () => {
  const bundle = encodeBundle([utf8('one'), utf8(''), utf8('three')]);
  for (let length = 0; length < bundle.length; length++)
    expect(() => decodeBundle(bundle.slice(0, length), 3)).toThrow(RangeError);
  expect(() => decodeBundle(concatBytes(bundle, Uint8Array.of(0)), 3)).toThrow(RangeError);
  expect(() => decodeBundle(bundle, 2)).toThrow(RangeError);
  expect(() => decodeBundle(bundle, 4)).toThrow(RangeError);
  expect(() => decodePrefix(bundle, 4)).toThrow(RangeError);
  expect(() => decodeBundle(bundle.with(1, 4), 3)).toThrow(RangeError);
});
