/** How a proven entry is printed. */
import type { ProvenEntry } from '../client/check-reply.ts';
import { formatKeyId, type VerifierKey } from '../proofs/key.ts';
import { formatMicros } from '../proofs/time.ts';
import { toBase64 } from '../tree/bytes.ts';

/** What was verified, for --json. Nothing else from the answer is in it. */
export function provenMembers(proven: ProvenEntry, key: VerifierKey): Record<string, unknown> {
  const { checkpoint } = proven;
  return {
    ok: true,
    leaf_index: proven.leafIndex,
    received_at: formatMicros(proven.receivedAt),
    event_base64: toBase64(proven.event),
    header_base64: toBase64(proven.header),
    salt: toBase64(proven.salt),
    leaf: toBase64(proven.leaf),
    leaf_hash: toBase64(proven.leafHash),
    origin: checkpoint.origin,
    verifier_key: key.text,
    tree_size: checkpoint.treeSize,
    root_hash: toBase64(checkpoint.rootHash),
  };
}

/** What was proven, in one line. */
export function provenLine({ leafIndex, receivedAt, event, checkpoint }: ProvenEntry, key: VerifierKey): string {
  return (
    `leaf index ${leafIndex}, ${event.length} bytes, received ${formatMicros(receivedAt)}, ` +
    `is in the tree of size ${checkpoint.treeSize} ${signedBy(key)}`
  );
}

export function signedBy({ name, keyId }: VerifierKey): string {
  return `signed by ${name}+${formatKeyId(keyId)}`;
}
