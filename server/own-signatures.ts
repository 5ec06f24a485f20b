/**
 * Verifying what a log of ours has signed, by OpenSSL: its rule is the one of proofs/ed25519.ts, and it takes 120 µs where JavaScript takes
 * 1.6 ms. A log has many heads, and a server many logs. Whatever OpenSSL refuses is judged again by the core, which says what is wrong.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { openCheckpoint, parseCheckpoint, type TreeHead } from '../proofs/checkpoint.ts';
import { ALGORITHM_ED25519, formatKeyId, type VerifierKey } from '../proofs/key.ts';
import {
  type TimedTreeHead,
  TREE_HEAD_SIGNATURE_PREFIX,
  TREE_HEAD_SIGNATURE_SIZE,
  treeHeadMessage,
  verifyTreeHeadSignature,
} from '../proofs/tree-head-signature.ts';
import { equalBytes, fromBase64, toHex, utf8 } from '../tree/bytes.ts';

/** The head of a checkpoint that the key has signed. Throws what `openCheckpoint` throws. */
export function openOwnCheckpoint(note: string, key: VerifierKey): TreeHead {
  return openByOpenssl(note, key) ?? openCheckpoint(note, key);
}

/** Throws what `verifyTreeHeadSignature` throws. */
export function checkTreeHeadSignature(signature: Uint8Array, head: TimedTreeHead, key: VerifierKey): void {
  const prefix = TREE_HEAD_SIGNATURE_PREFIX;
  const framed =
    signature.length === TREE_HEAD_SIGNATURE_SIZE && equalBytes(signature.subarray(0, prefix.length), prefix);
  if (framed && isSignedBy(key, treeHeadMessage(head), signature.subarray(prefix.length))) return;
  verifyTreeHeadSignature(signature, head, key);
}

/** A checkpoint with exactly one signature, by this key; `undefined` for everything else. */
function openByOpenssl(note: string, key: VerifierKey): TreeHead | undefined {
  const prefix = `— ${key.name} `;
  const end = note.lastIndexOf('\n\n');
  const line = note.slice(end + 2, -1);
  if (end < 0 || !line.startsWith(prefix) || line.includes('\n')) return undefined;
  try {
    const text = note.slice(0, end + 1);
    const blob = fromBase64(line.slice(prefix.length));
    if (blob.length !== 68 || toHex(blob.subarray(0, 4)) !== formatKeyId(key.keyId)) return undefined;
    if (!isSignedBy(key, utf8(text), blob.subarray(4))) return undefined;
    const body = parseCheckpoint(text);
    return body.origin === key.name && `${note.slice(0, end + 2)}${line}\n` === note ? body : undefined;
  } catch {
    return undefined;
  }
}

const keys = new WeakMap<VerifierKey, KeyObject>();

function isSignedBy(key: VerifierKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (key.algorithm !== ALGORITHM_ED25519) return false;
  let publicKey = keys.get(key);
  if (publicKey === undefined) {
    const x = Buffer.from(key.publicKey).toString('base64url');
    // As a JWK (RFC 8037) a key is read in 9 µs, as DER in 107.
    publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    keys.set(key, publicKey);
  }
  return verify(null, message, publicKey, signature);
}
