/**
 * One request to append: which of its events are new, which have been logged before under the same id, and which contradict what
 * was. Decided for the whole request before anything of it is put into the group's transaction.
 */
import canonicalize from 'canonicalize';
import { encodeHeader } from '../proofs/leaf.ts';
import { equalBytes } from '../tree/bytes.ts';
import type { LeafHash } from '../tree/hash.ts';
import type { Transaction } from './committer.ts';
import { appendEntry, type StoredEntry } from './entry.ts';
import { ServerError } from './errors.ts';
import type { Pointer } from './ingest/event-id.ts';
import type { Log } from './log.ts';
import { idKey } from './storage/keys.ts';
import { encodeIdRow } from './storage/rows.ts';
import type { WantedId } from './used-ids.ts';

/** One request to append to an events log: all of its events or none. */
export interface AppendRequest {
  readonly log: Log;
  /** Events that passed `checkEvent`, with the JCS text of the id of those that have one. */
  readonly events: readonly { readonly event: Uint8Array; readonly id: string | undefined }[];
  /** ID of the API key. */
  readonly by: string;
  /** Source name of the API key: the name space of ids. */
  readonly source: string;
  readonly via: string;
  readonly pointer: Pointer | undefined;
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

/** What the jobs of one group share. */
export interface Group {
  readonly transaction: Transaction;
  /** Time for entries of this group in microseconds; `undefined` while the clock is unsafe. */
  readonly now: number | undefined;
  /** Entries that use an id already, by key of the id row. */
  readonly stored: ReadonlyMap<string, StoredEntry>;
  /** Ids that this group itself uses for the first time. */
  readonly fresh: Map<string, StoredEntry>;
}

/** Answers a job once its group is durable, given the leaf hashes of what was appended, by log. */
export type Answer = (leafHashes: ReadonlyMap<string, readonly LeafHash[]>) => void;

/** The id of each event of the request, `undefined` where there is none. */
export function wantedIds({ log, events, source, pointer }: AppendRequest): (WantedId | undefined)[] {
  if (pointer === undefined) return events.map(() => undefined);
  // JCS of [kind, source, pointer, id], under the log's id key (DESIGN §3).
  const names = `["pointer",${canonicalize(source)},${canonicalize(pointer.text)}`;
  return events.map(({ id }) =>
    id === undefined ? undefined : { log, key: idKey(log.name, log.idDigest(`${names},${id}]`)), pointer, id },
  );
}

/** How one event of a request is answered. */
type Resolution =
  | { readonly kind: 'new'; readonly key: string | undefined }
  | { readonly kind: 'replay'; readonly entry: StoredEntry }
  | { readonly kind: 'same-request'; readonly first: number }
  | { readonly kind: 'conflict' };

/**
 * Decides what becomes of each event before anything is changed: new, or a replay of one that is stored, in this group, or
 * earlier in the same request. The group is looked at before the store: two equal ids in one group are one entry.
 */
export function buildAppend(
  request: AppendRequest,
  ids: readonly (WantedId | undefined)[],
  group: Group,
  resolve: (appended: Appended[]) => void,
  reject: (error: unknown) => void,
): Answer {
  const { log, events, by, via, pointer } = request;
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
    return equalBytes(used.event, event)
      ? { kind: 'replay', entry: used }
      : conflict(`another event with this id is entry ${used.leafIndex}`, i, used.leafIndex);
  });
  // Answered with the group: if the first user of the id is in it, a conflict is one only once that entry is durable.
  if (conflicts.length > 0) return () => reject(new ConflictError(conflicts));

  const header = encodeHeader({ by, via, ...(pointer === undefined ? {} : { id_pointer: pointer.text }) });
  const plain = pointer === undefined ? header : encodeHeader({ by, via });
  const isNew = resolutions.some(({ kind }) => kind === 'new');
  const receivedAt = isNew ? timeOf(group, log) : 0;
  const before = log.state.treeSize;
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
      });
      if (key !== undefined) {
        group.fresh.set(key, entry);
        group.transaction.put(key, encodeIdRow({ leafIndex: entry.leafIndex, count: 1 }));
      }
      entries.push(entry);
    }
  }
  return (leafHashes) => {
    const hashes = leafHashes.get(log.name) ?? [];
    resolve(
      entries.map((entry, i) => ({
        ...entry,
        leafHash: hashes[entry.leafIndex - before],
        replayed: resolutions[i]?.kind !== 'new',
      })),
    );
  };
}

/** Puts the leaves of a raw log into the group's transaction, as they are. Returns the index of the first; the others follow it. */
export function buildRawAppend(log: Log, leaves: readonly Uint8Array[], group: Group): number {
  const receivedAt = timeOf(group, log);
  const first = log.state.treeSize + (group.transaction.touched.get(log.name)?.leaves.length ?? 0);
  // Copies: leaves stay in memory until their bundle is full, and a view would keep the whole request with them.
  for (const leaf of leaves) group.transaction.append(log, leaf.slice(), receivedAt);
  return first;
}

/** receivedAt for what the group appends to a log. Throws ServerError `clock_unsafe`. */
function timeOf({ now, transaction }: Group, log: Log): number {
  if (now === undefined) {
    throw new ServerError(
      'clock_unsafe',
      'the clock of the server jumped too far; nothing is appended until that is settled',
    );
  }
  return Math.max(now, transaction.lastReceivedAt(log));
}
