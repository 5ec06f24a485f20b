/**
 * The leaf of an events log, and the commitment in it. Fixed for ever: docs/format.md has the bytes.
 *
 * Leaf (41 bytes): 0x01 ‖ receivedAt, u64 big-endian microseconds ‖ commitment.
 * Commitment: SHA-256(0x02 ‖ SHA-256(origin) ‖ salt ‖ u16 big-endian header length ‖ header ‖ event).
 */
import { sha256 } from '#sha256';
import { fromUtf8, readU64, utf8, writeU16, writeU64 } from '../tree/bytes.ts';
import { ProofError, type ProofErrorCode } from './error.ts';

/** Bytes in the leaf of an event. */
export const EVENT_LEAF_SIZE = 41;
/** First byte of the leaf of an event. */
export const EVENT_FORM = 0x01;
/** First byte of what a commitment is the hash of; leaf and node hashes have 0x00 and 0x01. */
export const COMMITMENT_PREFIX = 0x02;
/** Bytes in a salt. */
export const SALT_SIZE = 32;
/** Longest header, in bytes. */
export const MAX_HEADER_SIZE = 1024;

/** First bytes below this mark leaves of our own forms. */
const RESERVED_FORMS = 0x20;
const COMMITMENT_SIZE = 32;

/** What an entry is committed with. `origin` is the log's, never a value from the entry. */
export interface Committed {
  readonly origin: string;
  readonly salt: Uint8Array;
  readonly header: Uint8Array;
  readonly event: Uint8Array;
}

/** What a leaf says. `receivedAt` is in microseconds since the Unix epoch. */
export interface EventLeaf {
  readonly receivedAt: number;
  readonly commitment: Uint8Array;
}

/** What the server writes beside an event. Members unknown here are ignored. */
export interface EventHeader {
  /** ID of the API key, 16 hex digits, or `system` for what the server itself says. */
  readonly by: string;
  /** The way in: `events`, the name of an adapter, or `system`. */
  readonly via: string;
  /** JSON pointer to the id in the event that made the entry exactly-once. */
  readonly id_pointer?: string;
  /** Key of the request that made the entry exactly-once. */
  readonly idempotency_key?: string;
  /** Position in that request. */
  readonly n?: number;
}

/** The 32 bytes that commit to an event. Throws ProofError: `bad_salt`, `bad_header` (too long). */
export function commitment({ origin, salt, header, event }: Committed): Uint8Array {
  if (salt.length !== SALT_SIZE) throw new ProofError('bad_salt', `a salt has ${SALT_SIZE} bytes, not ${salt.length}`);
  checkHeaderSize(header);
  const start = 1 + COMMITMENT_SIZE + SALT_SIZE + 2;
  const length = start + header.length + event.length;
  const input = length <= commitmentInput.length ? commitmentInput.subarray(0, length) : new Uint8Array(length);
  input[0] = COMMITMENT_PREFIX;
  input.set(originHash(origin), 1);
  input.set(salt, 1 + COMMITMENT_SIZE);
  writeU16(input, start - 2, header.length);
  input.set(header, start);
  input.set(event, start + header.length);
  return sha256(input);
}

/** What is hashed is put together here, for hashing ends before anybody else has a turn; what is longer gets an array of its own. */
const commitmentInput = new Uint8Array(8192);
let lastOrigin: { readonly text: string; readonly hash: Uint8Array } | undefined;

/** Events come in batches of one log: with the last answer remembered, a commitment costs one hash and not two. */
function originHash(origin: string): Uint8Array {
  if (lastOrigin?.text !== origin) lastOrigin = { text: origin, hash: sha256(utf8(origin)) };
  return lastOrigin.hash;
}

/** The 41 bytes of a leaf, put into `leaf` if it is given. Throws ProofError: `bad_received_at`, `bad_leaf` (commitment not of 32 bytes). */
export function encodeEventLeaf(
  { receivedAt, commitment }: EventLeaf,
  leaf: Uint8Array = new Uint8Array(EVENT_LEAF_SIZE),
): Uint8Array {
  if (!Number.isSafeInteger(receivedAt) || receivedAt < 0)
    throw new ProofError('bad_received_at', `receivedAt is an integer from 0 to 2^53 - 1, not ${receivedAt}`);
  if (commitment.length !== COMMITMENT_SIZE)
    throw new ProofError('bad_leaf', `a commitment has ${COMMITMENT_SIZE} bytes, not ${commitment.length}`);
  leaf[0] = EVENT_FORM;
  writeU64(leaf, 1, receivedAt);
  leaf.set(commitment, 9);
  return leaf;
}

/** Reads a leaf; the commitment is a view. Throws ProofError `bad_leaf`, also where receivedAt is above 2^53 - 1. */
export function parseEventLeaf(leaf: Uint8Array): EventLeaf {
  if (leaf.length !== EVENT_LEAF_SIZE || leaf[0] !== EVENT_FORM)
    throw new ProofError('bad_leaf', `the leaf of an event has ${EVENT_LEAF_SIZE} bytes, the first is 0x01`);
  try {
    return { receivedAt: readU64(leaf, 1), commitment: leaf.subarray(9) };
  } catch (cause) {
    throw new ProofError('bad_leaf', 'receivedAt is above 2^53 - 1', { cause });
  }
}

/** Whether a raw log must refuse this leaf, because it could pass for one of our own forms. */
export function isReservedRawLeaf(bytes: Uint8Array): boolean {
  return bytes.length === EVENT_LEAF_SIZE && (bytes[0] as number) < RESERVED_FORMS;
}

/** The bytes of a header, members in one fixed order. Throws ProofError `bad_header` if they are more than 1,024. */
export function encodeHeader(header: EventHeader): Uint8Array {
  const { by, via, id_pointer, idempotency_key, n } = header;
  const bytes = utf8(JSON.stringify({ by, via, id_pointer, idempotency_key, n }));
  checkHeaderSize(bytes);
  return bytes;
}

/** Reads a header; unknown members are left out. Throws ProofError `bad_header`. */
export function parseHeader(bytes: Uint8Array): EventHeader {
  checkHeader(bytes);
  const { by, via, id_pointer, idempotency_key, n } = jsonObject(bytes, 'bad_header', 'header');
  if (typeof by !== 'string' || typeof via !== 'string')
    throw new ProofError('bad_header', 'a header says by whom and via what the entry came, in two texts');
  if (id_pointer !== undefined && typeof id_pointer !== 'string')
    throw new ProofError('bad_header', 'id_pointer is not a text');
  if (idempotency_key !== undefined && typeof idempotency_key !== 'string')
    throw new ProofError('bad_header', 'idempotency_key is not a text');
  if (n !== undefined && !(typeof n === 'number' && Number.isSafeInteger(n) && n >= 0))
    throw new ProofError('bad_header', 'n is not an integer from 0 to 2^53 - 1');
  return {
    by,
    via,
    ...(id_pointer === undefined ? {} : { id_pointer }),
    ...(idempotency_key === undefined ? {} : { idempotency_key }),
    ...(n === undefined ? {} : { n }),
  };
}

/** Throws ProofError `bad_header` unless these are at most 1,024 bytes of UTF-8 with one JSON object, whatever its members. */
export function checkHeader(bytes: Uint8Array): void {
  checkHeaderSize(bytes);
  jsonObject(bytes, 'bad_header', 'header');
}

/**
 * Throws ProofError `bad_event` unless these bytes are the text of one JSON object in UTF-8, from its brace to its brace.
 * What else a server refuses (duplicate keys, depth, numbers) is no question of proof.
 */
export function checkEventText(bytes: Uint8Array): void {
  jsonObject(bytes, 'bad_event', 'event');
}

function checkHeaderSize(header: Uint8Array): void {
  if (header.length > MAX_HEADER_SIZE)
    throw new ProofError('bad_header', `a header has at most ${MAX_HEADER_SIZE} bytes, not ${header.length}`);
}

/** The object that these bytes are the text of. They may come from anyone. */
function jsonObject(bytes: Uint8Array, code: ProofErrorCode, what: string): Record<string, unknown> {
  // Between two braces a JSON text can only be one object: white space and a BOM are outside.
  if (bytes[0] !== 0x7b || bytes.at(-1) !== 0x7d)
    throw new ProofError(code, `the ${what} does not begin and end with the braces of a JSON object`);
  try {
    return JSON.parse(fromUtf8(bytes)) as Record<string, unknown>;
  } catch (cause) {
    throw new ProofError(code, `the ${what} is not JSON in UTF-8`, { cause });
  }
}
