/** Snappy decompression, to compare the real one with: a list of bytes that grows, and nothing said of what is wrong. */

/** The result, or `undefined` for what is no compressed text. */
export function decompressed(input: Uint8Array): number[] | undefined {
  let at = 0;
  const take = (count: number): number => {
    let value = 0;
    for (let i = 0; i < count; i++) {
      if (at >= input.length) throw new Short();
      value += (input[at++] as number) * 256 ** i;
    }
    return value;
  };
  try {
    let length = 0;
    for (let weight = 1, more = true; more; weight *= 128) {
      const byte = take(1);
      more = byte >= 128;
      length += (byte % 128) * weight;
      if (weight > 2 ** 63) return undefined;
    }
    const out: number[] = [];
    while (at < input.length) {
      const tag = take(1);
      const high = Math.floor(tag / 4);
      const kind = tag % 4;
      if (kind === 0) {
        const size = 1 + (high < 60 ? high : take(high - 59));
        for (let i = 0; i < size; i++) out.push(take(1));
      } else {
        const size = kind === 1 ? 4 + (high % 8) : 1 + high;
        const offset = kind === 1 ? Math.floor(high / 8) * 256 + take(1) : take(kind === 2 ? 2 : 4);
        if (offset < 1 || offset > out.length) return undefined;
        for (let i = 0; i < size; i++) out.push(out[out.length - offset] as number);
      }
      if (out.length > length) return undefined;
    }
    return out.length === length ? out : undefined;
  } catch (error) {
    if (error instanceof Short) return undefined;
    throw error;
  }
}

class Short extends Error {}
