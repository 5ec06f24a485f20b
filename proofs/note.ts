/**
 * Signed notes (C2SP signed-note): a text, a blank line, and one line a signature.
 *
 * ```
 * This is an example message.
 *
 * — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
 * ```
 * The base64 is of the key ID (4 bytes) and the signature. The newline at the end of the text is signed, the blank line is not.
 */
import { concatBytes, fromBase64, fromUtf8, readU32, toBase64, utf8, writeU32 } from '../tree/bytes.ts';
import { verifyCosignature } from './cosignature.ts';
import { NoteError } from './error.ts';
import {
  ALGORITHM_COSIGNATURE,
  isKeyName,
  type NoteSigner,
  type VerifierKey,
  type Verify,
  verifyByCore,
} from './key.ts';

export {
  ed25519Signer,
  makeVerifierKey,
  type NoteSigner,
  parseSignerKey,
  parseVerifierKey,
  type VerifierKey,
} from './key.ts';

/** Longest note that is read, in bytes. */
export const MAX_NOTE_SIZE = 1_048_576;
/** Most signature lines that are read. */
export const MAX_NOTE_SIGNATURES = 100;

/** One signature line. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: number;
  /** What follows the key ID: for Ed25519 64 bytes, for a cosignature the time and 64 bytes. */
  readonly signature: Uint8Array;
}

/** A note of which at least one signature was verified. */
export interface OpenedNote {
  /** The signed text, its last newline included. */
  readonly text: string;
  /** Signatures by the given keys, all valid, in the order of the note. */
  readonly signatures: readonly NoteSignature[];
  /** Signatures by nobody known here: claims, nothing more. */
  readonly unverified: readonly NoteSignature[];
}

const LF = 0x0a;
const SIGNATURE_PREFIX = '— ';

/**
 * The note of a text and its signatures: the existing lines first, without those by a new signer, then the new ones.
 * Throws NoteError `malformed_note` where the text cannot be one, or nobody signs.
 */
export function signNote(
  text: string,
  signers: readonly NoteSigner[],
  existing: readonly NoteSignature[] = [],
): string {
  const bytes = utf8(text);
  checkBytes(bytes);
  if (fromUtf8(bytes) !== text) throw new NoteError('malformed_note', 'the text has a lone surrogate');
  const added = signers.map((signer): NoteSignature => {
    const { name, keyId } = signer.verifierKey;
    return { name, keyId, signature: signer.sign(bytes) };
  });
  const kept = existing.filter((old) => !added.some((line) => isSameKey(line, old)));
  const lines = [...kept, ...added];
  if (lines.length === 0) throw new NoteError('malformed_note', 'a note needs at least one signature');
  if (!lines.every(({ name }) => isKeyName(name)))
    throw new NoteError('malformed_note', 'a signature is by a name that no key can have');
  return `${text}\n${lines.map(formatSignature).join('')}`;
}

/**
 * Verifies a note: every signature by one of the keys must be valid, and there must be at least one. A second line by the same
 * key is skipped. Throws NoteError: `malformed_note`, `ambiguous_key`, `invalid_signature`, `unknown_signer`.
 */
export function openNote(
  note: string | Uint8Array,
  keys: readonly VerifierKey[],
  verify: Verify = verifyByCore,
): OpenedNote {
  const { text, lines } = splitNote(note);
  const signatures: NoteSignature[] = [];
  const unverified: NoteSignature[] = [];
  for (const line of lines) {
    const [key, second] = keys.filter((candidate) => isSameKey(candidate, line));
    if (second !== undefined)
      throw new NoteError('ambiguous_key', `two of the keys have the name and key ID of ${second.text}`);
    if (key === undefined) {
      unverified.push(line);
    } else if (!signatures.some((other) => isSameKey(other, line))) {
      if (!isSignedBy(key, line.signature, text, verify))
        throw new NoteError('invalid_signature', `the signature is not by the key ${key.text}`);
      signatures.push(line);
    }
  }
  if (signatures.length === 0) throw new NoteError('unknown_signer', 'no signature is by a known key');
  return { text: fromUtf8(text), signatures, unverified };
}

/**
 * The note with these lines under it too: those that it has stay where they are, except by a key that signs anew. Nothing is
 * verified. Throws NoteError `malformed_note`.
 */
export function addSignatures(note: string, added: readonly NoteSignature[]): string {
  const { text, lines } = splitNote(note);
  const kept = lines.filter((old) => !added.some((line) => isSameKey(line, old)));
  return `${fromUtf8(text)}\n${formatSignatureLines([...kept, ...added])}`;
}

/**
 * Reads signature lines alone, one or more, LF after each, as a witness answers with them (C2SP tlog-witness). Equal lines count once, and
 * nothing is verified: put them under the note that they are for, and open that. Throws NoteError `malformed_note`.
 */
export function parseSignatureLines(text: string): NoteSignature[] {
  const bytes = utf8(text);
  if (bytes.length > MAX_NOTE_SIZE)
    throw new NoteError('malformed_note', `signature lines have at most ${MAX_NOTE_SIZE} bytes, not ${bytes.length}`);
  if (checkBytes(bytes) !== text) throw new NoteError('malformed_note', 'a signature line has a lone surrogate');
  return parseLines(text);
}

/** Signature lines as they stand in a note. Throws NoteError `malformed_note` on what `parseSignatureLines` would refuse. */
export function formatSignatureLines(lines: readonly NoteSignature[]): string {
  const text = lines.map(formatSignature).join('');
  parseSignatureLines(text);
  return text;
}

/**
 * The text, last newline included, and the signature lines, none of them verified: nothing in them may be shown or acted on.
 * The note comes from the network. Throws NoteError `malformed_note`.
 */
export function splitNote(note: string | Uint8Array): { text: Uint8Array; lines: NoteSignature[] } {
  const bytes = typeof note === 'string' ? utf8(note) : note;
  if (bytes.length > MAX_NOTE_SIZE)
    throw new NoteError('malformed_note', `a note has at most ${MAX_NOTE_SIZE} bytes, not ${bytes.length}`);
  const decoded = checkBytes(bytes);
  if (typeof note === 'string' && decoded !== note)
    throw new NoteError('malformed_note', 'the note has a lone surrogate');
  // The text may have blank lines of its own; the last one separates.
  const blank = lastBlankLine(bytes);
  if (blank === undefined || blank + 2 === bytes.length)
    throw new NoteError('malformed_note', 'the note has no signatures after a blank line');
  return { text: bytes.subarray(0, blank + 1), lines: parseLines(fromUtf8(bytes.subarray(blank + 2))) };
}

/** Signature lines, the last newline included. */
function parseLines(text: string): NoteSignature[] {
  const lines = text.slice(0, -1).split('\n');
  if (lines.length > MAX_NOTE_SIGNATURES)
    throw new NoteError('malformed_note', `a note has at most ${MAX_NOTE_SIGNATURES} signatures, not ${lines.length}`);
  // Equal lines count once; base64 has one spelling here, so equal signatures are equal texts.
  return [...new Set(lines)].map(parseSignature);
}

/** Bytes of a note or its text: UTF-8, no control character but LF, LF at the end. Returns them as a text. */
function checkBytes(bytes: Uint8Array): string {
  if (bytes.some((byte) => byte < 0x20 && byte !== LF))
    throw new NoteError('malformed_note', 'a note has no control characters but newlines');
  if (bytes.at(-1) !== LF) throw new NoteError('malformed_note', 'a note ends with a newline');
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw new NoteError('malformed_note', 'a note is UTF-8', { cause });
  }
}

/** Where the last two newlines in a row begin. */
function lastBlankLine(bytes: Uint8Array): number | undefined {
  for (let i = bytes.length - 2; i >= 0; i--) {
    if (bytes[i] === LF && bytes[i + 1] === LF) return i;
  }
  return undefined;
}

/** Reads one signature line without its newline: em dash, space, name, space, base64. */
function parseSignature(line: string): NoteSignature {
  const space = line.indexOf(' ', SIGNATURE_PREFIX.length);
  const name = line.slice(SIGNATURE_PREFIX.length, Math.max(space, 0));
  if (!line.startsWith(SIGNATURE_PREFIX) || !isKeyName(name))
    throw new NoteError('malformed_note', 'not a signature line after the blank line');
  let blob: Uint8Array;
  try {
    blob = fromBase64(line.slice(space + 1));
  } catch (cause) {
    throw new NoteError('malformed_note', 'a signature is not in canonical base64', { cause });
  }
  if (blob.length < 5) throw new NoteError('malformed_note', 'a signature is shorter than a key ID and one byte');
  return { name, keyId: readU32(blob, 0), signature: blob.subarray(4) };
}

function formatSignature({ name, keyId, signature }: NoteSignature): string {
  const id = new Uint8Array(4);
  writeU32(id, 0, keyId);
  return `${SIGNATURE_PREFIX}${name} ${toBase64(concatBytes(id, signature))}\n`;
}

type KeyOrLine = Pick<NoteSignature, 'name' | 'keyId'>;

/** Name and key ID both count: with one equal and the other not, it is somebody else. */
function isSameKey(a: KeyOrLine, b: KeyOrLine): boolean {
  return a.name === b.name && a.keyId === b.keyId;
}

function isSignedBy(key: VerifierKey, signature: Uint8Array, text: Uint8Array, verify: Verify): boolean {
  if (key.algorithm === ALGORITHM_COSIGNATURE)
    return verifyCosignature(signature, text, key.publicKey, (inner, message) => verify(key, message, inner));
  return verify(key, text, signature);
}
