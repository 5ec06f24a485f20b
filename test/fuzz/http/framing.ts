/**
 * Where requests begin and end, by RFC 9112 and nothing else: what a careful proxy in front of the server would make of the same bytes. If
 * the server finds another number of requests in them, or takes other bytes for a body, somebody can be made to answer for somebody else.
 *
 * Strict: whatever the grammar does not allow is malformed, and a server must refuse it. It may refuse more.
 */
import { concatBytes } from '../../../tree/bytes.ts';

export interface ModelRequest {
  readonly kind: 'request';
  readonly method: string;
  readonly target: string;
  readonly version: string;
  /** Names in small letters, in the order they stand. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  /** The byte after it. */
  readonly end: number;
  /** Nothing after it on this connection is to be answered. */
  readonly closes: boolean;
  /** Well-formed, and must be refused all the same. */
  readonly fault: string | undefined;
  /** What a parser may refuse at once, well-formed as it is: nobody has to know every method, or take every size. */
  readonly odd: boolean;
}

export type Parsed =
  | ModelRequest
  /** More bytes are needed: so many of a body, or nobody knows how many. `method` where the head is there, and the body lacks. */
  | { readonly kind: 'incomplete'; readonly missing: number | undefined; readonly method?: string | undefined }
  /** `method` where the head is good, and its body is not. */
  | { readonly kind: 'malformed'; readonly why: string; readonly method?: string | undefined };

const CR = 0x0d;
const LF = 0x0a;

function malformed(why: string): Parsed {
  return { kind: 'malformed', why };
}

/** The line that begins at a place, without its end; `undefined` where it does not end, `null` where it is no line. */
function lineAt(bytes: Uint8Array, from: number): { readonly text: string; readonly next: number } | undefined | null {
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === CR) {
      if (at + 1 === bytes.length) return undefined;
      if (bytes[at + 1] !== LF) return null;
      return { text: latin1(bytes, from, at), next: at + 2 };
    }
    if (byte === LF || byte === 0) return null;
  }
  return undefined;
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([\x21-\x7e\x80-\xff]+) +HTTP\/([0-9])\.([0-9])$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a field may not have
const NO_FIELD = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Header or trailer lines up to the empty one; where they end. */
function fieldsAt(
  bytes: Uint8Array,
  from: number,
): { readonly fields: [string, string][]; readonly next: number } | undefined | string {
  const fields: [string, string][] = [];
  for (let at = from; ; ) {
    const line = lineAt(bytes, at);
    if (line === undefined) return undefined;
    if (line === null) return 'a header line with a bare CR, LF or NUL';
    if (line.text === '') return { fields, next: line.next };
    const colon = line.text.indexOf(':');
    const name = line.text.slice(0, Math.max(colon, 0));
    if (colon < 0 || !TOKEN.test(name)) return 'a header without a proper name';
    const value = line.text.slice(colon + 1).replaceAll(/^[ \t]+|[ \t]+$/g, '');
    if (NO_FIELD.test(value)) return 'a control character in a header';
    fields.push([name.toLowerCase(), value]);
    at = line.next;
  }
}

/** The request that begins at a place. Line ends before it are passed over, and so may be more than one space in its first line (RFC 9112 §2.2, §3). */
export function requestAt(bytes: Uint8Array, from: number): Parsed {
  let start = from;
  while (bytes[start] === CR || bytes[start] === LF) start++;
  const line = lineAt(bytes, start);
  if (line === undefined) return { kind: 'incomplete', missing: undefined };
  if (line === null) return malformed('a request line with a bare CR, LF or NUL');
  const match = REQUEST_LINE.exec(line.text);
  if (match === null) return malformed('no request line');
  const [, method, target, major, minor] = match as unknown as [string, string, string, string, string];
  const head = fieldsAt(bytes, line.next);
  if (head === undefined) return { kind: 'incomplete', missing: undefined };
  if (typeof head === 'string') return malformed(head);
  const { fields: headers, next } = head;
  const all = (name: string): string[] => headers.filter(([each]) => each === name).map(([, value]) => value);
  const version = `${major}.${minor}`;
  const codings = all('transfer-encoding');
  const lengths = all('content-length');
  if (codings.length > 0 && lengths.length > 0) return malformed('Content-Length and Transfer-Encoding');
  if (codings.length > 0 && (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked'))
    return malformed('a transfer coding that is not chunked');
  if (lengths.length > 1) return malformed('two Content-Lengths');
  if (lengths.some((length) => !/^[0-9]+$/.test(length) || BigInt(length) >= 2n ** 64n))
    return malformed('a Content-Length that is none');
  const framed = codings.length > 0 ? chunksAt(bytes, next) : lengthAt(bytes, next, lengths[0]);
  if ('kind' in framed) return { ...framed, method };
  const connection = all('connection')
    .join(',')
    .toLowerCase()
    .split(/[ \t]*,[ \t]*/);
  return {
    ...{ kind: 'request', method, target, version, headers, body: framed.body, end: framed.end },
    // With chunks in HTTP/1.0 the framing counts as faulty, and the connection ends behind it (RFC 9112 §6.1).
    closes:
      connection.includes('close') || (version === '1.0' && (!connection.includes('keep-alive') || codings.length > 0)),
    fault: faultOf(version, all('host'), codings.length > 0),
    odd:
      framed.odd === true ||
      next - start > MAX_HEAD ||
      line.text.includes('  ') ||
      !KNOWN_METHODS.has(method) ||
      !/^(?:\/|https?:\/\/|\*$)[\x21-\x7e]*$/.test(target) ||
      (version !== '1.0' && version !== '1.1') ||
      (version === '1.0' && codings.length > 0) ||
      SPACED.test(latin1(bytes, line.next, next)),
  };
}

/** Larger heads need not be taken. */
const MAX_HEAD = 16_000;
/** White space at the end of what frames a body: allowed, and suspicious enough to refuse. */
const SPACED = /^(?:transfer-encoding|content-length):[^\r]*[ \t]\r$/im;
const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']);

/** RFC 3986 §3.2.2, without looking into the brackets. */
const HOST = /^(?:\[[0-9A-Fa-f:.]*\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?$/;

function faultOf(version: string, hosts: readonly string[], isChunked: boolean): string | undefined {
  if (version !== '1.0' && version !== '1.1') return 'another version of HTTP';
  if (hosts.length > 1) return 'two Hosts';
  if (hosts.length === 0 && version === '1.1') return 'no Host';
  if (!HOST.test(hosts[0] ?? '')) return 'a Host that is none';
  return version === '1.0' && isChunked ? 'chunks in HTTP/1.0' : undefined;
}

type Framed =
  | { readonly body: Uint8Array; readonly end: number; readonly odd?: boolean }
  | Exclude<Parsed, ModelRequest>;

function lengthAt(bytes: Uint8Array, from: number, text: string | undefined): Framed {
  if (text === undefined) return { body: new Uint8Array(0), end: from };
  const end = from + Number(text);
  if (end > bytes.length) return { kind: 'incomplete', missing: end - bytes.length };
  return { body: bytes.subarray(from, end), end };
}

/** Chunks (RFC 9112 §7.1): size in hexadecimal, extensions that nobody knows, data, and trailers behind the last. */
function chunksAt(bytes: Uint8Array, from: number): Framed {
  const parts: Uint8Array[] = [];
  const incomplete: Framed = { kind: 'incomplete', missing: undefined };
  let odd = false;
  for (let at = from; ; ) {
    const line = lineAt(bytes, at);
    if (line === undefined) return incomplete;
    if (line === null) return { kind: 'malformed', why: 'the size of a chunk with a bare CR, LF or NUL' };
    const [, hex] = /^([0-9a-fA-F]+)(?:[ \t]*;.*|[ \t]*)$/s.exec(line.text) ?? [];
    if (hex === undefined || NO_FIELD.test(line.text) || BigInt(`0x${hex}`) >= 2n ** 64n)
      return { kind: 'malformed', why: 'the size of a chunk that is none' };
    // Extensions, white space before them and trailers are what hardly anybody sends: not every parser takes all of their grammar.
    if (hex.length !== line.text.length || hex.length > 16) odd = true;
    const size = Number(`0x${hex}`);
    if (size === 0) {
      const trailers = fieldsAt(bytes, line.next);
      if (trailers === undefined) return incomplete;
      if (typeof trailers === 'string') return { kind: 'malformed', why: trailers };
      return { body: concatBytes(...parts), end: trailers.next, odd: odd || trailers.fields.length > 0 };
    }
    const end = line.next + size;
    if (end + 2 > bytes.length) {
      const tail = bytes.subarray(Math.min(end, bytes.length));
      return tail.length > 0 && tail[0] !== CR
        ? { kind: 'malformed', why: 'a chunk longer than its size' }
        : incomplete;
    }
    if (bytes[end] !== CR || bytes[end + 1] !== LF) return { kind: 'malformed', why: 'a chunk longer than its size' };
    parts.push(bytes.subarray(line.next, end));
    at = end + 2;
  }
}
