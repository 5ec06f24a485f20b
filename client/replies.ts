/** The answers of a log, parsed: shapes and types only. Nothing here is verified yet. */
import type { EventEntry } from '../proofs/entry.ts';
import type { TreeHash } from '../tree/hash.ts';
import { ClientError } from './error.ts';
import {
  asObject,
  type JsonObject,
  readBoolean,
  readBytes,
  readHash,
  readHashes,
  readList,
  readNumber,
  readObject,
  readText,
  readTime,
} from './json.ts';

/** How far an entry had come when the server answered. */
export type Ack = 'durable' | 'signed' | 'witnessed';

/** What the server says about a log. Tree size and root hash are unsigned here. */
export interface LogInfo {
  readonly name: string;
  readonly kind: 'events' | 'raw';
  readonly origin: string;
  /** The key that signs now, as text. */
  readonly verifierKey: string;
  /** All keys that ever signed, as texts. */
  readonly verifierKeys: readonly string[];
  readonly treeSize: number;
  readonly rootHash: TreeHash;
  /** A frozen log takes no entries any more; of a deleted one there is nothing else to be had. */
  readonly status: 'active' | 'frozen' | 'deleted';
}

export interface AppendReplyEntry {
  readonly leafIndex: number;
  readonly receivedAt: number;
  readonly leafHash: TreeHash;
  readonly salt: Uint8Array;
  readonly header: Uint8Array;
  readonly replayed: boolean;
  /** There if the level is not durable. */
  readonly proof?: readonly TreeHash[];
}

export interface AppendReply {
  readonly ack: Ack;
  readonly entries: readonly AppendReplyEntry[];
  readonly head?: StatedHead;
}

/** A checkpoint in an answer and the tree size beside it, which must be equal to its own. */
export interface StatedHead {
  readonly treeSize: number;
  readonly checkpoint: string;
}

/** A signed head with its time, in milliseconds since the Unix epoch, which only the signature covers. */
export interface StatedTreeHead extends StatedHead {
  readonly origin: string;
  readonly rootHash: TreeHash;
  readonly timestamp: number;
  readonly signature: Uint8Array | undefined;
}

export interface EventReply {
  readonly entry: Required<EventEntry>;
  readonly head: StatedHead;
  readonly proof: readonly TreeHash[];
}

export interface InclusionReply {
  readonly leafIndex: number;
  readonly leafHash: TreeHash;
  readonly treeSize: number;
  readonly rootHash: TreeHash;
  readonly proof: readonly TreeHash[];
  /** Undefined where no head of exactly this size was signed. */
  readonly checkpoint: string | undefined;
}

/** Answer of `POST events`. */
export function parseAppendReply(bytes: Uint8Array): AppendReply {
  const reply = readObject(bytes, 'the answer');
  const ack = readText(reply, 'ack');
  if (ack !== 'durable' && ack !== 'signed' && ack !== 'witnessed')
    throw new ClientError('bad_reply', 'the member ack is none of durable, signed and witnessed');
  const entries = readList(reply, 'entries').map((value) => parseAppendEntry(asObject(value, 'an entry'), ack));
  return ack === 'durable' ? { ack, entries } : { ack, entries, head: parseHead(reply) };
}

function parseAppendEntry(entry: JsonObject, ack: Ack): AppendReplyEntry {
  return {
    leafIndex: readNumber(entry, 'leaf_index'),
    receivedAt: readTime(entry, 'received_at'),
    leafHash: readHash(entry, 'leaf_hash'),
    salt: readBytes(entry, 'salt'),
    header: readBytes(entry, 'header_base64'),
    replayed: readBoolean(entry, 'replayed'),
    ...(ack === 'durable' ? {} : { proof: readHashes(entry, 'proof') }),
  };
}

/** Answer of `GET events/7`. Its member `event` is for people: `event_base64` is what counts, and all that is read. */
export function parseEventReply(bytes: Uint8Array): EventReply {
  const reply = readObject(bytes, 'the answer');
  return { entry: readEntry(reply), head: parseHead(reply), proof: readHashes(reply, 'proof') };
}

/** One line of the answer of `GET events?from=`. */
export function parseEntryLine(bytes: Uint8Array): Required<EventEntry> {
  return readEntry(readObject(bytes, 'the line'));
}

function readEntry(reply: JsonObject): Required<EventEntry> {
  return {
    leafIndex: readNumber(reply, 'leaf_index'),
    receivedAt: readTime(reply, 'received_at'),
    event: readBytes(reply, 'event_base64'),
    header: readBytes(reply, 'header_base64'),
    salt: readBytes(reply, 'salt'),
    leaf: readBytes(reply, 'leaf'),
    leafHash: readHash(reply, 'leaf_hash'),
  };
}

function parseHead(reply: JsonObject): StatedHead {
  return { treeSize: readNumber(reply, 'tree_size'), checkpoint: readText(reply, 'checkpoint') };
}

/** Answer of `GET proofs/inclusion`. */
export function parseInclusionReply(bytes: Uint8Array): InclusionReply {
  const reply = readObject(bytes, 'the answer');
  return {
    leafIndex: readNumber(reply, 'leaf_index'),
    leafHash: readHash(reply, 'leaf_hash'),
    treeSize: readNumber(reply, 'tree_size'),
    rootHash: readHash(reply, 'root_hash'),
    proof: readHashes(reply, 'proof'),
    checkpoint: reply['checkpoint'] === null ? undefined : readText(reply, 'checkpoint'),
  };
}

/** Answer of `GET proofs/consistency`: the proof between the sizes that were asked for. */
export function parseConsistencyReply(bytes: Uint8Array, first: number, second: number): TreeHash[] {
  const reply = readObject(bytes, 'the answer');
  if (readNumber(reply, 'first') !== first || readNumber(reply, 'second') !== second)
    throw new ClientError('bad_reply', `the proof is not the one from ${first} to ${second}`);
  return readHashes(reply, 'proof');
}

/**
 * Answer of `GET tree-head`. `timestamp` is in milliseconds since the Unix epoch; `signature` is the RFC 6962 one, which covers it, or
 * undefined where the server gives none.
 */
export function parseTreeHeadReply(bytes: Uint8Array): StatedTreeHead {
  return readTreeHead(readObject(bytes, 'the answer'));
}

function readTreeHead(reply: JsonObject): StatedTreeHead {
  return {
    ...parseHead(reply),
    origin: readText(reply, 'origin'),
    rootHash: readHash(reply, 'root_hash'),
    timestamp: readNumber(reply, 'timestamp'),
    signature: (reply['signature'] ?? null) === null ? undefined : readBytes(reply, 'signature'),
  };
}

/** Answer of `GET tree-heads`: heads, the smallest first, and the size at which the list goes on, undefined at its end. */
export function parseTreeHeadsReply(bytes: Uint8Array): {
  readonly heads: readonly StatedTreeHead[];
  readonly next: number | undefined;
} {
  const reply = readObject(bytes, 'the answer');
  return {
    heads: readList(reply, 'tree_heads').map((head) => readTreeHead(asObject(head, 'a head'))),
    next: reply['next'] === null ? undefined : readNumber(reply, 'next'),
  };
}

/** A log object, as the server describes a log. */
export function parseLogInfo(log: JsonObject): LogInfo {
  const kind = readText(log, 'kind');
  if (kind !== 'events' && kind !== 'raw')
    throw new ClientError('bad_reply', 'the member kind is neither events nor raw');
  const verifierKeys = readList(log, 'verifier_keys').map((key) => {
    if (typeof key !== 'string') throw new ClientError('bad_reply', 'a verifier key is not a text');
    return key;
  });
  return {
    name: readText(log, 'name'),
    kind,
    origin: readText(log, 'origin'),
    verifierKey: readText(log, 'verifier_key'),
    verifierKeys,
    treeSize: readNumber(log, 'tree_size'),
    rootHash: readHash(log, 'root_hash'),
    status: readStatus(log),
  };
}

/** Servers before there were states sent none. */
function readStatus({ status = 'active' }: JsonObject): LogInfo['status'] {
  if (status === 'active' || status === 'frozen' || status === 'deleted') return status;
  throw new ClientError('bad_reply', 'the member status is none of active, frozen and deleted');
}
