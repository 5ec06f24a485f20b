/**
 * Appending to a value without copying it: the new value shares its array with the old one, which stays what it was. A copy each would cost
 * a log that is one of thousands, and gets its leaves one by one, 4 KiB of garbage for each of them.
 */

/** Bytes of each array that some value has. */
const taken = new WeakMap<ArrayBufferLike, number>();

/** `bytes` and then `more`: in the same array where nobody has gone on behind `bytes` yet, or else in a new one of up to `most` bytes. */
export function grown(bytes: Uint8Array, more: Uint8Array, most: number): Uint8Array {
  const { buffer, byteOffset, length } = bytes;
  const end = byteOffset + length;
  const size = length + more.length;
  if (taken.get(buffer) === end && end + more.length <= buffer.byteLength) {
    const all = new Uint8Array(buffer, byteOffset, size);
    all.set(more, length);
    taken.set(buffer, end + more.length);
    return all;
  }
  const room = new Uint8Array(Math.max(size, Math.min(2 * size, most)));
  room.set(bytes);
  room.set(more, length);
  taken.set(room.buffer, size);
  return room.subarray(0, size);
}
