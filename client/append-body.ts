/** Events as a request body, and whether sending it twice stores them once. */
import { fromUtf8 } from '../tree/bytes.ts';
import { ClientError } from './error.ts';
import type { Repeatable } from './retry.ts';

const LF = 0x0a;

/** What is sent for some events. One event travels as JSON, several as NDJSON, a line each. */
export interface AppendBody {
  /** The events as they are committed: without the white space around them. */
  readonly events: readonly Uint8Array[];
  readonly contentType: 'application/json' | 'application/x-ndjson';
  readonly body: Uint8Array;
}

/** Throws ClientError `bad_argument` on no events, on an empty one, and on one with a newline among several. */
export function appendBody(given: readonly Uint8Array[]): AppendBody {
  const events = given.map(trimEvent);
  const [only] = events;
  if (only === undefined) throw new ClientError('bad_argument', 'there is no event to append');
  if (events.some((event) => event.length === 0)) throw new ClientError('bad_argument', 'an event is empty');
  if (events.length === 1) return { events, contentType: 'application/json', body: only };
  if (events.some((event) => event.includes(LF)))
    throw new ClientError('bad_argument', 'an event with a newline in it can only be appended alone');
  let size = events.length;
  for (const event of events) size += event.length;
  const body = new Uint8Array(size).fill(LF);
  let at = 0;
  for (const event of events) {
    body.set(event, at);
    at += event.length + 1;
  }
  return { events, contentType: 'application/x-ndjson', body };
}

/** The event without white space around it, as a view. That is what the log commits to (docs/format.md). */
export function trimEvent(bytes: Uint8Array): Uint8Array {
  let start = 0;
  let end = bytes.length;
  while (start < end && isSpace(bytes[start])) start++;
  while (end > start && isSpace(bytes[end - 1])) end--;
  return bytes.subarray(start, end);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === LF || byte === 0x0d || byte === 0x09;
}

/**
 * Repeatable under an idempotency key. Otherwise only if every event has something at the pointer: the log does not recognise
 * an event without id again. Events that are not JSON will be refused anyway and so count as not repeatable.
 */
export function isRepeatable(
  events: readonly Uint8Array[],
  {
    idPointer,
    idempotencyKey,
  }: { readonly idPointer?: string | undefined; readonly idempotencyKey?: string | undefined },
): Repeatable {
  if (idempotencyKey !== undefined) return 'repeatable';
  if (idPointer === undefined) return 'once';
  return events.every((event) => hasMember(event, idPointer)) ? 'repeatable' : 'once';
}

/** Whether a JSON pointer (RFC 6901) leads to a value. */
function hasMember(event: Uint8Array, pointer: string): boolean {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(event));
  } catch {
    return false;
  }
  for (const step of pointer.split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
    // Own members only; the length of an array is one too, but no entry of it.
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return false;
    if (Array.isArray(value) && name === 'length') return false;
    value = (value as Record<string, unknown>)[name];
  }
  return true;
}
