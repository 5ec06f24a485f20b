/**
 * Raw logs: the posted bytes are the leaf. The contract is that of other transparency logs (Tessera's conformance servers): any content type or none,
 * status 200, and the index in plain decimal, so that their load and audit tools work here unchanged.
 */
import { EVENT_LEAF_SIZE, isReservedRawLeaf } from '../../proofs/leaf.ts';
import { bundleBounds, MAX_LEAF_SIZE } from '../../tree/bundles.ts';
import { readU16 } from '../../tree/bytes.ts';
import { leafHashes } from '../../tree/hash.ts';
import type { ApiKey } from '../access.ts';
import type { RawAppended } from '../append-raw.ts';
import { ServerError } from '../errors.ts';
import type { FramedLeaves } from '../frames.ts';
import type { LogCall } from './call.ts';
import { REPLAYED, type Reply } from './reply.ts';
import { idempotencyKey, Query, readBody, receiveBody } from './request.ts';

/** POST add: one entry, which may be empty; the answer is its index. One promise for all of it: each more costs half a microsecond. */
export function add(call: LogCall): Promise<Reply> {
  new Query(call.search, []);
  const once = idempotencyKey(call.req);
  return new Promise((resolve, reject) => {
    const take = (leaf: Uint8Array): void => {
      const refusal = isReservedRawLeaf(leaf) ? reserved({}) : tooMany(call, 1);
      if (refusal !== undefined) reject(refusal);
      else append(call, leaf, once, resolve, reject);
    };
    receiveBody(call, MAX_LEAF_SIZE, take, reject);
  });
}

/** POST add-batch: entries in bundle framing, u16 length ‖ bytes, all or none; the answer is the index of the first. */
export async function addBatch(call: LogCall): Promise<Reply> {
  new Query(call.search, []);
  const once = idempotencyKey(call.req);
  const { maxEvents, maxBodySize } = call.limits;
  const body = await readBody(call, maxBodySize);
  // One more says that they are too many: 16 MiB hold 8 million empty ones.
  const count = countFrames(body, maxEvents + 1);
  if (count === 0) throw new ServerError('bad_framing', 'a batch has at least one entry');
  if (count > maxEvents) {
    throw new ServerError('too_many_entries', `a batch has at most ${maxEvents} entries`, {
      details: { limit: maxEvents },
    });
  }
  const bounds = bundleBounds(body, count);
  for (let i = 0; i < count; i++) {
    const [begin, end] = [bounds[2 * i] as number, bounds[2 * i + 1] as number];
    // A view for those few only that have the length of such a form.
    if (end - begin === EVENT_LEAF_SIZE && isReservedRawLeaf(body.subarray(begin, end)))
      throw reserved(count > 1 ? { position: i } : {});
  }
  // What is refused need not be hashed.
  const refusal = tooMany(call, count);
  if (refusal !== undefined) throw refusal;
  call.server.sequencer.checkRoom();
  // Here and not in the commit, which is when the disk waits for this thread.
  const hashed = [{ first: 0, hashes: leafHashes(body, bounds) }];
  return new Promise((resolve, reject) => append(call, { bytes: body, count, hashed }, once, resolve, reject));
}

function reserved(details: { readonly position?: number }): ServerError {
  return new ServerError(
    'reserved_leaf_form',
    'an entry of 41 bytes that begins with a byte below 0x20 could pass for an event and is not taken',
    { details },
  );
}

/** Why its key may not append so many entries now, if it may not. The route needs the scope, so there is a key. */
function tooMany({ key, rates }: LogCall, entries: number): ServerError | undefined {
  return rates?.entries(key as ApiKey, entries);
}

function append(
  { log, server, key, metrics }: LogCall,
  leaves: Uint8Array | FramedLeaves,
  once: string | undefined,
  resolve: (reply: Reply) => void,
  reject: (error: unknown) => void,
): void {
  const { name: source } = key as ApiKey;
  const answer = ({ leafIndex, replayed }: RawAppended): void => {
    if (replayed) metrics.replayed(leaves instanceof Uint8Array ? 1 : leaves.count);
    resolve({ status: 200, headers: replayed ? REPLAYED_HEADERS : HEADERS, body: String(leafIndex) });
  };
  server.sequencer.takeRaw({ log, leaves, source, idempotencyKey: once }, answer, reject);
}

const HEADERS = Object.freeze({ 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
const REPLAYED_HEADERS = { ...HEADERS, ...REPLAYED };

/** Entries of a batch, at most `limit` of them. Throws ServerError `bad_framing`. */
function countFrames(body: Uint8Array, limit: number): number {
  let count = 0;
  for (let at = 0; at < body.length && count < limit; count++) {
    const end = at + 2 + (at + 2 > body.length ? 0 : readU16(body, at));
    if (end > body.length) {
      throw new ServerError(
        'bad_framing',
        `entries are framed as u16 big-endian length and bytes; entry ${count} is cut off`,
      );
    }
    at = end;
  }
  return count;
}
