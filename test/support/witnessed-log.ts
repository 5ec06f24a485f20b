/** A log for the tests of witnesses: it signs any head of its tree, and of another tree with the same key, as no honest log would. */
import { type AddCheckpoint, formatAddCheckpoint, originHash } from '../../proofs/add-checkpoint.ts';
import { formatCheckpoint, type TreeHead } from '../../proofs/checkpoint.ts';
import type { NoteSigner, VerifierKey } from '../../proofs/key.ts';
import { signNote } from '../../proofs/note.ts';
import type { PolicyLog } from '../../proofs/policy.ts';
import { opensslSigner } from '../../server/openssl-signer.ts';
import { asTreeHash, type TreeHash } from '../../tree/hash.ts';
import { numberedLeaves, ReferenceTree } from './reference-tree.ts';

export class WitnessedLog {
  readonly origin: string;
  readonly hash: string;
  readonly signer: NoteSigner;
  readonly size: number;
  readonly #tree: ReferenceTree;

  constructor(origin: string, size = 64, { seed = 1, fork = size }: { seed?: number; fork?: number } = {}) {
    this.origin = origin;
    this.hash = originHash(origin);
    this.signer = opensslSigner(origin, new Uint8Array(32).fill(seed));
    this.size = size;
    const leaves = numberedLeaves(size).map((leaf, i) => (i < fork ? leaf : Uint8Array.of(...leaf, 0x21)));
    this.#tree = new ReferenceTree(leaves);
  }

  /** The same log with the same key, and other leaves from a size on. */
  forked(from: number, seed = 1): WitnessedLog {
    return new WitnessedLog(this.origin, this.size, { seed, fork: from });
  }

  get key(): VerifierKey {
    return this.signer.verifierKey;
  }

  get asPolicyLog(): PolicyLog {
    return { key: this.key, url: undefined };
  }

  head(treeSize: number): TreeHead {
    return { treeSize, rootHash: this.#tree.root(treeSize) };
  }

  /** The signed head of a size. */
  checkpoint(treeSize: number): string {
    return this.sign(formatCheckpoint({ origin: this.origin, ...this.head(treeSize) }));
  }

  /** Any text as a note of this log. */
  sign(text: string): string {
    return signNote(text, [this.signer]);
  }

  proof(oldSize: number, treeSize: number): TreeHash[] {
    return this.#tree.proof(oldSize, treeSize).map(asTreeHash);
  }

  /** A good request from one size to another. */
  request(oldSize: number, treeSize: number): AddCheckpoint {
    return { oldSize, proof: this.proof(oldSize, treeSize), checkpoint: this.checkpoint(treeSize) };
  }

  /** The same as the body that is sent. */
  body(oldSize: number, treeSize: number): string {
    return formatAddCheckpoint(this.request(oldSize, treeSize));
  }
}

/** A file of the logs that are witnessed. */
export function logsFile(...logs: readonly WitnessedLog[]): string {
  return `${logs.map(({ key }) => `log ${key.text}\n`).join('')}quorum none\n`;
}
