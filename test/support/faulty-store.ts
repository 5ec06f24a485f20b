/** A store around another that records its commits, and fails or stalls where a test says so. */
import { type Range, type Row, StorageError, type Store, type Write } from '../../server/storage/store.ts';

/** How a commit fails: its writes are lost, or they are durable although it rejects. */
export type CommitFault = 'lost' | 'durable';

export class FaultyStore implements Store {
  readonly inner: Store;
  /** The writes of every commit that was asked for, in order. */
  readonly commits: (readonly Write[])[] = [];
  /** Keys that the engine cannot read any more, as where a block of a table is damaged. */
  readonly unreadable = new Set<string>();
  #fault: CommitFault | undefined;
  #gate: Promise<void> | undefined;
  #afterGate = false;
  #open: () => void = () => {};

  constructor(inner: Store) {
    this.inner = inner;
  }

  /** The next commit rejects with `outcome_unknown`. Later ones would succeed, which is what LevelDB does and nobody may try. */
  failNext(fault: CommitFault): void {
    this.#fault = fault;
  }

  /** Commits wait from now on, before they are written or after, until `release`. */
  hold(when: 'before' | 'after' = 'before'): void {
    this.#afterGate = when === 'after';
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#gate = undefined;
    this.#open();
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    this.#checkReadable([key]);
    return this.inner.get(key);
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    this.#checkReadable(keys);
    return this.inner.getMany(keys);
  }

  async list(range: Range): Promise<Row[]> {
    this.#checkReadable([...this.unreadable].filter((key) => key >= range.gte && key < range.lt));
    return this.inner.list(range);
  }

  listKeys(range: Range): Promise<string[]> {
    return this.inner.listKeys(range);
  }

  async commit(writes: readonly Write[]): Promise<void> {
    this.commits.push(writes);
    const fault = this.#fault;
    this.#fault = undefined;
    const gate = this.#gate;
    if (!this.#afterGate) await gate;
    if (fault !== 'lost') await this.inner.commit(writes);
    if (this.#afterGate) await gate;
    if (fault !== undefined) throw new StorageError('outcome_unknown', `the disk failed; the commit is ${fault}`);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  #checkReadable(keys: readonly string[]): void {
    const found = keys.find((key) => this.unreadable.has(key));
    if (found !== undefined) throw new StorageError('unreadable', `the block of ${found} is corrupted`);
  }
}
