/**
 * The rule by which a client judges every checkpoint it is shown: it must go together with the one it remembers, and what is
 * remembered only ever grows. Roll-back and split view show here.
 */
import { type Checkpoint, openCheckpoint, type TreeHead } from '../proofs/checkpoint.ts';
import { verifyConsistency } from '../proofs/consistency.ts';
import { ProofError } from '../proofs/error.ts';
import type { VerifierKey } from '../proofs/key.ts';
import { equalBytes } from '../tree/bytes.ts';
import type { TreeHash } from '../tree/hash.ts';
import { ClientError, type HeadPair } from './error.ts';
import type { HeadMemory } from './memory.ts';

/** Asks the log for the consistency proof between two sizes, 0 < first < second. Not verified yet. */
export type AskConsistency = (first: number, second: number) => Promise<readonly TreeHash[]>;

/** The remembered checkpoint of a log, its signature verified again. Throws NoteError where the memory was damaged. */
export async function knownHead(memory: HeadMemory, key: VerifierKey): Promise<Checkpoint | undefined> {
  const note = await memory.read(key.name, key.keyId);
  return note === undefined ? undefined : openCheckpoint(note, key);
}

/**
 * Compares a verified checkpoint with the remembered one and remembers it if it is larger. An older one is accepted only with
 * a proof that the remembered tree grew from it, and not at all below `floor`: the size that was remembered before the newest head was
 * asked for. Throws ClientError: `rollback`, `split_view`, `inconsistent`, and what asking throws.
 */
export async function checkHead(claim: {
  readonly checkpoint: Checkpoint;
  readonly key: VerifierKey;
  readonly memory: HeadMemory;
  readonly ask: AskConsistency;
  readonly floor?: number | undefined;
}): Promise<void> {
  const { checkpoint, key, memory, ask, floor } = claim;
  // Another client may write to the same memory meanwhile; then everything is compared anew with what it wrote.
  for (;;) {
    const known = await knownHead(memory, key);
    if (known !== undefined) {
      const heads = { remembered: known.note, received: checkpoint.note };
      if (floor !== undefined && checkpoint.treeSize < floor)
        throw rollback(checkpoint.treeSize, known.treeSize, heads);
      if (checkpoint.treeSize === known.treeSize) {
        if (equalBytes(checkpoint.rootHash, known.rootHash)) return;
        throw new ClientError(
          'split_view',
          `two different trees of size ${known.treeSize} are signed by the key of ${key.name}`,
          { heads },
        );
      }
      if (checkpoint.treeSize < known.treeSize) return await prove(checkpoint, known, ask, heads);
      await prove(known, checkpoint, ask, heads);
    }
    if (await memory.write(key.name, key.keyId, checkpoint.note, known?.note)) return;
  }
}

/** Proves that the smaller head is the beginning of the larger one. */
async function prove(first: Checkpoint, second: Checkpoint, ask: AskConsistency, heads: HeadPair): Promise<void> {
  const sizes = `from ${first.treeSize} to ${second.treeSize}`;
  try {
    await proveConsistent(first, second, ask);
  } catch (cause) {
    if (cause instanceof ProofError)
      throw new ClientError('inconsistent', `the consistency proof ${sizes} does not hold: ${cause.message}`, {
        cause,
        heads,
      });
    // The log has signed both sizes. If it knows nothing of the larger one any more, it has gone back.
    const denied = cause instanceof ClientError && (cause.status === 404 || cause.status === 400);
    if (!denied) throw cause;
    const shownLess = heads.remembered === second.note;
    if (shownLess && cause.problem?.code === 'tree_size_not_signed')
      throw rollback(first.treeSize, second.treeSize, heads, cause);
    throw new ClientError('inconsistent', `the log gives no consistency proof ${sizes}: ${cause.message}`, {
      cause,
      heads,
    });
  }
}

/**
 * Asks for the consistency proof between two heads and verifies it. Nothing is asked where the sizes alone decide.
 * Throws ProofError, and what asking throws.
 */
export async function proveConsistent(first: TreeHead, second: TreeHead, ask: AskConsistency): Promise<TreeHash[]> {
  const asked = first.treeSize > 0 && first.treeSize < second.treeSize;
  const proof = asked ? [...(await ask(first.treeSize, second.treeSize))] : [];
  verifyConsistency({
    first: first.treeSize,
    second: second.treeSize,
    firstRoot: first.rootHash,
    secondRoot: second.rootHash,
    proof,
  });
  return proof;
}

function rollback(size: number, known: number, heads: HeadPair, cause?: unknown): ClientError {
  return new ClientError('rollback', `the log has shown a tree of ${known} entries before, and now one of ${size}`, {
    heads,
    cause,
  });
}
