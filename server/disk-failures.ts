/** What a disk says that fails or is full, or a file that must not grow: the code of the system, and the text that the C library has for it. */
export const DISK_FAILS: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'No space left on device'],
  ['EDQUOT', 'Disk quota exceeded'],
  ['EFBIG', 'File too large'],
  ['EROFS', 'Read-only file system'],
  ['EIO', 'Input/output error'],
]);
