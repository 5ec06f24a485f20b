/**
 * A block of bytes as a file that the kernel asks us for: a FUSE file system (kernel protocol 7.31 and later) whose root is the file. So
 * a loop device on it hands over every write and every flush in the order in which it completes them.
 *
 *   request  u32 length ‖ u32 opcode ‖ u64 unique ‖ u64 node ‖ u32 uid, gid, pid ‖ u32 0 ‖ body     40 bytes before the body
 *   reply    u32 length ‖ i32 -errno ‖ u64 unique ‖ body                                             16 bytes before the body
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, read, writevSync } from 'node:fs';
import { promisify } from 'node:util';

/** What is behind the file. All of it is answered at once: a request is done when the call returns. */
export interface Device {
  /** Bytes. */
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
  write(offset: number, data: Uint8Array): void;
  /** Everything written before is to survive a power cut. */
  flush(): void;
}

const IN_HEADER = 40;
const OUT_HEADER = 16;
/** Size of the part of a read and of a write that precedes the data. */
const IO_HEADER = 40;
const MAX_WRITE = 131_072;
const PAGE = 4096;

const OP = { forget: 2, getattr: 3, setattr: 4, open: 14, read: 15, write: 16, statfs: 17, release: 18, fsync: 20 };
const OP_INIT = 26;
const OP_INTERRUPT = 36;
const OP_BATCH_FORGET = 42;
const ENOSYS = 38;

/** Features: reads at the same time, writes of more than a page, our own number of pages. */
const INIT_FLAGS = 0x1 + 0x20 + 0x400000;

const readFrom = promisify(read);

/** Mounts the file at `path`, which must exist. Returns what is to be served by `serve`. */
export function mountFile(path: string): number {
  const fd = openSync('/dev/fuse', 'r+');
  const options = 'fd=3,rootmode=100600,user_id=0,group_id=0';
  const { status, stderr } = spawnSync('mount', ['-i', '-t', 'fuse', '-o', options, 'indelible-test', path], {
    stdio: ['ignore', 'ignore', 'pipe', fd],
    encoding: 'utf8',
  });
  if (status === 0) return fd;
  closeSync(fd);
  throw new Error(`cannot mount a FUSE file: ${stderr}`);
}

/** Answers the kernel until the file is unmounted. Before each request, it waits for `ready`. */
export async function serve(fd: number, device: Device, ready: () => Promise<void> | undefined): Promise<void> {
  const buffer = new Uint8Array(MAX_WRITE + PAGE);
  for (;;) {
    let bytesRead: number;
    try {
      ({ bytesRead } = await readFrom(fd, buffer, 0, buffer.length, null));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENODEV') break;
      // The request was withdrawn before it was read.
      if (code === 'ENOENT' || code === 'EINTR' || code === 'EAGAIN') continue;
      throw error;
    }
    await ready();
    const view = new DataView(buffer.buffer, 0, bytesRead);
    const opcode = view.getUint32(4, true);
    if (opcode === OP.forget || opcode === OP_BATCH_FORGET || opcode === OP_INTERRUPT) continue;
    reply(fd, view.getBigUint64(8, true), answer(device, opcode, view));
  }
  closeSync(fd);
}

function reply(fd: number, unique: bigint, body: Uint8Array | number): void {
  const data = typeof body === 'number' ? new Uint8Array() : body;
  const header = new DataView(new ArrayBuffer(OUT_HEADER));
  header.setUint32(0, OUT_HEADER + data.length, true);
  header.setInt32(4, typeof body === 'number' ? -body : 0, true);
  header.setBigUint64(8, unique, true);
  try {
    writevSync(fd, [new Uint8Array(header.buffer), data]);
  } catch (error) {
    // Nobody waits for it any more.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** The body of a reply, or the number of an error. */
function answer(device: Device, opcode: number, request: DataView): Uint8Array | number {
  switch (opcode) {
    case OP_INIT:
      return initReply(request);
    case OP.getattr:
    case OP.setattr:
      return attributes(device.size);
    case OP.open:
      return new Uint8Array(16);
    case OP.read:
      return device.read(offsetOf(request), Math.min(request.getUint32(IN_HEADER + 16, true), MAX_WRITE));
    case OP.write: {
      const size = request.getUint32(IN_HEADER + 16, true);
      device.write(offsetOf(request), new Uint8Array(request.buffer, IN_HEADER + IO_HEADER, size));
      const done = new DataView(new ArrayBuffer(8));
      done.setUint32(0, size, true);
      return new Uint8Array(done.buffer);
    }
    case OP.fsync:
      device.flush();
      return new Uint8Array();
    case OP.statfs:
      return new Uint8Array(80);
    case OP.release:
      return new Uint8Array();
    default:
      return ENOSYS;
  }
}

function offsetOf(request: DataView): number {
  return Number(request.getBigUint64(IN_HEADER + 8, true));
}

function initReply(request: DataView): Uint8Array {
  const out = new DataView(new ArrayBuffer(64));
  out.setUint32(0, 7, true);
  out.setUint32(4, Math.min(31, request.getUint32(IN_HEADER + 4, true)), true);
  out.setUint32(8, request.getUint32(IN_HEADER + 8, true), true);
  out.setUint32(12, INIT_FLAGS, true);
  out.setUint16(16, 16, true);
  out.setUint16(18, 12, true);
  out.setUint32(20, MAX_WRITE, true);
  out.setUint32(24, 1, true);
  out.setUint16(28, MAX_WRITE / PAGE, true);
  return new Uint8Array(out.buffer);
}

/** A regular file of root's, valid for an hour. */
function attributes(size: number): Uint8Array {
  const out = new DataView(new ArrayBuffer(104));
  out.setBigUint64(0, 3600n, true);
  out.setBigUint64(16, 1n, true);
  out.setBigUint64(24, BigInt(size), true);
  out.setBigUint64(32, BigInt(Math.ceil(size / 512)), true);
  out.setUint32(76, 0o100600, true);
  out.setUint32(80, 1, true);
  out.setUint32(96, PAGE, true);
  return new Uint8Array(out.buffer);
}
