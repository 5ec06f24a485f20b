/**
 * Random bytes of a simulated world: `randomBytes` gives what the seed says. Salts come from a pool that outlives a history
 * (server/entry.ts), so all of them are alike: a tree must not depend on what was simulated before in the same process. Store and
 * master seed are those of host.ts throughout, so a key depends on its name alone.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { seededRandom } from '../support/random.ts';

let random = seededRandom(0);

const derive = crypto.hkdfSync;
/** Keys of logs, which are the same ones in every history; to derive them again at each start took a twentieth of the time. */
const derived = new Map<string, ArrayBuffer>();

function derivedKey(...[digest, key, salt, info, size]: Parameters<typeof derive>): ArrayBuffer {
  const name = String(info);
  let bytes = derived.get(name);
  if (bytes === undefined) {
    bytes = derive(digest, key, salt, info, size);
    derived.set(name, bytes);
  }
  return bytes;
}

/** Puts them into place; must be called before anything that takes random bytes is loaded. */
export function seededCrypto(): void {
  Object.assign(crypto, {
    randomFillSync: (bytes: Uint8Array) => bytes.fill(0x53),
    hkdfSync: derivedKey,
    randomBytes: (size: number) => Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256))),
  });
  syncBuiltinESMExports();
}

/** Begins the random bytes of another history. */
export function reseed(seed: number): void {
  random = seededRandom(seed);
}
