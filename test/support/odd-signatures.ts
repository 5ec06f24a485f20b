/** Ed25519 signatures and points that libraries disagree about, made by hand, and the verdict of OpenSSL as node:crypto gives it. */
import { createHash, createPublicKey, verify as nodeVerify } from 'node:crypto';
import { Point } from '@noble/ed25519';
import { concatBytes, fromHex } from '../../tree/bytes.ts';

/** The prime of the field, and the order of the group that the base point generates. */
export const P = Point.CURVE().p;
export const L = Point.CURVE().n;

/** A point of order 8: its multiples are all the points of small order. */
export const TORSION = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');
export const SMALL_ORDER_POINTS = Array.from({ length: 8 }, (_, i) => TORSION.multiplyUnsafe(BigInt(i)));

/** The 32 bytes of a number below 2^256, the lowest first. */
export function littleEndian(n: bigint): Uint8Array {
  return fromHex(n.toString(16).padStart(64, '0')).reverse();
}

/** k of RFC 8032 §5.1.7: SHA-512 of R, the public key and the message, modulo L. */
export function challenge(r: Uint8Array, publicKey: Uint8Array, text: Uint8Array): bigint {
  const digest = createHash('sha512').update(r).update(publicKey).update(text).digest();
  return BigInt(`0x${digest.reverse().toString('hex')}`) % L;
}

/** Signs with chosen parts: S = r + k · scalar, where k is made over the R that is written. */
export function signWith(parts: {
  r: bigint;
  scalar: bigint;
  publicKey: Uint8Array;
  text: Uint8Array;
  addToR?: Point;
  spellR?: Uint8Array;
}): Uint8Array {
  const { r, scalar, publicKey, text, addToR = Point.ZERO, spellR } = parts;
  const written = spellR ?? Point.BASE.multiplyUnsafe(r).add(addToR).toBytes();
  const s = (r + challenge(written, publicKey, text) * scalar) % L;
  return concatBytes(written, littleEndian(s));
}

/**
 * Whether OpenSSL, as this Node asks it, takes an R or a key of small order: up to Node 22 it does, as Go does with such an R; from Node 24
 * on it refuses both.
 */
export const OPENSSL_TAKES_SMALL_ORDER = Number.parseInt(process.versions.node, 10) < 24;

/** Whether OpenSSL takes the signature. */
export function opensslAccepts(signature: Uint8Array, text: Uint8Array, publicKey: Uint8Array): boolean {
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]);
  return nodeVerify(null, text, createPublicKey({ key: spki, format: 'der', type: 'spki' }), signature);
}
