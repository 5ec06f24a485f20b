/**
 * Verifier keys and signer keys as texts (C2SP signed-note; the signer key is a convention of Go's sumdb/note).
 *
 * Verifier key: name "+" key ID in 8 hex digits "+" base64(algorithm ‖ public key), for example
 * `example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k`.
 * Signer key: the same with a 32-byte seed, after `PRIVATE+KEY+`; its key ID is that of the public key.
 */
import { sha256 } from '#sha256';
import { concatBytes, fromBase64, fromUtf8, readU32, toBase64, utf8 } from '../tree/bytes.ts';
import { isValidPublicKey, PUBLIC_KEY_SIZE, publicKeyOf, SEED_SIZE, sign, verifySignature } from './ed25519.ts';
import { NoteError } from './error.ts';

/** Algorithm byte of plain Ed25519 signatures over the text of a note. */
export const ALGORITHM_ED25519 = 0x01;
/** Algorithm byte of Ed25519 cosignatures with a time. */
export const ALGORITHM_COSIGNATURE = 0x04;

/** Who may have signed. The public key has been checked to be a canonical point that is not of small order. */
export interface VerifierKey {
  readonly name: string;
  /** First four bytes of SHA-256(name ‖ LF ‖ algorithm ‖ public key), big-endian. */
  readonly keyId: number;
  readonly algorithm: number;
  readonly publicKey: Uint8Array;
  /** The key in its one textual form. */
  readonly text: string;
}

/**
 * Whether 64 bytes are a signature of the message by the public key of a key, whatever that key's algorithm says of messages. Whoever has
 * a faster way than ours judges by the same rule (ed25519.ts).
 */
export type Verify = (key: VerifierKey, message: Uint8Array, signature: Uint8Array) => boolean;

export const verifyByCore: Verify = (key, message, signature) => verifySignature(signature, message, key.publicKey);

/** Signs the texts of notes. The key itself may be anywhere. */
export interface NoteSigner {
  readonly verifierKey: VerifierKey;
  /** The signature as it stands in a note after the key ID. */
  sign(message: Uint8Array): Uint8Array;
}

/**
 * Whether a text can name a key: not empty, no white space, no plus sign, no control character.
 * White space is the Unicode property; JavaScript's `\s` misses U+0085 and includes U+FEFF.
 */
export function isKeyName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return name !== '' && !/[\p{White_Space}+\u0000-\u001f]/u.test(name) && fromUtf8(utf8(name)) === name;
}

/** A key ID in its eight hex digits. */
export function formatKeyId(keyId: number): string {
  return keyId.toString(16).padStart(8, '0');
}

/**
 * The verifier key of a name and a public key.
 * Throws NoteError: `malformed_key`, `unknown_algorithm`, `bad_public_key`.
 */
export function makeVerifierKey(
  name: string,
  publicKey: Uint8Array,
  algorithm: number = ALGORITHM_ED25519,
): VerifierKey {
  if (!isKeyName(name)) throw new NoteError('malformed_key', 'this text cannot name a key');
  if (algorithm !== ALGORITHM_ED25519 && algorithm !== ALGORITHM_COSIGNATURE)
    throw new NoteError('unknown_algorithm', `keys of algorithm ${algorithm} are not supported`);
  if (publicKey.length !== PUBLIC_KEY_SIZE)
    throw new NoteError('malformed_key', `a public key has ${PUBLIC_KEY_SIZE} bytes, not ${publicKey.length}`);
  if (!isValidPublicKey(publicKey))
    throw new NoteError('bad_public_key', 'the public key is not a canonical point or has small order');
  const typedKey = concatBytes(Uint8Array.of(algorithm), publicKey);
  const keyId = readU32(sha256(concatBytes(utf8(`${name}\n`), typedKey)), 0);
  const text = `${name}+${formatKeyId(keyId)}+${toBase64(typedKey)}`;
  return { name, keyId, algorithm, publicKey: typedKey.subarray(1), text };
}

/**
 * Reads a verifier key in its one spelling.
 * Throws NoteError: `malformed_key`, `unknown_algorithm`, `bad_public_key`, `key_id_mismatch`.
 */
export function parseVerifierKey(text: string): VerifierKey {
  const { name, keyId, algorithm, key } = splitKey(text);
  const verifierKey = makeVerifierKey(name, key, algorithm);
  checkKeyId(verifierKey, keyId);
  return verifierKey;
}

/** Signs with an Ed25519 seed of 32 bytes, of which it keeps a copy. Throws NoteError: `malformed_key`. */
export function ed25519Signer(name: string, seed: Uint8Array): NoteSigner {
  if (seed.length !== SEED_SIZE)
    throw new NoteError('malformed_key', `a seed has ${SEED_SIZE} bytes, not ${seed.length}`);
  const own = Uint8Array.from(seed);
  return { verifierKey: makeVerifierKey(name, publicKeyOf(own)), sign: (message) => sign(message, own) };
}

/** What a private key begins with. */
export const SIGNER_KEY_PREFIX = 'PRIVATE+KEY+';

/**
 * Reads a signer key of plain Ed25519; one newline at the end is accepted, as files have it. No error repeats the key.
 * Throws NoteError: `malformed_key`, `unknown_algorithm`, `key_id_mismatch`.
 */
export function parseSignerKey(text: string): NoteSigner {
  const { name, keyId, algorithm, key } = splitSignerKey(text);
  if (algorithm !== ALGORITHM_ED25519)
    throw new NoteError('unknown_algorithm', `signer keys of algorithm ${algorithm} are not supported`);
  const signer = ed25519Signer(name, key);
  checkKeyId(signer.verifierKey, keyId);
  return signer;
}

/** A key in its parts, none of which was compared with another. */
export interface KeyParts {
  readonly name: string;
  /** Eight hex digits. */
  readonly keyId: string;
  readonly algorithm: number;
  /** What follows the algorithm byte, of any length. */
  readonly key: Uint8Array;
}

/** The parts of a private key of any algorithm, one newline at its end left out. Throws NoteError `malformed_key`. */
export function splitSignerKey(text: string): KeyParts {
  const line = text.endsWith('\n') ? text.slice(0, -1) : text;
  if (!line.startsWith(SIGNER_KEY_PREFIX)) throw new NoteError('malformed_key', 'not a signer key');
  return splitKey(line.slice(SIGNER_KEY_PREFIX.length));
}

/** Base64 has plus signs of its own, so only the first two separate. */
function splitKey(text: string): KeyParts {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]*)$/.exec(text);
  let typedKey: Uint8Array;
  try {
    typedKey = fromBase64(match?.[3] ?? '');
  } catch (cause) {
    throw new NoteError('malformed_key', 'the key is not in canonical base64', { cause });
  }
  const [algorithm] = typedKey;
  if (match === null || algorithm === undefined)
    throw new NoteError('malformed_key', 'a key has a name, eight hex digits and base64, with plus signs between');
  return { name: match[1] as string, keyId: match[2] as string, algorithm, key: typedKey.subarray(1) };
}

/** Throws NoteError `key_id_mismatch` unless these are the digits of the key's ID. */
export function checkKeyId(key: VerifierKey, keyId: string): void {
  if (formatKeyId(key.keyId) !== keyId)
    throw new NoteError('key_id_mismatch', `the key ID is ${formatKeyId(key.keyId)}, not ${keyId}`);
}
