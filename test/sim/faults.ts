/** Which faults befall a history, and how often: decided by its seed, as everything is. Some histories have none at all. */
import type { BatchFault } from './disk.ts';

/** Chance of each fault, for each occasion that it has. */
export interface Rates {
  /** Of a batch, that it fails in one of these ways. */
  readonly batch: number;
  /** Of a write of the guard, that it fails, with the block as it was, whole or torn. */
  readonly guard: number;
  /** Of a read, that the engine cannot. */
  readonly read: number;
  /** Of an operation of the database or the guard, that its answer never comes. */
  readonly hang: number;
  /** Of a batch, that a byte of it is altered on its way. */
  readonly altered: number;
  /** Of a batch, that the disk lies about it and all that follow. */
  readonly lie: number;
  /** Of each of the history's operations: */
  readonly kill: number;
  readonly powerCut: number;
  /** A byte of a row is altered where it lies. */
  readonly damage: number;
  /** Another process takes the directory over while this one runs. */
  readonly takeover: number;
  /** The next start finds an older database, or that of another history. */
  readonly otherDatabase: number;
  /** The wall clock steps, by seconds to years. */
  readonly clockStep: number;
  /** Of what is sent, that there is no room for it. */
  readonly full: number;
}

const NONE: Rates = {
  batch: 0,
  guard: 0,
  read: 0,
  hang: 0,
  altered: 0,
  lie: 0,
  kill: 0,
  powerCut: 0,
  damage: 0,
  takeover: 0,
  otherDatabase: 0,
  clockStep: 0,
  full: 0,
};

/** The rates where a fault is one of those that a history has. */
const USUAL: Rates = {
  batch: 0.005,
  guard: 0.005,
  read: 0.0005,
  hang: 0.001,
  altered: 0.002,
  lie: 0.004,
  kill: 0.004,
  powerCut: 0.003,
  damage: 0.002,
  takeover: 0.002,
  otherDatabase: 0.3,
  clockStep: 0.01,
  full: 0.02,
};

/** One history in so many has no faults. */
const FAULTLESS = 8;

/** The rates of a history: of each fault none, the usual one, or more of it. */
export function drawRates(random: () => number): Rates {
  if (random() * FAULTLESS < 1) return NONE;
  const rates = Object.entries(USUAL).map(([name, usual]) => {
    const dice = random();
    return [name, dice < 0.4 ? 0 : dice < 0.85 ? usual : Math.min(0.5, 3 * usual)];
  });
  return Object.fromEntries(rates) as Rates;
}

export type WriteFault = 'failed' | 'durable' | 'torn';

const BATCH_FAULTS: readonly BatchFault[] = ['lost', 'torn', 'durable', 'unsynced'];
const WRITE_FAULTS: readonly WriteFault[] = ['failed', 'durable', 'torn'];

/** Throws the dice, and counts. */
export class Faults {
  readonly rates: Rates;
  /** How many there were, by name. */
  readonly seen: Record<string, number> = {};
  /** How many there were of those that an operation of database or guard suffers. */
  count = 0;
  /** While it is checked what there is, nothing more happens to it. */
  paused = false;
  readonly #random: () => number;

  constructor(rates: Rates, random: () => number) {
    this.rates = rates;
    this.#random = random;
  }

  batch(): BatchFault | 'hang' | undefined {
    if (this.#happens('batch')) return this.#one(BATCH_FAULTS, 'failed batches');
    if (this.#happens('hang')) return this.#one(['hang'], 'hung operations');
    if (this.#happens('altered')) return this.#one(['altered'], 'altered bytes');
    if (this.#happens('lie')) return this.#one(['lied'], 'lying disks');
    return undefined;
  }

  guard(): WriteFault | 'hang' | undefined {
    if (this.#happens('guard')) return this.#one(WRITE_FAULTS, 'failed writes of the guard');
    if (this.#happens('hang')) return this.#one(['hang'], 'hung operations');
    return undefined;
  }

  read(): boolean {
    return this.#happens('read') && this.#one([true], 'failed reads');
  }

  /** Whether something of the history's own operations happens now. */
  happens(name: keyof Rates): boolean {
    return this.#happens(name);
  }

  saw(name: string): void {
    this.seen[name] = (this.seen[name] ?? 0) + 1;
  }

  #happens(name: keyof Rates): boolean {
    return !this.paused && this.rates[name] > 0 && this.#random() < this.rates[name];
  }

  #one<T>(faults: readonly T[], name: string): T {
    this.count++;
    this.saw(name);
    return faults[Math.floor(this.#random() * faults.length)] as T;
  }
}
