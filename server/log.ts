/** One log of the server: its definition, its keys, its committed state and its published head. */
import type { VerifierKey } from '../proofs/key.ts';
import { emptyRoot, type TreeHash } from '../tree/hash.ts';
import { ServerError } from './errors.ts';
import { type KeyRotation, type LogKeys, logKeys } from './log-keys.ts';
import { emptyBundle, type LogState } from './log-state.ts';
import type { ServerSigner } from './openssl-signer.ts';
import { encodeChecked, parseChecked } from './storage/checked-json.ts';

export type LogKind = 'events' | 'raw';

/** A frozen log takes no entries any more and has its last head; of a deleted one only a tombstone is left. Neither comes back. */
export type LogStatus = 'active' | 'frozen' | 'deleted';

/** What is fixed at a log's creation, but for settings, keys and status. Stored as JSON; unknown members are ignored. */
export interface LogDefinition {
  readonly name: string;
  readonly kind: LogKind;
  readonly origin: string;
  readonly verifierKey: string;
  /** Epoch of the signing key (docs/format.md). */
  readonly signEpoch: number;
  /** The keys that followed the first, oldest first. Of the last, the overlap may still go on. */
  readonly rotations: readonly KeyRotation[];
  readonly createdAt: string;
  readonly publicReads: boolean;
  /** JSON pointer to the event's id that appends use by default, or null. */
  readonly idPointer: string | null;
  readonly status: LogStatus;
  readonly frozenAt: string | null;
  readonly deletedAt: string | null;
}

/** A head that everybody may see: stored before it was shown. */
export interface Published {
  readonly treeSize: number;
  readonly rootHash: TreeHash;
  readonly checkpoint: string;
  /** When it was signed, in milliseconds. */
  readonly time: number;
  /** RFC 6962 signature of size, root hash and `time` (proofs/tree-head-signature.ts), once somebody has asked for it. */
  readonly signature?: Uint8Array | undefined;
  /** Whether the quorum of the log's witness policy has cosigned it; unknown, and so not said, of heads of earlier runs. */
  readonly witnessed?: boolean | undefined;
}

/** The server's own log of what it does. */
export const SYSTEM_LOG = '_system';

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** Checks the name of a log that somebody asks for. Throws ServerError `bad_log_name`. */
export function checkLogName(name: string): void {
  if (!NAME.test(name) || name.endsWith('.index')) {
    throw new ServerError(
      'bad_log_name',
      'a log name has 1 to 63 characters of a-z 0-9 . _ -, begins with a letter or digit, and does not end in .index',
    );
  }
}

export function encodeDefinition(definition: LogDefinition): Uint8Array {
  const { name, kind, origin, verifierKey, signEpoch, createdAt, publicReads, idPointer } = definition;
  const { status, frozenAt, deletedAt, rotations } = definition;
  return encodeChecked({
    name,
    kind,
    origin,
    verifier_key: verifierKey,
    sign_epoch: signEpoch,
    created_at: createdAt,
    public_reads: publicReads,
    id_pointer: idPointer,
    status,
    frozen_at: frozenAt,
    deleted_at: deletedAt,
    // Left out where there are none, as in the rows of the first versions.
    ...(rotations.length === 0 ? {} : { rotations: rotations.map(rotationRow) }),
  });
}

function rotationRow(rotation: KeyRotation): Record<string, unknown> {
  const { epoch, verifierKey, treeSize, statement, recordedIn, leafIndex, startedAt, endedAt, head } = rotation;
  return {
    epoch,
    verifier_key: verifierKey,
    tree_size: treeSize,
    statement,
    recorded_in: recordedIn,
    leaf_index: leafIndex,
    started_at: startedAt,
    ended_at: endedAt,
    head,
  };
}

function parseRotationRow(value: unknown): KeyRotation {
  const row = value as Readonly<Record<string, unknown>> | null;
  const number = (key: string): number => {
    const n = row?.[key];
    if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 0)
      throw new RangeError(`member ${key} of a rotation is no number`);
    return n;
  };
  const text = (key: string): string => {
    const found = row?.[key];
    if (typeof found !== 'string') throw new RangeError(`member ${key} of a rotation is missing`);
    return found;
  };
  const optional = (key: string): string | null => (row?.[key] === null ? null : text(key));
  return {
    epoch: number('epoch'),
    verifierKey: text('verifier_key'),
    treeSize: number('tree_size'),
    statement: text('statement'),
    recordedIn: text('recorded_in'),
    leafIndex: number('leaf_index'),
    startedAt: text('started_at'),
    endedAt: optional('ended_at'),
    head: optional('head'),
  };
}

/** Reads a definition row. Throws ServerError `damaged`. */
export function parseDefinition(bytes: Uint8Array): LogDefinition {
  try {
    const row = parseChecked(bytes);
    const text = (key: string): string => {
      const value = row[key];
      if (typeof value !== 'string') throw new RangeError(`member ${key} is missing`);
      return value;
    };
    const kind = text('kind');
    if (kind !== 'events' && kind !== 'raw') throw new RangeError(`unknown kind ${kind}`);
    // Rows of the first versions have none.
    const status = row['status'] === undefined ? 'active' : text('status');
    if (status !== 'active' && status !== 'frozen' && status !== 'deleted')
      throw new RangeError(`unknown status ${status}`);
    const { sign_epoch: signEpoch, public_reads: publicReads } = row;
    if (typeof signEpoch !== 'number' || !Number.isSafeInteger(signEpoch) || signEpoch < 0)
      throw new RangeError('member sign_epoch is no epoch');
    const rotations = row['rotations'] ?? [];
    if (!Array.isArray(rotations)) throw new RangeError('member rotations is no list');
    if (typeof publicReads !== 'boolean') throw new RangeError('member public_reads is neither true nor false');
    return {
      name: text('name'),
      kind,
      origin: text('origin'),
      verifierKey: text('verifier_key'),
      signEpoch,
      rotations: rotations.map(parseRotationRow),
      createdAt: text('created_at'),
      publicReads,
      idPointer: row['id_pointer'] === null ? null : text('id_pointer'),
      status,
      frozenAt: status === 'active' ? null : text('frozen_at'),
      deletedAt: status === 'deleted' ? text('deleted_at') : null,
    };
  } catch (cause) {
    throw new ServerError('damaged', `a log definition is damaged: ${(cause as Error).message}`, { cause });
  }
}

/** What of a log is derived from the master seed. */
export interface LogSecrets {
  /** The keys that the definition names. */
  readonly keys: LogKeys;
  readonly signerOf: (origin: string, epoch: number) => ServerSigner;
  /** Digest of an id, for the key of its row. */
  readonly idDigest: (id: string) => string;
}

export class Log {
  #definition: LogDefinition;
  #keys: LogKeys;
  readonly #signerOf: LogSecrets['signerOf'];
  readonly idDigest: LogSecrets['idDigest'];
  /** The committed state: what is durable and promised. Only the committer replaces it. */
  state: LogState;
  /** What it will be after the commits that are on their way: where the next one goes on. Only the committer replaces it. */
  sequenced: LogState;
  /** The newest head that may be shown. Only publisher, cosigning and recovery replace it. */
  published: Published;
  /** A head that is signed and stored, and waits for its witnesses. Only publisher, cosigning and recovery replace it. */
  withheld: Published | undefined;
  /** Bytes of all leaves that were appended since the start. Only the committer adds to it. */
  appendedBytes = 0;
  /** Whether a head has to be signed though the log has not grown: its keys changed. Forgotten at a restart: then the next refresh does it. */
  resign = false;
  /** Whether a head is being signed, and is neither shown nor withheld yet. */
  signing = false;

  constructor(
    definition: LogDefinition,
    { keys, signerOf, idDigest }: LogSecrets,
    state: LogState,
    published: Published,
    withheld?: Published,
  ) {
    this.#definition = definition;
    this.#signerOf = signerOf;
    this.#keys = keys;
    this.idDigest = idDigest;
    this.state = state;
    this.sequenced = state;
    this.published = published;
    this.withheld = withheld;
  }

  get definition(): LogDefinition {
    return this.#definition;
  }

  /** Only a commit replaces it. */
  set definition(definition: LogDefinition) {
    // Every change of keys is a change of this list.
    if (definition.rotations !== this.#definition.rotations) this.#keys = logKeys(definition, this.#signerOf);
    this.#definition = definition;
  }

  get keys(): LogKeys {
    return this.#keys;
  }

  /** The signer that `verifier_key` names. */
  get signer(): ServerSigner {
    return this.#keys.signer;
  }

  /** Every key that heads of this log may be signed by, the newest first. */
  get verifierKeys(): readonly VerifierKey[] {
    return this.#keys.all;
  }

  /** The signer of an epoch that is not in use yet. */
  signerOf(epoch: number): ServerSigner {
    return this.#signerOf(this.#definition.origin, epoch);
  }

  get name(): string {
    return this.definition.name;
  }
}

/** State of a log before its first entry, with its head of size 0 signed at `headTime`. */
export function emptyState(headTime: number): LogState {
  return {
    treeSize: 0,
    lastReceivedAt: 0,
    rootHash: emptyRoot(),
    head: { treeSize: 0, time: headTime },
    frontier: [],
    partials: [],
    open: emptyBundle(0),
  };
}
