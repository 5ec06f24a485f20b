/**
 * Checks what stands beside the leaves of an events log: each event row is there, is what its leaf commits to and has a header that
 * reads; receivedAt never decreases. No row stands between them or after the last.
 */
import { commitment, type EventLeaf, encodeEventLeaf, parseEventLeaf, parseHeader } from '../../proofs/leaf.ts';
import { equalBytes, toHex } from '../../tree/bytes.ts';
import { leafHash, type TreeHash } from '../../tree/hash.ts';
import { eventKey } from '../storage/keys.ts';
import { type EventRow, parseEventRow } from '../storage/rows.ts';
import { prefixRange, StorageError } from '../storage/store.ts';
import { type Fault, fault, type Report } from './fault.ts';
import type { EntryIds } from './ids.ts';
import type { Found, Reads } from './reads.ts';

/** Rows read and hashed in one go: a millisecond or two between two turns of others. */
const SLICE = 32;
/** Rows of large events are read fewer at a time, so that they take about as much memory, in bytes. */
const SLICE_BYTES = 1_048_576;

export interface EventsOptions {
  readonly log: string;
  readonly origin: string;
  readonly treeSize: number;
  readonly reads: Reads;
  readonly report: Report;
  /** Rows beyond the tree size are those of commits since, not damage. */
  readonly growing: boolean;
  /** Gets the entries from `first` on, in order; `undefined` for those that are not whole. */
  readonly onEntries: (first: number, entries: readonly (EntryIds | undefined)[]) => Promise<void>;
}

/** One leaf to compare with, and what the tree believes it hashes to; `undefined` for what is not known. */
export interface CheckedLeaf {
  readonly leaf: Uint8Array | undefined;
  readonly hash: TreeHash | undefined;
  /** Key of the row that the leaf stands in. */
  readonly key: string;
  /** The tree does not vouch for this leaf: where it and its event do not agree, the leaf is the one that changed. */
  readonly doubtful?: boolean;
}

export interface EventsCheck {
  /** Entries from `first` on, in order and without gaps from call to call. */
  entries(first: number, leaves: readonly CheckedLeaf[]): Promise<void>;
  /** After the last: looks for rows beyond it. Returns the receivedAt of the last leaf, 0 for none; `undefined` where it is unknown. */
  finish(): Promise<number | undefined>;
}

export function makeEventsCheck(options: EventsOptions): EventsCheck {
  const { log, origin, treeSize, reads, report, growing, onEntries } = options;
  const prefix = eventKey(log, 0).slice(0, -16);
  let last: number | undefined = 0;
  let slice = SLICE;
  /** Where the rows that were not looked at yet begin. */
  let from = prefix;
  const stray = (row: { readonly key: string }): void => {
    const number = Number(row.key.slice(prefix.length));
    const isRow = /^[0-9]{16}$/.test(row.key.slice(prefix.length));
    if (growing && isRow && number >= treeSize) return;
    const stored = isRow ? `an event beyond the tree size ${treeSize}` : 'a key of no form that events have';
    report(fault('event', 'stray', { log, key: row.key, index: isRow ? number : null, stored }));
  };
  const tell = (leafIndex: number, problem: Fault['problem'], stored: string | null, derived: string | null): void =>
    report(fault('event', problem, { log, index: leafIndex, key: eventKey(log, leafIndex), stored, derived }));

  const leafOf = (leafIndex: number, { leaf, hash, key }: CheckedLeaf): EventLeaf | undefined => {
    if (leaf === undefined) return undefined;
    const sound = hash === undefined || equalBytes(leafHash(leaf), hash);
    try {
      const stated = parseEventLeaf(leaf);
      // What the time of a damaged leaf says is nothing to compare with.
      if (sound && last !== undefined && stated.receivedAt < last) {
        const [stored, derived] = [`receivedAt ${stated.receivedAt}`, `${last} or later, as of the leaf before`];
        report(fault('entry bundle', 'differs', { log, index: leafIndex, key, stored, derived }));
      }
      last = sound ? stated.receivedAt : undefined;
      return stated;
    } catch (error) {
      last = undefined;
      if (sound) {
        const stored = (error as Error).message;
        report(fault('entry bundle', 'malformed', { log, index: leafIndex, key, stored }));
      }
      return undefined;
    }
  };

  const checkRow = (leafIndex: number, checked: CheckedLeaf, found: Found): EntryIds | undefined => {
    const stated = leafOf(leafIndex, checked);
    if (found instanceof StorageError) return undefined;
    if (found === undefined) {
      tell(leafIndex, 'missing', null, stated === undefined ? null : `commitment ${toHex(stated.commitment)}`);
      return undefined;
    }
    let row: EventRow;
    let own: Uint8Array;
    try {
      row = parseEventRow(found);
      own = commitment({ origin, ...row });
    } catch (error) {
      tell(leafIndex, 'malformed', (error as Error).message, null);
      return undefined;
    }
    const agree = stated === undefined || equalBytes(own, stated.commitment);
    if (!agree && checked.doubtful === true) {
      const [stored, derived] = [`commitment ${toHex(stated.commitment)}`, `${toHex(own)}, from its event`];
      report(fault('open leaf', 'differs', { log, index: leafIndex, key: checked.key, stored, derived }));
    } else if (!agree && !isOriginal(checked, stated, own)) {
      tell(leafIndex, 'differs', `commitment ${toHex(own)}`, toHex(stated.commitment));
      return undefined;
    }
    try {
      return { leafIndex, header: parseHeader(row.header), event: row.event };
    } catch (error) {
      tell(leafIndex, 'malformed', (error as Error).message, null);
      return undefined;
    }
  };

  return {
    entries: async (first, leaves) => {
      for (let at = 0; at < leaves.length; ) {
        const part = leaves.slice(at, at + slice);
        const keys = part.map((_, i) => eventKey(log, first + at + i));
        const rows = await reads.between(keys, stray, from);
        from = `${keys.at(-1)}\0`;
        const entries = part.map((leaf, i) => checkRow(first + at + i, leaf, rows[i]));
        const bytes = rows.reduce((sum, row) => sum + (row instanceof Uint8Array ? row.length : 0), 0);
        slice = Math.max(1, Math.min(SLICE, Math.floor((SLICE_BYTES * part.length) / Math.max(1, bytes))));
        await onEntries(first + at, entries);
        at += part.length;
      }
    },
    finish: async () => {
      const { lt } = prefixRange(prefix, 1);
      // While the log grows, what follows is what is being written; only the form of its keys could be wrong.
      if (!growing) for await (const row of reads.range({ gte: from, lt })) stray(row);
      return last;
    },
  };
}

/** Whether a leaf that is damaged itself would be right with the commitment that the event row gives. */
function isOriginal({ hash }: CheckedLeaf, { receivedAt }: EventLeaf, own: Uint8Array): boolean {
  return hash !== undefined && equalBytes(leafHash(encodeEventLeaf({ receivedAt, commitment: own })), hash);
}
