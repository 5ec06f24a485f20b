/**
 * The verifying half of the package, as `indelible/verify`: it judges bytes that are already here and asks nobody for more.
 *
 * ```ts
 * const proven = openEventReply(reply, parseVerifierKey('example.com/logs/main+81907c50+ATtq…'));
 * ```
 * Throws LogErrors with a stable `code` and returns only what it has verified. No network, no clock, no state; any browser, any runtime.
 */

export { type Checkpoint, openCheckpoint, type TreeHead } from '../proofs/checkpoint.ts';
export { verifyConsistency } from '../proofs/consistency.ts';
export { type EventEntry, verifyEntry } from '../proofs/entry.ts';
export { LogError, NoteError, type NoteErrorCode, ProofError, type ProofErrorCode } from '../proofs/error.ts';
export { type FraudProof, type ProvenFraud, parseFraudProof, verifyFraudProof } from '../proofs/fraud-proof.ts';
export { verifyInclusion } from '../proofs/inclusion.ts';
export { parseVerifierKey, type VerifierKey } from '../proofs/key.ts';
export { type EventHeader, parseHeader } from '../proofs/leaf.ts';
export { type Policy, parsePolicy } from '../proofs/policy.ts';
export { openRotation, type Rotation, type RotationClaim, verifyRotation } from '../proofs/rotation.ts';
export { formatMicros, parseMicros } from '../proofs/time.ts';
export { parseTlogProof, type TlogProof } from '../proofs/tlog-proof.ts';
export { type TimedTreeHead, verifyTreeHeadSignature } from '../proofs/tree-head-signature.ts';
export { type Cosigned, openWitnessed, type WitnessedCheckpoint } from '../proofs/witnessed.ts';
export { decodeBundle } from '../tree/bundles.ts';
export { fromBase64, toBase64 } from '../tree/bytes.ts';
export { asLeafHash, asTreeHash, type LeafHash, leafHash, type NodeHash, type TreeHash } from '../tree/hash.ts';
export { type LoggedEntry, openEventReply, openTlogProof, type ProvenEntry } from './check-reply.ts';
export { ClientError, type ClientErrorCode, type HeadPair, type Problem } from './error.ts';
