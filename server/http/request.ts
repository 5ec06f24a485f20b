/** Reading requests: bodies within limits, parameters in their one spelling. Everything here comes from the network. */
import type { IncomingMessage } from 'node:http';
import { parseDecimal } from '../../tree/bytes.ts';
import { ServerError } from '../errors.ts';
import type { Call } from './call.ts';

/**
 * Bytes that each piece of a body costs beside its own: Node makes an array of its own of every chunk of `Transfer-Encoding: chunked`, and
 * of chunks of one byte 128 MiB took the heap and more.
 */
const PIECE_COST = 512;

/** What a body is read from. */
export type BodySource = Pick<Call, 'req' | 'bodies'>;

/**
 * Reads a body of at most `limit` bytes and hands it to `done`, or to `refuse` a ServerError: `body_too_large`, `unsupported_encoding`,
 * `bad_request`, `pushback`; what is left unread then closes the connection. A body may take a minute, so the key is looked at again
 * when it is there: `unauthorized` if it was revoked meanwhile.
 */
export function receiveBody(
  { req, server, key, bodies }: Call,
  limit: number,
  done: (body: Uint8Array) => void,
  refuse: (error: ServerError) => void,
): void {
  const checkKey = (body: Uint8Array): void => {
    if (key === undefined || server.apiKeys.holds(key)) done(body);
    else refuse(new ServerError('unauthorized', 'this API key is not known, or revoked'));
  };
  receiveOpenBody({ req, bodies }, limit, checkKey, refuse);
}

/** The same for what needs no key. */
export function receiveOpenBody(
  { req, bodies }: BodySource,
  limit: number,
  done: (body: Uint8Array) => void,
  refuse: (error: ServerError) => void,
): void {
  const { 'content-encoding': encoding, 'content-length': length } = req.headers;
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    refuse(new ServerError('unsupported_encoding', 'bodies are taken as they are; send it without Content-Encoding'));
    return;
  }
  const tooLarge = (): ServerError =>
    new ServerError('body_too_large', `a body has at most ${limit} bytes`, { details: { limit } });
  if (Number(length ?? 0) > limit) {
    refuse(tooLarge());
    return;
  }
  let chunks: Buffer[] = [];
  let size = 0;
  /** From here on the sequencer's pool counts what was read, or nobody needs it any more. */
  const finish = (): void => {
    bodies.giveBack(size + chunks.length * PIECE_COST);
    size = 0;
    chunks = [];
  };
  /** The rest of a refused body is thrown away, and its end means nothing: an empty one would be an entry of a raw log. */
  const stop = (error: ServerError): void => {
    req.release();
    finish();
    refuse(error);
  };
  req.receive({
    data: (chunk) => {
      if (size + chunk.length > limit) stop(tooLarge());
      else if (!bodies.take(chunk.length + PIECE_COST))
        stop(new ServerError('pushback', 'too many bodies are under way, or pieces of them; send it again'));
      else {
        size += chunk.length;
        chunks.push(chunk);
      }
    },
    end: () => {
      const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
      finish();
      done(new Uint8Array(body.buffer, body.byteOffset, body.byteLength));
    },
  });
  // Errors too end in `close`, where nobody listens for them.
  req.on('close', () => {
    if (req.complete) return;
    finish();
    refuse(new ServerError('bad_request', 'the connection ended before the body did'));
  });
}

/** The same as a promise, which rejects with what `receiveBody` refuses. */
export function readBody(call: Call, limit: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => receiveBody(call, limit, resolve, reject));
}

/**
 * Media type of a request without its parameters, lower case; `undefined` where there is none. Throws ServerError
 * `unsupported_media_type` on charsets but UTF-8, and on what is not ASCII: `trim` takes more for white space than HTTP does.
 */
export function mediaType(req: IncomingMessage): string | undefined {
  const header = req.headers['content-type'];
  if (header === undefined) return undefined;
  if (/[^\t\x20-\x7e]/.test(header)) {
    throw new ServerError('unsupported_media_type', 'a content type is written in ASCII');
  }
  const [type, ...parameters] = header.toLowerCase().split(';');
  for (const parameter of parameters) {
    const charset = /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(parameter)?.[1];
    if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') {
      throw new ServerError('unsupported_media_type', 'the only charset is UTF-8');
    }
  }
  return type?.trim();
}

/**
 * The Idempotency-Key of a request: 1 to 256 visible ASCII characters, taken as they are, quotes too; or `undefined`. Two headers
 * reach us joined by a comma and a space, and a space is refused. Throws ServerError `bad_idempotency_key`.
 */
export function idempotencyKey(req: IncomingMessage): string | undefined {
  const key = req.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !/^[!-~]{1,256}$/.test(key)) {
    throw new ServerError('bad_idempotency_key', 'an Idempotency-Key has 1 to 256 visible ASCII characters, no spaces');
  }
  return key;
}

const NO_VALUES: ReadonlyMap<string, string> = new Map();

/**
 * Query parameters, each given at most once and, but where the others are ignored, each known. Throws ServerError `bad_parameter`.
 */
export class Query {
  readonly #values: ReadonlyMap<string, string> = NO_VALUES;

  constructor(search: string, known: readonly string[], others: 'refused' | 'ignored' = 'refused') {
    if (search === '') return;
    const values = new Map<string, string>();
    for (const pair of search.split('&')) {
      if (pair === '') continue;
      const at = pair.indexOf('=');
      const name = decodePart(at < 0 ? pair : pair.slice(0, at));
      const value = at < 0 ? '' : decodePart(pair.slice(at + 1));
      if (!known.includes(name)) {
        if (others === 'ignored') continue;
        const names = known.length === 0 ? 'none' : known.join(', ');
        throw new ServerError('bad_parameter', `there is no such parameter here; known are: ${names}`);
      }
      if (values.has(name)) throw new ServerError('bad_parameter', `the parameter ${name} is given twice`);
      values.set(name, value);
    }
    this.#values = values;
  }

  text(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** A canonical decimal number, or `undefined` where it is not given. */
  number(name: string): number | undefined {
    const text = this.#values.get(name);
    return text === undefined ? undefined : decimal(text, `the parameter ${name}`);
  }

  required(name: string): number {
    const value = this.number(name);
    if (value === undefined) throw new ServerError('bad_parameter', `the parameter ${name} is missing`);
    return value;
  }

  /** How many of something: at least 1, cut to `most`. */
  limit(fallback: number, most: number): number {
    const value = this.number('limit') ?? fallback;
    if (value === 0) throw new ServerError('bad_parameter', 'the parameter limit is at least 1');
    return Math.min(value, most);
  }
}

/** One name or value. URLSearchParams would let `%zz` through and read every broken character as the same U+FFFD. */
function decodePart(text: string): string {
  // Nearly all of them.
  if (!/[%+]/.test(text)) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new ServerError('bad_parameter', 'the query is not percent-encoded UTF-8', { cause });
  }
}

/** A canonical decimal number from 0 to 2^53 - 1 in a path or query. Throws ServerError `bad_parameter`. */
export function decimal(text: string, what: string): number {
  try {
    return parseDecimal(text);
  } catch (cause) {
    throw new ServerError('bad_parameter', `${what} is not a number in plain decimal, from 0 to 2^53 - 1`, { cause });
  }
}
