/**
 * Reads a batch of events as an AppendRequest of proto/indelible.proto: the field `events`, number 1, as often as there are events,
 * and nothing else. All or nothing: one bad event refuses the batch, and every bad one is named by its position.
 *
 * The bytes are walked over before protobufjs sees them, so that limits hold before anything is made of them. A field that this server
 * does not know refuses the request: ignored, what somebody took care to say would be lost without a word. Groups, which alone could
 * nest, are such fields.
 */
import { decodeAppendRequest } from '../../proto/messages.ts';
import { checkEvent, IngestError, type IngestErrorCode, isJsonSpace } from './json-event.ts';
import type { BatchLimits } from './ndjson.ts';

/** An event that is not acceptable. */
export interface BadEvent {
  /** Its place in the request, from 0. */
  readonly position: number;
  readonly code: IngestErrorCode;
  readonly message: string;
}

/** The tag of field 1 with wire type 2, length-delimited. */
const EVENTS_TAG = 1 * 8 + 2;
/** Bytes of the longest varint of 32 bits. */
const MAX_VARINT = 5;

/**
 * Walks over a request without allocating anything but its answer: the positions of the events that are too large. Throws an IngestError
 * `malformed_protobuf`, `too_many_events` at the first event over `maxEvents`, and `empty_batch` if there is none.
 */
export function scanAppendRequest(body: Uint8Array, { maxEventSize, maxEvents }: BatchLimits): number[] {
  const tooLarge: number[] = [];
  let count = 0;
  let at = 0;
  /** A varint of at most 32 bits; more bytes than it needs are legal, up to five. */
  const varint = (): number => {
    const start = at;
    let value = 0;
    for (let weight = 1; ; weight *= 128) {
      const byte = body[at++];
      if (byte === undefined) throw malformed('it ends within a number', start);
      value += (byte % 128) * weight;
      if (value >= 2 ** 32 || (byte >= 128 && at - start === MAX_VARINT))
        throw malformed('a number is too large', start);
      if (byte < 128) return value;
    }
  };
  while (at < body.length) {
    const start = at;
    const tag = varint();
    if (tag !== EVENTS_TAG) {
      const field = `field ${Math.floor(tag / 8)} with wire type ${tag % 8}`;
      throw malformed(`${field}; the only one is events, field 1 with wire type 2`, start);
    }
    if (count === maxEvents) {
      throw new IngestError('too_many_events', `a request has at most ${maxEvents} events`, { limit: maxEvents });
    }
    const end = varint() + at;
    if (end > body.length) throw malformed('an event ends behind the end of the request', start);
    if (sizeOver(body, at, end, maxEventSize)) tooLarge.push(count);
    count++;
    at = end;
  }
  if (count === 0) throw new IngestError('empty_batch', 'the batch holds no event');
  return tooLarge;
}

/** Whether an event is over the limit, without the white space around it. */
function sizeOver(body: Uint8Array, from: number, to: number, limit: number): boolean {
  let start = from;
  let end = to;
  while (end - start > limit && isJsonSpace(body[start])) start++;
  while (end - start > limit && isJsonSpace(body[end - 1])) end--;
  return end - start > limit;
}

function malformed(message: string, offset: number): IngestError {
  return new IngestError('malformed_protobuf', `not an AppendRequest, at byte ${offset}: ${message}`, { offset });
}

/** What a request holds: its events in order, or its bad ones, at least one either way. */
export type ProtobufBatch =
  | {
      readonly kind: 'events';
      /** The events, as views of the body. */
      readonly events: readonly Uint8Array[];
    }
  | { readonly kind: 'bad'; readonly bad: readonly BadEvent[] };

/**
 * Checks every event of a request. `inspect` sees each one that passed; an IngestError of it is the fault of that event as well. Events
 * that are too large are named before the others are looked at. Throws as `scanAppendRequest` does.
 */
export function readProtobufBatch(
  body: Uint8Array,
  limits: BatchLimits,
  inspect: (event: Uint8Array) => void = () => {},
): ProtobufBatch {
  const tooLarge = scanAppendRequest(body, limits);
  if (tooLarge.length > 0) {
    const message = `an event has at most ${limits.maxEventSize} bytes`;
    return { kind: 'bad', bad: tooLarge.map((position) => ({ position, code: 'event_too_large', message })) };
  }
  const events: Uint8Array[] = [];
  const bad: BadEvent[] = [];
  for (const [position, bytes] of decodeAppendRequest(body).entries()) {
    try {
      const event = checkEvent(bytes, limits);
      inspect(event);
      events.push(event);
    } catch (error) {
      if (!(error instanceof IngestError)) throw error;
      bad.push({ position, code: error.code, message: error.message });
    }
  }
  return bad.length > 0 ? { kind: 'bad', bad } : { kind: 'events', events };
}
