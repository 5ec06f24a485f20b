/** Which ids are in use already, and by which entries: read before a group is built, in a few large reads. */
import type { StoredEntry } from './entry.ts';
import { ServerError } from './errors.ts';
import { eventId, type Pointer } from './ingest/event-id.ts';
import type { Log } from './log.ts';
import { parseIdRow } from './storage/rows.ts';
import type { Store } from './storage/store.ts';

/** An id that somebody wants to use. */
export interface WantedId {
  readonly log: Log;
  /** Key of its row. */
  readonly key: string;
  readonly pointer: Pointer;
  /** JCS text. */
  readonly id: string;
}

export interface UsedIdSources {
  readonly store: Store;
  /** Reads verified entries; what is damaged comes as an error in its place. */
  readonly readEntries: (log: Log, leafIndexes: readonly number[]) => Promise<(StoredEntry | ServerError)[]>;
  /** An id row is not what it should be. */
  readonly onDamage?: (message: string) => void;
}

/** What was found, by key of the id row. A damaged one concerns only who asks for it. */
export interface UsedIds {
  readonly stored: ReadonlyMap<string, StoredEntry>;
  readonly damaged: ReadonlyMap<string, ServerError>;
}

/** Entries that are read in one go. */
const STEP = 256;

/** The entries that use these ids already, each checked: the entry against the tree, and its id against the row. */
export async function readUsedIds(
  { store, readEntries, onDamage }: UsedIdSources,
  ids: readonly WantedId[],
): Promise<UsedIds> {
  const stored = new Map<string, StoredEntry>();
  const damaged = new Map<string, ServerError>();
  const wanted = new Map(ids.map((id) => [id.key, id]));
  if (wanted.size === 0) return { stored, damaged };
  const rows = await store.getMany([...wanted.keys()]);
  const used = new Map<Log, { readonly key: string; readonly leafIndex: number }[]>();
  const fail = (key: string, message: string): void => {
    onDamage?.(message);
    damaged.set(key, new ServerError('damaged', message));
  };
  for (const [i, [key, { log }]] of [...wanted].entries()) {
    const row = rows[i];
    if (row === undefined) continue;
    const leafIndex = indexInRow(row);
    if (leafIndex === undefined || leafIndex >= log.state.treeSize)
      fail(key, `log ${log.name}: the id row ${key} is damaged`);
    else listOf(used, log).push({ key, leafIndex });
  }
  for (const [log, uses] of used) {
    // In steps, so that others get their turn while a large batch is repeated.
    for (let at = 0; at < uses.length; at += STEP) {
      const step = uses.slice(at, at + STEP);
      const entries = await readEntries(
        log,
        step.map(({ leafIndex }) => leafIndex),
      );
      for (const [i, { key, leafIndex }] of step.entries()) {
        const entry = entries[i] as StoredEntry | ServerError;
        const { pointer, id } = wanted.get(key) as WantedId;
        if (entry instanceof ServerError) damaged.set(key, entry);
        else if (hasId(entry, pointer, id)) stored.set(key, entry);
        else fail(key, `log ${log.name}: the id row ${key} points to entry ${leafIndex}, which has another id`);
      }
    }
  }
  return { stored, damaged };
}

function listOf<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

function indexInRow(row: Uint8Array): number | undefined {
  try {
    return parseIdRow(row).leafIndex;
  } catch {
    return undefined;
  }
}

function hasId({ event }: StoredEntry, pointer: Pointer, id: string): boolean {
  try {
    const found = eventId(event, pointer);
    return found.kind === 'id' && found.jcs === id;
  } catch {
    return false;
  }
}
