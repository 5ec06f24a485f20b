/** JSON shapes of logs, heads and entries, spelt once for all routes. */
import { formatMicros } from '../../proofs/time.ts';
import { HASH_SIZE, leafHash } from '../../tree/hash.ts';
import type { StoredEntry } from '../entry.ts';
import type { Log, Published } from '../log.ts';

/** Base64 by Node, which is several times as fast as the portable one in tree/bytes.ts. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

export function renderProof(proof: readonly Uint8Array[]): string[] {
  return proof.map(base64);
}

/** Base64 of 32 bytes, of which 33 with a zero at the end have all but the last character in common. */
const HASH_LENGTH = 44;

/** Values of 32 bytes in base64. All of them in one call: one each is a quarter of what a proof costs. */
export function base64Each(values: readonly Uint8Array[]): string[] {
  const padded = Buffer.alloc(values.length * (HASH_SIZE + 1));
  for (let i = 0; i < values.length; i++) padded.set(values[i] as Uint8Array, i * (HASH_SIZE + 1));
  const all = padded.toString('base64');
  return values.map((_, i) => `${all.slice(i * HASH_LENGTH, (i + 1) * HASH_LENGTH - 1)}=`);
}

/** Hashes as a JSON array of base64 texts. */
export function hashesText(hashes: readonly Uint8Array[]): string {
  return hashes.length === 0 ? '[]' : `["${base64Each(hashes).join('","')}"]`;
}

/**
 * A text as JSON in ASCII, kept as one byte a character: the dash before each signature of a checkpoint would make all of a reply UTF-8, and
 * two bytes a character, and cost 4 of 25 µs.
 */
export function asciiText(text: string): string {
  const escaped = JSON.stringify(text).replaceAll(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return Buffer.from(escaped, 'latin1').toString('latin1');
}

const heads = new WeakMap<Published, { readonly rootHash: string; readonly checkpoint: string }>();

/** Root hash and checkpoint of a head as JSON texts, made once for all replies that show it. */
export function headTexts(head: Published): { readonly rootHash: string; readonly checkpoint: string } {
  let texts = heads.get(head);
  if (texts === undefined) {
    texts = { rootHash: `"${base64(head.rootHash)}"`, checkpoint: asciiText(head.checkpoint) };
    heads.set(head, texts);
  }
  return texts;
}

export function renderLog({ definition, published, keys }: Log): Record<string, unknown> {
  const { name, kind, origin, verifierKey, publicReads, idPointer, status, frozenAt, deletedAt } = definition;
  return {
    name,
    kind,
    origin,
    verifier_key: verifierKey,
    // Both of them while a rotation runs.
    verifier_keys: keys.next === undefined ? [verifierKey] : [verifierKey, keys.next.verifierKey.text],
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
