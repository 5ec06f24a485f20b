/**
 * Ed25519 cosignatures of C2SP tlog-cosignature: a witness states that at some time this was the largest consistent tree
 * head it had seen for the origin. In a note the signature is u64 seconds ‖ 64 bytes.
 */
import { concatBytes, readU64, toBase64, u64, utf8 } from '../tree/bytes.ts';
import { publicKeyOf, SEED_SIZE, SIGNATURE_SIZE, sign, verifySignature } from './ed25519.ts';
import { NoteError } from './error.ts';
import {
  ALGORITHM_COSIGNATURE,
  checkKeyId,
  formatKeyId,
  makeVerifierKey,
  SIGNER_KEY_PREFIX,
  splitSignerKey,
  type VerifierKey,
} from './key.ts';

/** Bytes of a cosignature after its key ID. */
export const COSIGNATURE_SIZE = 8 + SIGNATURE_SIZE;

/** The signing half of a witness. */
export interface Cosigner {
  /** Of algorithm 0x04. */
  readonly verifierKey: VerifierKey;
  /**
   * The 72 bytes of a cosignature of a note's text. `time` is in seconds since the Unix epoch, from 1 to 2^53 - 1; throws
   * a RangeError on any other. What is signed is a promise: only whoever has made sure of it durably may call this.
   */
  cosign(text: string, time: number): Uint8Array;
}

/** Cosigns with an Ed25519 seed of 32 bytes, of which it keeps a copy. One seed serves one name. Throws NoteError: `malformed_key`. */
export function cosigner(name: string, seed: Uint8Array): Cosigner {
  if (seed.length !== SEED_SIZE)
    throw new NoteError('malformed_key', `a seed has ${SEED_SIZE} bytes, not ${seed.length}`);
  const own = Uint8Array.from(seed);
  return {
    verifierKey: makeVerifierKey(name, publicKeyOf(own), ALGORITHM_COSIGNATURE),
    cosign: (text, time) => {
      // Time 0 would say "not claimed to be the newest", which no witness answers.
      if (!Number.isSafeInteger(time) || time < 1)
        throw new RangeError(`the time of a cosignature is an integer from 1 to 2^53 - 1, not ${time}`);
      return concatBytes(u64(time), sign(cosignatureMessage(time, utf8(text)), own));
    },
  };
}

/**
 * Reads the private key of a witness: as a signer key with algorithm 0x04; one newline at the end is accepted. No error repeats
 * the key. Throws NoteError: `malformed_key`, `unknown_algorithm`, `key_id_mismatch`.
 */
export function parseCosignerKey(text: string): Cosigner {
  const { name, keyId, algorithm, key } = splitSignerKey(text);
  if (algorithm !== ALGORITHM_COSIGNATURE)
    throw new NoteError('unknown_algorithm', `the key of a witness has algorithm 4 (0x04), not ${algorithm}`);
  const made = cosigner(name, key);
  checkKeyId(made.verifierKey, keyId);
  return made;
}

/** The private key of a witness as text, without a newline: a secret. Throws NoteError: `malformed_key`. */
export function formatCosignerKey(name: string, seed: Uint8Array): string {
  const { keyId } = cosigner(name, seed).verifierKey;
  const typedSeed = concatBytes(Uint8Array.of(ALGORITHM_COSIGNATURE), seed);
  return `${SIGNER_KEY_PREFIX}${name}+${formatKeyId(keyId)}+${toBase64(typedSeed)}`;
}

/** The bytes that a cosigner signs: two lines, then the text of the note. `time` is in seconds since the epoch. */
export function cosignatureMessage(time: number, text: Uint8Array): Uint8Array {
  return concatBytes(utf8(`cosignature/v1\ntime ${time}\n`), text);
}

/** The time that a cosignature of 72 bytes states, in seconds; it counts once the signature is verified. Throws NoteError `malformed_note`. */
export function cosignatureTime(signature: Uint8Array): number {
  if (signature.length !== COSIGNATURE_SIZE)
    throw new NoteError('malformed_note', `a cosignature has ${COSIGNATURE_SIZE} bytes, not ${signature.length}`);
  try {
    return readU64(signature, 0);
  } catch (cause) {
    throw new NoteError('malformed_note', 'the time of a cosignature is above 2^53 - 1', { cause });
  }
}

/**
 * Whether these 72 bytes are a cosignature of the text. Times above 2^53 - 1 are not valid here. `check` judges the plain Ed25519
 * signature in it, for whoever has a faster way than ours.
 */
export function verifyCosignature(
  cosignature: Uint8Array,
  text: Uint8Array,
  publicKey: Uint8Array,
  check: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean = verifySignature,
): boolean {
  let time: number;
  try {
    time = cosignatureTime(cosignature);
  } catch {
    return false;
  }
  return check(cosignature.subarray(8), cosignatureMessage(time, text), publicKey);
}
