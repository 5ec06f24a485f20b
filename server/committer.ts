/**
 * The committer: the one way in which primary state changes. Entries, logs, keys, revocations, heads: each is part of a
 * commit, one synchronous batch with a commit record, promised by the guard before anybody hears of it (docs/design.md, Commits and the guard).
 *
 *   collect writes → prepare: record n → store: batch → promise: guard (n, hash) → owner checked → in-memory state replaced → answers
 *
 * Crash before the batch: nothing happened. After the batch: durable, never acknowledged; the next start adopts it. After the
 * guard: as if acknowledged. There is no fourth case. One commit may be stored while the one before it is being promised, so that a crash
 * can leave two that nobody was told of.
 */
import { type FramedLeaves, Frames } from './frames.ts';
import type { Guard, Promised } from './guard.ts';
import { integrate } from './integrate.ts';
import { encodeDefinition, type Log, type LogDefinition, type Published } from './log.ts';
import type { LogState } from './log-state.ts';
import { Slab } from './slab.ts';
import {
  type CommitRecord,
  commitRecordHash,
  encodeCommitRecord,
  type LogHead,
  type LogSum,
  RECORDS_KEPT,
} from './storage/commit-record.ts';
import { commitKey, edgeKey, logDefinitionKey } from './storage/keys.ts';
import { encodeEdge, type HeadMark } from './storage/rows.ts';
import type { Store, Write } from './storage/store.ts';

/** Where the chain of commits stands. */
export interface ChainEnd {
  readonly storeId: Uint8Array;
  readonly n: number;
  readonly recordHash: Uint8Array;
  readonly sum: LogSum;
  readonly logCount: number;
}

interface Touched {
  readonly log: Log;
  readonly leaves: Frames;
  lastReceivedAt: number;
  head: HeadMark;
  readonly created: boolean;
}

/** What one commit will write, collected by everybody who takes part in it. Nothing is visible before it is committed. */
export class Transaction {
  readonly writes: Write[] = [];
  readonly touched = new Map<string, Touched>();
  /** Memory for what is gone after the commit. */
  readonly slab = new Slab();
  readonly #definitions = new Map<Log, LogDefinition>();
  readonly #done: (() => void)[] = [];

  get empty(): boolean {
    return this.writes.length === 0 && this.touched.size === 0;
  }

  put(key: string, value: Uint8Array): void {
    this.writes.push({ key, value });
  }

  delete(key: string): void {
    this.writes.push({ key, value: undefined });
  }

  /** Makes a new log part of the store; its state is that of `log`, with a head of size 0. */
  create(log: Log): void {
    this.#touch(log, true);
  }

  /** Appends a leaf; returns its index. `receivedAt` must not be below the log's last one. */
  append(log: Log, leaf: Uint8Array, receivedAt: number): number {
    const touched = this.#touch(log);
    if (receivedAt < touched.lastReceivedAt) throw new Error('bug: receivedAt would decrease');
    touched.lastReceivedAt = receivedAt;
    touched.leaves.append(leaf);
    return log.sequenced.treeSize + touched.leaves.count - 1;
  }

  /** Appends leaves that are framed; returns the index of the first. */
  appendFramed(log: Log, leaves: FramedLeaves, receivedAt: number): number {
    const touched = this.#touch(log);
    if (receivedAt < touched.lastReceivedAt) throw new Error('bug: receivedAt would decrease');
    touched.lastReceivedAt = receivedAt;
    const first = log.sequenced.treeSize + touched.leaves.count;
    touched.leaves.appendFramed(leaves);
    return first;
  }

  /** Size of the log, entries of this transaction included. */
  treeSize(log: Log): number {
    return log.sequenced.treeSize + (this.touched.get(log.name)?.leaves.count ?? 0);
  }

  /** receivedAt of the log's last entry, those of this transaction included. */
  lastReceivedAt(log: Log): number {
    return this.touched.get(log.name)?.lastReceivedAt ?? log.sequenced.lastReceivedAt;
  }

  /** Replaces a log's definition: at once for what follows in this transaction, for all others when it is promised. */
  redefine(log: Log, definition: LogDefinition): void {
    this.put(logDefinitionKey(log.name), encodeDefinition(definition));
    this.#definitions.set(log, definition);
    this.whenDone(() => {
      log.definition = definition;
    });
  }

  definitionOf(log: Log): LogDefinition {
    return this.#definitions.get(log) ?? log.definition;
  }

  /** The log's newest head, one of this transaction included. */
  newestHead(log: Log): HeadMark {
    return this.touched.get(log.name)?.head ?? log.sequenced.head;
  }

  /** Records that this head is the log's newest; it is shown once the commit is promised. */
  publish(log: Log, published: Published): void {
    this.#touch(log).head = { treeSize: published.treeSize, time: published.time };
    this.whenDone(() => {
      log.published = published;
    });
  }

  /** Runs after the commit is promised and the logs have their new state. */
  whenDone(action: () => void): void {
    this.#done.push(action);
  }

  done(): void {
    for (const action of this.#done) action();
  }

  #touch(log: Log, created = false): Touched {
    let touched = this.touched.get(log.name);
    if (touched === undefined) {
      const { lastReceivedAt, head } = log.sequenced;
      touched = { log, leaves: new Frames(this.slab), lastReceivedAt, head, created };
      this.touched.set(log.name, touched);
    }
    return touched;
  }
}

/** A transaction that has its place in the chain: what it writes, and what is then. */
export interface Commit {
  readonly transaction: Transaction;
  readonly promised: Promised;
  readonly writes: readonly Write[];
  readonly states: readonly (readonly [Log, LogState, bytes: number])[];
  /** Hashes of the leaves that it appends to each log, side by side. */
  readonly leafHashes: ReadonlyMap<Log, Uint8Array>;
}

/**
 * Makes commits, each in three steps that follow each other; the steps of several too, in the order of their numbers: the sequencer sees to that.
 * A step that fails leaves the outcome unknown, and nothing may be committed any more.
 */
export class Committer {
  readonly #store: Store;
  readonly #guard: Guard;
  /** Where the chain stands after the commit that was prepared last. */
  #end: ChainEnd;

  constructor(store: Store, guard: Guard, end: ChainEnd) {
    this.#store = store;
    this.#guard = guard;
    this.#end = end;
  }

  /** Makes a transaction the next commit, on top of the one before, which may still be on its way. */
  prepare(transaction: Transaction): Commit {
    const end = this.#end;
    const n = end.n + 1;
    const writes = transaction.writes.slice();
    const changed: LogHead[] = [];
    const states: [Log, LogState, bytes: number][] = [];
    const leafHashes = new Map<Log, Uint8Array>();
    let logCount = end.logCount;

    for (const { log, leaves, lastReceivedAt, head, created } of transaction.touched.values()) {
      const before = head === log.sequenced.head ? log.sequenced : { ...log.sequenced, head };
      const integrated = integrate(log.name, before, leaves, lastReceivedAt);
      const { state } = integrated;
      log.sequenced = state;
      writes.push(...integrated.writes, { key: edgeKey(log.name), value: encodeEdge(state, transaction.slab) });
      states.push([log, state, leaves.bytes.length]);
      leafHashes.set(log, integrated.leafHashes);
      if (!created && leaves.count === 0) continue;
      if (created) logCount++;
      const changedHead = headOf(log.name, state);
      changed.push(changedHead);
      end.sum.set(changedHead);
    }

    const record: CommitRecord = {
      storeId: end.storeId,
      n,
      previous: end.recordHash,
      logCount,
      sum: end.sum.bytes(),
      changed,
    };
    const bytes = encodeCommitRecord(record);
    const recordHash = commitRecordHash(bytes);
    writes.push({ key: commitKey(n), value: bytes });
    if (n > RECORDS_KEPT) writes.push({ key: commitKey(n - RECORDS_KEPT), value: undefined });

    this.#end = { ...end, n, recordHash, logCount };
    return { transaction, promised: { n, recordHash }, writes, states, leafHashes };
  }

  /** Makes a commit durable. Rejects with the error of store or guard. */
  async store({ writes }: Commit): Promise<void> {
    // Looked at before the batch as well: a batch of somebody who was deposed would be harmless in itself, but LevelDB may flush,
    // compact and delete files with it that are the successor's by now.
    this.#guard.checkOwner();
    await this.#store.commit(writes);
  }

  /** Promises a commit that is durable; then it is true, and may be told. Rejects with the error of the guard. */
  async promise({ transaction, promised, states }: Commit): Promise<void> {
    await this.#guard.promise(promised);
    for (const [log, state, bytes] of states) {
      log.state = state;
      log.appendedBytes += bytes;
    }
    transaction.done();
  }
}

function headOf(name: string, { treeSize, rootHash }: LogState): LogHead {
  return { name, treeSize, rootHash };
}
