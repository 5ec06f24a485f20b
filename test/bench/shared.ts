/** What scenarios of one run share, because it takes a minute to make. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export class Shared {
  readonly #data: string;
  readonly #made = new Map<string, Promise<unknown>>();
  readonly #folders: string[] = [];
  readonly #remove = (): void => {
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true });
  };

  /** `data`: where the folders are made. */
  constructor(data: string) {
    this.#data = data;
    process.once('exit', this.#remove);
  }

  /** What `make` gives, made at the first call. If that fails it is tried again by the next scenario. */
  once<T>(name: string, make: (folder: string) => Promise<T>): Promise<T> {
    const made = this.#made.get(name) ?? this.#make(name, make);
    this.#made.set(name, made);
    made.catch(() => this.#made.delete(name));
    return made as Promise<T>;
  }

  #make<T>(name: string, make: (folder: string) => Promise<T>): Promise<T> {
    const folder = mkdtempSync(join(this.#data, `data-${name}-`));
    this.#folders.push(folder);
    return make(folder);
  }

  /** Removes all of it. */
  remove(): void {
    this.#remove();
    process.removeListener('exit', this.#remove);
  }
}
