/**
 * SHA-256 of many messages, four at once (FIPS 180-4), as a program for WebAssembly: word j of a vector belongs to the message in lane j, so
 * that every instruction of the algorithm does its work for four.
 *
 * The caller puts messages into the memory from `AT.input` on, and into `AT.bounds` where each of them begins and ends; `run(count, prefix)`
 * leaves their digests at `AT.digests`. A lane that has finished a message takes the next, so that none waits for a longer one. A
 * message is hashed with a byte before it, `prefix`, and padded as it is read: nothing is copied or moved for that. A lane that
 * has nothing to do may stand anywhere; what it gives is not looked at.
 */
import {
  assemble,
  type Code,
  i32,
  i32x4,
  type Local,
  repeatWhile,
  select,
  type Variables,
  v128,
  when,
} from './wasm.ts';

export const LANES = 4;
/** Bytes in a block of SHA-256. */
export const BLOCK = 64;
/** Most bytes of input that fit, and most messages. */
export const WINDOW = 262_144;
export const MESSAGES = 4096;

const BOUNDS = 2048;
const DIGESTS = BOUNDS + 8 * MESSAGES;

/** Where things are in the memory, in bytes. */
export const AT = {
  /** Eight words of each lane's state; word j of lane i at 16 j + 4 i. */
  state: 0,
  /** What a lane without a message gives. */
  nowhere: 128,
  /** The message schedule, 16 words of it. */
  schedule: 256,
  constants: 512,
  initial: 768,
  /** For each lane four numbers: address of the next block; bytes that are left; bytes in all, the prefix included; address of the digest. */
  lanes: 832,
  /** 64 bytes of ones and then zeros: what is read from `64 - n` on keeps n bytes of a block. */
  keep: 1024,
  /** 0x80 at 64 and else zeros: what is read from `64 - n` on has it at n. */
  mark: 1280,
  /** Two numbers for each message: the addresses at which it begins and ends. */
  bounds: BOUNDS,
  digests: DIGESTS,
  /** Not at the beginning of the memory: the first block begins one byte before its message. */
  input: DIGESTS + 32 * MESSAGES,
} as const;

/** Bytes between the numbers of two lanes. */
const LANE_SIZE = 16;

// Input, and a block of whatever comes after it.
const PAGES = Math.ceil((AT.input + WINDOW + 2 * BLOCK) / 65_536);

/** State before the first block (FIPS 180-4 §5.3.3). */
export const INITIAL = Uint32Array.of(
  ...[0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19],
);

/** Constants of the 64 rounds (FIPS 180-4 §4.2.2). */
export const CONSTANTS = Uint32Array.of(
  ...[0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5],
  ...[0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174],
  ...[0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da],
  ...[0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967],
  ...[0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85],
  ...[0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070],
  ...[0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3],
  ...[0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2],
);

/** The bytes of four words, each in reverse: memory is little-endian here, SHA-256 big-endian. */
const REVERSED = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];

/** The module's bytes: about 12 kB, made in a few milliseconds. */
export function lanesModule(): Uint8Array<ArrayBuffer> {
  return assemble(PAGES, ['count', 'prefix'], ({ count, prefix }, variables) => {
    const square = makeSquare(variables);
    const next = variables.i32();
    /** Blocks that each lane has before it. */
    const blocks = Array.from({ length: LANES }, variables.i32);
    return repeatWhile(i32.or(i32.differ(next.get, count.get), ...blocks.map(({ get }) => get)), [
      takeMessages(count, next, blocks, variables),
      readBlocks(prefix, square, variables),
      compress(variables),
      // After each block, and not only the last of a message: that costs less than to look which of them it was.
      writeDigests(square),
      blocks.map((left) => when(left.get, left.set(i32.sub(left.get, i32.const(1))))),
    ]);
  });
}

function laneAt(lane: number): number {
  return AT.lanes + lane * LANE_SIZE;
}

/** Gives each lane that has finished its message the next one, if there is one. */
function takeMessages(count: Local, next: Local, blocks: readonly Local[], { i32: number }: Variables): Code {
  const [size, row] = [number(), number()];
  const take = (lane: number, left: Local): Code => [
    row.set(i32.shl(next.get, 3)),
    size.set(i32.add(i32.sub(i32.load(AT.bounds + 4, row.get), i32.load(AT.bounds, row.get)), i32.const(1))),
    i32.store(laneAt(lane), i32.sub(i32.load(AT.bounds, row.get), i32.const(1))),
    i32.store(laneAt(lane) + 4, size.get),
    i32.store(laneAt(lane) + 8, size.get),
    i32.store(laneAt(lane) + 12, i32.add(i32.shl(next.get, 5), i32.const(AT.digests))),
    Array.from(INITIAL, (_, word) => i32.store(AT.state + 16 * word + 4 * lane, i32.load(AT.initial + 4 * word))),
    left.set(i32.add(i32.shr(i32.add(size.get, i32.const(8)), 6), i32.const(1))),
    next.set(i32.add(next.get, i32.const(1))),
  ];
  const rest = (lane: number): Code => [
    i32.store(laneAt(lane), i32.const(AT.input)),
    i32.store(laneAt(lane) + 4, i32.const(0)),
    // Other than what is left, or its block would pass for a first one and be given a prefix.
    i32.store(laneAt(lane) + 8, i32.const(1)),
    i32.store(laneAt(lane) + 12, i32.const(AT.nowhere)),
  ];
  return blocks.map((left, lane) =>
    when(i32.equal(left.get, i32.const(0)), [rest(lane), when(i32.less(next.get, count.get), take(lane, left))]),
  );
}

/** Reads the next block of each lane into the schedule, padded, and steps over it. */
function readBlocks(prefix: Local, { rows, transposed }: Square, { i32: number }: Variables): Code {
  const [address, left, mask] = [number(), number(), number()];
  const size = i32.const(BLOCK);
  const readPart = (part: number, row: Local, lane: number): Code => [
    address.set(i32.load(laneAt(lane))),
    left.set(i32.load(laneAt(lane) + 4)),
    mask.set(i32.sub(size, select(left.get, size, i32.less(left.get, size)))),
    row.set(v128.and(v128.load(part, address.get), v128.load(AT.keep + part, mask.get))),
    row.set(v128.or(row.get, v128.load(AT.mark + part, mask.get))),
    row.set(v128.shuffle(row.get, row.get, REVERSED)),
  ];
  const finish = (lane: number): Code => {
    const all = i32.load(laneAt(lane) + 8);
    return [
      left.set(i32.load(laneAt(lane) + 4)),
      // Of a first block, the byte that stands before the message belongs to something else.
      when(i32.equal(left.get, all), i32.store8(AT.schedule + 4 * lane + 3, prefix.get)),
      // A last block ends in the length in bits, of which 32 are enough here.
      when(i32.less(left.get, i32.const(BLOCK - 8)), i32.store(AT.schedule + 15 * 16 + 4 * lane, i32.shl(all, 3))),
      i32.store(laneAt(lane), i32.add(i32.load(laneAt(lane)), size)),
      i32.store(laneAt(lane) + 4, i32.sub(left.get, size)),
    ];
  };
  return [
    [0, 16, 32, 48].map((part) => [
      rows.map((row, lane) => readPart(part, row, lane)),
      transposed((word, vector) => v128.store(AT.schedule + 4 * part + 16 * word, vector)),
    ]),
    rows.map((_, lane) => finish(lane)),
  ];
}

/** The 64 rounds over the schedule, and what they made added to the state (FIPS 180-4 §6.2.2). */
function compress({ i32: number, v128: vector }: Variables): Code {
  const at = number();
  const [early, late, word, ab, bc] = [vector(), vector(), vector(), vector(), vector()];
  const state = Array.from({ length: 8 }, vector);
  const [, b, c] = partsIn(state, 0);
  const scheduled = (t: number): number => AT.schedule + 16 * (t % 16);

  const round = (t: number, w: Code, k: Code): Code => {
    const [a, b, , d, e, f, g, h] = partsIn(state, t);
    const choice = v128.xor(g.get, v128.and(e.get, v128.xor(f.get, g.get)));
    const majority = v128.xor(b.get, v128.and(ab.get, bc.get));
    return [
      h.set(i32x4.add(h.get, w, k, choice, v128.xor(...rotated(e, 6), ...rotated(e, 11), ...rotated(e, 25)))),
      d.set(i32x4.add(d.get, h.get)),
      ab.set(v128.xor(a.get, b.get)),
      h.set(i32x4.add(h.get, majority, v128.xor(...rotated(a, 2), ...rotated(a, 13), ...rotated(a, 22)))),
      // a ^ b of this round is b ^ c of the next: the majority takes three operations and not four.
      bc.set(ab.get),
    ];
  };
  /** Word t of the schedule takes the place of word t - 16, which it is made of. */
  const extend = (t: number): Code => [
    early.set(v128.load(scheduled(t + 1))),
    late.set(v128.load(scheduled(t + 14))),
    word.set(
      i32x4.add(
        v128.load(scheduled(t)),
        v128.xor(...rotated(early, 7), ...rotated(early, 18), i32x4.shr(early.get, 3)),
        v128.load(scheduled(t + 9)),
        v128.xor(...rotated(late, 17), ...rotated(late, 19), i32x4.shr(late.get, 10)),
      ),
    ),
    v128.store(scheduled(t), word.get),
  ];
  const sixteen = Array.from({ length: 16 }, (_, t) => t);
  return [
    state.map((part, i) => part.set(v128.load(AT.state + 16 * i))),
    bc.set(v128.xor(b.get, c.get)),
    sixteen.map((t) => round(t, v128.load(scheduled(t)), v128.loadSplat(AT.constants + 4 * t))),
    at.set(i32.const(64)),
    repeatWhile(i32.differ(at.get, i32.const(4 * CONSTANTS.length)), [
      sixteen.map((t) => [extend(t), round(t, word.get, v128.loadSplat(AT.constants + 4 * t, at.get))]),
      at.set(i32.add(at.get, i32.const(64))),
    ]),
    state.map((part, i) => v128.store(AT.state + 16 * i, i32x4.add(v128.load(AT.state + 16 * i), part.get))),
  ];
}

type Eight = readonly [Local, Local, Local, Local, Local, Local, Local, Local];

/** The variables a to h in round t. No value is handed on from one to the next: they change parts, and every eighth round is as the first. */
function partsIn(state: readonly Local[], t: number): Eight {
  return state.map((_, part) => state[(part - t + 64) % 8]) as unknown as Eight;
}

/** A rotation to the right, for which there is no instruction, as two terms of a sum by xor. */
function rotated({ get: value }: Local, bits: number): [Code, Code] {
  return [i32x4.shr(value, bits), i32x4.shl(value, 32 - bits)];
}

/** Writes each lane's state as bytes to where its digest belongs: that of the message, after its last block. */
function writeDigests({ rows, transposed }: Square): Code {
  return [0, 1].map((half) => [
    rows.map((row, i) => [
      row.set(v128.load(AT.state + 64 * half + 16 * i)),
      row.set(v128.shuffle(row.get, row.get, REVERSED)),
    ]),
    transposed((lane, vector) => v128.store(16 * half, vector, i32.load(laneAt(lane) + 12))),
  ]);
}

/** Four vectors of four words, and the use of their columns. */
interface Square {
  readonly rows: readonly Local[];
  readonly transposed: (use: (column: number, vector: Code) => Code) => Code;
}

function makeSquare({ v128: vector }: Variables): Square {
  const [first, second, third, fourth] = [vector(), vector(), vector(), vector()];
  const [upperLeft, upperRight, lowerLeft, lowerRight] = [vector(), vector(), vector(), vector()];
  const words = (...numbers: readonly number[]): number[] => numbers.flatMap((n) => [0, 1, 2, 3].map((i) => 4 * n + i));
  const [left, right] = [words(0, 4, 1, 5), words(2, 6, 3, 7)];
  const [even, odd] = [words(0, 1, 4, 5), words(2, 3, 6, 7)];
  return {
    rows: [first, second, third, fourth],
    transposed: (use) => [
      upperLeft.set(v128.shuffle(first.get, second.get, left)),
      upperRight.set(v128.shuffle(first.get, second.get, right)),
      lowerLeft.set(v128.shuffle(third.get, fourth.get, left)),
      lowerRight.set(v128.shuffle(third.get, fourth.get, right)),
      use(0, v128.shuffle(upperLeft.get, lowerLeft.get, even)),
      use(1, v128.shuffle(upperLeft.get, lowerLeft.get, odd)),
      use(2, v128.shuffle(upperRight.get, lowerRight.get, even)),
      use(3, v128.shuffle(upperRight.get, lowerRight.get, odd)),
    ],
  };
}
