/**
 * A small assembler for WebAssembly: as much of it as tree/sha256-lanes.ts needs, so that neither a compiler nor a binary file is part
 * of the project.
 *
 * WebAssembly is a stack machine: operands first, then the instruction. A function here stands for an instruction and takes the code of
 * its operands: `i32.add(x.get, i32.const(1))` becomes `20 00 41 01 6a` where x is the first local. Numbers of instructions are those
 * of the WebAssembly specification 2.0, §5.
 */

/** Bytes of instructions, one after the other however deep they stand; lists in lists, so that nothing is copied until all is there. */
export type Code = readonly (number | Code)[];

/** A parameter or variable of a function. */
export interface Local {
  readonly get: Code;
  set(value: Code): Code;
}

/** Types of values, as they are written in a module. */
const I32 = 0x7f;
const V128 = 0x7b;
/** A block that gives no value. */
const NOTHING = 0x40;
const END = 0x0b;
const SIMD = 0xfd;

/** LEB128 of a number that is not negative. */
function unsigned(value: number): Code {
  return value < 128 ? [value] : [128 + (value % 128), unsigned(Math.floor(value / 128))];
}

/** Signed LEB128 of a number that is not negative: bit 6 of the last byte is the sign. */
function signed(value: number): Code {
  return value < 64 ? [value] : [128 + (value % 128), signed(Math.floor(value / 128))];
}

function constant(value: number): Code {
  return [0x41, signed(value)];
}

const ZERO = constant(0);

/** An operator of two operands; of more it is a fold from the left. */
function operator(...instruction: Code): (first: Code, ...others: readonly Code[]) => Code {
  return (first, ...others) => [first, others.map((other) => [other, instruction])];
}

/** Reads memory at `base` + `at`. No address is said to be aligned: that is a hint, and most here are not. */
function load(...instruction: Code): (at: number, base?: Code) => Code {
  return (at, base = ZERO) => [base, instruction, 0, unsigned(at)];
}

/** Writes memory at `base` + `at`. */
function store(...instruction: Code): (at: number, value: Code, base?: Code) => Code {
  return (at, value, base = ZERO) => [base, value, instruction, 0, unsigned(at)];
}

function shift(...instruction: Code): (value: Code, bits: number) => Code {
  return (value, bits) => [value, constant(bits), instruction];
}

export const i32 = {
  const: constant,
  add: operator(0x6a),
  sub: operator(0x6b),
  or: operator(0x72),
  shl: shift(0x74),
  /** Of a number that is not negative. */
  shr: shift(0x76),
  equal: operator(0x46),
  differ: operator(0x47),
  /** Signed. */
  less: operator(0x48),
  load: load(0x28),
  store: store(0x36),
  store8: store(0x3a),
};

/** 16 bytes at once. */
export const v128 = {
  load: load(SIMD, 0x00),
  /** Four times the same 32 bits. */
  loadSplat: load(SIMD, 0x09),
  store: store(SIMD, 0x0b),
  and: operator(SIMD, 0x4e),
  or: operator(SIMD, 0x50),
  xor: operator(SIMD, 0x51),
  /** The bytes of two vectors by number: 0 to 15 are those of `a`, 16 to 31 those of `b`. */
  shuffle: (a: Code, b: Code, bytes: readonly number[]): Code => [a, b, SIMD, 0x0d, bytes],
};

/** 16 bytes as four 32-bit numbers. */
export const i32x4 = {
  add: operator(SIMD, 0xae, 0x01),
  shl: shift(SIMD, 0xab, 0x01),
  shr: shift(SIMD, 0xad, 0x01),
};

/** `a` where the condition holds, else `b`. */
export function select(a: Code, b: Code, condition: Code): Code {
  return [a, b, condition, 0x1b];
}

export function when(condition: Code, code: Code): Code {
  return [condition, 0x04, NOTHING, code, END];
}

/** Runs the code once, and again as long as the condition holds then. */
export function repeatWhile(condition: Code, code: Code): Code {
  return [0x03, NOTHING, code, condition, 0x0d, 0, END];
}

/** Each gives the next variable of its type. */
export interface Variables {
  readonly i32: () => Local;
  readonly v128: () => Local;
}

/** A module that exports `memory`, of so many pages of 64 KiB, and `run`, a function of i32 parameters that returns nothing. */
export function assemble<Name extends string>(
  pages: number,
  parameters: readonly Name[],
  write: (parameters: Readonly<Record<Name, Local>>, variables: Variables) => Code,
): Uint8Array<ArrayBuffer> {
  const types: number[] = [];
  const variable = (type: number) => (): Local => local(parameters.length + types.push(type) - 1);
  const named = Object.fromEntries(parameters.map((name, i) => [name, local(i)])) as Record<Name, Local>;
  const code = write(named, { i32: variable(I32), v128: variable(V128) });
  return Uint8Array.from(
    bytesOf([
      ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, vector([[0x60, vector(parameters.map(() => [I32])), 0]])),
      section(3, vector([[0]])),
      section(5, vector([[0, unsigned(pages)]])),
      section(7, vector([exported('memory', 2), exported('run', 0)])),
      section(10, vector([sized([vector(types.map((type) => [1, type])), code, END])])),
    ]),
  );
}

function local(index: number): Local {
  return { get: [0x20, unsigned(index)], set: (value) => [value, 0x21, unsigned(index)] };
}

function vector(items: readonly Code[]): Code {
  return [unsigned(items.length), items];
}

function sized(code: Code): Code {
  const bytes = bytesOf(code);
  return [unsigned(bytes.length), bytes];
}

function section(id: number, code: Code): Code {
  return [id, sized(code)];
}

function exported(name: string, kind: number): Code {
  return [sized([...name].map((letter) => letter.charCodeAt(0))), kind, 0];
}

function bytesOf(code: Code, bytes: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === 'number') bytes.push(part);
    else bytesOf(part, bytes);
  }
  return bytes;
}
