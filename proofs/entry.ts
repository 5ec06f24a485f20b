/**
 * Checking one entry of an events log against a verified checkpoint: event, header, salt and origin give the commitment,
 * with receivedAt the leaf, the leaf hash, and through the inclusion proof the root hash.
 *
 * Only the bytes given here are judged. Print from these bytes, and ignore any other rendering of the event in a reply.
 */
import { equalBytes } from '../tree/bytes.ts';
import { leafHash, type TreeHash } from '../tree/hash.ts';
import type { Checkpoint } from './checkpoint.ts';
import { ProofError } from './error.ts';
import { verifyInclusion } from './inclusion.ts';
import { checkEventText, checkHeader, commitment, encodeEventLeaf, parseEventLeaf } from './leaf.ts';

/** One entry as a server gives it out. Leaf and leaf hash are only compared; they may be missing. */
export interface EventEntry {
  readonly event: Uint8Array;
  readonly header: Uint8Array;
  readonly salt: Uint8Array;
  readonly leafIndex: number;
  /** Microseconds since the Unix epoch. */
  readonly receivedAt: number;
  readonly leaf?: Uint8Array;
  readonly leafHash?: Uint8Array;
}

/**
 * The leaf that an entry must have in the log of this origin, from the event's own bytes.
 * Throws ProofError: `bad_event`, `bad_header`, `bad_salt`, `bad_received_at`.
 */
export function entryLeaf(entry: EventEntry, origin: string): Uint8Array {
  const { event, header, salt, receivedAt } = entry;
  checkEventText(event);
  checkHeader(header);
  return encodeEventLeaf({ receivedAt, commitment: commitment({ origin, salt, header, event }) });
}

/**
 * Checks that the entry stands at its leaf index under a checkpoint, which `openCheckpoint` has verified and whose origin counts.
 * A stated leaf or leaf hash must be what is recomputed. Throws ProofError: those of `entryLeaf` and `verifyInclusion`, `bad_leaf`,
 * `received_at_mismatch`, `commitment_mismatch`, `leaf_hash_mismatch`.
 */
export function verifyEntry(claim: {
  readonly entry: EventEntry;
  readonly checkpoint: Checkpoint;
  readonly proof: readonly TreeHash[];
}): void {
  const { entry, checkpoint, proof } = claim;
  const leaf = entryLeaf(entry, checkpoint.origin);
  const hash = leafHash(leaf);
  if (entry.leaf !== undefined) compareLeaf(entry.leaf, leaf);
  if (entry.leafHash !== undefined && !equalBytes(entry.leafHash, hash))
    throw new ProofError('leaf_hash_mismatch', 'the stated leaf hash is not that of the leaf');
  verifyInclusion({
    leafHash: hash,
    leafIndex: entry.leafIndex,
    treeSize: checkpoint.treeSize,
    rootHash: checkpoint.rootHash,
    proof,
  });
}

/** Two leaves have equal bytes if and only if both fields are equal: the form is fixed and the length too. */
function compareLeaf(stated: Uint8Array, recomputed: Uint8Array): void {
  const { receivedAt, commitment: stated32 } = parseEventLeaf(stated);
  const { receivedAt: expected, commitment: expected32 } = parseEventLeaf(recomputed);
  if (receivedAt !== expected)
    throw new ProofError('received_at_mismatch', `the leaf says receivedAt ${receivedAt}, the entry ${expected}`);
  if (!equalBytes(stated32, expected32))
    throw new ProofError('commitment_mismatch', 'the leaf commits to another event, header, salt or origin');
}
