/** JSON shapes of logs, heads and entries, spelt once for all routes. */
import { formatMicros } from '../../proofs/time.ts';
import { leafHash } from '../../tree/hash.ts';
import type { StoredEntry } from '../entry.ts';
import type { Log, Published } from '../log.ts';

/** Base64 by Node, which is several times as fast as the portable one in tree/bytes.ts. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

export function renderProof(proof: readonly Uint8Array[]): string[] {
  return proof.map(base64);
}

export function renderLog({ definition, published }: Log): Record<string, unknown> {
  const { name, kind, origin, verifierKey, publicReads, idPointer, status, frozenAt, deletedAt } = definition;
  return {
    name,
    kind,
    origin,
    verifier_key: verifierKey,
    verifier_keys: [verifierKey],
    tree_size: published.treeSize,
    root_hash: base64(published.rootHash),
    public_reads: publicReads,
    id_pointer: idPointer,
    status,
    frozen_at: frozenAt,
    deleted_at: deletedAt,
  };
}

export function renderHead(
  origin: string,
  { treeSize, rootHash, time, checkpoint, signature }: Published,
): Record<string, unknown> {
  return {
    origin,
    tree_size: treeSize,
    root_hash: base64(rootHash),
    timestamp: time,
    checkpoint,
    signature: signature === undefined ? null : base64(signature),
  };
}

/**
 * An entry as JSON text without its closing brace, the committed text of the event inserted as it is. For a line of NDJSON
 * (`oneLine`) line ends in it become spaces; in valid JSON they can stand between tokens only, and event_base64 is what counts.
 */
export function renderEntry(entry: StoredEntry, treeSize: number, oneLine: boolean): string {
  const bytes = Buffer.from(entry.event.buffer, entry.event.byteOffset, entry.event.byteLength);
  const text = bytes.toString('utf8');
  const event = oneLine ? text.replaceAll(/[\r\n]/g, ' ') : text;
  return (
    `{"leaf_index":${entry.leafIndex},"received_at":"${formatMicros(entry.receivedAt)}","event":${event},` +
    `"event_base64":"${bytes.toString('base64')}","header_base64":"${base64(entry.header)}","salt":"${base64(entry.salt)}",` +
    `"leaf":"${base64(entry.leaf)}","leaf_hash":"${base64(leafHash(entry.leaf))}","tree_size":${treeSize}`
  );
}
