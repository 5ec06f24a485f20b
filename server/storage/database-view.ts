/**
 * A view of a LevelDB folder that can be opened without changing the folder.
 *
 * LevelDB has no way to open for reading only: it replays its log files into new tables, writes a new MANIFEST and deletes the old
 * files. So a folder is made elsewhere in which the tables, which never change, are links to the real ones, and what LevelDB would
 * replace is a copy: the log files (about as large as the write buffer), MANIFEST and CURRENT. LOCK is a link too: whoever opens the view
 * holds the very lock that a server takes, and is refused where one has it.
 */
import { accessSync, constants, copyFileSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const TABLE = /^[0-9]+\.(?:ldb|sst)$/;
const COPIED = /^(?:CURRENT|MANIFEST-[0-9]+|[0-9]+\.log)$/;

export interface DatabaseView {
  readonly path: string;
  /** Removes the view; the real files stay. */
  remove(): void;
}

/** Makes a view of the database in `path`, in the directory for temporary files. Crash here: a folder that nothing reads stays there. */
export function makeDatabaseView(path: string): DatabaseView {
  // Private (0700): log files hold events.
  const view = mkdtempSync(join(tmpdir(), 'indelible-fsck-'));
  const remove = (): void => rmSync(view, { recursive: true, force: true });
  try {
    for (const name of readdirSync(path)) {
      const [real, own] = [resolve(path, name), join(view, name)];
      if (TABLE.test(name) || (name === 'LOCK' && isWritable(real))) symlinkSync(real, own);
      else if (COPIED.test(name)) copyFileSync(real, own);
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { path: view, remove };
}

/** On a read-only file system there is nobody to lock out, and nothing to lock. */
function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
