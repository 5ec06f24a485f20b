/**
 * A small log server that answers the exact shapes of the API from memory, and lies on demand. `fetch` serves clients in this
 * process, `listen` those in others.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Fetch } from '../../client/transport.ts';
import { signCheckpoint } from '../../proofs/checkpoint.ts';
import { proveConsistency } from '../../proofs/consistency.ts';
import { entryLeaf } from '../../proofs/entry.ts';
import { proveInclusion } from '../../proofs/inclusion.ts';
import { encodeHeader } from '../../proofs/leaf.ts';
import { ed25519Signer, type NoteSigner } from '../../proofs/note.ts';
import { formatMicros } from '../../proofs/time.ts';
import { signTreeHead } from '../../proofs/tree-head-signature.ts';
import { encodeBundle } from '../../tree/bundles.ts';
import { concatBytes, equalBytes, fromBase64, fromUtf8, toBase64, utf8 } from '../../tree/bytes.ts';
import { leafHash } from '../../tree/hash.ts';
import { parseTilePath, TILE_WIDTH, tileExists, tileSpan } from '../../tree/tiles.ts';
import { ReferenceTree } from '../support/reference-tree.ts';

export type Json = Record<string, unknown>;

interface Stored {
  readonly event: Uint8Array;
  readonly header: Uint8Array;
  readonly salt: Uint8Array;
  readonly leafIndex: number;
  readonly receivedAt: number;
  readonly leaf: Uint8Array;
  readonly id: string | undefined;
}

export interface FakeRequest {
  readonly method: string;
  /** Path below the log's base URL, or below the server's with a slash before it. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface FakeReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array<ArrayBuffer>;
}

/** What happens to a request instead of, or after, its normal handling. */
export type Fault =
  /** This answer, and nothing is done. */
  | { readonly kind: 'reply'; readonly reply: FakeReply }
  /** The connection breaks before anything is done. */
  | { readonly kind: 'drop' }
  /** The request is done, then the connection breaks. */
  | { readonly kind: 'drop-after' };

export const KEY_ID = '0123456789abcdef';
export const API_KEY = `ind_${KEY_ID}_${'5'.repeat(64)}`;

export function problem(status: number, code: string, more: Json = {}): FakeReply {
  return {
    status,
    headers: { 'content-type': 'application/problem+json' },
    body: JSON.stringify({ type: `/errors/${code}`, title: code, status, detail: `${code} it is`, code, ...more }),
  };
}

const json = (value: unknown, status = 200): FakeReply => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});

export class FakeLog {
  readonly name: string;
  readonly origin: string;
  signer: NoteSigner;
  readonly entries: Stored[] = [];
  /** Size of the newest signed head; grows with every append unless `signs` is false. */
  signed = 0;
  signs = true;
  /** Most entries of one page. */
  page = 1000;
  readonly requests: FakeRequest[] = [];
  /** Taken from the front, one a request. */
  readonly faults: (Fault | undefined)[] = [];
  /** Changes answers on their way out: the lies. Called for the whole answer, and for each line of NDJSON. */
  tamper: (request: FakeRequest, reply: Json) => Json = (_request, reply) => reply;
  /** The same for answers that are no JSON. */
  tamperText: (request: FakeRequest, text: string) => string = (_request, text) => text;
  /** The same for tiles and bundles. */
  tamperBytes: (request: FakeRequest, bytes: Uint8Array) => Uint8Array = (_request, bytes) => bytes;
  /** What `GET tree-heads` lists; undefined: it is not there, as in other people's logs. */
  heads: Json[] | undefined;
  readonly keys: Json[] = [];
  readonly logs: Json[] = [];
  #server: Server | undefined;
  #tree: { readonly known: readonly Uint8Array[]; readonly tree: ReferenceTree } = {
    known: [],
    tree: new ReferenceTree([]),
  };

  constructor(name = 'main', seed = 1) {
    this.name = name;
    this.origin = `example.com/logs/${name}`;
    this.signer = ed25519Signer(this.origin, new Uint8Array(32).fill(seed));
  }

  get vkey(): string {
    return this.signer.verifierKey.text;
  }

  tree(): ReferenceTree {
    const leaves = this.entries.map(({ leaf }) => leaf);
    const { known } = this.#tree;
    // Tests change entries as they like; what nobody touched need not be hashed again.
    const same = known.length === leaves.length && leaves.every((leaf, i) => leaf === known[i]);
    if (!same) this.#tree = { known: leaves, tree: new ReferenceTree(leaves) };
    return this.#tree.tree;
  }

  checkpoint(treeSize = this.signed, origin = this.origin): string {
    return signCheckpoint({ origin, treeSize, rootHash: this.tree().root(treeSize) }, this.signer);
  }

  add(event: string, pointer: string | null = null, by = KEY_ID): { entry: Stored; replayed: boolean } {
    const parsed = JSON.parse(event) as Json;
    const id = pointer === null ? undefined : (parsed[pointer.slice(1)] as string | undefined);
    const bytes = utf8(event);
    const first = id === undefined ? undefined : this.entries.find((entry) => entry.id === id);
    if (first !== undefined) {
      if (!equalBytes(first.event, bytes)) throw new Error('id_conflict');
      return { entry: first, replayed: true };
    }
    const leafIndex = this.entries.length;
    const plain = {
      event: bytes,
      header: encodeHeader({ by, via: 'events', ...(id === undefined ? {} : { id_pointer: pointer as string }) }),
      salt: new Uint8Array(32).fill(leafIndex + 1),
      leafIndex,
      receivedAt: 1_767_225_600_000_000 + leafIndex,
    };
    const entry = { ...plain, leaf: entryLeaf(plain, this.origin), id };
    this.entries.push(entry);
    if (this.signs) this.signed = this.entries.length;
    return { entry, replayed: false };
  }

  /** Adds an event that is received at a time, in microseconds. */
  addAt(event: string, receivedAt: number): void {
    const { entry } = this.add(event);
    const changed = { ...entry, receivedAt };
    this.entries[entry.leafIndex] = { ...changed, leaf: entryLeaf(changed, this.origin) };
  }

  /** Adds events `{"id":"e-0"}` and so on until there are so many. */
  fill(size: number): this {
    while (this.entries.length < size) this.add(`{"id":"e-${this.entries.length}"}`, '/id');
    return this;
  }

  inclusion(leafIndex: number, treeSize = this.signed): string[] {
    return proveInclusion({ leafIndex, treeSize }, this.tree().node).map(toBase64);
  }

  info(): Json {
    return {
      name: this.name,
      kind: 'events',
      origin: this.origin,
      verifier_key: this.vkey,
      verifier_keys: [this.vkey],
      tree_size: this.signed,
      root_hash: toBase64(this.tree().root(this.signed)),
    };
  }

  entryJson(leafIndex: number): Json {
    const entry = this.entries[leafIndex];
    if (entry === undefined) throw new Error('no such entry');
    return {
      leaf_index: leafIndex,
      received_at: formatMicros(entry.receivedAt),
      event: JSON.parse(fromUtf8(entry.event)),
      event_base64: toBase64(entry.event),
      header_base64: toBase64(entry.header),
      salt: toBase64(entry.salt),
      leaf: toBase64(entry.leaf),
      leaf_hash: toBase64(leafHash(entry.leaf)),
    };
  }

  eventJson(leafIndex: number, treeSize = this.signed): Json {
    return {
      ...this.entryJson(leafIndex),
      tree_size: treeSize,
      proof: this.inclusion(leafIndex, treeSize),
      checkpoint: this.checkpoint(treeSize),
    };
  }

  #append(request: FakeRequest): FakeReply {
    const { body, query, headers } = request;
    const batch = headers['content-type'] === 'application/x-ndjson';
    const lines = batch ? fromUtf8(body).split('\n') : [fromUtf8(body)];
    const pointer = query.get('id_pointer');
    const errors: Json[] = [];
    lines.forEach((line, i) => {
      if (line === '' && i === lines.length - 1) return;
      try {
        JSON.parse(line);
      } catch {
        errors.push({ line: i + 1, code: 'malformed_json', detail: 'not JSON' });
      }
    });
    if (errors.length > 0) return problem(422, 'malformed_json', batch ? { errors } : {});
    const entries: Json[] = [];
    const before = this.entries.length;
    try {
      for (const line of lines.filter((text) => text !== '')) {
        const { entry, replayed } = this.add(line, pointer);
        entries.push({
          leaf_index: entry.leafIndex,
          received_at: formatMicros(entry.receivedAt),
          leaf_hash: toBase64(leafHash(entry.leaf)),
          salt: toBase64(entry.salt),
          header_base64: toBase64(entry.header),
          replayed,
        });
      }
    } catch {
      this.entries.length = before;
      this.signed = Math.min(this.signed, before);
      return problem(409, 'id_conflict', { line: entries.length + 1 });
    }
    if (query.get('ack') !== 'signed' || !this.signs) return json({ ack: 'durable', entries });
    const proven = entries.map((entry) => ({ ...entry, proof: this.inclusion(entry['leaf_index'] as number) }));
    return json({ ack: 'signed', entries: proven, tree_size: this.signed, checkpoint: this.checkpoint() });
  }

  #get({ path, query }: FakeRequest): FakeReply {
    const number = (name: string) => (query.has(name) ? Number(query.get(name)) : undefined);
    const tree = this.tree();
    if (path === '') return json(this.info());
    if (path === 'checkpoint') return { status: 200, body: this.checkpoint() };
    if (path.startsWith('tile/')) return this.#tile(path);
    if (path === 'tree-heads' && this.heads !== undefined) {
      const listed = this.heads.filter((head) => (head['tree_size'] as number) >= (number('from') ?? 0));
      const limit = number('limit') ?? 100;
      return json({ tree_heads: listed.slice(0, limit), next: listed[limit]?.['tree_size'] ?? null });
    }
    if (path === 'tree-head')
      return json({
        origin: this.origin,
        tree_size: this.signed,
        root_hash: toBase64(tree.root(this.signed)),
        timestamp: 1_767_225_600_000,
        checkpoint: this.checkpoint(),
      });
    if (path === 'events') {
      const from = number('from') ?? 0;
      const end = Math.min(this.signed, from + Math.min(number('limit') ?? 100, this.page));
      const lines = [];
      for (let i = from; i < end; i++) lines.push(this.entryJson(i));
      return { status: 200, headers: { 'content-type': 'application/x-ndjson' }, body: JSON.stringify(lines) };
    }
    if (path.startsWith('events/')) {
      const leafIndex = Number(path.slice('events/'.length));
      return leafIndex < this.signed ? json(this.eventJson(leafIndex)) : problem(404, 'no_such_entry');
    }
    if (path === 'proofs/consistency') {
      const first = number('first') as number;
      const second = number('second') as number;
      if (second > this.signed) return problem(404, 'tree_size_not_signed');
      return json({ first, second, proof: proveConsistency({ first, second }, tree.node).map(toBase64) });
    }
    if (path === 'proofs/inclusion') {
      const hash = query.get('leaf_hash');
      const leafIndex =
        hash === null
          ? (number('index') as number)
          : this.entries.findIndex(({ leaf }) => equalBytes(leafHash(leaf), fromBase64(hash)));
      const treeSize = number('tree_size') ?? this.signed;
      return json({
        leaf_index: leafIndex,
        leaf_hash: toBase64(leafHash(this.entries[leafIndex]?.leaf as Uint8Array)),
        tree_size: treeSize,
        root_hash: toBase64(tree.root(treeSize)),
        proof: this.inclusion(leafIndex, treeSize),
        checkpoint: treeSize === this.signed ? this.checkpoint() : null,
      });
    }
    return problem(404, 'not_found');
  }

  /** A tile or entry bundle of the signed tree. */
  #tile(path: string): FakeReply {
    const parsed = parseTilePath(path);
    if (parsed === undefined || !tileExists(parsed.tile, this.signed)) return problem(404, 'no_such_tile');
    const { level, index, width } = parsed.tile;
    const first = index * TILE_WIDTH;
    const tree = this.tree();
    const bytes =
      parsed.kind === 'bundle'
        ? encodeBundle(this.entries.slice(first, first + width).map(({ leaf }) => leaf))
        : concatBytes(
            ...Array.from({ length: width }, (_, i) =>
              tree.hash((first + i) * tileSpan(level), (first + i + 1) * tileSpan(level)),
            ),
          );
    return { status: 200, headers: { 'content-type': 'application/octet-stream' }, body: Uint8Array.from(bytes) };
  }

  /** A head as `GET tree-heads` lists it, `time` in milliseconds. */
  headJson(treeSize: number, time: number, checkpoint = this.checkpoint(treeSize)): Json {
    const rootHash = this.tree().root(treeSize);
    return {
      origin: this.origin,
      tree_size: treeSize,
      root_hash: toBase64(rootHash),
      timestamp: time,
      checkpoint,
      signature: toBase64(signTreeHead({ treeSize, rootHash, timestamp: time }, this.signer)),
    };
  }

  #admin(request: FakeRequest): FakeReply {
    const { method, path } = request;
    const body = request.body.length === 0 ? {} : (JSON.parse(fromUtf8(request.body)) as Json);
    if (path === '/admin/logs' && method === 'GET') return json({ logs: [this.info(), ...this.logs] });
    if (path === '/admin/logs') {
      const name = body['name'] as string;
      if (name === this.name) return problem(409, 'log_exists');
      const log = { ...new FakeLog(name, 9).info(), kind: body['kind'] ?? 'events' };
      this.logs.push(log);
      return json(log, 201);
    }
    if (path === '/admin/keys' && method === 'GET') return json({ keys: this.keys });
    if (path === '/admin/keys') {
      const id = String(this.keys.length).padStart(16, '0');
      const key = { id, name: body['name'], scopes: body['scopes'], log: body['log'] ?? null, created_at: TIME };
      this.keys.push({ ...key, revoked_at: null });
      return json({ ...key, key: `ind_${id}_${'a'.repeat(64)}` }, 201);
    }
    const key = this.keys.find(({ id }) => path === `/admin/keys/${id}`);
    if (key === undefined || method !== 'DELETE') return problem(404, 'no_such_key');
    key['revoked_at'] = TIME;
    return json(key);
  }

  /** The answer to one request, lies included. */
  handle(method: string, url: URL, headers: Readonly<Record<string, string>>, body: Uint8Array): FakeReply | 'drop' {
    const base = `/logs/${this.name}`;
    const below = url.pathname === base || url.pathname.startsWith(`${base}/`);
    const path = below ? url.pathname.slice(base.length + 1) : url.pathname;
    const request = { method, path, query: url.searchParams, headers, body };
    this.requests.push(request);
    const fault = this.faults.shift();
    if (fault?.kind === 'drop') return 'drop';
    if (fault?.kind === 'reply') return fault.reply;
    let reply: FakeReply;
    if (headers['authorization'] !== `Bearer ${API_KEY}`) reply = problem(401, 'unauthorized');
    else if (!below) reply = path.startsWith('/admin/') ? this.#admin(request) : problem(404, 'not_found');
    else reply = method === 'POST' ? this.#append(request) : this.#get(request);
    if (fault?.kind === 'drop-after') return 'drop';
    const type = reply.headers?.['content-type'];
    if (reply.status >= 300) return reply;
    if (typeof reply.body !== 'string')
      return { ...reply, body: Uint8Array.from(this.tamperBytes(request, reply.body)) };
    if (type === 'application/x-ndjson') {
      const lines = JSON.parse(reply.body) as Json[];
      return { ...reply, body: lines.map((line) => `${JSON.stringify(this.tamper(request, line))}\n`).join('') };
    }
    if (type === undefined) return { ...reply, body: this.tamperText(request, reply.body) };
    return { ...reply, body: JSON.stringify(this.tamper(request, JSON.parse(reply.body))) };
  }

  /** For a LogClient in this process, with any host in its URL. */
  readonly fetch: Fetch = async (url, init) => {
    const headers = Object.fromEntries(new Headers(init.headers ?? {}).entries());
    const body = init.body === undefined ? new Uint8Array(0) : (init.body as Uint8Array);
    init.signal?.throwIfAborted();
    const reply = this.handle(init.method ?? 'GET', new URL(url), headers, Uint8Array.from(body));
    if (reply === 'drop') throw new TypeError('fetch failed', { cause: new Error('socket hang up') });
    return new Response(reply.body, { status: reply.status, headers: reply.headers ?? {} });
  };

  /** Listens on a free port of 127.0.0.1 and gives the log's base URL. */
  async listen(): Promise<string> {
    const server = createServer((request: IncomingMessage, response: ServerResponse) => {
      const parts: Uint8Array[] = [];
      request.on('data', (part: Uint8Array) => parts.push(part));
      request.on('end', () => {
        const url = new URL(request.url ?? '/', 'http://fake');
        const headers = request.headers as Record<string, string>;
        const reply = this.handle(request.method ?? 'GET', url, headers, Uint8Array.from(Buffer.concat(parts)));
        if (reply === 'drop') return request.socket.destroy();
        return response.writeHead(reply.status, reply.headers ?? {}).end(reply.body);
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/logs/${this.name}`;
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const TIME = '2026-01-01T00:00:00.000000Z';

/** The code of the error that a call rejects with; `accepted` if it does not. Errors without a code go through. */
export async function codeOfAsync(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
    throw error;
  }
  return 'accepted';
}

/** A hash with its first byte changed, in base64. */
export function otherHash(text: unknown): string {
  const bytes = fromBase64(text as string);
  return toBase64(bytes.with(0, ((bytes[0] as number) + 1) % 256));
}
