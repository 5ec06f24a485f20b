import { createPrivateKey, sign as nodeSign, randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { verify as nobleVerify, Point, utils } from '@noble/ed25519';
import fc from 'fast-check';
import { isValidPublicKey, publicKeyOf, sign, verifySignature } from '../../proofs/ed25519.ts';
import { concatBytes, fromHex, toHex, utf8 } from '../../tree/bytes.ts';
import {
  challenge,
  L,
  littleEndian,
  OPENSSL_TAKES_SMALL_ORDER,
  opensslAccepts,
  P,
  SMALL_ORDER_POINTS,
  signWith,
  TORSION,
} from '../support/odd-signatures.ts';
import { flipped } from './error-code.ts';

const seed = Uint8Array.from({ length: 32 }, (_, i) => i);
const message = utf8('a message');

describe('signing', () => {
  // RFC 8032 §7.1, tests 1 to 3.
  test.each([
    [
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
    [
      'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ])('RFC 8032, seed %s', (seedHex, publicHex, messageHex, signatureHex) => {
    const secret = fromHex(seedHex);
    expect(toHex(publicKeyOf(secret))).toBe(publicHex);
    expect(toHex(sign(fromHex(messageHex), secret))).toBe(signatureHex);
    expect(verifySignature(fromHex(signatureHex), fromHex(messageHex), fromHex(publicHex))).toBe(true);
  });

  test('gives what node:crypto gives', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ maxLength: 300 }),
        (secret, text) => {
          const pkcs8 = concatBytes(fromHex('302e020100300506032b657004220420'), secret);
          const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
          expect(toHex(sign(text, secret))).toBe(nodeSign(null, text, key).toString('hex'));
          expect(opensslAccepts(sign(text, secret), text, publicKeyOf(secret))).toBe(true);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('refuses a seed of another length', () => {
    expect(() => publicKeyOf(new Uint8Array(31))).toThrow(RangeError);
    expect(() => sign(message, new Uint8Array(64))).toThrow(RangeError);
  });
});

describe('one verdict with OpenSSL', () => {
  test('on good signatures and on each of them mangled', () => {
    let accepted = 0;
    for (let round = 0; round < 6; round++) {
      const secret = Uint8Array.from(randomBytes(32));
      const text = Uint8Array.from(randomBytes(round * 20));
      const publicKey = publicKeyOf(secret);
      const good = sign(text, secret);
      const tries: [Uint8Array, Uint8Array, Uint8Array][] = [[good, text, publicKey]];
      for (let i = 0; i < 12; i++) tries.push([flipped(good, (i * 43 + round) % 512), text, publicKey]);
      if (text.length > 0) tries.push([good, flipped(text, 3), publicKey]);
      tries.push([good, concatBytes(text, Uint8Array.of(0)), publicKey], [good, text, publicKeyOf(seed)]);
      for (const [signature, said, key] of tries) {
        const verdict = verifySignature(signature, said, key);
        expect(verdict).toBe(opensslAccepts(signature, said, key));
        if (verdict) accepted++;
      }
    }
    expect(accepted).toBe(6);
  });

  test('on a public key with a part of small order, where the cofactor would decide', () => {
    // A' = A + T verifies exactly where [k]T vanishes, which is one time in eight.
    const { scalar } = utils.getExtendedPublicKey(seed);
    const publicKey = Point.BASE.multiply(scalar).add(TORSION).toBytes();
    expect(isValidPublicKey(publicKey)).toBe(true);
    const verdicts = new Set<boolean>();
    for (let i = 0; i < 40; i++) {
      const text = utf8(`message ${i}`);
      const signature = signWith({ r: 1234567n + BigInt(i), scalar, publicKey, text });
      const verdict = verifySignature(signature, text, publicKey);
      expect(verdict).toBe(opensslAccepts(signature, text, publicKey));
      expect(nobleVerify(signature, text, publicKey)).toBe(true);
      verdicts.add(verdict);
    }
    expect(verdicts).toEqual(new Set([true, false]));
  });

  test('on an R that is the neutral point', () => {
    const { scalar } = utils.getExtendedPublicKey(seed);
    const publicKey = publicKeyOf(seed);
    const signature = signWith({ r: 0n, scalar, publicKey, text: message });
    expect(verifySignature(signature, message, publicKey)).toBe(true);
    expect(opensslAccepts(signature, message, publicKey)).toBe(OPENSSL_TAKES_SMALL_ORDER);
  });
});

describe('what the rule refuses', () => {
  const publicKey = publicKeyOf(seed);
  const { scalar } = utils.getExtendedPublicKey(seed);

  test('R plus a point of small order, which the library itself accepts', () => {
    for (const torsion of SMALL_ORDER_POINTS.slice(1)) {
      const signature = signWith({ r: 987654321n, scalar, publicKey, text: message, addToR: torsion });
      expect(nobleVerify(signature, message, publicKey)).toBe(true);
      expect(opensslAccepts(signature, message, publicKey)).toBe(false);
      expect(verifySignature(signature, message, publicKey)).toBe(false);
    }
  });

  test('an R that is not canonical', () => {
    // The neutral point has y = 1. Its other spelling is y = 1 + p; the challenge is made over that spelling.
    const spelling = littleEndian(1n + P);
    const signature = signWith({ r: 0n, scalar, publicKey, text: message, spellR: spelling });
    expect(nobleVerify(signature, message, publicKey)).toBe(true);
    expect(verifySignature(signature, message, publicKey)).toBe(false);
    expect(opensslAccepts(signature, message, publicKey)).toBe(false);
  });

  test('S plus L, S equal to L, and the largest S', () => {
    const signature = sign(message, seed);
    const s = BigInt(`0x${toHex(signature.slice(32).reverse())}`);
    for (const other of [s + L, L, 2n ** 256n - 1n, s + 8n * L]) {
      const forged = concatBytes(signature.slice(0, 32), littleEndian(other));
      expect(verifySignature(forged, message, publicKey)).toBe(false);
      expect(opensslAccepts(forged, message, publicKey)).toBe(false);
    }
  });

  test('a public key of small order, under which one signature fits many messages', () => {
    for (const [i, point] of SMALL_ORDER_POINTS.entries()) {
      const weak = point.toBytes();
      expect(isValidPublicKey(weak)).toBe(false);
      // R = [5]B and S = 5 is valid wherever [k]A vanishes: always, or in one message of 2, 4 or 8.
      let forged: Uint8Array | undefined;
      for (let n = 0; forged === undefined; n++) {
        const text = utf8(`forged ${n}`);
        const r = Point.BASE.multiply(5n).toBytes();
        if (!point.multiplyUnsafe(challenge(r, weak, text)).is0()) continue;
        forged = concatBytes(r, littleEndian(5n));
        expect([i, verifySignature(forged, text, weak)]).toEqual([i, false]);
        expect(opensslAccepts(forged, text, weak)).toBe(OPENSSL_TAKES_SMALL_ORDER);
      }
    }
  });

  test('a public key that is not canonical', () => {
    let decodable = 0;
    for (let y = 0n; y < 19n; y++) {
      for (const signBit of [0n, 2n ** 255n]) {
        const spelling = littleEndian(y + P + signBit);
        expect(isValidPublicKey(spelling)).toBe(false);
        expect(verifySignature(sign(message, seed), message, spelling)).toBe(false);
        try {
          if (!Point.fromBytes(spelling, true).isSmallOrder()) decodable++;
        } catch {}
      }
    }
    // Some of them are points for a lenient decoder, so it is the spelling that was refused.
    expect(decodable).toBeGreaterThan(4);
    // x = 0 with a sign bit: y = 1 and y = -1.
    expect(isValidPublicKey(littleEndian(1n + 2n ** 255n))).toBe(false);
    expect(isValidPublicKey(littleEndian(P - 1n + 2n ** 255n))).toBe(false);
  });

  test('what is no point, and wrong lengths', () => {
    expect(isValidPublicKey(littleEndian(2n))).toBe(false);
    const signature = sign(message, seed);
    for (const size of [0, 31]) expect(isValidPublicKey(publicKey.slice(0, size))).toBe(false);
    expect(isValidPublicKey(concatBytes(publicKey, Uint8Array.of(0)))).toBe(false);
    for (const size of [0, 32, 63]) expect(verifySignature(signature.slice(0, size), message, publicKey)).toBe(false);
    expect(verifySignature(concatBytes(signature, Uint8Array.of(0)), message, publicKey)).toBe(false);
    expect(verifySignature(signature, message, publicKey.slice(1))).toBe(false);
    expect(verifySignature(signature, message, publicKey)).toBe(true);
  });
});
