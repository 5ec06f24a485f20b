/**
 * The sequencer: gives every entry its place, and makes one commit of everything that arrived while the last one ran.
 *
 * Whoever wants to change the store hands in a job. The loop takes what is there as one group, reads from the store what the
 * group needs to know, lets each job put its part into one transaction, commits it, and answers. There is no timer: alone, an
 * entry waits for nobody; under load, the group grows by itself.
 *
 *   pending (in the pool) → sequenced (has its index) → durable (batch, guard, owner) → answered
 *
 * A failed commit ends everything: all waiting jobs learn `outcome_unknown`, nothing more is accepted, the process exits.
 */
import canonicalize from 'canonicalize';
import { encodeHeader } from '../proofs/leaf.ts';
import { equalBytes } from '../tree/bytes.ts';
import type { LeafHash } from '../tree/hash.ts';
import type { EntryClock } from './clock.ts';
import { type Committer, Transaction } from './committer.ts';
import { appendEntry, type StoredEntry } from './entry.ts';
import { ServerError } from './errors.ts';
import { eventId, type Pointer } from './ingest/event-id.ts';
import type { Log } from './log.ts';
import { idKey } from './storage/keys.ts';
import { encodeIdRow, parseIdRow } from './storage/rows.ts';
import type { Store } from './storage/store.ts';

export interface SequencerLimits {
  /** Entries that may wait at once; over it, appends answer 503 `pushback`. */
  readonly maxPendingEntries: number;
  /** Bytes of events that may wait at once. */
  readonly maxPendingBytes: number;
  /** Entries in one commit. */
  readonly maxGroupEntries: number;
  /** Bytes of events in one commit. */
  readonly maxGroupBytes: number;
}

export const SEQUENCER_LIMITS: SequencerLimits = {
  maxPendingEntries: 65_536,
  maxPendingBytes: 64 * 1024 * 1024,
  maxGroupEntries: 16_384,
  maxGroupBytes: 16 * 1024 * 1024,
};

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

export interface SequencerOptions {
  readonly store: Store;
  readonly committer: Committer;
  readonly clock: EntryClock;
  readonly limits?: SequencerLimits;
  /** Reads verified entries, for ids that are in use. */
  readonly readEntries: (log: Log, leafIndexes: readonly number[]) => Promise<(StoredEntry | ServerError)[]>;
  /** An id row is not what it should be. */
  readonly onDamage?: (message: string) => void;
  /** A commit failed: stop the process. Called once. */
  readonly onFatal: (error: unknown) => void;
  /** After each commit, with the logs that it touched. */
  readonly onCommit?: (touched: ReadonlySet<Log>, entries: number) => void;
}

/** What the jobs of one group share. */
interface Group {
  readonly transaction: Transaction;
  /** Time for entries of this group in microseconds; `undefined` while the clock is unsafe. */
  readonly now: number | undefined;
  /** Entries that use an id already, by key of the id row. */
  readonly stored: ReadonlyMap<string, StoredEntry>;
  /** Ids that this group itself uses for the first time. */
  readonly fresh: Map<string, Sequenced>;
}

interface Sequenced {
  readonly entry: StoredEntry;
}

interface Job {
  readonly entries: number;
  readonly bytes: number;
  /** Id rows to look up first, by key. */
  readonly ids: readonly { readonly log: Log; readonly key: string; readonly pointer: Pointer; readonly id: string }[];
  /** Puts the job's part into the group's transaction, or throws and has changed nothing. Returns how to answer once durable. */
  build(group: Group): (leafHashes: ReadonlyMap<string, readonly LeafHash[]>) => void;
  reject(error: unknown): void;
}

export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #limits: SequencerLimits;
  #pool: Job[] = [];
  #pendingEntries = 0;
  #pendingBytes = 0;
  #running: Promise<void> | undefined;
  #closed: ServerError | undefined;
  #failure: ServerError | undefined;

  constructor(options: SequencerOptions) {
    this.#options = options;
    this.#limits = options.limits ?? SEQUENCER_LIMITS;
  }

  /** Entries that wait for their commit. */
  get pendingEntries(): number {
    return this.#pendingEntries;
  }

  /**
   * Appends events; resolves when all are durable. Rejects with ServerError: `pushback`, `clock_unsafe`, `id_conflict`,
   * `outcome_unknown`, `shutting_down`, `damaged`; but for `outcome_unknown` nothing of the request was stored.
   */
  append(request: AppendRequest): Promise<Appended[]> {
    const { log, events, pointer } = request;
    let bytes = 0;
    for (const { event } of events) bytes += event.length;
    const keys = events.map(({ id }) =>
      id === undefined || pointer === undefined ? undefined : idRowKey(request, pointer, id),
    );
    const ids = keys.flatMap((key, i) =>
      key === undefined || pointer === undefined ? [] : [{ log, key, pointer, id: events[i]?.id as string }],
    );
    return new Promise((resolve, reject) => {
      this.#submit({
        entries: events.length,
        bytes,
        ids,
        build: (group) => buildAppend(request, keys, group, resolve, reject),
        reject,
      });
    });
  }

  /**
   * Takes part in the next commit with anything else: heads, keys, logs. `build` runs at once, must check before it changes the
   * transaction, and may throw to be refused. Resolves with its result when that is durable.
   */
  change<T>(build: (transaction: Transaction, now: number) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#submit({
        entries: 0,
        bytes: 0,
        ids: [],
        build: ({ transaction, now }) => {
          const result = build(transaction, now ?? this.#options.clock.estimate());
          return () => resolve(result);
        },
        reject,
      });
    });
  }

  /** Accepts nothing more, and resolves when everything accepted is answered. */
  async close(): Promise<void> {
    this.#closed ??= new ServerError('shutting_down', 'the server is shutting down; nothing was stored, send it again');
    await this.#running;
  }

  /**
   * Stops for good: whoever waits learns `outcome_unknown`, nothing more is accepted, and the process is told to stop. For a
   * failed commit, and for the publisher when what is stored is not what was promised.
   */
  fail(error: unknown): void {
    const { onFatal } = this.#options;
    const waiting = this.#pool;
    this.#pool = [];
    if (this.#failure === undefined) {
      this.#failure = new ServerError(
        'outcome_unknown',
        'the server could not complete a write and is stopping; the entry may or may not be stored: send it again with the same id',
        { cause: error },
      );
      this.#closed = this.#failure;
      onFatal(error);
    }
    for (const job of waiting) job.reject(this.#failure);
  }

  #submit(job: Job): void {
    if (this.#closed !== undefined) {
      job.reject(this.#closed);
      return;
    }
    const { maxPendingEntries, maxPendingBytes } = this.#limits;
    const over =
      this.#pendingEntries + job.entries > maxPendingEntries || this.#pendingBytes + job.bytes > maxPendingBytes;
    // A job that is too large for an empty pool must be let in all the same: its size was limited at the edge.
    if (over && this.#pendingEntries > 0 && job.entries > 0) {
      job.reject(
        new ServerError('pushback', 'too many entries are waiting; nothing was stored, send it again a little later'),
      );
      return;
    }
    this.#pool.push(job);
    this.#pendingEntries += job.entries;
    this.#pendingBytes += job.bytes;
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // One turn of the event loop, so that requests which were read together are committed together.
    await new Promise(setImmediate);
    while (this.#pool.length > 0) {
      const jobs = this.#takeGroup();
      try {
        await this.#commitGroup(jobs);
      } catch (error) {
        this.fail(error);
        for (const job of jobs) job.reject(this.#failure);
        break;
      }
      for (const job of jobs) {
        this.#pendingEntries -= job.entries;
        this.#pendingBytes -= job.bytes;
      }
    }
    this.#running = undefined;
  }

  #takeGroup(): Job[] {
    const { maxGroupEntries, maxGroupBytes } = this.#limits;
    let entries = 0;
    let bytes = 0;
    let taken = 0;
    for (const job of this.#pool) {
      // A change without entries counts as one: a commit record has room for 65,535 changed logs.
      entries += Math.max(1, job.entries);
      bytes += job.bytes;
      if (taken > 0 && (entries > maxGroupEntries || bytes > maxGroupBytes)) break;
      taken++;
    }
    return this.#pool.splice(0, taken);
  }

  async #commitGroup(jobs: readonly Job[]): Promise<void> {
    const { committer, clock, onCommit } = this.#options;
    const { stored, damaged } = await this.#lookUp(jobs);
    const group: Group = { transaction: new Transaction(), now: clock.now(), stored, fresh: new Map() };
    const answers: ((leafHashes: ReadonlyMap<string, readonly LeafHash[]>) => void)[] = [];
    for (const job of jobs) {
      const damage = job.ids.map(({ key }) => damaged.get(key)).find((error) => error !== undefined);
      try {
        if (damage !== undefined) throw damage;
        answers.push(job.build(group));
      } catch (error) {
        answers.push(() => job.reject(error));
      }
    }
    const { transaction } = group;
    const leafHashes = transaction.empty ? new Map<string, readonly LeafHash[]>() : await committer.commit(transaction);
    for (const answer of answers) answer(leafHashes);
    if (onCommit !== undefined && !transaction.empty) {
      let entries = 0;
      for (const hashes of leafHashes.values()) entries += hashes.length;
      onCommit(new Set([...transaction.touched.values()].map(({ log }) => log)), entries);
    }
  }

  /** The entries that already use an id of the group. An id row whose entry is damaged concerns only who asks for it. */
  async #lookUp(jobs: readonly Job[]): Promise<{ stored: Map<string, StoredEntry>; damaged: Map<string, unknown> }> {
    const stored = new Map<string, StoredEntry>();
    const damaged = new Map<string, unknown>();
    const wanted = new Map(jobs.flatMap((job) => job.ids.map((id) => [id.key, id] as const)));
    if (wanted.size === 0) return { stored, damaged };
    const rows = await this.#options.store.getMany([...wanted.keys()]);
    const used = new Map<Log, { readonly key: string; readonly leafIndex: number }[]>();
    const fail = (key: string, message: string): void => {
      this.#options.onDamage?.(message);
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
      for (let at = 0; at < uses.length; at += LOOK_UP_STEP) {
        const step = uses.slice(at, at + LOOK_UP_STEP);
        const entries = await this.#options.readEntries(
          log,
          step.map(({ leafIndex }) => leafIndex),
        );
        for (const [i, { key, leafIndex }] of step.entries()) {
          const entry = entries[i] as StoredEntry | ServerError;
          const { pointer, id } = wanted.get(key) as { pointer: Pointer; id: string };
          if (entry instanceof ServerError) damaged.set(key, entry);
          else if (hasId(entry, pointer, id)) stored.set(key, entry);
          else fail(key, `log ${log.name}: the id row ${key} points to entry ${leafIndex}, which has another id`);
        }
      }
    }
    return { stored, damaged };
  }
}

function listOf<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

/** Entries of used ids that are read in one go. */
const LOOK_UP_STEP = 256;

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

/** JCS of [kind, source, pointer, id], under the log's id key (DESIGN §3). */
function idRowKey({ log, source }: AppendRequest, pointer: Pointer, id: string): string {
  const names = `${canonicalize(source)},${canonicalize(pointer.text)}`;
  return idKey(log.name, log.idDigest(`["pointer",${names},${id}]`));
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
function buildAppend(
  request: AppendRequest,
  keys: readonly (string | undefined)[],
  group: Group,
  resolve: (appended: Appended[]) => void,
  reject: (error: unknown) => void,
): (leafHashes: ReadonlyMap<string, readonly LeafHash[]>) => void {
  const { log, events, by, via, pointer } = request;
  const own = new Map<string, number>();
  const conflicts: Conflict[] = [];
  const conflict = (message: string, position: number, leafIndex?: number): Resolution => {
    conflicts.push({ code: 'id_conflict', position, message, leafIndex });
    return { kind: 'conflict' };
  };
  const resolutions = events.map(({ event }, i): Resolution => {
    const key = keys[i];
    if (key === undefined) return { kind: 'new', key };
    const first = own.get(key);
    if (first !== undefined) {
      return equalBytes(events[first]?.event as Uint8Array, event)
        ? { kind: 'same-request', first }
        : conflict('this request itself holds another event with the same id', i);
    }
    own.set(key, i);
    const used = group.fresh.get(key)?.entry ?? group.stored.get(key);
    if (used === undefined) return { kind: 'new', key };
    return equalBytes(used.event, event)
      ? { kind: 'replay', entry: used }
      : conflict(`another event with this id is entry ${used.leafIndex}`, i, used.leafIndex);
  });
  // Answered with the group: if the first user of the id is in it, a conflict is one only once that entry is durable.
  if (conflicts.length > 0) return () => reject(new ConflictError(conflicts));

  const header = encodeHeader({ by, via, ...(pointer === undefined ? {} : { id_pointer: pointer.text }) });
  const plain = pointer === undefined ? header : encodeHeader({ by, via });
  if (group.now === undefined && resolutions.some(({ kind }) => kind === 'new')) {
    throw new ServerError(
      'clock_unsafe',
      'the clock of the server jumped too far; nothing is appended until that is settled',
    );
  }
  const receivedAt = Math.max(group.now ?? 0, group.transaction.lastReceivedAt(log));
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
        group.fresh.set(key, { entry });
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
