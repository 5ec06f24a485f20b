/**
 * Which API key a connection has proved. The key is hashed when a connection first sends it and not once a request (measured:
 * 3 µs each); a connection that sends the same header again has the same key, unless that was revoked meanwhile. The header is
 * compared with what this very connection sent before, so nothing about anybody else's key can be timed.
 */
import type { Socket } from 'node:net';
import type { ApiKey, ApiKeys } from '../access.ts';

interface Proof {
  readonly authorization: string;
  readonly key: ApiKey;
}

export class ProvenKeys {
  readonly #apiKeys: ApiKeys;
  readonly #proofs = new WeakMap<Socket, Proof>();

  constructor(apiKeys: ApiKeys) {
    this.#apiKeys = apiKeys;
  }

  /** The key that this very connection has proved with this header before, or `undefined`. */
  known(socket: Socket, authorization: string): ApiKey | undefined {
    const proof = this.#proofs.get(socket);
    return proof?.authorization === authorization && this.#apiKeys.holds(proof.key) ? proof.key : undefined;
  }

  /** The key that this `Authorization` header proves, or `undefined`. */
  prove(socket: Socket, authorization: string): ApiKey | undefined {
    const key = this.#apiKeys.authenticate(authorization);
    if (key !== undefined) this.#proofs.set(socket, { authorization, key });
    return key;
  }
}
