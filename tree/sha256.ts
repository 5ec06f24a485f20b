/** SHA-256 in pure JavaScript, for browsers. Node takes its own, several times faster, through `#sha256` in package.json. */
import { sha256 as noble } from '@noble/hashes/sha2.js';

/** The 32 bytes of SHA-256 of `bytes` (FIPS 180-4). */
export function sha256(bytes: Uint8Array): Uint8Array {
  return noble(bytes);
}
