/**
 * Offline inclusion proofs: C2SP tlog-proof (2026-05). A text of lines, then the checkpoint note as it is:
 *
 *   c2sp.org/tlog-proof@v1
 *   index 7
 *   <base64 hash>            none to 63, the leaf's sibling first
 *
 *   <signed note>
 *
 * It says nothing about the entry itself: the leaf hash is for the verifier to compute from the bytes it has.
 */
import { fromBase64, parseDecimal, toBase64 } from '../tree/bytes.ts';
import { asTreeHash, type TreeHash } from '../tree/hash.ts';
import { NoteError } from './error.ts';
import { MAX_NOTE_SIZE } from './note.ts';
import { MAX_PROOF_HASHES, splitPreamble } from './preamble.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';

export interface TlogProof {
  readonly leafIndex: number;
  readonly proof: readonly TreeHash[];
  /** The signed note, not verified yet. */
  readonly checkpoint: string;
  /** Bytes of the line `extra`, if there is one: nobody vouches for them. */
  readonly extra?: Uint8Array;
}

/** The proof as text. `extra` is written only where it is set. */
export function formatTlogProof({ leafIndex, proof, checkpoint, extra }: TlogProof): string {
  const lines = [HEADER];
  if (extra !== undefined) lines.push(`extra ${toBase64(extra)}`);
  lines.push(`index ${leafIndex}`, ...proof.map(toBase64), '', checkpoint);
  return lines.join('\n');
}

/** Reads a proof in its one spelling, of at most 1 MiB. Throws NoteError `malformed_proof`; the note in it is not judged. */
export function parseTlogProof(bytes: Uint8Array): TlogProof {
  if (bytes.length > MAX_NOTE_SIZE) throw malformed('it is larger than 1 MiB');
  const { lines: all, rest: checkpoint } = splitPreamble(bytes, 'the checkpoint', malformed);
  const [header, ...lines] = all;
  if (header !== HEADER) throw malformed(`its first line is not ${HEADER}`);
  try {
    const extra = lines[0]?.startsWith('extra ') === true ? fromBase64((lines.shift() as string).slice(6)) : undefined;
    const [index = '', ...hashes] = lines;
    if (!index.startsWith('index ')) throw new RangeError('the line index is missing');
    if (hashes.length > MAX_PROOF_HASHES) throw new RangeError(`there are more than ${MAX_PROOF_HASHES} hashes`);
    const leafIndex = parseDecimal(index.slice(6));
    const proof = hashes.map((hash) => asTreeHash(fromBase64(hash)));
    return extra === undefined ? { leafIndex, proof, checkpoint } : { leafIndex, proof, checkpoint, extra };
  } catch (cause) {
    throw malformed((cause as Error).message, cause);
  }
}

function malformed(reason: string, cause?: unknown): NoteError {
  return new NoteError('malformed_proof', `this is not a tlog-proof: ${reason}`, { cause });
}
