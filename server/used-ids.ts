/** Which ids are in use already, and by which entries: read before a group is built, in a few large reads. */
import { equalBytes } from '../tree/bytes.ts';
import type { StoredEntry } from './entry.ts';
import { ServerError } from './errors.ts';
import type { Log } from './log.ts';
import { type IdRow, parseIdRow } from './storage/rows.ts';
import type { Store } from './storage/store.ts';

/** An id that somebody wants to use. */
export interface WantedId {
  readonly log: Log;
  /** Key of its row. */
  readonly key: string;
  /** Entries that the request brings under it: 1 for the id of an event, all of the request for an idempotency key. */
  readonly count: number;
  /** Whether such a row can be: an event's id is that of one entry. */
  readonly fits: (row: IdRow) => boolean;
  /** Whether an entry of an events log is number `n` of those that use this id, as its own bytes say. */
  readonly isUse: (entry: StoredEntry, n: number) => boolean;
}

/** What uses an id. */
export interface IdUse extends IdRow {
  /** Its events, or its leaves in a raw log. Not all of them where their number is not the one that was asked for. */
  readonly contents: readonly Uint8Array[];
  /** Its entries, likewise; none in a raw log. */
  readonly entries: readonly StoredEntry[];
}

/** Whether a request brings what is stored under its id, number included. */
export function sameContents({ count, contents }: IdUse, brought: readonly Uint8Array[]): boolean {
  return (
    count === brought.length && brought.every((bytes, i) => contents[i] !== undefined && equalBytes(bytes, contents[i]))
  );
}

export interface UsedIdSources {
  readonly store: Store;
  /** Reads verified entries of an events log; what is damaged comes as an error in its place. */
  readonly readEntries: (log: Log, leafIndexes: readonly number[]) => Promise<(StoredEntry | ServerError)[]>;
  /** Reads verified leaves. Rejects with ServerError `damaged`. */
  readonly readLeaves: (log: Log, from: number, to: number) => Promise<Uint8Array[]>;
  /** An id row is not what it should be. */
  readonly onDamage?: (message: string) => void;
}

/** What was found, by key of the id row. A damaged one concerns only who asks for it. */
export interface UsedIds {
  readonly stored: ReadonlyMap<string, IdUse>;
  readonly damaged: ReadonlyMap<string, ServerError>;
}

/** Entries that are read in one go. */
const STEP = 256;

interface Hit {
  readonly id: WantedId;
  readonly row: IdRow;
}

/** What uses these ids already, each checked: entries against the tree, and their ids against the rows. */
export async function readUsedIds(sources: UsedIdSources, ids: readonly WantedId[]): Promise<UsedIds> {
  const stored = new Map<string, IdUse>();
  const damaged = new Map<string, ServerError>();
  const wanted = [...new Map(ids.map((id) => [id.key, id])).values()];
  if (wanted.length === 0) return { stored, damaged };
  const hits = new Map<Log, Hit[]>();
  const fail = (key: string, message: string): void => {
    sources.onDamage?.(message);
    damaged.set(key, new ServerError('damaged', message));
  };
  const rows = await sources.store.getMany(wanted.map(({ key }) => key));
  for (const [i, id] of wanted.entries()) {
    const bytes = rows[i];
    if (bytes === undefined) continue;
    const { log, key } = id;
    const row = readRow(bytes);
    const { treeSize } = log.state;
    if (row === undefined || row.count === 0 || row.leafIndex + row.count > treeSize || !id.fits(row))
      fail(key, `log ${log.name}: the id row ${key} is damaged`);
    else listOf(hits, log).push({ id, row });
  }
  for (const [log, found] of hits) {
    if (log.definition.kind === 'raw') await readRawUses(sources, found, stored, damaged);
    else await readEventUses(sources, log, found, { stored, damaged, fail });
  }
  return { stored, damaged };
}

/** The leaves of a raw log do not say by which id they came: what a row says is taken as it is. */
async function readRawUses(
  { readLeaves }: UsedIdSources,
  hits: readonly Hit[],
  stored: Map<string, IdUse>,
  damaged: Map<string, ServerError>,
): Promise<void> {
  for (const { id, row } of hits) {
    const { log, key, count } = id;
    try {
      const contents = row.count === count ? await readLeaves(log, row.leafIndex, row.leafIndex + count) : [];
      stored.set(key, { ...row, contents, entries: [] });
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      damaged.set(key, error);
    }
  }
}

async function readEventUses(
  { readEntries }: UsedIdSources,
  log: Log,
  hits: readonly Hit[],
  {
    stored,
    damaged,
    fail,
  }: {
    readonly stored: Map<string, IdUse>;
    readonly damaged: Map<string, ServerError>;
    readonly fail: (key: string, message: string) => void;
  },
): Promise<void> {
  const uses = hits.map(({ id, row }) => ({ id, row, entries: [] as StoredEntry[] }));
  // Of another number of entries the first is enough: that it differs is known already.
  const reads = uses.flatMap((use) => {
    const count = use.row.count === use.id.count ? use.row.count : 1;
    return Array.from({ length: count }, (_, n) => ({ use, n }));
  });
  // In steps, so that others get their turn while a large batch is repeated.
  for (let at = 0; at < reads.length; at += STEP) {
    const step = reads.slice(at, at + STEP);
    const entries = await readEntries(
      log,
      step.map(({ use, n }) => use.row.leafIndex + n),
    );
    for (const [i, { use, n }] of step.entries()) {
      const entry = entries[i] as StoredEntry | ServerError;
      const { key } = use.id;
      if (entry instanceof ServerError) damaged.set(key, entry);
      else if (use.id.isUse(entry, n)) use.entries.push(entry);
      else fail(key, `log ${log.name}: the id row ${key} points to entry ${entry.leafIndex}, which has another id`);
    }
  }
  for (const { id, row, entries } of uses) {
    if (damaged.has(id.key)) continue;
    stored.set(id.key, { ...row, entries, contents: entries.map(({ event }) => event) });
  }
}

function listOf<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

function readRow(bytes: Uint8Array): IdRow | undefined {
  try {
    return parseIdRow(bytes);
  } catch {
    return undefined;
  }
}
