/** What the page of Chromium runs (chromium.ts): bundles in memory are hashed to the root of their tiles, by the package and by plain noble. */
import { sha256 } from '@noble/hashes/sha2.js';
import { bundleBounds } from 'indelible/tree/bundles.js';
import { leafHashes } from 'indelible/tree/hash.js';
import { nodeRows } from 'indelible/tree/tiles.js';

const WIDTH = 256;

/** A bundle of random leaves of this size. */
function bundleOf(size) {
  const bundle = new Uint8Array(WIDTH * (2 + size));
  for (let i = 0; i < WIDTH; i++) {
    const at = i * (2 + size);
    bundle[at] = Math.floor(size / 256);
    bundle[at + 1] = size % 256;
    crypto.getRandomValues(bundle.subarray(at + 2, at + 2 + size));
  }
  return bundle;
}

/** As the package does it. */
function inLanes(bundle) {
  const rows = nodeRows(leafHashes(bundle, bundleBounds(bundle, WIDTH)));
  return rows.at(-1);
}

/** One hash after the other. */
function plain(bundle) {
  const bounds = bundleBounds(bundle, WIDTH);
  let row = [];
  for (let i = 0; i < WIDTH; i++) row.push(prefixed(0, bundle.subarray(bounds[2 * i], bounds[2 * i + 1])));
  for (; row.length > 1; row = pairs(row));
  return row[0];
}

function pairs(row) {
  const above = [];
  for (let i = 0; i < row.length; i += 2) {
    const both = new Uint8Array(64);
    both.set(row[i]);
    both.set(row[i + 1], 32);
    above.push(prefixed(1, both));
  }
  return above;
}

function prefixed(prefix, bytes) {
  const input = new Uint8Array(1 + bytes.length);
  input[0] = prefix;
  input.set(bytes, 1);
  return sha256(input);
}

/** Entries a second by each way, in turns, after both are warm. */
export function measure({ size, seconds, pairs: count }) {
  const bundle = bundleOf(size);
  if (String(inLanes(bundle)) !== String(plain(bundle))) throw new Error('the two make different roots');
  const rate = (hash, duration) => {
    const begin = performance.now();
    let entries = 0;
    for (; performance.now() - begin < duration * 1000; entries += WIDTH) hash(bundle);
    return (entries * 1000) / (performance.now() - begin);
  };
  for (const hash of [inLanes, plain]) rate(hash, 1);
  const rounds = Array.from({ length: count }, () => ({ lanes: rate(inLanes, seconds), plain: rate(plain, seconds) }));
  return { lanes: rounds.map(({ lanes }) => lanes), plain: rounds.map((round) => round.plain) };
}
