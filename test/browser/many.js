/** Many hashes at once by the built `#sha256`, in a page and in Node. Nothing of it may have been called before. */

import { checkTiledLog, parseVerifierKey, Transport, toBase64 } from 'indelible';
import { sha256, sha256Slices } from '#sha256';

/** Counts the modules that are started from here on. */
function countInstances() {
  const counted = { instances: 0 };
  if (globalThis.WebAssembly === undefined) return counted;
  const { Instance } = WebAssembly;
  WebAssembly.Instance = class extends Instance {
    constructor(...given) {
      super(...given);
      counted.instances++;
    }
  };
  return counted;
}

/** The hashes of messages of these lengths, one after the other in one array, made in bulk and one by one. */
export function hashMany({ lengths }) {
  const counted = countInstances();
  const bounds = new Uint32Array(2 * lengths.length);
  let end = 0;
  for (const [i, length] of lengths.entries()) {
    bounds.set([end, end + length], 2 * i);
    end += length;
  }
  const bytes = Uint8Array.from({ length: end }, (_, i) => i * 31 + Math.floor(i / 256));
  const digests = sha256Slices(0, bytes, bounds);
  const alone = lengths.map((length, i) => {
    const message = new Uint8Array(1 + length);
    message.set(bytes.subarray(bounds[2 * i], bounds[2 * i + 1]), 1);
    return toBase64(sha256(message));
  });
  return {
    digests: lengths.map((_, i) => toBase64(digests.subarray(32 * i, 32 * i + 32))),
    alone,
    ...counted,
  };
}

/** Checks a log over HTTP from its entries up, with its tiles and without. */
export async function checkLog({ url, vkey }) {
  const transport = new Transport({ url });
  const verifierKey = parseVerifierKey(vkey);
  const checks = [{}, { entriesOnly: true }].map((more) => checkTiledLog({ transport, verifierKey, ...more }));
  return (await Promise.all(checks)).map(({ checkpoint, signed, differences, complete }) => ({
    treeSize: checkpoint.treeSize,
    signed,
    differences,
    complete,
  }));
}
