/**
 * One request to append events: which of them are new, which have been logged before under the same id, and which contradict what
 * was. Decided for the whole request before anything of it is put into the group's transaction.
 */
import { encodeHeader } from '../proofs/leaf.ts';
import { equalBytes } from '../tree/bytes.ts';
import { asLeafHash, type LeafHash } from '../tree/hash.ts';
import { hashInTile } from '../tree/tiles.ts';
import { appendEntry, freshSalts, type StoredEntry } from './entry.ts';
import { ServerError } from './errors.ts';
import { type Answer, type Group, receivedAtIn } from './group.ts';
import type { Pointer } from './ingest/event-id.ts';
import type { Log } from './log.ts';
import { encodeIdRow } from './storage/rows.ts';
import { sameContents, type WantedId } from './used-ids.ts';
import { eventIdOf, requestIdOf } from './wanted-ids.ts';

/** What makes a request exactly-once: an id in each event, or one key for all of it. */
export type ExactlyOnce =
  | { readonly kind: 'pointer'; readonly pointer: Pointer }
  | { readonly kind: 'key'; readonly idempotencyKey: string };

/** One request to append to an events log: all of its events or none. */
export interface AppendRequest {
  readonly log: Log;
  /** Events that passed `checkEvent`, with the JCS text of the id of those that have one under the pointer. */
  readonly events: readonly { readonly event: Uint8Array; readonly id: string | undefined }[];
  /** ID of the API key. */
  readonly by: string;
  /** Source name of the API key: the name space of ids. */
  readonly source: string;
  readonly via: string;
  readonly once: ExactlyOnce | undefined;
}

/** What became of one event. */
export interface Appended extends StoredEntry {
  readonly leafHash: LeafHash | undefined;
  /** The same event had been logged under the same id before; this is where. */
  readonly replayed: boolean;
}

/** An event whose id another event has. */
export interface Conflict {
  readonly code: 'id_conflict';
  /** Its place in the request, from 0. */
  readonly position: number;
  readonly message: string;
  /** Where the other one is; `undefined` if that is in the same request. */
  readonly leafIndex: number | undefined;
}

/** A request was refused because of these, one or more. */
export class ConflictError extends ServerError {
  readonly conflicts: readonly Conflict[];

  constructor(conflicts: readonly Conflict[]) {
    const { message, leafIndex } = conflicts[0] as Conflict;
    super('id_conflict', message, leafIndex === undefined ? {} : { details: { leaf_index: leafIndex } });
    this.conflicts = conflicts;
  }
}

/** A request under an idempotency key that another request has. */
export function keyConflict(leafIndex: number): ServerError {
  return new ServerError('id_conflict', `another request with this Idempotency-Key begins at entry ${leafIndex}`, {
    details: { leaf_index: leafIndex },
  });
}

/** The ids that a request uses, by event; one for the whole request counts as that of its first event. */
export function wantedIds(request: AppendRequest): (WantedId | undefined)[] {
  const { log, events, source, once } = request;
  if (once === undefined) return events.map(() => undefined);
  if (once.kind === 'pointer')
    return events.map(({ event, id }) =>
      id === undefined ? undefined : eventIdOf(log, source, once.pointer, id, event, request),
    );
  const contents = events.map(({ event }) => event);
  return [requestIdOf(log, source, once.idempotencyKey, contents)];
}

/** How one event of a request is answered. */
type Resolution =
  | { readonly kind: 'new'; readonly key: string | undefined }
  | { readonly kind: 'replay'; readonly entry: StoredEntry }
  | { readonly kind: 'same-request'; readonly first: number }
  | { readonly kind: 'conflict' };

type Resolve = (appended: Appended[]) => void;
type Reject = (error: unknown) => void;

/** Builds a request into the group. Throws ServerError `log_frozen`, `clock_unsafe`, and has changed nothing then. */
export function buildAppend(
  request: AppendRequest,
  ids: readonly (WantedId | undefined)[],
  group: Group,
  resolve: Resolve,
  reject: Reject,
): Answer {
  return request.once?.kind === 'key'
    ? buildKeyed(request, request.once.idempotencyKey, ids[0] as WantedId, group, resolve, reject)
    : buildEach(request, ids, group, resolve, reject);
}

/**
 * Decides what becomes of each event before anything is changed: new, or a replay of one that is stored, in this group, or
 * earlier in the same request. The group is looked at before the store: two equal ids in one group are one entry.
 */
function buildEach(
  request: AppendRequest,
  ids: readonly (WantedId | undefined)[],
  group: Group,
  resolve: Resolve,
  reject: Reject,
): Answer {
  const { log, events, by, via, once } = request;
  const own = new Map<string, number>();
  const conflicts: Conflict[] = [];
  const conflict = (message: string, position: number, leafIndex?: number): Resolution => {
    conflicts.push({ code: 'id_conflict', position, message, leafIndex });
    return { kind: 'conflict' };
  };
  const resolutions = events.map(({ event }, i): Resolution => {
    const key = ids[i]?.key;
    if (key === undefined) return { kind: 'new', key };
    const first = own.get(key);
    if (first !== undefined) {
      return equalBytes(events[first]?.event as Uint8Array, event)
        ? { kind: 'same-request', first }
        : conflict('this request itself holds another event with the same id', i);
    }
    own.set(key, i);
    const used = group.fresh.get(key) ?? group.stored.get(key);
    if (used === undefined) return { kind: 'new', key };
    return sameContents(used, [event])
      ? { kind: 'replay', entry: used.entries[0] as StoredEntry }
      : conflict(`another event with this id is entry ${used.leafIndex}`, i, used.leafIndex);
  });
  // Answered with the group: if the first user of the id is in it, a conflict is one only once that entry is durable.
  if (conflicts.length > 0) return () => reject(new ConflictError(conflicts));

  const plain = encodeHeader({ by, via });
  const header = once?.kind === 'pointer' ? encodeHeader({ by, via, id_pointer: once.pointer.text }) : plain;
  const fresh = resolutions.filter(({ kind }) => kind === 'new').length;
  const receivedAt = fresh > 0 ? receivedAtIn(group, log) : 0;
  const salts = freshSalts(fresh).values();
  const entries: StoredEntry[] = [];
  for (const [i, { event }] of events.entries()) {
    const resolution = resolutions[i] as Resolution;
    if (resolution.kind === 'replay') {
      entries.push(resolution.entry);
    } else if (resolution.kind === 'same-request') {
      entries.push(entries[resolution.first] as StoredEntry);
    } else if (resolution.kind === 'new') {
      const { key } = resolution;
      const entry = appendEntry(group.transaction, log, {
        event,
        header: key === undefined ? plain : header,
        receivedAt,
        salt: salts.next().value as Uint8Array,
      });
      if (key !== undefined) useId(group, key, [entry]);
      entries.push(entry);
    }
  }
  const replayed = resolutions.map(({ kind }) => kind !== 'new');
  return answerWith(log, entries, (i) => replayed[i] === true, resolve);
}

/** A request under an idempotency key: all of its events are new, or all of them are what is stored under that key. */
function buildKeyed(
  { log, events, by, via }: AppendRequest,
  idempotencyKey: string,
  { key, contents }: WantedId,
  group: Group,
  resolve: Resolve,
  reject: Reject,
): Answer {
  const used = group.fresh.get(key) ?? group.stored.get(key);
  if (used !== undefined) {
    // Answered with the group, as above.
    if (!sameContents(used, contents)) return () => reject(keyConflict(used.leafIndex));
    return answerWith(log, used.entries, () => true, resolve);
  }
  const receivedAt = receivedAtIn(group, log);
  const salts = freshSalts(events.length);
  const entries = events.map(({ event }, n) => {
    const header = encodeHeader({ by, via, idempotency_key: idempotencyKey, n });
    return appendEntry(group.transaction, log, { event, header, receivedAt, salt: salts[n] as Uint8Array });
  });
  useId(group, key, entries);
  return answerWith(log, entries, () => false, resolve);
}

function useId(group: Group, key: string, entries: readonly StoredEntry[]): void {
  const { leafIndex } = entries[0] as StoredEntry;
  const count = entries.length;
  group.fresh.set(key, { leafIndex, count, entries, contents: entries.map(({ event }) => event) });
  group.transaction.put(key, encodeIdRow({ leafIndex, count }, group.transaction.slab));
}

function answerWith(
  log: Log,
  entries: readonly StoredEntry[],
  replayed: (i: number) => boolean,
  resolve: Resolve,
): Answer {
  const before = log.sequenced.treeSize;
  return (leafHashes) => {
    const hashes = leafHashes.get(log);
    // A replay has its place before those.
    const hashOf = ({ leafIndex }: StoredEntry): LeafHash | undefined =>
      hashes === undefined || leafIndex < before ? undefined : asLeafHash(hashInTile(hashes, leafIndex - before));
    resolve(
      // Spelt out: a spread of each entry took as long as its leaf hash.
      entries.map((entry, i) => {
        const { leafIndex, receivedAt, leaf, salt, header, event } = entry;
        return { leafIndex, receivedAt, leaf, salt, header, event, leafHash: hashOf(entry), replayed: replayed(i) };
      }),
    );
  };
}
