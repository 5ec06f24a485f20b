/** Derived state in memory: the same contract without a disk, for tests and simulation. */
import { fromHex, toHex } from '../../tree/bytes.ts';
import type { DerivedRow, DerivedStore } from './derived.ts';

export class MemoryDerivedStore implements DerivedStore {
  /** By key in hex, whose order is that of the bytes. */
  readonly #rows = new Map<string, Uint8Array>();

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#rows.get(toHex(key));
  }

  async keys(gte: Uint8Array, lt: Uint8Array, limit: number): Promise<Uint8Array[]> {
    return this.#between(gte, lt).slice(0, limit).map(fromHex);
  }

  async write(rows: readonly DerivedRow[]): Promise<void> {
    for (const { key, value } of rows) this.#rows.set(toHex(key), value.slice());
  }

  async clear(gte: Uint8Array, lt: Uint8Array): Promise<void> {
    for (const key of this.#between(gte, lt)) this.#rows.delete(key);
  }

  async close(): Promise<void> {}

  #between(gte: Uint8Array, lt: Uint8Array): string[] {
    return [...this.#rows.keys()].filter((key) => key >= toHex(gte) && key < toHex(lt)).sort();
  }
}
