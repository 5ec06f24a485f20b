/**
 * A disk with a volatile write cache, and what is left of it when the power goes. A write is answered when it is in the cache; a
 * flush makes all writes before it permanent. Of what was written since the last flush, a real disk may have stored any part, in any
 * order, and so does this one: all of it, nothing, or each block or sector by chance.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { seededRandom } from '../support/random.ts';
import type { Device } from './fuse-file.ts';

/** What a disk writes at once, as file systems take it for granted. */
const BLOCK = 4096;
/** What a disk of sectors of 512 bytes promises at most. */
const SECTOR = 512;
/** Bytes that are saved together. */
const CHUNK = 65_536;

interface CachedWrite {
  readonly offset: number;
  readonly data: Uint8Array;
}

/** How a cut went. */
export interface Cut {
  /** Writes that were in the cache. */
  readonly cached: number;
  /** Blocks or sectors of them that are lost. */
  readonly lost: number;
}

export class VolatileDisk implements Device {
  readonly size: number;
  /** Writes and flushes so far. */
  requests = 0;
  /** What is permanent. */
  readonly #stored: Uint8Array;
  /** What a reader sees. */
  readonly #seen: Uint8Array;
  /** Chunks that hold anything. */
  readonly #used = new Set<number>();
  #cache: CachedWrite[] = [];

  /** A disk with the content of an image file, all of it permanent. */
  constructor(image: string) {
    this.#stored = new Uint8Array(readFileSync(image));
    this.#seen = this.#stored.slice();
    this.size = this.#stored.length;
    const zeros = new Uint8Array(CHUNK);
    for (let chunk = 0; chunk * CHUNK < this.size; chunk++) {
      const bytes = this.#stored.subarray(chunk * CHUNK, (chunk + 1) * CHUNK);
      if (Buffer.compare(bytes, zeros.subarray(0, bytes.length)) !== 0) this.#used.add(chunk);
    }
  }

  /** Whether a cut may lose anything. */
  get dirty(): boolean {
    return this.#cache.length > 0;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#seen.subarray(offset, offset + length);
  }

  write(offset: number, data: Uint8Array): void {
    this.requests++;
    this.#cache.push({ offset, data: data.slice() });
    this.#seen.set(data, offset);
    for (let chunk = Math.floor(offset / CHUNK); chunk * CHUNK < offset + data.length; chunk++) this.#used.add(chunk);
  }

  flush(): void {
    this.requests++;
    for (const { offset, data } of this.#cache) this.#stored.set(data, offset);
    this.#cache = [];
  }

  /** Writes to the file at `path` what a power cut at this moment leaves; the seed chooses what is lost. The disk itself goes on. */
  cut(path: string, seed: number): Cut {
    const random = seededRandom(seed);
    const fd = openSync(path, 'w');
    try {
      for (const chunk of this.#used) {
        const bytes = this.#stored.subarray(chunk * CHUNK, (chunk + 1) * CHUNK);
        writeSync(fd, bytes, 0, bytes.length, chunk * CHUNK);
      }
      const end = this.size - 1;
      if (!this.#used.has(Math.floor(end / CHUNK))) writeSync(fd, new Uint8Array(1), 0, 1, end);
      // A quarter of the cuts each: the cache is saved by a capacitor, all of it is lost, blocks are lost, sectors are lost.
      const way = Math.floor(random() * 4);
      const odds = [0, 1, random(), random()][way] as number;
      let lost = 0;
      for (const { offset, data } of this.#cache) {
        for (let at = 0; at < data.length; ) {
          // The first block is ext4's superblock, which has no journal that would help against a torn one.
          const unit = way === 3 && offset + at >= BLOCK ? SECTOR : BLOCK;
          const length = Math.min(unit - ((offset + at) % unit), data.length - at);
          if (random() < odds) lost++;
          else writeSync(fd, data, at, length, offset + at);
          at += length;
        }
      }
      return { cached: this.#cache.length, lost };
    } finally {
      closeSync(fd);
    }
  }
}
