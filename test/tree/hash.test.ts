import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sha256 as nodeSha256 } from '#sha256';
import { bundleBounds, encodeBundle } from '../../tree/bundles.ts';
import { concatBytes, toBase64, toHex, utf8 } from '../../tree/bytes.ts';
import {
  asLeafHash,
  asTreeHash,
  emptyRoot,
  leafHash,
  leafHashes,
  nodeHash,
  nodeHashes,
  type TreeHash,
} from '../../tree/hash.ts';
import { sha256 } from '../../tree/sha256.ts';

test('vectors of transparency-dev/merkle and x/mod', () => {
  expect(toHex(emptyRoot())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(toHex(leafHash(utf8('')))).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d');
  expect(toHex(leafHash(utf8('L123456')))).toBe('395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56');
  expect(toBase64(leafHash(utf8('hello world')))).toBe('TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=');
});

test('a node hash has its own prefix', () => {
  // The public vector of §14.1 has children of 4 bytes, which no tree has; our hash takes 32 and nothing else.
  const left = new Uint8Array(32).fill(1) as TreeHash;
  const right = new Uint8Array(32).fill(2) as TreeHash;
  const expected = createHash('sha256').update(Uint8Array.of(1)).update(left).update(right).digest('hex');
  expect(toHex(nodeHash(left, right))).toBe(expected);
  expect(nodeHash(left, right)).not.toEqual(nodeHash(right, left));
  const vector = createHash('sha256').update(Uint8Array.of(1)).update('N123').update('N456').digest('hex');
  expect(vector).toBe('aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb');
});

test('both SHA-256 give the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(sha256(bytes)).toEqual(nodeSha256(bytes));
    }),
  );
  expect(nodeSha256(utf8('abc'))).toBeInstanceOf(Uint8Array);
});

test('many leaf hashes side by side are those of each leaf', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (leaves) => {
      const bundle = encodeBundle(leaves);
      expect(leafHashes(bundle, bundleBounds(bundle, leaves.length))).toEqual(concatBytes(...leaves.map(leafHash)));
    }),
  );
});

test('node hashes side by side are those of each pair, and an odd hash has none', () => {
  const hashes = Array.from({ length: 9 }, (_, i) => leafHash(Uint8Array.of(i)));
  for (let count = 0; count <= 9; count++) {
    const pairs = Array.from({ length: Math.floor(count / 2) }, (_, i) => hashes.slice(2 * i, 2 * i + 2));
    expect(nodeHashes(concatBytes(...hashes.slice(0, count)))).toEqual(
      concatBytes(...pairs.map(([left, right]) => nodeHash(left as TreeHash, right as TreeHash))),
    );
  }
});

test('a hash has 32 bytes', () => {
  for (const size of [0, 31, 33]) {
    expect(() => asTreeHash(new Uint8Array(size))).toThrow(RangeError);
    expect(() => asLeafHash(new Uint8Array(size))).toThrow(RangeError);
  }
  const bytes = new Uint8Array(32);
  expect(asTreeHash(bytes)).toBe(bytes);
  expect(asLeafHash(bytes)).toBe(bytes);
});
