/**
 * Appending to a value without copying it: the new value shares its array with the old one, which stays what it was. A copy each would cost
 * a log that is one of thousands, and gets its leaves one by one, 4 KiB of garbage for each of them.
 */

/** Memory with room behind what some value has of it. A class of its own would take twice as long to make, and a WeakMap three times. */
interface Room extends ArrayBuffer {
  /** Bytes that some value has; none where it was not made here. */
  taken?: number;
}

/** Bytes of the smallest room: of the first few leaves of a log each would otherwise ask for a new one. */
const SMALLEST = 64;

/** `bytes` and then `more`: in the same array where nobody has gone on behind `bytes` yet, or else in a new one of up to `most` bytes. */
export function grown(bytes: Uint8Array, more: Uint8Array, most: number): Uint8Array {
  const { byteOffset, length } = bytes;
  const buffer = bytes.buffer as Room;
  const end = byteOffset + length;
  const size = length + more.length;
  if (buffer.taken === end && end + more.length <= buffer.byteLength) {
    const all = new Uint8Array(buffer, byteOffset, size);
    all.set(more, length);
    buffer.taken = end + more.length;
    return all;
  }
  const room: Room = new ArrayBuffer(Math.max(size, Math.min(Math.max(2 * size, SMALLEST), most)));
  room.taken = size;
  const all = new Uint8Array(room, 0, size);
  all.set(bytes);
  all.set(more, length);
  return all;
}
