/** One request to append to a raw log: its leaves as they are, all or none, once for each idempotency key. */
import { decodeBundle } from '../tree/bundles.ts';
import { keyConflict } from './append.ts';
import type { FramedLeaves } from './frames.ts';
import { type Answer, type Group, receivedAtIn } from './group.ts';
import type { Log } from './log.ts';
import { encodeIdRow } from './storage/rows.ts';
import { sameContents, type WantedId } from './used-ids.ts';
import { requestIdOf } from './wanted-ids.ts';

export interface RawAppendRequest {
  readonly log: Log;
  /** One leaf as it is, or one or more in bundle framing. */
  readonly leaves: Uint8Array | FramedLeaves;
  /** Source name of the API key: the name space of idempotency keys. */
  readonly source: string;
  readonly idempotencyKey: string | undefined;
}

/** Where the leaves are: the first has this index, the others follow it. */
export interface RawAppended {
  readonly leafIndex: number;
  /** The same leaves had been logged under the same idempotency key before; this is where. */
  readonly replayed: boolean;
}

export function wantedRawId({ log, leaves, source, idempotencyKey }: RawAppendRequest): WantedId | undefined {
  if (idempotencyKey === undefined) return undefined;
  const each = leaves instanceof Uint8Array ? [leaves] : decodeBundle(leaves.bytes, leaves.count);
  return requestIdOf(log, source, idempotencyKey, each);
}

/** Builds a request into the group. Throws ServerError `log_frozen`, `clock_unsafe`, and has changed nothing then. */
export function buildRawAppend(
  { log, leaves }: RawAppendRequest,
  id: WantedId | undefined,
  group: Group,
  resolve: (appended: RawAppended) => void,
  reject: (error: unknown) => void,
): Answer {
  const used = id === undefined ? undefined : (group.fresh.get(id.key) ?? group.stored.get(id.key));
  if (used !== undefined) {
    const { leafIndex } = used;
    // Answered with the group: a conflict is one only once the entries it is with are durable.
    if (!sameContents(used, id?.contents ?? [])) return () => reject(keyConflict(leafIndex));
    return () => resolve({ leafIndex, replayed: true });
  }
  const { transaction } = group;
  const receivedAt = receivedAtIn(group, log);
  const leafIndex =
    leaves instanceof Uint8Array
      ? transaction.append(log, leaves, receivedAt)
      : transaction.appendFramed(log, leaves, receivedAt);
  if (id !== undefined) {
    const { contents } = id;
    const count = contents.length;
    group.fresh.set(id.key, { leafIndex, count, contents, entries: [] });
    transaction.put(id.key, encodeIdRow({ leafIndex, count }, transaction.slab));
  }
  return () => resolve({ leafIndex, replayed: false });
}
