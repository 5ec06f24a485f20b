/** The memory engine: the same contract without a disk, for tests and simulation. It keeps nothing when the process ends. */
import type { Range, Row, Store, Write } from './store.ts';

export class MemoryStore implements Store {
  readonly #rows: Map<string, Uint8Array>;

  /** A store holding copies of `rows`, as after a restart. */
  constructor(rows: Iterable<readonly [string, Uint8Array]> = []) {
    this.#rows = new Map();
    for (const [key, value] of rows) this.#rows.set(key, value.slice());
  }

  /** All rows, in key order. */
  rows(): [string, Uint8Array][] {
    return [...this.#rows].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#rows.get(key);
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return keys.map((key) => this.#rows.get(key));
  }

  async list({ gte, lt, limit, reverse }: Range): Promise<Row[]> {
    const rows = this.rows().filter(([key]) => key >= gte && key < lt);
    if (reverse === true) rows.reverse();
    return rows.slice(0, limit).map(([key, value]) => ({ key, value }));
  }

  async commit(writes: readonly Write[]): Promise<void> {
    for (const { key, value } of writes) {
      if (value === undefined) this.#rows.delete(key);
      else this.#rows.set(key, value.slice());
    }
  }

  async close(): Promise<void> {}
}
