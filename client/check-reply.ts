/** From parsed answers to verified entries: what every method of the client that returns entries goes through. */
import { type Checkpoint, openCheckpoint } from '../proofs/checkpoint.ts';
import { type EventEntry, entryLeaf, verifyEntry } from '../proofs/entry.ts';
import { ProofError } from '../proofs/error.ts';
import type { VerifierKey } from '../proofs/key.ts';
import { parseEventLeaf } from '../proofs/leaf.ts';
import type { Policy } from '../proofs/policy.ts';
import { parseTlogProof } from '../proofs/tlog-proof.ts';
import { openWitnessed } from '../proofs/witnessed.ts';
import { equalBytes, toHex } from '../tree/bytes.ts';
import { type LeafHash, leafHash, type TreeHash } from '../tree/hash.ts';
import { ClientError } from './error.ts';
import { parseEventReply, type StatedHead } from './replies.ts';

/** An entry whose leaf was rebuilt from its bytes; that alone does not say that it is in the tree. */
export interface LoggedEntry extends EventEntry {
  readonly leaf: Uint8Array;
  readonly leafHash: LeafHash;
}

/** An entry that was proven to be in the tree of a signed head. */
export interface ProvenEntry extends LoggedEntry {
  readonly proof: readonly TreeHash[];
  readonly checkpoint: Checkpoint;
  /** The answer as it came: kept in a file, it can be verified again without the log. */
  readonly reply: Uint8Array;
}

/**
 * Verifies an answer of `GET events/7` with nothing but the verifier key (docs/format.md, "Checking a saved reply"), and the quorum of
 * the policy if there is one. Throws ClientError `bad_reply`, ProofError, NoteError.
 */
export function openEventReply(reply: Uint8Array, key: VerifierKey, policy?: Policy): ProvenEntry {
  const { entry, head, proof } = parseEventReply(reply);
  const checkpoint = openHead(head, key, policy);
  verifyEntry({ entry, checkpoint, proof });
  return { ...entry, leafHash: leafHash(entry.leaf), proof, checkpoint, reply };
}

/**
 * Verifies an entry with a tlog-proof: the leaf is made from the entry's own bytes, and all that the proof adds is its place, the
 * hashes and the checkpoint. Throws ClientError `bad_reply`, ProofError, NoteError.
 */
export function openTlogProof(text: Uint8Array, stated: EventEntry, key: VerifierKey, policy?: Policy): ProvenEntry {
  const { leafIndex, proof, checkpoint: note } = parseTlogProof(text);
  if (stated.leafIndex !== leafIndex)
    throw new ClientError('bad_reply', `the proof is for leaf index ${leafIndex}, the entry for ${stated.leafIndex}`);
  const checkpoint = openSigned(note, key, policy);
  const entry = rebuild(stated, checkpoint.origin);
  verifyEntry({ entry, checkpoint, proof });
  return { ...entry, proof, checkpoint, reply: text };
}

/** Opens a checkpoint by the log's key, and by the quorum where a policy names one. Throws NoteError. */
export function openSigned(note: string | Uint8Array, key: VerifierKey, policy: Policy | undefined): Checkpoint {
  return policy === undefined ? openCheckpoint(note, key) : openWitnessed(note, key, policy);
}

/** Opens the checkpoint of an answer, which must have the tree size that is stated beside it. */
export function openHead({ treeSize, checkpoint: note }: StatedHead, key: VerifierKey, policy?: Policy): Checkpoint {
  const checkpoint = openSigned(note, key, policy);
  if (checkpoint.treeSize !== treeSize)
    throw new ClientError('bad_reply', `the tree size is ${treeSize}, that of the checkpoint ${checkpoint.treeSize}`);
  return checkpoint;
}

/** Makes the leaf of an entry anew; what the log says about it must be the same. Throws ProofError. */
export function rebuild(stated: EventEntry, origin: string): LoggedEntry {
  const { event, header, salt, leafIndex, receivedAt } = stated;
  const leaf = entryLeaf(stated, origin);
  const hash = leafHash(leaf);
  if (stated.leaf !== undefined && parseEventLeaf(stated.leaf).receivedAt !== receivedAt)
    throw new ProofError('received_at_mismatch', `the leaf at leaf index ${leafIndex} has another receivedAt`);
  if (stated.leaf !== undefined && !equalBytes(stated.leaf, leaf))
    throw new ProofError('commitment_mismatch', `the leaf at leaf index ${leafIndex} is not that of the entry`);
  if (stated.leafHash !== undefined && !equalBytes(stated.leafHash, hash))
    throw new ProofError('leaf_hash_mismatch', `the leaf hash at leaf index ${leafIndex} is not that of the event`);
  return { event, header, salt, leafIndex, receivedAt, leaf, leafHash: hash };
}

/** One place holds one leaf, and a leaf with its random salt has one place. */
export function checkPlaces(entries: readonly LoggedEntry[]): void {
  const leaves = new Map<number, string>();
  const places = new Map<string, number>();
  for (const { leafIndex, leafHash } of entries) {
    const leaf = toHex(leafHash);
    if ((leaves.get(leafIndex) ?? leaf) !== leaf || (places.get(leaf) ?? leafIndex) !== leafIndex)
      throw new ClientError('bad_reply', `two entries of the answer do not go together at leaf index ${leafIndex}`);
    leaves.set(leafIndex, leaf);
    places.set(leaf, leafIndex);
  }
}
