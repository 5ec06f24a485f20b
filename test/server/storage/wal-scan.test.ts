/** LevelDB's log files, looked at before LevelDB does: every damage is refused, what a crash leaves behind is not. */
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { commitKey } from '../../../server/storage/keys.ts';
import { openLevelStore } from '../../../server/storage/level.ts';
import { crc32c, scanLog } from '../../../server/storage/log-format.ts';
import { StorageError } from '../../../server/storage/store.ts';
import { checkLogFiles, checkTextLog } from '../../../server/storage/wal-scan.ts';
import { concatBytes, utf8 } from '../../../tree/bytes.ts';
import { logFile as writeLogFile } from '../../fuzz/wal-file.ts';
import { seededRandom } from '../../support/random.ts';
import { temporaryFolder } from '../../support/spawn-server.ts';

const COMMITS = 60;

let folder: ReturnType<typeof temporaryFolder>;
let path: string;

beforeEach(async () => {
  folder = temporaryFolder('wal');
  path = join(folder.path, 'db');
  mkdirSync(path);
  const store = await openLevelStore({ path, createIfMissing: true });
  // Sizes from a few bytes to more than a block, so that records of all types occur.
  for (let n = 0; n < COMMITS; n++) {
    await store.commit([
      { key: `n/${String(n).padStart(4, '0')}`, value: new Uint8Array((n * n * 29) % 70_000).fill(n) },
    ]);
  }
  await store.close();
});

afterEach(() => folder.remove());

function logFile(database = path): string {
  const [name] = readdirSync(database).filter((file) => file.endsWith('.log'));
  return join(database, name as string);
}

function flip(bytes: Uint8Array, at: number, bit: number): void {
  // biome-ignore lint/suspicious/noBitwiseOperators: one bit of one byte
  bytes[at] = (bytes[at] as number) ^ (2 ** bit);
}

function codeOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

describe('CRC-32C', () => {
  test('the check value, and the vectors of RFC 3720 §B.4', () => {
    const of = (bytes: Uint8Array): string => crc32c(bytes, 0, bytes.length).toString(16).padStart(8, '0');
    expect(of(utf8('123456789'))).toBe('e3069283');
    expect(of(new Uint8Array(32))).toBe('8a9136aa');
    expect(of(new Uint8Array(32).fill(0xff))).toBe('62a8ab43');
    expect(of(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe('46dd794e');
  });
});

describe('a log file that LevelDB wrote', () => {
  test('is whole, with as many records as there were commits', () => {
    let records = 0;
    expect(
      scanLog(readFileSync(logFile()), () => {
        records++;
      }),
    ).toBeUndefined();
    expect(records).toBe(COMMITS);
    expect(codeOf(() => checkLogFiles(path))).toBeUndefined();
  });

  test('with any bit flipped is a fault, and never a torn one unless it is in the last record', () => {
    const bytes = readFileSync(logFile());
    const random = seededRandom(7);
    let refused = 0;
    for (let i = 0; i < 400; i++) {
      const damaged = Uint8Array.from(bytes);
      const at = Math.floor(random() * bytes.length);
      flip(damaged, at, Math.floor(random() * 8));
      const fault = scanLog(damaged);
      expect({ at, found: fault !== undefined }).toEqual({ at, found: true });
      if (fault?.torn === false) refused++;
      // A flipped length in the last block may make the record seem cut off; the guard then misses the commit.
      else expect(at).toBeGreaterThan(bytes.length - 3 * 32_768);
    }
    expect(refused).toBeGreaterThan(380);
  });

  test('with 4 KiB zeroed in the middle is damage', () => {
    const bytes = Uint8Array.from(readFileSync(logFile()));
    for (let at = 0; at + 4096 < bytes.length - 40_000; at += 4096 * 7) {
      const damaged = bytes.slice();
      damaged.fill(0, at, at + 4096);
      expect({ at, fault: scanLog(damaged)?.torn }).toEqual({ at, fault: false });
    }
  });

  test('cut off anywhere is whole or torn, never damage; so is a zero tail', () => {
    const bytes = readFileSync(logFile());
    const random = seededRandom(8);
    for (let i = 0; i < 300; i++) {
      const cut = Math.floor(random() * bytes.length);
      expect({ cut, torn: scanLog(bytes.subarray(0, cut))?.torn ?? true }).toEqual({ cut, torn: true });
      const tail = new Uint8Array(cut + 5000);
      tail.set(bytes.subarray(0, cut));
      if (scanLog(bytes.subarray(0, cut)) === undefined) expect(scanLog(tail)?.torn ?? true).toBe(true);
    }
  });
});

describe('opening', () => {
  test('a damaged log file is refused before LevelDB touches it', async () => {
    const bytes = readFileSync(logFile());
    flip(bytes, 1000, 0);
    writeFileSync(logFile(), bytes);
    const before = readdirSync(path);
    await expect(openLevelStore({ path, createIfMissing: false })).rejects.toMatchObject({
      code: 'unreadable',
      message: expect.stringContaining('.log is damaged at byte'),
    });
    expect(readdirSync(path)).toEqual(before);
    expect(readFileSync(logFile())).toEqual(bytes);
  });

  test('a torn tail is legal in the newest file only, and in one behind which there is but an empty one', () => {
    truncateSync(logFile(), readFileSync(logFile()).length - 3);
    expect(codeOf(() => checkLogFiles(path))).toBeUndefined();
    writeFileSync(join(path, '900000.log'), '');
    expect(codeOf(() => checkLogFiles(path))).toBeUndefined();
    rmSync(join(path, '900000.log'));
    copyFileSync(logFile(), join(path, '900001.log'));
    expect(codeOf(() => checkLogFiles(path))).toBe('unreadable');
  });

  test('the newest file is the one with the highest number, and what has another name is none', () => {
    const whole = readFileSync(logFile());
    const torn = whole.subarray(0, whole.length - 3);
    const [older, newer] = [logFile(), join(path, '900001.log')];
    writeFileSync(newer, torn);
    expect(codeOf(() => checkLogFiles(path))).toBeUndefined();
    writeFileSync(older, torn);
    writeFileSync(newer, whole);
    expect(codeOf(() => checkLogFiles(path))).toBe('unreadable');
    writeFileSync(older, whole);
    const damaged = new Uint8Array(whole);
    flip(damaged, 1000, 0);
    for (const name of ['x900002.log', '900002.logx', '900002.log.old']) writeFileSync(join(path, name), damaged);
    expect(codeOf(() => checkLogFiles(path))).toBeUndefined();
    // Nor does a folder without any: it is what a first start finds.
    expect(checkLogFiles(join(path, 'none'))).toBeUndefined();
  });

  test('of a torn record whose rest is zeros LevelDB tells, so it does not get to see it', async () => {
    const bytes = readFileSync(logFile());
    let cuts = 0;
    // The pieces of a record that is longer than a block each end with one.
    for (let end = 32_768; end < bytes.length; end += 32_768) {
      const zeros = concatBytes(bytes.subarray(0, end), new Uint8Array(5000));
      let whole = 0;
      const fault = scanLog(zeros, () => void whole++);
      if (fault?.told !== true) continue;
      cuts++;
      expect(fault.torn).toBe(true);
      writeFileSync(logFile(), zeros);
      expect(checkLogFiles(path)).toEqual({ file: logFile(), offset: fault.offset });
      const copy = `${path}-${end}`;
      cpSync(path, copy, { recursive: true });
      const store = await openLevelStore({ path: copy, createIfMissing: false });
      const rows = await store.listKeys({ gte: 'n/', lt: 'n0', limit: COMMITS });
      await store.close();
      expect(rows.length).toBe(whole);
    }
    expect(cuts).toBeGreaterThan(5);
  });

  test.each(['in the same log file', 'in a table since a start'])(
    'whatever a power cut takes of commits that were not promised, a start has those that were, %s',
    async (where) => {
      const random = seededRandom(11);
      const below = (limit: number): number => Math.floor(random() * limit);
      let cut = 0;
      for (let trial = 0; trial < 60; trial++) {
        const own = join(folder.path, `cut-${trial}`);
        mkdirSync(own);
        const promised = 4;
        let store = await openLevelStore({ path: own, createIfMissing: true });
        let from = 0;
        for (let n = 1; n <= promised + 2; n++) {
          const size = random() < 0.4 ? below(100_000) : below(4000);
          await store.commit([{ key: commitKey(n), value: Uint8Array.from({ length: size }, (_, i) => i % 256) }]);
          if (n !== promised) continue;
          if (where === 'in the same log file') {
            from = statSync(logFile(own)).size;
          } else {
            await store.close();
            store = await openLevelStore({ path: own, createIfMissing: false });
          }
        }
        await store.close();
        const file = logFile(own);
        // Of the last two, sectors are lost, and the file may be shorter, or longer, than what is in it.
        const left = new Uint8Array(readFileSync(file));
        const sector = random() < 0.5 ? 512 : 4096;
        const lost = random();
        for (let at = from; at < left.length; at += sector - (at % sector))
          if (random() < lost) left.fill(0, at, at + sector - (at % sector));
        if (random() < 0.3) left.fill(0, from + 32_768 - (from % 32_768));
        const size = random() < 0.5 ? left.length + 4096 * below(3) : from + below(left.length - from);
        const found = new Uint8Array(size);
        found.set(left.subarray(0, size));
        writeFileSync(file, found);
        if (checkLogFiles(own, promised) !== undefined) cut++;
        const again = await openLevelStore({ path: own, createIfMissing: false, promised });
        const keys = await again.listKeys({ gte: commitKey(1), lt: commitKey(9), limit: 9 });
        await again.close();
        expect(keys.slice(0, promised)).toEqual([1, 2, 3, 4].map(commitKey));
      }
      expect(cut).toBeGreaterThan(10);
    },
  );

  test('a log file that begins with a broken record is refused where the promised commit is in none and in no table', async () => {
    const own = join(folder.path, 'first');
    mkdirSync(own);
    let store = await openLevelStore({ path: own, createIfMissing: true });
    for (let n = 1; n <= 300; n++) await store.commit([{ key: commitKey(n), value: utf8(`${n}`.repeat(50)) }]);
    await store.commit([{ key: commitKey(5), value: undefined }]);
    await store.close();
    store = await openLevelStore({ path: own, createIfMissing: false });
    await store.commit([{ key: commitKey(301), value: utf8('301') }]);
    await store.close();
    const file = logFile(own);
    const bytes = readFileSync(file);
    flip(bytes, 20, 3);
    writeFileSync(file, bytes);
    for (const promised of [298, 299, 300]) expect(checkLogFiles(own, promised)).toEqual({ file, offset: 0 });
    for (const promised of [301, 302, 5, 1, 150, 297, undefined])
      expect(codeOf(() => checkLogFiles(own, promised))).toBe('unreadable');
    // A table in which it cannot be found any more.
    const [table] = readdirSync(own).filter((each) => each.endsWith('.ldb'));
    const content = readFileSync(join(own, table as string));
    for (let at = 40; at < content.length - 60; at += 97) flip(content, at, 1);
    writeFileSync(join(own, table as string), content);
    expect(codeOf(() => checkLogFiles(own, 300))).toBe('unreadable');
    rmSync(join(own, table as string));
    expect(codeOf(() => checkLogFiles(own, 300))).toBe('unreadable');
    // What cannot be read for another reason is no damage.
    mkdirSync(join(own, table as string));
    expect(codeOf(() => checkLogFiles(own, 300))).toBe('EISDIR');
  });

  test.each([
    ['in the same block', 20, 'first'],
    ['in later blocks', 9000, 'first'],
    ['in the same block', 20, 'second'],
    ['in later blocks', 9000, 'second'],
  ])(
    'a guard that is too old vouches for nothing: whole commits stand %s behind the broken one (%i bytes each, the %s)',
    async (_, size, which) => {
      const own = join(folder.path, 'old-guard');
      mkdirSync(own);
      let store = await openLevelStore({ path: own, createIfMissing: true });
      await store.commit([{ key: commitKey(1), value: utf8('1') }]);
      await store.close();
      store = await openLevelStore({ path: own, createIfMissing: false });
      const file = logFile(own);
      const ends = [0];
      for (let n = 2; n <= 30; n++) {
        await store.commit([{ key: commitKey(n), value: new Uint8Array(size).fill(n) }]);
        ends.push(statSync(file).size);
      }
      await store.close();
      const bytes = readFileSync(file);
      const begin = which === 'first' ? 0 : (ends[1] as number);
      flip(bytes, begin + 30, 3);
      writeFileSync(file, bytes);
      const before = which === 'first' ? 1 : 2;
      for (let promised = 1; promised <= before; promised++) {
        // All of them: what was promised last was 30.
        expect(codeOf(() => checkLogFiles(own, promised))).toBe('unreadable');
        // One that may follow, and no more.
        writeFileSync(file, bytes.subarray(0, ends[promised + 1]));
        expect(checkLogFiles(own, promised)).toEqual({ file, offset: begin });
        writeFileSync(file, bytes);
      }
    },
  );

  test('of a broken record the promised commit decides: one before it, and not too far', async () => {
    const own = join(folder.path, 'broken-last');
    mkdirSync(own);
    const store = await openLevelStore({ path: own, createIfMissing: true });
    const file = logFile(own);
    const ends = [0];
    for (let n = 1; n <= 6; n++) {
      await store.commit([
        { key: 'n/before', value: utf8(`${n}`) },
        { key: commitKey(n), value: utf8(`commit ${n}`) },
      ]);
      ends.push(statSync(file).size);
    }
    const last = ends[6] as number;
    await store.commit([{ key: 'n/after', value: utf8('no commit') }]);
    const other = statSync(file).size;
    await store.commit([{ key: commitKey(7), value: utf8('commit 7') }]);
    await store.close();
    const whole = readFileSync(file);
    const broken = (size: number, at: number): void => {
      const bytes = new Uint8Array(whole.subarray(0, size));
      flip(bytes, at, 2);
      writeFileSync(file, bytes);
    };

    broken(last, last - 3);
    const offset = ends[5] as number;
    for (const promised of [3, 4, 5]) expect(checkLogFiles(own, promised)).toEqual({ file, offset });
    for (const promised of [1, 2, 6, 7]) expect(codeOf(() => checkLogFiles(own, promised))).toBe('unreadable');
    // Commits that were promised stand behind it.
    broken(last, (ends[4] as number) - 3);
    for (const promised of [4, 5, 6]) expect(codeOf(() => checkLogFiles(own, promised))).toBe('unreadable');
    // What came last is no commit, and nobody knows when.
    broken(whole.length, other + 20);
    expect(codeOf(() => checkLogFiles(own, 6))).toBe('unreadable');
  });

  test('what stands behind a fault and is a record, but no commit, decides nothing', async () => {
    const own = join(folder.path, 'strange');
    mkdirSync(own);
    const store = await openLevelStore({ path: own, createIfMissing: true });
    await store.commit([{ key: commitKey(1), value: utf8('1') }]);
    const file = logFile(own);
    const offset = statSync(file).size;
    await store.commit([{ key: commitKey(2), value: new Uint8Array(60_000) }]);
    await store.close();
    const bytes = readFileSync(file);
    flip(bytes, offset + 500, 1);
    // In the next block: a whole record that no batch of LevelDB is.
    const strange = writeLogFile([Uint8Array.from({ length: 40 }, () => 0xff)]);
    writeFileSync(file, concatBytes(bytes.subarray(0, 32_768), strange));
    expect(checkLogFiles(own, 1)).toEqual({ file, offset });
  });

  test('a log file that was begun when a memory was written into a table, and begins with a broken record, likewise', async () => {
    const own = join(folder.path, 'flushed');
    mkdirSync(own);
    const store = await openLevelStore({ path: own, createIfMissing: true, writeBufferSize: 65_536 });
    const newest = (): string =>
      readdirSync(own)
        .filter((each) => each.endsWith('.log'))
        .sort()
        .at(-1) as string;
    const first = newest();
    let n = 0;
    while (newest() === first) {
      n++;
      await store.commit([{ key: commitKey(n), value: new Uint8Array(3000).fill(n) }]);
    }
    // The table is there when the older log file is gone.
    while (readdirSync(own).includes(first)) await new Promise((resolve) => setTimeout(resolve, 5));
    await store.close();
    const file = join(own, newest());
    const bytes = readFileSync(file);
    expect(bytes.length).toBeGreaterThan(3000);
    flip(bytes, 2000, 3);
    writeFileSync(file, bytes);
    expect(checkLogFiles(own, n - 1)).toEqual({ file, offset: 0 });
    expect(codeOf(() => checkLogFiles(own, n))).toBe('unreadable');
    const again = await openLevelStore({ path: own, createIfMissing: false, promised: n - 1 });
    expect((await again.listKeys({ gte: commitKey(1), lt: commitKey(n + 9), limit: 1000 })).length).toBe(n - 1);
    await again.close();
  });

  test('a file that the MANIFEST has done with does not count', async () => {
    const old = readFileSync(logFile());
    const name = logFile();
    const store = await openLevelStore({ path, createIfMissing: false });
    await store.close();
    flip(old, 1000, 0);
    writeFileSync(name, old);
    expect(codeOf(() => checkLogFiles(path))).toBeUndefined();
  });

  test('a crash and a start, many times over, is never taken for damage', async () => {
    const random = seededRandom(9);
    for (let i = 0; i < 15; i++) {
      const store = await openLevelStore({ path, createIfMissing: false, writeBufferSize: 65_536 });
      for (let n = 0; n < 20; n++)
        await store.commit([{ key: `c/${i}/${n}`, value: new Uint8Array(Math.floor(random() * 9000)) }]);
      // Closing flushes nothing: the log files are those of a crash. The newest is cut as if the last write had been under way.
      await store.close();
      const crashed = join(folder.path, `crash-${i}`);
      cpSync(path, crashed, { recursive: true });
      const logs = readdirSync(crashed)
        .filter((file) => file.endsWith('.log'))
        .sort();
      const newest = join(crashed, logs.at(-1) as string);
      truncateSync(newest, Math.max(0, readFileSync(newest).length - Math.floor(random() * 2000)));
      await (await openLevelStore({ path: crashed, createIfMissing: false })).close();
    }
  });

  test('what LevelDB says of damage is not overlooked', () => {
    writeFileSync(
      join(path, 'LOG'),
      'Recovering log #3\n(ignoring error) 000003.log: dropping 812 bytes; Corruption: checksum mismatch\n',
    );
    expect(codeOf(() => checkTextLog(path))).toBe('unreadable');
    writeFileSync(join(path, 'LOG'), 'Recovering log #3\nLevel-0 table #5: started\n');
    expect(codeOf(() => checkTextLog(path))).toBeUndefined();
  });
});

test('a MANIFEST with a number beyond all numbers does not make the scan pass over a damaged file', () => {
  const folder = join(path, 'endless');
  mkdirSync(folder);
  const endless = concatBytes(Uint8Array.of(2), new Uint8Array(200).fill(0x80), Uint8Array.of(0));
  writeFileSync(join(folder, 'CURRENT'), 'MANIFEST-000004\n');
  writeFileSync(join(folder, 'MANIFEST-000004'), writeLogFile([endless]));
  writeFileSync(
    join(folder, '000005.log'),
    concatBytes(writeLogFile([utf8('one')]).with(9, 0), writeLogFile([utf8('two')])),
  );
  expect(() => checkLogFiles(folder)).toThrow(StorageError);
});
