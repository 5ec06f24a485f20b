/** SHA-256 for browsers: in pure JavaScript, and of many at once by WebAssembly. Node takes its own through `#sha256` in package.json. */
import { sha256 as noble } from '@noble/hashes/sha2.js';
import { makeSha256Slices } from './sha256-slices.ts';

/** The 32 bytes of SHA-256 of `bytes` (FIPS 180-4). */
export function sha256(bytes: Uint8Array): Uint8Array {
  return noble(bytes);
}

/** SHA-256 of many slices of an array. */
export const sha256Slices = makeSha256Slices(sha256, Number.POSITIVE_INFINITY);
