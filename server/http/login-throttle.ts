/**
 * How many API keys that do not hold one address may try. Beyond so many a minute whatever else it sends is answered 429 before the key is
 * looked at; one more is looked at each time that the minute's share gives one.
 *
 * Nobody guesses 256 bits: the throttle is for the noise and the cost of trying. So it must not become a way to lock others out, who may share
 * the address behind a proxy or a translator of addresses. A connection that has proved its key is never asked again; a key that was
 * proved from there before has a share of its own, which only failures with its id use up. What may have to wait is a key that is
 * new at an address from which others are trying all the time, and there it takes its turn with them.
 */
import { LRUCache } from 'lru-cache';
import { apiKeyId } from '../access.ts';
import type { Clock } from '../clock.ts';

/** Microseconds in which one address may fail so often. */
const WINDOW = 60_000_000;
/** Addresses, and keys at an address, that are remembered: the ones used last. Some 2 MB. */
const REMEMBERED = 10_000;

/** Failures of late, which the time takes away again at an even rate. */
interface Failures {
  count: number;
  at: number;
}

export class LoginThrottle {
  readonly #perMinute: number;
  readonly #clock: Clock;
  /** By address, or by address and key id for keys that were proved there. */
  readonly #failures = new LRUCache<string, Failures>({ max: REMEMBERED });
  readonly #proved = new LRUCache<string, true>({ max: REMEMBERED });

  /** `perMinute` 0: no limit. */
  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  /** Seconds, rounded up, until a key from that address is looked at; 0: now. */
  wait(authorization: string, client: string): number {
    if (this.#perMinute === 0) return 0;
    const failures = this.#failures.get(this.#share(authorization, client));
    if (failures === undefined) return 0;
    const missing = this.#left(failures) + 1 - this.#perMinute;
    return missing <= 0 ? 0 : Math.ceil((missing * WINDOW) / this.#perMinute / 1e6);
  }

  /** A key from there was looked at and does not hold. */
  refused(authorization: string, client: string): void {
    if (this.#perMinute === 0) return;
    const share = this.#share(authorization, client);
    const failures = this.#failures.get(share);
    const count = failures === undefined ? 0 : this.#left(failures);
    this.#failures.set(share, { count: count + 1, at: this.#clock.monotonicMicros() });
  }

  /** A key from there was looked at and holds. */
  proved(authorization: string, client: string): void {
    if (this.#perMinute > 0) this.#proved.set(nameOf(authorization, client), true);
  }

  #left({ count, at }: Failures): number {
    return Math.max(0, count - ((this.#clock.monotonicMicros() - at) * this.#perMinute) / WINDOW);
  }

  #share(authorization: string, client: string): string {
    const name = nameOf(authorization, client);
    return this.#proved.has(name) ? name : networkOf(client);
  }
}

/** Of what is sent, only the id of a well-formed key: the rest may be somebody's secret. */
function nameOf(authorization: string, client: string): string {
  return `${networkOf(client)} ${apiKeyId(authorization.replace(/^bearer /i, '')) ?? ''}`;
}

/** An IPv4 address, or the /64 of an IPv6 address, all of which one household has. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [front = '', back] = address.replace(/%.*$/, '').split('::');
  const head = front === '' ? [] : front.split(':');
  const tail = back === undefined || back === '' ? [] : back.split(':');
  const zeros = back === undefined ? [] : Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  const groups = [...head, ...zeros, ...tail].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}
