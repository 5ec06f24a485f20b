/** Asking a log and its witnesses for their heads, and verifying what they answer. */

import { originHash } from '../../proofs/add-checkpoint.ts';
import { type Checkpoint, openCheckpoint } from '../../proofs/checkpoint.ts';
import { NoteError } from '../../proofs/error.ts';
import type { VerifierKey, Verify } from '../../proofs/key.ts';
import { MAX_NOTE_SIZE } from '../../proofs/note.ts';
import type { Policy, PolicyWitness } from '../../proofs/policy.ts';
import { verifyTreeHeadSignature } from '../../proofs/tree-head-signature.ts';
import { type Cosigned, openCosigned } from '../../proofs/witnessed.ts';
import { equalBytes } from '../../tree/bytes.ts';
import { openHead } from '../check-reply.ts';
import { ClientError } from '../error.ts';
import { parseTreeHeadReply } from '../replies.ts';
import type { Transport } from '../transport.ts';

interface Asking {
  readonly key: VerifierKey;
  readonly verify?: Verify | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A witness and its monitoring endpoint: base URL of the transport is the prefix before the hash of the origin. */
export interface WitnessSource {
  readonly witness: PolicyWitness;
  readonly transport: Transport;
}

export interface LogAnswer {
  /** Signed by the log. */
  readonly head: Checkpoint;
  /** By witnesses of the policy, verified. */
  readonly cosignatures: readonly Cosigned[];
  /** Why the cosignatures cannot be judged: a line that claims a witness and is not by it. */
  readonly fault: string | undefined;
}

/** What came of asking a witness. None of the members: it has no head of this log. */
export interface WitnessAnswer {
  /** Signed by the log and cosigned by this witness. */
  readonly head?: Checkpoint;
  readonly unreachable?: string;
  readonly fault?: string;
}

/**
 * The head that a log shows. A head that the log has signed is one whatever stands below it: a false line of a witness is a fault, and
 * does not hide the head. Throws NoteError where the log has not signed, ClientError where it cannot be asked.
 */
export async function askLog(
  asking: Asking & { readonly transport: Transport; readonly policy: Policy | undefined },
): Promise<LogAnswer> {
  const { transport, key, policy, verify, signal } = asking;
  const note = await requestNote(transport, 'checkpoint', signal);
  if (policy !== undefined) {
    try {
      const { cosignatures, ...head } = openCosigned(note, key, policy, verify);
      return { head, cosignatures, fault: undefined };
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
      return { head: openCheckpoint(note, key, verify), cosignatures: [], fault: error.message };
    }
  }
  return { head: openCheckpoint(note, key, verify), cosignatures: [], fault: undefined };
}

/** The newest head that a witness has cosigned (C2SP tlog-witness). Throws only the reason of the signal. */
export async function askWitness(
  { witness, transport }: WitnessSource,
  { key, verify, signal }: Asking,
): Promise<WitnessAnswer> {
  try {
    const note = await requestNote(transport, `${originHash(key.name)}/checkpoint`, signal);
    const policy: Policy = { logs: [], witnesses: [witness], quorum: 'none' };
    const { cosignatures, ...head } = openCosigned(note, key, policy, verify);
    if (cosignatures.length === 0)
      return { fault: `witness ${witness.name} shows a head of size ${head.treeSize} that it has not cosigned` };
    return { head };
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof NoteError)
      return { fault: `what witness ${witness.name} shows is no head of this log: ${error.code}: ${error.message}` };
    if (!(error instanceof ClientError)) throw error;
    if (error.status === 404) return {};
    return { unreachable: `witness ${witness.name}: ${error.message}` };
  }
}

/**
 * When the log signed its newest head again, by its RFC 6962 signature, in milliseconds; `undefined` where there is none or the head is
 * another one. Throws ClientError, NoteError, ProofError.
 */
export async function askRefreshed(
  asking: Asking & { readonly transport: Transport; readonly shown: Checkpoint },
): Promise<number | undefined> {
  const { transport, key, shown, verify, signal } = asking;
  const reply = parseTreeHeadReply(await transport.request({ path: 'tree-head', maxReplySize: MAX_NOTE_SIZE, signal }));
  const { treeSize, rootHash } = openHead(reply, key);
  const same = treeSize === shown.treeSize && equalBytes(rootHash, shown.rootHash);
  if (!same || reply.signature === undefined) return undefined;
  verifyTreeHeadSignature(reply.signature, { treeSize, rootHash, timestamp: reply.timestamp }, key, verify);
  return reply.timestamp;
}

/** A checkpoint as it came. One that is too long is none: NoteError `malformed_note`. */
async function requestNote(transport: Transport, path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  try {
    return await transport.request({ path, maxReplySize: MAX_NOTE_SIZE, signal });
  } catch (error) {
    if (error instanceof ClientError && error.code === 'bad_reply')
      throw new NoteError('malformed_note', error.message, { cause: error });
    throw error;
  }
}
