import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { verifySignature } from '../../proofs/ed25519.ts';
import { ed25519Signer } from '../../proofs/key.ts';
import { opensslSigner } from '../../server/openssl-signer.ts';

test('OpenSSL has the same key for a seed, and the same signature for a message, as the core, here and in other threads', async () => {
  for (let i = 0; i < 20; i++) {
    const seed = new Uint8Array(randomBytes(32));
    const message = new Uint8Array(randomBytes(i * 13));
    const [own, core] = [opensslSigner('example.com/x', seed), ed25519Signer('example.com/x', seed)];
    expect(own.verifierKey).toEqual(core.verifierKey);
    const signature = own.sign(message);
    expect(signature).toEqual(core.sign(message));
    expect(await own.signAside(message)).toEqual(signature);
    expect(verifySignature(signature, message, own.verifierKey.publicKey)).toBe(true);
  }
});

test('a seed of another length is refused', () => {
  for (const length of [0, 31, 33, 64]) expect(() => opensslSigner('x', new Uint8Array(length))).toThrow(RangeError);
});
