/** The keys of a log over its life: the one that `verifier_key` names, the one that follows it while both sign, and those before. */
import { formatCheckpoint, type TreeHead } from '../proofs/checkpoint.ts';
import type { VerifierKey } from '../proofs/key.ts';
import { signNote } from '../proofs/note.ts';
import { utf8 } from '../tree/bytes.ts';
import type { ServerSigner } from './openssl-signer.ts';

/** A rotation: a key that followed another one. Part of the log's definition. */
export interface KeyRotation {
  /** Epoch of the new key (docs/format.md). */
  readonly epoch: number;
  readonly verifierKey: string;
  /** Size of the log when the statement was made. */
  readonly treeSize: number;
  /** The statement of key rotation, a note (proofs/rotation.ts). */
  readonly statement: string;
  /** The log that holds the entry of it: the log itself, or `_system` for a raw log. */
  readonly recordedIn: string;
  readonly leafIndex: number;
  readonly startedAt: string;
  /** When the old key stopped signing; null while both sign. */
  readonly endedAt: string | null;
  /** A checkpoint that both keys have signed, kept from the moment when the old one stopped. */
  readonly head: string | null;
}

/** What a log signs with, and what its stored heads may be signed by. */
export interface LogKeys {
  /** Named by `verifier_key`. It alone signs RFC 6962 tree heads. */
  readonly signer: ServerSigner;
  /** Signs beside it until the overlap ends. */
  readonly next: ServerSigner | undefined;
  /** Every key that has ever signed a head of this log, the newest first. */
  readonly all: readonly VerifierKey[];
}

/** The rotation that has begun and not ended. */
export function runningOf({ rotations }: { readonly rotations: readonly KeyRotation[] }): KeyRotation | undefined {
  const last = rotations.at(-1);
  return last?.endedAt === null ? last : undefined;
}

/** A log was made with other keys than the master seed gives. */
export class OtherKeyError extends RangeError {
  readonly stated: string;
  readonly own: string;

  constructor(stated: string, own: string) {
    super(`the key ${stated}, but this master seed gives ${own}`);
    this.stated = stated;
    this.own = own;
  }
}

/** The keys that a definition names. Throws an OtherKeyError where the master seed gives another one. */
export function logKeys(
  definition: {
    readonly origin: string;
    readonly signEpoch: number;
    readonly verifierKey: string;
    readonly rotations: readonly KeyRotation[];
  },
  signerOf: (origin: string, epoch: number) => ServerSigner,
): LogKeys {
  const { origin, signEpoch, verifierKey, rotations } = definition;
  const named = (epoch: number, stated: string): ServerSigner => {
    const signer = signerOf(origin, epoch);
    if (signer.verifierKey.text !== stated) throw new OtherKeyError(stated, signer.verifierKey.text);
    return signer;
  };
  const later = rotations.map(({ epoch, verifierKey: stated }) => named(epoch, stated).verifierKey);
  const running = runningOf(definition);
  const signer = named(signEpoch, verifierKey);
  // The first key has no rotation that names it.
  const first = rotations.length === 0 || signEpoch === 0 ? signer.verifierKey : signerOf(origin, 0).verifierKey;
  return {
    signer,
    next: running && signerOf(origin, running.epoch),
    all: [first, ...later].reverse(),
  };
}

/** Signs a tree head as a checkpoint of the log: by its key, and while a rotation runs by the one that follows, in this order. */
export function signHead(head: OwnHead, keys: LogKeys): string {
  return signNote(formatCheckpoint(head), signersOf(keys));
}

/** The same in other threads, for many logs side by side: of ten thousand that grow at once, signatures took a fifth of this thread's time. */
export async function signHeadAside(head: OwnHead, keys: LogKeys): Promise<string> {
  const text = formatCheckpoint(head);
  const made = signersOf(keys).map(async ({ verifierKey, signAside }) => {
    const signature = await signAside(utf8(text));
    return { verifierKey, sign: () => signature };
  });
  return signNote(text, await Promise.all(made));
}

type OwnHead = TreeHead & { readonly origin: string };

function signersOf({ signer, next }: LogKeys): readonly ServerSigner[] {
  return next === undefined ? [signer] : [signer, next];
}
