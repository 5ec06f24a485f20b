/**
 * A witness (C2SP tlog-witness): it cosigns a log's checkpoint only if that extends, by a proof, the largest one that it has cosigned of the
 * log before. Two who trust it and hold its cosignatures hold the same history.
 *
 * The requests of one log take their turns, so that none overtakes another between the comparison and the disk: of two that
 * extend the same head one is cosigned, and the other learns the new size.
 */
import { type AddCheckpoint, claimedOrigin, originHash } from '../../proofs/add-checkpoint.ts';
import type { CheckpointBody } from '../../proofs/checkpoint.ts';
import type { Cosigner } from '../../proofs/cosignature.ts';
import { NoteError } from '../../proofs/error.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import { formatSignatureLines, type NoteSignature } from '../../proofs/note.ts';
import type { PolicyLog } from '../../proofs/policy.ts';
import { CLOCK_LIMITS, type Clock, type ClockAlarm, type ClockLimits, EntryClock } from '../clock.ts';
import { ServerError, type ServerErrorCode } from '../errors.ts';
import type { Room } from '../free-space.ts';
import { verifyQuickly } from '../own-signatures.ts';
import {
  type Conflict,
  inconsistent,
  isContradiction,
  judge,
  openSigned,
  readHead,
  type Signed,
} from './check-order.ts';
import type { CosignedHead } from './cosigned-head.ts';
import type { EvidenceKind, Kept } from './evidence.ts';
import { openWitnessDirectory, type WitnessDirectory } from './witness-directory.ts';
import type { Replace } from './witness-store.ts';

export interface WitnessObserver {
  /** A log has signed what it should not have, or something that nobody could connect with what is known. */
  onFinding?(finding: { readonly kind: EvidenceKind; readonly origin: string; readonly kept: Kept }): void;
  /** Evidence could not be written. Nothing depends on it, and nothing else says that it was found. */
  onEvidenceTrouble?(error: unknown): void;
  onClockAlarm?(alarm: ClockAlarm): void;
}

export interface WitnessOptions {
  /** Directory of its key, heads and evidence. */
  readonly path: string;
  /** Its name, for ever; needed at the first start. */
  readonly name: string | undefined;
  /** Whose checkpoints are cosigned. */
  readonly logs: readonly PolicyLog[];
  readonly clock: Clock;
  /** Which steps of the wall clock are followed. By default those of the server, however long the witness was off. */
  readonly clockLimits?: ClockLimits;
  /** Asked before anything is written. */
  readonly room?: Room;
  readonly observer?: WitnessObserver;
  /** Hears that a head could not be kept: the process must end. */
  readonly onFatal: (error: unknown) => void;
  /** How a head's file is replaced. */
  readonly replace?: Replace;
}

/** Signature lines for a log to put under its checkpoint. */
export interface Cosigned {
  readonly status: 200;
  readonly lines: string;
}

/** What a witness has done since its start. */
export interface WitnessCounts {
  cosigned: number;
  /** Requests answered with the known size. */
  conflicts: number;
  /** Refused requests by code. */
  readonly refused: Map<ServerErrorCode, number>;
  /** Findings by kind, repeated ones too. */
  readonly findings: Record<EvidenceKind, number>;
}

/** Requests that wait for their turn or the disk at most; each has proven itself an extension before it waits. */
const MAX_WAITING = 256;
/** Bytes that a head takes on the disk beside its note, twice over. */
const ROW = 4096;

export class Witness {
  readonly verifierKey: VerifierKey;
  /** Whether its key was made now. */
  readonly firstStart: boolean;
  readonly counts: WitnessCounts = {
    cosigned: 0,
    conflicts: 0,
    refused: new Map(),
    findings: { split_view: 0, impossible: 0, unproven: 0 },
  };
  readonly #cosigner: Cosigner;
  readonly #directory: WitnessDirectory;
  readonly #clock: EntryClock;
  readonly #options: WitnessOptions;
  /** Keys by origin: two of one name while a log changes its key. */
  #keys: ReadonlyMap<string, readonly VerifierKey[]> = new Map();
  /** The end of the last turn of each log, by the hash of its origin. */
  readonly #turns = new Map<string, Promise<unknown>>();
  #waiting = 0;
  #closed = false;

  private constructor(directory: WitnessDirectory, options: WitnessOptions) {
    this.#directory = directory;
    this.#cosigner = directory.cosigner;
    this.#options = options;
    this.verifierKey = directory.cosigner.verifierKey;
    this.firstStart = directory.firstStart;
    const { clock, clockLimits = { ...CLOCK_LIMITS, maxAbsence: Number.POSITIVE_INFINITY }, observer } = options;
    let newest = 0;
    for (const { time } of directory.store.heads()) newest = Math.max(newest, time);
    this.#clock = new EntryClock(clock, newest * 1e6, clockLimits, (alarm) => observer?.onClockAlarm?.(alarm));
    this.watch(options.logs);
  }

  /** Opens its directory, making it on a first start. Throws ExitError 2, 70, 75 or 78. */
  static async open(options: WitnessOptions): Promise<Witness> {
    return new Witness(await openWitnessDirectory(options), options);
  }

  /** Takes other logs in the place of those before. What was cosigned of those that are gone is remembered. */
  watch(logs: readonly PolicyLog[]): void {
    const keys = new Map<string, VerifierKey[]>();
    for (const { key } of logs) keys.set(key.name, [...(keys.get(key.name) ?? []), key]);
    this.#keys = keys;
  }

  /** Logs whose checkpoints are cosigned. */
  get logs(): number {
    return this.#keys.size;
  }

  get clockUnsafe(): boolean {
    return this.#clock.unsafe;
  }

  /** An operator says that the wall clock is right after all. */
  acceptClock(): void {
    this.#clock.accept();
  }

  /**
   * Cosigns a checkpoint, or says which size is known instead. Throws ServerError: the codes of check-order.ts, and `pushback`, `clock_unsafe`,
   * `storage_full`, `shutting_down`, `outcome_unknown`, after all of which the same request may be sent again.
   */
  async addCheckpoint(request: AddCheckpoint): Promise<Cosigned | Conflict> {
    try {
      const answer = await this.#answer(request);
      if (answer.status === 200) this.counts.cosigned++;
      else this.counts.conflicts++;
      return answer;
    } catch (error) {
      if (error instanceof ServerError)
        this.counts.refused.set(error.code, (this.counts.refused.get(error.code) ?? 0) + 1);
      throw error;
    }
  }

  /** The newest cosigned checkpoint, as a note with the log's signatures and ours, of the log whose origin has this hash (C2SP tlog-witness). */
  checkpoint(hash: string): string | undefined {
    return this.#directory.store.head(hash)?.note;
  }

  /** Lets turns end that have begun, and gives the directory back. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#turns.values());
    this.#directory.close();
  }

  async #answer(request: AddCheckpoint): Promise<Cosigned | Conflict> {
    const origin = originOf(request);
    const signed = openSigned(request, this.#keys.get(origin), verifyQuickly);
    const head = readHead(signed.text);
    if (head === 'impossible') {
      this.#found('impossible', origin, signed, request, undefined);
      throw inconsistent('the log has signed an empty tree with a root that no empty tree has');
    }
    const hash = originHash(origin);
    const conflict = this.#judge(hash, request, signed, head);
    return conflict ?? this.#inTurn(hash, () => this.#cosign(hash, request, signed, head));
  }

  /** The rows of the check order that depend on what is known, which may have changed when it is asked again. */
  #judge(hash: string, request: AddCheckpoint, signed: Signed, head: CheckpointBody): Conflict | undefined {
    const known = this.#directory.store.head(hash);
    // Whatever the request is answered, 409 included.
    if (isContradiction(known, head)) this.#found('split_view', head.origin, signed, request, known);
    try {
      return judge(known, request, head);
    } catch (error) {
      const isUnproven =
        error instanceof ServerError && error.code === 'inconsistent_checkpoint' && known !== undefined;
      if (isUnproven && known.treeSize > 0 && known.treeSize < head.treeSize)
        this.#found('unproven', head.origin, signed, request, known);
      throw error;
    }
  }

  /** One at a time for each log. */
  async #inTurn<T>(hash: string, work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new ServerError('shutting_down', 'the witness is stopping; nothing was cosigned');
    if (this.#waiting >= MAX_WAITING)
      throw new ServerError('pushback', 'too many checkpoints are being cosigned; send it again');
    this.#waiting++;
    const turn = (this.#turns.get(hash) ?? Promise.resolve()).then(work);
    const ended = turn.catch(() => {});
    this.#turns.set(hash, ended);
    try {
      return await turn;
    } finally {
      this.#waiting--;
      if (this.#turns.get(hash) === ended) this.#turns.delete(hash);
    }
  }

  async #cosign(
    hash: string,
    request: AddCheckpoint,
    signed: Signed,
    head: CheckpointBody,
  ): Promise<Cosigned | Conflict> {
    const conflict = this.#judge(hash, request, signed, head);
    if (conflict !== undefined) return conflict;
    const { store } = this.#directory;
    const known = store.head(hash);
    const now = this.#clock.now();
    if (now === undefined)
      throw new ServerError(
        'clock_unsafe',
        'the clock of the witness jumped too far; nothing is cosigned until that is settled',
      );
    // Never 0, which would say "not claimed to be the newest", and never below the one before.
    const time = Math.max(1, Math.floor(now / 1e6), known?.time ?? 0);
    // Twice in a second the same bytes: anybody may repeat a request, and need not be let near the disk more often than that.
    if (known !== undefined && known.text === signed.text && known.time === time) return cosigned(known.own);
    const { name, keyId } = this.verifierKey;
    const own = { name, keyId, signature: this.#cosigner.cosign(signed.text, time) };
    await this.#put({ ...head, text: signed.text, own, time, note: noteOf(signed, own) });
    return cosigned(own);
  }

  async #put(head: CosignedHead): Promise<void> {
    const { room, onFatal } = this.#options;
    const { store } = this.#directory;
    const bytes = head.note.length + ROW;
    room?.take(bytes);
    try {
      await store.put(head);
    } catch (error) {
      onFatal(error);
      throw error;
    } finally {
      room?.release(bytes);
    }
  }

  #found(
    kind: EvidenceKind,
    origin: string,
    signed: Signed,
    { oldSize, proof }: AddCheckpoint,
    known: CosignedHead | undefined,
  ): void {
    const { observer, clock } = this.#options;
    this.counts.findings[kind]++;
    try {
      const finding = {
        kind,
        origin,
        text: signed.text,
        received: noteOf(signed),
        cosigned: known?.note,
        oldSize,
        proof,
      };
      const kept = this.#directory.evidence.keep(finding, clock.wallMicros());
      observer?.onFinding?.({ kind, origin, kept });
    } catch (error) {
      observer?.onEvidenceTrouble?.(error);
    }
  }
}

function cosigned(own: NoteSignature): Cosigned {
  return { status: 200, lines: formatSignatureLines([own]) };
}

/** What was signed, with the log's own lines and ours; lines that nobody here vouches for are left out. */
function noteOf({ text, signatures }: Signed, ...own: readonly NoteSignature[]): string {
  return `${text}\n${formatSignatureLines([...signatures, ...own])}`;
}

function originOf(request: AddCheckpoint): string {
  try {
    return claimedOrigin(request);
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    throw new ServerError('malformed_request', cause.message, { cause });
  }
}
