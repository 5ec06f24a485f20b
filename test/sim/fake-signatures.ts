/**
 * Stands in for proofs/ed25519.ts and server/openssl-signer.ts: signatures that anybody could make, in a hundredth of the time. What a
 * history is about is which heads are signed and shown, not whether Ed25519 can be forged.
 */
import { createHash } from 'node:crypto';
import { makeVerifierKey } from '../../proofs/key.ts';
import type { ServerSigner } from '../../server/openssl-signer.ts';
import { equalBytes } from '../../tree/bytes.ts';

export const PUBLIC_KEY_SIZE = 32;
export const SEED_SIZE = 32;
export const SIGNATURE_SIZE = 64;

export function publicKeyOf(seed: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(seed).digest());
}

function signatureOf(message: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha512').update(publicKey).update(message).digest());
}

export function sign(message: Uint8Array, seed: Uint8Array): Uint8Array {
  return signatureOf(message, publicKeyOf(seed));
}

export function isValidPublicKey(bytes: Uint8Array): boolean {
  return bytes.length === PUBLIC_KEY_SIZE;
}

export function verifySignature(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  return equalBytes(signature, signatureOf(message, publicKey));
}

export function opensslSigner(name: string, seed: Uint8Array): ServerSigner {
  const publicKey = publicKeyOf(seed);
  return {
    verifierKey: makeVerifierKey(name, publicKey),
    sign: (message) => signatureOf(message, publicKey),
    signAside: async (message) => signatureOf(message, publicKey),
  };
}
