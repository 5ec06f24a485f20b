/**
 * What a witness asks of a checkpoint, in the order of C2SP tlog-witness, so that everybody who sends the same gets the same answer:
 *
 *    1  the shape of the request      `malformed_request`          (proofs/add-checkpoint.ts)
 *    2  a log that is witnessed       `unknown_origin`
 *    3  signed by that log            `not_signed_by_log`
 *    4  the text of a checkpoint      `malformed_checkpoint`
 *    5  size 0 has one root           `inconsistent_checkpoint`
 *    6  old at most the size          `malformed_request`
 *    7  old is what is known          a conflict, with the known size
 *    8  nothing proves from 0         `inconsistent_checkpoint`
 *    9  one size, one root            `inconsistent_checkpoint`
 *   10  the consistency proof         `inconsistent_checkpoint`
 *
 * Pure, so that each row is a test. Everything here comes from anybody.
 */
import type { AddCheckpoint } from '../../proofs/add-checkpoint.ts';
import { type CheckpointBody, parseCheckpoint, type TreeHead } from '../../proofs/checkpoint.ts';
import { verifyConsistency } from '../../proofs/consistency.ts';
import { NoteError, ProofError } from '../../proofs/error.ts';
import type { VerifierKey, Verify } from '../../proofs/key.ts';
import { type NoteSignature, openNote } from '../../proofs/note.ts';
import { equalBytes, toBase64 } from '../../tree/bytes.ts';
import { emptyRoot } from '../../tree/hash.ts';
import { ServerError } from '../errors.ts';

/** A text that the log has signed, whatever it says. */
export interface Signed {
  readonly text: string;
  /** The log's own lines, all of them verified. */
  readonly signatures: readonly NoteSignature[];
}

/** Rows 2 and 3: `keys` are those of the log that the checkpoint names, `undefined` where it is none of ours. */
export function openSigned(
  { checkpoint }: AddCheckpoint,
  keys: readonly VerifierKey[] | undefined,
  verify: Verify,
): Signed {
  if (keys === undefined)
    throw new ServerError('unknown_origin', 'this witness does not know the log of that checkpoint');
  try {
    return openNote(checkpoint, keys, verify);
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    throw new ServerError('not_signed_by_log', `the checkpoint is not signed by its log: ${cause.message}`, { cause });
  }
}

/** Row 4; and row 5 as `impossible`, since that is a text which no honest log signs. */
export function readHead(text: string): CheckpointBody | 'impossible' {
  try {
    return parseCheckpoint(text);
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    if (isEmptyTreeWithAnotherRoot(text)) return 'impossible';
    throw new ServerError('malformed_checkpoint', `the log has signed what is no checkpoint: ${cause.message}`, {
      cause,
    });
  }
}

/** A checkpoint in all but the root of its empty tree, which is some other hash. */
function isEmptyTreeWithAnotherRoot(text: string): boolean {
  const [origin, size, root = '', ...rest] = text.split('\n');
  if (size !== '0') return false;
  const parses = (lines: readonly (string | undefined)[]): boolean => {
    try {
      parseCheckpoint(lines.join('\n'));
      return true;
    } catch {
      return false;
    }
  };
  // Of another size the same root is read; of this one only the right root is.
  return parses([origin, '1', root, ...rest]) && parses([origin, '0', toBase64(emptyRoot()), ...rest]);
}

/** The size that the witness knows is another one than the request names. */
export interface Conflict {
  readonly status: 409;
  readonly treeSize: number;
}

/** Rows 6 to 10: a conflict, or nothing where `head` extends, or repeats, what is known. */
export function judge(
  known: TreeHead | undefined,
  { oldSize, proof }: AddCheckpoint,
  head: TreeHead,
): Conflict | undefined {
  const { treeSize, rootHash } = head;
  if (oldSize > treeSize)
    throw new ServerError(
      'malformed_request',
      `the old size, ${oldSize}, is above that of the checkpoint, ${treeSize}`,
    );
  const knownSize = known?.treeSize ?? 0;
  if (oldSize !== knownSize) return { status: 409, treeSize: knownSize };
  if (oldSize === 0 && proof.length > 0) throw inconsistent('nothing is to be proven from size 0: send no hashes');
  if (isContradiction(known, head)) throw inconsistent(`another root of size ${treeSize} was cosigned before`);
  try {
    const firstRoot = known?.rootHash ?? emptyRoot();
    verifyConsistency({ first: knownSize, second: treeSize, firstRoot, secondRoot: rootHash, proof });
  } catch (cause) {
    if (!(cause instanceof ProofError)) throw cause;
    throw inconsistent(`the checkpoint does not follow from what was cosigned before: ${cause.message}`, cause);
  }
  return undefined;
}

/** Whether a head is of the known size and has another root: signed, both prove that the log shows two trees. */
export function isContradiction(known: TreeHead | undefined, { treeSize, rootHash }: TreeHead): boolean {
  return known !== undefined && known.treeSize === treeSize && !equalBytes(known.rootHash, rootHash);
}

export function inconsistent(message: string, cause?: unknown): ServerError {
  return new ServerError('inconsistent_checkpoint', message, cause === undefined ? {} : { cause });
}
