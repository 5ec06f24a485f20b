/** Derived state in memory: the same contract without a disk, for tests and simulation. */
import { fromHex, toHex } from '../../tree/bytes.ts';
import type { DerivedRow, DerivedStore } from './derived.ts';

export class MemoryDerivedStore implements DerivedStore {
  /** By key in hex, whose order is that of the bytes. */
  readonly #rows = new Map<string, Uint8Array>();

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#rows.get(toHex(key));
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return keys.map((key) => this.#rows.get(toHex(key)));
  }

  async keys(gte: Uint8Array, lt: Uint8Array, limit: number): Promise<Uint8Array[]> {
    return this.#between(gte, lt).slice(0, limit).map(fromHex);
  }

  async write(rows: readonly DerivedRow[]): Promise<void> {
    for (const { key, value } of rows) {
      if (value === undefined) this.#rows.delete(toHex(key));
      else this.#rows.set(toHex(key), value.slice());
    }
  }

  async clear(gte: Uint8Array, lt: Uint8Array): Promise<void> {
    for (const key of this.#between(gte, lt)) this.#rows.delete(key);
  }

  async close(): Promise<void> {}

  #between(gte: Uint8Array, lt: Uint8Array): string[] {
    const [from, to] = [toHex(gte), toHex(lt)];
    return [...this.#rows.keys()].filter((key) => key >= from && key < to).sort();
  }
}
