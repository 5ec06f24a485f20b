/**
 * Large replies: how many are made at once, and how many bytes of them may wait for clients that are slow to take them. Without the count, two
 * hundred clients that asked for lists and did not read them took the server to 587 MiB, and with it to 278.
 */

/** Replies up to this size are not counted: the system's own buffers take them. */
export const SMALL_REPLY = 65_536;
/** Bytes that wait at most: eight lists of the largest size. */
const BUDGET = 64 * 1_048_576;
/** Large replies in the making. They share one thread, and more at once would not be there sooner. */
const TURNS = 4;

export class ReplyBudget {
  #left = BUDGET;
  #turns = TURNS;
  readonly #waiting: (() => void)[] = [];

  /** Whether what is made now should stay small. */
  get scarce(): boolean {
    return this.#left < BUDGET / 2;
  }

  /** Takes its share for a reply, or takes nothing and says so. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }

  /** Makes what may become large, when it is its turn. */
  async inTurn<T>(make: () => Promise<T>): Promise<T> {
    if (this.#turns > 0) this.#turns--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await make();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#turns++;
      else next();
    }
  }
}
