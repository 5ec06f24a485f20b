/**
 * The guard: a second, separately synced record of the last promise, and the proof of who may make the next one.
 *
 * LevelDB can come back smaller than it was, or in the hands of two processes, without saying so. So after every commit, and
 * before anybody hears of it, the guard records (n, hash of commit record n) and then reads back who owns it.
 *
 * The file has four blocks of 4,096 bytes, each written whole and ending its content in a SHA-256 of what precedes it:
 *   0, 1  slots      "indelible guard 1" ‖ store id (32) ‖ u64 n ‖ hash of record n (32)      n goes to slot n mod 2
 *   2     owner      "indelible owner 1" ‖ epoch (16 random bytes)                            claimed at each start
 *   3     identity   "indelible inode 1" ‖ store id (32) ‖ u64 inode of this very file        written at init
 *                    "indelible inode 2" ‖ store id (32) ‖ u64 inode ‖ u64 seconds ‖ u64 ns   at the next claim and at adoption, where
 *                                                            the file system says when the file was made
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fdatasync, fstatSync, openSync, readSync, type Stats, statSync, write } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { sha256 } from '#sha256';
import { LogError } from '../proofs/error.ts';
import { concatBytes, equalBytes, readU64, u64, utf8 } from '../tree/bytes.ts';
import { createWhole, makeDirectory } from './files.ts';
import { type Birth, type FileIdentity, identityOf, isSameFile, lastingBirthOf } from './inode.ts';

const BLOCK = 4096;
const BLOCKS = 4;
const OWNER_BLOCK = 2;
const IDENTITY_BLOCK = 3;
const EPOCH_SIZE = 16;

export type GuardErrorCode =
  /** Another process has claimed this data directory since. */
  | 'deposed'
  /** The guard could not be written or read back: what it holds is unknown. */
  | 'outcome_unknown'
  /** The file is not a guard, or its blocks are damaged. */
  | 'unreadable';

export class GuardError extends LogError<GuardErrorCode> {}

/** One slot: the last promise, or `undefined` where the slot is torn. */
export interface Promised {
  readonly n: number;
  readonly recordHash: Uint8Array;
}

/** What sequencer and recovery need of a guard; the file below is one, tests bring others. */
export interface Guard {
  /** Throws a GuardError `deposed` if this process does not own the directory any more. Cheap: a few system calls. */
  checkOwner(): void;
  /** Records that commit n is about to be acknowledged, durably, then checks that this process is still the owner. */
  promise(promised: Promised): Promise<void>;
}

export interface GuardContent {
  readonly storeId: Uint8Array;
  readonly slots: readonly [Promised | undefined, Promised | undefined];
  /** Inode that the identity block names, `undefined` where that block is damaged. */
  readonly inode: number | undefined;
  /** When that file was made, where the identity block says so: those of older versions do not. */
  readonly birth: Birth | undefined;
}

/**
 * The commit that was promised last. Where a slot is torn, the one after that of the other slot: whatever stood or was to stand there, nothing
 * after it was ever acknowledged, and a start needs it.
 */
export function lastPromised({ slots: [a, b] }: GuardContent): number {
  if (a === undefined) return (b?.n ?? 0) + 1;
  return b === undefined ? a.n + 1 : Math.max(a.n, b.n);
}

function sealBlock(content: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK);
  block.set(content);
  block.set(sha256(content), content.length);
  return block;
}

function openBlock(block: Uint8Array, tag: string, size: number): Uint8Array | undefined {
  const content = block.subarray(0, tag.length + size);
  if (!equalBytes(content.subarray(0, tag.length), utf8(tag))) return undefined;
  if (!equalBytes(sha256(content), block.subarray(content.length, content.length + 32))) return undefined;
  return content.slice(tag.length);
}

const SLOT_TAG = 'indelible guard 1';
const OWNER_TAG = 'indelible owner 1';
const IDENTITY_TAG = 'indelible inode 1';
const BORN_TAG = 'indelible inode 2';

function slotBlock(storeId: Uint8Array, { n, recordHash }: Promised): Uint8Array {
  return sealBlock(concatBytes(utf8(SLOT_TAG), storeId, u64(n), recordHash));
}

function ownerBlock(epoch: Uint8Array): Uint8Array {
  return sealBlock(concatBytes(utf8(OWNER_TAG), epoch));
}

function identityBlock(storeId: Uint8Array, { inode, birth }: FileIdentity): Uint8Array {
  if (birth === undefined) return sealBlock(concatBytes(utf8(IDENTITY_TAG), storeId, u64(inode)));
  const { seconds, nanoseconds } = birth;
  return sealBlock(concatBytes(utf8(BORN_TAG), storeId, u64(inode), u64(seconds), u64(nanoseconds)));
}

/**
 * Makes a guard with both slots at 0, unless there is one: of two first starts at the same moment, one makes it and both use it.
 * Crash here: either no guard, and the next start is a first start again, or a whole one.
 */
export function createGuard(path: string, storeId: Uint8Array): void {
  makeDirectory(dirname(path), 0o777);
  const zero = { n: 0, recordHash: new Uint8Array(32) };
  createWhole(path, (inode) =>
    concatBytes(
      slotBlock(storeId, zero),
      slotBlock(storeId, zero),
      ownerBlock(randomBytes(EPOCH_SIZE)),
      identityBlock(storeId, { inode, birth: undefined }),
    ),
  );
}

const writeAt = promisify(write) as (
  fd: number,
  data: Uint8Array,
  offset: number,
  length: number,
  at: number,
) => Promise<number | { bytesWritten: number }>;
const syncData = promisify(fdatasync);

/**
 * Opened so that a write returns when it is on the disk, it and fdatasync are one trip through the thread pool instead of two (measured: a
 * fifth of the time of a commit that nothing else waits for). Only where the kernel says so; what macOS means by the flag is less.
 */
const SYNCED = process.platform === 'linux';

/** The guard as a file. Reading it changes nothing; `claim` and `promise` write. */
export class GuardFile implements Guard {
  readonly path: string;
  readonly #fd: number;
  readonly #storeId: Uint8Array;
  /** What must stay where it is while this process runs. */
  readonly #places: { readonly path: string; readonly dev: number; readonly ino: number }[] = [];
  /** The owner block as this process wrote it. */
  #claim: Buffer | undefined;
  /** The owner block as it was last read. */
  readonly #seen = new Uint8Array(BLOCK);
  #failure: GuardError | undefined;

  private constructor(path: string, fd: number, storeId: Uint8Array) {
    this.path = path;
    this.#fd = fd;
    this.#storeId = storeId;
  }

  /** Opens an existing guard. Throws a GuardError `unreadable` if both slots are damaged or it is not a guard at all. */
  static open(path: string): { guard: GuardFile; content: GuardContent } {
    const fd = openSync(path, SYNCED ? constants.O_RDWR + constants.O_DSYNC : constants.O_RDWR);
    try {
      const content = readContent(path, fd);
      return { guard: new GuardFile(path, fd, content.storeId), content };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Whether this is the very file that its identity block names. */
  isOriginal(content: GuardContent): boolean {
    return isSameFile(content, identityOf(this.#fd));
  }

  /**
   * Takes ownership: from here on every other process that owned it fails at its next check. Returns what the guard holds now;
   * what was read before may have been overtaken by the owner before.
   */
  async claim(): Promise<GuardContent> {
    this.#claim = Buffer.from(ownerBlock(randomBytes(EPOCH_SIZE)));
    await this.#writeBlock(OWNER_BLOCK, this.#claim);
    this.checkOwner();
    return readContent(this.path, this.#fd);
  }

  /**
   * Why something failed that needs the directory: that another process has it by now, if so, and otherwise as it failed. LevelDB's files that
   * its successor has deleted are no damage.
   */
  reasonOf(error: unknown): unknown {
    if (this.#claim === undefined || error instanceof GuardError) return error;
    try {
      this.checkOwner();
      return error;
    } catch (lost) {
      return lost instanceof GuardError && lost.code === 'deposed' ? lost : error;
    }
  }

  /** From now on, `path` must stay the very file or directory that it is: if it is moved away or replaced, ownership is lost. */
  watch(path: string): void {
    const { dev, ino } = statSync(path);
    this.#places.push({ path, dev, ino });
  }

  /** Makes this file, wherever it was copied to, the guard that its identity block names. */
  async adoptInode(): Promise<void> {
    const { inode } = identityOf(this.#fd);
    await this.#writeBlock(IDENTITY_BLOCK, identityBlock(this.#storeId, { inode, birth: lastingBirthOf(this.#fd) }));
  }

  /**
   * Writes down when this file was made, if the identity block names this inode and does not say it yet. Only for the owner, after its claim.
   * Crash here: the block is in one sector, the old one or the new one.
   */
  async completeIdentity({ inode, birth: known }: GuardContent): Promise<void> {
    const birth = lastingBirthOf(this.#fd);
    if (known !== undefined || birth === undefined || inode !== identityOf(this.#fd).inode) return;
    await this.#writeBlock(IDENTITY_BLOCK, identityBlock(this.#storeId, { inode, birth }));
  }

  async promise(promised: Promised): Promise<void> {
    // Before as well as after: a process that was stopped for long must not overwrite its successor's slot if it can help it.
    this.checkOwner();
    await this.#writeBlock(promised.n % 2, slotBlock(this.#storeId, promised));
    this.checkOwner();
  }

  close(): void {
    closeSync(this.#fd);
  }

  async #writeBlock(index: number, block: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      const result = await writeAt(this.#fd, block, 0, BLOCK, index * BLOCK);
      const written = typeof result === 'number' ? result : result.bytesWritten;
      if (written !== BLOCK) throw new Error(`wrote ${written} of ${BLOCK} bytes`);
      if (!SYNCED) await syncData(this.#fd);
    } catch (cause) {
      throw this.#fail('write', cause);
    }
  }

  checkOwner(): void {
    if (this.#failure !== undefined) throw this.#failure;
    for (const { path, dev, ino } of this.#places) {
      let now: Stats | undefined;
      try {
        now = statSync(path, { throwIfNoEntry: false });
      } catch (cause) {
        throw this.#fail('read', cause);
      }
      if (now?.dev !== dev || now.ino !== ino) {
        throw new GuardError('deposed', `${path} was moved or replaced under this process; it must not go on`);
      }
    }
    try {
      readBlock(this.#fd, OWNER_BLOCK, this.#seen);
    } catch (cause) {
      throw this.#fail('read', cause);
    }
    // Compared with the very bytes that were written: three times a commit, that is a tenth of parsing and hashing them.
    if (this.#claim === undefined || !this.#claim.equals(this.#seen)) {
      throw new GuardError('deposed', `another process has taken over ${this.path}; this one must not go on`);
    }
  }

  /** What the guard holds is unknown from here on: every later call throws the same error. */
  #fail(what: 'read' | 'write', cause: unknown): GuardError {
    this.#failure = new GuardError('outcome_unknown', `cannot ${what} the guard ${this.path}: ${String(cause)}`, {
      cause,
    });
    return this.#failure;
  }
}

/** Reads a guard without opening it for writing, and whether it is the file that it names. Throws as `GuardFile.open` does. */
export function readGuard(path: string): { readonly content: GuardContent; readonly isOriginal: boolean } {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    const content = readContent(path, fd);
    return { content, isOriginal: isSameFile(content, identityOf(fd)) };
  } finally {
    closeSync(fd);
  }
}

function readBlock(fd: number, index: number, block = new Uint8Array(BLOCK)): Uint8Array {
  // A few microseconds from the page cache; cheaper than a trip through the thread pool.
  const read = readSync(fd, block, 0, BLOCK, index * BLOCK);
  return read === BLOCK ? block : block.fill(0);
}

function readContent(path: string, fd: number): GuardContent {
  if (fstatSync(fd).size !== BLOCK * BLOCKS) throw new GuardError('unreadable', `${path} is not a guard: wrong size`);
  const contents = [0, 1].map((index) => openBlock(readBlock(fd, index), SLOT_TAG, 32 + 8 + 32));
  const identityBytes = readBlock(fd, IDENTITY_BLOCK);
  const born = openBlock(identityBytes, BORN_TAG, 32 + 8 + 8 + 8);
  const identity = born ?? openBlock(identityBytes, IDENTITY_TAG, 32 + 8);
  const ids = [contents[0], contents[1], identity].filter((content) => content !== undefined);
  const storeId = ids[0]?.slice(0, 32);
  if (storeId === undefined || (contents[0] === undefined && contents[1] === undefined)) {
    throw new GuardError('unreadable', `both slots of the guard ${path} are damaged`);
  }
  if (ids.some((content) => !equalBytes(content.subarray(0, 32), storeId))) {
    throw new GuardError('unreadable', `the blocks of the guard ${path} belong to different stores`);
  }
  const slots = contents.map((content, index) => {
    if (content === undefined) return undefined;
    const promised = { n: readU64(content, 32), recordHash: content.slice(40, 72) };
    // Slot n mod 2 holds n; both hold 0 after init.
    return promised.n % 2 === index || promised.n === 0 ? promised : undefined;
  });
  return {
    storeId,
    slots: [slots[0], slots[1]],
    inode: identity === undefined ? undefined : readU64(identity, 32),
    birth: born === undefined ? undefined : { seconds: readU64(born, 40), nanoseconds: readU64(born, 48) },
  };
}
