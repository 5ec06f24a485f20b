/**
 * Requests with an API key that is unknown or revoked: logged one by one up to a rate, counted, and, where there are too many in
 * a minute, recorded once in the log `_system`. That record holds numbers only: an address is personal data, and nothing is ever
 * removed from a system log.
 */
import type { Logger } from 'pino';
import { apiKeyId } from '../access.ts';
import type { Clock } from '../clock.ts';

/** From this many in one window on it is a burst. */
const BURST = 100;
/** Length of a window, in microseconds. */
const WINDOW = 60_000_000;
/** Log lines in one window. */
const MAX_LINES = 10;

export interface Burst {
  /** Refused requests so far; there may be more to come. */
  readonly failures: number;
  /** Seconds they came in. */
  readonly seconds: number;
}

export class FailedLogins {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onBurst: (burst: Burst) => void;
  #windowStart = Number.NEGATIVE_INFINITY;
  #lastBurst = Number.NEGATIVE_INFINITY;
  #failures = 0;

  constructor({
    clock,
    logger,
    onBurst,
  }: {
    readonly clock: Clock;
    readonly logger: Logger;
    /** At most once a minute. */
    readonly onBurst: (burst: Burst) => void;
  }) {
    this.#clock = clock;
    this.#logger = logger;
    this.#onBurst = onBurst;
  }

  /** One more. Of what was sent, only the id of a well-formed key is looked at: the rest may be somebody's secret. */
  refused(authorization: string, client: string): void {
    this.#count();
    if (this.#failures <= MAX_LINES) {
      const key = apiKeyId(authorization.replace(/^bearer /i, ''));
      this.#logger.warn({ client, ...(key === undefined ? {} : { key }) }, 'refused an API key: unknown or revoked');
    }
  }

  /** One more that nobody looked at, since there were too many from its address. */
  throttled(): void {
    this.#count();
  }

  #count(): void {
    const now = this.#clock.monotonicMicros();
    if (now - this.#windowStart >= WINDOW) {
      const unlogged = this.#failures - MAX_LINES;
      if (unlogged > 0) this.#logger.warn({ unlogged }, 'more API keys were refused than were logged');
      this.#windowStart = now;
      this.#failures = 0;
    }
    this.#failures++;
    if (this.#failures >= BURST && now - this.#lastBurst >= WINDOW) {
      this.#lastBurst = now;
      this.#onBurst({ failures: this.#failures, seconds: Math.ceil((now - this.#windowStart) / 1e6) });
    }
  }
}
