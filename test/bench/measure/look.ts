/** Looks for acknowledged entries, each at its index with its bytes. */
import { decodeBundle } from '../../../tree/bundles.ts';
import { bundlePath, TILE_WIDTH } from '../../../tree/tiles.ts';
import type { Indelible } from '../subjects/indelible.ts';
import type { Acknowledged, Form } from './recorder.ts';

export interface Place {
  readonly server: Indelible;
  readonly log: string;
  readonly form: Form;
  /** Size of a signed head of the log. */
  readonly size: number;
}

/** Throws an Error if one of these entries is missing or differs. */
export async function lookFor(recorded: readonly Acknowledged[], place: Place): Promise<void> {
  const beyond = recorded.find(({ index }) => index >= place.size);
  if (beyond !== undefined) throw differs(beyond.index);
  await (place.form === 'events' ? lookForEvents(recorded, place) : lookForLeaves(recorded, place));
}

/** In a raw log an entry is its leaf: it has to stand at its place in its bundle. */
async function lookForLeaves(recorded: readonly Acknowledged[], { server, log, size }: Place): Promise<void> {
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
async function lookForEvents(recorded: readonly Acknowledged[], { server, log }: Place): Promise<void> {
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
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response;
}

function differs(index: number): Error {
  return new Error(`entry ${index} is not the one that was acknowledged`);
}
