/**
 * What can go wrong between a client and a log. Proofs and signatures that do not hold are a ProofError or a NoteError, with
 * their own codes; here is everything else.
 */
import { LogError } from '../proofs/error.ts';

/** Why a call failed. */
export type ClientErrorCode =
  /** An argument of the call can not be meant, such as a URL that is none. Nothing was sent. */
  | 'bad_argument'
  /** No whole answer came. Nothing was stored by this, or the append may safely be repeated. */
  | 'unreachable'
  /** The server answered with an error: `status`, and `problem` if it said more. */
  | 'http'
  /** An append may have been stored or not, and repeating it could store it twice. */
  | 'outcome_unknown'
  /** An answer is not of the agreed shape, or not the one that was asked for. */
  | 'bad_reply'
  /** The newest head is older than one that this log has shown before. */
  | 'rollback'
  /** Two signed heads of one size have different root hashes. `heads` is the evidence. */
  | 'split_view'
  /** The log can not prove that one signed head is the beginning of the other. `heads` is the evidence. */
  | 'inconsistent'
  /** The log denies entries that it has signed a tree of. */
  | 'missing_entries'
  /** receivedAt decreases along the log. */
  | 'time_went_back'
  /** No verifier key is known for the log, and it may not be learned from the server itself. */
  | 'unpinned';

/** The body of an error answer (RFC 9457). It comes from the server: show it, and trust nothing in it. */
export interface Problem {
  /** Stable code of the server, such as `duplicate_key`. */
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  /** All members. */
  readonly members: Readonly<Record<string, unknown>>;
}

/** Two checkpoints, as signed notes, that should go together and do not. */
export interface HeadPair {
  readonly remembered: string;
  readonly received: string;
}

/** What an error can say besides its code. */
export interface ClientErrorDetails {
  readonly cause?: unknown;
  /** HTTP status of the answer. */
  readonly status?: number;
  readonly problem?: Problem | undefined;
  readonly heads?: HeadPair;
  /** Time that the server asked to wait before the next try, in milliseconds. */
  readonly retryAfter?: number | undefined;
}

/** A call of the client failed. */
export class ClientError extends LogError<ClientErrorCode> {
  readonly status: number | undefined;
  readonly problem: Problem | undefined;
  readonly heads: HeadPair | undefined;
  readonly retryAfter: number | undefined;

  constructor(code: ClientErrorCode, message: string, details: ClientErrorDetails = {}) {
    super(code, message, details.cause === undefined ? undefined : { cause: details.cause });
    this.status = details.status;
    this.problem = details.problem;
    this.heads = details.heads;
    this.retryAfter = details.retryAfter;
  }
}
