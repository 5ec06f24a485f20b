/**
 * Checks the id rows of a log. Those of an events log follow from the headers of its entries: each entry that says so has its row,
 * and no row points to anything else. A raw log's are primary state: nothing says what they must be but their form.
 */
import { type EventHeader, parseHeader } from '../../proofs/leaf.ts';
import { eventId, parsePointer } from '../ingest/event-id.ts';
import { eventKey, idKey } from '../storage/keys.ts';
import { type IdRow, parseEventRow, parseIdRow } from '../storage/rows.ts';
import { prefixRange, type Row, StorageError } from '../storage/store.ts';
import { rowKey } from '../wanted-ids.ts';
import { type Fault, fault, type Report } from './fault.ts';
import type { Found, Reads } from './reads.ts';

/** What an entry says about how it was made exactly-once. */
export interface EntryIds {
  readonly leafIndex: number;
  readonly header: EventHeader;
  readonly event: Uint8Array;
}

export interface IdsOptions {
  readonly log: string;
  readonly treeSize: number;
  /** Digest under the log's id key; `undefined` where the master seed is not at hand, and only forms are checked. */
  readonly idDigest: ((id: string) => string) | undefined;
  /** Source name of an API key, by its id; `undefined` for keys that are not stored, `null` for those whose rows are damaged. */
  readonly sourceOf: (keyId: string) => string | undefined | null;
  readonly reads: Reads;
  readonly report: Report;
  /** Rows of entries beyond the tree size are those of commits since, not damage. */
  readonly growing: boolean;
}

type IdDigest = (id: string) => string;

/** Row keys that would be right for an entry, the likeliest first, and what must stand there. */
interface Wanted {
  readonly keys: readonly string[];
  readonly leafIndex: number;
  readonly count: number;
}

export interface IdsCheck {
  /** Entries of the log from `first` on, in order, some at a time; `undefined` for those that cannot be judged. */
  entries(first: number, entries: readonly (EntryIds | undefined)[]): Promise<void>;
  /** After the last entry: looks at the rows that no entry has asked for. */
  finish(): Promise<void>;
}

/** The id rows of an events log. */
export function makeIdsCheck(options: IdsOptions): IdsCheck {
  const { log, reads, report, idDigest, sourceOf } = options;
  const tell = (problem: Fault['problem'], rest: Partial<Fault>): void =>
    report(fault('id', problem, { log, ...rest }));
  /** Rows that entries have asked for and that are there. */
  let present = 0;
  /** Leaf indexes of entries that cannot be judged, and so neither can what points to them. */
  const unsound = new Set<number>();
  const requests = makeRequests(tell);

  const check = async (wanted: readonly Wanted[]): Promise<Found[]> => {
    const found = await reads.getMany(wanted.map(({ keys }) => keys[0] as string));
    for (const [i, { keys, leafIndex, count }] of wanted.entries()) {
      let row = found[i];
      let key = keys[0] as string;
      for (const other of row === undefined ? keys.slice(1) : []) {
        const value = await reads.get(other);
        if (value !== undefined) [row, key] = [value, other];
      }
      found[i] = row;
      if (row instanceof StorageError) continue;
      const derived = rowText({ leafIndex, count });
      if (row === undefined) {
        tell('missing', { index: leafIndex, key, derived });
        continue;
      }
      present++;
      const parsed = parsedRow(row);
      if (parsed === undefined) tell('malformed', { index: leafIndex, key, stored: `${row.length} bytes`, derived });
      else if (parsed.leafIndex !== leafIndex || (count > 0 && parsed.count !== count))
        tell('differs', { index: leafIndex, key, stored: rowText(parsed), derived });
    }
    return found;
  };

  return {
    entries: async (first, known) => {
      if (idDigest === undefined) return;
      // Under what name an id was used is not known where the row of the key is damaged.
      const given = known.map((entry) =>
        entry === undefined || sourceOf(entry.header.by) === null ? undefined : entry,
      );
      for (const [i, entry] of given.entries()) if (entry === undefined) unsound.add(first + i);
      const entries = given.filter((entry) => entry !== undefined);
      const wanted: Wanted[] = [];
      for (const entry of entries) {
        const keys = pointerKeys(options, entry, idDigest);
        if (keys.length > 0) wanted.push({ keys, leafIndex: entry.leafIndex, count: 1 });
        else if (entry.header.id_pointer !== undefined)
          tell('malformed', {
            index: entry.leafIndex,
            stored: `a header with the id pointer ${entry.header.id_pointer}, which leads to no id`,
          });
      }
      await check(wanted);
      for (const entry of given) {
        if (entry === undefined) {
          requests.gap();
          continue;
        }
        const begun = requests.next(entry, requestKeys(options, entry, idDigest));
        if (begun === undefined) continue;
        // The number of entries is known only at the end of the request; 0 leaves it open until then.
        const [row] = await check([{ keys: begun, leafIndex: entry.leafIndex, count: 0 }]);
        const stored = row instanceof Uint8Array ? parsedRow(row) : undefined;
        // A row that is wrong already has nothing to say of how many follow.
        const count = stored?.leafIndex === entry.leafIndex ? stored.count : undefined;
        requests.begin(entry.leafIndex, begun[0] as string, count);
      }
    },
    finish: async () => {
      requests.end();
      let rows = 0;
      let others = 0;
      for await (const row of idRows(options, () => others++)) {
        if (options.growing && (parsedRow(row.value)?.leafIndex ?? 0) >= options.treeSize) continue;
        rows++;
      }
      // As many as were asked for, and nothing else among them: then there is no other.
      if (idDigest !== undefined && rows === present && others === 0) return;
      for await (const row of idRows(options, report)) await checkStray(options, row, unsound, tell);
    },
  };
}

/** The id rows of a raw log: 16 bytes each, within the log. */
export async function checkRawIds(options: IdsOptions): Promise<void> {
  for await (const row of idRows(options, options.report)) checkForm(options, row);
}

/** Rows whose keys have the form of id rows; others are reported. */
async function* idRows({ log, reads }: IdsOptions, report: Report): AsyncGenerator<Row, void, undefined> {
  const prefix = idKey(log, '');
  const { gte, lt } = prefixRange(prefix, 1);
  for await (const row of reads.range({ gte, lt }, 256)) {
    if (/^[A-Za-z0-9_-]{43}$/.test(row.key.slice(prefix.length))) yield row;
    else report(fault('id', 'stray', { log, key: row.key, stored: 'a key of no form that ids have' }));
  }
}

/** Checks the form of a row alone. Returns it where it is well formed and within the log. */
function checkForm({ log, treeSize, growing, report }: IdsOptions, { key, value }: Row): IdRow | undefined {
  const row = parsedRow(value);
  const tell = (problem: Fault['problem'], stored: string): void =>
    report(fault('id', problem, { log, key, stored, index: row?.leafIndex ?? null }));
  if (row === undefined) tell('malformed', `${value.length} bytes`);
  else if (growing && row.leafIndex >= treeSize) return undefined;
  else if (row.count < 1 || row.leafIndex + row.count > treeSize)
    tell('stray', `${rowText(row)}, in a log of ${treeSize} entries`);
  else return row;
  return undefined;
}

/** A row of an events log, looked at by itself: the entry that it points to must make its key. */
async function checkStray(
  options: IdsOptions,
  row: Row,
  unsound: ReadonlySet<number>,
  tell: (problem: Fault['problem'], rest: Partial<Fault>) => void,
): Promise<void> {
  const { log, reads, idDigest } = options;
  const parsed = checkForm(options, row);
  if (parsed === undefined || idDigest === undefined || unsound.has(parsed.leafIndex)) return;
  const { leafIndex } = parsed;
  const stored = await reads.get(eventKey(log, leafIndex));
  if (!(stored instanceof Uint8Array)) return; // Told of with the events.
  let keys: readonly string[];
  try {
    const { header, event } = parseEventRow(stored);
    const entry = { leafIndex, header: parseHeader(header), event };
    keys = [...pointerKeys(options, entry, idDigest), ...requestKeys(options, entry, idDigest)];
  } catch {
    return;
  }
  if (!keys.includes(row.key))
    tell('stray', {
      index: leafIndex,
      key: row.key,
      stored: rowText(parsed),
      derived: 'an entry with another id, or none',
    });
}

/** Kind pointer: the id that the header's pointer names in the event, under the source name of the key that brought it. */
function pointerKeys({ log, sourceOf }: IdsOptions, { header, event }: EntryIds, idDigest: IdDigest): string[] {
  const { id_pointer: pointer, by } = header;
  if (pointer === undefined) return [];
  try {
    const id = eventId(event, parsePointer(pointer));
    if (id.kind === 'absent') return [];
    return sources(by, sourceOf).map((source) => rowKey({ name: log, idDigest }, 'pointer', source, pointer, id.jcs));
  } catch {
    return [];
  }
}

/** Kind key: the Idempotency-Key of the request that the entry was in. */
function requestKeys({ log, sourceOf }: IdsOptions, { header }: EntryIds, idDigest: IdDigest): string[] {
  const { idempotency_key: key, by } = header;
  if (key === undefined) return [];
  return sources(by, sourceOf).map((source) => rowKey({ name: log, idDigest }, 'key', source, '', JSON.stringify(key)));
}

/** A key that is set from outside is not stored and goes by its id; it may have the id of one that is. */
function sources(by: string, sourceOf: IdsOptions['sourceOf']): string[] {
  const name = sourceOf(by);
  return name === undefined || name === null || name === by ? [by] : [name, by];
}

/** Follows the entries of requests with an Idempotency-Key: n counts them from 0, without gaps. */
function makeRequests(tell: (problem: Fault['problem'], rest: Partial<Fault>) => void): {
  next(entry: EntryIds, keys: readonly string[]): readonly string[] | undefined;
  begin(leafIndex: number, key: string, count: number | undefined): void;
  gap(): void;
  end(): void;
} {
  let run: { readonly key: string; readonly first: number; readonly count: number | undefined } | undefined;
  let length = 0;
  /** The entry before is not known, nor whether it was in the same request. */
  let afterGap = false;
  const end = (): void => {
    if (run?.count !== undefined && run.count !== length) {
      const { key, first: leafIndex, count } = run;
      tell('differs', {
        index: leafIndex,
        key,
        stored: rowText({ leafIndex, count }),
        derived: rowText({ leafIndex, count: length }),
      });
    }
    run = undefined;
  };
  return {
    next: ({ header, leafIndex }, keys) => {
      const [key] = keys;
      const unknown = afterGap;
      afterGap = false;
      if (key !== undefined && run?.key === key && header.n === length) {
        length++;
        return undefined;
      }
      end();
      if (key === undefined) return undefined;
      if (header.n === 0) return keys;
      if (unknown && header.n !== undefined) {
        run = { key, first: leafIndex - header.n, count: undefined };
        length = header.n + 1;
        return undefined;
      }
      tell('differs', {
        index: leafIndex,
        key,
        stored: `a header with n ${header.n}`,
        derived: 'a request that begins with n 0',
      });
      return undefined;
    },
    begin: (first, key, count) => {
      run = { key, first, count };
      length = 1;
    },
    gap: () => {
      run = undefined;
      afterGap = true;
    },
    end,
  };
}

function parsedRow(value: Uint8Array): IdRow | undefined {
  try {
    return parseIdRow(value);
  } catch {
    return undefined;
  }
}

function rowText({ leafIndex, count }: IdRow): string {
  return count === 1 || count === 0 ? `leaf index ${leafIndex}` : `leaf index ${leafIndex} and ${count} entries`;
}
