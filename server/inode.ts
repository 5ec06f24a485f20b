/** Inodes as numbers. Some file systems use all 64 bits; what is above 2^53 is folded, which still tells a file from its copy. */
import { fstatSync } from 'node:fs';

/** Inode of an open file, from 0 to 2^53 - 1. */
export function inodeOf(fd: number): number {
  return Number(fstatSync(fd, { bigint: true }).ino % 2n ** 53n);
}
