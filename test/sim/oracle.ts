/**
 * The oracle of the simulation, kept on the side of the clients: everything that was acknowledged, shown or refused, across all crashes.
 * It shares nothing with the server: trees are those of test/support/reference-tree.ts, heads and entries are judged by the code
 * that a client has.
 */
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { entryLeaf } from '../../proofs/entry.ts';
import { parseVerifierKey, type VerifierKey } from '../../proofs/key.ts';
import { parseEventLeaf } from '../../proofs/leaf.ts';
import type { StoredEntry } from '../../server/entry.ts';
import type { Log, LogKind, Published } from '../../server/log.ts';
import { equalBytes, toBase64 } from '../../tree/bytes.ts';
import { ReferenceTree } from '../support/reference-tree.ts';

/** Something that a client sent, an event or a raw leaf: its text is that of no other. */
export interface Item {
  readonly log: LogView;
  readonly text: string;
  /** Name of what makes it exactly-once: at most one item of a name may ever be stored, or one request of items. */
  readonly name: string | undefined;
  /** Where it is, once that was acknowledged. */
  index: number | undefined;
  /** Requests with it that have no answer yet. */
  waiting: number;
  /** Whether a request with it ended without an answer: it may be stored. */
  maybe: boolean;
}

/** How far a decision about a log is: nobody asked for it, somebody did, or it was acknowledged. */
export type Decision = 'no' | 'asked' | 'made';

export interface LogView {
  readonly name: string;
  readonly kind: LogKind;
  readonly origin: string;
  readonly key: VerifierKey;
  /** By leaf index; with holes where nobody has seen a leaf yet. */
  readonly leaves: Uint8Array[];
  readonly tree: ReferenceTree;
  /** What was seen of the log reaches so far. */
  reach: number;
  /** Leaves below this are all known, and their times were looked at. */
  known: number;
  lastReceivedAt: number;
  /** Newest head that was seen. */
  head: Published | undefined;
  /** The first head that was seen of each size. */
  readonly heads: Map<number, Published>;
  /** Sizes of heads whose root was not compared yet. */
  unproven: Published[];
  frozen: Decision;
  deleted: Decision;
}

interface KeyView {
  readonly id: string;
  readonly text: string;
  revoked: Decision;
}

export class Oracle {
  readonly violations: string[] = [];
  readonly logs = new Map<string, LogView>();
  readonly items = new Map<string, Item>();
  readonly named = new Map<string, Item[]>();
  readonly keys: KeyView[] = [];
  acknowledged = 0;
  /** Number of heads that were seen. */
  heads = 0;

  readonly #latest: () => number;

  /** `latest` gives the time that an entry may have at most just now, in microseconds. */
  constructor(latest: () => number) {
    this.#latest = latest;
  }

  violate(text: string): void {
    this.violations.push(text);
  }

  /** A log that is there; later servers must have it with the same key. */
  meet({ definition }: Log): LogView {
    const { name, kind, origin, verifierKey } = definition;
    const known = this.logs.get(name);
    if (known !== undefined) {
      if (known.key.text !== verifierKey || known.kind !== kind) this.violate(`log ${name} came back as another one`);
      return known;
    }
    const leaves: Uint8Array[] = [];
    const key = parseVerifierKey(verifierKey);
    const seen = { reach: 0, known: 0, lastReceivedAt: 0, head: undefined, heads: new Map(), unproven: [] };
    const view: LogView = {
      ...{ name, kind, origin, key, leaves, tree: new ReferenceTree(leaves) },
      ...seen,
      ...{ frozen: 'no', deleted: 'no' },
    };
    this.logs.set(name, view);
    return view;
  }

  /** An item that is about to be sent, for the first time or again. */
  item(log: LogView, text: string, name: string | undefined): Item {
    const key = `${log.name} ${text}`;
    let item = this.items.get(key);
    if (item === undefined) {
      item = { log, text, name, index: undefined, waiting: 0, maybe: false };
      this.items.set(key, item);
      if (name !== undefined) this.namesakes(name).push(item);
    }
    return item;
  }

  namesakes(name: string): Item[] {
    let items = this.named.get(name);
    if (items === undefined) {
      items = [];
      this.named.set(name, items);
    }
    return items;
  }

  /** A leaf was seen at an index: from now on no other may be. */
  leaf(log: LogView, index: number, leaf: Uint8Array): void {
    const before = log.leaves[index];
    if (before === undefined) log.leaves[index] = leaf.slice();
    else if (!equalBytes(before, leaf)) this.violate(`log ${log.name}: leaf ${index} has two contents`);
    log.reach = Math.max(log.reach, index + 1);
  }

  /** An item was acknowledged. */
  placed(item: Item, index: number, leaf: Uint8Array): void {
    const { log, text, name } = item;
    if (item.index === undefined) this.acknowledged++;
    else if (item.index !== index)
      this.violate(`log ${log.name}: ${text} was acknowledged at ${item.index} and ${index}`);
    item.index = index;
    this.leaf(log, index, leaf);
    const other = name === undefined ? undefined : this.namesakes(name).find((some) => contradicts(some, item));
    if (other?.index !== undefined) {
      this.violate(`log ${log.name}: ${name} was acknowledged with two contents, at ${other.index} and ${index}`);
    }
  }

  /** An entry of an events log, as it came with an acknowledgement or from a read: must be what its leaf commits to. */
  entry(log: LogView, entry: StoredEntry): void {
    const { leafIndex, receivedAt } = entry;
    if (!equalBytes(entryLeaf(entry, log.origin), entry.leaf))
      this.violate(`log ${log.name}: entry ${leafIndex} is not what its leaf commits to`);
    const latest = this.#latest();
    if (receivedAt > latest)
      this.violate(`log ${log.name}: entry ${leafIndex} is of ${receivedAt - latest} µs after what the clock allows`);
    this.leaf(log, leafIndex, entry.leaf);
  }

  /** A head was shown. */
  head(log: LogView, head: Published, durable: number): void {
    const { treeSize, rootHash, checkpoint, time } = head;
    const before = log.head;
    log.head = head;
    if (before?.treeSize === treeSize && before.time === time && before.checkpoint === checkpoint) return;
    this.heads++;
    const stated = openCheckpoint(checkpoint, log.key);
    if (stated.treeSize !== treeSize || !equalBytes(stated.rootHash, rootHash))
      this.violate(`log ${log.name}: the checkpoint of size ${treeSize} says something else`);
    if (treeSize > durable) this.violate(`log ${log.name}: a head of size ${treeSize} over ${durable} durable leaves`);
    if (before !== undefined && (treeSize < before.treeSize || time <= before.time))
      this.violate(
        `log ${log.name}: a head of size ${treeSize} at ${time} after one of size ${before.treeSize} at ${before.time}`,
      );
    if (!log.heads.has(treeSize)) log.heads.set(treeSize, head);
    log.unproven.push(head);
    log.reach = Math.max(log.reach, treeSize);
  }

  /** All leaves of a log up to a size, as a restarted server has them; what was seen of it before reached as far as `reach`. */
  allLeaves(log: LogView, leaves: readonly Uint8Array[], rootHash: Uint8Array, reach: number): void {
    const size = leaves.length;
    if (size < reach) this.violate(`log ${log.name} has ${size} leaves, and leaf ${reach - 1} was seen or promised`);
    for (const [index, leaf] of leaves.entries()) this.leaf(log, index, leaf);
    if (this.violations.length > 0) return;
    if (log.kind === 'events') this.#checkTimes(log, size);
    log.known = size;
    if (!equalBytes(log.tree.root(size), rootHash))
      this.violate(`log ${log.name}: its root at size ${size} is not that of its leaves`);
    this.#checkRoots(log, size);
  }

  /** Every event of a log, from an index on: none that was refused, none twice. */
  events(log: LogView, entries: readonly StoredEntry[]): void {
    for (const entry of entries) {
      this.entry(log, entry);
      const text = Buffer.from(entry.event).toString();
      if (text.startsWith('{"action":')) continue;
      this.stored(log, text, entry.leafIndex);
    }
  }

  /** An item was found in the log. */
  stored(log: LogView, text: string, index: number): void {
    const item = this.items.get(`${log.name} ${text}`);
    if (item === undefined) this.violate(`log ${log.name}: entry ${index} was sent by nobody: ${text}`);
    else if (item.index === undefined && !item.maybe && item.waiting === 0)
      this.violate(`log ${log.name}: ${text} was refused, and is entry ${index}`);
    else if (item.index !== undefined && item.index !== index)
      this.violate(`log ${log.name}: ${text}, acknowledged at ${item.index}, is logged a second time at ${index}`);
    else {
      // Found is as good as acknowledged from here on.
      item.index = index;
      const other =
        item.name === undefined ? undefined : this.namesakes(item.name).find((some) => contradicts(some, item));
      if (other?.index !== undefined)
        this.violate(`log ${log.name}: ${item.name} is logged twice, at ${other.index} and ${index}`);
    }
  }

  #checkTimes(log: LogView, size: number): void {
    for (let index = log.known; index < size; index++) {
      const { receivedAt } = parseEventLeaf(log.leaves[index] as Uint8Array);
      if (receivedAt < log.lastReceivedAt) this.violate(`log ${log.name}: receivedAt decreases at entry ${index}`);
      log.lastReceivedAt = receivedAt;
    }
  }

  #checkRoots(log: LogView, size: number): void {
    for (const { treeSize, rootHash, time } of log.unproven) {
      if (treeSize > size) continue;
      if (!equalBytes(log.tree.root(treeSize), rootHash))
        this.violate(`log ${log.name}: the head of size ${treeSize} (${toBase64(rootHash)}) is not of these leaves`);
      if (treeSize === 0 || log.kind !== 'events') continue;
      const { receivedAt } = parseEventLeaf(log.leaves[treeSize - 1] as Uint8Array);
      if (time * 1000 < receivedAt)
        this.violate(`log ${log.name}: the head of size ${treeSize} is older than its entries`);
    }
    log.unproven = log.unproven.filter(({ treeSize }) => treeSize > size);
  }
}

/** Whether two items of one name cannot both be stored: a request has one name for all of its items. */
function contradicts(one: Item, other: Item): boolean {
  return one !== other && requestOf(one.text) !== requestOf(other.text);
}

/** Texts of one request begin alike up to the first `#`; an event by itself has none. */
export function requestOf(text: string): string {
  const end = text.indexOf('#');
  return end < 0 ? text : text.slice(0, end);
}
