/**
 * Signatures of tree heads as RFC 6962 has them, with Ed25519: what `get-sth` calls tree_head_signature.
 *
 * Signed are 50 bytes (§3.5): version 0x00 ‖ signature type 0x01 ‖ u64 timestamp in ms ‖ u64 tree size ‖ root hash.
 * The signature is a TLS `digitally-signed`: u8 hash ‖ u8 signature algorithm ‖ u16 length ‖ signature (RFC 5246 §4.7). The RFC
 * knows no Ed25519; 08 07 is the code point of TLS for it (RFC 8446 §4.2.3), which RFC 9162 registers too.
 *
 * The same key signs checkpoints. Neither can pass for the other: the text of a checkpoint never begins with a byte below 0x20.
 */
import { concatBytes, equalBytes, u64 } from '../tree/bytes.ts';
import { HASH_SIZE } from '../tree/hash.ts';
import type { TreeHead } from './checkpoint.ts';
import { SIGNATURE_SIZE } from './ed25519.ts';
import { NoteError } from './error.ts';
import { ALGORITHM_ED25519, type NoteSigner, type VerifierKey, type Verify, verifyByCore } from './key.ts';

/** A tree head at a moment: milliseconds since the Unix epoch. */
export interface TimedTreeHead extends TreeHead {
  readonly timestamp: number;
}

/** intrinsic hash, ed25519, 64 bytes follow. */
const PREFIX = Uint8Array.of(0x08, 0x07, 0x00, SIGNATURE_SIZE);

/** Bytes in a tree head signature. */
export const TREE_HEAD_SIGNATURE_SIZE: number = PREFIX.length + SIGNATURE_SIZE;

/** The 50 bytes that are signed. Throws a RangeError on a number that is not an integer from 0 to 2^53 - 1, or another root length. */
export function treeHeadMessage({ timestamp, treeSize, rootHash }: TimedTreeHead): Uint8Array {
  if (rootHash.length !== HASH_SIZE) throw new RangeError(`a root hash has ${HASH_SIZE} bytes, not ${rootHash.length}`);
  return concatBytes(Uint8Array.of(0x00, 0x01), u64(timestamp), u64(treeSize), rootHash);
}

/** The 68 bytes of a tree head signature; the same head, time and key always give the same ones. Throws NoteError `unknown_algorithm`. */
export function signTreeHead(head: TimedTreeHead, signer: NoteSigner): Uint8Array {
  checkAlgorithm(signer.verifierKey);
  return concatBytes(PREFIX, signer.sign(treeHeadMessage(head)));
}

/**
 * Verifies a tree head signature by the log's key. Throws NoteError: `unknown_algorithm` for a signature or a key that is not plain
 * Ed25519, `invalid_signature` for everything else that is wrong.
 */
export function verifyTreeHeadSignature(
  signature: Uint8Array,
  head: TimedTreeHead,
  key: VerifierKey,
  verify: Verify = verifyByCore,
): void {
  checkAlgorithm(key);
  if (signature.length < 2 || !equalBytes(signature.subarray(0, 2), PREFIX.subarray(0, 2)))
    throw new NoteError('unknown_algorithm', 'the tree head signature is not one of Ed25519 (08 07)');
  const framed =
    signature.length === TREE_HEAD_SIGNATURE_SIZE && equalBytes(signature.subarray(0, PREFIX.length), PREFIX);
  if (!framed || !verify(key, treeHeadMessage(head), signature.subarray(PREFIX.length)))
    throw new NoteError('invalid_signature', 'the tree head signature is not by the key of the log');
}

function checkAlgorithm({ algorithm }: VerifierKey): void {
  if (algorithm !== ALGORITHM_ED25519)
    throw new NoteError('unknown_algorithm', 'tree heads are signed by keys of plain Ed25519 only');
}
