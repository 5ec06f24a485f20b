/**
 * What the clients know: the answer of every canary, and every entry that was acknowledged, with the bytes that the model says were its
 * body. At the end all of it is compared with what the server has.
 */
import { createHash } from 'node:crypto';
import { trimEvent } from '../../../client/append-body.ts';
import { entryLeaf } from '../../../proofs/entry.ts';
import { parseMicros } from '../../../proofs/time.ts';
import { indelible } from '../../../proto/generated/indelible.ts';
import { decodeBundle, decodeFrames } from '../../../tree/bundles.ts';
import { fromBase64, fromUtf8, toBase64 } from '../../../tree/bytes.ts';
import { leafHash } from '../../../tree/hash.ts';
import { bundlePath } from '../../../tree/tiles.ts';
import { ExpectedLog } from '../../faults/expected.ts';
import type { ServerProcess } from '../../support/spawn-server.ts';
import { FROZEN_SIZE, LOGS } from './corpus.ts';
import { canaryTarget } from './exchanges.ts';
import type { ModelRequest } from './framing.ts';
import type { Answered } from './judge.ts';
import { replyFault, type WireReply } from './replies.ts';

const ORIGIN = `example.com/logs/${LOGS.events}`;

/** Headers that say when, and how this connection goes on. */
const PASSING = new Set(['date', 'connection', 'keep-alive']);

/** A reply without them, as a text to compare. */
export function lasting({ status, headers, body }: WireReply): string {
  const kept = [...headers].filter(([name]) => !PASSING.has(name)).map(([name, value]) => `${name}: ${value}`);
  return `${status}\n${kept.join('\n')}\n\n${body.toString('latin1')}`;
}

interface AppendedEntry {
  readonly leafIndex: number;
  readonly leafHash: Uint8Array;
  readonly salt: Uint8Array;
  readonly header: Uint8Array;
  readonly receivedAt: number;
}

export class Oracle {
  readonly events = new ExpectedLog();
  /** Leaf hashes of raw entries, base64, by leaf index. */
  readonly raw = new Map<number, string>();
  readonly statuses = new Map<number, number>();
  readonly #codes: ReadonlyMap<string, number>;
  readonly #canaries: readonly string[];

  constructor(codes: ReadonlyMap<string, number>, canaries: readonly string[]) {
    this.#codes = codes;
    this.#canaries = canaries;
  }

  /** What is wrong with a reply, given what was asked. */
  judge({ request, reply }: Answered): string | undefined {
    this.statuses.set(reply.status, (this.statuses.get(reply.status) ?? 0) + 1);
    const fault = replyFault(reply, this.#codes, request.method === 'HEAD');
    if (fault !== undefined) return fault;
    const path = pathOf(request);
    if (request.method === 'GET' || request.method === 'HEAD') {
      const tile = tileFault(path, reply.status);
      if (tile !== undefined) return tile;
    }
    if (reply.status !== 200) return undefined;
    if (request.method === 'GET' && path === canaryTarget(0).split('?')[0]) return this.#judgeCanary(request, reply);
    if (request.method !== 'POST') return undefined;
    try {
      if (path === `/logs/${LOGS.events}/events`) return this.#judgeEvents(request, reply);
      if (path === `/logs/${LOGS.raw}/add`) return this.#judgeRaw([request.body], reply);
      if (path === `/logs/${LOGS.raw}/add-batch`) return this.#judgeRaw(decodeFrames(request.body, 1e6), reply);
    } catch (error) {
      return `an append was acknowledged, and its body or its reply cannot be read: ${String(error)}`;
    }
    return undefined;
  }

  /** A canary that was asked for as it stands, by whomever, has one answer. */
  #judgeCanary({ target, headers }: ModelRequest, reply: WireReply): string | undefined {
    const match = /\?index=([0-9]+)&tree_size=300$/.exec(target);
    if (match === null || headers.some(([name]) => name === 'accept')) return undefined;
    const expected = this.#canaries[Number(match[1])];
    return lasting(reply) === expected ? undefined : `the canary ${match[1]} has another answer`;
  }

  #judgeEvents(request: ModelRequest, reply: WireReply): string | undefined {
    const events = eventsOf(request);
    const entries = entriesOf(reply);
    if (entries.length !== events.length) return `${events.length} events were sent, ${entries.length} acknowledged`;
    for (const [i, event] of events.entries()) {
      const entry = entries[i] as AppendedEntry;
      const hash = toBase64(leafHash(entryLeaf({ ...entry, event }, ORIGIN)));
      if (hash !== toBase64(entry.leafHash))
        return `entry ${entry.leafIndex} was acknowledged with a leaf hash of other bytes`;
      // Not a number alone: an altered event may have any number for its id, and would pass for the entry of that index.
      const id = `the entry of index ${entry.leafIndex}`;
      const before = this.events.acknowledged.get(id);
      if (before !== undefined && before.leafHash !== hash)
        return `two entries were acknowledged at ${entry.leafIndex}`;
      this.events.acknowledged.set(id, { id, text: fromUtf8(event), leafIndex: entry.leafIndex, leafHash: hash });
    }
    return undefined;
  }

  #judgeRaw(leaves: readonly Uint8Array[], reply: WireReply): string | undefined {
    const text = reply.body.toString('latin1');
    if (!/^(?:0|[1-9][0-9]*)$/.test(text)) return `a raw append was acknowledged with ${JSON.stringify(text)}`;
    for (const [i, leaf] of leaves.entries()) {
      const leafIndex = Number(text) + i;
      const hash = createHash('sha256').update(Uint8Array.of(0)).update(leaf).digest('base64');
      if ((this.raw.get(leafIndex) ?? hash) !== hash) return `two raw entries were acknowledged at ${leafIndex}`;
      this.raw.set(leafIndex, hash);
    }
    return undefined;
  }

  /** Everything acknowledged is there, with its bytes, under a head. */
  async check(server: ServerProcess): Promise<string[]> {
    await this.events.check(server);
    if (this.events.violations.length === 0) await this.events.checkEvents(server);
    return [...this.events.violations, ...(await this.#checkRaw(server))];
  }

  async #checkRaw(server: ServerProcess): Promise<string[]> {
    const faults: string[] = [];
    const { tree_size: treeSize } = (await (await server.fetch(`/logs/${LOGS.raw}`)).json()) as { tree_size: number };
    for (let index = 0; index * 256 < treeSize; index++) {
      const width = Math.min(256, treeSize - index * 256);
      const reply = await server.fetch(`/logs/${LOGS.raw}/${bundlePath(index, width)}`);
      const leaves = decodeBundle(new Uint8Array(await reply.arrayBuffer()), width);
      for (const [i, leaf] of leaves.entries()) {
        const leafIndex = index * 256 + i;
        const promised = this.raw.get(leafIndex);
        this.raw.delete(leafIndex);
        if (promised !== undefined && promised !== toBase64(leafHash(leaf)))
          faults.push(`raw entry ${leafIndex} came back changed`);
      }
    }
    if (this.raw.size > 0) faults.push(`${this.raw.size} acknowledged raw entries are lost`);
    return faults;
  }
}

/** Every tile and bundle of the frozen log, by the one name that C2SP tlog-tiles gives it. */
const TILES: ReadonlySet<string> = new Set([
  'tile/1/000.p/1',
  ...['tile/0', 'tile/entries'].flatMap((level) => [
    `${level}/000`,
    ...Array.from({ length: 255 }, (_, i) => `${level}/000.p/${i + 1}`),
    ...Array.from({ length: FROZEN_SIZE - 256 }, (_, i) => `${level}/001.p/${i + 1}`),
  ]),
]);

/** A tile that exists is served, and every other spelling is not found. */
function tileFault(path: string, status: number): string | undefined {
  const prefix = `/logs/${LOGS.frozen}/`;
  if (!path.startsWith(`${prefix}tile/`)) return undefined;
  const exists = TILES.has(path.slice(prefix.length));
  if ((status === 200 || status === 304) && !exists) return 'a tile that does not exist is served';
  return status === 404 && exists ? 'a tile that exists is not found' : undefined;
}

/** The path of a target in any form, without its query. */
export function pathOf({ target }: ModelRequest): string {
  const path = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?#]*(?=\/)/i, '');
  return path.split('?')[0] as string;
}

/** The events that a body holds, by its Content-Type; the request was accepted, so it is one of three. */
function eventsOf({ headers, body }: ModelRequest): Uint8Array[] {
  const type = headers.find(([name]) => name === 'content-type')?.[1] ?? '';
  if (/x-ndjson/i.test(type)) {
    const lines = Buffer.from(body).toString('latin1').split('\n');
    return lines
      .map((line) => trimEvent(new Uint8Array(Buffer.from(line, 'latin1'))))
      .filter(({ length }) => length > 0);
  }
  if (!/x-protobuf/i.test(type)) return [trimEvent(body)];
  const { AppendRequest } = messages();
  return AppendRequest.decode(body).events.map((event) => trimEvent(new Uint8Array(event)));
}

interface Messages {
  readonly AppendRequest: { decode(bytes: Uint8Array): { readonly events: readonly Uint8Array[] } };
  readonly AppendReply: { decode(bytes: Uint8Array): { readonly entries: readonly AppendedEntry[] } };
}

function messages(): Messages {
  return (indelible as unknown as { readonly v1: Messages }).v1;
}

interface JsonEntry {
  readonly leaf_index: number;
  readonly received_at: string;
  readonly leaf_hash: string;
  readonly salt: string;
  readonly header_base64: string;
}

function entriesOf({ headers, body }: WireReply): readonly AppendedEntry[] {
  if (headers.get('content-type') !== 'application/json') {
    return messages()
      .AppendReply.decode(new Uint8Array(body))
      .entries.map(({ leafIndex, leafHash: hash, salt, header, receivedAt }) => ({
        leafIndex: Number(leafIndex),
        receivedAt: Number(receivedAt),
        leafHash: new Uint8Array(hash),
        salt: new Uint8Array(salt),
        header: new Uint8Array(header),
      }));
  }
  const { entries } = JSON.parse(body.toString('utf8')) as { readonly entries: readonly JsonEntry[] };
  return entries.map((entry) => ({
    leafIndex: entry.leaf_index,
    leafHash: fromBase64(entry.leaf_hash),
    salt: fromBase64(entry.salt),
    header: fromBase64(entry.header_base64),
    receivedAt: parseMicros(entry.received_at),
  }));
}
