/**
 * Verifying what a log of ours has signed, by OpenSSL: its rule is the one of proofs/ed25519.ts, and it takes 120 µs where JavaScript takes
 * 1.6 ms. A log has many heads, and a server many logs. Whatever OpenSSL refuses is judged again by the core.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { openCheckpoint, type TreeHead } from '../proofs/checkpoint.ts';
import { SIGNATURE_SIZE } from '../proofs/ed25519.ts';
import { type VerifierKey, type Verify, verifyByCore } from '../proofs/key.ts';
import { type TimedTreeHead, verifyTreeHeadSignature } from '../proofs/tree-head-signature.ts';

/** The head of a checkpoint that the key has signed. Throws what `openCheckpoint` throws. */
export function openOwnCheckpoint(note: string, key: VerifierKey): TreeHead {
  return openCheckpoint(note, key, verifyByOpenssl);
}

/** Throws what `verifyTreeHeadSignature` throws. */
export function checkTreeHeadSignature(signature: Uint8Array, head: TimedTreeHead, key: VerifierKey): void {
  verifyTreeHeadSignature(signature, head, key, verifyByOpenssl);
}

const keys = new WeakMap<VerifierKey, KeyObject>();

export const verifyByOpenssl: Verify = (key, message, signature) => {
  let publicKey = keys.get(key);
  if (publicKey === undefined) {
    const x = Buffer.from(key.publicKey).toString('base64url');
    // As a JWK (RFC 8037) a key is read in 9 µs, as DER in 107.
    publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    keys.set(key, publicKey);
  }
  const valid = signature.length === SIGNATURE_SIZE && verify(null, message, publicKey, signature);
  return valid || verifyByCore(key, message, signature);
};
