/**
 * The end of every timed run of ours that writes: kill -9 in the middle of the load, a restart, and a look for what was acknowledged. A
 * log that answers before its entries are on the disk is fast, too.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { decodeBundle } from '../../../tree/bundles.ts';
import { bundlePath, TILE_WIDTH } from '../../../tree/tiles.ts';
import type { Indelible } from '../subjects/indelible.ts';
import type { Body } from './payloads.ts';
import { type Acknowledged, type Form, record } from './recorder.ts';
import { Wrk } from './wrk.ts';

/** Of the client that records; the load beside it has many more. */
const CONNECTIONS = 8;

export interface CrashOptions {
  readonly server: Indelible;
  readonly log: string;
  readonly form: Form;
  readonly bodies: readonly Body[];
  /** The load of the timed run. */
  readonly requests: string;
  readonly connections: number;
}

/**
 * Loads the server, kills it, starts it again. Returns how many acknowledged entries were compared, index and bytes, and throws an
 * Error if one is missing or differs. What the load had acknowledged is counted: the log must have grown by at least so much.
 */
export async function crashAndLook(options: CrashOptions): Promise<number> {
  const { server, log, form, bodies, requests, connections } = options;
  const before = await server.size(log);
  const load = new Wrk({ subject: server, requests, connections, seconds: 30 });
  const kill = async () => {
    await wait(1000);
    await server.stop();
    await load.interrupt();
    return load.result;
  };
  const recording = record({ log: server.log(log), form, headers: server.headers, bodies, connections: CONNECTIONS });
  const [recorded, { requests: answered, refused }] = await Promise.all([recording, kill()]);
  if (recorded.length === 0) throw new Error('nothing was acknowledged to the client that records');
  await server.restart();

  const entries = (bodies[0] as Body).unique.length;
  const least = before + (answered - refused) * entries + recorded.length;
  const size = await server.size(log);
  if (size < least) throw new Error(`after kill -9 there are ${size} entries, and ${least} were acknowledged`);
  const look = form === 'events' ? lookForEvents : lookForLeaves;
  await look(server, log, recorded, size);
  return recorded.length;
}

/** In a raw log an entry is its leaf: it has to stand at its place in its bundle. */
async function lookForLeaves(server: Indelible, log: string, recorded: readonly Acknowledged[], size: number) {
  for (const [bundle, entries] of grouped(recorded, TILE_WIDTH)) {
    const width = Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH);
    const response = await get(server, `${server.log(log)}/${bundlePath(bundle, width)}`);
    const leaves = decodeBundle(new Uint8Array(await response.arrayBuffer()), width);
    for (const { index, bytes } of entries) {
      if (Buffer.compare(leaves[index % TILE_WIDTH] as Uint8Array, bytes) !== 0) throw differs(index);
    }
  }
}

/** Of an event the server has to give its bytes, and the leaf hash that it gave before; it checks its leaf itself when it reads. */
async function lookForEvents(server: Indelible, log: string, recorded: readonly Acknowledged[]) {
  const page = 1000;
  for (const [number, entries] of grouped(recorded, page)) {
    const events = new Map<number, { event_base64: string; leaf_hash: string }>();
    for (let next = number * page; next < (number + 1) * page; ) {
      const response = await get(server, `${server.log(log)}/events?from=${next}&limit=${(number + 1) * page - next}`);
      const lines = (await response.text()).split('\n').filter((line) => line !== '');
      if (lines.length === 0) break;
      for (const line of lines) events.set(next++, JSON.parse(line));
    }
    for (const { index, bytes, leafHash } of entries) {
      const event = events.get(index);
      const same = event?.leaf_hash === leafHash && event?.event_base64 === Buffer.from(bytes).toString('base64');
      if (!same) throw differs(index);
    }
  }
}

function grouped(recorded: readonly Acknowledged[], width: number): Map<number, Acknowledged[]> {
  const groups = new Map<number, Acknowledged[]>();
  for (const entry of recorded) {
    const group = Math.floor(entry.index / width);
    const others = groups.get(group);
    if (others === undefined) groups.set(group, [entry]);
    else others.push(entry);
  }
  return groups;
}

async function get(server: Indelible, url: string): Promise<Response> {
  const response = await fetch(url, { headers: server.headers });
  if (response.status !== 200) throw new Error(`${url} after kill -9: ${response.status} ${await response.text()}`);
  return response;
}

function differs(index: number): Error {
  return new Error(`after kill -9 entry ${index} is not the one that was acknowledged`);
}
