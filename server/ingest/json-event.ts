/**
 * Decides whether bytes from the network are an acceptable event, in one pass and before anything parses them.
 *
 * `JSON.parse` is no gate: it spends seconds on a megabyte of `[`, keeps the last of two equal members, rounds 2^53 + 1
 * and knows no reserved names. Here every byte is read once, nesting costs one array slot a level, and nothing is
 * allocated per token. What passes is JSON of RFC 8259 that every reader understands alike.
 * Worked example: ` {"id":1}\n` gives the view `{"id":1}`; `{"a":1,"\u0061":2}` is refused with `duplicate_key`.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { LogError } from '../../proofs/error.ts';

/** Why an event, a batch, a pointer or an id was refused. */
export type IngestErrorCode =
  | 'bad_event_id'
  | 'bad_pointer'
  | 'bom'
  | 'duplicate_key'
  | 'empty_batch'
  | 'empty_event'
  | 'event_too_large'
  | 'integer_out_of_range'
  | 'invalid_utf8'
  | 'lone_surrogate'
  | 'malformed_json'
  | 'malformed_protobuf'
  | 'not_an_object'
  | 'number_out_of_range'
  | 'reserved_member'
  | 'too_deep'
  | 'too_many_events'
  | 'too_many_members';

/** What an ingest error can say besides its code. */
export interface IngestErrorDetails {
  /** The limit that was passed, in the unit of the code: bytes, levels, members, events. */
  readonly limit?: number;
  /** Byte offset of the fault in the text that was checked (for a batch: in its line). */
  readonly offset?: number;
  /** Line of a batch, from 1. */
  readonly line?: number;
}

/** Input that is refused. The message names positions and limits, never content of the event. */
export class IngestError extends LogError<IngestErrorCode> {
  readonly limit: number | undefined;
  readonly offset: number | undefined;
  readonly line: number | undefined;

  constructor(code: IngestErrorCode, message: string, details: IngestErrorDetails = {}) {
    super(code, message);
    this.limit = details.limit;
    this.offset = details.offset;
    this.line = details.line;
  }
}

/** Limits of one event that an operator sets. */
export interface EventLimits {
  /** Bytes of an event, without the white space around it. */
  readonly maxEventSize: number;
}

/** Deepest nesting of objects and arrays; the event itself is level 1. */
export const MAX_DEPTH = 32;
/** Most members of one object. */
export const MAX_MEMBERS = 1000;
/** The member name kept for sealed fields. */
export const RESERVED_MEMBER = '$sealed';

/**
 * Up to this many members an object's names are compared one by one, which needs no memory; then a set takes over. The
 * work of comparing is at most this many times the length of the names.
 */
const MAX_COMPARED = 32;

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const SLASH = 0x2f;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const UPPER_E = 0x45;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const LOWER_B = 0x62;
const LOWER_E = 0x65;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const LOWER_R = 0x72;
const LOWER_T = 0x74;
const LOWER_U = 0x75;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

const TRUE = Uint8Array.of(0x74, 0x72, 0x75, 0x65);
const FALSE = Uint8Array.of(0x66, 0x61, 0x6c, 0x73, 0x65);
const NULL = Uint8Array.of(0x6e, 0x75, 0x6c, 0x6c);
const RESERVED = Uint8Array.from(RESERVED_MEMBER, (c) => c.charCodeAt(0));

/** 0 for the bytes that stand for themselves within a string, 1 for control characters, quote and backslash. */
const ENDS_RUN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < SPACE || byte === QUOTE || byte === BACKSLASH ? 1 : 0,
);

/** Whether a byte is white space of JSON: space, tab, LF or CR. `undefined`, past the end, is not. */
export function isJsonSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === LF || byte === CR || byte === TAB;
}

/** The first byte from `from` on that ends a run of plain characters of a string: quote, backslash, control, or the end. */
export function plainEnd(text: Uint8Array, from: number): number {
  let at = from;
  while (ENDS_RUN[text[at] as number] === 0) at++;
  return at;
}

/**
 * The event that the bytes hold: from its `{` to its `}`, as a view of them, the white space around it left out.
 * Throws an IngestError with the first fault: of the whole text (empty, byte order mark, size, UTF-8), then in order of
 * bytes. Runs in time linear in the length, whatever the bytes are.
 */
export function checkEvent(bytes: Uint8Array, limits: EventLimits): Uint8Array {
  let start = 0;
  let end = bytes.length;
  while (start < end && isJsonSpace(bytes[start])) start++;
  if (start === end) throw new IngestError('empty_event', 'there is no event, only white space or nothing');
  while (isJsonSpace(bytes[end - 1])) end--;
  if (bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) {
    throw new IngestError('bom', 'the event begins with a byte order mark', { offset: start });
  }
  if (end - start > limits.maxEventSize) {
    throw new IngestError('event_too_large', `an event has at most ${limits.maxEventSize} bytes, not ${end - start}`, {
      limit: limits.maxEventSize,
    });
  }
  // A plain view, also of a Buffer: what is returned is no Buffer, and the scanner sees one kind of array only.
  const event = new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
  if (!isUtf8(event)) throw new IngestError('invalid_utf8', 'the event is not valid UTF-8');
  scan(event, start);
  return event;
}

// What one scan notes; the next one begins anew. Arrays made for each event were a tenth of what a batch left to the collector.
/** For each open container, the place of its first name in nameStart; -1 for an array. */
const frames = new Int32Array(MAX_DEPTH + 1);
/** Names of all open objects, outermost first. Slots from `names` on are left over. */
const nameStart = new Int32Array(MAX_DEPTH * MAX_MEMBERS);
const nameEnd = new Int32Array(MAX_DEPTH * MAX_MEMBERS);

/** Checks one JSON text from the first to the last byte of `text`. `shift` is added to offsets in messages. */
function scan(text: Uint8Array, shift: number): void {
  // For each open container, the set of its names, once one has a set.
  let sets: (Set<string> | undefined)[] | undefined;
  let names = 0;
  let depth = 0;
  let base = -1;
  let at = 0;
  let expectName = false;

  for (;;) {
    if (expectName) {
      if (text[at] !== QUOTE) throw malformed('a member name is missing', at + shift);
      const start = at + 1;
      let end = plainEnd(text, start);
      const escaped = text[end] !== QUOTE;
      if (escaped) end = stringEnd(text, end, shift);
      if (names - base === MAX_MEMBERS) {
        throw new IngestError(
          'too_many_members',
          `an object has at most ${MAX_MEMBERS} members; one more begins at byte ${at + shift}`,
          { limit: MAX_MEMBERS, offset: at + shift },
        );
      }
      let set = sets?.[depth];
      if (set === undefined && (escaped || names - base === MAX_COMPARED)) {
        set = new Set();
        for (let i = base; i < names; i++) set.add(setKey(text, nameStart[i] as number, nameEnd[i] as number, false));
        sets ??= [];
        sets[depth] = set;
      }
      let repeated: boolean;
      let reserved: boolean;
      if (set === undefined) {
        repeated = false;
        const length = end - start;
        for (let i = base; i < names; i++) {
          const other = nameStart[i] as number;
          if ((nameEnd[i] as number) - other === length && equalRange(text, other, start, length)) repeated = true;
        }
        reserved = length === RESERVED.length && isReserved(text, start);
      } else {
        const key = setKey(text, start, end, escaped);
        repeated = set.has(key);
        reserved = key === `"${RESERVED_MEMBER}`;
        set.add(key);
      }
      if (repeated) {
        throw new IngestError('duplicate_key', `a member name is repeated at byte ${at + shift}`, {
          offset: at + shift,
        });
      }
      if (reserved) {
        throw new IngestError('reserved_member', `a member is named ${RESERVED_MEMBER} at byte ${at + shift}`, {
          offset: at + shift,
        });
      }
      nameStart[names] = start;
      nameEnd[names] = end;
      names++;
      at = skipSpace(text, end + 1);
      if (text[at] !== COLON) throw malformed('a colon is missing', at + shift);
      at = skipSpace(text, at + 1);
      expectName = false;
    }

    const byte = text[at];
    if (byte === QUOTE) {
      at = plainEnd(text, at + 1);
      if (text[at] !== QUOTE) at = stringEnd(text, at, shift);
      at++;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (depth === MAX_DEPTH) {
        throw new IngestError('too_deep', `nesting is deeper than ${MAX_DEPTH} levels at byte ${at + shift}`, {
          limit: MAX_DEPTH,
          offset: at + shift,
        });
      }
      depth++;
      base = byte === OPEN_BRACE ? names : -1;
      frames[depth] = base;
      if (sets !== undefined) sets[depth] = undefined;
      at = skipSpace(text, at + 1);
      if (text[at] !== (byte === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET)) {
        expectName = byte === OPEN_BRACE;
        continue;
      }
      // The loop below sees the closing bracket of an empty container.
    } else if (byte === MINUS || (byte !== undefined && byte >= ZERO && byte <= NINE)) {
      at = numberEnd(text, at, shift);
    } else {
      at = literalEnd(text, at, shift);
    }

    for (;;) {
      if (depth === 0) {
        if (at !== text.length) throw malformed('there is more after the end of the JSON text', at + shift);
        if (text[0] !== OPEN_BRACE) throw new IngestError('not_an_object', 'an event is a JSON object');
        return;
      }
      at = skipSpace(text, at);
      const next = text[at];
      if (next === COMMA) {
        at = skipSpace(text, at + 1);
        expectName = base >= 0;
        break;
      }
      if (next !== (base >= 0 ? CLOSE_BRACE : CLOSE_BRACKET)) {
        throw malformed(
          at === text.length ? 'the text ends too early' : 'a comma or closing bracket is missing',
          at + shift,
        );
      }
      at++;
      if (base >= 0) names = base;
      depth--;
      base = frames[depth] as number;
    }
  }
}

function malformed(what: string, offset: number): IngestError {
  return new IngestError('malformed_json', `${what} at byte ${offset}`, { offset });
}

function skipSpace(text: Uint8Array, from: number): number {
  let at = from;
  while (isJsonSpace(text[at])) at++;
  return at;
}

function equalRange(text: Uint8Array, a: number, b: number, length: number): boolean {
  // Last byte first: names of one object often share their beginning.
  for (let i = length - 1; i >= 0; i--) if (text[a + i] !== text[b + i]) return false;
  return true;
}

function isReserved(text: Uint8Array, start: number): boolean {
  for (let i = 0; i < RESERVED.length; i++) if (text[start + i] !== RESERVED[i]) return false;
  return true;
}

/**
 * A member name as a key of a set: `"` and the name unescaped. V8 hashes strings with a seed drawn per process, except
 * those that look like array indexes, whose hash is their value; the quote in front keeps names out of that case, so
 * nobody outside can choose names that collide.
 */
function setKey(text: Uint8Array, start: number, end: number, escaped: boolean): string {
  const key = Buffer.from(text.buffer, text.byteOffset + start - 1, end - start + 2);
  // The name was checked above: it is one JSON string, and flat.
  return escaped ? `"${JSON.parse(key.toString('utf8'))}` : key.toString('utf8', 0, key.length - 1);
}

/** Place of the quote that closes a string, from the first byte in it that does not stand for itself. */
function stringEnd(text: Uint8Array, from: number, shift: number): number {
  let at = from;
  for (;;) {
    const byte = text[at];
    if (byte === QUOTE) return at;
    if (byte !== BACKSLASH) {
      throw malformed(byte === undefined ? 'a string is not closed' : 'a control character in a string', at + shift);
    }
    const kind = text[at + 1];
    if (kind === LOWER_U) {
      at = unicodeEscapeEnd(text, at, shift);
    } else if (
      kind === QUOTE ||
      kind === BACKSLASH ||
      kind === SLASH ||
      kind === LOWER_B ||
      kind === LOWER_F ||
      kind === LOWER_N ||
      kind === LOWER_R ||
      kind === LOWER_T
    ) {
      at += 2;
    } else {
      throw malformed('an unknown escape', at + shift);
    }
    at = plainEnd(text, at);
  }
}

/** End of a `\u` escape, or of the two that make a surrogate pair. */
function unicodeEscapeEnd(text: Uint8Array, at: number, shift: number): number {
  const unit = hex4(text, at + 2);
  if (unit < 0) throw malformed('an escape without four hexadecimal digits', at + shift);
  if (unit < 0xd800 || unit > 0xdfff) return at + 6;
  if (unit <= 0xdbff && text[at + 6] === BACKSLASH && text[at + 7] === LOWER_U) {
    const second = hex4(text, at + 8);
    if (second < 0) throw malformed('an escape without four hexadecimal digits', at + 6 + shift);
    if (second >= 0xdc00 && second <= 0xdfff) return at + 12;
  }
  throw new IngestError('lone_surrogate', `an escape is half of a surrogate pair at byte ${at + shift}`, {
    offset: at + shift,
  });
}

/** Value of four hexadecimal digits; -1 if they are none. */
function hex4(text: Uint8Array, from: number): number {
  let value = 0;
  for (let i = from; i < from + 4; i++) {
    const byte = text[i] as number;
    if (byte >= ZERO && byte <= NINE) value = value * 16 + byte - ZERO;
    else if (byte >= 0x41 && byte <= 0x46) value = value * 16 + byte - 0x41 + 10;
    else if (byte >= 0x61 && byte <= 0x66) value = value * 16 + byte - 0x61 + 10;
    else return -1;
  }
  return value;
}

/** End of a run of decimal digits, which may be empty. */
function digitsEnd(text: Uint8Array, from: number): number {
  let at = from;
  for (let byte = text[at] as number; byte >= ZERO && byte <= NINE; byte = text[++at] as number);
  return at;
}

/** End of a number (RFC 8259 §6), whose value is checked on the way. */
function numberEnd(text: Uint8Array, start: number, shift: number): number {
  const first = text[start] === MINUS ? start + 1 : start;
  let at = text[first] === ZERO ? first + 1 : digitsEnd(text, first);
  const digits = at - first;
  if (digits === 0) throw malformed('a digit is missing', at + shift);
  let isInteger = true;
  let exponentDigits = 0;
  if (text[at] === POINT) {
    isInteger = false;
    const from = at + 1;
    at = digitsEnd(text, from);
    if (at === from) throw malformed('a digit is missing', at + shift);
  }
  if (text[at] === LOWER_E || text[at] === UPPER_E) {
    isInteger = false;
    const from = text[at + 1] === PLUS || text[at + 1] === MINUS ? at + 2 : at + 1;
    at = digitsEnd(text, from);
    exponentDigits = at - from;
    if (exponentDigits === 0) throw malformed('a digit is missing', at + shift);
  }
  if (isInteger) {
    // Up to 15 digits are always safe; more than 2^53 - 1 never rounds down to a safe integer.
    if (digits > 15 && (digits > 16 || numberAt(text, first, at) > Number.MAX_SAFE_INTEGER)) {
      throw new IngestError('integer_out_of_range', `an integer is beyond ±(2^53 - 1) at byte ${start + shift}`, {
        offset: start + shift,
      });
    }
  } else if ((digits > 200 || exponentDigits > 2) && numberAt(text, first, at) === Number.POSITIVE_INFINITY) {
    // Up to 200 digits and an exponent up to 99 are below 10^299, so most numbers need no conversion.
    throw new IngestError('number_out_of_range', `a number is too large for a double at byte ${start + shift}`, {
      offset: start + shift,
    });
  }
  return at;
}

function numberAt(text: Uint8Array, start: number, end: number): number {
  return Number(Buffer.from(text.buffer, text.byteOffset + start, end - start).toString('latin1'));
}

/** End of `true`, `false` or `null`. */
function literalEnd(text: Uint8Array, at: number, shift: number): number {
  const byte = text[at];
  const literal = byte === LOWER_T ? TRUE : byte === LOWER_F ? FALSE : byte === LOWER_N ? NULL : undefined;
  if (literal === undefined) {
    throw malformed(byte === undefined ? 'the text ends too early' : 'a value is missing', at + shift);
  }
  for (let i = 1; i < literal.length; i++) {
    if (text[at + i] !== literal[i]) throw malformed('an unknown word', at + shift);
  }
  return at + literal.length;
}
