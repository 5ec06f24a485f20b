/**
 * When a request is tried again, and how long to wait before. A request that only reads, or an append whose events have ids of
 * their own, may be repeated after any failure that can pass. Any other append is repeated only where the server says that
 * it has stored nothing: once too few is an error that somebody sees, once too many is a false entry for ever.
 */
import type { ClientError } from './error.ts';

/** Whether doing the same twice is the same as doing it once. */
export type Repeatable = 'repeatable' | 'once';

/** How often and how long. Times in milliseconds. */
export interface RetryLimits {
  /** Most tries, the first included. */
  readonly attempts: number;
  /** Wait before the second try; doubles with each further one. */
  readonly firstDelay: number;
  /** Longest wait, also where the server asks for more. */
  readonly maxDelay: number;
}

/** Codes with which a server says that it is too busy, too full or not ready, before it has stored anything. */
const NOT_STORED = new Set(['pushback', 'storage_full', 'not_ready', 'shutting_down', 'clock_unsafe']);

/** Those of them after which an append is sent again that may be sent once only: they pass while the server goes on. */
const TRY_AGAIN = new Set(['pushback', 'storage_full', 'rate_limited', 'too_many_failures']);

/** Answers that say something about the moment and not about the request. */
const PASSING_STATUS = new Set([429, 502, 503, 504, 507]);

/** Whether the server has certainly stored nothing: it refused the request, or said so. */
export function nothingStored({ status, problem }: ClientError): boolean {
  if (status === undefined) return false;
  return status < 500 || ((status === 503 || status === 507) && NOT_STORED.has(problem?.code ?? ''));
}

/** Whether the next try may be better and does no harm. */
export function mayRetry(error: ClientError, repeatable: Repeatable): boolean {
  if (repeatable === 'once') return nothingStored(error) && TRY_AGAIN.has(error.problem?.code ?? '');
  // Other people's logs say 500 to whatever goes wrong; ours says what it is, and it does not pass.
  if (error.status === 500) return error.problem?.code === undefined;
  return error.code === 'unreachable' || (error.status !== undefined && PASSING_STATUS.has(error.status));
}

/**
 * Milliseconds to wait after try number `attempt` (from 1). The server's wish counts where it is longer than ours. A random
 * half of ours keeps clients apart that were turned away together.
 */
export function retryDelay(attempt: number, retryAfter: number | undefined, limits: RetryLimits): number {
  const backOff = limits.firstDelay * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
  return Math.min(limits.maxDelay, Math.max(backOff, retryAfter ?? 0));
}

/** Milliseconds that a Retry-After header asks for: seconds or a date (RFC 9110 §10.2.3). Nonsense asks for nothing. */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const text = header.trim();
  if (/^[0-9]{1,9}$/.test(text)) return Number(text) * 1000;
  const date = /^[A-Z][a-z]{2}, /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
