/** WebAssembly as far as tests use it: neither Node's types nor the language's have it. */
export interface Memory {
  readonly buffer: ArrayBuffer;
}

export interface Exports {
  readonly memory: Memory;
  readonly run: (...parameters: number[]) => void;
}

interface Engine {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: Exports };
  readonly Memory: new (size: { readonly initial: number }) => Memory;
  readonly CompileError: new (message: string) => Error;
  validate(bytes: Uint8Array): boolean;
}

const world = globalThis as unknown as { WebAssembly: unknown };

export const engine = world.WebAssembly as Engine;

/** Runs something where WebAssembly is something else. */
export function withEngine<Result>(other: unknown, run: () => Result): Result {
  world.WebAssembly = other;
  try {
    return run();
  } finally {
    world.WebAssembly = engine;
  }
}
