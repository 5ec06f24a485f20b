/**
 * Ed25519 cosignatures of C2SP tlog-cosignature: a witness states that at some time this was the largest consistent tree
 * head it had seen for the origin. In a note the signature is u64 seconds ‖ 64 bytes (COS-1).
 */
import { concatBytes, readU64, utf8 } from '../tree/bytes.ts';
import { SIGNATURE_SIZE, verifySignature } from './ed25519.ts';

/** Bytes of a cosignature after its key ID. */
export const COSIGNATURE_SIZE = 8 + SIGNATURE_SIZE;

/** The bytes that a cosigner signs: two lines, then the text of the note (COS-2). `time` is in seconds since the epoch. */
export function cosignatureMessage(time: number, text: Uint8Array): Uint8Array {
  return concatBytes(utf8(`cosignature/v1\ntime ${time}\n`), text);
}

/** Whether these 72 bytes are a cosignature of the text. Times above 2^53 - 1 are not valid here. */
export function verifyCosignature(cosignature: Uint8Array, text: Uint8Array, publicKey: Uint8Array): boolean {
  if (cosignature.length !== COSIGNATURE_SIZE) return false;
  let time: number;
  try {
    time = readU64(cosignature, 0);
  } catch {
    return false;
  }
  return verifySignature(cosignature.subarray(8), cosignatureMessage(time, text), publicKey);
}
