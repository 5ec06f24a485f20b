/**
 * The directory of a witness: DIR/{origins/, evidence/, key}, and what may be made of what is found there.
 *
 *   first start: origins/, evidence/ → key
 *
 * So whoever finds a key finds the heads that were cosigned with it, or refuses. Nothing here tells that the whole of it went back to an
 * older state: see docs/operations.md, and never restore one.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Cosigner, formatCosignerKey, parseCosignerKey } from '../../proofs/cosignature.ts';
import { SEED_SIZE } from '../../proofs/ed25519.ts';
import { NoteError } from '../../proofs/error.ts';
import { utf8 } from '../../tree/bytes.ts';
import { asOpeningError } from '../data-directory.ts';
import { EXIT, ExitError } from '../errors.ts';
import { createWhole, makeDirectory, syncDirectory } from '../files.ts';
import { lockPath } from '../lock.ts';
import { verifyQuickly } from '../own-signatures.ts';
import { hideSecrets, makePrivateDirectory, readPrivateFile } from '../secrets.ts';
import { Evidence } from './evidence.ts';
import { type Replace, WitnessStore } from './witness-store.ts';

export interface WitnessDirectory {
  readonly cosigner: Cosigner;
  /** Whether the key was made now. */
  readonly firstStart: boolean;
  readonly store: WitnessStore;
  readonly evidence: Evidence;
  close(): void;
}

const OUR_NAMES = new Set(['key', 'origins', 'evidence', 'lost+found']);

/** Locks, checks and opens the directory of a witness, making it on a first start. Throws ExitError 2, 70, 75 or 78. */
export async function openWitnessDirectory(options: {
  readonly path: string;
  readonly name: string | undefined;
  readonly replace?: Replace;
}): Promise<WitnessDirectory> {
  const path = resolve(options.path);
  try {
    const hasKey = inspectWitness(path);
    if (!hasKey && options.name === undefined)
      throw new ExitError(
        EXIT.usage,
        `this is the first start of the witness in ${path}: give it a name for ever with --name, such as witness.example.com/w1`,
      );
    makeDirectory(path, 0o700);
    const unlock = await lockPath(path);
    try {
      makePrivateDirectory(path);
      // Looked at again under the lock: another process may have finished its first start in between.
      const firstStart = !inspectWitness(path);
      if (firstStart) makeKey(path, options.name as string);
      const cosigner = readKey(path, options.name);
      const store = WitnessStore.open(join(path, 'origins'), cosigner.verifierKey, verifyQuickly, options.replace);
      return { cosigner, firstStart, store, evidence: Evidence.open(join(path, 'evidence')), close: unlock };
    } catch (error) {
      unlock();
      throw error;
    }
  } catch (error) {
    throw asOpeningError(path, error);
  }
}

/** Whether there is a key; refuses a directory that is not a witness's, or not all of one. Writes nothing. */
export function inspectWitness(path: string): boolean {
  const names = existsSync(path) ? readdirSync(path) : [];
  const origins = join(path, 'origins');
  const heads = names.includes('origins') ? readdirSync(origins).length : undefined;
  if (names.includes('key')) {
    if (heads !== undefined) return true;
    throw refused(`${path} has the key of a witness, but ${origins} is missing: what it has cosigned is not known`);
  }
  if (heads !== undefined && heads > 0)
    throw refused(`${path} has heads that a witness cosigned, but its key is missing. Put ${join(path, 'key')} back.`);
  const strangers = names.filter((name) => !OUR_NAMES.has(name) && !name.startsWith('key.tmp-'));
  if (strangers.length > 0)
    throw refused(
      `${path} is not the directory of a witness and not empty (it holds ${strangers.slice(0, 3).join(', ')}). Name an empty one.`,
    );
  return false;
}

function makeKey(path: string, name: string): void {
  let text: string;
  try {
    text = formatCosignerKey(name, new Uint8Array(randomBytes(SEED_SIZE)));
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    throw new ExitError(EXIT.usage, `'${hideSecrets(name)}' cannot be the name of a witness: ${cause.message}`, {
      cause,
    });
  }
  makeDirectory(join(path, 'origins'), 0o700);
  makeDirectory(join(path, 'evidence'), 0o700);
  syncDirectory(path);
  createWhole(join(path, 'key'), () => utf8(`${text}\n`));
  syncDirectory(dirname(path));
}

function readKey(path: string, name: string | undefined): Cosigner {
  const file = join(path, 'key');
  let cosigner: Cosigner;
  try {
    cosigner = parseCosignerKey(readPrivateFile(file));
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    throw refused(`${file} does not hold the private key of a witness: ${cause.message}. Restore that file`, cause);
  }
  const { name: own } = cosigner.verifierKey;
  if (name !== undefined && name !== own)
    throw new ExitError(
      EXIT.usage,
      `the witness in ${path} is ${own}, for ever, and not ${hideSecrets(name)}: give that name, or another directory for a new witness`,
    );
  return cosigner;
}

function refused(message: string, cause?: unknown): ExitError {
  return new ExitError(EXIT.refused, message, cause === undefined ? undefined : { cause });
}
