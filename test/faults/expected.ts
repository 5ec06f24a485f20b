/**
 * The oracle of the fault tests, kept on the client's side: every acknowledgement of a log, every answer that said "nothing stored",
 * and every checkpoint that was ever seen. After whatever happened to the server, the whole tree is rebuilt from the entry
 * bundles and compared with it.
 */
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { verifyInclusion } from '../../proofs/inclusion.ts';
import { parseVerifierKey, type VerifierKey } from '../../proofs/key.ts';
import { decodeBundle } from '../../tree/bundles.ts';
import { fromBase64, toBase64 } from '../../tree/bytes.ts';
import { frontierRoot, pushToFrontier } from '../../tree/frontier.ts';
import { asLeafHash, asTreeHash, leafHash, type TreeHash } from '../../tree/hash.ts';
import { bundlePath } from '../../tree/tiles.ts';
import { ADMIN_KEY, type ServerProcess } from '../support/spawn-server.ts';

/** An event of the load: `text` has the member `id`. */
export interface Sent {
  readonly id: string;
  readonly text: string;
}

export interface Acknowledged extends Sent {
  readonly leafIndex: number;
  readonly leafHash: string;
}

/**
 * What a violation says where something that was promised, an entry or a head, is not there any more, or is another one: so it is found, or
 * a server notices it by itself.
 */
export const PROMISE_BROKEN =
  /refused to start|leaf \d+ is missing|is lost|not consistent with|two roots for|at two indexes|the newest head has|is logged a second time|missing from the list|came back changed/;

/** Proofs asked of the server in one check. */
const PROOFS = 50;
/** Time for what is durable to come under a head, in milliseconds. */
const HEAD_TIME = 20_000;

export class ExpectedLog {
  readonly acknowledged = new Map<string, Acknowledged>();
  /** Sent, and nobody knows whether they were stored. */
  readonly unanswered = new Map<string, string>();
  /** Sent, and refused with an answer that says that nothing was stored. */
  readonly notStored = new Set<string>();
  /** Root hash of every size that a checkpoint was seen of. */
  readonly heads = new Map<number, string>();
  /** What must never be; empty is good. */
  readonly violations: string[] = [];
  /** How many answers of each status there were. */
  readonly statuses = new Map<number, number>();
  #key: VerifierKey | undefined;
  /** The process that last said that it does not know an outcome: one that stops, and takes nothing more. */
  #stopping: string | undefined;

  /** Learns the verifier key of the log, once; later servers must sign with the same one. */
  async meet(server: ServerProcess): Promise<void> {
    const { verifier_key: text } = (await (await server.fetch('/logs/main')).json()) as { verifier_key: string };
    this.#key = parseVerifierKey(text);
  }

  /** Whether the verifier key is known: somebody has seen this log. */
  get met(): boolean {
    return this.#key !== undefined;
  }

  /** What is known at this moment, for a copy of the log that is made now: it does not hear of what comes later. */
  fork(): ExpectedLog {
    const fork = new ExpectedLog();
    fork.#key = this.#key;
    for (const [id, entry] of this.acknowledged) fork.acknowledged.set(id, entry);
    for (const [id, text] of this.unanswered) fork.unanswered.set(id, text);
    for (const id of this.notStored) fork.notStored.add(id);
    for (const [size, root] of this.heads) fork.heads.set(size, root);
    return fork;
  }

  /** Takes note of the newest checkpoint. */
  async see(server: ServerProcess): Promise<{ treeSize: number; root: string }> {
    const reply = await server.fetch('/logs/main/checkpoint');
    const text = await reply.text();
    if (reply.status !== 200) throw new Error(`a checkpoint was answered ${reply.status}: ${text}`);
    return this.#note(text);
  }

  /** The same for somebody who looks all the time: a server may be gone, or about to go, but what it answers must be right. */
  async watch(server: ServerProcess): Promise<void> {
    let status: number;
    let text: string;
    try {
      const reply = await server.fetch('/logs/main/checkpoint');
      status = reply.status;
      text = await reply.text();
    } catch {
      return; // The connection was refused, or ended under the answer: the process is gone.
    }
    if (status === 503) return;
    try {
      if (status !== 200) throw new Error(`it was answered ${status}`);
      this.#note(text);
    } catch (error) {
      // Once: it is asked for a hundred times a second.
      const violation = `a checkpoint is wrong (${String(error)}): ${text}`;
      if (!this.violations.includes(violation)) this.violations.push(violation);
    }
  }

  #note(text: string): { treeSize: number; root: string } {
    const { treeSize, rootHash } = openCheckpoint(text, this.#key as VerifierKey);
    const root = toBase64(rootHash);
    const before = this.heads.get(treeSize);
    if (before !== undefined && before !== root) this.violations.push(`two roots for size ${treeSize}`);
    this.heads.set(treeSize, root);
    return { treeSize, root };
  }

  /** Appends one event or a batch; returns the status, or `undefined` where there was no answer. */
  async send(url: string, batch: readonly Sent[]): Promise<number | undefined> {
    const unknown = batch.filter(({ id }) => this.unanswered.has(id));
    for (const { id, text } of batch) this.unanswered.set(id, text);
    const single = batch.length === 1;
    const stopping = url === this.#stopping;
    let reply: Response;
    let body: { entries: { leaf_index: number; leaf_hash: string }[]; code?: string };
    try {
      reply = await fetch(`${url}/logs/main/events?id_pointer=/id`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${ADMIN_KEY}`,
          'content-type': single ? 'application/json' : 'application/x-ndjson',
        },
        body: batch.map(({ text }) => text).join('\n'),
      });
      body = (await reply.json()) as typeof body;
    } catch {
      return undefined; // The process died under the request: the outcome is unknown until somebody asks again.
    }
    const { status } = reply;
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    if (status === 200 && stopping) {
      this.violations.push('the server went on after a failed write: it took an append');
      this.#stopping = undefined;
    }
    if (body.code === 'outcome_unknown') this.#stopping = url;
    if (status !== 200) {
      if (status !== 503 && status !== 507) this.violations.push(`append answered ${status}`);
      if ((status === 503 && body.code !== 'outcome_unknown') || status === 507) {
        for (const { id } of batch) {
          if (unknown.some((earlier) => earlier.id === id)) continue;
          this.unanswered.delete(id);
          this.notStored.add(id);
        }
      }
      return status;
    }
    for (const [i, { id, text }] of batch.entries()) {
      const { leaf_index: leafIndex, leaf_hash: hash } = body.entries[i] as (typeof body.entries)[number];
      const before = this.acknowledged.get(id);
      if (before !== undefined && before.leafIndex !== leafIndex)
        this.violations.push(`${id} was acknowledged at two indexes`);
      this.acknowledged.set(id, { id, text, leafIndex, leafHash: hash });
      this.unanswered.delete(id);
      this.notStored.delete(id);
    }
    return status;
  }

  /** Asks again for everything that went unanswered: it must be there once, or be taken now, or be refused. */
  async settle(url: string): Promise<void> {
    for (const [id, text] of [...this.unanswered]) await this.send(url, [{ id, text }]);
  }

  /** Everything that was promised, against what the server has now. */
  async check(server: ServerProcess): Promise<void> {
    const { violations } = this;
    const deadline = Date.now() + HEAD_TIME;
    let needed = 0;
    for (const { leafIndex } of this.acknowledged.values()) needed = Math.max(needed, leafIndex + 1);
    // A head that was shown must have a newer one after it, even where nobody waited for its entries.
    let shown = 0;
    for (const size of this.heads.keys()) shown = Math.max(shown, size);
    let head = await this.see(server);
    while (head.treeSize < needed && Date.now() < deadline) head = await this.see(server);
    if (head.treeSize < needed)
      violations.push(`the newest head has ${head.treeSize} leaves, ${needed} were acknowledged`);
    if (head.treeSize < shown)
      violations.push(`the newest head has ${head.treeSize} leaves, one of ${shown} was shown`);

    const hashes: string[] = [];
    const frontier: TreeHash[] = [];
    for (let index = 0; index * 256 < head.treeSize; index++) {
      const width = Math.min(256, head.treeSize - index * 256);
      const reply = await server.fetch(`/logs/main/${bundlePath(index, width)}`);
      for (const leaf of decodeBundle(new Uint8Array(await reply.arrayBuffer()), width)) {
        const hash = leafHash(leaf);
        pushToFrontier(frontier, hashes.length, hash);
        hashes.push(toBase64(hash));
        const seen = this.heads.get(hashes.length);
        if (seen !== undefined && seen !== toBase64(frontierRoot(frontier))) {
          violations.push(`the checkpoint seen at size ${hashes.length} is not consistent with size ${head.treeSize}`);
        }
      }
    }
    for (const { id, leafIndex, leafHash: promised } of this.acknowledged.values()) {
      if (hashes[leafIndex] !== promised) violations.push(`${id}, acknowledged at ${leafIndex}, is lost`);
    }
    if (violations.length === 0) await this.#checkProofs(server, head);
  }

  /** Some of the acknowledged entries, spread over all, by the server's own inclusion proofs. */
  async #checkProofs(server: ServerProcess, head: { treeSize: number; root: string }): Promise<void> {
    const all = [...this.acknowledged.values()];
    const step = Math.max(1, Math.ceil(all.length / PROOFS));
    for (let i = all.length - 1; i >= 0; i -= step) {
      const { id, leafIndex, leafHash: hash } = all[i] as Acknowledged;
      const path = `/logs/main/proofs/inclusion?index=${leafIndex}&tree_size=${head.treeSize}`;
      const { proof } = (await (await server.fetch(path)).json()) as { proof: string[] };
      try {
        verifyInclusion({
          leafHash: asLeafHash(fromBase64(hash)),
          leafIndex,
          treeSize: head.treeSize,
          rootHash: asTreeHash(fromBase64(head.root)),
          proof: proof.map((node) => asTreeHash(fromBase64(node))),
        });
      } catch (error) {
        this.violations.push(`${id}, acknowledged at ${leafIndex}, has no valid inclusion proof: ${String(error)}`);
      }
    }
  }

  /** Every event, read back byte for byte: all that were acknowledged, and none that were refused. */
  async checkEvents(server: ServerProcess): Promise<void> {
    const byIndex = new Map([...this.acknowledged.values()].map((entry) => [entry.leafIndex, entry]));
    let seen = 0;
    for (let from = 0; ; ) {
      const lines = (await (await server.fetch(`/logs/main/events?from=${from}&limit=1000`)).text())
        .split('\n')
        .filter((line) => line !== '');
      if (lines.length === 0) break;
      for (const line of lines) {
        const { leaf_index: leafIndex, event_base64: event } = JSON.parse(line) as {
          leaf_index: number;
          event_base64: string;
        };
        const text = Buffer.from(event, 'base64').toString();
        const promised = byIndex.get(leafIndex);
        if (promised !== undefined) {
          seen++;
          if (text !== promised.text) this.violations.push(`${promised.id} came back changed`);
        } else {
          const { id } = JSON.parse(text) as { id: string };
          if (this.notStored.has(id)) this.violations.push(`${id} was refused, and is entry ${leafIndex}`);
          if (this.acknowledged.has(id)) this.violations.push(`${id} is logged a second time, as entry ${leafIndex}`);
        }
        from = leafIndex + 1;
      }
    }
    if (seen !== byIndex.size)
      this.violations.push(`${byIndex.size - seen} acknowledged events are missing from the list`);
  }
}

/** Clients that append at the same time, and somebody who watches the checkpoint. */
const CLIENTS = 8;

/** Load on a server until `stop` is called; what it learns goes to the oracle. */
export class Load {
  readonly #running: Promise<unknown>;
  #alive = true;

  constructor(server: ServerProcess, expected: ExpectedLog, next: (client: number) => readonly Sent[]) {
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      while (this.#alive) {
        if ((await expected.send(server.url, next(client))) !== 200) await pause(5);
      }
    });
    const watch = (async () => {
      while (this.#alive) {
        // Where nobody has met the log yet, nobody knows whose signature to ask for.
        if (expected.met) await expected.watch(server);
        await pause(10);
      }
    })();
    this.#running = Promise.all([...clients, watch]);
  }

  /** Nothing new is sent from now on. */
  end(): void {
    this.#alive = false;
  }

  /** Resolves when every request that was under way has its answer, or never will. */
  async stop(): Promise<void> {
    this.end();
    await this.#running;
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** What a promise gives within so many milliseconds, or `undefined`. */
export async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, milliseconds, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
