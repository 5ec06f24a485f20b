/**
 * Reading on: from one tree to a larger one by the leaves between, a bundle at a time, with every leaf of an events log looked at on the
 * way. In memory are a few bundles and the frontier, however much there is to read.
 */
import { ProofError } from '../../proofs/error.ts';
import { parseEventLeaf } from '../../proofs/leaf.ts';
import { formatMicros } from '../../proofs/time.ts';
import { extendFrontier, frontierRoot } from '../../tree/frontier.ts';
import { leafHashes, type TreeHash } from '../../tree/hash.ts';
import type { LeafRun } from '../tree-reader.ts';
import type { LeafFault, TreePoint } from './state.ts';

/** A tree that grows by runs of leaves, which must follow each other. */
export class GrowingTree {
  readonly #kind: 'events' | 'raw';
  readonly #onFault: (fault: LeafFault) => void;
  readonly #frontier: TreeHash[];
  #size: number;
  #receivedAt: number;
  #firstReceivedAt: number | undefined;

  constructor(from: TreePoint, kind: 'events' | 'raw', onFault: (fault: LeafFault) => void) {
    this.#kind = kind;
    this.#onFault = onFault;
    this.#frontier = [...from.frontier];
    this.#size = from.size;
    this.#receivedAt = from.receivedAt;
  }

  get size(): number {
    return this.#size;
  }

  /** receivedAt of the last leaf in microseconds; 0 for none. */
  get receivedAt(): number {
    return this.#receivedAt;
  }

  /** receivedAt of the first leaf that was taken here; undefined for none. */
  get firstReceivedAt(): number | undefined {
    return this.#firstReceivedAt;
  }

  root(): TreeHash {
    return frontierRoot(this.#frontier);
  }

  /** Where it stands, as a value that does not change. */
  point(): TreePoint {
    return { size: this.#size, frontier: [...this.#frontier], receivedAt: this.#receivedAt };
  }

  /** Takes leaves of a run up to, not including, leaf index `end`; what it had already is passed over. */
  take(run: LeafRun, end: number = Number.POSITIVE_INFINITY): void {
    const skip = this.#size - run.first;
    if (skip < 0) throw new Error('bug: leaves were left out');
    const count = Math.min(run.count, end - run.first) - skip;
    if (count <= 0) return;
    const bounds = run.bounds.subarray(2 * skip, 2 * (skip + count));
    if (this.#kind === 'events')
      for (let i = 0; i < count; i++)
        this.#look(run.bytes.subarray(bounds[2 * i], bounds[2 * i + 1]), run.first + skip + i);
    extendFrontier(this.#frontier, this.#size, leafHashes(run.bytes, bounds));
    this.#size += count;
  }

  /** Takes leaves whose hashes and times are known already, side by side. */
  takeHashes(hashes: Uint8Array, count: number, receivedAt: number): void {
    extendFrontier(this.#frontier, this.#size, hashes);
    this.#size += count;
    this.#receivedAt = receivedAt;
  }

  #look(leaf: Uint8Array, leafIndex: number): void {
    let receivedAt: number;
    try {
      ({ receivedAt } = parseEventLeaf(leaf));
    } catch (error) {
      if (!(error instanceof ProofError)) throw error;
      const message = `the leaf at leaf index ${leafIndex} is none of an events log: ${error.message}`;
      this.#onFault({ code: 'unparsable_entry', leafIndex, message });
      return;
    }
    if (receivedAt < this.#receivedAt)
      this.#onFault({
        code: 'received_at_decreased',
        leafIndex,
        message:
          `the entry at leaf index ${leafIndex} was received at ${formatMicros(receivedAt)}, ` +
          `the one before it at ${formatMicros(this.#receivedAt)}`,
      });
    this.#receivedAt = receivedAt;
    this.#firstReceivedAt ??= receivedAt;
  }
}
