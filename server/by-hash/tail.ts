/** Keys of the leaves that follow on the runs of a log, in memory: in the order of the log, to be sorted into a run when they are many. */
import { KEY_WORDS, sortedEntries } from './entries.ts';
import type { WriteKey } from './leaf-keys.ts';

const EMPTY = new Uint32Array(0);
/** Keys that the first array has room for. */
const SMALLEST = 32;

export class Tail {
  #first: number;
  #count = 0;
  #keys = EMPTY;

  /** Without leaves; the next one is `first`. */
  constructor(first: number) {
    this.#first = first;
  }

  /** The first leaf index that is here, if any is. */
  get first(): number {
    return this.#first;
  }

  get count(): number {
    return this.#count;
  }

  /** The leaf index that comes next. */
  get end(): number {
    return this.#first + this.#count;
  }

  /** Adds the leaf whose hash begins at `from`. */
  push(writeKey: WriteKey, bytes: Uint8Array, from: number): void {
    const at = this.#count * KEY_WORDS;
    if (at === this.#keys.length) this.#resize(Math.max(SMALLEST, 2 * this.#count));
    writeKey(bytes, from, this.#keys, at);
    this.#count++;
  }

  /** Adds those leaves of another tail that follow on these. */
  append(other: Tail): void {
    const known = this.end - other.#first;
    if (known < 0 || known >= other.#count) return;
    const count = this.#count + other.#count - known;
    this.#resize(count);
    this.#keys.set(other.#keys.subarray(known * KEY_WORDS, other.#count * KEY_WORDS), this.#count * KEY_WORDS);
    this.#count = count;
  }

  /** The first leaf index from `from` (inclusive) to `to` (exclusive) with this key. Looks at one after the other: 0.5 ns a leaf. */
  find(key: Uint32Array, from: number, to: number): number | undefined {
    const [high, low] = key;
    const last = Math.min(to - this.#first, this.#count);
    for (let i = Math.max(0, from - this.#first); i < last; i++) {
      const at = i * KEY_WORDS;
      if (this.#keys[at] === high && this.#keys[at + 1] === low) return this.#first + i;
    }
    return undefined;
  }

  /** The first `count` leaves as entries in order, their offsets from the first of them. */
  sorted(count: number): Uint32Array {
    return sortedEntries(this.#keys, count);
  }

  /** Forgets the first `count` leaves. */
  drop(count: number): void {
    this.#first += count;
    this.#count -= count;
    this.#keys = this.#keys.slice(count * KEY_WORDS, (count + this.#count) * KEY_WORDS);
  }

  #resize(count: number): void {
    const keys = new Uint32Array(count * KEY_WORDS);
    keys.set(this.#keys.subarray(0, this.#count * KEY_WORDS));
    this.#keys = keys;
  }
}
