/**
 * Requests for wrk, made before the clock runs: whole HTTP requests in a file, which requests.lua sends in turn. Where a request says
 * so, 16 hexadecimal digits that occur only once are written into it each time it is sent, so that no two bodies are equal.
 *
 * The file: for each request a line with its length and the places of those digits, then its bytes.
 */
import { writeFileSync } from 'node:fs';
import type { Body } from './payloads.ts';

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
