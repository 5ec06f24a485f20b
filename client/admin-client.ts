/** Makes and lists logs and API keys. What the server says here is not signed and can not be verified. */
import { utf8 } from '../tree/bytes.ts';
import { ClientError } from './error.ts';
import { asObject, type JsonObject, readList, readObject, readText, readTime } from './json.ts';
import { type LogInfo, parseLogInfo } from './replies.ts';
import { Transport, type TransportOptions } from './transport.ts';

export type Scope = 'append' | 'read' | 'admin';

export interface NewLog {
  readonly name: string;
  /** Default: events. */
  readonly kind?: 'events' | 'raw' | undefined;
  /** Whether heads, proofs and tiles need no key. Default false. */
  readonly publicReads?: boolean | undefined;
  /** JSON pointer to the id of each event, for requests that name none. */
  readonly idPointer?: string | undefined;
}

/** What can be changed later; members left out stay as they are. */
export interface LogSettings {
  readonly publicReads?: boolean | undefined;
  /** Null: none. */
  readonly idPointer?: string | null | undefined;
}

export interface NewKey {
  /** Source name. Equal ids of one source are one entry, whatever key they came with. */
  readonly name: string;
  /** What it may do; admin includes the others. */
  readonly scopes: readonly Scope[];
  /** Name of the one log it is for. Default: all. */
  readonly log?: string | undefined;
}

/** An API key as the server describes it. Times in microseconds since the Unix epoch. */
export interface KeyInfo {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Undefined: for all logs. */
  readonly log: string | undefined;
  readonly createdAt: number;
  readonly revokedAt: number | undefined;
}

interface Signal {
  readonly signal?: AbortSignal | undefined;
}

/** Needs a key of scope admin, and as URL the server's, not a log's. All methods throw ClientError. */
export class AdminClient {
  readonly #transport: Transport;

  /** Throws ClientError `bad_argument`. */
  constructor(options: TransportOptions) {
    this.#transport = new Transport(options);
  }

  /** Base URL of the server, without a slash at the end. */
  get url(): string {
    return this.#transport.url;
  }

  /** Base URL of one of its logs. */
  logUrl(name: string): string {
    return `${this.url}/logs/${encodeURIComponent(name)}`;
  }

  async createLog({ name, kind, publicReads, idPointer }: NewLog, { signal }: Signal = {}): Promise<LogInfo> {
    // Members left undefined are not sent.
    const log = { name, kind, public_reads: publicReads, id_pointer: idPointer };
    return parseLogInfo(await this.#post('admin/logs', log, signal));
  }

  async logs({ signal }: Signal = {}): Promise<LogInfo[]> {
    const reply = await this.#get('admin/logs', signal);
    return readList(reply, 'logs').map((log) => parseLogInfo(asObject(log, 'a log')));
  }

  async log(name: string, { signal }: Signal = {}): Promise<LogInfo> {
    return parseLogInfo(await this.#get(`logs/${encodeURIComponent(name)}`, signal));
  }

  async changeSettings(name: string, settings: LogSettings, { signal }: Signal = {}): Promise<LogInfo> {
    const { publicReads, idPointer } = settings;
    const body = utf8(JSON.stringify({ public_reads: publicReads, id_pointer: idPointer }));
    const request = { method: 'PATCH', path: logPath(name), body, contentType: 'application/json', signal } as const;
    return parseLogInfo(readObject(await this.#transport.request(request), 'the answer'));
  }

  /** For ever: the log takes no entries any more. */
  async freezeLog(name: string, { signal }: Signal = {}): Promise<LogInfo> {
    const request = { method: 'POST', path: `${logPath(name)}/freeze`, signal } as const;
    return parseLogInfo(readObject(await this.#transport.request(request), 'the answer'));
  }

  /** Begins a rotation of the log's key: from the next head on, both keys sign. */
  async rotateKey(name: string, { signal }: Signal = {}): Promise<LogInfo> {
    const request = { method: 'POST', path: `${logPath(name)}/rotation`, signal } as const;
    return parseLogInfo(readObject(await this.#transport.request(request), 'the answer'));
  }

  /** Ends it: the new key alone signs. */
  async endRotation(name: string, { signal }: Signal = {}): Promise<LogInfo> {
    const request = { method: 'DELETE', path: `${logPath(name)}/rotation`, signal } as const;
    return parseLogInfo(readObject(await this.#transport.request(request), 'the answer'));
  }

  /** For ever: only a frozen log can be deleted, and its name is never used again. */
  async deleteLog(name: string, { signal }: Signal = {}): Promise<LogInfo> {
    const request = { method: 'DELETE', path: logPath(name), signal } as const;
    return parseLogInfo(readObject(await this.#transport.request(request), 'the answer'));
  }

  /** The new key itself is in this answer and in no other: the server keeps only its hash. */
  async createKey({ name, scopes, log }: NewKey, { signal }: Signal = {}): Promise<KeyInfo & { readonly key: string }> {
    const reply = await this.#post('admin/keys', { name, scopes, log: log ?? null }, signal);
    return { ...parseKeyInfo(reply), key: readText(reply, 'key') };
  }

  async keys({ signal }: Signal = {}): Promise<KeyInfo[]> {
    const reply = await this.#get('admin/keys', signal);
    return readList(reply, 'keys').map((key) => parseKeyInfo(asObject(key, 'a key')));
  }

  /** Takes effect at once. */
  async revokeKey(id: string, { signal }: Signal = {}): Promise<KeyInfo> {
    const path = `admin/keys/${encodeURIComponent(id)}`;
    return parseKeyInfo(readObject(await this.#transport.request({ method: 'DELETE', path, signal }), 'the answer'));
  }

  async #get(path: string, signal: AbortSignal | undefined): Promise<JsonObject> {
    return readObject(await this.#transport.request({ path, signal }), 'the answer');
  }

  async #post(path: string, value: unknown, signal: AbortSignal | undefined): Promise<JsonObject> {
    const body = utf8(JSON.stringify(value));
    const reply = await this.#transport.request({
      method: 'POST',
      path,
      body,
      contentType: 'application/json',
      signal,
    });
    return readObject(reply, 'the answer');
  }
}

function logPath(name: string): string {
  return `admin/logs/${encodeURIComponent(name)}`;
}

function parseKeyInfo(key: JsonObject): KeyInfo {
  return {
    id: readText(key, 'id'),
    name: readText(key, 'name'),
    scopes: readList(key, 'scopes').map(asScope),
    log: key['log'] === null || key['log'] === undefined ? undefined : readText(key, 'log'),
    createdAt: readTime(key, 'created_at'),
    // A key that was just made has no such member.
    revokedAt: typeof key['revoked_at'] === 'string' ? readTime(key, 'revoked_at') : undefined,
  };
}

function asScope(value: unknown): Scope {
  if (value === 'append' || value === 'read' || value === 'admin') return value;
  throw new ClientError('bad_reply', 'a scope is none of append, read and admin');
}
