/**
 * The clients of a simulated server: what they ask is drawn from the seed, and what they are answered goes to the oracle. A request
 * whose process dies has no answer; it may be sent again to the next one.
 */
import { verifyInclusion } from '../../proofs/inclusion.ts';
import type { Appended } from '../../server/append.ts';
import type { RawAppended } from '../../server/append-raw.ts';
import type { Pointer } from '../../server/ingest/event-id.ts';
import type { Log } from '../../server/log.ts';
import type { LogServer } from '../../server/log-server.ts';
import { asLeafHash, leafHash } from '../../tree/hash.ts';
import type { Faults } from './faults.ts';
import type { Running } from './host.ts';
import { type Item, type LogView, type Oracle, requestOf } from './oracle.ts';
import type { Parts } from './parts.ts';

export interface ClientOptions {
  readonly parts: Parts;
  readonly oracle: Oracle;
  readonly faults: Faults;
  readonly random: () => number;
  readonly trace: (line: string) => void;
  /** Whether somebody tampered with the data, so that damage is no surprise. */
  readonly excused: () => boolean;
}

/** A request that waits for its answer. */
interface Waiting {
  readonly what: string;
  readonly process: Running;
  /** It waits for time to pass, not only for the disk. */
  readonly patient: boolean;
  /** There will be no answer. */
  lost(): void;
}

const SOURCES = ['one', 'two'];
const LOG_NAMES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'];
const BY = '0123456789abcdef';
/** Requests with an id that are sent again, often while they are still on their way. */
const RECENT = 8;
const encoder = new TextEncoder();

/** What an append may be refused with, and only then was nothing of it stored. */
const REFUSALS = new Set([
  'pushback',
  'storage_full',
  'log_frozen',
  'clock_unsafe',
  'id_conflict',
  'shutting_down',
  'damaged',
]);

export class Clients {
  readonly #options: ClientOptions;
  readonly #pointer: Pointer;
  readonly #waiting = new Set<Waiting>();
  readonly #recent: ((process: Running, server: LogServer) => void)[] = [];
  #serial = 0;
  /** Whether the clock may have been found unsafe in this history. */
  clockDoubtful = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#pointer = options.parts.pointers.parsePointer('/id');
  }

  /** Requests that have no answer, but for those that wait for a head. */
  get waiting(): string[] {
    return [...this.#waiting].filter(({ patient }) => !patient).map(({ what }) => what);
  }

  /** A process died: whoever waited for it hears nothing. */
  lose(process: Running): void {
    for (const request of this.#waiting) {
      if (request.process !== process) continue;
      this.#waiting.delete(request);
      request.lost();
    }
  }

  /** One thing that some client does. */
  act(process: Running): void {
    const { server } = process;
    if (server === undefined) return;
    const { random } = this.#options;
    const again = random() < 0.1 ? this.#one(this.#recent) : undefined;
    if (again !== undefined) {
      again(process, server);
      return;
    }
    const dice = random();
    if (dice < 0.42) this.#appendEvents(process, server);
    else if (dice < 0.56) this.#appendKeyed(process, server);
    else if (dice < 0.68) this.#appendRaw(process, server);
    else if (dice < 0.76) this.#readEntries(process, server);
    else if (dice < 0.83) this.#prove(process, server);
    else if (dice < 0.88) this.#find(process, server);
    else if (dice < 0.92) this.#signedHead(process, server);
    else if (dice < 0.94) this.#waitForHead(process, server);
    else if (dice < 0.96) this.#createKey(process, server);
    else if (dice < 0.975) this.#revokeKey(process, server);
    else if (dice < 0.99) this.#createLog(process, server);
    else if (dice < 0.996) this.#freeze(process, server);
    else this.#delete(process, server);
  }

  /** Events one by one or several at a time: some new, some with ids, some that contradict what has their id. */
  #appendEvents(process: Running, server: LogServer): void {
    const { random, oracle } = this.#options;
    const view = oracle.meet(this.#log(server, 'events'));
    const source = this.#one(SOURCES) as string;
    const withIds = random() < 0.6;
    const items = Array.from({ length: this.#size() }, () =>
      withIds ? this.#eventWithId(view, source) : oracle.item(view, `{"n":${this.#serial++}}`, undefined),
    );
    this.#sendEvents(process, server, items, source);
    if (withIds) this.#remember((later, laterServer) => this.#sendEvents(later, laterServer, items, source));
  }

  #sendEvents(process: Running, server: LogServer, items: readonly Item[], source: string): void {
    const log = server.log(nameOf(items));
    if (log === undefined) return;
    const events = items.map(({ text, name }) => ({
      event: encoder.encode(text),
      id: name === undefined ? undefined : String((JSON.parse(text) as { id: number }).id),
    }));
    const withIds = items[0]?.name !== undefined;
    const once = withIds ? ({ kind: 'pointer', pointer: this.#pointer } as const) : undefined;
    const send = (): Promise<Appended[]> =>
      server.sequencer.append({ log, events, by: BY, source, via: 'events', once });
    this.#send(process, `events ${log.name}`, items, send, (appended) => this.#appended(log, items, appended));
  }

  /** Several events under one idempotency key. */
  #appendKeyed(process: Running, server: LogServer): void {
    const view = this.#options.oracle.meet(this.#log(server, 'events'));
    const { items, idempotencyKey } = this.#keyedItems(view, (body, n) => `{"k":"${body}#","n":${n}}`);
    this.#sendKeyed(process, server, items, idempotencyKey);
    this.#remember((later, laterServer) => this.#sendKeyed(later, laterServer, items, idempotencyKey));
  }

  #sendKeyed(process: Running, server: LogServer, items: readonly Item[], idempotencyKey: string): void {
    const log = server.log(nameOf(items));
    if (log === undefined) return;
    const events = items.map(({ text }) => ({ event: encoder.encode(text), id: undefined }));
    const once = { kind: 'key', idempotencyKey } as const;
    const send = (): Promise<Appended[]> =>
      server.sequencer.append({ log, events, by: BY, source: 'one', via: 'events', once });
    this.#send(process, `keyed ${log.name}`, items, send, (appended) => this.#appended(log, items, appended));
  }

  #appendRaw(process: Running, server: LogServer): void {
    const { random, oracle } = this.#options;
    const log = this.#log(server, 'raw');
    if (log.definition.kind !== 'raw') return;
    const view = oracle.meet(log);
    if (random() < 0.6) {
      const items = Array.from({ length: this.#size() }, () => oracle.item(view, `raw ${this.#serial++}`, undefined));
      this.#sendRaw(process, server, items, undefined);
      return;
    }
    const { items, idempotencyKey } = this.#keyedItems(view, (body, n) => `raw ${body}#${n}`);
    this.#sendRaw(process, server, items, idempotencyKey);
    this.#remember((later, laterServer) => this.#sendRaw(later, laterServer, items, idempotencyKey));
  }

  #sendRaw(process: Running, server: LogServer, items: readonly Item[], idempotencyKey: string | undefined): void {
    const { oracle, parts } = this.#options;
    const log = server.log(nameOf(items));
    if (log === undefined) return;
    const bytes = items.map(({ text }) => encoder.encode(text));
    const leaves = bytes.length === 1 ? (bytes[0] as Uint8Array) : parts.frames.frame(bytes);
    const send = (): Promise<RawAppended> => server.sequencer.appendRaw({ log, leaves, source: 'one', idempotencyKey });
    this.#send(process, `raw ${log.name}`, items, send, ({ leafIndex }) => {
      for (const [i, item] of items.entries()) oracle.placed(item, leafIndex + i, bytes[i] as Uint8Array);
      this.#checkReadable(log, leafIndex + items.length - 1);
      return `at ${leafIndex}`;
    });
  }

  /** What was sent with an id or a key may be sent again, to whichever server there is then. */
  #remember(again: (process: Running, server: LogServer) => void): void {
    this.#recent.push(again);
    if (this.#recent.length > RECENT) this.#recent.shift();
  }

  /** An event with a new id, with one that was used before, or with other contents under one that was. */
  #eventWithId(view: LogView, source: string): Item {
    const { random, oracle } = this.#options;
    const dice = random();
    const id = dice < 0.55 ? this.#serial++ : this.#earlier();
    const name = `${view.name} ${source} id ${id}`;
    const before = oracle.namesakes(name);
    const known = before[Math.floor(random() * before.length)];
    if (known !== undefined && dice < 0.9) return known;
    return oracle.item(view, `{"id":${id},"by":"${source}","v":${before.length}}`, name);
  }

  #keyedItems(
    view: LogView,
    text: (body: string, n: number) => string,
  ): { readonly items: readonly Item[]; readonly idempotencyKey: string } {
    const { random, oracle } = this.#options;
    const dice = random();
    const number = dice < 0.5 ? this.#serial++ : this.#earlier();
    const idempotencyKey = `key-${number}`;
    const name = `${view.name} ${idempotencyKey}`;
    const before = oracle.namesakes(name);
    const known = before[Math.floor(random() * before.length)];
    if (known !== undefined && dice < 0.9)
      return { items: before.filter(({ text: other }) => requestOf(other) === requestOf(known.text)), idempotencyKey };
    const body = `${number}.${before.length}`;
    const items = Array.from({ length: 1 + Math.floor(random() * 4) }, (_, n) =>
      oracle.item(view, text(body, n), name),
    );
    return { items, idempotencyKey };
  }

  /** Sends items, and sees to it that the oracle knows what it may expect of them. */
  #send<T>(
    process: Running,
    what: string,
    items: readonly Item[],
    send: () => Promise<T>,
    good: (value: T) => string,
  ): void {
    const { oracle } = this.#options;
    const log = (items[0] as Item).log;
    const frozen = log.frozen === 'made' || log.deleted === 'made';
    const known = items.map(({ index }) => index);
    for (const item of items) item.waiting++;
    const ended = (maybe: boolean): void => {
      for (const item of items) {
        item.waiting--;
        item.maybe ||= maybe;
      }
    };
    this.#ask(process, what, send, {
      view: log,
      good: (value) => {
        ended(false);
        const text = good(value);
        if (frozen && items.some((item, i) => known[i] === undefined && !item.maybe && item.waiting === 0))
          oracle.violate(`${what}: a frozen log took entries`);
        return text;
      },
      bad: (code) => {
        const conflict = items.some((item) => this.#mayConflict(item));
        ended(code === 'outcome_unknown');
        if (code === 'outcome_unknown') return;
        if (!REFUSALS.has(code)) oracle.violate(`${what} answered ${code}`);
        if (code === 'log_frozen' && log.frozen === 'no') oracle.violate(`${what}: log_frozen, and nobody froze it`);
        if (code === 'id_conflict' && !conflict) oracle.violate(`${what}: id_conflict, and nothing else has that id`);
      },
      lost: () => ended(true),
    });
  }

  /** Whether something else may be stored, or about to be, under an item's name. */
  #mayConflict({ name, text }: Item): boolean {
    if (name === undefined) return false;
    const others = this.#options.oracle.namesakes(name).filter((other) => requestOf(other.text) !== requestOf(text));
    return others.some(({ index, maybe, waiting }) => index !== undefined || maybe || waiting > 0);
  }

  #appended(log: Log, items: readonly Item[], appended: readonly Appended[]): string {
    const { oracle } = this.#options;
    const view = oracle.meet(log);
    if (appended.length !== items.length) oracle.violate(`${items.length} events were answered by ${appended.length}`);
    for (const [i, entry] of appended.entries()) {
      const item = items[i] as Item;
      if (Buffer.from(entry.event).toString() !== item.text)
        oracle.violate(`${item.text} was answered by another event`);
      oracle.entry(view, entry);
      oracle.placed(item, entry.leafIndex, entry.leaf);
      this.#checkReadable(log, entry.leafIndex);
      if (entry.leafHash !== undefined && Buffer.compare(entry.leafHash, leafHash(entry.leaf)) !== 0)
        oracle.violate(`${item.text} was acknowledged with another leaf hash than that of its leaf`);
    }
    return `at ${appended.map(({ leafIndex }) => leafIndex)}`;
  }

  /** Whoever was acknowledged an entry can read it at once. */
  #checkReadable(log: Log, leafIndex: number): void {
    const { treeSize } = log.state;
    if (leafIndex >= treeSize)
      this.#options.oracle.violate(`log ${log.name}: entry ${leafIndex} was acknowledged, and there are ${treeSize}`);
  }

  #readEntries(process: Running, server: LogServer): void {
    const { oracle, random } = this.#options;
    const log = this.#log(server, 'events');
    if (log.definition.kind !== 'events') return;
    const view = oracle.meet(log);
    const { treeSize } = log.state;
    const from = Math.floor(random() * treeSize);
    const to = Math.min(treeSize, from + 1 + Math.floor(random() * 5));
    if (to <= from) return;
    this.#ask(process, `read ${view.name}`, () => server.entries(log, from, to), {
      view,
      good: (entries) => {
        for (const [i, entry] of entries.entries()) {
          if (entry.leafIndex !== from + i) oracle.violate(`log ${view.name}: entry ${from + i} came as another one`);
        }
        oracle.events(view, entries);
        return `${from}-${to}`;
      },
      bad: (code) => this.#mayBeDamaged(process, `read ${view.name}`, code),
    });
  }

  /** An inclusion proof of a leaf that is known, in a head that is shown. */
  #prove(process: Running, server: LogServer): void {
    const { oracle, parts, random } = this.#options;
    const log = this.#log(server, random() < 0.8 ? 'events' : 'raw');
    const view = oracle.meet(log);
    const { treeSize, rootHash } = log.published;
    const leafIndex = Math.floor(random() * treeSize);
    const leaf = view.leaves[leafIndex];
    if (leaf === undefined || leafIndex >= treeSize) return;
    const { reader } = server;
    this.#ask(process, `prove ${view.name}`, () => parts.prover.inclusionProof(reader, log, leafIndex, treeSize), {
      view,
      good: (proof) => {
        try {
          verifyInclusion({ leafHash: leafHash(leaf), leafIndex, treeSize, rootHash, proof });
        } catch (error) {
          oracle.violate(`log ${view.name}: leaf ${leafIndex} has no valid proof in size ${treeSize}: ${error}`);
        }
        return `${leafIndex} in ${treeSize}`;
      },
      bad: (code) => this.#mayBeDamaged(process, `prove ${view.name}`, code),
    });
  }

  #find(process: Running, server: LogServer): void {
    const { oracle, random } = this.#options;
    const log = this.#log(server, random() < 0.8 ? 'events' : 'raw');
    const view = oracle.meet(log);
    const { treeSize } = log.published;
    const leafIndex = Math.floor(random() * treeSize);
    const leaf = view.leaves[leafIndex];
    if (leaf === undefined || leafIndex >= treeSize) return;
    const absent = random() < 0.1;
    const hash = asLeafHash(leafHash(absent ? encoder.encode('nowhere') : leaf));
    this.#ask(process, `find ${view.name}`, () => server.leafIndex.find(log, hash, treeSize), {
      view,
      good: (found) => {
        if (found !== (absent ? undefined : leafIndex))
          oracle.violate(`log ${view.name}: leaf ${absent ? 'nowhere' : leafIndex} was found at ${found}`);
        return `${found}`;
      },
      bad: (code) => {
        if (code !== 'index_behind') this.#mayBeDamaged(process, `find ${view.name}`, code);
      },
    });
  }

  #signedHead(process: Running, server: LogServer): void {
    const { oracle, random } = this.#options;
    const log = this.#log(server, random() < 0.7 ? 'events' : 'raw');
    const view = oracle.meet(log);
    this.#ask(process, `head ${view.name}`, () => server.treeHeadSigner.newest(log), {
      view,
      good: ({ treeSize, time, rootHash }) => {
        const { published } = log;
        if (published.treeSize < treeSize || published.time < time)
          oracle.violate(`log ${view.name}: a tree head of size ${treeSize} was signed that is not shown`);
        return `${treeSize} ${time} ${rootHash[0]}`;
      },
      bad: (code) => {
        if (code !== 'clock_unsafe') this.#mayBeDamaged(process, `head ${view.name}`, code);
        else if (!this.clockDoubtful) oracle.violate('clock_unsafe, and no clock was set');
      },
    });
  }

  #waitForHead(process: Running, server: LogServer): void {
    const { oracle } = this.#options;
    const log = this.#log(server, 'events');
    const { treeSize } = log.state;
    const wait = (): Promise<boolean> => server.publisher.waitFor(log, treeSize, 3000);
    this.#ask(process, `wait ${log.name}`, wait, {
      patient: true,
      good: (shown) => {
        if (shown && log.published.treeSize < treeSize) oracle.violate(`log ${log.name}: shown, and it is not`);
        return String(shown);
      },
      bad: (code) => oracle.violate(`waiting for a head answered ${code}`),
    });
  }

  #createKey(process: Running, server: LogServer): void {
    const { oracle } = this.#options;
    const fields = { name: this.#one(SOURCES), scopes: ['append'], log: null } as const;
    this.#ask(process, 'create key', () => server.createKey(fields, BY), {
      good: ({ key, text }) => {
        oracle.keys.push({ id: key.id, text, revoked: 'no' });
        return key.id;
      },
      bad: (code) => this.#mayRefuse(process, 'create key', code, ['storage_full']),
    });
  }

  #revokeKey(process: Running, server: LogServer): void {
    const { oracle } = this.#options;
    const key = this.#one(oracle.keys);
    if (key === undefined) return;
    if (key.revoked === 'no') key.revoked = 'asked';
    this.#ask(process, 'revoke key', () => server.revokeKey(key.id, BY), {
      good: () => {
        key.revoked = 'made';
        return key.id;
      },
      bad: (code) => this.#mayRefuse(process, 'revoke key', code, []),
    });
  }

  #createLog(process: Running, server: LogServer): void {
    const { oracle, random } = this.#options;
    const name = this.#one(LOG_NAMES) as string;
    const kind = random() < 0.5 ? 'raw' : 'events';
    const exists = server.log(name) !== undefined;
    this.#ask(
      process,
      `create ${name}`,
      () => server.createLog({ name, kind, publicReads: true, idPointer: null }, BY),
      {
        good: (log) => {
          if (exists) oracle.violate(`log ${name} was made twice`);
          const view = oracle.meet(log);
          if (view.reach === 0 && view.head === undefined) oracle.head(view, log.published, 0);
          return kind;
        },
        bad: (code) => this.#mayRefuse(process, `create ${name}`, code, ['log_exists', 'storage_full', 'clock_unsafe']),
      },
    );
  }

  #freeze(process: Running, server: LogServer): void {
    const log = this.#decided(server);
    if (log === undefined) return;
    const view = this.#options.oracle.meet(log);
    if (view.frozen === 'no') view.frozen = 'asked';
    this.#ask(process, `freeze ${view.name}`, () => server.freezeLog(log, BY), {
      good: () => {
        view.frozen = 'made';
        return 'frozen';
      },
      bad: (code) => this.#mayRefuse(process, `freeze ${view.name}`, code, ['log_deleted']),
    });
  }

  #delete(process: Running, server: LogServer): void {
    const log = this.#decided(server);
    if (log === undefined) return;
    const view = this.#options.oracle.meet(log);
    if (view.deleted === 'no' && view.frozen !== 'no') view.deleted = 'asked';
    this.#ask(process, `delete ${view.name}`, () => server.deleteLog(log, BY), {
      good: () => {
        view.deleted = 'made';
        return 'deleted';
      },
      bad: (code) => this.#mayRefuse(process, `delete ${view.name}`, code, ['log_not_frozen', 'log_deleted']),
    });
  }

  #mayBeDamaged(process: Running, what: string, code: string): void {
    this.#mayRefuse(process, what, code, ['damaged']);
  }

  #mayRefuse(process: Running, what: string, code: string, codes: readonly string[]): void {
    const { oracle } = this.#options;
    if (codes.includes(code)) return;
    if (code === 'outcome_unknown' && process.fatal !== undefined) return;
    if (code === 'shutting_down' && process.closing) return;
    oracle.violate(`${what} answered ${code}`);
  }

  /** Asks, and hands what is answered to whom it concerns, unless the process is dead by then. */
  #ask<T>(
    process: Running,
    what: string,
    send: () => Promise<T>,
    answers: {
      readonly patient?: boolean;
      /** Whose rows it reads. */
      readonly view?: LogView;
      readonly good: (value: T) => string;
      readonly bad: (code: string) => void;
      readonly lost?: () => void;
    },
  ): void {
    const { oracle, trace, faults, excused } = this.#options;
    const request: Waiting = { what, process, patient: answers.patient ?? false, lost: answers.lost ?? (() => {}) };
    this.#waiting.add(request);
    trace(`> ${what}`);
    send().then(
      (value) => {
        if (!this.#waiting.delete(request)) return;
        trace(`< ${what} ${answers.good(value)}`);
      },
      (error: { readonly code?: unknown; readonly stack?: string }) => {
        if (!this.#waiting.delete(request)) return;
        const code = typeof error.code === 'string' ? error.code : `an error without a name: ${error.stack}`;
        trace(`< ${what} ${code}`);
        if (code === 'outcome_unknown' && process.fatal === undefined)
          oracle.violate(`${what}: outcome_unknown, and nothing failed`);
        if (code === 'shutting_down' && !process.closing)
          oracle.violate(`${what}: shutting_down, and nobody closed it`);
        // Of a deleted log the rows go, ten seconds later; a history can make that a moment.
        const going = answers.view !== undefined && answers.view.deleted !== 'no';
        if (code === 'damaged' && faults.count === process.faultsBefore && !excused() && !going)
          oracle.violate(`${what}: damaged, and nothing was: ${error.stack}`);
        if (code === 'storage_full' && faults.rates.full === 0)
          oracle.violate(`${what}: storage_full, and there was room`);
        if (code === 'clock_unsafe' && !this.clockDoubtful)
          oracle.violate(`${what}: clock_unsafe, and no clock was set`);
        answers.bad(code);
      },
    );
  }

  /** A number that was used, as an id or otherwise. */
  #earlier(): number {
    return Math.floor(this.#options.random() * this.#serial);
  }

  /** Mostly one; now and then as many as fill a bundle. */
  #size(): number {
    const { random } = this.#options;
    const dice = random();
    if (dice < 0.8) return 1;
    if (dice < 0.97) return 2 + Math.floor(random() * 6);
    return dice < 0.995 ? 20 + Math.floor(random() * 40) : 150 + Math.floor(random() * 200);
  }

  /** Most often the first of its kind, so that it grows over several bundles. */
  #log(server: LogServer, kind: 'events' | 'raw'): Log {
    const { random } = this.#options;
    const main = server.log('main') as Log;
    if (kind === 'events' && random() < 0.6) return main;
    const all = server
      .logs()
      .filter((log) => log.definition.kind === kind && log.definition.status !== 'deleted' && log.name !== '_system');
    return (random() < 0.6 ? all[0] : this.#one(all)) ?? main;
  }

  /** A log that may be frozen or deleted: `main` stays, or there would be nothing to do. */
  #decided(server: LogServer): Log | undefined {
    return this.#one(server.logs().filter(({ name }) => name !== 'main' && name !== '_system'));
  }

  #one<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#options.random() * list.length)];
  }
}

/** Name of the log that items are for. */
function nameOf([item]: readonly Item[]): string {
  return (item as Item).log.name;
}
