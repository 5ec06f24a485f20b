/**
 * Entry bundles of C2SP tlog-tiles: the leaves of a level-0 tile, each as u16 big-endian length ‖ bytes.
 * The two bytes of length are framing; they are not hashed.
 */
import { readU16, writeU16 } from './bytes.ts';

/** Longest leaf that the framing can carry, in bytes. */
export const MAX_LEAF_SIZE = 65535;

/** The bundle of these leaves. Throws a RangeError on a leaf over 65,535 bytes. */
export function encodeBundle(leaves: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const leaf of leaves) {
    if (leaf.length > MAX_LEAF_SIZE)
      throw new RangeError(`a leaf has at most ${MAX_LEAF_SIZE} bytes, not ${leaf.length}`);
    length += 2 + leaf.length;
  }
  const out = new Uint8Array(length);
  let at = 0;
  for (const leaf of leaves) {
    writeU16(out, at, leaf.length);
    out.set(leaf, at + 2);
    at += 2 + leaf.length;
  }
  return out;
}

/** The leaves of a bundle that holds exactly `count`, as views. Throws a RangeError on anything short, long or trailing. */
export function decodeBundle(bundle: Uint8Array, count: number): Uint8Array[] {
  return bundleViews(bundle, bundleBounds(bundle, count));
}

/** The first `count` leaves of a bundle that may hold more, as views. Throws a RangeError if there are fewer. */
export function decodePrefix(bundle: Uint8Array, count: number): Uint8Array[] {
  return bundleViews(bundle, prefixBounds(bundle, count));
}

/**
 * Where the leaves of a bundle that holds exactly `count` stand: leaf i from number 2i to number 2i + 1. Throws a RangeError as `decodeBundle`.
 * For what needs no array for each leaf, which takes as long as hashing a quarter of a short one.
 */
export function bundleBounds(bundle: Uint8Array, count: number): Uint32Array {
  const bounds = prefixBounds(bundle, count);
  if ((bounds.at(-1) ?? 0) !== bundle.length) throw new RangeError('bytes after the last entry of a bundle');
  return bounds;
}

/** The same for the first `count` leaves of a bundle that may hold more. Throws a RangeError if there are fewer. */
export function prefixBounds(bundle: Uint8Array, count: number): Uint32Array {
  // Before there is room for that many: the count may be anybody's claim.
  if (bundle.length < 2 * count) throw new RangeError('truncated entry in a bundle');
  const bounds = new Uint32Array(2 * count);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const end = at + 2 + readU16(bundle, at);
    if (end > bundle.length) throw new RangeError('truncated entry in a bundle');
    bounds[2 * i] = at + 2;
    bounds[2 * i + 1] = end;
    at = end;
  }
  return bounds;
}

/** The leaves that stand at these bounds, as views. */
export function bundleViews(bundle: Uint8Array, bounds: Uint32Array): Uint8Array[] {
  return Array.from({ length: bounds.length / 2 }, (_, i) => bundle.subarray(bounds[2 * i], bounds[2 * i + 1]));
}

/** The first leaves of a text in bundle framing, at most `limit` of them, as views. Throws a RangeError if it ends within one. */
export function decodeFrames(bytes: Uint8Array, limit: number): Uint8Array[] {
  const leaves: Uint8Array[] = [];
  for (let at = 0; at < bytes.length && leaves.length < limit; ) {
    const end = at + 2 + readU16(bytes, at);
    if (end > bytes.length) throw new RangeError(`entry ${leaves.length} is cut off`);
    leaves.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return leaves;
}
