/**
 * Adoption: taking over a copied data directory, for an operator who knows that the original will never run again.
 *
 * All checks of a start; then the system event that says so, by a commit; then the guard's new inode and birth. Crash in between: the copy
 * is refused again, and adopted again.
 */
import { type DataDirectoryOptions, openDataDirectory } from './data-directory.ts';
import { EXIT, ExitError } from './errors.ts';
import { asExitError, openLogServer } from './start.ts';

export interface Adoption {
  /** Logs in the store, with the entries of each. */
  readonly logs: readonly { readonly name: string; readonly treeSize: number }[];
}

/** Adopts the data directory. Throws ExitError: 2 where there is nothing to adopt, 70, 75, 78. */
export async function adoptDataDirectory(options: DataDirectoryOptions): Promise<Adoption> {
  try {
    return await adopt(options);
  } catch (error) {
    throw asExitError(error);
  }
}

async function adopt(options: DataDirectoryOptions): Promise<Adoption> {
  const opened = await openDataDirectory({ ...options, checkInode: false, create: false });
  try {
    if (opened.guard.isOriginal(opened.content)) {
      throw new ExitError(
        EXIT.usage,
        `${options.path} is not a copy: its guard is the one it was made with. Nothing was changed.`,
      );
    }
    // A commit that fails rejects; there is nobody else to tell.
    const { server } = await openLogServer(opened, opened.content.slots, { onFatal: () => {} });
    await server.recordSystemEvent({ action: 'store.adopted', by: 'system' });
    await server.close();
    await opened.guard.adoptInode();
    return { logs: server.logs().map(({ name, state }) => ({ name, treeSize: state.treeSize })) };
  } finally {
    await opened.close();
  }
}
