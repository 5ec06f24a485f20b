/** Reads a whole log and checks that it is exactly what its newest checkpoint signs. */
import type { Checkpoint } from '../proofs/checkpoint.ts';
import { ProofError } from '../proofs/error.ts';
import { equalBytes } from '../tree/bytes.ts';
import { frontierRoot, pushToFrontier } from '../tree/frontier.ts';
import type { TreeHash } from '../tree/hash.ts';
import { ClientError } from './error.ts';
import type { LogClient } from './log-client.ts';

export interface AuditOptions {
  readonly signal?: AbortSignal | undefined;
  /** Hears of every entry: how many were read, and how many there are. */
  readonly onProgress?: ((read: number, treeSize: number) => void) | undefined;
}

/**
 * Takes the newest checkpoint, then rebuilds every leaf from its event and the root hash from all leaves. In memory are one entry and
 * the frontier. Returns the checkpoint that was found right. Throws as `LogClient` does, ProofError `root_mismatch`, and
 * ClientError `missing_entries` and `time_went_back`.
 */
export async function auditLog(client: LogClient, { signal, onProgress }: AuditOptions = {}): Promise<Checkpoint> {
  const checkpoint = await client.checkpoint({ signal });
  const { treeSize } = checkpoint;
  const frontier: TreeHash[] = [];
  let read = 0;
  let last = 0;
  for await (const entry of client.entries({ limit: treeSize, signal })) {
    if (entry.receivedAt < last)
      throw new ClientError('time_went_back', `leaf index ${read} was received before the one before it`);
    last = entry.receivedAt;
    pushToFrontier(frontier, read, entry.leafHash);
    read++;
    onProgress?.(read, treeSize);
  }
  if (read < treeSize)
    throw new ClientError('missing_entries', `the log gives ${read} entries of the ${treeSize} that it has signed`);
  if (!equalBytes(frontierRoot(frontier), checkpoint.rootHash))
    throw new ProofError('root_mismatch', `the root hash of all ${treeSize} entries is not the signed one`);
  return checkpoint;
}
