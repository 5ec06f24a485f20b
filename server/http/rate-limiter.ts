/**
 * How much one API key may ask for: requests and entries a second. Each key has two buckets that hold what a second gives and fill at that
 * rate; a request takes one from the first, an append its entries from the second. So in any t seconds a key gets at most t + 1 seconds'
 * worth, and what it asks beyond costs the others next to nothing: a request is refused before its body is read.
 *
 * A batch that is larger than its bucket is taken when that is full, and overdraws it: no batch within the limits of a request is refused for
 * ever, and the rate holds all the same.
 */
import type { ApiKey } from '../access.ts';
import type { Clock } from '../clock.ts';
import { ServerError } from '../errors.ts';

/** For each key, a second; 0 for no limit. */
export interface RateLimits {
  readonly requests: number;
  readonly entries: number;
}

/** Microseconds within which one key is named once. */
const QUIET = 60_000_000;

/** What is left for one key, and since when it fills. Counted in millionths, so that a microsecond adds a whole number: nothing is rounded. */
class Bucket {
  #level: number;
  #at: number;

  constructor(rate: number, now: number) {
    this.#level = rate * 1e6;
    this.#at = now;
  }

  /** Takes an amount and gives 0, or takes nothing and gives the microseconds until it can be had. */
  take(amount: number, rate: number, now: number): number {
    this.#level = Math.min(rate * 1e6, this.#level + (now - this.#at) * rate);
    this.#at = now;
    const missing = Math.min(amount, rate) * 1e6 - this.#level;
    if (missing > 0) return missing / rate;
    this.#level -= amount * 1e6;
    return 0;
  }
}

interface Usage {
  readonly requests: Bucket;
  readonly entries: Bucket;
  namedAt: number;
}

export class RateLimiter {
  readonly #limits: RateLimits;
  readonly #clock: Clock;
  readonly #onRefused: (key: ApiKey, isNews: boolean) => void;
  /** Only of keys that were proved, so their number is the operator's; gone with the key. */
  readonly #usage = new WeakMap<ApiKey, Usage>();

  constructor({
    limits,
    clock,
    onRefused,
  }: {
    readonly limits: RateLimits;
    readonly clock: Clock;
    /** For each request that is refused; `isNews` for the first of a key in a minute. */
    readonly onRefused: (key: ApiKey, isNews: boolean) => void;
  }) {
    this.#limits = limits;
    this.#clock = clock;
    this.#onRefused = onRefused;
  }

  /** Counts a request; the refusal `rate_limited` where the key has sent too many. */
  request(key: ApiKey): ServerError | undefined {
    const { requests: rate } = this.#limits;
    return rate === 0 ? undefined : this.#take(key, 'requests', 1, rate);
  }

  /** Counts entries that are to be appended; the refusal `rate_limited` where they are too many. */
  entries(key: ApiKey, count: number): ServerError | undefined {
    const { entries: rate } = this.#limits;
    return rate === 0 ? undefined : this.#take(key, 'entries', count, rate);
  }

  #take(key: ApiKey, what: keyof RateLimits, amount: number, rate: number): ServerError | undefined {
    const now = this.#clock.monotonicMicros();
    const usage = this.#of(key, now);
    const wait = usage[what].take(amount, rate, now);
    if (wait === 0) return undefined;
    const isNews = now - usage.namedAt >= QUIET;
    if (isNews) usage.namedAt = now;
    this.#onRefused(key, isNews);
    return new ServerError('rate_limited', `this API key may have ${rate} ${what} a second; nothing was stored`, {
      details: { limit: rate },
      retryAfter: Math.ceil(wait / 1e6),
    });
  }

  #of(key: ApiKey, now: number): Usage {
    let usage = this.#usage.get(key);
    if (usage === undefined) {
      const { requests, entries } = this.#limits;
      usage = {
        requests: new Bucket(requests, now),
        entries: new Bucket(entries, now),
        namedAt: Number.NEGATIVE_INFINITY,
      };
      this.#usage.set(key, usage);
    }
    return usage;
  }
}
