/**
 * Leaves on their way into a commit, side by side in bundle framing: hashed where they stand, and stored as they are. An array for each of
 * them would cost as much as its hash.
 */
import { MAX_LEAF_SIZE } from '../tree/bundles.ts';
import { concatBytes, writeU16 } from '../tree/bytes.ts';
import { Slab } from './slab.ts';

const EMPTY = new Uint8Array(0);

/** Leaves in bundle framing, and how many. */
export interface FramedLeaves {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Hashes of some of them that are known, in the order of the leaves. */
  readonly hashed?: readonly HashedLeaves[];
}

/** Hashes of neighbours, side by side; `first` counts from the first leaf of the list. */
export interface HashedLeaves {
  readonly first: number;
  readonly hashes: Uint8Array;
}

/**
 * A growing list of them. Batches that were framed by who sent them are put together once, when all are there, and one that is alone is not
 * copied at all; an array that grows by doubling would copy them twice, and be half empty.
 */
export class Frames implements FramedLeaves {
  readonly #slab: Slab;
  /** What was appended before that which is in the room. */
  #parts: Uint8Array[] = [];
  #room: Uint8Array = EMPTY;
  #length = 0;
  #count = 0;
  readonly #hashed: HashedLeaves[] = [];

  /** `slab`: where room for single leaves comes from. */
  constructor(slab = new Slab()) {
    this.#slab = slab;
  }

  get count(): number {
    return this.#count;
  }

  get hashed(): readonly HashedLeaves[] {
    return this.#hashed;
  }

  /** A view, good until something is appended. */
  get bytes(): Uint8Array {
    if (this.#parts.length > 0) {
      this.#closeRoom();
      if (this.#parts.length > 1) this.#parts = [concatBytes(...this.#parts)];
      return this.#parts[0] as Uint8Array;
    }
    return this.#room.subarray(0, this.#length);
  }

  /** Throws a RangeError on a leaf over 65,535 bytes. */
  append(leaf: Uint8Array): void {
    if (leaf.length > MAX_LEAF_SIZE)
      throw new RangeError(`a leaf has at most ${MAX_LEAF_SIZE} bytes, not ${leaf.length}`);
    const needed = this.#length + 2 + leaf.length;
    if (needed > this.#room.length) {
      const room = this.#slab.take(Math.max(needed, 2 * this.#room.length));
      room.set(this.#room.subarray(0, this.#length));
      this.#room = room;
    }
    writeU16(this.#room, this.#length, leaf.length);
    this.#room.set(leaf, this.#length + 2);
    this.#length = needed;
    this.#count++;
  }

  /** Appends leaves that are framed already. They are not copied, and must stay as they are. */
  appendFramed({ bytes, count, hashed = [] }: FramedLeaves): void {
    for (const { first, hashes } of hashed) this.#hashed.push({ first: this.#count + first, hashes });
    this.#closeRoom();
    this.#parts.push(bytes);
    this.#count += count;
  }

  #closeRoom(): void {
    if (this.#length > 0) this.#parts.push(this.#room.subarray(0, this.#length));
    this.#room = EMPTY;
    this.#length = 0;
  }
}

/** Frames a list of leaves. */
export function frame(leaves: readonly Uint8Array[]): FramedLeaves {
  const frames = new Frames();
  for (const leaf of leaves) frames.append(leaf);
  return frames;
}
