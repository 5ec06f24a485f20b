/** Stands in for the package `level` under server/storage/level.ts: LevelDB as far as that file uses it, bad manners included. */
import type { Write } from '../../server/storage/store.ts';
import { HANGS, operate, type SimProcess } from './machine.ts';
import { opener, world } from './world.ts';

interface RangeOptions {
  readonly gte: string;
  readonly lt: string;
  readonly limit: number;
  readonly reverse: boolean;
}

export class Level {
  readonly location: string;
  readonly #process: SimProcess = opener();

  constructor(path: string) {
    this.location = path;
  }

  /** From here on, what another process wrote into its own files is not seen here, and the other way round. */
  async open(): Promise<void> {
    await this.#read('open', () => {});
  }

  async close(): Promise<void> {}

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#read('get', () => this.#process.disk.get(key));
  }

  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return this.#read('get many', () => keys.map((key) => this.#process.disk.get(key)));
  }

  iterator(range: RangeOptions): { all(): Promise<[string, Uint8Array][]> } {
    const { disk } = this.#process;
    const rows = (): [string, Uint8Array][] => disk.range(range).map((key) => [key, disk.get(key) as Uint8Array]);
    return { all: () => this.#read('list', rows) };
  }

  keys(range: RangeOptions): { all(): Promise<string[]> } {
    return { all: () => this.#read('list keys', () => this.#process.disk.range(range)) };
  }

  batch(): Batch {
    return new Batch(this.#process);
  }

  #read<T>(label: string, effect: () => T): Promise<T> {
    const { scheduler, random, faults } = world();
    return operate(scheduler, random, {
      label,
      process: this.#process,
      lasting: false,
      effect: () => {
        if (faults.read()) throw new Error('Corruption: block checksum mismatch');
        return effect();
      },
    });
  }
}

class Batch {
  readonly #process: SimProcess;
  readonly #writes: Write[] = [];

  constructor(process: SimProcess) {
    this.#process = process;
  }

  put(key: string, value: Uint8Array): void {
    // The engine copies, and whoever wrote may go on with the array.
    this.#writes.push({ key, value: value.slice() });
  }

  del(key: string): void {
    this.#writes.push({ key, value: undefined });
  }

  write({ sync = false }: { readonly sync?: boolean } = {}): Promise<void> {
    const { scheduler, random, faults } = world();
    return operate(scheduler, random, {
      label: 'commit',
      process: this.#process,
      lasting: true,
      effect: () => {
        const fault = faults.batch();
        if (fault === 'hang' && random() < 0.5) throw HANGS;
        this.#process.disk.commit(this.#writes, sync, fault === 'hang' ? undefined : fault, random);
        if (fault === 'hang') throw HANGS;
      },
    });
  }
}
