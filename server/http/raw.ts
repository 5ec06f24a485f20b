/**
 * Raw logs: the posted bytes are the leaf. The contract is that of other transparency logs (SPECS §13.1): any content type or none,
 * status 200, and the index in plain decimal, so that their load and audit tools work here unchanged.
 */
import { isReservedRawLeaf } from '../../proofs/leaf.ts';
import { decodeFrames, MAX_LEAF_SIZE } from '../../tree/bundles.ts';
import { ServerError } from '../errors.ts';
import type { LogCall } from './call.ts';
import { REPLAYED, type Reply } from './reply.ts';
import { idempotencyKey, Query, readBody, receiveBody } from './request.ts';

/** POST add: one entry, which may be empty; the answer is its index. One promise for all of it: each more costs half a microsecond. */
export function add(call: LogCall): Promise<Reply> {
  new Query(call.search, []);
  const once = idempotencyKey(call.req);
  return new Promise((resolve, reject) => {
    receiveBody(call, MAX_LEAF_SIZE, (leaf) => append(call, [leaf], once, resolve, reject), reject);
  });
}

/** POST add-batch: entries in bundle framing, u16 length ‖ bytes, all or none; the answer is the index of the first. */
export async function addBatch(call: LogCall): Promise<Reply> {
  new Query(call.search, []);
  const once = idempotencyKey(call.req);
  const { maxEvents, maxBodySize } = call.limits;
  // One more says that they are too many: 16 MiB hold 8 million empty ones, which would take a gigabyte and seconds.
  const leaves = readFrames(await readBody(call, maxBodySize), maxEvents + 1);
  if (leaves.length === 0) throw new ServerError('bad_framing', 'a batch has at least one entry');
  if (leaves.length > maxEvents) {
    throw new ServerError('too_many_entries', `a batch has at most ${maxEvents} entries`, {
      details: { limit: maxEvents },
    });
  }
  return new Promise((resolve, reject) => append(call, leaves, once, resolve, reject));
}

function append(
  { log, server, key, metrics }: LogCall,
  leaves: readonly Uint8Array[],
  once: string | undefined,
  resolve: (reply: Reply) => void,
  reject: (error: unknown) => void,
): void {
  const position = leaves.findIndex(isReservedRawLeaf);
  if (position >= 0) {
    reject(
      new ServerError(
        'reserved_leaf_form',
        'an entry of 41 bytes that begins with a byte below 0x20 could pass for an event and is not taken',
        { details: leaves.length > 1 ? { position } : {} },
      ),
    );
    return;
  }
  // The route needs the scope, so there is a key.
  const { name: source } = key as NonNullable<typeof key>;
  server.sequencer.appendRaw({ log, leaves, source, idempotencyKey: once }).then(({ leafIndex, replayed }) => {
    if (replayed) metrics.replayed(leaves.length);
    resolve({ status: 200, headers: replayed ? REPLAYED_HEADERS : HEADERS, body: String(leafIndex) });
  }, reject);
}

const HEADERS = Object.freeze({ 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
const REPLAYED_HEADERS = { ...HEADERS, ...REPLAYED };

function readFrames(body: Uint8Array, limit: number): Uint8Array[] {
  try {
    return decodeFrames(body, limit);
  } catch (cause) {
    throw new ServerError(
      'bad_framing',
      `entries are framed as u16 big-endian length and bytes; ${(cause as Error).message}`,
      { cause },
    );
  }
}
