import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createGuard, type GuardContent, GuardError, GuardFile, lastPromised, readGuard } from '../../server/guard.ts';

const BLOCK = 4096;
const storeId = new Uint8Array(32).fill(0x51);
const hashOf = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A block as the layout says: content, its SHA-256, zeros. */
function block(...parts: (string | Uint8Array | bigint)[]): Buffer {
  const content = Buffer.concat(
    parts.map((part) => {
      if (typeof part !== 'bigint') return Buffer.from(part as string);
      const number = Buffer.alloc(8);
      number.writeBigUInt64BE(part);
      return number;
    }),
  );
  const out = Buffer.alloc(BLOCK);
  content.copy(out);
  createHash('sha256').update(content).digest().copy(out, content.length);
  return out;
}

let folder: string;
let path: string;
let opened: GuardFile[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'indelible-guard-'));
  path = join(folder, 'guard');
  opened = [];
  createGuard(path, storeId);
});

afterEach(() => {
  for (const guard of opened) guard.close();
  rmSync(folder, { recursive: true });
});

function openGuard(file = path): { guard: GuardFile; content: GuardContent } {
  const result = GuardFile.open(file);
  opened.push(result.guard);
  return result;
}

async function owner(): Promise<GuardFile> {
  const { guard } = openGuard();
  await guard.claim();
  return guard;
}

const readBlock = (index: number): Buffer => readFileSync(path).subarray(index * BLOCK, (index + 1) * BLOCK);

function writeBlock(index: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, index * BLOCK);
  closeSync(fd);
}

/** Adds one to a byte of a block. */
function damage(index: number, at: number): void {
  const bytes = Buffer.from(readBlock(index));
  bytes[at] = ((bytes[at] as number) + 1) % 256;
  writeBlock(index, bytes);
}

const errorOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

const slotNumbers = ({ slots }: GuardContent): (number | undefined)[] => slots.map((slot) => slot?.n);

describe('layout', () => {
  test('a new guard has both slots at 0, an owner, and its own inode', () => {
    const bytes = readFileSync(path);
    expect(bytes.length).toBe(4 * BLOCK);
    const zero = block('indelible guard 1', storeId, 0n, new Uint8Array(32));
    expect(hex(readBlock(0))).toBe(hex(zero));
    expect(hex(readBlock(1))).toBe(hex(zero));
    const epoch = readBlock(2).subarray(17, 33);
    expect(hex(readBlock(2))).toBe(hex(block('indelible owner 1', epoch)));
    expect(hex(readBlock(3))).toBe(hex(block('indelible inode 1', storeId, statSync(path, { bigint: true }).ino)));
    expect(statSync(path).mode.toString(8).slice(-3)).toBe('600');
    expect(readdirSync(folder)).toEqual(['guard']);
  });

  test('a promise goes to the slot of its parity, and the other one stays', async () => {
    const guard = await owner();
    await guard.promise({ n: 1, recordHash: hashOf(1) });
    expect(hex(readBlock(0))).toBe(hex(block('indelible guard 1', storeId, 0n, new Uint8Array(32))));
    expect(hex(readBlock(1))).toBe(hex(block('indelible guard 1', storeId, 1n, hashOf(1))));
    await guard.promise({ n: 2, recordHash: hashOf(2) });
    await guard.promise({ n: 3, recordHash: hashOf(3) });
    expect(hex(readBlock(0))).toBe(hex(block('indelible guard 1', storeId, 2n, hashOf(2))));
    expect(hex(readBlock(1))).toBe(hex(block('indelible guard 1', storeId, 3n, hashOf(3))));
    expect(openGuard().content).toMatchObject({
      storeId,
      slots: [
        { n: 2, recordHash: hashOf(2) },
        { n: 3, recordHash: hashOf(3) },
      ],
    });
  });

  test('opening changes nothing', () => {
    const before = readFileSync(path);
    openGuard();
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
  });

  test('can be read without being opened for writing', () => {
    const { content } = openGuard();
    chmodSync(path, 0o400);
    expect(readGuard(path)).toEqual({ content, isOriginal: true });
  });

  test('a temporary file of an interrupted first start is in nobody’s way', () => {
    rmSync(path);
    writeFileSync(`${path}.tmp-0123`, new Uint8Array(9 * BLOCK).fill(7));
    createGuard(path, storeId);
    expect(slotNumbers(openGuard().content)).toEqual([0, 0]);
    expect(readdirSync(folder)).toEqual(['guard', 'guard.tmp-0123']);
  });

  test('a guard that is there is never made again', async () => {
    const guard = await owner();
    await guard.promise({ n: 1, recordHash: hashOf(1) });
    createGuard(path, new Uint8Array(32).fill(9));
    expect(openGuard().content).toMatchObject({ storeId, slots: [{ n: 0 }, { n: 1 }] });
    await guard.promise({ n: 2, recordHash: hashOf(2) });
  });
});

describe('damage', () => {
  beforeEach(async () => {
    const guard = await owner();
    for (const n of [1, 2, 3]) await guard.promise({ n, recordHash: hashOf(n) });
  });

  test('a slot with any byte of its content or hash changed is torn; the other is what counts', () => {
    const end = 17 + 32 + 8 + 32 + 32;
    for (let at = 0; at < end; at++) {
      for (const index of [0, 1]) {
        const whole = Buffer.from(readBlock(index));
        damage(index, at);
        expect(slotNumbers(openGuard().content)).toEqual(index === 0 ? [undefined, 3] : [2, undefined]);
        writeBlock(index, whole);
        (opened.pop() as GuardFile).close();
      }
    }
    expect(slotNumbers(openGuard().content)).toEqual([2, 3]);
  });

  test('a half-written slot is torn', () => {
    writeBlock(0, block('indelible guard 1', storeId, 4n, hashOf(4)).subarray(0, 60));
    expect(slotNumbers(openGuard().content)).toEqual([undefined, 3]);
  });

  test('of a torn promise it is known which it was: nothing was acknowledged after it', () => {
    expect(lastPromised(openGuard().content)).toBe(3);
    writeBlock(0, block('indelible guard 1', storeId, 4n, hashOf(4)).subarray(0, 60));
    expect(lastPromised(openGuard().content)).toBe(4);
    const slots = [{ n: 4, recordHash: hashOf(4) }, undefined] as const;
    expect(lastPromised({ ...openGuard().content, slots })).toBe(5);
  });

  test('both slots torn: unreadable', () => {
    damage(0, 30);
    damage(1, 60);
    expect(() => GuardFile.open(path)).toThrow(expect.objectContaining({ name: 'GuardError', code: 'unreadable' }));
  });

  test('a whole promise in the slot of the other parity counts as torn', () => {
    writeBlock(0, block('indelible guard 1', storeId, 5n, hashOf(5)));
    expect(slotNumbers(openGuard().content)).toEqual([undefined, 3]);
  });

  test.each([0, BLOCK, 4 * BLOCK - 1, 4 * BLOCK + 1])('a file of %d bytes is no guard', (size) => {
    if (size > 4 * BLOCK) writeFileSync(path, new Uint8Array(1), { flag: 'a' });
    else truncateSync(path, size);
    expect(() => GuardFile.open(path)).toThrow(expect.objectContaining({ code: 'unreadable' }));
  });

  test('blocks of different stores do not make a guard', () => {
    const other = new Uint8Array(32).fill(0x52);
    const second = Buffer.from(readBlock(1));
    writeBlock(1, block('indelible guard 1', other, 3n, hashOf(3)));
    expect(() => GuardFile.open(path)).toThrow(expect.objectContaining({ code: 'unreadable' }));
    writeBlock(1, second);
    writeBlock(3, block('indelible inode 1', other, BigInt(statSync(path).ino)));
    expect(() => GuardFile.open(path)).toThrow(expect.objectContaining({ code: 'unreadable' }));
  });

  test('a block with the tag of another kind is damaged', () => {
    for (const other of [
      block('indelible owner 1', new Uint8Array(16)),
      block('indelible guard 2', storeId, 4n, hashOf(4)),
    ]) {
      writeBlock(0, other);
      expect(slotNumbers(openGuard().content)).toEqual([undefined, 3]);
    }
  });

  test('a damaged identity names no inode', () => {
    for (const at of [0, 20, 55, 88]) {
      damage(3, at);
      expect(openGuard().content.inode).toBeUndefined();
      writeBlock(3, block('indelible inode 1', storeId, BigInt(statSync(path).ino)));
    }
    expect(openGuard().content.inode).toBe(statSync(path).ino);
  });
});

describe('owner', () => {
  test('who never claimed cannot promise', async () => {
    const { guard } = openGuard();
    expect(await errorOf(guard.promise({ n: 1, recordHash: hashOf(1) }))).toMatchObject({ code: 'deposed' });
    expect(slotNumbers(openGuard().content)).toEqual([0, 0]);
  });

  test('each claim is a new epoch', async () => {
    const first = await owner();
    const before = hex(readBlock(2));
    await first.claim();
    expect(hex(readBlock(2))).not.toBe(before);
    await first.promise({ n: 1, recordHash: hashOf(1) });
  });

  test('whoever was deposed learns it before it writes, and its successor goes on', async () => {
    const first = await owner();
    await first.promise({ n: 1, recordHash: hashOf(1) });
    const second = await owner();
    const error = await errorOf(first.promise({ n: 2, recordHash: hashOf(0xee) }));
    expect(error).toBeInstanceOf(GuardError);
    expect((error as GuardError).code).toBe('deposed');
    expect(slotNumbers(openGuard().content)).toEqual([0, 1]);
    await second.promise({ n: 2, recordHash: hashOf(2) });
    expect(openGuard().content.slots[0]).toEqual({ n: 2, recordHash: hashOf(2) });
  });

  test('whoever is deposed while it writes learns it after, and has acknowledged nothing', async () => {
    const first = await owner();
    const { guard: second } = openGuard();
    // Both before the first sync returns: the promise is in its slot, the claim comes before the promise looks again.
    const promised = errorOf(first.promise({ n: 1, recordHash: hashOf(1) }));
    writeBlock(2, block('indelible owner 1', new Uint8Array(16).fill(9)));
    expect(await promised).toMatchObject({ code: 'deposed' });
    expect(slotNumbers(openGuard().content)).toEqual([0, 1]);
    await second.claim();
    await second.promise({ n: 2, recordHash: hashOf(2) });
  });

  test('a claim tells what the guard holds then, not what it held when it was opened', async () => {
    const first = await owner();
    const { guard: second, content } = openGuard();
    await first.promise({ n: 1, recordHash: hashOf(1) });
    expect(slotNumbers(content)).toEqual([0, 0]);
    expect(slotNumbers(await second.claim())).toEqual([0, 1]);
  });

  test.each([
    ['moved away', () => renameSync(path, `${path}.old`)],
    ['removed', () => rmSync(path)],
    [
      'replaced by a copy',
      () => {
        copyFileSync(path, `${path}.copy`);
        renameSync(`${path}.copy`, path);
      },
    ],
  ])('a guard that was %s is lost, if it is watched', async (_, lose) => {
    const unwatched = await owner();
    const guard = await owner();
    guard.watch(path);
    guard.checkOwner();
    lose();
    expect(() => unwatched.checkOwner()).toThrow('taken over');
    expect(() => guard.checkOwner()).toThrow(expect.objectContaining({ code: 'deposed' }));
    expect(await errorOf(guard.promise({ n: 1, recordHash: hashOf(1) }))).toMatchObject({ code: 'deposed' });
  });

  test('so is a watched directory that was replaced', async () => {
    const guard = await owner();
    const db = join(folder, 'db');
    mkdirSync(db);
    guard.watch(db);
    await guard.promise({ n: 1, recordHash: hashOf(1) });
    renameSync(db, `${db}.old`);
    mkdirSync(db);
    expect(await errorOf(guard.promise({ n: 2, recordHash: hashOf(2) }))).toMatchObject({ code: 'deposed' });
    expect(slotNumbers(openGuard().content)).toEqual([0, 1]);
  });

  test('of a guard that was cut short under its owner nothing is believed', async () => {
    const guard = await owner();
    guard.checkOwner();
    for (const size of [2.5 * BLOCK, 0]) {
      truncateSync(path, size);
      expect(() => guard.checkOwner()).toThrow(expect.objectContaining({ code: 'deposed' }));
    }
  });

  test('a watched place that cannot be looked at is an unknown outcome', async () => {
    const guard = await owner();
    const db = join(folder, 'db');
    mkdirSync(db);
    guard.watch(db);
    renameSync(db, `${db}.old`);
    symlinkSync(db, db);
    const lost = expect.objectContaining({ code: 'outcome_unknown' });
    expect(() => guard.checkOwner()).toThrow(lost);
    unlinkSync(db);
    renameSync(`${db}.old`, db);
    expect(() => guard.checkOwner()).toThrow(lost);
  });

  test('a damaged owner block is nobody', async () => {
    const guard = await owner();
    damage(2, 20);
    expect(await errorOf(guard.promise({ n: 1, recordHash: hashOf(1) }))).toMatchObject({ code: 'deposed' });
  });
});

describe('identity', () => {
  test('a copy holds the inode of the original, until it is adopted', async () => {
    const copy = join(folder, 'copy');
    copyFileSync(path, copy);
    const { guard, content } = openGuard(copy);
    expect(content.inode).toBe(statSync(path).ino);
    expect(guard.isOriginal(content)).toBe(false);
    expect(readGuard(copy).isOriginal).toBe(false);
    await guard.adoptInode();
    const again = openGuard(copy);
    expect(again.content.inode).toBe(statSync(copy).ino);
    expect(again.guard.isOriginal(again.content)).toBe(true);
    expect(slotNumbers(again.content)).toEqual([0, 0]);
    expect(readGuard(path).isOriginal).toBe(true);
  });

  const bornAt = (seconds: bigint, nanoseconds: bigint): Buffer =>
    block('indelible inode 2', storeId, statSync(path, { bigint: true }).ino, seconds, nanoseconds);
  const knowsBirths = (): boolean => statSync(path, { bigint: true }).birthtimeNs > 0n;

  test('learns when the file was made from its first owner, and keeps it', async () => {
    // A clock that the kernel moves in ticks: in the one in which the file was made its birth cannot be told from its last change.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { guard, content } = openGuard();
    expect(content.birth).toBeUndefined();
    await guard.completeIdentity(await guard.claim());
    const { birthtimeNs: born } = statSync(path, { bigint: true });
    const expected = knowsBirths() ? bornAt(born / 1_000_000_000n, born % 1_000_000_000n) : readBlock(3);
    expect(hex(readBlock(3))).toBe(hex(expected));
    const again = openGuard();
    expect(again.guard.isOriginal(again.content)).toBe(true);
    await again.guard.completeIdentity(await again.guard.claim());
    expect(hex(readBlock(3))).toBe(hex(expected));
  });

  test('another file with the same inode is not the original, and its owner does not make it one', async () => {
    if (!knowsBirths()) return console.log('SKIPPED: this file system keeps no birth times');
    for (const [seconds, nanoseconds] of [
      [1n, 1n],
      [BigInt(Math.floor(statSync(path).birthtimeMs / 1000)), 999_999_999n],
    ] as const) {
      writeBlock(3, bornAt(seconds, nanoseconds));
      const { guard, content } = openGuard();
      expect(content.birth).toEqual({ seconds: Number(seconds), nanoseconds: Number(nanoseconds) });
      expect(guard.isOriginal(content)).toBe(false);
      expect(readGuard(path).isOriginal).toBe(false);
      await guard.completeIdentity(await guard.claim());
      expect(readGuard(path).isOriginal).toBe(false);
      await guard.adoptInode();
      expect(readGuard(path).isOriginal).toBe(true);
    }
  });

  test('a birth block with any byte changed names no inode', () => {
    const whole = bornAt(5n, 6n);
    for (let at = 0; at < 17 + 32 + 8 + 8 + 8 + 32; at++) {
      writeBlock(3, whole);
      damage(3, at);
      const { content } = openGuard();
      expect([content.inode, content.birth]).toEqual([undefined, undefined]);
      (opened.pop() as GuardFile).close();
    }
  });
});

describe('failure', () => {
  test('a write that fails is an unknown outcome, and so is everything after it', async () => {
    const guard = await owner();
    // The guard's descriptor is the newest; /dev/full in its place answers every write with "no space left".
    const fd = newestDescriptorOf(path);
    closeSync(fd);
    const full = openSync('/dev/full', 'r+');
    expect(full).toBe(fd);
    const first = await errorOf(guard.claim());
    expect(first).toMatchObject({ name: 'GuardError', code: 'outcome_unknown' });
    closeSync(full);
    const whole = openSync(path, 'r+');
    expect(whole).toBe(fd);
    expect(await errorOf(guard.claim())).toBe(first);
    expect(await errorOf(guard.adoptInode())).toBe(first);
    expect(await errorOf(guard.promise({ n: 1, recordHash: hashOf(1) }))).toBe(first);
    expect(slotNumbers(openGuard().content)).toEqual([0, 0]);
  });

  test('no write returns before it is on the disk', async () => {
    await owner();
    const flags = /^flags:\s*([0-7]+)$/m.exec(
      readFileSync(`/proc/self/fdinfo/${newestDescriptorOf(path)}`, 'utf8'),
    )?.[1];
    // The kernel syncs each write of a file that was opened so, and a failed sync is a failed write.
    expect(Math.floor(Number.parseInt(flags as string, 8) / constants.O_DSYNC) % 2).toBe(1);
  });

  test('a read that fails is an unknown outcome', async () => {
    const guard = await owner();
    const fd = newestDescriptorOf(path);
    closeSync(fd);
    expect(() => guard.checkOwner()).toThrow(expect.objectContaining({ code: 'outcome_unknown' }));
    const error = await errorOf(guard.promise({ n: 1, recordHash: hashOf(1) }));
    expect(openSync(path, 'r+')).toBe(fd);
    expect(error).toMatchObject({ name: 'GuardError', code: 'outcome_unknown' });
    expect(await errorOf(guard.promise({ n: 1, recordHash: hashOf(1) }))).toBe(error);
  });
});

/** The newest file descriptor of this process that is open on that file. */
function newestDescriptorOf(file: string): number {
  const { ino } = statSync(file);
  for (let fd = 100; fd > 2; fd--) {
    try {
      if (fstatSync(fd).ino === ino) return fd;
    } catch {
      // Not open.
    }
  }
  throw new Error('the guard is not open');
}
