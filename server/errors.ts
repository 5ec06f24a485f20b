/**
 * Errors that the server answers with. The code is stable and part of the API; its HTTP status stands in http/problem.ts and
 * nowhere else. `details` are members of the reply that help to act on it.
 */
import { LogError } from '../proofs/error.ts';

export type ServerErrorCode =
  // what was asked for
  | 'not_found'
  | 'unauthorized'
  | 'forbidden'
  | 'method_not_allowed'
  | 'bad_request'
  | 'request_timeout'
  | 'headers_too_large'
  | 'bad_parameter'
  | 'body_too_large'
  | 'too_many_entries'
  | 'bad_framing'
  | 'bad_idempotency_key'
  | 'reserved_leaf_form'
  | 'unsupported_media_type'
  | 'unsupported_encoding'
  | 'wrong_log_kind'
  | 'log_exists'
  | 'log_frozen'
  | 'log_not_frozen'
  | 'log_deleted'
  | 'rotation_running'
  | 'rotation_not_signed'
  | 'no_rotation'
  | 'bad_log_name'
  | 'no_such_entry'
  | 'no_such_tile'
  | 'no_such_key'
  | 'tree_size_not_signed'
  | 'id_conflict'
  | 'rate_limited'
  | 'too_many_failures'
  // what a witness is asked
  | 'malformed_request'
  | 'malformed_checkpoint'
  | 'not_signed_by_log'
  | 'unknown_origin'
  | 'not_cosigned'
  | 'inconsistent_checkpoint'
  // what the server can't do now
  | 'pushback'
  | 'storage_full'
  | 'shutting_down'
  | 'not_ready'
  | 'clock_unsafe'
  | 'not_signed_yet'
  | 'index_behind'
  | 'outcome_unknown'
  // what must never be
  | 'damaged'
  | 'internal';

export class ServerError extends LogError<ServerErrorCode> {
  readonly details: Readonly<Record<string, unknown>>;
  /** Seconds after which it is worth asking again, where the code alone does not say. */
  readonly retryAfter: number | undefined;

  constructor(
    code: ServerErrorCode,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly details?: Readonly<Record<string, unknown>>;
      readonly retryAfter?: number;
    } = {},
  ) {
    super(code, message, options.cause === undefined ? undefined : { cause: options.cause });
    this.details = options.details ?? {};
    this.retryAfter = options.retryAfter;
  }
}

/** Exit codes of the server process; docs/operations.md explains each. */
export const EXIT = {
  ok: 0,
  usage: 2,
  /** A write, sync or check failed: stopped before anything else could be acknowledged. */
  failStop: 70,
  /** Another process has the data directory. */
  inUse: 75,
  /** Refuses to start: evidence against the data, the guard or the keys. */
  refused: 78,
} as const;

/** Ends the process with that exit code: thrown while starting, handed to `onFatal` while running. */
export class ExitError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
