/**
 * A store whose unreadable rows are damage like any other: told to whoever watches, and answered with the code `damaged`. What the
 * engine reads and hands out wrongly it cannot notice; that is for those who know what the bytes must hash to.
 */
import { ServerError } from './errors.ts';
import { type Range, type Row, StorageError, type Store, type Write } from './storage/store.ts';

export class WatchedStore implements Store {
  readonly #inner: Store;
  readonly #onDamage: (message: string) => void;

  constructor(inner: Store, onDamage: (message: string) => void) {
    this.#inner = inner;
    this.#onDamage = onDamage;
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#watch(key, this.#inner.get(key));
  }

  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return this.#watch(`${keys[0]} and others`, this.#inner.getMany(keys));
  }

  list(range: Range): Promise<Row[]> {
    return this.#watch(`${range.gte} and what follows`, this.#inner.list(range));
  }

  listKeys(range: Range): Promise<string[]> {
    return this.#watch(`${range.gte} and what follows`, this.#inner.listKeys(range));
  }

  commit(writes: readonly Write[]): Promise<void> {
    return this.#inner.commit(writes);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #watch<T>(what: string, read: Promise<T>): Promise<T> {
    try {
      return await read;
    } catch (cause) {
      if (!(cause instanceof StorageError)) throw cause;
      this.#onDamage(`${what}: ${cause.message}`);
      throw new ServerError('damaged', `${what} cannot be read; the server log says more`, { cause });
    }
  }
}

/** Values of several keys; what cannot be read comes as the ServerError `damaged` in its place, and keeps nobody from the others. */
export async function getEach(
  store: Store,
  keys: readonly string[],
): Promise<(Uint8Array | undefined | ServerError)[]> {
  const damaged = (error: unknown): ServerError => {
    if (error instanceof ServerError && error.code === 'damaged') return error;
    throw error;
  };
  try {
    return await store.getMany(keys);
  } catch (error) {
    damaged(error);
    return Promise.all(keys.map((key) => store.get(key).catch(damaged)));
  }
}
