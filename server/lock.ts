/**
 * A lock on a data directory that no `rm` breaks: an abstract unix socket named by an inode, gone with the process.
 *
 * It holds within one network namespace; across them the guard's owner block decides. LevelDB's own lock is an fcntl lock on a
 * file and is lost when that file is unlinked. Where there are no abstract sockets (macOS), LevelDB's lock is what remains.
 */
import { statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { platform } from 'node:process';
import { EXIT, ExitError } from './errors.ts';

/** Locks the file or directory at `path`, by device and inode. Throws ExitError 75 if another process has it. */
export async function lockPath(path: string): Promise<() => void> {
  if (platform !== 'linux') return () => {};
  const { dev, ino } = statSync(path);
  const server = createServer((socket) => socket.destroy());
  try {
    await listen(server, `\0indelible/${dev}/${ino}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new ExitError(
      EXIT.inUse,
      `another process uses ${path}. Stop it first, or give this one another --data-dir.`,
    );
  }
  server.unref();
  return () => server.close();
}

function listen(server: Server, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(name, () => resolve());
  });
}
