/**
 * Content negotiation (RFC 9110 §12.5.1): JSON, or protobuf for whoever prefers it. Errors are JSON problems in any case.
 *
 * Without Accept the answer is JSON, also to a request in protobuf. Where neither is acceptable it is JSON as well: the RFC lets a
 * server disregard Accept, and an append that is durable must not end in a 406.
 */
import type { IncomingMessage } from 'node:http';
import { jsonText, type Reply, withHeaders } from './reply.ts';

export const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';

/** A 200 in the form that the request prefers. */
export function negotiated(req: IncomingMessage, value: () => unknown, message: () => Uint8Array): Reply {
  return negotiatedText(req, () => JSON.stringify(value()), message);
}

const VARIED_JSON = Object.freeze({ ...jsonText(200, '').headers, vary: 'Accept' });

/** The same where the JSON is written by hand. */
export function negotiatedText(req: IncomingMessage, text: () => string, message: () => Uint8Array): Reply {
  if (prefersProtobuf(req.headers.accept)) return varied(protobuf(message()));
  return { ...jsonText(200, text()), headers: VARIED_JSON };
}

/** A reply that depends on Accept, said so to caches. */
export function varied(reply: Reply): Reply {
  return withHeaders(reply, { vary: 'Accept' });
}

/** A protobuf reply that no cache keeps. */
export function protobuf(body: Uint8Array): Reply {
  return { status: 200, headers: { 'content-type': PROTOBUF, 'cache-control': 'no-store' }, body };
}

/**
 * Whether an Accept header prefers protobuf to JSON: by its q, which it has from the most specific range that covers it; of equal ones,
 * the more specific range wins, then the one that stands first.
 */
export function prefersProtobuf(accept: string | undefined): boolean {
  // What nearly everybody sends is decided without reading it.
  if (accept === undefined || accept === '*/*' || accept === JSON_TYPE) return false;
  if (accept === PROTOBUF) return true;
  const ranges = readRanges(accept);
  const wanted = quality(ranges, PROTOBUF);
  const other = quality(ranges, JSON_TYPE);
  if (wanted.q !== other.q) return wanted.q > other.q;
  if (wanted.q === 0 || wanted.precision !== other.precision) return wanted.q > 0 && wanted.precision > other.precision;
  return wanted.place < other.place;
}

interface Range {
  readonly type: string;
  /** 0 to 1; 0 means not acceptable. */
  readonly q: number;
}

/** How a media type stands: q, how specific the range is that says so (0 for none), and where in the header that range is. */
interface Standing {
  readonly q: number;
  readonly precision: 0 | 1 | 2 | 3;
  readonly place: number;
}

/** Media ranges with their weights. Parameters but q are not looked at, for none of our types has any; what is malformed is left out. */
function readRanges(accept: string): Range[] {
  const ranges: Range[] = [];
  // Quoted strings can hold commas and semicolons, and stand in those parameters only.
  for (const part of accept
    .replaceAll(/"(?:[^"\\]|\\.?)*"?/g, '""')
    .toLowerCase()
    .split(',')) {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    if (weight === undefined) ranges.push({ type, q: 1 });
    else if (/^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(weight)) ranges.push({ type, q: Number(weight) });
  }
  return ranges;
}

function quality(ranges: readonly Range[], mediaType: string): Standing {
  let best: Standing = { q: 0, precision: 0, place: 0 };
  for (const [place, { type, q }] of ranges.entries()) {
    const precision = type === mediaType ? 3 : type === 'application/*' ? 2 : type === '*/*' ? 1 : 0;
    if (precision > best.precision) best = { q, precision, place };
  }
  return best;
}
