/**
 * kill -9 under load, again and again on one data directory. The oracle is kept on the client's side: every acknowledgement and
 * every checkpoint that was ever seen. After each restart the whole tree is rebuilt from the entry bundles and compared.
 */
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { parseVerifierKey } from '../../proofs/key.ts';
import { decodeBundle } from '../../tree/bundles.ts';
import { toBase64 } from '../../tree/bytes.ts';
import { frontierRoot, pushToFrontier } from '../../tree/frontier.ts';
import { leafHash, type TreeHash } from '../../tree/hash.ts';
import { bundlePath } from '../../tree/tiles.ts';
import { seededRandom } from '../support/random.ts';
import { ADMIN_KEY, ServerProcess } from '../support/spawn-server.ts';

export interface KillRun {
  readonly dataDir: string;
  readonly cycles: number;
  readonly seed: number;
  readonly build?: string;
}

export interface KillReport {
  readonly seed: number;
  readonly cycles: number;
  readonly acknowledged: number;
  readonly checkpoints: number;
  /** Starts that adopted a durable commit nobody had been told of. */
  readonly adopted: number;
  /** What the oracle saw that must never be; empty is good. */
  readonly violations: readonly string[];
}

interface Acknowledged {
  readonly id: string;
  readonly text: string;
  readonly leafIndex: number;
  readonly leafHash: string;
}

/** Clients that append at the same time. */
const CLIENTS = 8;

export async function killRun({ dataDir, cycles, seed, build }: KillRun): Promise<KillReport> {
  const random = seededRandom(seed);
  const acknowledged = new Map<string, Acknowledged>();
  const unanswered = new Map<string, string>();
  const heads = new Map<number, string>();
  const violations: string[] = [];
  let adopted = 0;
  let next = 0;

  const start = (): Promise<ServerProcess> =>
    ServerProcess.start({
      dataDir,
      ...(build === undefined ? {} : { build }),
      // A small write buffer, so that flush and compaction happen under the kill; frequent heads for the same reason.
      flags: ['--interval', '20', '--write-buffer', '65536', '--log-level', 'warn'],
    });

  const see = (checkpoint: string, vkey: string): { treeSize: number; root: string } => {
    const { treeSize, rootHash } = openCheckpoint(checkpoint, parseVerifierKey(vkey));
    const root = toBase64(rootHash);
    const before = heads.get(treeSize);
    if (before !== undefined && before !== root) violations.push(`two roots for size ${treeSize}`);
    heads.set(treeSize, root);
    return { treeSize, root };
  };

  const send = async (url: string, batch: readonly { id: string; text: string }[]): Promise<boolean> => {
    for (const { id, text } of batch) unanswered.set(id, text);
    const single = batch.length === 1;
    let reply: Response;
    let body: { entries: { leaf_index: number; leaf_hash: string }[] };
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
      return false; // The process died under the request: the outcome is unknown until somebody asks again.
    }
    if (reply.status !== 200) {
      if (reply.status !== 503) violations.push(`append answered ${reply.status}`);
      return false;
    }
    for (const [i, { id, text }] of batch.entries()) {
      const { leaf_index: leafIndex, leaf_hash: hash } = body.entries[i] as (typeof body.entries)[number];
      const before = acknowledged.get(id);
      if (before !== undefined && before.leafIndex !== leafIndex)
        violations.push(`${id} was acknowledged at two indexes`);
      acknowledged.set(id, { id, text, leafIndex, leafHash: hash });
      unanswered.delete(id);
    }
    return true;
  };

  /** Everything that was promised, against what the server has now. */
  const check = async (server: ServerProcess, vkey: string): Promise<void> => {
    // What went unanswered is asked for again: it must be there once, or be taken now.
    for (const [id, text] of [...unanswered]) await send(server.url, [{ id, text }]);
    const deadline = Date.now() + 10_000;
    let head = { treeSize: 0, root: '' };
    let needed = 0;
    for (const { leafIndex } of acknowledged.values()) needed = Math.max(needed, leafIndex + 1);
    while (head.treeSize < needed && Date.now() < deadline) {
      head = see(await (await server.fetch('/logs/main/checkpoint')).text(), vkey);
    }
    if (head.treeSize < needed)
      violations.push(`the newest head has ${head.treeSize} leaves, ${needed} were acknowledged`);

    const hashes: string[] = [];
    const frontier: TreeHash[] = [];
    for (let index = 0; index * 256 < head.treeSize; index++) {
      const width = Math.min(256, head.treeSize - index * 256);
      const reply = await server.fetch(`/logs/main/${bundlePath(index, width)}`);
      for (const leaf of decodeBundle(new Uint8Array(await reply.arrayBuffer()), width)) {
        const hash = leafHash(leaf);
        pushToFrontier(frontier, hashes.length, hash);
        hashes.push(toBase64(hash));
        const seen = heads.get(hashes.length);
        if (seen !== undefined && seen !== toBase64(frontierRoot(frontier))) {
          violations.push(`the checkpoint seen at size ${hashes.length} is not consistent with size ${head.treeSize}`);
        }
      }
    }
    for (const { id, leafIndex, leafHash: promised } of acknowledged.values()) {
      if (hashes[leafIndex] !== promised) violations.push(`${id}, acknowledged at ${leafIndex}, is lost`);
    }
  };

  let server = await start();
  const vkey = ((await (await server.fetch('/logs/main')).json()) as { verifier_key: string }).verifier_key;
  for (let cycle = 0; cycle < cycles && violations.length === 0; cycle++) {
    let alive = true;
    const load = Array.from({ length: CLIENTS }, async (_, client) => {
      while (alive) {
        const size = client % 4 === 0 ? 1 + Math.floor(random() * 40) : 1;
        const batch = Array.from({ length: size }, () => {
          const id = `${seed}-${next++}`;
          return { id, text: JSON.stringify({ id, filler: 'x'.repeat(Math.floor(random() * 600)) }) };
        });
        if (!(await send(server.url, batch)) && alive) await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    const watch = (async () => {
      while (alive) {
        try {
          see(await (await server.fetch('/logs/main/checkpoint')).text(), vkey);
        } catch {}
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 20 + random() * 280));
    alive = false;
    await server.stop('SIGKILL');
    await Promise.all([...load, watch]);

    server = await start();
    if (server.url === '') {
      violations.push(`cycle ${cycle}: the server refused to start: ${server.stderr.trim()}`);
      break;
    }
    if (server.stderr.includes('adopted one commit')) adopted++;
    try {
      await check(server, vkey);
    } catch (error) {
      violations.push(`cycle ${cycle}: the server stopped by itself: ${String(error)} ${server.stderr.trim()}`);
    }
  }
  if (server.url !== '') {
    if (violations.length === 0) violations.push(...(await compareEvents(server, acknowledged)));
    await server.stop('SIGKILL');
  }
  return { seed, cycles, acknowledged: acknowledged.size, checkpoints: heads.size, adopted, violations };
}

/** Every acknowledged event, read back byte for byte. */
async function compareEvents(
  server: ServerProcess,
  acknowledged: ReadonlyMap<string, Acknowledged>,
): Promise<string[]> {
  const violations: string[] = [];
  const byIndex = new Map([...acknowledged.values()].map((entry) => [entry.leafIndex, entry]));
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
      const promised = byIndex.get(leafIndex);
      if (promised !== undefined) {
        seen++;
        if (Buffer.from(event, 'base64').toString() !== promised.text)
          violations.push(`${promised.id} came back changed`);
      }
      from = leafIndex + 1;
    }
  }
  if (seen !== byIndex.size) violations.push(`${byIndex.size - seen} acknowledged events are missing from the list`);
  return violations;
}
