/** Checks what a store holds besides its logs: whose store it is, the chain of commit records, log definitions and API keys. */
import { NoteError } from '../../proofs/error.ts';
import { parseVerifierKey, type VerifierKey } from '../../proofs/key.ts';
import { equalBytes, fromUtf8, toHex } from '../../tree/bytes.ts';
import { type ApiKey, parseApiKey } from '../access.ts';
import { type LogDefinition, parseDefinition } from '../log.ts';
import { logKeys } from '../log-keys.ts';
import type { KeyRing } from '../secrets.ts';
import {
  type CommitRecord,
  commitRecordHash,
  type LogHead,
  LogSum,
  NO_RECORD_HASH,
  parseCommitRecord,
  RECORDS_KEPT,
} from '../storage/commit-record.ts';
import {
  API_KEY_PREFIX,
  apiKeyKey,
  COMMIT_PREFIX,
  commitKey,
  LOG_DEFINITION_PREFIX,
  LOG_ROOTS,
  logDefinitionKey,
  logOf,
  numberInKey,
  STORE_KEY,
} from '../storage/keys.ts';
import { prefixRange, type Row } from '../storage/store.ts';
import { type FaultKind, fault, type Problem, type Report } from './fault.ts';
import { after, type Reads } from './reads.ts';

export interface ServerRowsOptions {
  readonly reads: Reads;
  readonly report: Report;
  readonly storeId: Uint8Array;
  /** Keys derived from the master seed; `undefined` where it is not at hand. */
  readonly keys: KeyRing | undefined;
}

/** A log as its definition says, with the keys that its heads are checked with. */
export interface DefinedLog {
  readonly definition: LogDefinition;
  /** Every key that the log has signed with. */
  readonly verifierKeys: readonly VerifierKey[];
}

export interface Commits {
  readonly last: CommitRecord | undefined;
  /** Hashes of the records, by number. */
  readonly hashes: ReadonlyMap<number, Uint8Array>;
}

/** Checks the row that names the store. */
export async function checkStoreRow({ reads, report, storeId }: ServerRowsOptions): Promise<void> {
  const found = await reads.get(STORE_KEY);
  const tell = (problem: Problem, stored: string | null): void =>
    report(fault('store', problem, { key: STORE_KEY, stored, derived: `store id ${toHex(storeId)}` }));
  if (found === undefined) tell('missing', null);
  if (!(found instanceof Uint8Array)) return;
  try {
    const { store_id: stated } = JSON.parse(fromUtf8(found)) as { store_id?: unknown };
    if (stated !== toHex(storeId)) tell('differs', `store id ${String(stated)}`);
  } catch (error) {
    tell('malformed', (error as Error).message);
  }
}

/** Checks the chain of commit records; everything that follows from the last one is for `checkSum`. */
export async function checkCommits({ reads, report, storeId }: ServerRowsOptions): Promise<Commits> {
  const hashes = new Map<number, Uint8Array>();
  let last: CommitRecord | undefined;
  let expected: number | undefined;
  let count = 0;
  const { gte, lt } = prefixRange(COMMIT_PREFIX, 1);
  // All in one page: a running server deletes the oldest with each commit.
  for await (const { key, value } of reads.range({ gte, lt }, RECORDS_KEPT + 16)) {
    const tell = (problem: Problem, stored: string | null, derived: string | null = null): void =>
      report(fault('commit record', problem, { key, index: n, stored, derived }));
    const n = numberInKey(key);
    if (!Number.isSafeInteger(n) || key !== commitKey(n)) {
      report(fault('commit record', 'stray', { key, stored: 'a key of no form that commit records have' }));
      continue;
    }
    count++;
    for (let missing = expected ?? n; missing < n; missing++)
      report(fault('commit record', 'missing', { key: commitKey(missing), index: missing }));
    expected = n + 1;
    const previous = n === 1 ? NO_RECORD_HASH : hashes.get(n - 1);
    hashes.set(n, commitRecordHash(value));
    try {
      const record = parseCommitRecord(value);
      if (!equalBytes(record.storeId, storeId)) tell('differs', `store id ${toHex(record.storeId)}`, toHex(storeId));
      if (record.n !== n) tell('differs', `number ${record.n}`, `${n}, by its key`);
      if (previous !== undefined && !equalBytes(previous, record.previous))
        tell('differs', `${toHex(record.previous)} as hash of the record before`, toHex(previous));
      last = record;
    } catch (error) {
      tell('malformed', (error as Error).message);
      last = undefined;
    }
  }
  const newest = (expected ?? 1) - 1;
  const kept = Math.min(newest, RECORDS_KEPT);
  // Gaps were named one by one; what is left is the beginning, or more than are kept.
  const oldest = newest - kept + 1;
  if (newest > 0 && !hashes.has(oldest))
    report(
      fault('commit record', 'missing', {
        key: commitKey(oldest),
        index: oldest,
        derived: `the oldest of the ${kept} that are kept`,
      }),
    );
  if (count > kept)
    report(fault('commit record', 'stray', { stored: `${count} records up to ${newest}`, derived: `${kept}` }));
  return { last, hashes };
}

/** Checks the definitions of all logs against the keys that the master seed gives them. */
export async function checkDefinitions({ reads, report, keys }: ServerRowsOptions): Promise<DefinedLog[]> {
  const logs: DefinedLog[] = [];
  for await (const row of rowsUnder(reads, LOG_DEFINITION_PREFIX)) {
    const definition = parsed(row, 'log definition', parseDefinition, report);
    if (definition === undefined) continue;
    const { name, origin, verifierKey: stated, rotations } = definition;
    const { key } = row;
    const tell = (problem: Problem, stored: string, derived: string | null): void =>
      report(fault('log definition', problem, { log: name, key, stored, derived }));
    if (key !== logDefinitionKey(name)) {
      tell('differs', `the definition of ${name}`, `that of ${key.slice(LOG_DEFINITION_PREFIX.length)}`);
      continue;
    }
    try {
      const named = [stated, ...rotations.map(({ verifierKey }) => verifierKey)].map(parseVerifierKey);
      const verifierKeys = keys === undefined ? named : logKeys(definition, keys.signer).all;
      const other = verifierKeys.find((verifierKey) => verifierKey.name !== origin);
      if (other !== undefined) tell('differs', `verifier key of ${other.name}`, `one of ${origin}`);
      logs.push({ definition, verifierKeys });
    } catch (error) {
      tell(error instanceof NoteError ? 'malformed' : 'differs', (error as Error).message, null);
      if (keys !== undefined) logs.push({ definition, verifierKeys: derivedKeys(definition, keys) });
    }
  }
  return logs;
}

/** What the keys of all epochs that a definition counts would be, whatever texts it states. */
function derivedKeys({ origin, rotations }: LogDefinition, keys: KeyRing): VerifierKey[] {
  return [...rotations.map(({ epoch }) => epoch).reverse(), 0].map((epoch) => keys.signer(origin, epoch).verifierKey);
}

/** Checks the API keys. Returns them by id; `null` for those whose rows are damaged. */
export async function checkApiKeys({ reads, report }: ServerRowsOptions): Promise<ReadonlyMap<string, ApiKey | null>> {
  const keys = new Map<string, ApiKey | null>();
  for await (const row of rowsUnder(reads, API_KEY_PREFIX)) {
    const apiKey = parsed(row, 'API key', parseApiKey, report);
    const isOwn = apiKey !== undefined && row.key === apiKeyKey(apiKey.id);
    keys.set(row.key.slice(API_KEY_PREFIX.length), isOwn ? apiKey : null);
    if (apiKey !== undefined && !isOwn)
      report(fault('API key', 'differs', { key: row.key, stored: `the key ${apiKey.id}` }));
  }
  return keys;
}

/** Compares what the last commit says of all logs with what was derived; `heads` lacks those that could not be. */
export function checkSum(last: CommitRecord, heads: readonly LogHead[], logCount: number, report: Report): void {
  const tell = (stored: string, derived: string, log: string | null = null): void =>
    report(fault('commit record', 'differs', { log, key: commitKey(last.n), index: last.n, stored, derived }));
  if (last.logCount !== logCount) tell(`${last.logCount} logs`, `${logCount}`);
  const sum = new LogSum();
  for (const head of heads) {
    sum.set(head);
    const changed = last.changed.find(({ name }) => name === head.name);
    if (changed === undefined) continue;
    if (changed.treeSize !== head.treeSize) tell(`tree size ${changed.treeSize}`, `${head.treeSize}`, head.name);
    else if (!equalBytes(changed.rootHash, head.rootHash))
      tell(`root hash ${toHex(changed.rootHash)}`, toHex(head.rootHash), head.name);
  }
  if (heads.length === logCount && logCount === last.logCount && !sum.equals(last.sum))
    tell(`sum ${toHex(last.sum)}`, toHex(sum.bytes()));
}

/** Looks for rows outside of what the server and the defined logs hold. */
export async function checkOtherRows({ reads, report }: ServerRowsOptions, logs: ReadonlySet<string>): Promise<void> {
  const ranges: [string, string][] = [];
  let from = '';
  for (const prefix of [...LOG_ROOTS, COMMIT_PREFIX, API_KEY_PREFIX, LOG_DEFINITION_PREFIX].sort()) {
    ranges.push([from, prefix]);
    from = prefixRange(prefix, 1).lt;
  }
  ranges.push([from, '\u007f']);
  for (const [gte, lt] of ranges) {
    for await (const { key } of reads.range({ gte, lt }))
      if (key !== STORE_KEY) report(fault('row', 'stray', { key, stored: 'a row of no known kind' }));
  }
  const known = new Set(logs);
  for (const root of LOG_ROOTS) await checkLogsUnder(root, reads, report, known);
}

/** Whether all rows below that root belong to logs that are known; of another one, the first row is told of. */
async function checkLogsUnder(root: string, reads: Reads, report: Report, known: Set<string>): Promise<void> {
  const all = prefixRange(root, 1);
  for (let at = all.gte; ; ) {
    const { value: row } = await reads.range({ gte: at, lt: all.lt }, 1).next();
    if (row === undefined) return;
    const name = logOf(row.key);
    if (name === undefined) {
      report(fault('row', 'stray', { key: row.key, stored: 'a row of no known kind' }));
      at = after(row.key);
      continue;
    }
    if (!known.has(name))
      report(fault('row', 'stray', { log: name, key: row.key, stored: 'rows of a log that has no definition' }));
    known.add(name);
    at = prefixRange(`${root}${name}/`, 1).lt;
  }
}

function rowsUnder(reads: Reads, prefix: string): AsyncGenerator<Row, void, undefined> {
  const { gte, lt } = prefixRange(prefix, 1);
  return reads.range({ gte, lt }, 256);
}

function parsed<T>(
  { key, value }: Row,
  kind: FaultKind,
  parse: (bytes: Uint8Array) => T,
  report: Report,
): T | undefined {
  try {
    return parse(value);
  } catch (error) {
    report(fault(kind, 'malformed', { key, stored: (error as Error).message }));
    return undefined;
  }
}
