/**
 * Many SHA-256 in one call: of slices of one array, by the four lanes of tree/sha256-lanes.ts where the engine has what they need, else one by
 * one. It has not where there is no WebAssembly or no SIMD in it, and where a Content-Security-Policy says nothing of `wasm-unsafe-eval`.
 */
import { equalBytes } from './bytes.ts';
import { AT, BLOCK, CONSTANTS, INITIAL, LANE_SIZE, LANES, lanesModule, WINDOW } from './sha256-lanes.ts';

/**
 * SHA-256(prefix ‖ slice) of each slice of `bytes`, side by side. Slice i goes from `bounds[2 * i]` to `bounds[2 * i + 1]`; none begins before the
 * one before it ends.
 */
export type Sha256Slices = (prefix: number, bytes: Uint8Array, bounds: Uint32Array) => Uint8Array<ArrayBuffer>;

type Sha256 = (bytes: Uint8Array) => Uint8Array;

const DIGEST = 32;

/**
 * `single` hashes what is alone, and what is longer than `maxBlocks` blocks. The lanes are made at the first call: who never hashes many does
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
    opened ??= openLanes(one) ?? 'none';
    const lanes = opened;
    const count = bounds.length / 2;
    const digests = new Uint8Array(count * DIGEST);
    for (let first = 0; first < count; ) {
      const end = windowEnd(bounds, first);
      const together: number[] = [];
      const alone = (i: number): void =>
        digests.set(one(prefix, bytes.subarray(bounds[2 * i], bounds[2 * i + 1])), i * DIGEST);
      for (let i = first; i < end; i++) {
        const length = (bounds[2 * i + 1] as number) - (bounds[2 * i] as number);
        if (lanes !== 'none' && length <= longest) together.push(i);
        else alone(i);
      }
      if (lanes === 'none' || together.length < 2) together.forEach(alone);
      else hashTogether(lanes, { prefix, bytes, bounds, together, digests });
      first = end;
    }
    return digests;
  };
}

/** The slices from `first` on that fit into the lanes' memory as they stand, but at least one. */
function windowEnd(bounds: Uint32Array, first: number): number {
  const limit = (bounds[2 * first] as number) + WINDOW;
  let end = first + 1;
  while (2 * end < bounds.length && (bounds[2 * end + 1] as number) <= limit) end++;
  return end;
}

interface Lanes {
  readonly memory: Uint8Array;
  /** The same as words, little-endian as WebAssembly has them; on a machine that is not, the trial fails. */
  readonly words: Uint32Array;
  readonly run: (blocks: number, prefix: number) => void;
}

interface Work {
  readonly prefix: number;
  readonly bytes: Uint8Array;
  readonly bounds: Uint32Array;
  /** Slices that are to be hashed, by number; first and last of them lie in one window. */
  readonly together: readonly number[];
  readonly digests: Uint8Array<ArrayBuffer>;
}

/**
 * Hashes slices of any lengths: a lane that has finished one takes the next, so that none waits for a longer one. Copied once into the
 * lanes' memory, the slices are read where they stand.
 */
function hashTogether({ memory, words, run }: Lanes, { prefix, bytes, bounds, together, digests }: Work): void {
  const out = new Uint32Array(digests.buffer);
  const from = bounds[2 * (together[0] as number)] as number;
  memory.set(bytes.subarray(from, bounds[2 * (together.at(-1) as number) + 1]), AT.input);
  /** What each lane has before it, in blocks, and whose slice it is. */
  const blocks = [0, 0, 0, 0];
  const owners = [0, 0, 0, 0];
  for (let next = 0; ; ) {
    let least = Number.POSITIVE_INFINITY;
    for (let lane = 0; lane < LANES; lane++) {
      if (blocks[lane] === 0) {
        const at = (AT.lanes + lane * LANE_SIZE) / 4;
        // A lane without work reads whatever stands first.
        words[at] = AT.input;
        words[at + 1] = 0;
        if (next === together.length) continue;
        const i = together[next++] as number;
        const size = 1 + (bounds[2 * i + 1] as number) - (bounds[2 * i] as number);
        words[at] = AT.input + (bounds[2 * i] as number) - from - 1;
        words[at + 1] = size;
        words[at + 2] = size;
        for (let word = 0; word < 8; word++) words[AT.state / 4 + 4 * word + lane] = INITIAL[word] as number;
        owners[lane] = i;
        blocks[lane] = 1 + Math.floor((size + 8) / BLOCK);
      }
      least = Math.min(least, blocks[lane] as number);
    }
    if (least === Number.POSITIVE_INFINITY) return;
    run(least, prefix);
    for (let lane = 0; lane < LANES; lane++) {
      if (blocks[lane] === 0) continue;
      blocks[lane] = (blocks[lane] as number) - least;
      if (blocks[lane] !== 0) continue;
      const source = AT.digests / 4 + 8 * lane;
      const target = 8 * (owners[lane] as number);
      for (let word = 0; word < 8; word++) out[target + word] = words[source + word] as number;
    }
  }
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
  lanes.memory.fill(255, AT.keep, AT.keep + BLOCK);
  lanes.memory[AT.mark + BLOCK] = 0x80;
  const bytes = Uint8Array.from({ length: 100 * LANES }, (_, i) => i);
  const bounds = Uint32Array.from({ length: 2 * LANES }, (_, i) => 100 * Math.ceil(i / 2));
  const digests = new Uint8Array(LANES * DIGEST);
  hashTogether(lanes, { prefix: 1, bytes, bounds, together: [0, 1, 2, 3], digests });
  const isRight = [0, 1, 2, 3].every((i) =>
    equalBytes(digests.subarray(i * DIGEST, (i + 1) * DIGEST), one(1, bytes.subarray(100 * i, 100 * i + 100))),
  );
  return isRight ? lanes : undefined;
}
