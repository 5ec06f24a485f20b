/**
 * Every error the API answers with: code → status and title, in one table (RFC 9457). Codes are stable; statuses live here only.
 */
import { LogError, ProofError } from '../../proofs/error.ts';
import { ServerError, type ServerErrorCode } from '../errors.ts';
import { IngestError, type IngestErrorCode } from '../ingest/json-event.ts';
import type { Reply } from './reply.ts';

/** Every code of the API. */
export type Code = ServerErrorCode | IngestErrorCode;

const PROBLEMS: Readonly<Record<Code, readonly [status: number, title: string]>> = {
  not_found: [404, 'Not found'],
  unauthorized: [401, 'An API key is needed'],
  forbidden: [403, 'Forbidden'],
  method_not_allowed: [405, 'Method not allowed'],
  bad_request: [400, 'Bad request'],
  request_timeout: [408, 'Request timeout'],
  headers_too_large: [431, 'Headers too large'],
  bad_parameter: [400, 'Bad parameter'],
  bad_log_name: [400, 'Bad log name'],
  bad_pointer: [400, 'Bad id pointer'],
  body_too_large: [413, 'Body too large'],
  too_many_entries: [413, 'Too many entries'],
  bad_framing: [400, 'Bad framing'],
  bad_idempotency_key: [400, 'Bad idempotency key'],
  reserved_leaf_form: [400, 'Reserved leaf form'],
  event_too_large: [413, 'Event too large'],
  too_many_events: [413, 'Too many events'],
  unsupported_media_type: [415, 'Unsupported media type'],
  unsupported_encoding: [415, 'Unsupported content encoding'],
  wrong_log_kind: [409, 'Wrong kind of log'],
  log_exists: [409, 'The log exists'],
  log_not_frozen: [409, 'The log is not frozen'],
  rotation_running: [409, 'A rotation runs already'],
  rotation_not_signed: [409, 'The rotation is not signed yet'],
  no_rotation: [409, 'No rotation runs'],
  log_frozen: [410, 'The log is frozen'],
  log_deleted: [410, 'The log is deleted'],
  id_conflict: [409, 'Another event has this id'],
  no_such_entry: [404, 'No such entry'],
  no_such_tile: [404, 'No such tile'],
  no_such_key: [404, 'No such API key'],
  tree_size_not_signed: [404, 'Tree size not signed'],
  malformed_request: [400, 'Malformed request to a witness'],
  malformed_checkpoint: [400, 'Malformed checkpoint'],
  not_signed_by_log: [403, 'Not signed by the log'],
  unknown_origin: [404, 'Unknown origin'],
  not_cosigned: [404, 'Never cosigned'],
  inconsistent_checkpoint: [422, 'Inconsistent checkpoint'],
  bad_event_id: [422, 'Bad event id'],
  bom: [400, 'Byte order mark'],
  empty_event: [400, 'Empty event'],
  empty_batch: [400, 'Empty batch'],
  invalid_utf8: [400, 'Invalid UTF-8'],
  malformed_json: [400, 'Malformed JSON'],
  malformed_protobuf: [400, 'Malformed protobuf'],
  not_an_object: [400, 'Not a JSON object'],
  duplicate_key: [400, 'Duplicate key'],
  reserved_member: [400, 'Reserved member'],
  lone_surrogate: [400, 'Lone surrogate'],
  too_deep: [400, 'Nested too deep'],
  too_many_members: [400, 'Too many members'],
  integer_out_of_range: [400, 'Integer out of range'],
  number_out_of_range: [400, 'Number out of range'],
  rate_limited: [429, 'Too many for this API key'],
  too_many_failures: [429, 'Too many refused API keys'],
  pushback: [503, 'Too busy'],
  storage_full: [507, 'Storage nearly full'],
  shutting_down: [503, 'Shutting down'],
  not_ready: [503, 'Not ready'],
  clock_unsafe: [503, 'Clock unsafe'],
  not_signed_yet: [503, 'Not signed yet'],
  index_behind: [503, 'Index behind'],
  outcome_unknown: [503, 'Outcome unknown'],
  damaged: [500, 'Stored data is damaged'],
  internal: [500, 'Internal error'],
};

/** Seconds after which a client should come back, for what passes by itself. */
const RETRY_AFTER: Partial<Record<Code, string>> = {
  pushback: '1',
  storage_full: '10',
  shutting_down: '5',
  not_ready: '1',
  not_signed_yet: '1',
  index_behind: '1',
  outcome_unknown: '5',
  clock_unsafe: '60',
};

export function problem(
  code: Code,
  detail: string,
  members: Readonly<Record<string, unknown>> = {},
  retryAfter = RETRY_AFTER[code],
): Reply {
  const [status, title] = PROBLEMS[code];
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      ...(code === 'unauthorized' ? { 'www-authenticate': 'Bearer realm="indelible"' } : {}),
      ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
    },
    body: `${JSON.stringify({ type: `urn:indelible:problem:${code}`, title, status, detail, code, ...members })}\n`,
    code,
  };
}

/** The reply for whatever a handler threw. What is not an error of ours says nothing about our insides. */
export function problemOf(error: unknown): Reply {
  if (error instanceof ServerError)
    return problem(error.code, error.message, error.details, error.retryAfter?.toString());
  if (error instanceof IngestError) {
    const { limit, offset, line } = error;
    return problem(error.code, error.message, {
      ...(limit === undefined ? {} : { limit }),
      ...(offset === undefined ? {} : { offset }),
      ...(line === undefined ? {} : { line }),
    });
  }
  if (error instanceof ProofError && error.code === 'index_out_of_range')
    return problem('bad_parameter', error.message);
  if (error instanceof LogError && error.code === 'outcome_unknown') return problem('outcome_unknown', error.message);
  return problem('internal', 'something went wrong that should not; the server log says more');
}
