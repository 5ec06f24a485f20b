/**
 * What a load of many batches was promised, in little memory: the leaf hash of every acknowledged entry, by its index. The rest of
 * the oracle is ExpectedLog's, whose heads it checks in the same pass over the bundles.
 */
import { decodeBundle } from '../../tree/bundles.ts';
import { toBase64 } from '../../tree/bytes.ts';
import { frontierRoot, pushToFrontier } from '../../tree/frontier.ts';
import { HASH_SIZE, leafHash, type TreeHash } from '../../tree/hash.ts';
import { bundlePath } from '../../tree/tiles.ts';
import type { ServerProcess } from '../support/spawn-server.ts';
import { type ExpectedLog, pause } from './expected.ts';

/** Time for what is durable to come under a head, in milliseconds. */
const HEAD_TIME = 20_000;
/** Batches whose events are read back. */
const READ_BACK = 40;

/** An event's members `id` and more, as one line of text; the same for the same numbers. */
export type EventText = (batch: number, position: number) => string;

export class Ledger {
  readonly #expected: ExpectedLog;
  readonly #text: EventText;
  readonly #size: number;
  /** First leaf index of each acknowledged batch. */
  readonly #batches = new Map<number, number>();
  #hashes = Buffer.alloc(HASH_SIZE * 65_536);
  #known = new Uint8Array(65_536);
  /** Acknowledged entries, and one more than the last index of them. */
  entries = 0;
  #end = 0;
  /** Entries that were sent and of which nobody knows. */
  unanswered = 0;

  /** `size` events are in each batch. */
  constructor(expected: ExpectedLog, size: number, text: EventText) {
    this.#expected = expected;
    this.#size = size;
    this.#text = text;
  }

  body(batch: number): string {
    return Array.from({ length: this.#size }, (_, position) => this.#text(batch, position)).join('\n');
  }

  /** Takes note of the answer 200 to a batch. */
  acknowledge(batch: number, body: string): void {
    const { entries } = JSON.parse(body) as { entries: { leaf_index: number; leaf_hash: string }[] };
    if (entries.length !== this.#size) this.#violation(`a batch was acknowledged with ${entries.length} entries`);
    this.#batches.set(batch, entries[0]?.leaf_index ?? -1);
    for (const { leaf_index: leafIndex, leaf_hash: hash } of entries) {
      this.#grow(leafIndex + 1);
      if (this.#known[leafIndex] === 1) this.#violation(`leaf ${leafIndex} was acknowledged for two events`);
      this.#known[leafIndex] = 1;
      this.#hashes.write(hash, leafIndex * HASH_SIZE, 'base64');
      this.entries++;
      this.#end = Math.max(this.#end, leafIndex + 1);
    }
  }

  /** Everything that was promised, against what the server has now; and that what was refused is not there. */
  async check(server: ServerProcess, others: number): Promise<void> {
    const deadline = Date.now() + HEAD_TIME;
    let head = await this.#expected.see(server);
    while (head.treeSize < this.#end && Date.now() < deadline) {
      await pause(50);
      head = await this.#expected.see(server);
    }
    if (head.treeSize < this.#end)
      this.#violation(`the newest head has ${head.treeSize} leaves, ${this.#end} are promised`);
    const frontier: TreeHash[] = [];
    let lost = 0;
    let kept = 0;
    for (let index = 0; index * 256 < head.treeSize; index++) {
      const width = Math.min(256, head.treeSize - index * 256);
      const reply = await server.fetch(`/logs/main/${bundlePath(index, width)}`);
      for (const [i, leaf] of decodeBundle(new Uint8Array(await reply.arrayBuffer()), width).entries()) {
        const at = index * 256 + i;
        const hash = leafHash(leaf);
        pushToFrontier(frontier, at, hash);
        const seen = this.#expected.heads.get(at + 1);
        if (seen !== undefined && seen !== toBase64(frontierRoot(frontier))) {
          this.#violation(`the checkpoint seen at size ${at + 1} is not consistent with size ${head.treeSize}`);
        }
        if (this.#known[at] !== 1) continue;
        if (this.#hashes.compare(hash, 0, HASH_SIZE, at * HASH_SIZE, (at + 1) * HASH_SIZE) === 0) kept++;
        else lost++;
      }
    }
    lost += this.entries - kept - lost;
    if (lost > 0) this.#violation(`${lost} of ${this.entries} acknowledged entries are lost`);
    const strangers = head.treeSize - this.entries - others;
    if (strangers > this.unanswered) {
      this.#violation(
        `${strangers} entries are there that nobody was told of, and only ${this.unanswered} went unanswered`,
      );
    }
    await this.#readBack(server);
  }

  async #readBack(server: ServerProcess): Promise<void> {
    const all = [...this.#batches];
    const step = Math.max(1, Math.floor(all.length / READ_BACK));
    for (let i = 0; i < all.length; i += step) {
      const [batch, first] = all[i] as [number, number];
      const reply = await server.fetch(`/logs/main/events?from=${first}&limit=${this.#size}`);
      const lines = (await reply.text()).split('\n').filter((line) => line !== '');
      const texts = lines.map((line) => {
        const { event_base64: event } = JSON.parse(line) as { event_base64: string };
        return Buffer.from(event, 'base64').toString();
      });
      if (texts.join('\n') !== this.body(batch))
        this.#violation(`batch ${batch}, acknowledged at ${first}, came back changed`);
    }
  }

  #violation(text: string): void {
    this.#expected.violations.push(text);
  }

  #grow(size: number): void {
    if (size <= this.#known.length) return;
    const known = new Uint8Array(Math.max(size, 2 * this.#known.length));
    known.set(this.#known);
    this.#known = known;
    const hashes = Buffer.alloc(known.length * HASH_SIZE);
    this.#hashes.copy(hashes);
    this.#hashes = hashes;
  }
}
