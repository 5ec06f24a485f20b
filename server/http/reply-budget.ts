/**
 * Large replies: how many are made at once, and how many bytes of them may wait for clients that are slow to take them. Without the count, two
 * hundred clients that asked for lists and did not read them took the server to 587 MiB, and with it to 278.
 */
import { ByteBudget } from './byte-budget.ts';

/** Replies up to this size are not counted: the system's own buffers take them. */
export const SMALL_REPLY = 65_536;
/** Bytes that wait at most: eight lists of the largest size. */
const BUDGET = 64 * 1_048_576;
/** Large replies in the making. They share one thread, and more at once would not be there sooner. */
const TURNS = 4;

export class ReplyBudget extends ByteBudget {
  #turns = TURNS;
  readonly #waiting: (() => void)[] = [];

  constructor() {
    super(BUDGET);
  }

  /** Whether what is made now should stay small. */
  get scarce(): boolean {
    return this.left < BUDGET / 2;
  }

  /** How large a list may become that may end early: `usual` bytes, or few where much waits for clients already. */
  most(usual: number): number {
    return this.scarce ? SMALL_REPLY / 2 : usual;
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
