/** One log of the server: its definition, its keys, its committed state and its published head. */
import type { NoteSigner } from '../proofs/key.ts';
import { emptyRoot, type TreeHash } from '../tree/hash.ts';
import { ServerError } from './errors.ts';
import type { LogState } from './log-state.ts';
import { encodeChecked, parseChecked } from './storage/checked-json.ts';

export type LogKind = 'events' | 'raw';

/** A frozen log takes no entries any more and has its last head; of a deleted one only a tombstone is left. Neither comes back. */
export type LogStatus = 'active' | 'frozen' | 'deleted';

/** What is fixed at a log's creation, but for settings and status. Stored as JSON; unknown members are ignored. */
export interface LogDefinition {
  readonly name: string;
  readonly kind: LogKind;
  readonly origin: string;
  readonly verifierKey: string;
  /** Epoch of the signing key (DESIGN §2, Secrets). */
  readonly signEpoch: number;
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
  const { status, frozenAt, deletedAt } = definition;
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
  });
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
    if (typeof publicReads !== 'boolean') throw new RangeError('member public_reads is neither true nor false');
    return {
      name: text('name'),
      kind,
      origin: text('origin'),
      verifierKey: text('verifier_key'),
      signEpoch,
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

export class Log {
  /** Only a commit replaces it. */
  definition: LogDefinition;
  readonly signer: NoteSigner;
  /** Digest of an id, for the key of its row. */
  readonly idDigest: (id: string) => string;
  /** The committed state: what is durable and promised. Only the committer replaces it. */
  state: LogState;
  /** The newest head that may be shown. Only the publisher and recovery replace it. */
  published: Published;
  /** A head that is signed and stored, and waits for its witnesses. Only publisher, cosigning and recovery replace it. */
  withheld: Published | undefined;

  constructor(
    definition: LogDefinition,
    keys: Pick<Log, 'signer' | 'idDigest'>,
    state: LogState,
    published: Published,
    withheld?: Published,
  ) {
    this.definition = definition;
    this.signer = keys.signer;
    this.idDigest = keys.idDigest;
    this.state = state;
    this.published = published;
    this.withheld = withheld;
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
    open: [],
  };
}
