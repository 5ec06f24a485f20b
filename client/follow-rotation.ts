/**
 * Following a log from one key to the next (proofs/rotation.ts): what the server tells about its rotations, parsed and judged. The pin moves by proof
 * alone; what the server merely says moves nothing.
 */
import type { EventEntry } from '../proofs/entry.ts';
import type { VerifierKey } from '../proofs/key.ts';
import type { Policy } from '../proofs/policy.ts';
import { type PinnedLog, verifyRotation } from '../proofs/rotation.ts';
import type { TreeHash } from '../tree/hash.ts';
import { ClientError } from './error.ts';
import { asObject, readBytes, readHashes, readList, readNumber, readObject, readText, readTime } from './json.ts';

/** One rotation as the server tells it. Nothing of it is verified. */
export interface StatedRotation {
  readonly oldKey: string;
  readonly newKey: string;
  /** Whether the server says that the old key has stopped signing. */
  readonly ended: boolean;
  readonly statement: string;
  /** Undefined until a head by both keys covers the entry. */
  readonly proven:
    | {
        readonly entry: EventEntry;
        readonly proof: readonly TreeHash[];
        /** Checkpoint of the log, signed by both keys. */
        readonly head: string;
        /** Of a raw log: what the server says of `_system`, which holds the entry. */
        readonly recorder: { readonly verifierKey: string; readonly checkpoint: string } | undefined;
      }
    | undefined;
}

/** Answer of `GET rotations`, oldest first. Throws ClientError `bad_reply`. */
export function parseRotationsReply(bytes: Uint8Array): StatedRotation[] {
  return readList(readObject(bytes, 'the answer'), 'rotations').map((value) => {
    const rotation = asObject(value, 'a rotation');
    const stated = {
      oldKey: readText(rotation, 'old_verifier_key'),
      newKey: readText(rotation, 'new_verifier_key'),
      ended: typeof rotation['ended_at'] === 'string',
      statement: readText(rotation, 'statement'),
    };
    if (rotation['entry'] === null || rotation['head'] === null) return { ...stated, proven: undefined };
    const entry = asObject(rotation['entry'], 'the entry of a rotation');
    const recorder = rotation['recorder'] === null ? undefined : asObject(rotation['recorder'], 'the recorder');
    return {
      ...stated,
      proven: {
        entry: {
          leafIndex: readNumber(entry, 'leaf_index'),
          receivedAt: readTime(entry, 'received_at'),
          event: readBytes(entry, 'event_base64'),
          header: readBytes(entry, 'header_base64'),
          salt: readBytes(entry, 'salt'),
          leaf: readBytes(entry, 'leaf'),
        },
        proof: readHashes(rotation, 'proof'),
        head: readText(rotation, 'head'),
        recorder: recorder && {
          verifierKey: readText(recorder, 'verifier_key'),
          checkpoint: readText(recorder, 'checkpoint'),
        },
      },
    };
  });
}

/**
 * The key to pin after this rotation, proven from the pinned one. `recorderKey` is the pinned key of `_system`, which a raw log's
 * rotation needs. Throws NoteError, ProofError; ClientError `unpinned` where a recorder has no pin, `bad_reply` where there is no proof yet.
 */
export function provenSuccessor(
  pinned: { readonly key: VerifierKey; readonly policy: Policy | undefined },
  { statement, proven }: StatedRotation,
  recorderKey: VerifierKey | undefined,
): VerifierKey {
  const { key, policy } = pinned;
  if (proven === undefined)
    throw new ClientError('bad_reply', `no head by both keys of ${key.name} covers the entry of the rotation yet`);
  const { entry, proof, head, recorder } = proven;
  if (recorder !== undefined && recorderKey === undefined)
    throw new ClientError(
      'unpinned',
      `the rotation of ${key.name} is recorded in _system, and no key of that is pinned: give the new key by hand, or pin _system first`,
    );
  const own: PinnedLog = policy === undefined ? { key } : { key, policy };
  return verifyRotation({
    pinned: own,
    statement,
    entry,
    inclusion: proof,
    head,
    // Both keys have signed this one: it is its own continuation.
    newHead: head,
    consistency: [],
    ...(recorder === undefined || recorderKey === undefined
      ? {}
      : { recorder: { key: recorderKey, head: recorder.checkpoint, ...(policy === undefined ? {} : { policy }) } }),
  });
}
