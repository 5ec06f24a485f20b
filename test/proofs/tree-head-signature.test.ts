import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { ed25519Signer, makeVerifierKey } from '../../proofs/key.ts';
import {
  signTreeHead,
  TREE_HEAD_SIGNATURE_SIZE,
  treeHeadMessage,
  verifyTreeHeadSignature,
} from '../../proofs/tree-head-signature.ts';
import { toHex } from '../../tree/bytes.ts';
import { asTreeHash, emptyRoot } from '../../tree/hash.ts';
import { codeOf, flipped } from './error-code.ts';

const signer = ed25519Signer('example.com/logs/main', new Uint8Array(32));
const key = signer.verifierKey;
const ROOT = 'ddbe8578c4c7bca1ca8715ab7abf4b0518fce3654a4c406b8e4485edaaf4a89e';
const head = { timestamp: 1767323045001, treeSize: 2, rootHash: asTreeHash(Buffer.from(ROOT, 'hex')) };
const signature = signTreeHead(head, signer);

describe('the worked example of docs/format.md', () => {
  test('signs these 50 bytes', () => {
    expect(toHex(treeHeadMessage(head))).toBe(`00010000019b7ca98c890000000000000002${ROOT}`);
  });

  test('gives these 68 bytes', () => {
    expect(toHex(signature)).toBe(
      '0807004069aee6fa2958f9243be6708e999d5260d6303061b7b8d022811076410fb408f48a790f60d828afe3289089f11e865ae65ccb1c180ee27002f6b485e87f1ed903',
    );
  });

  test('Node verifies it over bytes that were put together by hand', () => {
    const message = Buffer.alloc(50);
    message[1] = 1;
    message.writeBigUInt64BE(1767323045001n, 2);
    message.writeBigUInt64BE(2n, 10);
    Buffer.from(ROOT, 'hex').copy(message, 18);
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key.publicKey]);
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    expect(toHex(signature.subarray(0, 4))).toBe('08070040');
    expect(verify(null, message, publicKey, signature.subarray(4))).toBe(true);
  });
});

describe('verifyTreeHeadSignature', () => {
  const check = (bytes: Uint8Array, changed: Partial<typeof head> = {}, by = key): string =>
    codeOf(() => verifyTreeHeadSignature(bytes, { ...head, ...changed }, by));

  test('accepts what was signed, at the ends of the range too', () => {
    expect(check(signature)).toBe('accepted');
    for (const timestamp of [0, Number.MAX_SAFE_INTEGER]) {
      const empty = { timestamp, treeSize: 0, rootHash: emptyRoot() };
      expect(check(signTreeHead(empty, signer), empty)).toBe('accepted');
    }
  });

  test('no bit of it can be turned', () => {
    for (let bit = 0; bit < 8 * TREE_HEAD_SIGNATURE_SIZE; bit += 7) {
      expect(check(flipped(signature, bit))).toBe(bit < 16 ? 'unknown_algorithm' : 'invalid_signature');
    }
  });

  test.each<readonly [what: string, bytes: Uint8Array, code: string]>([
    ['nothing', new Uint8Array(), 'unknown_algorithm'],
    ['ECDSA with SHA-256', Uint8Array.of(4, 3, ...signature.subarray(2)), 'unknown_algorithm'],
    ['the bare signature', signature.subarray(4), 'unknown_algorithm'],
    ['cut short', signature.subarray(0, -1), 'invalid_signature'],
    ['one byte more', Uint8Array.of(...signature, 0), 'invalid_signature'],
    ['another length stated', Uint8Array.of(8, 7, 0, 63, ...signature.subarray(4)), 'invalid_signature'],
  ])('%s is refused', (_what, bytes, code) => {
    expect(check(bytes)).toBe(code);
  });

  test('nor is it good for another head, time or key', () => {
    expect(check(signature, { timestamp: head.timestamp + 1 })).toBe('invalid_signature');
    expect(check(signature, { treeSize: 3 })).toBe('invalid_signature');
    expect(check(signature, { rootHash: flipped(head.rootHash, 255) })).toBe('invalid_signature');
    const other = ed25519Signer('example.com/logs/main', new Uint8Array(32).fill(1)).verifierKey;
    expect(check(signature, {}, other)).toBe('invalid_signature');
    expect(check(signature, {}, makeVerifierKey(key.name, key.publicKey, 4))).toBe('unknown_algorithm');
  });

  test('only plain Ed25519 signs', () => {
    const cosigner = { ...signer, verifierKey: makeVerifierKey(key.name, key.publicKey, 4) };
    expect(codeOf(() => signTreeHead(head, cosigner))).toBe('unknown_algorithm');
  });

  test('what cannot be written as a head is not signed', () => {
    for (const changed of [
      { timestamp: -1 },
      { timestamp: 1.5 },
      { treeSize: 2 ** 53 },
      { rootHash: new Uint8Array(31) },
    ])
      expect(() => treeHeadMessage({ ...head, ...changed } as typeof head)).toThrow(RangeError);
  });
});
