/** A small seeded generator (mulberry32), so that a failing run can be repeated. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    // biome-ignore-start lint/suspicious/noBitwiseOperators: 32-bit arithmetic is what this generator is
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    // biome-ignore-end lint/suspicious/noBitwiseOperators: end of the generator
  };
}
