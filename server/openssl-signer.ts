/**
 * Ed25519 signers by OpenSSL: the same signatures as those of `proofs/ed25519.ts`, for RFC 8032 leaves no choice, in 40 µs where JavaScript
 * takes 1 ms. A server of ten thousand logs signs most of them every second.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { SEED_SIZE } from '../proofs/ed25519.ts';
import { makeVerifierKey, type NoteSigner } from '../proofs/key.ts';

/** PKCS #8 of an Ed25519 key up to the seed (RFC 8410 §7). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The public half (`x`) is what is asked for, and OpenSSL makes it from the seed. */
function readJwk(seed: Uint8Array): KeyObject {
  const d = Buffer.from(seed).toString('base64url');
  return createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', d, x: '' }, format: 'jwk' });
}

function readDer(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
}

/** Node 20 reads a JWK (RFC 8037) without its public half in 40 µs, and DER in 400. Node 24 refuses that JWK, and reads DER in 40. */
const TAKES_HALF = takesHalf();

function takesHalf(): boolean {
  try {
    readJwk(new Uint8Array(SEED_SIZE));
    return true;
  } catch {
    return false;
  }
}

/** A signer that can also sign in a thread of Node's pool, while this one does other things. */
export interface ServerSigner extends NoteSigner {
  signAside(message: Uint8Array): Promise<Uint8Array>;
}

const signInPool = promisify(sign);

/** A signer whose verifier key has this name. Throws a RangeError on a seed of another length. */
export function opensslSigner(name: string, seed: Uint8Array): ServerSigner {
  if (seed.length !== SEED_SIZE) throw new RangeError(`a seed has ${SEED_SIZE} bytes, not ${seed.length}`);
  const key = TAKES_HALF ? readJwk(seed) : readDer(seed);
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  const publicKey = new Uint8Array(Buffer.from(x as string, 'base64url'));
  return {
    verifierKey: makeVerifierKey(name, publicKey),
    sign: (message) => new Uint8Array(sign(null, message, key)),
    signAside: async (message) => new Uint8Array(await signInPool(null, message, key)),
  };
}
