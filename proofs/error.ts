/**
 * The errors that verifiers throw. The code is stable and meant for programs, the message for people.
 *
 * Verifiers return nothing: a forgotten boolean would be a hole, a forgotten catch is not.
 */

/** An error with a stable code; each layer has its own subclass and its own list of codes. */
export class LogError<Code extends string> extends Error {
  readonly code: Code;

  constructor(code: Code, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** What can be wrong with a proof, or with an entry that is checked against one. */
export type ProofErrorCode =
  /** A leaf index or tree size is not an integer from 0 to 2^53 - 1. */
  | 'unsafe_number'
  /** The leaf index is not below the tree size. */
  | 'index_out_of_range'
  /** The first tree size is above the second. */
  | 'size_order'
  /** The proof has not the one number of hashes that its sizes demand. */
  | 'bad_proof_length'
  /** A hash does not have 32 bytes. */
  | 'bad_hash_length'
  /** The proof leads to another root hash. */
  | 'root_mismatch'
  /** Not the 41 bytes of an event leaf. */
  | 'bad_leaf'
  /** The salt does not have 32 bytes. */
  | 'bad_salt'
  /** The header is not a JSON object in UTF-8 of at most 1,024 bytes, or a known member has the wrong type. */
  | 'bad_header'
  /** The event is not the text of one JSON object in UTF-8. */
  | 'bad_event'
  /** receivedAt is not an integer from 0 to 2^53 - 1. */
  | 'bad_received_at'
  /** The stated leaf commits to something else than this event, header, salt and origin. */
  | 'commitment_mismatch'
  /** The stated leaf has another receivedAt. */
  | 'received_at_mismatch'
  /** The stated leaf hash is not that of the leaf. */
  | 'leaf_hash_mismatch'
  /** The two heads of a fraud proof go together. */
  | 'no_contradiction'
  /** Two heads of different sizes, and nothing that shows that the one is not the beginning of the other. */
  | 'not_proven';

/** A proof or an entry is wrong. */
export class ProofError extends LogError<ProofErrorCode> {}

/** What can be wrong with a key, a signed note or a checkpoint. */
export type NoteErrorCode =
  /** Not a signed note, or a text that no note can hold. */
  | 'malformed_note'
  /** Not the text of a verifier key or signer key. */
  | 'malformed_key'
  /** Not a tlog-proof. */
  | 'malformed_proof'
  /** Not a trust policy; the message has the number of the line. */
  | 'malformed_policy'
  /** Not a request to add a checkpoint (C2SP tlog-witness). */
  | 'malformed_request'
  /** Not a statement of key rotation. */
  | 'malformed_rotation'
  /** Not a fraud proof. */
  | 'malformed_fraud_proof'
  /** A key of an algorithm that is not supported here. */
  | 'unknown_algorithm'
  /** The key ID in the text is not that of the key. */
  | 'key_id_mismatch'
  /** The public key is not the canonical encoding of a point, or the point has small order. */
  | 'bad_public_key'
  /** Two of the given keys have the same name and key ID. */
  | 'ambiguous_key'
  /** No signature is by any of the given keys. */
  | 'unknown_signer'
  /** A signature that claims a given key is not by it. */
  | 'invalid_signature'
  /** The text of the note is not that of a checkpoint. */
  | 'malformed_checkpoint'
  /** The origin of the checkpoint is not the name of the key. */
  | 'origin_mismatch'
  /** The log signed, and too few of the policy's witnesses did. */
  | 'quorum_not_met'
  /** A statement of key rotation that does not move this pin: about another key, or not what the log itself recorded. */
  | 'rotation_refused';

/** A key, a signed note or a checkpoint is wrong. */
export class NoteError extends LogError<NoteErrorCode> {}
