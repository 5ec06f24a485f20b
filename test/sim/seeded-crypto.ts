/**
 * Random bytes of a simulated world: `randomBytes` gives what the seed says. Salts come from a pool that outlives a history
 * (server/entry.ts), so all of them are alike: a tree must not depend on what was simulated before in the same process.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { seededRandom } from '../support/random.ts';

let random = seededRandom(0);

/** Puts them into place; must be called before anything that takes random bytes is loaded. */
export function seededCrypto(): void {
  Object.assign(crypto, {
    randomFillSync: (bytes: Uint8Array) => bytes.fill(0x53),
    randomBytes: (size: number) => Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256))),
  });
  syncBuiltinESMExports();
}

/** Begins the random bytes of another history. */
export function reseed(seed: number): void {
  random = seededRandom(seed);
}
