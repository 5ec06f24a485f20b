/**
 * What tells a file from its copy: its inode, and when it was made, where the file system says that. An inode alone is given again after a
 * file was deleted (ext4: to the next file that is made).
 */
import { fstatSync } from 'node:fs';

/** When a file was made: seconds since the Unix epoch, and nanoseconds below one second. */
export interface Birth {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface FileIdentity {
  /** From 0 to 2^53 - 1. Some file systems use all 64 bits; what is above is folded, which still tells a file from its copy. */
  readonly inode: number;
  /** `undefined` where nobody knows. */
  readonly birth: Birth | undefined;
}

const SECOND = 1_000_000_000n;

/** Inode of an open file, from 0 to 2^53 - 1. */
export function inodeOf(fd: number): number {
  return Number(fstatSync(fd, { bigint: true }).ino % 2n ** 53n);
}

/** Inode and birth of an open file. */
export function identityOf(fd: number): FileIdentity {
  const { ino, birthtimeNs } = fstatSync(fd, { bigint: true });
  return { inode: Number(ino % 2n ** 53n), birth: birthOf(birthtimeNs) };
}

/**
 * Birth of an open file that was written to after it was made; `undefined` also where that looks like its last change: a system without a birth
 * time gives the time of the change in its place, and in the very tick of the clock in which a file was made they are equal.
 */
export function lastingBirthOf(fd: number): Birth | undefined {
  const { birthtimeNs, ctimeNs } = fstatSync(fd, { bigint: true });
  return birthtimeNs === ctimeNs ? undefined : birthOf(birthtimeNs);
}

/** Node says 0 where the file system has no birth times. */
function birthOf(nanoseconds: bigint): Birth | undefined {
  if (nanoseconds <= 0n) return undefined;
  return { seconds: Number(nanoseconds / SECOND), nanoseconds: Number(nanoseconds % SECOND) };
}

/** Whether a file is the one that was written down. A birth that one of the two does not know says nothing. */
export function isSameFile(
  named: Omit<FileIdentity, 'inode'> & { readonly inode: number | undefined },
  found: FileIdentity,
): boolean {
  if (named.inode !== found.inode) return false;
  if (named.birth === undefined || found.birth === undefined) return true;
  return named.birth.seconds === found.birth.seconds && named.birth.nanoseconds === found.birth.nanoseconds;
}
