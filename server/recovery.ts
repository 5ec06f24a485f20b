/**
 * Recovery: what a start reads and checks before anything is accepted, signed or shown.
 *
 *   commit records: a whole chain of the store's own → start rules against the guard
 *   → every log: right edge re-hashed, newest head checked under its keys, growth since that head re-read leaf by leaf
 *   → S over all logs against the last record → a tail of one commit or two adopted: only now is it promised
 *
 * Throws ExitError 78 for everything that is not as it was promised, 70 where the disk fails. There is no repair.
 */
import { ProofError } from '../proofs/error.ts';
import { parseEventLeaf } from '../proofs/leaf.ts';
import { equalBytes, toHex } from '../tree/bytes.ts';
import { type Frontier, frontierRoot } from '../tree/frontier.ts';
import { coveringNodes } from '../tree/positions.ts';
import { type ApiKey, parseApiKey } from './access.ts';
import type { ChainEnd } from './committer.ts';
import { readWithheld } from './cosigning/withheld.ts';
import { EXIT, ExitError, ServerError } from './errors.ts';
import type { Guard, Promised } from './guard.ts';
import { readHead } from './heads.ts';
import { Log, type LogDefinition, type LogSecrets, type Published, parseDefinition } from './log.ts';
import { type LogKeys, logKeys, OtherKeyError } from './log-keys.ts';
import { emptyBundle, loadLogState, readEdge, verifyGrowth } from './log-state.ts';
import { checkTreeHeadSignature } from './own-signatures.ts';
import type { KeyRing } from './secrets.ts';
import { judgeStart } from './start-rules.ts';
import {
  type CommitRecord,
  commitRecordHash,
  LogSum,
  NO_RECORD_HASH,
  parseCommitRecord,
  RECORDS_KEPT,
} from './storage/commit-record.ts';
import {
  API_KEY_PREFIX,
  apiKeyKey,
  COMMIT_PREFIX,
  LOG_DEFINITION_PREFIX,
  logDefinitionKey,
  numberInKey,
} from './storage/keys.ts';
import { prefixRange, type Row, StorageError, type Store } from './storage/store.ts';
import { TreeReader } from './tree-reader.ts';

export interface Recovered {
  readonly end: ChainEnd;
  readonly logs: readonly Log[];
  readonly apiKeys: readonly ApiKey[];
  /** Newest time of all logs in microseconds: of a last entry that states one, or of a signed head. 0 for none. */
  readonly newestTime: number;
  /** How many durable commits that were never acknowledged have been adopted. */
  readonly adopted: number;
}

export interface RecoveryOptions {
  readonly store: Store;
  readonly guard: Guard;
  readonly slots: readonly [Promised | undefined, Promised | undefined];
  readonly storeId: Uint8Array;
  readonly keys: KeyRing;
}

/** Logs that are opened at a time: each waits for LevelDB's threads several times, and of a large one 6 MB are in memory meanwhile. */
const SIDE_BY_SIDE = 8;

interface Chain {
  readonly last: CommitRecord;
  readonly hashes: ReadonlyMap<number, Uint8Array>;
}

/** The chain of commit records, or `undefined` while there is none. Throws ExitError 78 if it is broken. */
export async function readChain(store: Store, storeId: Uint8Array): Promise<Chain | undefined> {
  const rows = await store.list(prefixRange(COMMIT_PREFIX, RECORDS_KEPT + 1));
  const hashes = new Map<number, Uint8Array>();
  let last: CommitRecord | undefined;
  for (const row of rows) {
    const n = numberInKey(row.key);
    let record: CommitRecord;
    try {
      record = parseCommitRecord(row.value);
    } catch (cause) {
      throw refused(`commit record ${n} is damaged: ${(cause as Error).message}`, cause);
    }
    if (!equalBytes(record.storeId, storeId)) {
      throw refused(`commit record ${n} belongs to store ${toHex(record.storeId)}, the guard to ${toHex(storeId)}`);
    }
    const previous = last === undefined ? (n === 1 ? NO_RECORD_HASH : record.previous) : hashes.get(n - 1);
    if (record.n !== n || previous === undefined || !equalBytes(previous, record.previous)) {
      throw refused(`commit record ${n} does not follow the one before it`);
    }
    hashes.set(n, commitRecordHash(row.value));
    last = record;
  }
  if (last === undefined) return undefined;
  if (rows.length !== Math.min(last.n, RECORDS_KEPT)) {
    throw refused(`the database keeps ${rows.length} commit records up to ${last.n}; some are missing`);
  }
  return { last, hashes };
}

/** Checks everything, then promises a tail if there is one. Throws ExitError 78, or a GuardError if that promise fails. */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  try {
    return await recoverStore(options);
  } catch (error) {
    if (error instanceof ServerError && error.code === 'damaged') throw refused(error.message, error);
    // A disk that fails says nothing against what is on it.
    if (error instanceof StorageError && error.code === 'failing')
      throw new ExitError(EXIT.failStop, error.message, { cause: error });
    if (error instanceof StorageError || error instanceof ProofError) throw refused(error.message, error);
    throw error;
  }
}

async function recoverStore({ store, guard, slots, storeId, keys }: RecoveryOptions): Promise<Recovered> {
  const chain = await readChain(store, storeId);
  const n = chain?.last.n ?? 0;
  const verdict = judgeStart(slots, { n, recordHash: (i) => chain?.hashes.get(i) });
  if (verdict.action === 'refuse') throw refused(verdict.reason);
  if (chain === undefined) throw new Error('bug: an interrupted first start was not made again');

  const definitions = (await listAll(store, LOG_DEFINITION_PREFIX)).map((row) => {
    const definition = named(row, parseDefinition);
    if (row.key !== logDefinitionKey(definition.name))
      throw refused(`${row.key} is the definition of ${definition.name}`);
    return definition;
  });
  // Each log by itself first, so that what is damaged is named; then all of them together.
  const logs: Log[] = [];
  for (let at = 0; at < definitions.length; at += SIDE_BY_SIDE) {
    const some = definitions.slice(at, at + SIDE_BY_SIDE);
    for (const opened of await Promise.allSettled(some.map((definition) => openLog(store, definition, keys)))) {
      if (opened.status === 'rejected') throw opened.reason;
      logs.push(opened.value);
    }
  }
  const sum = checkSum(chain.last, logs);
  const apiKeys = (await listAll(store, API_KEY_PREFIX)).map((row) => {
    const key = named(row, parseApiKey);
    if (row.key !== apiKeyKey(key.id)) throw refused(`${row.key} holds the API key ${key.id}`);
    return key;
  });

  const hashOf = (i: number): Uint8Array => chain.hashes.get(i) as Uint8Array;
  // One after the other, as they would have been. Crash here: some are promised, and the next start adopts the rest of the same tail.
  if (verdict.action === 'adopt')
    for (let i = verdict.promised + 1; i <= n; i++) await guard.promise({ n: i, recordHash: hashOf(i) });
  return {
    end: { storeId, n, recordHash: hashOf(n), sum, logCount: logs.length },
    logs,
    apiKeys,
    newestTime: logs.reduce((newest, log) => Math.max(newest, newestTimeOf(log)), 0),
    adopted: verdict.action === 'adopt' ? n - verdict.promised : 0,
  };
}

function newestTimeOf({ state, published, withheld }: Log): number {
  return Math.max(state.lastReceivedAt, 1000 * Math.max(published.time, withheld?.time ?? 0));
}

/** S over all logs as they are must be the one of the last record: no log may be older, newer, missing or extra. */
function checkSum(last: CommitRecord, logs: readonly Log[]): LogSum {
  const sum = new LogSum();
  for (const { name, state } of logs) {
    const { treeSize, rootHash } = state;
    sum.set({ name, treeSize, rootHash });
    const changed = last.changed.find((log) => log.name === name);
    if (changed !== undefined && (changed.treeSize !== treeSize || !equalBytes(changed.rootHash, rootHash))) {
      throw refused(`log ${name} has ${treeSize} entries, but the last commit left it with ${changed.treeSize}`);
    }
  }
  if (logs.length !== last.logCount || !sum.equals(last.sum)) {
    throw refused(
      `the logs of the database are not those of commit ${last.n}: their sum differs (${logs.length} logs, ${last.logCount} promised)`,
    );
  }
  return sum;
}

/**
 * Loads a log and checks it: its right edge, its newest head under its own key, the tree at that head's size, and every leaf
 * and tile written since. What comes from a damaged disk ends here, not in a signature.
 */
async function openLog(store: Store, definition: LogDefinition, keys: KeyRing): Promise<Log> {
  const { name, origin } = definition;
  const own = keysOf(definition, keys);
  const secrets = { keys: own, signerOf: keys.signer, idDigest: keys.idDigest(origin) };
  if (definition.status === 'deleted') return openTombstone(store, definition, secrets);
  const loaded = await loadLogState(store, name);
  // Leaves of raw logs state no time, so nothing vouches for the one in the edge: a bit of it would set the clock for ever. Their heads tell it.
  const state = definition.kind === 'raw' ? { ...loaded, lastReceivedAt: 0 } : loaded;
  if (state.head.treeSize > state.treeSize) {
    throw refused(`log ${name} has ${state.treeSize} entries, but a head of size ${state.head.treeSize} was signed`);
  }
  const published = withOwnSignature(await readHead(store, name, own.all, state.head), own);
  const log = new Log(definition, secrets, state, published, await readWithheld(store, name, own.all));
  const { treeSize, rootHash } = log.published;
  const reader = new TreeReader(store, () => {}, { tiles: 64 });
  const nodes = coveringNodes(0, treeSize);
  const readNode = await reader.nodes(log, state, nodes);
  const frontier = nodes.map((node) => readNode(node));
  if (!equalBytes(frontierRoot(frontier), rootHash)) {
    throw new ServerError('damaged', `log ${name}: the stored tree at size ${treeSize} is not the one that was signed`);
  }
  let signed: { readonly treeSize: number; readonly frontier: Frontier } = { treeSize, frontier };
  const { withheld } = log;
  if (withheld !== undefined) {
    signed = await verifyWithheld(store, log, withheld, signed);
  }
  const grown = await verifyGrowth(store, name, signed, state);
  if (!equalBytes(frontierRoot(grown), state.rootHash)) {
    throw new ServerError(
      'damaged',
      `log ${name}: the stored leaves do not hash to its root at size ${state.treeSize}`,
    );
  }
  await checkLastReceivedAt(reader, log);
  return log;
}

/** The keys of the log: those that its definition names, and the master seed gives. */
function keysOf(definition: LogDefinition, keys: KeyRing): LogKeys {
  try {
    return logKeys(definition, keys.signer);
  } catch (cause) {
    if (!(cause instanceof OtherKeyError)) throw cause;
    const { stated, own } = cause;
    throw refused(
      `log ${definition.name} was made with the key ${stated}, but this master seed gives ${own}. Put the right keys/master back.`,
      cause,
    );
  }
}

/** A head without the RFC 6962 signature that an earlier key made: from the end of a rotation on, only that of `verifier_key` is shown. */
function withOwnSignature(head: Published, { signer, all }: LogKeys): Published {
  const { signature, treeSize, rootHash, time } = head;
  if (signature === undefined || all.length === 1) return head;
  try {
    checkTreeHeadSignature(signature, { timestamp: time, treeSize, rootHash }, [signer.verifierKey]);
    return head;
  } catch {
    return { ...head, signature: undefined };
  }
}

/** The head that waits for its witnesses lies between the newest published one and the log's size, and is of the same tree. */
async function verifyWithheld(
  store: Store,
  log: Log,
  { treeSize, rootHash }: Published,
  from: { readonly treeSize: number; readonly frontier: Frontier },
): Promise<{ readonly treeSize: number; readonly frontier: Frontier }> {
  if (treeSize < from.treeSize || treeSize > log.state.treeSize) {
    throw refused(
      `log ${log.name} has ${log.state.treeSize} entries and a published head of size ${from.treeSize}, but withholds one of size ${treeSize}`,
    );
  }
  const frontier = await verifyGrowth(store, log.name, from, { ...log.state, treeSize });
  if (!equalBytes(frontierRoot(frontier), rootHash)) {
    throw new ServerError(
      'damaged',
      `log ${log.name}: the stored tree at size ${treeSize} is not the one of its withheld head`,
    );
  }
  return { treeSize, frontier };
}

/** What a deletion leaves: an edge that hashes to its root, and the head that was signed of exactly that. */
async function openTombstone(store: Store, definition: LogDefinition, secrets: LogSecrets): Promise<Log> {
  const { name } = definition;
  const edge = await readEdge(store, name);
  const published = await readHead(store, name, secrets.keys.all, edge.head);
  const { treeSize, rootHash } = published;
  if (
    treeSize !== edge.treeSize ||
    !equalBytes(rootHash, edge.rootHash) ||
    !equalBytes(frontierRoot(edge.frontier), rootHash)
  ) {
    throw new ServerError('damaged', `log ${name}: what is left of this deleted log is not what was signed last`);
  }
  // The leaf that vouched for its time is gone, and nobody asks for the others any more.
  return new Log(definition, secrets, { ...edge, lastReceivedAt: 0, partials: [], open: emptyBundle(0) }, published);
}

/** The edge's last receivedAt starts the clock; a wrong one would spoil every later entry. */
async function checkLastReceivedAt(reader: TreeReader, log: Log): Promise<void> {
  const { treeSize, lastReceivedAt } = log.state;
  if (log.definition.kind !== 'events') return;
  const [leaf] = treeSize === 0 ? [] : await reader.leaves(log, log.state, treeSize - 1, treeSize);
  const stated = leaf === undefined ? 0 : parseEventLeaf(leaf).receivedAt;
  if (stated !== lastReceivedAt) {
    throw refused(
      `log ${log.name}: its edge says that the last entry came at ${lastReceivedAt}, its leaf says ${stated}`,
    );
  }
}

/** A row, parsed; what is wrong with it is said of its key. */
function named<T>(row: Row, parse: (bytes: Uint8Array) => T): T {
  try {
    return parse(row.value);
  } catch (cause) {
    throw refused(`${row.key}: ${(cause as Error).message}`, cause);
  }
}

/** All rows under a prefix, in pages. */
async function listAll(store: Store, prefix: string): Promise<Row[]> {
  const all: Row[] = [];
  const range = prefixRange(prefix, 1000);
  let from = range.gte;
  for (;;) {
    const rows = await store.list({ ...range, gte: from });
    const last = rows.at(-1);
    all.push(...rows);
    // No second look at a range whose rows were fewer than asked for.
    if (last === undefined || rows.length < range.limit) return all;
    from = `${last.key}\0`;
  }
}

function refused(message: string, cause?: unknown): ExitError {
  return new ExitError(EXIT.refused, message, { cause });
}
