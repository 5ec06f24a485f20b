/** What a handler is given: the server, the limits, the request and who sent it. */
import type { ApiKey } from '../access.ts';
import type { Log } from '../log.ts';
import type { LogServer } from '../log-server.ts';
import type { Metrics } from '../metrics.ts';
import type { Witness } from '../witness/witness.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { Incoming } from './incoming.ts';
import type { RateLimiter } from './rate-limiter.ts';
import type { ReplyBudget } from './reply-budget.ts';

/** Limits of requests; `serve --help` explains each. */
export interface HttpLimits {
  readonly maxEventSize: number;
  readonly maxEvents: number;
  readonly maxBodySize: number;
  /** How long an append with ack=signed waits for its head, in milliseconds. */
  readonly ackTimeout: number;
  /** How long a read of a durable but unsigned entry waits for its head, in milliseconds. */
  readonly readTimeout: number;
}

export const HTTP_LIMITS: HttpLimits = {
  maxEventSize: 1_048_576,
  maxEvents: 10_000,
  maxBodySize: 16 * 1_048_576,
  ackTimeout: 30_000,
  readTimeout: 5_000,
};

/** What every handler may use. */
export interface Call {
  readonly server: LogServer;
  readonly limits: HttpLimits;
  readonly metrics: Metrics;
  readonly ready: () => boolean;
  /** What all bodies under way share. */
  readonly bodies: ByteBudget;
  /** What each API key may ask for; without it, anything. */
  readonly rates: RateLimiter | undefined;
  /** What all large replies share. */
  readonly replies: ReplyBudget;
  /** The witness that this server is too, if it is. */
  readonly witness: Witness | undefined;
  readonly req: Incoming;
  /** What the path holds in place of `:x`, still percent-encoded, and of `*`. */
  readonly params: Readonly<Record<string, string>>;
  /** Query text after `?`. */
  readonly search: string;
  /** The key that was used, if any. */
  readonly key: ApiKey | undefined;
}

export interface LogCall extends Call {
  readonly log: Log;
}
