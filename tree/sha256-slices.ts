/**
 * Many SHA-256 in one call: of slices of one array, by the four lanes of tree/sha256-lanes.ts where the engine has what they need, else one by
 * one. It has not where there is no WebAssembly or no SIMD in it, and where a Content-Security-Policy says nothing of `wasm-unsafe-eval`.
 */
import { equalBytes } from './bytes.ts';
import { AT, BLOCK, CONSTANTS, INITIAL, LANES, lanesModule, MESSAGES, WINDOW } from './sha256-lanes.ts';

/**
 * SHA-256(prefix ‖ slice) of each slice of `bytes`, side by side. Slice i goes from `bounds[2 * i]` to `bounds[2 * i + 1]`; none begins before the
 * one before it ends.
 */
export type Sha256Slices = (prefix: number, bytes: Uint8Array, bounds: Uint32Array) => Uint8Array<ArrayBuffer>;

type Sha256 = (bytes: Uint8Array) => Uint8Array;

const DIGEST = 32;

/**
 * `single` hashes what is alone, and what is longer than `maxBlocks` blocks. The lanes are made when there are first two: who never hashes many does
 * not wait for them, and no page is told of a policy that forbids what it does not need.
 */
export function makeSha256Slices(single: Sha256, maxBlocks: number): Sha256Slices {
  // Prefix, 0x80 and eight bytes of length go with the message.
  const longest = Math.min(maxBlocks * BLOCK - 10, WINDOW);
  // As in tree/hash.ts: an array of its own for each would cost more than the hash.
  const room = new Uint8Array(1 + 4096);
  const one = (prefix: number, slice: Uint8Array): Uint8Array => {
    const size = 1 + slice.length;
    const input = size <= room.length ? room.subarray(0, size) : new Uint8Array(size);
    input[0] = prefix;
    input.set(slice, 1);
    return single(input);
  };
  let opened: Lanes | 'none' | undefined;
  return (prefix, bytes, bounds) => {
    const count = bounds.length / 2;
    const digests = new Uint8Array(count * DIGEST);
    if (count === 1) {
      digests.set(one(prefix, bytes.subarray(bounds[0], bounds[1])));
      return digests;
    }
    opened ??= openLanes(one) ?? 'none';
    for (let first = 0; first < count; ) {
      const end = windowEnd(bounds, first);
      const own = bounds.subarray(2 * first, 2 * end);
      const out = digests.subarray(first * DIGEST, end * DIGEST);
      const together =
        opened === 'none' ? 0 : hashTogether(opened, longest, { prefix, bytes, bounds: own, digests: out });
      for (let i = 0; together < end - first && i < end - first; i++) {
        const [begin, stop] = [own[2 * i] as number, own[2 * i + 1] as number];
        if (together === 0 || stop - begin > longest) out.set(one(prefix, bytes.subarray(begin, stop)), i * DIGEST);
      }
      first = end;
    }
    return digests;
  };
}

/** The slices from `first` on that fit into the lanes' memory as they stand, but at least one. */
function windowEnd(bounds: Uint32Array, first: number): number {
  const limit = (bounds[2 * first] as number) + WINDOW;
  const last = Math.min(bounds.length / 2, first + MESSAGES);
  let end = first + 1;
  while (end < last && (bounds[2 * end + 1] as number) <= limit) end++;
  return end;
}

interface Lanes {
  readonly memory: Uint8Array;
  /** The same as words, little-endian as WebAssembly has them; on a machine that is not, the trial fails. */
  readonly words: Uint32Array;
  readonly run: (count: number, prefix: number) => void;
}

/** The slices of one window, and room for their digests. */
interface Work {
  readonly prefix: number;
  readonly bytes: Uint8Array;
  readonly bounds: Uint32Array;
  readonly digests: Uint8Array;
}

/**
 * Hashes those slices that are not longer than `longest`, and says how many there were; one that would be alone is not hashed, and does not
 * count. Copied once into the lanes' memory, the slices are read where they stand. In the place of a longer one the digest of an empty
 * one is left, so that all of them come out in one piece.
 */
function hashTogether(
  { memory, words, run }: Lanes,
  longest: number,
  { prefix, bytes, bounds, digests }: Work,
): number {
  const from = bounds[0] as number;
  const shift = AT.input - from;
  let together = 0;
  for (let i = 0; i < bounds.length; i += 2) {
    const [begin, end] = [bounds[i] as number, bounds[i + 1] as number];
    const isShort = end - begin <= longest;
    words[AT.bounds / 4 + i] = begin + shift;
    words[AT.bounds / 4 + i + 1] = shift + (isShort ? end : begin);
    if (isShort) together++;
  }
  if (together < 2) return 0;
  memory.set(bytes.subarray(from, bounds.at(-1)), AT.input);
  run(bounds.length / 2, prefix);
  digests.set(memory.subarray(AT.digests, AT.digests + digests.length));
  return together;
}

/** As much of WebAssembly as is used here; neither Node's types nor the language's have it. */
interface Engine {
  readonly Module: new (code: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: { readonly memory: { readonly buffer: ArrayBuffer }; readonly run: Lanes['run'] };
  };
}

/** The lanes of this engine, after they have hashed something as `one` does; `undefined` where it cannot have them. */
function openLanes(one: (prefix: number, slice: Uint8Array) => Uint8Array): Lanes | undefined {
  let lanes: Lanes;
  try {
    const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: Engine }).WebAssembly;
    const { memory, run } = new Instance(new Module(lanesModule())).exports;
    lanes = { memory: new Uint8Array(memory.buffer), words: new Uint32Array(memory.buffer), run };
  } catch {
    return undefined;
  }
  lanes.words.set(CONSTANTS, AT.constants / 4);
  lanes.words.set(INITIAL, AT.initial / 4);
  lanes.memory.fill(255, AT.keep, AT.keep + BLOCK);
  lanes.memory[AT.mark + BLOCK] = 0x80;
  const bytes = Uint8Array.from({ length: 100 * LANES }, (_, i) => i);
  const bounds = Uint32Array.from({ length: 2 * LANES }, (_, i) => 100 * Math.ceil(i / 2));
  const digests = new Uint8Array(LANES * DIGEST);
  hashTogether(lanes, WINDOW, { prefix: 1, bytes, bounds, digests });
  const isRight = [0, 1, 2, 3].every((i) =>
    equalBytes(digests.subarray(i * DIGEST, (i + 1) * DIGEST), one(1, bytes.subarray(100 * i, 100 * i + 100))),
  );
  return isRight ? lanes : undefined;
}
