/** A parser or verifier under fuzz: what it is fed, which errors it may throw, and what must hold of what it accepts. */
import { equalBytes, utf8 } from '../../tree/bytes.ts';
import { alter, below, type Material, pick, type Random, WORDS } from './mutator.ts';

/** Something that must never be was seen. */
export class Wrong extends Error {}

export interface Target {
  readonly name: string;
  /** Exported readers that it calls, so that one which nobody calls is noticed (readers.ts). */
  readonly covers: readonly string[];
  /** How many inputs of a cheap one cost as much as one of these. */
  readonly cost: number;
  /** Good inputs, all of which are accepted, unless they are mere beginnings. */
  readonly good: readonly Uint8Array[];
  readonly beginnings: boolean;
  readonly material: Material;
  /** Reads one input; throws what the parser throws, and `Wrong` where it accepted what it must not, or gave what is not there. */
  read(input: Uint8Array, random: Random): void | Promise<void>;
  /** Whether an error is one of those that its documentation names. */
  isRefusal(error: unknown): boolean;
}

interface Common {
  readonly name: string;
  readonly covers: readonly string[];
  readonly cost?: number;
  /** Pieces of this format. */
  readonly words?: readonly string[];
  readonly refuses: (error: unknown) => boolean;
  /** The inputs are not good ones: something is made of them. */
  readonly beginnings?: boolean;
}

/** A parser of bytes. What it is given must not be changed by it. */
export function bytesTarget(
  options: Common & {
    readonly good: readonly Uint8Array[];
    readonly read: (input: Uint8Array, random: Random) => void | Promise<void>;
  },
): Target {
  const { name, covers, cost = 1, words = [], refuses, good, read, beginnings = false } = options;
  return {
    name,
    covers,
    cost,
    good,
    beginnings,
    material: { words: [...WORDS, ...words.map(utf8)], others: good },
    read: (input, random) => {
      const given = input.slice();
      const done = read(input, random);
      if (!equalBytes(input, given)) throw new Wrong('it changed the bytes it was given');
      return done;
    },
    isRefusal: refuses,
  };
}

/** UTF-16 that no UTF-8 can say. */
const LONE = ['\ud800', '\udfff', '\udc00\ud800'];

/** A parser of a text. It gets what the altered bytes say in UTF-8, and now and then half of a surrogate pair. */
export function textTarget(
  options: Common & {
    readonly good: readonly string[];
    readonly read: (input: string, random: Random) => void | Promise<void>;
  },
): Target {
  const { good, read, ...common } = options;
  const target = bytesTarget({ ...common, good: good.map(utf8), read: () => {} });
  return {
    ...target,
    read: (input, random) => {
      const text = Buffer.from(input.buffer, input.byteOffset, input.length).toString('utf8');
      if (random() >= 1 / 64) return read(text, random);
      const at = below(random, text.length + 1);
      return read(text.slice(0, at) + pick(random, LONE) + text.slice(at), random);
    },
  };
}

/** An input for a target: a good one altered, seldom as it is, and seldom any bytes at all. */
export function inputFor({ good, material }: Target, random: Random): Uint8Array {
  const chosen = random();
  if (chosen < 0.02) return pick(random, good);
  if (chosen < 0.04) return Uint8Array.from({ length: below(random, 80) }, () => below(random, 256));
  return alter(pick(random, good), random, material);
}

/** What is accepted is what would be written for it: one value, one spelling. */
export function expectSame(written: Uint8Array | string, read: Uint8Array | string): void {
  const same = typeof written === 'string' || typeof read === 'string' ? written === read : equalBytes(written, read);
  if (!same) throw new Wrong(`accepted, and written again it is ${show(written)}`);
}

export function expect(holds: boolean, text: string): asserts holds {
  if (!holds) throw new Wrong(text);
}

/** A start of bytes or a text, fit for a message. */
export function show(input: Uint8Array | string): string {
  const text = typeof input === 'string' ? input : Buffer.from(input).toString('latin1');
  const start = JSON.stringify(text.slice(0, 400)).replaceAll(
    /[^\x20-\x7e]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return text.length > 400 ? `${start}… of ${text.length}` : start;
}

/** Whether an error is of one of these classes. */
export function oneOf(...classes: readonly (abstract new (...args: never[]) => Error)[]): (error: unknown) => boolean {
  return (error) => classes.some((each) => error instanceof each);
}

/** Whether an error is of a class and has one of these codes. */
export function coded(
  Class: abstract new (...args: never[]) => Error & { readonly code: string },
  ...codes: readonly string[]
): (error: unknown) => boolean {
  return (error) => error instanceof Class && codes.includes(error.code);
}

/** Throws nothing: it answers, whatever it is given. */
export function nothing(): boolean {
  return false;
}
