/**
 * What a log sends to a witness (C2SP tlog-witness): the size that the witness last cosigned, a consistency proof from there,
 * an empty line, and the checkpoint as it is.
 *
 * ```
 * old 1
 * KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=        none to 63 hashes
 *
 * <signed note>
 * ```
 * The answer is signature lines only (`parseSignatureLines`), or 409 with the size that the witness knows.
 */
import { sha256 } from '#sha256';
import { fromBase64, fromUtf8, parseDecimal, toBase64, toHex, utf8 } from '../tree/bytes.ts';
import { asTreeHash, type TreeHash } from '../tree/hash.ts';
import { NoteError } from './error.ts';
import { splitNote } from './note.ts';
import { MAX_PROOF_HASHES, splitPreamble } from './preamble.ts';

/** Largest request that is read, in bytes. */
export const MAX_ADD_CHECKPOINT_SIZE = 131_072;
/** Media type of a 409 whose body is a decimal size and LF. It comes without parameters. */
export const SIZE_CONTENT_TYPE = 'text/x.tlog.size';

export interface AddCheckpoint {
  /** Size of the tree that the witness is believed to know; 0 for none. */
  readonly oldSize: number;
  /** From `oldSize` to the size of the checkpoint. */
  readonly proof: readonly TreeHash[];
  /** The signed note. It has the shape of one and nothing in it is verified. */
  readonly checkpoint: string;
}

/** The body of a request. Throws NoteError `malformed_request` on what `parseAddCheckpoint` would refuse. */
export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  const body = `old ${oldSize}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${checkpoint}`;
  parseAddCheckpoint(utf8(body));
  return body;
}

/**
 * Reads a request, which may come from anybody, in its one spelling. Neither sizes nor proof nor signatures are judged.
 * Throws NoteError `malformed_request` (status 400, the first check of C2SP tlog-witness).
 */
export function parseAddCheckpoint(bytes: Uint8Array): AddCheckpoint {
  if (bytes.length > MAX_ADD_CHECKPOINT_SIZE)
    throw malformed(`it has ${bytes.length} bytes, more than ${MAX_ADD_CHECKPOINT_SIZE}`);
  const { lines, rest: checkpoint } = splitPreamble(bytes, 'the checkpoint', malformed);
  const [old = '', ...hashes] = lines;
  if (!old.startsWith('old ')) throw malformed('its first line is not "old" and a size');
  if (hashes.length > MAX_PROOF_HASHES)
    throw malformed(`there are ${hashes.length} hashes, more than ${MAX_PROOF_HASHES}`);
  try {
    const oldSize = parseDecimal(old.slice('old '.length));
    const proof = hashes.map((hash) => asTreeHash(fromBase64(hash)));
    splitNote(checkpoint);
    return { oldSize, proof, checkpoint };
  } catch (cause) {
    throw malformed((cause as Error).message, cause);
  }
}

/**
 * The first line of a request's checkpoint: which log it says it is of, for looking up that log's key and for nothing else.
 * Nothing is verified. Throws NoteError `malformed_note`.
 */
export function claimedOrigin({ checkpoint }: Pick<AddCheckpoint, 'checkpoint'>): string {
  const text = fromUtf8(splitNote(checkpoint).text);
  return text.slice(0, text.indexOf('\n'));
}

/** The name of a log in a witness's monitoring addresses: SHA-256 of the origin in 64 hex digits (C2SP tlog-witness). */
export function originHash(origin: string): string {
  return toHex(sha256(utf8(origin)));
}

function malformed(reason: string, cause?: unknown): NoteError {
  return new NoteError('malformed_request', `this is not a request to add a checkpoint: ${reason}`, { cause });
}
