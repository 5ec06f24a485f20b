/** Entries of events logs: made from an event before it is committed, read back and checked after. */
import { randomFillSync } from 'node:crypto';
import {
  commitment,
  EVENT_LEAF_SIZE,
  encodeEventLeaf,
  encodeHeader,
  parseEventLeaf,
  SALT_SIZE,
} from '../proofs/leaf.ts';
import { equalBytes, utf8 } from '../tree/bytes.ts';
import type { Transaction } from './committer.ts';
import { ServerError } from './errors.ts';
import type { Log } from './log.ts';
import type { LogState } from './log-state.ts';
import { eventKey } from './storage/keys.ts';
import { type EventRow, encodeEventRow, parseEventRow } from './storage/rows.ts';
import type { Store } from './storage/store.ts';
import type { TreeReader } from './tree-reader.ts';
import { getEach } from './watched-store.ts';

/** An entry as it is stored: what the leaf says, and what stands beside it. */
export interface StoredEntry extends EventRow {
  readonly leafIndex: number;
  readonly receivedAt: number;
  readonly leaf: Uint8Array;
}

/** What an entry is made of. The event must have passed `checkEvent`, and the salt be one of `freshSalts`. */
export interface NewEntry {
  readonly event: Uint8Array;
  readonly header: Uint8Array;
  readonly receivedAt: number;
  readonly salt: Uint8Array;
}

/** Puts one entry of an events log into a transaction. Its leaf is a view of the transaction's slab. */
export function appendEntry(
  transaction: Transaction,
  log: Log,
  { event, header, receivedAt, salt }: NewEntry,
): StoredEntry {
  const { slab } = transaction;
  const leaf = encodeEventLeaf(
    { receivedAt, commitment: commitment({ origin: log.definition.origin, salt, header, event }) },
    slab.take(EVENT_LEAF_SIZE),
  );
  const leafIndex = transaction.append(log, leaf, receivedAt);
  transaction.put(eventKey(log.name, leafIndex), encodeEventRow({ salt, header, event }, slab));
  return { leafIndex, receivedAt, leaf, salt, header, event };
}

/** Random bytes for salts to come, 2,048 at a time: a call for each took 3 µs, as long as hashing the event. */
const salts = new Uint8Array(2048 * SALT_SIZE);
let spent = salts.length;

/** Salts that nobody else gets, whatever becomes of their entries; views of one array. */
export function freshSalts(count: number): Uint8Array[] {
  const size = count * SALT_SIZE;
  const own = size > salts.length ? randomFillSync(new Uint8Array(size)) : fromPool(size);
  return Array.from({ length: count }, (_, i) => own.subarray(i * SALT_SIZE, (i + 1) * SALT_SIZE));
}

function fromPool(size: number): Uint8Array {
  if (spent + size > salts.length) {
    randomFillSync(salts);
    spent = 0;
  }
  const own = salts.slice(spent, spent + size);
  // What salts an entry that is erased one day must not be found here.
  salts.fill(0, spent, spent + size);
  spent += size;
  return own;
}

const SYSTEM_HEADER = encodeHeader({ by: 'system', via: 'system' });

/** What the server itself did, as an event: `action` is noun.verb, the other members say what helps. */
export interface SystemEvent {
  readonly action: string;
  readonly [member: string]: unknown;
}

/** Puts a statement of the server into a transaction; only its header makes anybody believe it. */
export function appendSystemEvent(transaction: Transaction, log: Log, event: SystemEvent, now: number): void {
  const receivedAt = Math.max(now, transaction.lastReceivedAt(log));
  const [salt] = freshSalts(1) as [Uint8Array];
  appendEntry(transaction, log, { event: utf8(JSON.stringify(event)), header: SYSTEM_HEADER, receivedAt, salt });
}

/** What reading entries needs, and who hears of damage. */
export interface EntrySources {
  readonly store: Store;
  readonly reader: TreeReader;
  readonly onDamage: (message: string) => void;
}

/**
 * Reads entries of a log, all within `state`, each leaf checked against the tree and each event against its leaf. What is damaged
 * comes as the ServerError `damaged` in its place: a missing row below the size is damage, never "gone".
 */
export async function readEntries(
  { store, reader, onDamage }: EntrySources,
  log: Log,
  state: LogState,
  leafIndexes: readonly number[],
): Promise<(StoredEntry | ServerError)[]> {
  const rows = await getEach(
    store,
    leafIndexes.map((leafIndex) => eventKey(log.name, leafIndex)),
  );
  const entries: (StoredEntry | ServerError)[] = [];
  for (const [i, leafIndex] of leafIndexes.entries()) {
    try {
      const row = rows[i];
      if (row instanceof ServerError) throw row;
      const [leaf] = await reader.leaves(log, state, leafIndex, leafIndex + 1);
      entries.push(checkEntry(log, leafIndex, leaf as Uint8Array, row));
    } catch (error) {
      const message = `log ${log.name}: entry ${leafIndex} is damaged: ${(error as Error).message}`;
      onDamage(message);
      entries.push(new ServerError('damaged', message, { cause: error }));
    }
  }
  return entries;
}

function checkEntry(log: Log, leafIndex: number, leaf: Uint8Array, bytes: Uint8Array | undefined): StoredEntry {
  if (bytes === undefined) throw new RangeError('its event row is missing');
  const row = parseEventRow(bytes);
  const stated = parseEventLeaf(leaf);
  if (!equalBytes(stated.commitment, commitment({ origin: log.definition.origin, ...row }))) {
    throw new RangeError('its leaf does not commit to the stored event');
  }
  return { leafIndex, receivedAt: stated.receivedAt, leaf, ...row };
}
