/**
 * What a witness keeps of a log: the newest checkpoint that it has cosigned, whole. As a file it is one JSON object whose last
 * member, `check`, is over all the others:
 *
 *   {"origin":"…","tree_size":5,"root_hash":"…","time":1767225600,"note":"…","check":"…"}
 *
 * Size, root and time stand in the note as well, and our own signature is under it: what was altered or is of another witness is noticed.
 */
import { type CheckpointBody, parseCheckpoint } from '../../proofs/checkpoint.ts';
import { cosignatureTime } from '../../proofs/cosignature.ts';
import type { VerifierKey, Verify } from '../../proofs/key.ts';
import { type NoteSignature, openNote } from '../../proofs/note.ts';
import { fromUtf8, toBase64 } from '../../tree/bytes.ts';
import { encodeChecked, parseChecked } from '../storage/checked-json.ts';

export interface CosignedHead extends CheckpointBody {
  /** What was signed, the last newline included. */
  readonly text: string;
  /** Our cosignature. */
  readonly own: NoteSignature;
  /** The time in it, seconds since the Unix epoch. */
  readonly time: number;
  /** Text, the log's signature lines, and our own. */
  readonly note: string;
}

export function encodeHead({ origin, treeSize, rootHash, time, note }: CosignedHead): Uint8Array {
  return encodeChecked({ origin, tree_size: treeSize, root_hash: toBase64(rootHash), time, note });
}

/** Opens a note that the witness with this key has cosigned. Throws NoteError as `openNote`, `parseCheckpoint` and `cosignatureTime` do. */
export function openCosignedHead(note: string, key: VerifierKey, verify: Verify): CosignedHead {
  const { text, signatures } = openNote(note, [key], verify);
  const [own] = signatures as [NoteSignature];
  return { ...parseCheckpoint(text), text, own, time: cosignatureTime(own.signature), note };
}

/** Reads what `encodeHead` wrote for this witness. Throws a RangeError on anything else. */
export function parseHead(bytes: Uint8Array, key: VerifierKey, verify: Verify): CosignedHead {
  const row = parseChecked(bytes);
  const { note } = row;
  if (typeof note !== 'string') throw new RangeError('it has no note');
  let head: CosignedHead;
  try {
    head = openCosignedHead(note, key, verify);
  } catch (cause) {
    throw new RangeError(`its note is not one that this witness has cosigned: ${(cause as Error).message}`, { cause });
  }
  // One spelling, the check included: rows of other kinds may lack it.
  if (fromUtf8(encodeHead(head)) !== fromUtf8(bytes)) throw new RangeError('its members are not those of its note');
  return head;
}
