/**
 * The newest cosigned head of each log: a file each, `origins/<SHA-256 of the origin in hex>`, and all of them in memory.
 *
 * A file is replaced as a whole, and the cosignature leaves only after the new one, and its name, are on the disk: a witness that forgets
 * what it has signed is worse than none. A replacement that fails is the end of this process (exit 70): the disk has then one head or
 * the other, and the next start reads which. Crash here: the old head or the new one, whole, and nobody has the new cosignature.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { originHash } from '../../proofs/add-checkpoint.ts';
import type { VerifierKey, Verify } from '../../proofs/key.ts';
import { equalBytes } from '../../tree/bytes.ts';
import { EXIT, ExitError, ServerError } from '../errors.ts';
import { replaceWhole, syncDirectory } from '../files.ts';
import { type CosignedHead, encodeHead, parseHead } from './cosigned-head.ts';

/** Replaces a file, durably. */
export type Replace = (path: string, bytes: Uint8Array) => Promise<void>;

export class WitnessStore {
  readonly #path: string;
  readonly #replace: Replace;
  readonly #heads: Map<string, CosignedHead>;
  #failure: ServerError | undefined;

  private constructor(path: string, heads: Map<string, CosignedHead>, replace: Replace) {
    this.#path = path;
    this.#heads = heads;
    this.#replace = replace;
  }

  /** Reads all heads, and removes what interrupted writes have left. Throws ExitError 78 on any that this witness has not written. */
  static open(path: string, key: VerifierKey, verify: Verify, replace: Replace = replaceWhole): WitnessStore {
    const heads = new Map<string, CosignedHead>();
    for (const name of readdirSync(path)) {
      const file = join(path, name);
      if (/^[0-9a-f]{64}\.tmp-[0-9a-f]+$/.test(name)) rmSync(file);
      else heads.set(name, readHead(file, name, key, verify));
    }
    // Whoever was interrupted between a file and its name must not have this process answer for a name that a power cut takes back.
    syncDirectory(path);
    return new WitnessStore(path, heads, replace);
  }

  /** The head of the log whose origin has this hash. */
  head(hash: string): CosignedHead | undefined {
    return this.#heads.get(hash);
  }

  /** All heads, in no order. */
  heads(): Iterable<CosignedHead> {
    return this.#heads.values();
  }

  /**
   * Puts a head in the place of the one before; durable when this resolves. One call at a time for each log. Throws ServerError
   * `outcome_unknown`, and then from every call that follows.
   */
  async put(head: CosignedHead): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const hash = originHash(head.origin);
    const file = join(this.#path, hash);
    try {
      await checkUnchanged(file, this.#heads.get(hash));
      await this.#replace(file, encodeHead(head));
    } catch (cause) {
      this.#failure ??= new ServerError(
        'outcome_unknown',
        `cannot keep the newest head of ${head.origin} in ${file}: ${(cause as Error).message}`,
        { cause },
      );
      throw this.#failure;
    }
    this.#heads.set(hash, head);
  }
}

function readHead(file: string, name: string, key: VerifierKey, verify: Verify): CosignedHead {
  try {
    const head = parseHead(new Uint8Array(readFileSync(file)), key, verify);
    if (originHash(head.origin) !== name) throw new RangeError('it is of another log than its name says');
    return head;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ExitError(
      EXIT.refused,
      `${file} is not a head that this witness has cosigned: ${cause.message}. What it has promised for that log is not known.`,
      { cause },
    );
  }
}

/** The lock does not reach into other containers and hosts, nor does it keep anybody from restoring a folder under a running process. */
async function checkUnchanged(file: string, known: CosignedHead | undefined): Promise<void> {
  let found: Uint8Array | undefined;
  try {
    found = new Uint8Array(await readFile(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const same = known === undefined ? found === undefined : found !== undefined && equalBytes(found, encodeHead(known));
  if (!same) throw new Error('it is not what this process wrote there last; somebody else writes into this directory');
}
