/** Reads a file or stdin line by line, unpacking gzip, without ever holding more than a line and a chunk. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { trimEvent } from '../client/append-body.ts';
import { concatBytes } from '../tree/bytes.ts';
import { usage } from './output.ts';

/** A line that is not blank. */
export interface FileLine {
  readonly bytes: Uint8Array;
  /** From 1, blank lines counted. */
  readonly line: number;
}

export interface LineFile {
  /** Size of the file as it lies there, in bytes; undefined for a pipe. */
  readonly size: number | undefined;
  /** Bytes read of it up to now. */
  read(): number;
  lines(): AsyncGenerator<FileLine, void, undefined>;
}

/** Longest line, in bytes. No server takes a request as long. */
const MAX_LINE_SIZE = 67_108_864;
const LF = 0x0a;

/** Opens a file; `-` is stdin. Throws what the file system throws. */
export async function openLineFile(path: string): Promise<LineFile> {
  const info = path === '-' ? undefined : await stat(path);
  if (info?.isDirectory()) throw usage(`${path} is a directory`);
  let read = 0;
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of path === '-' ? process.stdin : createReadStream(path)) {
      const bytes = chunk as Uint8Array;
      read += bytes.length;
      yield bytes;
    }
  }
  return {
    size: info?.isFile() ? info.size : undefined,
    read: () => read,
    lines: () => splitLines(unpacked(chunks(), path)),
  };
}

/** The content: of gzip, which its first two bytes show whatever the name is, what is in it. No JSON begins with them. */
async function* unpacked(
  chunks: AsyncGenerator<Uint8Array, void, undefined>,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < 2) {
    const next = await chunks.next();
    if (next.done) break;
    head = concatBytes(head, next.value);
  }
  async function* whole(): AsyncGenerator<Uint8Array, void, undefined> {
    if (head.length > 0) yield head;
    yield* chunks;
  }
  if (head[0] !== 0x1f || head[1] !== 0x8b) {
    yield* whole();
    return;
  }
  const gunzip = createGunzip();
  // Its errors come out of the loop below.
  const done = pipeline(Readable.from(whole()), gunzip).catch(() => undefined);
  try {
    for await (const chunk of gunzip) yield chunk as Uint8Array;
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && String(cause.code).startsWith('Z_'))
      throw usage(`${path} is damaged: ${cause.message}`, cause);
    throw cause;
  }
  await done;
}

async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<FileLine, void, undefined> {
  let line = 1;
  let parts: Uint8Array[] = [];
  let size = 0;
  function take(last: Uint8Array): FileLine {
    const bytes = concatBytes(...parts, last);
    parts = [];
    size = 0;
    return { bytes, line: line++ };
  }
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      const whole = take(chunk.subarray(start, end));
      if (trimEvent(whole.bytes).length > 0) yield whole;
      start = end + 1;
    }
    // A copy: the stream may use its chunk again.
    parts.push(Uint8Array.from(chunk.subarray(start)));
    size += chunk.length - start;
    if (size > MAX_LINE_SIZE) throw usage(`line ${line} is longer than ${MAX_LINE_SIZE} bytes`);
  }
  const rest = take(new Uint8Array(0));
  if (trimEvent(rest.bytes).length > 0) yield rest;
}
