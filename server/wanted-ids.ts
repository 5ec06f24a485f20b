/**
 * The two kinds of ids that make an append exactly-once, as keys of id rows (docs/design.md, Ids): the id that an event holds under a JSON
 * pointer, and the idempotency key of a request. The row's key is the digest, under the log's id key, of the JCS text of
 * [kind, source, pointer, id]; the source is the name of the API key, never anything from the request.
 */
import canonicalize from 'canonicalize';
import { parseHeader } from '../proofs/leaf.ts';
import type { StoredEntry } from './entry.ts';
import { eventId, type Pointer } from './ingest/event-id.ts';
import type { Log } from './log.ts';
import { idKey } from './storage/keys.ts';
import type { WantedId } from './used-ids.ts';

/** The id of one event; `id` is its JCS text, `asker` stands for the request. */
export function eventIdOf(
  log: Log,
  source: string,
  pointer: Pointer,
  id: string,
  event: Uint8Array,
  asker: object,
): WantedId {
  return {
    log,
    key: rowKey(log, 'pointer', source, pointer.text, id),
    contents: [event],
    fits: ({ count }) => count === 1,
    isUse: (entry) => hasId(entry, pointer, id),
    asker,
  };
}

/** The idempotency key of a request that brings these events or leaves. */
export function requestIdOf(
  log: Log,
  source: string,
  idempotencyKey: string,
  contents: readonly Uint8Array[],
): WantedId {
  return {
    log,
    key: rowKey(log, 'key', source, '', JSON.stringify(idempotencyKey)),
    contents,
    fits: () => true,
    isUse: ({ header }, n) => {
      const stated = parseHeader(header);
      return stated.idempotency_key === idempotencyKey && stated.n === n;
    },
    asker: contents,
  };
}

/** Key of the id row of an id, given as JCS text; pointer is "" for kind key. */
export function rowKey(
  log: Pick<Log, 'name' | 'idDigest'>,
  kind: 'pointer' | 'key',
  source: string,
  pointer: string,
  id: string,
): string {
  const name = `["${kind}",${canonicalize(source)},${canonicalize(pointer)},${id}]`;
  return idKey(log.name, log.idDigest(name));
}

function hasId({ event }: StoredEntry, pointer: Pointer, id: string): boolean {
  try {
    const found = eventId(event, pointer);
    return found.kind === 'id' && found.jcs === id;
  } catch {
    return false;
  }
}
