/**
 * The sequencer: gives every entry its place, and makes one commit of everything that arrived while the last one ran.
 *
 * Whoever wants to change the store hands in a job. The loop takes what is there as one group, reads from the store what the
 * group needs to know, lets each job put its part into one transaction, commits it, and answers. There is no timer: alone, an
 * entry waits for nobody; under load, the group grows by itself. A group of appends is stored while the one before it is being promised.
 *
 *   pending (in the pool) → sequenced (has its index) → durable (batch, guard, owner) → answered
 *
 * A failed commit ends everything: all waiting jobs learn `outcome_unknown`, nothing more is accepted, the process exits. Only a commit before
 * it whose promise succeeds is still answered.
 */
import { type Appended, type AppendRequest, buildAppend, wantedIds } from './append.ts';
import { buildRawAppend, type RawAppended, type RawAppendRequest, wantedRawId } from './append-raw.ts';
import { Backlog, type BacklogLimits, type Work } from './backlog.ts';
import type { EntryClock } from './clock.ts';
import { type Commit, type Committer, Transaction } from './committer.ts';
import { ServerError } from './errors.ts';
import type { Room } from './free-space.ts';
import type { Answer, Group } from './group.ts';
import type { Log } from './log.ts';
import { readUsedIds, type UsedIdSources, type UsedIds, type WantedId } from './used-ids.ts';

export interface SequencerLimits extends BacklogLimits {
  /** Entries in one commit. */
  readonly maxGroupEntries: number;
  /** Bytes of events in one commit. */
  readonly maxGroupBytes: number;
}

export const SEQUENCER_LIMITS: SequencerLimits = {
  maxPendingEntries: 65_536,
  maxPendingBytes: 64 * 1024 * 1024,
  maxWait: 2000,
  maxGroupEntries: 16_384,
  maxGroupBytes: 16 * 1024 * 1024,
};

export interface SequencerOptions extends UsedIdSources {
  readonly committer: Committer;
  readonly clock: EntryClock;
  readonly limits?: SequencerLimits;
  /** Asked before anything is taken that adds to the store at a client's wish; without it, there is always room. */
  readonly room?: Room;
  /** A commit failed: stop the process. Called once. */
  readonly onFatal: (error: unknown) => void;
  /** After each commit, with the logs that it touched and the hashes of the leaves that it appended to each, side by side. */
  readonly onCommit?: (leafHashes: ReadonlyMap<Log, Uint8Array>) => void;
}

/** Bytes of rows that an entry costs beside its own: salt, header, keys, leaf, tile, id row. */
const ENTRY_COST = 1024;
/** The same for a change that adds a row or two at a client's wish, such as a log or an API key, its event included. */
export const CHANGE_COST = 4096;

/**
 * Behind a group of more requests than this nothing is stored before its promise: this thread decides then, not the syncs, and commits only become
 * smaller and dearer (at 1,024 connections a tenth fewer writes/s).
 */
const MOST_OVERLAPPED = 64;

interface Job extends Work {
  /** Bytes that it adds to the store at a client's wish; 0 for what must go on while the disk is nearly full. */
  readonly cost: number;
  /** Ids to look up first. */
  readonly ids: readonly WantedId[];
  /** Puts the job's part into the group's transaction, or throws and has changed nothing. Returns how to answer once durable. */
  build(group: Group): Answer;
  reject(error: unknown): void;
}

/** A group that has its commit, if there is anything to commit, and is durable. */
interface StoredGroup {
  readonly jobs: readonly Job[];
  readonly answers: readonly Answer[];
  readonly commit: Commit | undefined;
  /** When the work on it began, in microseconds. */
  readonly began: number;
}

const NO_IDS: readonly WantedId[] = [];
const NO_HASHES: ReadonlyMap<Log, Uint8Array> = new Map();
const NO_USED_IDS: UsedIds = { stored: new Map(), damaged: new Map() };

/** Whether a change was refused because the sequencer accepts nothing more: it knows why, and has told whoever must hear of it. */
export function isStopping(error: unknown): boolean {
  return error instanceof ServerError && (error.code === 'outcome_unknown' || error.code === 'shutting_down');
}

export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #limits: SequencerLimits;
  readonly #backlog: Backlog;
  #pool: Job[] = [];
  #running: Promise<void> | undefined;
  #onJob = (): void => {};
  #closed: ServerError | undefined;
  #failure: ServerError | undefined;

  constructor(options: SequencerOptions) {
    this.#options = options;
    this.#limits = options.limits ?? SEQUENCER_LIMITS;
    this.#backlog = new Backlog(this.#limits);
  }

  /** Entries that wait for their commit. */
  get pendingEntries(): number {
    return this.#backlog.entries;
  }

  /**
   * Appends events; resolves when all are durable. Rejects with ServerError: `pushback`, `storage_full`, `log_frozen`, `clock_unsafe`,
   * `id_conflict`, `outcome_unknown`, `shutting_down`, `damaged`; but for `outcome_unknown` nothing of the request was stored.
   */
  append(request: AppendRequest): Promise<Appended[]> {
    const ids = wantedIds(request);
    let bytes = 0;
    for (const { event } of request.events) bytes += event.length;
    return new Promise((resolve, reject) => {
      this.#submit({
        entries: request.events.length,
        bytes,
        cost: bytes + request.events.length * ENTRY_COST,
        ids: ids.filter((id) => id !== undefined),
        build: (group) => buildAppend(request, ids, group, resolve, reject),
        reject,
      });
    });
  }

  /** Appends leaves to a raw log, all or none; resolves when they are durable. Rejects as `append`. */
  appendRaw(request: RawAppendRequest): Promise<RawAppended> {
    return new Promise((resolve, reject) => this.takeRaw(request, resolve, reject));
  }

  /** The same for who has a promise already. */
  takeRaw(request: RawAppendRequest, resolve: (appended: RawAppended) => void, reject: (error: unknown) => void): void {
    const { leaves } = request;
    const id = wantedRawId(request);
    const [entries, bytes] = leaves instanceof Uint8Array ? [1, leaves.length] : [leaves.count, leaves.bytes.length];
    this.#submit({
      entries,
      bytes,
      cost: bytes + entries * ENTRY_COST,
      ids: id === undefined ? NO_IDS : [id],
      build: (group) => buildRawAppend(request, id, group, resolve, reject),
      reject,
    });
  }

  /**
   * Takes part in the next commit with anything else: heads, keys, logs. `build` runs at once, must check before it changes the
   * transaction, and may throw to be refused. Resolves with its result when that is durable. `cost` is CHANGE_COST for what is
   * refused (`storage_full`) while the disk is nearly full; heads, revocations and the like go on then, and cost nothing here.
   */
  change<T>(build: (transaction: Transaction, now: number) => T, cost = 0): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#submit({
        entries: 0,
        bytes: 0,
        cost,
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

  /**
   * Throws ServerError `pushback` where even the smallest append would be refused. Asked before a batch is parsed: a server that is offered
   * three times what it can take must not spend on the refused what it has for the others.
   */
  checkRoom(): void {
    const refusal = this.#backlog.refusal({ entries: 1, bytes: 0 });
    if (refusal !== undefined) throw refusal;
  }

  #submit(job: Job): void {
    if (this.#closed !== undefined) {
      job.reject(this.#closed);
      return;
    }
    const refusal = job.entries > 0 ? this.#backlog.refusal(job) : undefined;
    if (refusal !== undefined) {
      job.reject(refusal);
      return;
    }
    try {
      if (job.cost > 0) this.#options.room?.take(job.cost);
    } catch (error) {
      job.reject(error);
      return;
    }
    this.#pool.push(job);
    this.#backlog.add(job);
    this.#running ??= this.#run();
    this.#onJob();
  }

  async #run(): Promise<void> {
    // One turn of the event loop, so that requests which were read together are committed together.
    await nextTurn();
    /** The group before: promised, or given up. */
    let before = Promise.resolve();
    let size = 1;
    while (this.#failure === undefined) {
      if (this.#pool.length === 0) {
        // A commit of few takes nearly as long as one of many: the next one begins with as many as the last one had, or behind its promise (at 16
        // connections 11 % more writes a second than always behind it, at 64 as many).
        await Promise.race([before, this.#waiting(size)]);
        // Until its answers are written, or what was read together is there.
        await nextTurn();
        if (this.#pool.length === 0) break;
      }
      const jobs = this.#takeGroup();
      size = jobs.length;
      const alone = jobs.some(isChange);
      if (alone) await before;
      const group = await this.#store(jobs);
      // At most one commit is stored that follows on one without a promise: a start adopts no more than these two.
      await before;
      if (group !== undefined) before = this.#promise(group);
      if (alone || jobs.length > MOST_OVERLAPPED) await before;
    }
    if (this.#failure !== undefined) {
      // What was promised before the failure is answered as ever.
      await before;
      await nextTurn();
    }
    this.#running = undefined;
  }

  /** Resolves once so many jobs wait. */
  #waiting(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onJob = () => {
        if (this.#pool.length >= count) resolve();
      };
    });
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

  /** Builds a group and makes it durable; `undefined` where that failed. Never rejects. */
  async #store(jobs: readonly Job[]): Promise<StoredGroup | undefined> {
    const { committer, clock } = this.#options;
    const began = clock.monotonicMicros();
    try {
      const ids = jobs.some(({ ids }) => ids.length > 0) ? jobs.flatMap(({ ids }) => ids) : NO_IDS;
      const { stored, damaged } = ids.length === 0 ? NO_USED_IDS : await readUsedIds(this.#options, ids);
      // Nothing is written after a failure, not even what was taken before it.
      if (this.#failure !== undefined) throw this.#failure;
      const group: Group = { transaction: new Transaction(), now: clock.now(), stored, fresh: new Map() };
      const answers: Answer[] = [];
      for (const job of jobs) {
        const damage = damaged.size === 0 ? undefined : damageOf(job, damaged);
        try {
          if (damage !== undefined) throw damage;
          answers.push(job.build(group));
        } catch (error) {
          answers.push(() => job.reject(error));
        }
      }
      const commit = group.transaction.empty ? undefined : committer.prepare(group.transaction);
      if (commit !== undefined) await committer.store(commit);
      return { jobs, answers, commit, began };
    } catch (error) {
      this.#giveUp(jobs, error);
      return undefined;
    }
  }

  /** Promises a group that is durable, and answers it. Resolves before the answers are written. Never rejects. */
  async #promise({ jobs, answers, commit, began }: StoredGroup): Promise<void> {
    const { committer, clock, room, onCommit } = this.#options;
    try {
      // What follows on a commit that failed was never promised either.
      if (this.#failure !== undefined) throw this.#failure;
      if (commit !== undefined) await committer.promise(commit);
    } catch (error) {
      this.#giveUp(jobs, error);
      return;
    }
    const leafHashes = commit?.leafHashes ?? NO_HASHES;
    // When the loop has given the disk work again: to write answers first left it idle for a third of the time at 64 connections.
    process.nextTick(() => {
      for (const answer of answers) answer(leafHashes);
    });
    if (commit !== undefined) onCommit?.(leafHashes);
    for (const { cost } of jobs) if (cost > 0) room?.release(cost);
    this.#backlog.done(jobs, began, clock.monotonicMicros());
  }

  #giveUp(jobs: readonly Job[], error: unknown): void {
    this.fail(error);
    for (const job of jobs) job.reject(this.#failure);
  }
}

/** Whether a job does something else than to append: it may ask what the commit before it has made of the logs, and what follows may ask the same of it. */
function isChange({ entries }: Job): boolean {
  return entries === 0;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What is wrong with a row that the job asks for. */
function damageOf({ ids }: Job, damaged: UsedIds['damaged']): ServerError | undefined {
  for (const { key } of ids) {
    const error = damaged.get(key);
    if (error !== undefined) return error;
  }
  return undefined;
}
