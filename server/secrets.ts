/**
 * Secrets: one master seed per data directory, from which every log's keys are derived (HKDF-SHA-256, RFC 5869).
 *
 * info = "indelible/v1/" ‖ purpose ‖ "/" ‖ origin ‖ "/" ‖ epoch, salt = store id, 32 bytes out. The store id keeps a new data
 * directory under an old seed from signing a second tree in an old log's name.
 */
import { createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fromHex, toHex, utf8 } from '../tree/bytes.ts';
import { EXIT, ExitError } from './errors.ts';
import { createWhole, makeDirectory } from './files.ts';
import { opensslSigner, type ServerSigner } from './openssl-signer.ts';

const SEED_SIZE = 32;

/** Reads a master seed: 64 lowercase hex digits, one line feed after them allowed. */
export function parseMasterSeed(text: string, where: string): Uint8Array {
  const match = /^([0-9a-f]{64})\n?$/.exec(text);
  if (match === null)
    throw new ExitError(EXIT.refused, `${where} does not hold a master seed: 64 lowercase hex digits are expected`);
  return fromHex(match[1] as string);
}

/** Reads a file that holds a secret. Refuses (78) one that anybody but its owner can read. */
export function readPrivateFile(path: string): string {
  const mode = statSync(path).mode.toString(8).slice(-3);
  if (!mode.endsWith('00')) {
    throw new ExitError(
      EXIT.refused,
      `${path} can be read by others (mode ${mode}). Make it private: chmod 600 ${path}`,
    );
  }
  return readFileSync(path, 'utf8');
}

/** Reads the master seed from its file. Refuses (78) a file that anybody but its owner can read. */
export function readMasterFile(path: string): Uint8Array {
  return parseMasterSeed(readPrivateFile(path), path);
}

/** Most characters of an operator's text that a message repeats. */
const MAX_SHOWN = 200;

/**
 * Text of an operator for a message: API keys and long runs of hex digits become an ellipsis, so that nobody who mixes up two
 * variables finds his master seed in the log. (Directories are named by such digits too, so those after a slash stay.) Control
 * characters become spaces, and long text is cut.
 */
export function hideSecrets(text: string): string {
  const hidden = text.replace(/ind_[0-9a-z]+_[0-9a-z]*|(?<![/0-9a-f])[0-9a-f]{32,}/gi, '…').replace(/\p{Cc}/gu, ' ');
  return hidden.length > MAX_SHOWN ? `${hidden.slice(0, MAX_SHOWN)}…` : hidden;
}

/** Makes a master seed in a file of its own, unless there is one; returns the one that is there then. */
export function createMasterFile(path: string): Uint8Array {
  makeDirectory(dirname(path), 0o700);
  createWhole(path, () => utf8(`${toHex(randomBytes(SEED_SIZE))}\n`));
  return readMasterFile(path);
}

/** Makes a directory that only its owner can enter. */
export function makePrivateDirectory(path: string): void {
  makeDirectory(path, 0o700);
  chmodSync(path, 0o700);
}

function derive(master: Uint8Array, storeId: Uint8Array, purpose: string, origin: string, epoch: number): Uint8Array {
  const info = `indelible/v1/${purpose}/${origin}/${epoch}`;
  return new Uint8Array(hkdfSync('sha256', master, storeId, info, SEED_SIZE));
}

/** What a server derives from its master seed; the seed itself stays in here. */
export interface KeyRing {
  /** Signer of a log: Ed25519, name = origin. */
  signer(origin: string, epoch: number): ServerSigner;
  /** Digest of an id under the log's id key, base64url without padding. */
  idDigest(origin: string): (id: string) => string;
}

export function makeKeyRing(master: Uint8Array, storeId: Uint8Array): KeyRing {
  return {
    signer: (origin, epoch) => opensslSigner(origin, derive(master, storeId, 'sign', origin, epoch)),
    idDigest: (origin) => {
      const key = derive(master, storeId, 'id', origin, 0);
      return (id) => createHmac('sha256', key).update(id).digest('base64url');
    },
  };
}
