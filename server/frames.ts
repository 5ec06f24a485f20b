/**
 * Leaves on their way into a commit, side by side in bundle framing: hashed where they stand, and stored as they are. An array for each of
 * them would cost as much as its hash.
 */
import { MAX_LEAF_SIZE } from '../tree/bundles.ts';
import { writeU16 } from '../tree/bytes.ts';

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

/** A growing list of them. */
export class Frames implements FramedLeaves {
  #room = new Uint8Array(0);
  #length = 0;
  #count = 0;
  readonly #hashed: HashedLeaves[] = [];

  get count(): number {
    return this.#count;
  }

  get hashed(): readonly HashedLeaves[] {
    return this.#hashed;
  }

  /** A view, good until something is appended. */
  get bytes(): Uint8Array {
    return this.#room.subarray(0, this.#length);
  }

  /** Throws a RangeError on a leaf over 65,535 bytes. */
  append(leaf: Uint8Array): void {
    if (leaf.length > MAX_LEAF_SIZE)
      throw new RangeError(`a leaf has at most ${MAX_LEAF_SIZE} bytes, not ${leaf.length}`);
    this.#grow(2 + leaf.length);
    writeU16(this.#room, this.#length, leaf.length);
    this.#room.set(leaf, this.#length + 2);
    this.#length += 2 + leaf.length;
    this.#count++;
  }

  /** Appends leaves that are framed already. */
  appendFramed({ bytes, count, hashed = [] }: FramedLeaves): void {
    for (const { first, hashes } of hashed) this.#hashed.push({ first: this.#count + first, hashes });
    this.#grow(bytes.length);
    this.#room.set(bytes, this.#length);
    this.#length += bytes.length;
    this.#count += count;
  }

  #grow(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#room.length) return;
    const room = new Uint8Array(Math.max(needed, 2 * this.#room.length));
    room.set(this.bytes);
    this.#room = room;
  }
}

/** Frames a list of leaves. */
export function frame(leaves: readonly Uint8Array[]): FramedLeaves {
  const frames = new Frames();
  for (const leaf of leaves) frames.append(leaf);
  return frames;
}
