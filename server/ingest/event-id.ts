/**
 * Finds an event's own id by a JSON pointer (RFC 6901), in the form that id rows are made of: its JCS text (RFC 8785).
 *
 * The event was checked before, so it is walked over as bytes: the members on the way are compared, the rest is skipped,
 * nothing is parsed but the id. Names are data here: there are no objects, so `__proto__` leads nowhere special.
 * Worked example: `/detail/id` in `{"detail":{"id":1.0}}` gives `1`; the id `"1"` gives `"1"`, another text.
 */
import { Buffer } from 'node:buffer';
import canonicalize from 'canonicalize';
import { utf8 } from '../../tree/bytes.ts';
import { IngestError, isJsonSpace, plainEnd } from './json-event.ts';

/** Longest pointer and longest id, in bytes of UTF-8. */
export const MAX_POINTER_SIZE = 256;
export const MAX_EVENT_ID_SIZE = 256;
/** Longest pointer as JSON text, where a control character takes six bytes: the header of an entry must hold it. */
const MAX_WRITTEN_POINTER = 800;

/** One step of a pointer. */
export interface PointerStep {
  /** Member name, unescaped. */
  readonly name: string;
  /** Its UTF-8 bytes. */
  readonly bytes: Uint8Array;
  /** Place in an array, if the step is a canonical decimal; -1 otherwise. */
  readonly place: number;
}

/** A JSON pointer, parsed. */
export interface Pointer {
  readonly text: string;
  readonly steps: readonly PointerStep[];
}

/** The id of an event: none there, or the JCS text of a string or an integer. */
export type EventId = { readonly kind: 'absent' } | { readonly kind: 'id'; readonly jcs: string };

/**
 * Reads a JSON pointer in its string form (RFC 6901 §3). Throws an IngestError `bad_pointer` if it is not empty and
 * does not begin with `/`, has a `~` without 0 or 1 after it, a lone surrogate, over 256 bytes, or more control characters than a header holds. The empty pointer names
 * the whole event, which is an object and so never an id.
 */
export function parsePointer(text: string): Pointer {
  if (text.length > MAX_POINTER_SIZE || /\p{Cs}/u.test(text) || utf8(text).length > MAX_POINTER_SIZE) {
    throw new IngestError('bad_pointer', `a JSON pointer is well-formed and has at most ${MAX_POINTER_SIZE} bytes`, {
      limit: MAX_POINTER_SIZE,
    });
  }
  if (JSON.stringify(text).length > MAX_WRITTEN_POINTER) {
    throw new IngestError('bad_pointer', 'a JSON pointer with that many control characters does not fit a header');
  }
  if (text === '') return { text, steps: [] };
  if (!text.startsWith('/')) throw new IngestError('bad_pointer', 'a JSON pointer is empty or begins with /');
  if (/~(?![01])/.test(text)) throw new IngestError('bad_pointer', 'in a JSON pointer, 0 or 1 follows each ~');
  const steps = text
    .slice(1)
    .split('/')
    // ~1 first: ~01 is the name ~1, not the name / (RFC 6901 §4).
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((name) => ({ name, bytes: utf8(name), place: /^(?:0|[1-9][0-9]{0,14})$/.test(name) ? Number(name) : -1 }));
  return { text, steps };
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * The id that the pointer names in an event that passed `checkEvent`. Numbers count by value, as in JCS: 1.0 and 1e0 are
 * the id 1. Throws an IngestError `bad_event_id` if the value is neither a string nor an integer of at most 2^53 - 1, or
 * a string of more than 256 bytes in UTF-8 (its own bytes, unescaped and without the quotes).
 */
export function eventId(event: Uint8Array, pointer: Pointer): EventId {
  let at = skipSpace(event, 0);
  for (const step of pointer.steps) {
    at = stepInto(event, at, step);
    if (at < 0) return { kind: 'absent' };
  }
  const first = event[at] as number;
  if (first === QUOTE) {
    const id: string = JSON.parse(textOf(event, at, stringEnd(event, at)));
    // One UTF-16 unit is one to three bytes of UTF-8, so most ids need no encoding.
    if (id.length * 3 > MAX_EVENT_ID_SIZE && utf8(id).length > MAX_EVENT_ID_SIZE) {
      throw new IngestError('bad_event_id', `the id has more than ${MAX_EVENT_ID_SIZE} bytes`, {
        limit: MAX_EVENT_ID_SIZE,
      });
    }
    return { kind: 'id', jcs: jcs(id) };
  }
  if (first === MINUS || (first >= ZERO && first <= NINE)) {
    const id = Number(textOf(event, at, valueEnd(event, at)));
    // Above 2^53 - 1 different numbers share a double, and different events would share an id.
    if (Number.isSafeInteger(id)) return { kind: 'id', jcs: jcs(id) };
  }
  throw new IngestError('bad_event_id', 'the id is neither a string nor an integer within ±(2^53 - 1)');
}

function jcs(id: string | number): string {
  const text = canonicalize(id);
  if (text === undefined) throw new Error('bug: an id without JCS form');
  return text;
}

/** Place of the value one step below the value at `at`; -1 if there is none. */
function stepInto(event: Uint8Array, from: number, step: PointerStep): number {
  const isObject = event[from] === OPEN_BRACE;
  if (!isObject && (event[from] !== OPEN_BRACKET || step.place < 0)) return -1;
  let at = skipSpace(event, from + 1);
  if (event[at] === CLOSE_BRACE || event[at] === CLOSE_BRACKET) return -1;
  for (let place = 0; at < event.length; place++) {
    let found = place === step.place;
    if (isObject) {
      const end = stringEnd(event, at);
      found = sameName(event, at + 1, end - 1, step);
      at = skipSpace(event, skipSpace(event, end) + 1);
    }
    if (found) return at;
    at = skipSpace(event, valueEnd(event, at));
    if (event[at] !== COMMA) return -1;
    at = skipSpace(event, at + 1);
  }
  return -1;
}

/** Whether the member name between the quotes is the step's. Unescaping only ever makes a name shorter. */
function sameName(event: Uint8Array, start: number, end: number, step: PointerStep): boolean {
  const length = end - start;
  if (length < step.bytes.length) return false;
  let same = length === step.bytes.length;
  for (let i = 0; i < length; i++) {
    const byte = event[start + i];
    if (byte === BACKSLASH) return JSON.parse(textOf(event, start - 1, end + 1)) === step.name;
    if (byte !== step.bytes[i]) same = false;
  }
  return same;
}

function textOf(event: Uint8Array, start: number, end: number): string {
  return Buffer.from(event.buffer, event.byteOffset + start, end - start).toString('utf8');
}

function skipSpace(event: Uint8Array, from: number): number {
  let at = from;
  while (isJsonSpace(event[at])) at++;
  return at;
}

/** The byte after a string that begins at `from`. */
function stringEnd(event: Uint8Array, from: number): number {
  let at = plainEnd(event, from + 1);
  while (event[at] === BACKSLASH) at = plainEnd(event, at + 2);
  return at + 1;
}

/** What a byte between strings does to the depth. */
const DEPTH_CHANGE = Int8Array.from({ length: 256 }, (_, byte) => {
  if (byte === OPEN_BRACE || byte === OPEN_BRACKET) return 1;
  return byte === CLOSE_BRACE || byte === CLOSE_BRACKET ? -1 : 0;
});

/** The byte after the value that begins at `from`. */
function valueEnd(event: Uint8Array, from: number): number {
  let at = from;
  const first = event[at];
  if (first === QUOTE) return stringEnd(event, at);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    while (
      at < event.length &&
      event[at] !== COMMA &&
      DEPTH_CHANGE[event[at] as number] === 0 &&
      !isJsonSpace(event[at])
    )
      at++;
    return at;
  }
  let depth = 0;
  do {
    const byte = event[at] as number;
    if (byte === QUOTE) at = stringEnd(event, at);
    else {
      depth += DEPTH_CHANGE[byte] as number;
      at++;
    }
  } while (depth > 0 && at < event.length);
  return at;
}
