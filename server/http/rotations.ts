/** Rotations of a log's key: begun and ended by an administrator, and shown with all that it takes to follow them. */
import { formatMicros } from '../../proofs/time.ts';
import { ServerError } from '../errors.ts';
import { type Log, SYSTEM_LOG } from '../log.ts';
import type { KeyRotation } from '../log-keys.ts';
import type { LogServer } from '../log-server.ts';
import { headSignedBy } from '../own-signatures.ts';
import { inclusionProof } from '../prover.ts';
import type { LogCall } from './call.ts';
import { base64, renderProof } from './render.ts';
import { json, type Reply } from './reply.ts';
import { Query } from './request.ts';

/**
 * GET rotations: oldest first. `head` is a checkpoint that both keys have signed, under which the entry is proven (of a raw log: under
 * `recorder`'s); null, with the proof, until there is one.
 */
export async function rotations({ log, server, search }: LogCall): Promise<Reply> {
  new Query(search, []);
  const keys = log.verifierKeys.map(({ text }) => text).reverse();
  const rendered: unknown[] = [];
  for (const [i, rotation] of log.definition.rotations.entries())
    rendered.push(await render(server, log, rotation, keys[i] as string));
  return json(200, { rotations: rendered });
}

async function render(
  server: LogServer,
  log: Log,
  rotation: KeyRotation,
  oldKey: string,
): Promise<Record<string, unknown>> {
  const recorder = server.log(rotation.recordedIn);
  if (recorder === undefined) throw new ServerError('damaged', `there is no log ${rotation.recordedIn}`);
  const head = headOf(log, rotation);
  // Looked at once: it may be replaced while the entry is read, and the proof is for one size.
  const { published } = recorder;
  const ownSize = head?.treeSize ?? 0;
  const treeSize = recorder === log ? ownSize : published.treeSize;
  const shown = head !== undefined && treeSize > rotation.leafIndex;
  const [entry] = shown ? await server.entries(recorder, rotation.leafIndex, rotation.leafIndex + 1) : [];
  return {
    old_verifier_key: oldKey,
    new_verifier_key: rotation.verifierKey,
    tree_size: rotation.treeSize,
    started_at: rotation.startedAt,
    ended_at: rotation.endedAt,
    statement: rotation.statement,
    entry:
      entry === undefined
        ? null
        : {
            leaf_index: entry.leafIndex,
            received_at: formatMicros(entry.receivedAt),
            event_base64: base64(entry.event),
            header_base64: base64(entry.header),
            salt: base64(entry.salt),
            leaf: base64(entry.leaf),
          },
    proof: shown ? renderProof(await inclusionProof(server.reader, recorder, rotation.leafIndex, treeSize)) : null,
    head: shown ? head.checkpoint : null,
    recorder:
      recorder === log || !shown
        ? null
        : {
            log: SYSTEM_LOG,
            verifier_key: recorder.definition.verifierKey,
            tree_size: treeSize,
            checkpoint: published.checkpoint,
          },
  };
}

/** The head by both keys: the one that was kept, or while both sign the newest. */
function headOf(
  { published, verifierKeys }: Log,
  { head, verifierKey }: KeyRotation,
): { readonly treeSize: number; readonly checkpoint: string } | undefined {
  const key = verifierKeys.find(({ text }) => text === verifierKey);
  const checkpoint = head ?? published.checkpoint;
  const signed = key && headSignedBy(checkpoint, key);
  return signed && { treeSize: signed.treeSize, checkpoint };
}
