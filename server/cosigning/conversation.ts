/**
 * One question to one witness, and what its answer says (C2SP tlog-witness). Nothing here throws for what a witness
 * answers: whoever is wrong, slow or gone is *silent*, with a reason.
 */
import { type AddCheckpoint, formatAddCheckpoint, originHash, SIZE_CONTENT_TYPE } from '../../proofs/add-checkpoint.ts';
import type { TreeHead } from '../../proofs/checkpoint.ts';
import { cosignatureTime } from '../../proofs/cosignature.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import { addSignatures, type NoteSignature, openNote, parseSignatureLines } from '../../proofs/note.ts';
import { fromUtf8, parseDecimal } from '../../tree/bytes.ts';
import { openOwnCheckpoint, verifyByOpenssl } from '../own-signatures.ts';
import type { AskedWitness } from './policies.ts';

export interface WitnessReply {
  readonly status: number;
  /** All Content-Type headers, joined as HTTP joins them. */
  readonly contentType: string | undefined;
  readonly body: Uint8Array;
}

/** Sends a request and gives the whole reply. Rejects with an Error whose message a person can act on. */
export type WitnessTransport = (request: {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly body?: string;
  readonly signal: AbortSignal;
}) => Promise<WitnessReply>;

/** Whoever gave no answer that counts. */
export interface Silent {
  readonly kind: 'silent';
  readonly reason: string;
  /** It could not be reached at all: others need not try in the same moment. */
  readonly unreachable: boolean;
}

export type CosignAnswer =
  | { readonly kind: 'cosigned'; readonly line: NoteSignature }
  /** Its last cosigned checkpoint has another size than we thought. Nobody vouches for the number. */
  | { readonly kind: 'size'; readonly treeSize: number }
  /** It does not witness this origin (404). */
  | { readonly kind: 'unknown_origin' }
  | Silent;

/** POST add-checkpoint: only the line that was asked for counts, all others are dropped. */
export async function askToCosign(
  witness: AskedWitness,
  request: AddCheckpoint,
  transport: WitnessTransport,
  signal: AbortSignal,
): Promise<CosignAnswer> {
  let reply: WitnessReply;
  try {
    const url = `${witness.url}/add-checkpoint`;
    reply = await transport({ method: 'POST', url, body: formatAddCheckpoint(request), signal });
  } catch (error) {
    return unreachable(error);
  }
  if (reply.status === 404) return { kind: 'unknown_origin' };
  try {
    // One header, no parameters: a proxy's error page must not pass for a size.
    if (reply.status === 409 && reply.contentType === SIZE_CONTENT_TYPE) {
      const size = fromUtf8(reply.body);
      if (!size.endsWith('\n')) throw new RangeError('its 409 has no line with a size');
      return { kind: 'size', treeSize: parseDecimal(size.slice(0, -1)) };
    }
    if (reply.status !== 200) return silent(`it answered ${reply.status} ${excerpt(reply.body)}`.trimEnd());
    return cosignedBy(witness.key, parseSignatureLines(fromUtf8(reply.body)), request.checkpoint);
  } catch (error) {
    return silent(`its answer cannot be read: ${(error as Error).message}`);
  }
}

function cosignedBy(key: VerifierKey, lines: readonly NoteSignature[], checkpoint: string): CosignAnswer {
  const line = lines.find(({ name, keyId }) => name === key.name && keyId === key.keyId);
  if (line === undefined) return silent(`its answer has no signature by ${key.text}`);
  openNote(addSignatures(checkpoint, [line]), [key], verifyByOpenssl);
  // 0 says "not the newest that I know", which is not what was asked.
  if (cosignatureTime(line.signature) === 0) return silent('its cosignature has the time 0');
  return { kind: 'cosigned', line };
}

/** What a witness holds, verified under a key of the log. */
export interface HeldCheckpoint extends TreeHead {
  readonly note: string;
}

export type HeldAnswer =
  /** The newest checkpoint that it has cosigned, signed by the log's key. */
  | { readonly kind: 'held'; readonly checkpoint: HeldCheckpoint }
  /** 404: it never cosigned one, or has no such path. */
  | { readonly kind: 'none' }
  | Silent;

/** GET <hash of the origin>/checkpoint (C2SP tlog-witness). Only what a key of the log has signed is believed. */
export async function askForHeld(
  witness: AskedWitness,
  keys: readonly VerifierKey[],
  transport: WitnessTransport,
  signal: AbortSignal,
): Promise<HeldAnswer> {
  let reply: WitnessReply;
  try {
    reply = await transport({
      method: 'GET',
      url: `${witness.url}/${originHash((keys[0] as VerifierKey).name)}/checkpoint`,
      signal,
    });
  } catch (error) {
    return unreachable(error);
  }
  if (reply.status === 404) return { kind: 'none' };
  if (reply.status !== 200) return silent(`it answered ${reply.status} ${excerpt(reply.body)}`.trimEnd());
  try {
    const note = fromUtf8(reply.body);
    return { kind: 'held', checkpoint: { ...openOwnCheckpoint(note, keys), note } };
  } catch (error) {
    return silent(`the checkpoint it shows is not one of this log: ${(error as Error).message}`);
  }
}

function silent(reason: string): Silent {
  return { kind: 'silent', reason, unreachable: false };
}

function unreachable(error: unknown): Silent {
  return { kind: 'silent', reason: (error as Error).message, unreachable: true };
}

/** The beginning of an error's body, in printable ASCII: it goes into a log line. */
function excerpt(body: Uint8Array): string {
  const text = Buffer.from(body.subarray(0, 200)).toString('latin1');
  return text.replaceAll(/[^ -~]+/g, ' ').trim();
}
