/**
 * Verifying what a log of ours has signed, by OpenSSL: its rule is the one of proofs/ed25519.ts, and it takes 120 µs where JavaScript takes
 * 1.6 ms. A log has many heads, and a server many logs. Whatever OpenSSL refuses is judged again by the core.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { openCheckpoint, type TreeHead } from '../proofs/checkpoint.ts';
import { SIGNATURE_SIZE } from '../proofs/ed25519.ts';
import { type VerifierKey, type Verify, verifyByCore } from '../proofs/key.ts';
import { type TimedTreeHead, verifyTreeHeadSignature } from '../proofs/tree-head-signature.ts';

/** The head of a checkpoint that one of the log's keys has signed. Throws what `openCheckpoint` throws. */
export function openOwnCheckpoint(note: string, keys: readonly VerifierKey[]): TreeHead {
  return byOneOf(keys, (key) => openCheckpoint(note, key, verifyByOpenssl));
}

/** The head of a checkpoint if this key has signed it, whoever else has. */
export function headSignedBy(note: string, key: VerifierKey): TreeHead | undefined {
  try {
    return openOwnCheckpoint(note, [key]);
  } catch {
    return undefined;
  }
}

/** Throws what `verifyTreeHeadSignature` throws for the newest of the keys, unless another one has signed it. */
export function checkTreeHeadSignature(signature: Uint8Array, head: TimedTreeHead, keys: readonly VerifierKey[]): void {
  byOneOf(keys, (key) => verifyTreeHeadSignature(signature, head, key, verifyByOpenssl));
}

/** What the first key gives that does not throw; else what the first of all has thrown. */
function byOneOf<T>([first, ...others]: readonly VerifierKey[], open: (key: VerifierKey) => T): T {
  try {
    return open(first as VerifierKey);
  } catch (error) {
    for (const key of others) {
      try {
        return open(key);
      } catch {
        // The next one may have signed it.
      }
    }
    throw error;
  }
}

const keys = new WeakMap<VerifierKey, KeyObject>();

export const verifyByOpenssl: Verify = (key, message, signature) =>
  verifyQuickly(key, message, signature) || verifyByCore(key, message, signature);

/** What OpenSSL says and no more, for what anybody may send: a refusal that is judged again costs ten times as much. */
export const verifyQuickly: Verify = (key, message, signature) => {
  let publicKey = keys.get(key);
  if (publicKey === undefined) {
    const x = Buffer.from(key.publicKey).toString('base64url');
    // As a JWK (RFC 8037) a key is read in 9 µs, as DER in 107.
    publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    keys.set(key, publicKey);
  }
  return signature.length === SIGNATURE_SIZE && verify(null, message, publicKey, signature);
};
