/**
 * The background scrub: derives everything again from the stored bytes while the server runs, again and again, slowly.
 *
 * The same walk as fsck's, log after log. What a log has in memory when its walk begins is what the store must hold; what the log grows
 * by meanwhile is for the next round. Nothing is read through the caches that requests use, and nothing that they hold is believed.
 * Damage is told and does not stop the process: reads are verified one by one, so damaged bytes are not served.
 */
import { equalBytes, toHex } from '../tree/bytes.ts';
import type { ApiKeys } from './access.ts';
import { type Fault, fault, faultText, type Report } from './check/fault.ts';
import { checkLog } from './check/log-check.ts';
import { makeReads, type Pace } from './check/reads.ts';
import { checkApiKeys, checkCommits, checkDefinitions, checkStoreRow } from './check/server-rows.ts';
import type { Clock } from './clock.ts';
import { ServerError } from './errors.ts';
import type { Log } from './log.ts';
import type { LogState } from './log-state.ts';
import type { KeyRing } from './secrets.ts';
import type { Sequencer } from './sequencer.ts';
import { edgeKey } from './storage/keys.ts';
import { encodeEdge, parseEdge } from './storage/rows.ts';
import type { Store } from './storage/store.ts';

export interface ScrubOptions {
  readonly store: Store;
  readonly storeId: Uint8Array;
  readonly keys: KeyRing;
  readonly clock: Clock;
  readonly logs: () => readonly Log[];
  /** Those in memory: a key that was made while a round ran has brought entries too. */
  readonly apiKeys: Pick<ApiKeys, 'get'>;
  /** Runs something between two commits. */
  readonly sequencer: Pick<Sequencer, 'change'>;
  /** Bytes read a second; a read of a few bytes counts for more than these. */
  readonly rate: number;
  /** Time before the first round, in milliseconds. Default 1 min. */
  readonly delay?: number;
  /** Least time between the ends of two rounds, in milliseconds. Default 1 h. */
  readonly pause?: number;
  readonly onDamage: (message: string) => void;
}

/** How far the scrub is. */
export interface ScrubProgress {
  /** Part of the entries of all logs that this round has checked, 0 to 1; 1 while it waits for the next. */
  readonly ratio: number;
  /** When a round last ended, in seconds since the Unix epoch; 0 for never. */
  readonly lastCompleted: number;
  /** Bytes read and checked since the start. */
  readonly bytes: number;
}

/** After a start clients come back and caches fill: they have the disk first, and the start has looked at what a crash could have left. */
const DELAY = 60_000;
const PAUSE = 3_600_000;
/**
 * Bytes that a read counts for beside its own: it takes as long as checking so many. Without it, thousands of small logs were walked at full
 * speed, and for seconds the appends had nothing.
 */
const READ_COST = 2048;
/** Longest time that is made up for at full speed after a delay, in milliseconds: the rate holds for every second or so. */
const BURST = 200;
/** Shortest time to sleep, in milliseconds: many small sleeps cost more than they give. */
const NAP = 10;
/** Times that a row is read again that commits rewrite all the time. */
const TRIES = 5;
/** Findings told in one round; the rest are counted. A lost disk block must not fill the log. */
const MAX_TOLD = 100;

export class Scrub {
  readonly #options: ScrubOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #bytes = 0;
  #ratio = 0;
  #lastCompleted = 0;
  /** Moment, on the monotonic clock in microseconds, until which what was read has been paid for. */
  #paidUntil = 0;

  constructor(options: ScrubOptions) {
    this.#options = options;
  }

  get progress(): ScrubProgress {
    return { ratio: this.#ratio, lastCompleted: this.#lastCompleted, bytes: this.#bytes };
  }

  /** Begins the first round after a while, and goes on until `close`. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends what runs, and resolves when nothing is read any more. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, onDamage, delay = DELAY, pause = PAUSE } = this.#options;
    const { signal } = this.#stop;
    try {
      await clock.sleep(delay, signal);
      while (!signal.aborted) {
        await this.round();
        await clock.sleep(pause, signal);
      }
    } catch (error) {
      // A bug of ours, or a store that is closed: nothing else may fall with it, but it must not end unheard.
      if (!signal.aborted) onDamage(`the scrub has ended: ${(error as Error).message}`);
    }
  }

  /** One round over everything. Public for tests. Rejects with the signal's reason when closed. */
  async round(): Promise<void> {
    const { store, logs, keys, apiKeys, onDamage, clock } = this.#options;
    const { signal } = this.#stop;
    let findings = 0;
    /** Once a place and round: what several reads stumble over is one finding. */
    const told = new Set<string>();
    const report: Report = (found) => {
      const place = placeOf(found);
      if (told.has(place)) return;
      if (told.size < MAX_TOLD * 100) told.add(place);
      findings++;
      if (findings <= MAX_TOLD) onDamage(`scrub: ${faultText(found)}`);
    };
    this.#ratio = 0;
    this.#paidUntil = clock.monotonicMicros();
    const reads = makeReads({ store: store.uncached ?? store, report, pace: this.#pace, signal });
    const common = { ...this.#options, reads, report };
    await checkStoreRow(common);
    await checkCommits(common);
    await checkDefinitions(common);
    await checkApiKeys(common);
    const all = logs();
    const total = all.reduce((sum, { state }) => sum + state.treeSize, 0);
    let before = 0;
    for (const log of all) {
      const { state, definition } = log;
      // A log that is deleted meanwhile loses its rows under the walk.
      const reportLog: Report = (found) => {
        if (log.definition.status !== 'deleted' || definition.status === 'deleted') report(found);
      };
      await this.#checkEdge(log, reportLog);
      await checkLog({
        definition,
        state,
        verifierKeys: () => log.verifierKeys,
        idDigest: keys.idDigest(definition.origin),
        sourceOf: (id) => apiKeys.get(id)?.name,
        reads,
        report: reportLog,
        onEntries: (done) => {
          this.#ratio = total === 0 ? 0 : Math.min(1, (before + done) / total);
        },
      });
      before += state.treeSize;
    }
    if (findings > MAX_TOLD)
      onDamage(`scrub: ${findings - MAX_TOLD} more places are damaged; indelible fsck lists them`);
    this.#ratio = 1;
    this.#lastCompleted = Math.floor(clock.wallMicros() / 1e6);
  }

  /**
   * Compares the edge row with memory. Every commit rewrites both, one after the other; so it is read between two commits, and what
   * differs is read again before it is called damage.
   */
  async #checkEdge(log: Log, report: Report): Promise<void> {
    const { store, sequencer } = this.#options;
    const key = edgeKey(log.name);
    let found: Fault | undefined;
    for (let i = 0; i < TRIES; i++) {
      let read: { readonly stored: Promise<Uint8Array | undefined>; readonly before: LogState };
      try {
        read = await sequencer.change(() => {
          const stored = (store.uncached ?? store).get(key);
          // Heard below; until then its failure is nobody's.
          stored.catch(() => undefined);
          return { stored, before: log.state };
        });
      } catch (error) {
        // A server that stops, or refuses changes for now, has nothing to be compared between.
        if (error instanceof ServerError) return;
        throw error;
      }
      const stored = await read.stored.catch(() => undefined);
      if (
        stored !== undefined &&
        [read.before, log.state, log.sequenced].some((state) => equalBytes(stored, rowOf(state, stored)))
      )
        return;
      const said = stored === undefined ? null : toHex(stored);
      found = fault('edge', stored === undefined ? 'missing' : 'differs', {
        log: log.name,
        key,
        stored: said,
        derived: `${toHex(encodeEdge(read.before))}, as in memory`,
      });
    }
    if (found !== undefined) report(found);
  }

  /** Waits until what was read so far is paid for at the rate; at the least, lets others have their turn. */
  readonly #pace: Pace = async (bytes) => {
    const { clock, rate } = this.#options;
    this.#bytes += bytes;
    const now = clock.monotonicMicros();
    this.#paidUntil = Math.max(this.#paidUntil, now - BURST * 1000) + ((bytes + READ_COST) * 1e6) / rate;
    const wait = (this.#paidUntil - now) / 1000;
    if (wait >= NAP) await clock.sleep(Math.ceil(wait), this.#stop.signal);
    else await new Promise(setImmediate);
  };
}

/**
 * The edge row of a state. After a start memory has no time where no leaf states one (recovery.ts), and the row keeps the one it has until the
 * log's next commit.
 */
function rowOf(state: LogState, stored: Uint8Array): Uint8Array {
  if (state.lastReceivedAt > 0 || state.treeSize === 0) return encodeEdge(state);
  try {
    return encodeEdge({ ...state, lastReceivedAt: parseEdge(stored).lastReceivedAt });
  } catch {
    return encodeEdge(state);
  }
}

function placeOf({ log, kind, key, index }: Fault): string {
  return `${log} ${kind} ${key} ${index}`;
}
