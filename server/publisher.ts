/**
 * The publisher: signs tree heads on a schedule, and nothing that it has not checked.
 *
 * For each log that grew: read back from the store what was added since the last signed head and extend that head's frontier by
 * it (read-back.ts); only if that gives the root the log claims, sign; store the head by a commit; then show it. A signature
 * that was made but not stored is never shown, and the next start signs the same bytes again. Where a log has witnesses, the head is
 * stored and withheld, and cosigning/ shows it.
 */
import type { Clock, EntryClock } from './clock.ts';
import { joinReads } from './joined-reads.ts';
import type { Log, Published } from './log.ts';
import { signHead, signHeadAside } from './log-keys.ts';
import { ReadBack, type ReadBackOptions } from './read-back.ts';
import { isStopping, type Sequencer } from './sequencer.ts';
import { withheldKey } from './storage/keys.ts';
import { encodeHeadRow } from './storage/rows.ts';
import type { RowReader } from './storage/store.ts';
import { storeHead } from './store-head.ts';

export interface PublisherIntervals {
  /** At most one signing round in this time, in milliseconds. */
  readonly interval: number;
  /** A head without growth is signed again after this time, in milliseconds. */
  readonly refresh: number;
}

export const PUBLISHER_INTERVALS: PublisherIntervals = { interval: 1000, refresh: 600_000 };

/**
 * Logs that are signed side by side, and whose heads come with one commit: each waits for the store once or twice, and one after the other ten
 * thousand of them took 15 s under load.
 */
const TOGETHER = 32;
/** So few are signed in this thread: 40 µs each, without the way to another one. */
const FEW = 8;
/**
 * Where there are more, a pause of this many times what they took follows: signing thousands of logs that grow at once leaves the appends most of
 * the time, and their heads are some seconds older instead.
 */
const REST = 2;

/** What stands between a signed head and its publication where a log has witnesses (cosigning/cosigning.ts). */
export interface Witnessing {
  concerns(log: Log): boolean;
  /** Whether a new head of the log may be signed. */
  maySign(log: Log): boolean;
  /** A head of the log was stored and withheld. */
  begin(log: Log): void;
  close(): Promise<void>;
}

export interface PublisherOptions extends Omit<ReadBackOptions, 'onDamage'> {
  readonly sequencer: Sequencer;
  readonly clock: Clock;
  readonly entryClock: EntryClock;
  readonly logs: () => Iterable<Log>;
  readonly intervals?: PublisherIntervals;
  readonly witnessing?: Witnessing;
}

/**
 * How much may wait for heads at once, in entries that are to be answered with their proofs; beyond it nobody waits, and appends are answered
 * `durable`. Of an entry some 400 bytes are in memory meanwhile, and of a request as much as of a few of them.
 */
const MOST_WAITING = 262_144;
const LEAST_WEIGHT = 16;

interface Waiter {
  readonly log: Log;
  readonly treeSize: number;
  readonly witnessed: boolean;
  readonly wake: () => void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #intervals: PublisherIntervals;
  readonly #readBack: ReadBack;
  readonly #waiters = new Set<Waiter>();
  /** Entries that wait, together. */
  #waiting = 0;
  readonly #stop = new AbortController();
  /** Ends the pause between two rounds; once it is aborted there are none. */
  readonly #hurry = new AbortController();
  #nudge: () => void = () => {};
  #nudged = false;
  #ended = false;
  #loop: Promise<void> | undefined;
  #rounds: Promise<void> = Promise.resolve();

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#intervals = options.intervals ?? PUBLISHER_INTERVALS;
    this.#readBack = new ReadBack({ ...options, onDamage: (error) => this.#fail(error) });
  }

  /** Starts the schedule. */
  start(): void {
    this.#loop = this.#run();
  }

  /** A log grew. */
  grew(log: Log): void {
    if (!this.#ended) this.#readBack.grew(log);
    this.notify();
  }

  /** Some log may need a head. */
  notify(): void {
    this.#nudged = true;
    this.#nudge();
  }

  /** From now on signs as soon as something grew: the server is draining, and whoever waits should not wait for the interval. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** Signs what is still unsigned, then ends the schedule. The sequencer must accept changes until this resolves. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#hurry.abort();
    this.#nudge();
    await this.#loop;
    await this.#options.witnessing?.close();
    this.#end();
    await this.#readBack.settled;
  }

  /** A head was published by others, or one may be signed that could not be before. */
  shown(): void {
    this.#wakeWaiters();
    this.notify();
  }

  /**
   * Resolves when a head of at least that size is published, and with the quorum's cosignatures if it has to be `witnessed`, or after
   * `timeout` milliseconds, or at once where too much waits already; says which. `weight`: entries that the answer is about.
   */
  async waitFor(
    log: Log,
    treeSize: number,
    timeout: number,
    { witnessed = false, weight = 1 }: { readonly witnessed?: boolean; readonly weight?: number } = {},
  ): Promise<boolean> {
    const wanted = { log, treeSize, witnessed };
    if (isShown(wanted) || this.#ended) return isShown(wanted);
    const entries = Math.max(weight, LEAST_WEIGHT);
    if (this.#waiting + entries > MOST_WAITING) return false;
    this.#waiting += entries;
    const giveUp = new AbortController();
    const shown = new Promise<void>((resolve) => {
      const waiter = { ...wanted, wake: resolve };
      this.#waiters.add(waiter);
      giveUp.signal.addEventListener('abort', () => this.#waiters.delete(waiter));
    });
    const late = this.#options.clock.sleep(timeout, giveUp.signal).catch(() => {});
    await Promise.race([shown, late]);
    giveUp.abort();
    this.#waiting -= entries;
    return isShown(wanted);
  }

  /** One signing round over all logs that are due, after those that run. Public for tests. */
  publishDue(): Promise<void> {
    const round = this.#rounds.then(() => this.#publishDue());
    // Two at once would sign a head of one size twice.
    this.#rounds = round.catch(() => {});
    return round;
  }

  async #publishDue(): Promise<void> {
    const { store, clock, entryClock, logs } = this.#options;
    const start = entryClock.now();
    // Nothing is signed while the clock is unsafe.
    if (start === undefined) return;
    const waiting = new Set([...this.#waiters].map(({ log }) => log));
    const all = [...logs()].filter((log) => this.#isDue(log, start));
    const inOrder = waiting.size === 0 ? all : [...all].sort((a, b) => Number(waiting.has(b)) - Number(waiting.has(a)));
    for (let at = 0; at < inOrder.length; at += TOGETHER) {
      // Looked at again: of thousands of logs, a round takes long enough for the clock to jump and for logs to be deleted.
      const now = entryClock.now();
      if (now === undefined) return;
      const began = clock.monotonicMicros();
      const some = inOrder.slice(at, at + TOGETHER).filter((log) => this.#isDue(log, now));
      for (const log of some) log.signing = true;
      const turn: Turn = { now, openRows: joinReads(store), aside: some.length > FEW };
      const signed = await Promise.all(some.map((log) => this.#sign(log, turn)));
      const took = (clock.monotonicMicros() - began) / 1000;
      if (signed.length > 0) await this.#store(signed);
      for (const log of some) log.signing = false;
      this.#wakeWaiters();
      if (at + TOGETHER < inOrder.length && took > 0)
        await clock.sleep(REST * took, this.#hurry.signal).catch(() => {});
    }
  }

  /** Stores heads in one commit: shown from then on, or withheld until their witnesses have signed. */
  async #store(signed: readonly Signed[]): Promise<void> {
    const { sequencer, witnessing } = this.#options;
    await sequencer.change((transaction) => {
      for (const { log, head, signEpoch } of signed) {
        const definition = transaction.definitionOf(log);
        // The log was deleted meanwhile, or its rotation ended: clients that saw a head by both keys after the one that is kept could not follow.
        if (definition.status === 'deleted' || definition.signEpoch !== signEpoch) continue;
        if (witnessing?.concerns(log) !== true) {
          storeHead(transaction, log, head);
          continue;
        }
        // Crash after the commit: the next start asks the witnesses for this head. Before it: nobody has seen it.
        transaction.put(withheldKey(log.name), encodeHeadRow(head));
        transaction.whenDone(() => {
          log.withheld = head;
        });
      }
    });
    for (const { log } of signed) if (log.withheld !== undefined) witnessing?.begin(log);
  }

  #isDue(log: Log, now: number): boolean {
    const { state, published, definition, withheld } = log;
    if (definition.status === 'deleted') return false;
    if (withheld !== undefined || this.#options.witnessing?.maySign(log) === false) return false;
    // The last head of a frozen log is its last: a later signature would say nothing new.
    const stale = definition.status === 'active' && now / 1000 - published.time >= this.#intervals.refresh;
    return stale || log.resign || state.treeSize > published.treeSize;
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters) {
      if (isShown(waiter)) {
        this.#waiters.delete(waiter);
        waiter.wake();
      }
    }
  }

  async #sign(log: Log, { now, openRows, aside }: Turn): Promise<Signed> {
    const { treeSize, rootHash, lastReceivedAt } = await this.#readBack.all(log, openRows);
    const { published: last } = log;
    const time = Math.max(last.time + 1, Math.ceil(lastReceivedAt / 1000), Math.floor(now / 1000));
    // Keys that change while this head is stored concern the next one.
    log.resign = false;
    const { origin, signEpoch } = log.definition;
    const stated = { origin, treeSize, rootHash };
    const checkpoint = aside ? await signHeadAside(stated, log.keys) : signHead(stated, log.keys);
    return { log, head: { treeSize, rootHash, checkpoint, time }, signEpoch };
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    try {
      while (!this.#stop.signal.aborted) {
        this.#nudged = false;
        await this.publishDue();
        await clock.sleep(this.#intervals.interval, this.#hurry.signal).catch(() => {});
        if (!this.#nudged && !this.#stop.signal.aborted) await this.#idle();
      }
      await this.publishDue();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** What goes wrong here is as grave as a failed commit: what is stored is not what was promised, or a signature failed. */
  #fail(error: unknown): void {
    if (!isStopping(error)) this.#options.sequencer.fail(error);
    this.#end();
  }

  /** No head will be shown any more: nobody need wait for one. */
  #end(): void {
    this.#ended = true;
    for (const { wake } of this.#waiters) wake();
  }

  /** Waits for growth, or until some head may need refreshing. */
  async #idle(): Promise<void> {
    const wake = new AbortController();
    this.#nudge = () => wake.abort();
    if (this.#stop.signal.aborted || this.#nudged) wake.abort();
    await this.#options.clock.sleep(Math.min(this.#intervals.refresh, 10_000), wake.signal).catch(() => {});
    this.#nudge = () => {};
  }
}

/** What logs share that are signed side by side. */
interface Turn {
  readonly now: number;
  readonly openRows: RowReader;
  /** Whether signatures are made in other threads. */
  readonly aside: boolean;
}

interface Signed {
  readonly log: Log;
  readonly head: Published;
  /** Of the key that signed it. */
  readonly signEpoch: number;
}

function isShown({ log, treeSize, witnessed }: Omit<Waiter, 'wake'>): boolean {
  const { published } = log;
  return published.treeSize >= treeSize && (!witnessed || published.witnessed === true);
}
