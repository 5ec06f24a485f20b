/**
 * Fraud proofs: two heads that one log has signed and that no single tree can have, in one file that is judged offline.
 *
 *   indelible/fraud-proof/v1
 *   first 181                  bytes of the first signed note
 *   second 181
 *   root <base64 hash>         heads of different sizes: what the second tree has as the root hash of the first one's size
 *   <base64 hash>              the consistency proof from that root hash to the second head, 1 to 63 hashes
 *                              an empty line
 *   <the first note>           the smaller of the two; the order of equal sizes means nothing
 *                              an empty line
 *   <the second note>
 *
 * Two heads of one size with different root hashes need nothing besides. Of two sizes it proves nothing that nobody can show a
 * consistency proof: one could turn up tomorrow. But a consistency proof to the second head *from another root hash* than the first head's
 * shows what the second tree begins with, and a tree begins with one thing only, or SHA-256 is broken. Where the two lines are
 * missing, the file keeps two heads that somebody has to explain, and proves nothing by itself.
 */
import { equalBytes, fromBase64, fromUtf8, parseDecimal, toBase64, utf8 } from '../tree/bytes.ts';
import { asTreeHash, type TreeHash } from '../tree/hash.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { verifyConsistency } from './consistency.ts';
import { NoteError, ProofError } from './error.ts';
import type { VerifierKey, Verify } from './key.ts';
import { MAX_NOTE_SIZE } from './note.ts';
import { MAX_PROOF_HASHES, splitPreamble } from './preamble.ts';

/** First line of the file. */
export const FRAUD_PROOF_HEADER = 'indelible/fraud-proof/v1';
/** Longest file that is read, in bytes: two notes and the lines before them. */
export const MAX_FRAUD_PROOF_SIZE = 2 * MAX_NOTE_SIZE + 8192;

/** What the second tree has as its beginning: another root hash than the first head's, and the way from it to the second head. */
export interface OtherBeginning {
  readonly root: TreeHash;
  readonly proof: readonly TreeHash[];
}

/** A fraud proof as it is written, nothing in it verified. */
export interface FraudProof {
  /** Signed note, of the smaller tree size. */
  readonly first: string;
  readonly second: string;
  readonly beginning?: OtherBeginning | undefined;
}

/** A fraud that was proven. */
export interface ProvenFraud {
  readonly first: Checkpoint;
  readonly second: Checkpoint;
  /** Root hash that the second tree has at the first one's size; of equal sizes that of the second head. */
  readonly otherRoot: TreeHash;
}

/** The file as text. Throws NoteError `malformed_fraud_proof` on what `parseFraudProof` would refuse. */
export function formatFraudProof({ first, second, beginning }: FraudProof): string {
  const lines = [FRAUD_PROOF_HEADER, `first ${utf8(first).length}`, `second ${utf8(second).length}`];
  if (beginning !== undefined) lines.push(`root ${toBase64(beginning.root)}`, ...beginning.proof.map(toBase64));
  const text = `${lines.join('\n')}\n\n${first}\n${second}`;
  parseFraudProof(utf8(text));
  return text;
}

/** Whether these bytes mean to be a fraud proof: what else is in them is not looked at. */
export function isFraudProof(bytes: Uint8Array): boolean {
  return equalBytes(bytes.subarray(0, FRAUD_PROOF_HEADER.length + 1), utf8(`${FRAUD_PROOF_HEADER}\n`));
}

/** Reads a fraud proof in its one spelling; the notes in it are not judged. Throws NoteError `malformed_fraud_proof`. */
export function parseFraudProof(bytes: Uint8Array): FraudProof {
  if (bytes.length > MAX_FRAUD_PROOF_SIZE) throw malformed(`it is larger than ${MAX_FRAUD_PROOF_SIZE} bytes`);
  const { lines, rest: heads } = splitPreamble(bytes, 'the heads', malformed);
  const [header, firstSize = '', secondSize = '', ...rest] = lines;
  if (header !== FRAUD_PROOF_HEADER) throw malformed(`its first line is not ${FRAUD_PROOF_HEADER}`);
  const begin = bytes.length - utf8(heads).length;
  const sizes = [readSize(firstSize, 'first'), readSize(secondSize, 'second')] as const;
  // One newline stands between the notes; a note ends with its own.
  if (begin + sizes[0] + 1 + sizes[1] !== bytes.length || bytes[begin + sizes[0]] !== LF)
    throw malformed('the two heads do not have the sizes that its lines say');
  const first = decode(bytes.subarray(begin, begin + sizes[0]), 'the first head');
  const second = decode(bytes.subarray(begin + sizes[0] + 1), 'the second head');
  if (rest.length === 0) return { first, second };
  return { first, second, beginning: readBeginning(rest) };
}

/**
 * Judges a fraud proof by the log's verifier keys: usually one, several where the log has changed its key. Throws NoteError as
 * `openCheckpoint` does where a head is signed by none of them, and ProofError: `not_proven` (two sizes, and no other beginning),
 * `no_contradiction` (the heads go together), `size_order`, and those of `verifyConsistency` where the proof does not lead to the second head.
 */
export function verifyFraudProof(fraud: FraudProof, keys: readonly VerifierKey[], verify?: Verify): ProvenFraud {
  const first = openByAny(fraud.first, keys, verify);
  const second = openByAny(fraud.second, keys, verify);
  const { beginning } = fraud;
  if (first.origin !== second.origin)
    throw new ProofError('no_contradiction', 'the two heads are of two logs, and may say what they like');
  if (first.treeSize > second.treeSize)
    throw new ProofError('size_order', `the first head has ${first.treeSize} leaves, the second ${second.treeSize}`);
  if (first.treeSize === second.treeSize) {
    if (beginning !== undefined)
      throw new ProofError('bad_proof_length', 'between heads of one size there is no consistency proof');
    if (equalBytes(first.rootHash, second.rootHash))
      throw new ProofError('no_contradiction', 'the two heads say the same');
    return { first, second, otherRoot: second.rootHash };
  }
  if (beginning === undefined)
    throw new ProofError(
      'not_proven',
      `both heads are signed, and nothing here shows that the tree of ${second.treeSize} leaves does not begin with the one of ` +
        `${first.treeSize}: ask the log for the consistency proof between them`,
    );
  if (equalBytes(beginning.root, first.rootHash))
    throw new ProofError('no_contradiction', 'the second tree begins with the first one');
  // From the empty tree everything is consistent, and its root hash is the only one: such a pair was never a contradiction.
  verifyConsistency({
    first: first.treeSize,
    second: second.treeSize,
    firstRoot: beginning.root,
    secondRoot: second.rootHash,
    proof: beginning.proof,
  });
  return { first, second, otherRoot: beginning.root };
}

const LF = 0x0a;

/** Opens a checkpoint by whichever of several keys signed it. Throws as `openCheckpoint` with the first key. */
export function openByAny(note: string, keys: readonly VerifierKey[], verify?: Verify): Checkpoint {
  let failed: unknown;
  for (const key of keys) {
    try {
      return openCheckpoint(note, key, verify);
    } catch (error) {
      failed ??= error;
    }
  }
  throw failed ?? new NoteError('unknown_signer', 'no key was given to verify the heads with');
}

function readSize(line: string, name: string): number {
  try {
    if (!line.startsWith(`${name} `)) throw new RangeError('another line');
    return parseDecimal(line.slice(name.length + 1));
  } catch (cause) {
    throw malformed(`the line "${name}" with the number of bytes is missing`, cause);
  }
}

function readBeginning([rootLine = '', ...hashes]: readonly string[]): OtherBeginning {
  if (!rootLine.startsWith('root ')) throw malformed('the line "root" is missing');
  if (hashes.length === 0 || hashes.length > MAX_PROOF_HASHES)
    throw malformed(`a consistency proof has 1 to ${MAX_PROOF_HASHES} hashes, not ${hashes.length}`);
  try {
    return {
      root: asTreeHash(fromBase64(rootLine.slice('root '.length))),
      proof: hashes.map((hash) => asTreeHash(fromBase64(hash))),
    };
  } catch (cause) {
    throw malformed(`a hash is not the base64 of 32 bytes: ${(cause as Error).message}`, cause);
  }
}

function decode(bytes: Uint8Array, what: string): string {
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw malformed(`${what} is not UTF-8`, cause);
  }
}

function malformed(reason: string, cause?: unknown): NoteError {
  return new NoteError('malformed_fraud_proof', `this is not a fraud proof: ${reason}`, { cause });
}
