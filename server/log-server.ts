/**
 * The server without HTTP: many logs over one store, one sequencer and one publisher. HTTP and the command line speak to this.
 */
import { signCheckpoint } from '../proofs/checkpoint.ts';
import { formatMicros } from '../proofs/time.ts';
import { utf8 } from '../tree/bytes.ts';
import { emptyRoot, HASH_SIZE } from '../tree/hash.ts';
import { coveringNodes } from '../tree/positions.ts';
import { type ApiKey, ApiKeys, encodeApiKey, makeApiKey, type Scope } from './access.ts';
import type { IndexSizes } from './by-hash/log-index.ts';
import { CLOCK_LIMITS, type Clock, type ClockAlarm, type ClockLimits, EntryClock, systemClock } from './clock.ts';
import { type ChainEnd, Committer, type Transaction } from './committer.ts';
import { Cosigning, type WitnessOptions } from './cosigning/cosigning.ts';
import type { WitnessReport } from './cosigning/witnesses.ts';
import { appendSystemEvent, type EntrySources, readEntries, type StoredEntry, type SystemEvent } from './entry.ts';
import { ServerError } from './errors.ts';
import type { Room, SpaceReport } from './free-space.ts';
import type { Guard } from './guard.ts';
import { listHeads } from './heads.ts';
import { endRotation, rotateKey } from './key-rotation.ts';
import { LeafIndex } from './leaf-index.ts';
import {
  checkLogName,
  emptyState,
  encodeDefinition,
  Log,
  type LogDefinition,
  type LogKind,
  type Published,
  SYSTEM_LOG,
} from './log.ts';
import { type Change, changeSettings, deleteLog, freezeLog, type LogSettings } from './log-life.ts';
import { PUBLISHER_INTERVALS, Publisher, type PublisherIntervals } from './publisher.ts';
import { Scrub, type ScrubOptions } from './scrub.ts';
import { hideSecrets, type KeyRing, makeKeyRing } from './secrets.ts';
import { CHANGE_COST, Sequencer, type SequencerLimits } from './sequencer.ts';
import type { DerivedStore } from './storage/derived.ts';
import { apiKeyKey, headKey, logDefinitionKey, STORE_KEY } from './storage/keys.ts';
import { encodeHeadRow } from './storage/rows.ts';
import type { Store } from './storage/store.ts';
import { Sweeper } from './sweeper.ts';
import { TreeHeadSigner } from './tree-head-signer.ts';
import { TreeReader } from './tree-reader.ts';
import { WatchedStore } from './watched-store.ts';

/** What the server tells whoever watches it; each is a metric and a log line. */
export interface Observer {
  onCommit?(entries: number): void;
  onDamage?(message: string): void;
  onClockAlarm?(alarm: ClockAlarm): void;
  /** The by-hash index cannot be opened or written. */
  onIndexTrouble?(error: unknown): void;
  /** A witness has answered, or has not. */
  onWitness?(report: WitnessReport): void;
  /** There is too little free space to take anything, or enough again. */
  onFreeSpace?(report: SpaceReport): void;
}

export interface LogServerOptions {
  readonly clock?: Clock;
  readonly clockLimits?: ClockLimits;
  readonly intervals?: PublisherIntervals;
  readonly limits?: SequencerLimits;
  /** Origin base of new logs; without one a random name that nobody else has, made once per store. */
  readonly originBase?: string;
  /** An admin key that holds as long as the process runs. */
  readonly adminKey?: string;
  readonly observer?: Observer;
  /** Whether there is room for what clients send; without it, always. */
  readonly room?: Room;
  /** Who has to cosign heads; without it nobody is asked. */
  readonly witnesses?: WitnessOptions | undefined;
  /** How the by-hash index is laid out; tests want small runs. */
  readonly indexSizes?: IndexSizes;
  /** How fast everything is checked again in the background; without it nothing is. */
  readonly scrub?: Pick<ScrubOptions, 'rate' | 'delay' | 'pause'> | undefined;
  /** Bytes of leaves after which a log is read back before its next head. */
  readonly readBackBytes?: number;
  /** The process must stop: a write failed, or what is stored is not what was promised. Called once. */
  readonly onFatal: (error: unknown) => void;
}

/** What the parts of a server need, wherever it comes from: files, or a simulation. */
export interface Backing {
  readonly store: Store;
  readonly guard: Guard;
  readonly storeId: Uint8Array;
  readonly masterSeed: Uint8Array;
  /** Opens the store of what can be derived from the other one. */
  readonly openDerived: (afresh: boolean) => Promise<DerivedStore>;
}

/** What a first start has to tell its operator once. */
export interface FirstStart {
  /** The admin key, unless one was given. */
  readonly adminKey: string | undefined;
}

export interface NewLog {
  readonly name: string;
  readonly kind: LogKind;
  readonly publicReads: boolean;
  readonly idPointer: string | null;
}

export interface NewKey {
  readonly name: string | undefined;
  readonly scopes: readonly Scope[];
  readonly log: string | null;
}

export class LogServer {
  readonly store: Store;
  readonly reader: TreeReader;
  readonly sequencer: Sequencer;
  readonly publisher: Publisher;
  readonly #cosigning: Cosigning;
  readonly leafIndex: LeafIndex;
  readonly #sweeper: Sweeper;
  readonly treeHeadSigner: TreeHeadSigner;
  /** Not running until it is started; `undefined` where it is switched off. */
  readonly scrub: Scrub | undefined;
  readonly entryClock: EntryClock;
  readonly apiKeys = new ApiKeys();
  readonly #logs = new Map<string, Log>();
  readonly #keys: KeyRing;
  readonly #originBase: string;
  readonly #observer: Observer;
  readonly #entrySources: EntrySources;

  constructor(
    { store, guard, storeId, masterSeed, openDerived }: Backing,
    recovered: {
      readonly end: ChainEnd;
      readonly logs: readonly Log[];
      readonly apiKeys: readonly ApiKey[];
      readonly newestTime: number;
    },
    options: LogServerOptions,
  ) {
    const clock = options.clock ?? systemClock;
    this.#observer = options.observer ?? {};
    const onDamage = (message: string): void => this.#observer.onDamage?.(message);
    const watched = new WatchedStore(store, onDamage);
    this.store = watched;
    this.reader = new TreeReader(watched, onDamage);
    this.#entrySources = { store: watched, reader: this.reader, onDamage };
    this.#keys = makeKeyRing(masterSeed, storeId);
    this.#originBase = options.originBase ?? `${Buffer.from(storeId.subarray(0, 8)).toString('hex')}.indelible.invalid`;
    for (const log of recovered.logs) this.#logs.set(log.name, log);
    for (const key of recovered.apiKeys) this.apiKeys.set(key);
    this.entryClock = new EntryClock(clock, recovered.newestTime, options.clockLimits ?? CLOCK_LIMITS, (alarm) =>
      this.#observer.onClockAlarm?.(alarm),
    );
    if (options.adminKey !== undefined) this.apiKeys.fix(options.adminKey, this.#timestamp());
    this.sequencer = new Sequencer({
      store: watched,
      committer: new Committer(store, guard, recovered.end),
      clock: this.entryClock,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      ...(options.room === undefined ? {} : { room: options.room }),
      readEntries: (log, leafIndexes) => readEntries(this.#entrySources, log, log.sequenced, leafIndexes),
      readLeafHashes: (log, from, to) => this.reader.leafHashes(log, log.sequenced, from, to),
      onDamage,
      onFatal: options.onFatal,
      onCommit: (appended) => {
        let entries = 0;
        for (const [log, hashes] of appended) {
          const { treeSize } = log.state;
          const count = hashes.length / HASH_SIZE;
          entries += count;
          if (count > 0) this.leafIndex.committed(log, treeSize - count, hashes);
          if (treeSize > log.published.treeSize) this.publisher.grew(log);
        }
        this.#observer.onCommit?.(entries);
      },
    });
    this.leafIndex = new LeafIndex({
      open: openDerived,
      storeId,
      reader: this.reader,
      clock,
      ...(options.room === undefined ? {} : { room: options.room }),
      logs: () => this.#logs.values(),
      onDamage,
      onTrouble: (error) => this.#observer.onIndexTrouble?.(error),
      ...(options.indexSizes === undefined ? {} : { sizes: options.indexSizes }),
    });
    this.treeHeadSigner = new TreeHeadSigner({ store: watched, sequencer: this.sequencer, clock: this.entryClock });
    const intervals = options.intervals ?? PUBLISHER_INTERVALS;
    this.#cosigning = new Cosigning({
      ...(options.witnesses ?? NO_WITNESSES),
      interval: intervals.interval,
      clock,
      reader: this.reader,
      sequencer: this.sequencer,
      logs: recovered.logs,
      onPublished: () => this.publisher.shown(),
      onReport: (report) => this.#observer.onWitness?.(report),
    });
    this.publisher = new Publisher({
      store: watched,
      sequencer: this.sequencer,
      clock,
      entryClock: this.entryClock,
      logs: () => this.#logs.values(),
      frontierAt: async (log, treeSize) => {
        const nodes = coveringNodes(0, treeSize);
        const readNode = await this.reader.nodes(log, log.state, nodes);
        return nodes.map((node) => readNode(node));
      },
      intervals,
      witnessing: this.#cosigning,
      ...(options.readBackBytes === undefined ? {} : { readBackBytes: options.readBackBytes }),
    });
    this.#sweeper = new Sweeper({ store, sequencer: this.sequencer, clock, onDamage });
    this.scrub =
      options.scrub === undefined
        ? undefined
        : new Scrub({
            ...options.scrub,
            store,
            storeId,
            keys: this.#keys,
            clock,
            logs: () => this.logs(),
            apiKeys: this.apiKeys,
            sequencer: this.sequencer,
            onDamage,
          });
  }

  /** Heads that wait for witnesses, and logs that may not be signed until more of them have answered. */
  get waitingForWitnesses(): Cosigning['waiting'] {
    return this.#cosigning.waiting;
  }

  /** Whether a log's heads go to witnesses. */
  hasWitnesses(log: Log): boolean {
    return this.#cosigning.concerns(log);
  }

  /** Asks the witnesses for newer heads of ours than this store has. Throws ExitError 78 where there is one. */
  askWitnesses(): Promise<void> {
    return this.#cosigning.askAtStart();
  }

  /** Starts what runs beside the requests: signing, the by-hash index, removing what is left of deleted logs, and the scrub. */
  start(): void {
    this.#cosigning.start();
    this.publisher.start();
    this.leafIndex.start();
    this.#sweeper.start(this.#logs.values());
    this.scrub?.start();
  }

  log(name: string): Log | undefined {
    return this.#logs.get(name);
  }

  /** All logs there ever were; of deleted ones, the tombstones. */
  logs(): Log[] {
    return [...this.#logs.values()];
  }

  /** Entries of an events log, verified; `from` and `to` must be within its durable size. Throws ServerError `damaged`. */
  async entries(log: Log, from: number, to: number): Promise<StoredEntry[]> {
    const leafIndexes = Array.from({ length: to - from }, (_, i) => from + i);
    const entries = await readEntries(this.#entrySources, log, log.state, leafIndexes);
    return entries.map((entry) => {
      if (entry instanceof ServerError) throw entry;
      return entry;
    });
  }

  /** Signed heads of a log from a size on, one a size, oldest first. Throws ServerError `damaged`. */
  async heads(log: Log, from: number, limit: number): Promise<Published[]> {
    try {
      return await listHeads(this.store, log.name, log.verifierKeys, from, limit);
    } catch (error) {
      if (error instanceof ServerError && error.code === 'damaged') this.#observer.onDamage?.(error.message);
      throw error;
    }
  }

  /** The head that was signed at exactly this size, if there is one. Throws ServerError `damaged`. */
  async headAt(log: Log, treeSize: number): Promise<Published | undefined> {
    if (treeSize === log.published.treeSize) return log.published;
    if ((await this.store.get(headKey(log.name, treeSize))) === undefined) return undefined;
    return (await this.heads(log, treeSize, 1))[0];
  }

  /**
   * Creates a log with its signed head of size 0, in one commit. Throws ServerError `bad_log_name`, `log_exists`, `clock_unsafe`,
   * `storage_full`.
   */
  createLog(fields: NewLog, by: string): Promise<Log> {
    checkLogName(fields.name);
    return this.sequencer.change((transaction, now) => {
      if (this.#logs.has(fields.name) || transaction.touched.has(fields.name)) {
        throw new ServerError('log_exists', `there is a log ${fields.name} already, and names are never used twice`);
      }
      if (this.entryClock.unsafe) {
        throw new ServerError(
          'clock_unsafe',
          'the clock of the server jumped too far; no head is signed until that is settled',
        );
      }
      const log = this.#addLog(transaction, fields, now);
      this.#record(transaction, { action: 'log.created', by, ...describe(log.definition) }, now);
      return log;
    }, CHANGE_COST);
  }

  /** Changes settings of a log. Throws ServerError `forbidden`, `log_deleted`. */
  changeSettings(log: Log, settings: Partial<LogSettings>, by: string): Promise<void> {
    return this.#change(by, (change) => changeSettings(change, log, settings));
  }

  /** Freezes a log, for ever; its last head is signed by the schedule. Throws ServerError `forbidden`, `log_deleted`. */
  freezeLog(log: Log, by: string): Promise<void> {
    return this.#change(by, (change) => freezeLog(change, log));
  }

  /** Begins a rotation: from the next head on a new key signs beside the old one. Throws ServerError `log_frozen`, `log_deleted`, `rotation_running`, `clock_unsafe`. */
  async rotateKey(log: Log, by: string): Promise<void> {
    await this.#change(by, (change) => rotateKey(change, log));
    this.publisher.notify();
  }

  /** Ends a rotation: the old key signs nothing more. Throws ServerError `no_rotation`, `rotation_not_signed`, `log_deleted`. */
  async endRotation(log: Log, by: string): Promise<void> {
    await this.#change(by, (change) => endRotation(change, log, (name) => this.#logs.get(name)));
    this.publisher.notify();
  }

  /** Deletes a frozen log but for its tombstone. Throws ServerError `forbidden`, `log_not_frozen`, `log_deleted`. */
  async deleteLog(log: Log, by: string): Promise<void> {
    await this.#change(by, (change) => deleteLog(change, log));
    this.#sweeper.deleted(log);
    this.leafIndex.deleted(log);
  }

  /** Creates an API key; the text is returned here and kept nowhere. Throws ServerError `bad_parameter` for an unknown log, `storage_full`. */
  createKey(fields: NewKey, by: string): Promise<{ readonly key: ApiKey; readonly text: string }> {
    return this.sequencer.change((transaction, now) => {
      const log = fields.log === null ? undefined : this.#logs.get(fields.log);
      if (fields.log !== null && (log === undefined || log.definition.status === 'deleted')) {
        throw new ServerError('bad_parameter', `there is no log ${hideSecrets(fields.log)}`);
      }
      return this.#addKey(transaction, fields, by, now);
    }, CHANGE_COST);
  }

  /** Revokes an API key: refused from the moment this resolves, and for ever. Throws ServerError `no_such_key`. */
  revokeKey(id: string, by: string): Promise<ApiKey> {
    return this.sequencer.change((transaction, now) => {
      const key = this.apiKeys.get(id);
      if (key === undefined) throw new ServerError('no_such_key', `there is no API key ${hideSecrets(id)}`);
      if (key.revokedAt !== null) return key;
      const revoked = { ...key, revokedAt: formatMicros(now) };
      transaction.put(apiKeyKey(id), encodeApiKey(revoked));
      transaction.whenDone(() => this.apiKeys.set(revoked));
      this.#record(transaction, { action: 'key.revoked', by, key: id, name: key.name }, now);
      return revoked;
    });
  }

  /** An operator says that the wall clock is right after all. */
  async acceptClock(by: string): Promise<number> {
    const step = this.entryClock.accept();
    await this.sequencer.change((transaction, now) => {
      this.#record(transaction, { action: 'clock.accepted', by, step_microseconds: step }, now);
    });
    this.publisher.notify();
    return step;
  }

  /** Records what the server itself did, in its own log. */
  recordSystemEvent(event: SystemEvent): Promise<void> {
    return this.sequencer.change((transaction, now) => this.#record(transaction, event, now));
  }

  /** The first commit: `main` and `_system` with their heads, the admin key, and the events that say so. */
  initialise(storeId: Uint8Array, wantsKey: boolean): Promise<FirstStart> {
    return this.sequencer.change((transaction, now) => {
      transaction.put(
        STORE_KEY,
        utf8(JSON.stringify({ store_id: Buffer.from(storeId).toString('hex'), created_at: formatMicros(now) })),
      );
      const events = (name: string, publicReads: boolean): NewLog => ({
        name,
        kind: 'events',
        publicReads,
        idPointer: null,
      });
      const system = this.#addLog(transaction, events(SYSTEM_LOG, false), now);
      const main = this.#addLog(transaction, events('main', true), now);
      for (const { definition } of [system, main]) {
        appendSystemEvent(transaction, system, { action: 'log.created', by: 'system', ...describe(definition) }, now);
      }
      if (!wantsKey) return { adminKey: undefined };
      return {
        adminKey: this.#addKey(transaction, { name: 'admin', scopes: ['admin'], log: null }, 'system', now, system)
          .text,
      };
    });
  }

  /** Answers what waits, signs what is unsigned, and accepts nothing more. */
  async close(): Promise<void> {
    await this.scrub?.close();
    await this.leafIndex.close();
    await this.#sweeper.close();
    await this.publisher.close();
    await this.sequencer.close();
  }

  #change<T>(by: string, make: (change: Change) => T): Promise<T> {
    return this.sequencer.change((transaction, now) =>
      make({ transaction, system: this.#logs.get(SYSTEM_LOG) as Log, by, now }),
    );
  }

  #record(transaction: Transaction, event: SystemEvent, now: number): void {
    appendSystemEvent(transaction, this.#logs.get(SYSTEM_LOG) as Log, event, now);
  }

  #addLog(transaction: Transaction, { name, kind, publicReads, idPointer }: NewLog, now: number): Log {
    const origin = `${this.#originBase}/logs/${name}`;
    const signer = this.#keys.signer(origin, 0);
    const time = Math.floor(now / 1000);
    const definition: LogDefinition = {
      name,
      kind,
      origin,
      verifierKey: signer.verifierKey.text,
      signEpoch: 0,
      rotations: [],
      createdAt: formatMicros(now),
      publicReads,
      idPointer,
      status: 'active',
      frozenAt: null,
      deletedAt: null,
    };
    const head = { treeSize: 0, rootHash: emptyRoot() };
    const published = { ...head, checkpoint: signCheckpoint({ origin, ...head }, signer), time };
    const { signer: signerOf } = this.#keys;
    const keys = { signer, next: undefined, all: [signer.verifierKey] };
    const secrets = { keys, signerOf, idDigest: this.#keys.idDigest(origin) };
    const log = new Log(definition, secrets, emptyState(time), published);
    transaction.create(log);
    transaction.put(logDefinitionKey(name), encodeDefinition(definition));
    transaction.put(headKey(name, 0), encodeHeadRow(published));
    transaction.whenDone(() => this.#logs.set(name, log));
    return log;
  }

  #addKey(
    transaction: Transaction,
    fields: NewKey,
    by: string,
    now: number,
    system = this.#logs.get(SYSTEM_LOG) as Log,
  ): { readonly key: ApiKey; readonly text: string } {
    const made = makeApiKey({ ...fields, createdAt: formatMicros(now) });
    const { id, name, scopes, log } = made.key;
    transaction.put(apiKeyKey(id), encodeApiKey(made.key));
    transaction.whenDone(() => this.apiKeys.set(made.key));
    appendSystemEvent(transaction, system, { action: 'key.created', by, key: id, name, scopes, log }, now);
    return made;
  }

  #timestamp(): string {
    return formatMicros(this.entryClock.estimate());
  }
}

/** Heads are published as they are signed. */
const NO_WITNESSES: WitnessOptions = {
  policies: [],
  publish: 'best-effort',
  timeout: 0,
  transport: () => Promise.reject(new Error('bug: nobody is to be asked')),
  keepEvidence: () => '',
};

function describe({
  name,
  kind,
  origin,
  verifierKey,
  publicReads,
  idPointer,
}: LogDefinition): Omit<SystemEvent, 'action'> {
  return { log: name, kind, origin, verifier_key: verifierKey, public_reads: publicReads, id_pointer: idPointer };
}
