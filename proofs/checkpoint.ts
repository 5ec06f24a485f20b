/**
 * Checkpoints (C2SP tlog-checkpoint): a tree head as the text of a signed note.
 *
 * ```
 * example.com/logs/main
 * 8
 * bC+VwvrJbalNVjfkdI8kUgs7mJoXrqiXCE7bgnD28pY=
 * ```
 * Origin, tree size, root hash; extension lines may follow, which we never write but keep where others did.
 */
import { equalBytes, fromBase64, fromUtf8, parseDecimal, toBase64, utf8 } from '../tree/bytes.ts';
import { asTreeHash, emptyRoot, HASH_SIZE, type TreeHash } from '../tree/hash.ts';
import { NoteError } from './error.ts';
import { isKeyName, type NoteSigner, type VerifierKey, type Verify } from './key.ts';
import { type NoteSignature, openNote, signNote } from './note.ts';

/** Longest origin that we write, in bytes. */
export const MAX_ORIGIN_SIZE = 255;

/** The tree of a log at one size, unsigned. */
export interface TreeHead {
  readonly treeSize: number;
  readonly rootHash: TreeHash;
}

/** What the text of a checkpoint says. */
export interface CheckpointBody extends TreeHead {
  readonly origin: string;
  /** Extension lines without their newlines. */
  readonly extensions: readonly string[];
}

/** A checkpoint whose signature was verified. Take it from `openCheckpoint` and from nowhere else. */
export interface Checkpoint extends CheckpointBody {
  /** The signed note as it came. */
  readonly note: string;
}

/**
 * The text of a checkpoint. Throws NoteError `malformed_checkpoint` on an origin that cannot name a key or is longer than
 * 255 bytes, on a size that is not an integer from 0 to 2^53 - 1, and on a root hash that cannot be one of that size.
 */
export function formatCheckpoint(head: TreeHead & { readonly origin: string }): string {
  const { origin, treeSize, rootHash } = head;
  if (!isKeyName(origin) || utf8(origin).length > MAX_ORIGIN_SIZE) throw malformed('this text cannot be an origin');
  if (!Number.isSafeInteger(treeSize) || treeSize < 0)
    throw malformed(`a tree size is an integer from 0 to 2^53 - 1, not ${treeSize}`);
  checkRoot(treeSize, rootHash);
  return `${origin}\n${treeSize}\n${toBase64(rootHash)}\n`;
}

/**
 * Signs a tree head as a checkpoint of the signer's log.
 * Throws NoteError: `origin_mismatch` where the key has another name, and as `formatCheckpoint` does.
 */
export function signCheckpoint(head: TreeHead & { readonly origin: string }, signer: NoteSigner): string {
  checkOrigin(head.origin, signer.verifierKey);
  return signNote(formatCheckpoint(head), [signer]);
}

/**
 * Reads the text of a checkpoint, whoever signed it; nothing in it may be acted on before `openCheckpoint`.
 * Throws NoteError `malformed_checkpoint`.
 */
export function parseCheckpoint(text: string): CheckpointBody {
  const [origin = '', size = '', root = '', ...rest] = text.split('\n');
  const extensions = rest.slice(0, -1);
  // The last newline leaves an empty piece behind it; another one is an empty line.
  if (rest.at(-1) !== '' || origin === '' || extensions.includes(''))
    throw malformed('a checkpoint has at least three lines, none of them empty');
  try {
    const treeSize = parseDecimal(size);
    const rootHash = asTreeHash(fromBase64(root));
    checkRoot(treeSize, rootHash);
    return { origin, treeSize, rootHash, extensions };
  } catch (cause) {
    if (cause instanceof NoteError) throw cause;
    throw malformed('the second line is a decimal size, the third the base64 of a root hash', cause);
  }
}

/**
 * Verifies a checkpoint: the signature by the log's key first, then the text, then that its origin is the key's name, for a
 * valid signature over a foreign origin is a failure. Lines by other keys stay in `note`.
 * Throws NoteError: all that `openNote` throws, `malformed_checkpoint`, `origin_mismatch`.
 */
export function openCheckpoint(note: string | Uint8Array, key: VerifierKey, verify?: Verify): Checkpoint {
  return openCheckpointWith(note, key, [], verify).checkpoint;
}

/**
 * The same with other keys that count: each line that claims one of them must verify too, and they come back as `others`, in the order
 * of the note. Without the log's own line all of them are nothing. Throws as `openCheckpoint` does.
 */
export function openCheckpointWith(
  note: string | Uint8Array,
  key: VerifierKey,
  keys: readonly VerifierKey[],
  verify?: Verify,
): { checkpoint: Checkpoint; others: NoteSignature[] } {
  const { text, signatures } = openNote(note, [key, ...keys], verify);
  const others = signatures.filter((line) => line.name !== key.name || line.keyId !== key.keyId);
  if (others.length === signatures.length) throw new NoteError('unknown_signer', `no signature is by ${key.text}`);
  const body = parseCheckpoint(text);
  checkOrigin(body.origin, key);
  return { checkpoint: { ...body, note: typeof note === 'string' ? note : fromUtf8(note) }, others };
}

function checkOrigin(origin: string, key: VerifierKey): void {
  if (origin !== key.name)
    throw new NoteError('origin_mismatch', `the origin is ${JSON.stringify(origin)}, the key is that of ${key.name}`);
}

/** 32 bytes, and for the empty tree the one root hash it has. */
function checkRoot(treeSize: number, rootHash: TreeHash): void {
  if (rootHash.length !== HASH_SIZE) throw malformed(`a root hash has ${HASH_SIZE} bytes, not ${rootHash.length}`);
  if (treeSize === 0 && !equalBytes(rootHash, emptyRoot()))
    throw malformed('the root hash of size 0 is not that of the empty tree');
}

function malformed(message: string, cause?: unknown): NoteError {
  return new NoteError('malformed_checkpoint', message, { cause });
}
