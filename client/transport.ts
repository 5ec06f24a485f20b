/**
 * Requests over `fetch`: key, limits, retries, and errors that say what is known. Every answer comes from the network: its size
 * is limited before it is kept, and its text must be UTF-8.
 */
import { concatBytes, fromUtf8 } from '../tree/bytes.ts';
import { type ClientClock, silenceTimer, systemClock } from './clock.ts';
import { ClientError, type Problem } from './error.ts';
import { mayRetry, nothingStored, parseRetryAfter, type Repeatable, type RetryLimits, retryDelay } from './retry.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** How to reach a server. */
export interface TransportOptions {
  /** Base URL, http or https, without query. */
  readonly url: string;
  /** API key, sent as a bearer token. */
  readonly key?: string | undefined;
  readonly fetch?: Fetch | undefined;
  readonly clock?: ClientClock | undefined;
  readonly retries?: Partial<RetryLimits> | undefined;
  /** Longest silence of the server before a try counts as failed, in milliseconds. */
  readonly timeout?: number | undefined;
  /** Longest time that one try may take until its answer is complete, in milliseconds; default: any, if the server is never silent. */
  readonly deadline?: number | undefined;
  /** Longest answer that is read, in bytes; of a stream, the longest line. */
  readonly maxReplySize?: number | undefined;
  /** Hears of each failed try that is followed by another one, with the wait in milliseconds. */
  readonly onRetry?: ((error: ClientError, delay: number) => void) | undefined;
}

export interface ClientRequest {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Appended to the base URL after a slash; empty for the base URL itself. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: Uint8Array;
  readonly contentType?: string;
  readonly idempotencyKey?: string | undefined;
  /** Default: `repeatable` for GET, else `once`. Only asked after a failed try. */
  readonly repeatable?: () => Repeatable;
  /** Longest answer that is read, in bytes, where that is less than what the transport allows. */
  readonly maxReplySize?: number;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULTS = {
  retries: { attempts: 5, firstDelay: 250, maxDelay: 30_000 },
  // Longer than a server waits for a signature (30 s).
  timeout: 60_000,
  // A batch of 10,000 events with their proofs takes 27 MB.
  maxReplySize: 67_108_864,
} as const;

/** Longest error answer that is read. Batches list every bad line. */
const MAX_PROBLEM_SIZE = 8_388_608;

/** What Node says where no connection came about, so that nothing was sent. Browsers do not tell. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);

export class Transport {
  /** Base URL without a slash at the end. */
  readonly url: string;
  readonly #key: string | undefined;
  readonly #fetch: Fetch;
  readonly #clock: ClientClock;
  readonly #retries: RetryLimits;
  readonly #timeout: number;
  readonly #deadline: number | undefined;
  readonly #maxReplySize: number;
  readonly #onRetry: ((error: ClientError, delay: number) => void) | undefined;

  /** Throws ClientError `bad_argument` on a URL or key that can not be one. */
  constructor(options: TransportOptions) {
    this.url = baseUrl(options.url);
    if (options.key !== undefined && !/^[\x21-\x7e]+$/.test(options.key))
      throw new ClientError('bad_argument', 'an API key is one word of ASCII characters');
    this.#key = options.key;
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
    this.#clock = options.clock ?? systemClock;
    this.#retries = { ...DEFAULTS.retries, ...options.retries };
    this.#timeout = options.timeout ?? DEFAULTS.timeout;
    this.#deadline = options.deadline;
    this.#maxReplySize = options.maxReplySize ?? DEFAULTS.maxReplySize;
    this.#onRetry = options.onRetry;
  }

  /**
   * The whole body of a successful answer. Throws ClientError: `http`, `unreachable`, `outcome_unknown` (requests to do once
   * only), `bad_reply` (too long); and the reason of the signal.
   */
  async request(request: ClientRequest): Promise<Uint8Array> {
    return await this.#retried(request, async () => {
      const parts: Uint8Array[] = [];
      const maxSize = Math.min(this.#maxReplySize, request.maxReplySize ?? this.#maxReplySize);
      for await (const part of this.#attempt(request, maxSize)) parts.push(part);
      // Most answers come in one part, which is ours alone.
      return parts.length === 1 ? (parts[0] as Uint8Array) : concatBytes(...parts);
    });
  }

  /**
   * The lines of a successful answer, one after the other, without their newlines. Only the beginning is retried: after the
   * first line, a broken connection is the caller's to deal with. Throws as `request` does.
   */
  async *lines(request: ClientRequest): AsyncGenerator<Uint8Array, void, undefined> {
    const opened = await this.#retried(request, async () => {
      const parts = this.#attempt(request, Number.POSITIVE_INFINITY);
      return { parts, first: await parts.next() };
    });
    try {
      let rest: Uint8Array = new Uint8Array(0);
      for (let next = opened.first; !next.done; next = await opened.parts.next()) {
        let part: Uint8Array = rest.length === 0 ? next.value : concatBytes(rest, next.value);
        for (let end = part.indexOf(LF, rest.length); end >= 0; end = part.indexOf(LF)) {
          if (end > this.#maxReplySize) throw tooLong(this.#maxReplySize);
          yield part.subarray(0, end);
          part = part.subarray(end + 1);
        }
        rest = part;
        if (rest.length > this.#maxReplySize) throw tooLong(this.#maxReplySize);
      }
      if (rest.length > 0) yield rest;
    } finally {
      await opened.parts.return(undefined);
    }
  }

  async #retried<Result>(request: ClientRequest, attempt: () => Promise<Result>): Promise<Result> {
    for (let count = 1; ; count++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        const repeatable = request.repeatable?.() ?? ((request.method ?? 'GET') === 'GET' ? 'repeatable' : 'once');
        if (count >= this.#retries.attempts || !mayRetry(error, repeatable)) throw honest(error, repeatable);
        const delay = retryDelay(count, error.retryAfter, this.#retries);
        this.#onRetry?.(error, delay);
        await this.#clock.sleep(delay, request.signal);
      }
    }
  }

  /** One try: the body of a successful answer in parts, as they come. */
  async *#attempt(request: ClientRequest, maxSize: number): AsyncGenerator<Uint8Array, void, undefined> {
    request.signal?.throwIfAborted();
    const silence = silenceTimer(this.#timeout, this.#deadline);
    try {
      const response = await this.#send(request, silence.signal);
      silence.touch();
      if (!response.ok) throw await this.#refusal(response);
      let size = 0;
      for await (const part of bodyOf(response)) {
        size += part.length;
        if (size > maxSize) throw tooLong(maxSize);
        // Whoever takes the parts may take their time; that is not the server's silence.
        silence.pause();
        yield part;
        silence.touch();
      }
    } catch (cause) {
      if (cause instanceof ClientError) throw cause;
      request.signal?.throwIfAborted();
      throw new ClientError('unreachable', `no answer from ${this.url}: ${reasonOf(cause)}`, { cause });
    } finally {
      silence.stop();
    }
  }

  async #send(request: ClientRequest, silence: AbortSignal) {
    const { method, path, query, body, contentType, idempotencyKey, signal } = request;
    const headers: Record<string, string> = {};
    if (this.#key !== undefined) headers['authorization'] = `Bearer ${this.#key}`;
    if (contentType !== undefined) headers['content-type'] = contentType;
    if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
    return await this.#fetch(`${this.url}${path === '' ? '' : `/${path}`}${queryText(query)}`, {
      method: method ?? 'GET',
      headers,
      ...(body === undefined ? {} : { body: new Uint8Array(body) }),
      // Followed, a redirect would carry the key elsewhere or turn a POST into a GET.
      redirect: 'manual',
      signal: signal === undefined ? silence : AbortSignal.any([signal, silence]),
    });
  }

  async #refusal(response: Response): Promise<ClientError> {
    const { status } = response;
    const problem = await problemOf(response);
    const retryAfter = parseRetryAfter(response.headers.get('retry-after'), this.#clock.now());
    const location = response.headers.get('location');
    // A browser keeps even the status of a redirect to itself.
    const hidden =
      response.type === 'opaqueredirect' ? 'the server answers with a redirect, which is not followed' : '';
    const said = [problem?.code, problem?.detail ?? problem?.title].filter((text) => text !== undefined).join(': ');
    const moved = location === null ? hidden : `the server is at ${location}`;
    return new ClientError('http', `status ${status}${said || moved ? `, ${said || moved}` : ''}`, {
      status,
      problem,
      retryAfter,
    });
  }
}

const LF = 0x0a;

/** A base URL in the one form that pins are kept under. Throws ClientError `bad_argument`. */
export function baseUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new ClientError('bad_argument', 'not a URL such as http://127.0.0.1:8080/logs/main', { cause });
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new ClientError('bad_argument', 'the URL of a server begins with http:// or https://');
  // A query that is empty is none for URL, and what is appended to it would be one.
  if (/[?#]/.test(url.href) || url.username !== '' || url.password !== '')
    throw new ClientError('bad_argument', 'a base URL has no query, fragment, user or password');
  return url.href.replace(/\/+$/, '');
}

/** The error as it is after the last try: silence after an append that must not be repeated means that nobody knows. */
function honest(error: ClientError, repeatable: Repeatable): ClientError {
  if (repeatable === 'repeatable' || nothingStored(error) || neverSent(error)) return error;
  if (error.code !== 'unreachable' && error.code !== 'http') return error;
  return new ClientError(
    'outcome_unknown',
    `it may have been stored or not, and repeating it could store it twice: ${error.message}`,
    { cause: error, problem: error.problem, ...(error.status === undefined ? {} : { status: error.status }) },
  );
}

function neverSent(error: ClientError): boolean {
  return error.code === 'unreachable' && NEVER_SENT.has(systemCode(error.cause));
}

/** The system's code for a failed request, such as ECONNREFUSED. `fetch` hides it one level down. */
function systemCode(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return inner instanceof Error && 'code' in inner && typeof inner.code === 'string' ? inner.code : '';
}

function reasonOf(error: unknown): string {
  const code = systemCode(error);
  if (code !== '') return code;
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return inner instanceof Error ? inner.message : String(inner);
}

function queryText(query: ClientRequest['query']): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  if (given.length === 0) return '';
  // encodeURIComponent, because URLSearchParams writes a space as a plus sign.
  return `?${given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&')}`;
}

async function* bodyOf(response: Response): AsyncGenerator<Uint8Array, void, undefined> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    // Frees the connection where the reader stops early; an error here would hide the first one.
    await reader.cancel().catch(() => undefined);
  }
}

/** The problem of an error answer; undefined where it is none, as from a proxy. Never throws but for a broken connection. */
async function problemOf(response: Response): Promise<Problem | undefined> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of bodyOf(response)) {
    size += part.length;
    if (size > MAX_PROBLEM_SIZE) return undefined;
    parts.push(part);
  }
  if (!/^application\/(?:problem\+)?json\b/i.test(response.headers.get('content-type') ?? '')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(concatBytes(...parts)));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const members = value as Record<string, unknown>;
  const { code, title, detail } = members;
  return {
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof title === 'string' ? { title } : {}),
    ...(typeof detail === 'string' ? { detail } : {}),
    members,
  };
}

function tooLong(limit: number): ClientError {
  return new ClientError('bad_reply', `the answer is longer than ${limit} bytes`);
}
