/**
 * Files of the simulated world, for the guard as it is (server/guard.ts): what `node:fs` does to paths that begin with /sim/ happens
 * in memory, and writing takes its time in the world's own scheduler. Must be called before the guard is loaded. Every other path, and
 * every function that the guard does not use, is left as it is.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { HANGS, operate, type SimProcess } from './machine.ts';
import { opener, type VirtualFile, world } from './world.ts';

export const VIRTUAL = '/sim/';
/** Descriptors above those that the kernel gives. */
const FIRST_DESCRIPTOR = 1_000_000;
const DEVICE = 1;

interface Descriptor {
  readonly file: VirtualFile;
  readonly process: SimProcess;
}

type Done = (error: Error | null, written?: number) => void;

/** Puts them into place. Returns what closes all that are open: whoever was killed has closed none, and each holds a world. */
export function virtualFiles(): () => void {
  const real = { ...fs };
  const open = new Map<number, Descriptor>();
  let next = FIRST_DESCRIPTOR;
  const isVirtual = (path: unknown): path is string => typeof path === 'string' && path.startsWith(VIRTUAL);
  const fileOf = (fd: number): VirtualFile => (open.get(fd) as Descriptor).file;

  const replacements = {
    openSync(path: unknown, ...rest: unknown[]): number {
      if (!isVirtual(path)) return call(real.openSync, [path, ...rest]);
      const file = world().files.get(path);
      if (file === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT', syscall: 'open' });
      open.set(next, { file, process: opener() });
      return next++;
    },
    closeSync(fd: number): void {
      if (!open.delete(fd)) real.closeSync(fd);
    },
    readSync(fd: number, into: Uint8Array, ...rest: unknown[]): number {
      if (!open.has(fd)) return call(real.readSync, [fd, into, ...rest]);
      const [offset, length, at] = rest as [number, number, number];
      const bytes = fileOf(fd).bytes.subarray(at, at + length);
      into.set(bytes, offset);
      return bytes.length;
    },
    fstatSync(fd: number, options?: { readonly bigint?: boolean }): unknown {
      if (!open.has(fd)) return call(real.fstatSync, [fd, options]);
      return stats(fileOf(fd), options?.bigint === true);
    },
    statSync(path: unknown, ...rest: unknown[]): unknown {
      if (!isVirtual(path)) return call(real.statSync, [path, ...rest]);
      const file = world().files.get(path);
      return file === undefined ? undefined : stats(file, false);
    },
    write(fd: number, data: Uint8Array, ...rest: unknown[]): void {
      const descriptor = open.get(fd);
      if (descriptor === undefined) {
        call(real.write, [fd, data, ...rest]);
        return;
      }
      const [, , at, done] = rest as [number, number, number, Done];
      writeLater(descriptor, data.slice(), at).then(
        () => done(null, data.length),
        (error) => done(error),
      );
    },
  };
  Object.assign(fs, replacements);
  syncBuiltinESMExports();
  return () => open.clear();
}

function call<T>(original: unknown, args: readonly unknown[]): T {
  return (original as (...all: readonly unknown[]) => T)(...args);
}

/** As of a file system that keeps no birth times. */
function stats({ bytes, inode }: VirtualFile, large: boolean): unknown {
  return large
    ? { size: BigInt(bytes.length), ino: BigInt(inode), dev: BigInt(DEVICE), birthtimeNs: 0n, ctimeNs: 0n }
    : { size: bytes.length, ino: inode, dev: DEVICE };
}

/** A write of one block, and what can become of it. */
function writeLater({ file, process }: Descriptor, data: Uint8Array, at: number): Promise<void> {
  const { scheduler, random, faults } = world();
  return operate(scheduler, random, {
    label: 'guard',
    process,
    lasting: true,
    effect: () => {
      const fault = faults.guard();
      if (fault === 'hang' && random() < 0.5) throw HANGS;
      if (fault === 'torn') tear(file, data, at, random);
      else if (fault !== 'failed') file.bytes.set(data, at);
      if (fault === 'hang') throw HANGS;
      if (fault !== undefined) throw new Error('EIO: i/o error, write');
    },
  });
}

/** Of a block the first bytes are written and the rest is as it was: somewhere within what it says. */
export function tear(file: VirtualFile, data: Uint8Array, at: number, random: () => number): void {
  file.bytes.set(data.subarray(0, 1 + Math.floor(random() * 120)), at);
}
