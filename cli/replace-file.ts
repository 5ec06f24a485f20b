/** Files that are replaced as a whole: a crash at any moment leaves the old one or the new one. */
import { randomBytes } from 'node:crypto';
import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes a private file (0600) under a temporary name, syncs it, and gives it its name. Whoever is the only writer may name the temporary
 * one itself: then a crash leaves one behind, and not one more each time.
 */
export async function replaceFile(
  path: string,
  text: string,
  temporary: string = `${path}.${randomBytes(6).toString('hex')}.tmp`,
): Promise<void> {
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
