/** The memory engine: the same contract without a disk, for tests and simulation. It keeps nothing when the process ends. */
import { type Range, type Row, StorageError, type Store, type Write } from './store.ts';

export class MemoryStore implements Store {
  readonly #rows: Map<string, Uint8Array>;
  #closed = false;

  /** A store holding copies of `rows`, as after a restart. */
  constructor(rows: Iterable<readonly [string, Uint8Array]> = []) {
    this.#rows = new Map();
    for (const [key, value] of rows) this.#rows.set(key, value.slice());
  }

  /** All rows, in key order; also of a closed store. */
  rows(): [string, Uint8Array][] {
    return [...this.#rows].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    this.#checkOpen();
    return this.#rows.get(key);
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    this.#checkOpen();
    return keys.map((key) => this.#rows.get(key));
  }

  async list({ gte, lt, limit, reverse }: Range): Promise<Row[]> {
    this.#checkOpen();
    const rows = this.rows().filter(([key]) => key >= gte && key < lt);
    if (reverse === true) rows.reverse();
    return rows.slice(0, limit).map(([key, value]) => ({ key, value }));
  }

  async listKeys(range: Range): Promise<string[]> {
    return (await this.list(range)).map(({ key }) => key);
  }

  async commit(writes: readonly Write[]): Promise<void> {
    if (this.#closed) throw new StorageError('outcome_unknown', 'the store is closed');
    for (const { key, value } of writes) {
      if (value === undefined) this.#rows.delete(key);
      else this.#rows.set(key, value.slice());
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #checkOpen(): void {
    if (this.#closed) throw new StorageError('unreadable', 'the store is closed');
  }
}
