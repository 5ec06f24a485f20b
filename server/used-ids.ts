/** Which ids are in use already, and by which entries: read before a group is built, in a few large reads. */
import { equalBytes } from '../tree/bytes.ts';
import { type LeafHash, leafHash } from '../tree/hash.ts';
import type { StoredEntry } from './entry.ts';
import { ServerError } from './errors.ts';
import type { Log } from './log.ts';
import { type IdRow, parseIdRow } from './storage/rows.ts';
import type { Store } from './storage/store.ts';
import { getEach } from './watched-store.ts';

/** An id that somebody wants to use. */
export interface WantedId {
  readonly log: Log;
  /** Key of its row. */
  readonly key: string;
  /** What the request brings under it: the one event with that id, or all events or leaves of a request with an idempotency key. */
  readonly contents: readonly Uint8Array[];
  /** Whether such a row can be: an event's id is that of one entry. */
  readonly fits: (row: IdRow) => boolean;
  /** Whether an entry of an events log is number `n` of those that use this id, as its own bytes say. */
  readonly isUse: (entry: StoredEntry, n: number) => boolean;
  /** The request that it is of: one and the same object for all its ids. */
  readonly asker: object;
}

/** What uses an id. */
export interface IdUse extends IdRow {
  /**
   * Its events, or its leaves in a raw log, up to the first that nobody brings: what is compared with nothing is not kept, or small
   * requests could fill the memory with what large ones stored.
   */
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
  /** Reads verified leaf hashes. Rejects with ServerError `damaged`. */
  readonly readLeafHashes: (log: Log, from: number, to: number) => Promise<LeafHash[]>;
  /** An id row is not what it should be. */
  readonly onDamage?: (message: string) => void;
}

/** What was found, by key of the id row. A damaged one concerns only who asks for it. */
export interface UsedIds {
  readonly stored: ReadonlyMap<string, IdUse>;
  readonly damaged: ReadonlyMap<string, ServerError>;
}

/** Entries that are read in one go; of the largest events they take 64 MiB. */
const STEP = 64;
/**
 * So many ids of a request that other events have say enough: it is refused, and the others are not looked at. A batch of some kilobytes can bring
 * the ids of gigabytes of events, and all appends wait while these are read.
 */
const ENOUGH_CONFLICTS = 64;

interface Hit {
  readonly log: Log;
  readonly key: string;
  readonly row: IdRow;
  readonly isUse: WantedId['isUse'];
  /** Who asks. Requests of another number of entries than it has contradict it without a look. */
  readonly wanted: readonly WantedId[];
}

/** What is brought under an id by requests of as many entries as it has. */
function broughtUnder({ row, wanted }: Hit): (readonly Uint8Array[])[] {
  return wanted.map(({ contents }) => contents).filter(({ length }) => length === row.count);
}

interface Found {
  readonly stored: Map<string, IdUse>;
  readonly damaged: Map<string, ServerError>;
  readonly fail: (key: string, message: string) => void;
}

/** What uses these ids already, each checked: entries against the tree, and their ids against the rows. */
export async function readUsedIds(sources: UsedIdSources, ids: readonly WantedId[]): Promise<UsedIds> {
  const stored = new Map<string, IdUse>();
  const damaged = new Map<string, ServerError>();
  // Several requests can bring different things under one id.
  const wanted = new Map<string, WantedId[]>();
  for (const id of ids) listOf(wanted, id.key).push(id);
  if (wanted.size === 0) return { stored, damaged };
  const hits = new Map<Log, Hit[]>();
  const fail = (key: string, message: string): void => {
    sources.onDamage?.(message);
    damaged.set(key, new ServerError('damaged', message));
  };
  // Read in the order of keys: neighbours stand in one table, and one that is not open is opened at each look-up that comes back to it (measured
  // at 2 M ids, batches of 1,000: an event took 72 µs in the order of arrival, and takes 52).
  const keys = [...wanted.keys()].sort();
  const rows = await getEach(sources.store, keys);
  const rowOf = new Map(keys.map((key, i) => [key, rows[i]]));
  for (const [key, same] of wanted) {
    const bytes = rowOf.get(key);
    const { log, fits, isUse } = same[0] as WantedId;
    // What is left of a deleted log says nothing: its entries are being removed, and nothing joins them.
    if (bytes === undefined || log.definition.status === 'deleted') continue;
    if (bytes instanceof ServerError) {
      damaged.set(key, bytes);
      continue;
    }
    const row = readRow(bytes);
    const { treeSize } = log.sequenced;
    if (row === undefined || row.count === 0 || row.leafIndex + row.count > treeSize || !fits(row)) {
      fail(key, `log ${log.name}: the id row ${key} is damaged`);
      continue;
    }
    listOf(hits, log).push({ log, key, row, isUse, wanted: same });
  }
  const found = { stored, damaged, fail };
  for (const [log, ofLog] of hits) {
    if (log.definition.kind === 'raw') await readRawUses(sources, ofLog, found);
    else await readEventUses(sources, log, ofLog, found);
  }
  return { stored, damaged };
}

/**
 * The leaves of a raw log do not say by which id they came: what a row says is taken as it is. Their hashes say whether they are
 * what is brought; the leaves themselves, of which 256 can take 16 MiB, need not be read.
 */
async function readRawUses(
  { readLeafHashes }: UsedIdSources,
  hits: readonly Hit[],
  { stored, damaged }: Found,
): Promise<void> {
  for (const hit of hits) {
    const { log, key, row } = hit;
    const brought = broughtUnder(hit);
    try {
      const hashes = brought.length === 0 ? [] : await readLeafHashes(log, row.leafIndex, row.leafIndex + row.count);
      const contents: Uint8Array[] = [];
      for (const [n, hash] of hashes.entries()) {
        const same = brought.find((leaves) => equalBytes(leafHash(leaves[n] as Uint8Array), hash))?.[n];
        if (same === undefined) break;
        contents.push(same);
      }
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
  { stored, damaged, fail }: Found,
): Promise<void> {
  const uses = hits.map((hit) => ({ ...hit, entries: [] as StoredEntry[], settled: false }));
  /** By request: how many of its ids other events have. */
  const conflicts = new Map<object, number>();
  const isDecided = ({ wanted }: Hit): boolean =>
    wanted.every(({ asker }) => (conflicts.get(asker) ?? 0) >= ENOUGH_CONFLICTS);
  /** Whether any of the requests brings this event as number `n`; the others are contradicted. */
  const isBrought = ({ row, wanted }: Hit, n: number, { event }: StoredEntry): boolean => {
    let any = false;
    for (const { asker, contents } of wanted) {
      if (contents.length === row.count && equalBytes(contents[n] as Uint8Array, event)) any = true;
      else conflicts.set(asker, (conflicts.get(asker) ?? 0) + 1);
    }
    return any;
  };
  // Where nobody brings as many entries the first is enough: it says whether the row is to be believed.
  const reads = uses.flatMap((use) =>
    Array.from({ length: broughtUnder(use).length === 0 ? 1 : use.row.count }, (_, n) => ({ use, n })),
  );
  // In steps, so that others get their turn while a large batch is repeated.
  for (let at = 0; at < reads.length; at += STEP) {
    // What follows on an entry that nobody brings, or that is damaged, changes nothing any more.
    const step = reads.slice(at, at + STEP).filter(({ use }) => !use.settled && !isDecided(use));
    const entries = await readEntries(
      log,
      step.map(({ use, n }) => use.row.leafIndex + n),
    );
    for (const [i, { use, n }] of step.entries()) {
      if (use.settled) continue;
      const entry = entries[i] as StoredEntry | ServerError;
      const { key } = use;
      use.settled = true;
      if (entry instanceof ServerError) damaged.set(key, entry);
      else if (!use.isUse(entry, n))
        fail(key, `log ${log.name}: the id row ${key} points to entry ${entry.leafIndex}, which has another id`);
      else if (isBrought(use, n, entry)) {
        use.entries.push(entry);
        use.settled = false;
      }
    }
  }
  // Nothing is said of an id that nobody had to look at: its row may be anything.
  for (const { key, row, entries, settled } of uses)
    if ((settled || entries.length > 0) && !damaged.has(key))
      stored.set(key, { ...row, entries, contents: entries.map(({ event }) => event) });
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
