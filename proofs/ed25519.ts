/**
 * Ed25519 (RFC 8032) with one strict rule of what a valid signature is, so that browser, server and Go never disagree.
 *
 * Valid means: S < L, the public key A is the canonical encoding of a point that is not of small order, and the R that is
 * recomputed as [S]B - [k]A has exactly the bytes of the signature's R. That is the cofactorless check of OpenSSL and Go; it
 * makes R canonical too. The library's own `verify` multiplies by the cofactor and so accepts R plus a torsion point.
 */
import { getPublicKey, hashes, sign as nobleSign, Point } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, equalBytes, toHex } from '../tree/bytes.ts';

// The library wants its hash function in this slot; it is set here and nowhere else.
hashes.sha512 = sha512;

/** Bytes in a public key. */
export const PUBLIC_KEY_SIZE = 32;
/** Bytes in a seed, the private half of a key (RFC 8032 §5.1.5). */
export const SEED_SIZE = 32;
/** Bytes in a signature: R, then S. */
export const SIGNATURE_SIZE = 64;

/** The order L of the group that the base point generates. */
const GROUP_ORDER = Point.CURVE().n;

/** The public key of a 32-byte seed. Throws a RangeError on a seed of another length. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  return getPublicKey(seed);
}

/** The 64-byte signature of a message; the same message and seed always give the same one. Throws a RangeError on a bad seed. */
export function sign(message: Uint8Array, seed: Uint8Array): Uint8Array {
  return nobleSign(message, seed);
}

/** Whether these bytes are the canonical encoding of a point whose order is not small. */
export function isValidPublicKey(bytes: Uint8Array): boolean {
  return decodePublicKey(bytes) !== undefined;
}

/** Whether the signature is valid by the rule above. Nothing that an attacker sends makes it throw. */
export function verifySignature(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_SIZE) return false;
  const point = decodePublicKey(publicKey);
  if (point === undefined) return false;
  const r = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  if (s >= GROUP_ORDER) return false;
  const k = littleEndian(sha512(concatBytes(r, publicKey, message))) % GROUP_ORDER;
  // All values are public, so the multiplications that take varying time will do.
  const recomputed = Point.BASE.multiplyUnsafe(s).subtract(point.multiplyUnsafe(k));
  return equalBytes(recomputed.toBytes(), r);
}

function decodePublicKey(bytes: Uint8Array): Point | undefined {
  if (bytes.length !== PUBLIC_KEY_SIZE) return undefined;
  let point: Point;
  try {
    // Strict: y below the field prime, and no sign bit where x is 0. So one point has one encoding.
    point = Point.fromBytes(bytes, false);
  } catch {
    return undefined;
  }
  return point.isSmallOrder() ? undefined : point;
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(Uint8Array.from(bytes).reverse())}`);
}
