/**
 * Requests for wrk, made before the clock runs: whole HTTP requests in a file, which requests.lua sends in turn. Where a request says
 * so, 16 hexadecimal digits that occur only once are written into it each time it is sent, so that no two bodies are equal.
 *
 * The file: for each request a line with its length and the places of those digits, then its bytes.
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';

/** Digits of a number that occurs once. */
export const UNIQUE_DIGITS = 16;

export interface Body {
  readonly bytes: Buffer;
  /** Where unique digits go; none: it is sent as it is. */
  readonly unique: readonly number[];
}

export interface Request {
  readonly method: 'GET' | 'POST';
  /** From the slash on. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body;
}

/** Writes the file that requests.lua reads. */
export function writeRequests(file: string, requests: readonly Request[]): void {
  writeFileSync(file, Buffer.concat(requests.map(encode)));
}

function encode({ method, path, headers = {}, body = { bytes: Buffer.alloc(0), unique: [] } }: Request): Buffer {
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: 127.0.0.1'];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (method === 'POST') lines.push(`Content-Length: ${body.bytes.length}`);
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  const length = head.length + body.bytes.length;
  const places = body.unique.map((place) => head.length + place);
  return Buffer.concat([Buffer.from(`${[length, ...places].join(' ')}\n`), head, body.bytes]);
}

/** A raw entry: random bytes, the first 16 of them unique digits. */
export function rawBody(size: number): Body {
  return { bytes: randomBytes(size), unique: [0] };
}

/** A batch of raw entries in the framing of `add-batch`. */
export function rawBatch(entries: number, size: number): Body {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(size);
  const parts = Array.from({ length: entries }, () => Buffer.concat([length, randomBytes(size)]));
  return { bytes: Buffer.concat(parts), unique: parts.map((_, i) => i * (size + 2) + 2) };
}

/** An event, or several as NDJSON; each has to hold 16 zeros in a row somewhere, which become its unique digits. */
export function eventBody(events: readonly string[]): Body {
  const lines = events.map((event) => Buffer.from(`${event}\n`));
  let at = 0;
  const unique = lines.map((line) => {
    const place = line.indexOf('0'.repeat(UNIQUE_DIGITS));
    if (place < 0) throw new Error('bug: an event without a place for unique digits');
    at += line.length;
    return at - line.length + place;
  });
  return { bytes: Buffer.concat(lines), unique };
}
