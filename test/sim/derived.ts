/** The derived store of a simulated process: what of it was not synced when the machine died is lost, from some write on. */
import type { DerivedRow, DerivedStore } from '../../server/storage/derived.ts';
import { operate, type SimProcess } from './machine.ts';
import { world } from './world.ts';

type Rows = Map<string, Uint8Array>;

/** Most writes that a crash loses. */
const LOST_AT_MOST = 3;

const text = (key: Uint8Array): string => Buffer.from(key).toString('hex');

export class SimDerived implements DerivedStore {
  readonly #process: SimProcess;
  readonly #rows: Rows;
  /** Rows as they were before each of the last writes. */
  readonly #before: Rows[] = [];

  constructor(process: SimProcess, rows: Rows = new Map()) {
    this.#process = process;
    this.#rows = rows;
  }

  /** What the next process finds. */
  rowsAfterCrash(random: () => number): Rows {
    const lost = Math.floor(random() * (LOST_AT_MOST + 1));
    return new Map(lost === 0 ? this.#rows : (this.#before.at(-lost) ?? this.#rows));
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#do('derived get', () => this.#rows.get(text(key)));
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#do('derived get many', () => keys.map((key) => this.#rows.get(text(key))));
  }

  keys(gte: Uint8Array, lt: Uint8Array, limit: number): Promise<Uint8Array[]> {
    const found = (): Uint8Array[] =>
      this.#between(gte, lt)
        .slice(0, limit)
        .map((key) => new Uint8Array(Buffer.from(key, 'hex')));
    return this.#do('derived keys', found);
  }

  write(rows: readonly DerivedRow[]): Promise<void> {
    const copies = rows.map(({ key, value }) => ({ key: text(key), value: value?.slice() }));
    return this.#change('derived write', () => {
      for (const { key, value } of copies) {
        if (value === undefined) this.#rows.delete(key);
        else this.#rows.set(key, value);
      }
    });
  }

  clear(gte: Uint8Array, lt: Uint8Array): Promise<void> {
    return this.#change('derived clear', () => {
      for (const key of this.#between(gte, lt)) this.#rows.delete(key);
    });
  }

  async close(): Promise<void> {}

  #between(gte: Uint8Array, lt: Uint8Array): string[] {
    const [from, to] = [text(gte), text(lt)];
    return [...this.#rows.keys()].filter((key) => key >= from && key < to).sort();
  }

  #change(label: string, effect: () => void): Promise<void> {
    return this.#do(label, () => {
      this.#before.push(new Map(this.#rows));
      if (this.#before.length > LOST_AT_MOST) this.#before.shift();
      effect();
    });
  }

  #do<T>(label: string, effect: () => T): Promise<T> {
    const { scheduler, random } = world();
    return operate(scheduler, random, { label, process: this.#process, lasting: false, effect });
  }
}
