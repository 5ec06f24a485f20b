/** The code of the error that a call throws; `accepted` if it throws nothing. Errors without a code go through. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
    throw error;
  }
  return 'accepted';
}

/** A copy with one bit turned. */
export function flipped<Bytes extends Uint8Array>(bytes: Bytes, bit: number): Bytes {
  const copy = Uint8Array.from(bytes);
  const at = Math.floor(bit / 8);
  const value = copy[at] as number;
  const weight = 2 ** (bit % 8);
  copy[at] = Math.floor(value / weight) % 2 === 0 ? value + weight : value - weight;
  return copy as Uint8Array as Bytes;
}
