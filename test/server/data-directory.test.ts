import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { adoptDataDirectory } from '../../server/adopt.ts';
import { type DataDirectoryOptions, openDataDirectory } from '../../server/data-directory.ts';
import { ExitError } from '../../server/errors.ts';
import { checkDataDirectory } from '../../server/fsck.ts';
import { createGuard, GuardFile } from '../../server/guard.ts';
import { lockPath } from '../../server/lock.ts';
import type { Log } from '../../server/log.ts';
import { createMasterFile } from '../../server/secrets.ts';
import { createLogServer, type StartedServer, startLogServer } from '../../server/start.ts';
import { openLevelStore } from '../../server/storage/level.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { append } from './memory-server.ts';

let folder: string;
let path: string;
let running: StartedServer[];
let fatal: unknown[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'indelible-data-'));
  path = join(folder, 'data');
  running = [];
  fatal = [];
});

afterEach(async () => {
  for (const server of running) await server.close();
  rmSync(folder, { recursive: true });
});

async function start(options: Partial<DataDirectoryOptions> = {}): Promise<StartedServer> {
  const started = await startLogServer(
    { path, ...options },
    { clock: new ManualClock(), originBase: 'example.com', onFatal: (error) => fatal.push(error) },
  );
  running.push(started);
  return started;
}

async function stop(): Promise<void> {
  await (running.pop() as StartedServer).close();
}

/** Starts, appends, stops. */
async function grow(count: number, options: Partial<DataDirectoryOptions> = {}): Promise<number> {
  const { server } = await start(options);
  const main = server.log('main') as Log;
  if (count > 0) await append({ server }, main, count);
  await server.publisher.publishDue();
  await stop();
  return main.state.treeSize;
}

async function exit(starting: Promise<unknown>): Promise<ExitError> {
  const error = await starting.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ExitError);
  return error as ExitError;
}

async function refusalOf(starting: Promise<unknown>): Promise<string> {
  const error = await exit(starting);
  expect(error.exitCode).toBe(78);
  return error.message;
}

/** A refusal that has written nothing. */
async function refusal(options: Partial<DataDirectoryOptions> = {}): Promise<string> {
  const before = listing();
  const error = await exit(start(options));
  expect(error.exitCode).toBe(78);
  expect(listing()).toEqual(before);
  return error.message;
}

/** Every file with its contents, but for LevelDB's own notes of having been opened. */
function listing(): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('db/'))
    .map((name) => {
      const file = join(path, name);
      return statSync(file).isDirectory() ? `${name}/` : `${name} ${readFileSync(file, 'hex').slice(0, 1000)}`;
    })
    .sort();
}

const mode = (file: string): string => statSync(file).mode.toString(8).slice(-3);

describe('a first start', () => {
  test('makes format, db, guard and keys, private; main and _system; an admin key told once', async () => {
    const { first, server, adopted } = await start();
    expect(readdirSync(path).sort()).toEqual(['db', 'format', 'guard', 'keys', 'run']);
    expect(readFileSync(join(path, 'format'), 'utf8')).toBe('3\n');
    expect([path, join(path, 'db'), join(path, 'keys')].map(mode)).toEqual(['700', '700', '700']);
    expect([join(path, 'keys/master'), join(path, 'guard'), join(path, 'format')].map(mode)).toEqual([
      '600',
      '600',
      '600',
    ]);
    expect(readFileSync(join(path, 'keys/master'), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
    expect(server.logs().map(({ name }) => name)).toEqual(['_system', 'main']);
    expect(first?.adminKey).toMatch(/^ind_[0-9a-f]{16}_[0-9a-f]{64}$/);
    expect(adopted).toBe(0);
    await stop();
    expect((await start()).first).toBeUndefined();
  });

  test.each([
    ['absent', () => {}],
    ['empty', () => mkdirSync(path)],
    ['empty but for lost+found', () => mkdirSync(join(path, 'lost+found'), { recursive: true })],
  ])('in a directory that is %s', async (_, prepare) => {
    prepare();
    expect(await grow(3)).toBe(3);
    expect(mode(path)).toBe('700');
  });

  test('an open directory is closed to others', async () => {
    mkdirSync(path, { mode: 0o755 });
    await grow(0);
    expect(mode(path)).toBe('700');
    chmodSync(path, 0o777);
    chmodSync(join(path, 'keys'), 0o755);
    await grow(0);
    expect([mode(path), mode(join(path, 'keys'))]).toEqual(['700', '700']);
  });

  test('in a stranger’s directory is refused, and nothing is touched', async () => {
    mkdirSync(path, { mode: 0o755 });
    writeFileSync(join(path, 'thesis.doc'), 'x');
    expect(await refusal()).toMatch(/thesis\.doc/);
    expect(mode(path)).toBe('755');
  });

  test('takes a master seed that is given, and makes none', async () => {
    const masterSeed = new Uint8Array(32).fill(7);
    expect(await grow(2, { masterSeed })).toBe(2);
    expect(existsSync(join(path, 'keys/master'))).toBe(false);
    expect(await grow(2, { masterSeed })).toBe(4);
    expect(await refusal({ masterSeed: new Uint8Array(32).fill(8) })).toMatch(/made with the key/);
    expect(await refusal()).toMatch(/master seed .* is missing/);
  });

  test('with a guard elsewhere', async () => {
    const guardPath = join(folder, 'other disk/guard');
    expect(await grow(2, { guardPath })).toBe(2);
    expect(existsSync(join(path, 'guard'))).toBe(false);
    expect(await grow(2, { guardPath })).toBe(4);
    expect(await refusal()).toMatch(/no guard/);
  });
});

describe('a first start that was interrupted', () => {
  const storeId = new Uint8Array(32).fill(0x51);
  const master = (): Uint8Array => createMasterFile(join(path, 'keys/master'));

  const steps: [string, () => void | Promise<void>][] = [
    ['after the directory', () => void mkdirSync(path)],
    ['after keys/', () => void mkdirSync(join(path, 'keys'), { recursive: true })],
    [
      'within the master seed',
      () => {
        mkdirSync(join(path, 'keys'), { recursive: true });
        writeFileSync(join(path, 'keys/master.tmp-0123'), 'abc');
      },
    ],
    ['after the master seed', () => void master()],
    [
      'within the guard',
      () => {
        master();
        writeFileSync(join(path, 'guard.tmp-0123'), new Uint8Array(5000));
      },
    ],
    [
      'after the guard',
      async () => {
        master();
        createGuard(join(path, 'guard'), storeId);
      },
    ],
    [
      'after the folder db/',
      async () => {
        master();
        createGuard(join(path, 'guard'), storeId);
        mkdirSync(join(path, 'db'));
      },
    ],
    [
      'within LevelDB’s first files',
      async () => {
        master();
        createGuard(join(path, 'guard'), storeId);
        await (await openLevelStore({ path: join(path, 'db'), createIfMissing: true })).close();
        rmSync(join(path, 'db/CURRENT'));
      },
    ],
    [
      'within LevelDB’s manifest',
      async () => {
        master();
        createGuard(join(path, 'guard'), storeId);
        await (await openLevelStore({ path: join(path, 'db'), createIfMissing: true })).close();
        for (const name of readdirSync(join(path, 'db'))) {
          if (name.startsWith('MANIFEST')) truncateSync(join(path, 'db', name));
        }
      },
    ],
    [
      'after an empty database',
      async () => {
        master();
        createGuard(join(path, 'guard'), storeId);
        await (await openLevelStore({ path: join(path, 'db'), createIfMissing: true })).close();
      },
    ],
    [
      'within commit 1',
      async () => {
        master();
        createGuard(join(path, 'guard'), storeId);
        const db = join(path, 'db');
        const store = await openLevelStore({ path: db, createIfMissing: true });
        await store.commit([{ key: 'server/store', value: new Uint8Array(1000) }]);
        await store.close();
        for (const name of readdirSync(db)) if (name.endsWith('.log')) truncateSync(join(db, name), 100);
      },
    ],
  ];

  test.each(steps)('%s is made again, once and for all', async (_, prepare) => {
    await prepare();
    const kept = existsSync(join(path, 'keys/master')) ? readFileSync(join(path, 'keys/master'), 'utf8') : undefined;
    const { first } = await start();
    expect(first?.adminKey).toBeDefined();
    if (kept !== undefined) expect(readFileSync(join(path, 'keys/master'), 'utf8')).toBe(kept);
    await stop();
    expect(
      readdirSync(path)
        .filter((name) => !name.includes('.tmp-'))
        .sort(),
    ).toEqual(['db', 'format', 'guard', 'keys']);
    expect(await grow(3)).toBe(3);
  });

  test('while whoever had the directory before still makes files of its database', async () => {
    master();
    createGuard(join(path, 'guard'), storeId);
    const db = join(path, 'db');
    mkdirSync(db);
    // Removing so many takes a while, in which others come.
    for (let n = 1; n <= 500; n++) writeFileSync(join(db, `${String(n).padStart(6, '0')}.ldb`), '');
    let made = 0;
    const other = setInterval(() => {
      if (existsSync(join(db, '000001.ldb'))) return;
      if (made === 5 || !existsSync(db)) clearInterval(other);
      else writeFileSync(join(db, `9${String(made++).padStart(5, '0')}.ldb`), '');
    }, 1);
    try {
      expect((await start()).first?.adminKey).toBeDefined();
    } finally {
      clearInterval(other);
    }
    expect(made).toBeGreaterThan(0);
  });

  /** Runs a first start up to commit 1, which the guard fails to promise. */
  async function toCommitOne(): Promise<void> {
    const opened = await openDataDirectory({ path });
    const guard = { checkOwner: () => {}, promise: async () => Promise.reject(new Error('planted')) };
    await createLogServer({ ...opened, guard }, { clock: new ManualClock(), onFatal: () => {} }).catch(() => {});
    await opened.close();
  }

  test('after commit 1, before its promise: the commit is adopted', async () => {
    await toCommitOne();
    expect(existsSync(join(path, 'format'))).toBe(false);
    const { first, adopted } = await start();
    expect([first, adopted]).toEqual([undefined, 1]);
    await stop();
    expect(await grow(3)).toBe(3);
    expect(existsSync(join(path, 'format'))).toBe(true);
  });

  test('within the promise of commit 1: the torn slot is explained by it', async () => {
    await toCommitOne();
    const guard = readFileSync(join(path, 'guard'));
    guard.fill(0xff, 4096, 4096 + 60);
    writeFileSync(join(path, 'guard'), guard);
    expect((await start()).adopted).toBe(1);
  });

  test('before the format', async () => {
    await grow(0);
    rmSync(join(path, 'format'));
    writeFileSync(join(path, 'format.tmp-0123'), '');
    expect(await grow(2)).toBe(2);
    expect(readFileSync(join(path, 'format'), 'utf8')).toBe('3\n');
  });

  test('by a format that cannot be written, which is told as an exit code', async () => {
    const opened = await openDataDirectory({ path });
    renameSync(path, `${path}-elsewhere`);
    await expect(opened.finish()).rejects.toMatchObject({
      name: 'Error',
      exitCode: 2,
      message: /cannot open .*ENOENT/,
    });
    renameSync(`${path}-elsewhere`, path);
    await opened.close();
    expect(await grow(1)).toBe(1);
  });

  test('a folder db/ with a stranger’s file is not removed', async () => {
    master();
    createGuard(join(path, 'guard'), storeId);
    mkdirSync(join(path, 'db'));
    writeFileSync(join(path, 'db/thesis.doc'), 'x');
    expect(await refusalOf(start())).toMatch(/thesis\.doc/);
    expect(readFileSync(join(path, 'db/thesis.doc'), 'utf8')).toBe('x');
  });

  test('a commit 1 of another store is not thrown away', async () => {
    await grow(3);
    rmSync(join(path, 'guard'));
    createGuard(join(path, 'guard'), storeId);
    // A guard that has promised nothing is not the guard of a directory in use.
    expect(await refusal()).toMatch(/has promised nothing/);
    rmSync(join(path, 'format'));
    expect((await exit(start())).message).toMatch(/belongs to store/);
    expect((await exit(start())).message).toMatch(/belongs to store/);
    expect(await refusal()).toMatch(/belongs to store/);
  });
});

describe('refused', () => {
  test('a database without its guard', async () => {
    await grow(3);
    rmSync(join(path, 'guard'));
    expect(await refusal()).toMatch(/no guard/);
  });

  test('a guard that has promised, without its database', async () => {
    await grow(3);
    rmSync(join(path, 'db'), { recursive: true });
    expect(await refusal()).toMatch(/database is missing/);
    rmSync(join(path, 'format'));
    expect(await refusal()).toMatch(/has promised commits, but .* is missing/);
    rmSync(join(path, 'keys'), { recursive: true });
    // Not even a new master seed is made: it would pass for the old one when the database is put back.
    expect(await refusal()).toMatch(/has promised commits, but .* is missing/);
    expect(existsSync(join(path, 'keys'))).toBe(false);
  });

  test('a database without its master seed', async () => {
    await grow(3);
    rmSync(join(path, 'keys/master'));
    expect(await refusal()).toMatch(/master seed .* is missing/);
    rmSync(join(path, 'keys'), { recursive: true });
    expect(await refusal()).toMatch(/master seed .* is missing/);
  });

  test('another master seed', async () => {
    await grow(3);
    rmSync(join(path, 'keys/master'));
    createMasterFile(join(path, 'keys/master'));
    expect((await exit(start())).message).toMatch(/made with the key/);
  });

  test.each(['', 'abc\n', `${'A'.repeat(64)}\n`, `${'0'.repeat(64)}\n\n`])('the master seed %j', async (text) => {
    await grow(0);
    writeFileSync(join(path, 'keys/master'), text);
    expect(await refusal()).toMatch(/does not hold a master seed/);
  });

  test.each([0o644, 0o640, 0o604, 0o660, 0o601])('a key file of mode %o', async (bits) => {
    await grow(0);
    chmodSync(join(path, 'keys/master'), bits);
    expect(await refusal()).toMatch(/can be read by others.*chmod 600/);
  });

  test('a newer format, an older one, and what is no format', async () => {
    await grow(0);
    writeFileSync(join(path, 'format'), '4\n');
    expect(await refusal()).toMatch(/format 4.*newer version/);
    for (const older of ['1', '2']) {
      writeFileSync(join(path, 'format'), `${older}\n`);
      expect(await refusal()).toMatch(new RegExp(`format ${older}.*before the first release`));
    }
    writeFileSync(join(path, 'format'), 'x');
    expect(await refusal()).toMatch(/format/);
  });

  test('a guard that is not one', async () => {
    await grow(0);
    truncateSync(join(path, 'guard'), 100);
    expect(await refusal()).toMatch(/not a guard/);
    writeFileSync(join(path, 'guard'), new Uint8Array(4 * 4096));
    expect(await refusal()).toMatch(/both slots/);
  });

  test('a database put back from an older copy: what there is, and what was promised', async () => {
    await grow(3);
    cpSync(join(path, 'db'), join(folder, 'older'), { recursive: true });
    await grow(3);
    rmSync(join(path, 'db'), { recursive: true });
    renameSync(join(folder, 'older'), join(path, 'db'));
    const error = await exit(start());
    expect([error.exitCode, error.message]).toEqual([78, expect.stringMatching(/rollback.*commit 3.*commit 5/)]);
  });

  test('a log file with a broken record: none that was promised is cut off, one after the promised commit is', async () => {
    const size = await grow(3);
    const log = join(path, 'db', readdirSync(join(path, 'db')).find((name) => name.endsWith('.log')) as string);
    const whole = readFileSync(log);
    // A record of the right length of which not every sector was written: nobody was told of the commit it was to be.
    const broken = Buffer.alloc(7 + 700, 0x55);
    broken.writeUInt16LE(700, 4);
    broken.writeUInt8(1, 6);
    const flipped = Buffer.from(whole);
    flipped.writeUInt8(255 - (flipped.at(-1) as number), flipped.length - 1);
    for (const damaged of [flipped, Buffer.concat([flipped, broken])]) {
      writeFileSync(log, damaged);
      expect(await refusalOf(start())).toContain('.log is damaged at byte');
      expect(readFileSync(log).equals(damaged)).toBe(true);
    }
    const torn = Buffer.concat([whole, broken]);
    writeFileSync(log, torn);
    expect((await checkDataDirectory({ path })).faults.kept).toEqual([]);
    expect(readFileSync(log).equals(torn)).toBe(true);
    expect(await grow(1)).toBe(size + 1);
  });

  test('a database that LevelDB cannot open', async () => {
    await grow(3);
    rmSync(join(path, 'db/CURRENT'));
    expect((await exit(start())).exitCode).toBe(78);
    expect(existsSync(join(path, 'db/CURRENT'))).toBe(false);
  });
});

describe('a copy', () => {
  let copy: string;

  beforeEach(async () => {
    await grow(5);
    copy = join(folder, 'copy');
    cpSync(path, copy, { recursive: true });
    chmodSync(join(copy, 'keys/master'), 0o600);
  });

  test('is refused and told how to go on; the original is not concerned', async () => {
    const error = await exit(start({ path: copy }));
    expect(error.exitCode).toBe(78);
    expect(error.message).toContain('indelible adopt');
    expect(await grow(2)).toBe(7);
  });

  test('runs where inodes are not checked', async () => {
    expect(await grow(2, { path: copy, checkInode: false })).toBe(7);
  });

  test('runs after it was adopted, and says so in _system', async () => {
    expect(await adoptDataDirectory({ path: copy })).toEqual({
      logs: [
        { name: '_system', treeSize: 4 },
        { name: 'main', treeSize: 5 },
      ],
    });
    const { server } = await start({ path: copy });
    const system = server.log('_system') as Log;
    const [entry] = await server.entries(system, 3, 4);
    expect(JSON.parse(new TextDecoder().decode(entry?.event))).toMatchObject({ action: 'store.adopted' });
    expect((server.log('main') as Log).state.treeSize).toBe(5);
  });

  test('in the inode of the original is refused as well, where the file system says when a file was made', async () => {
    const guard = join(copy, 'guard');
    const { ino, birthtimeNs } = statSync(guard, { bigint: true });
    if (birthtimeNs === 0n) return console.log('SKIPPED: this file system keeps no birth times');
    const identity = Buffer.alloc(4096);
    const content = Buffer.concat([
      Buffer.from('indelible inode 2'),
      readFileSync(guard).subarray(17, 49),
      Buffer.from([ino, 1_700_000_000n, 5n].map((n) => n.toString(16).padStart(16, '0')).join(''), 'hex'),
    ]);
    content.copy(identity);
    createHash('sha256').update(content).digest().copy(identity, content.length);
    const fd = openSync(guard, 'r+');
    writeSync(fd, identity, 0, 4096, 3 * 4096);
    closeSync(fd);
    expect((await exit(start({ path: copy }))).message).toContain('is a copy');
    expect((await adoptDataDirectory({ path: copy })).logs[1]).toEqual({ name: 'main', treeSize: 5 });
    expect(await grow(1, { path: copy })).toBe(6);
    expect((await exit(adoptDataDirectory({ path: copy }))).exitCode).toBe(2);
  });

  test('that is damaged is not adopted', async () => {
    cpSync(join(path, 'guard'), join(folder, 'guard of the original'));
    await grow(3);
    // The copy holds fewer commits than the guard that comes with it.
    copyFileSync(join(path, 'guard'), join(copy, 'guard'));
    const error = await exit(adoptDataDirectory({ path: copy }));
    expect([error.exitCode, error.message]).toEqual([78, expect.stringMatching(/rollback/)]);
    expect((await exit(start({ path: copy }))).message).toContain('indelible adopt');
  });

  test('is adopted with all checks: not under another seed', async () => {
    const error = await exit(adoptDataDirectory({ path: copy, masterSeed: new Uint8Array(32) }));
    expect(error.exitCode).toBe(78);
    expect((await exit(start({ path: copy }))).message).toContain('indelible adopt');
  });

  test('an adoption that was interrupted before the new inode is done again', async () => {
    const { adoptInode } = GuardFile.prototype;
    GuardFile.prototype.adoptInode = async () => {
      throw new Error('planted crash');
    };
    try {
      await expect(adoptDataDirectory({ path: copy })).rejects.toThrow('planted crash');
    } finally {
      GuardFile.prototype.adoptInode = adoptInode;
    }
    expect((await exit(start({ path: copy }))).message).toContain('indelible adopt');
    expect((await adoptDataDirectory({ path: copy })).logs[0]).toEqual({ name: '_system', treeSize: 5 });
    expect(await grow(1, { path: copy })).toBe(6);
  });

  test('there is nothing to adopt in an original, an empty directory, or none', async () => {
    expect((await exit(adoptDataDirectory({ path }))).exitCode).toBe(2);
    expect((await exit(adoptDataDirectory({ path: join(folder, 'none') }))).exitCode).toBe(2);
    expect(existsSync(join(folder, 'none'))).toBe(false);
    expect(await grow(1)).toBe(6);
  });
});

describe('one owner', () => {
  test('who comes second exits 75 and has written nothing', async () => {
    await start();
    const before = listing();
    const error = await exit(start());
    expect(error.exitCode).toBe(75);
    expect(listing()).toEqual(before);
  });

  test('the lock survives its files being removed, and is of the directory as well as of the guard', async () => {
    const guardPath = join(folder, 'guard');
    await start({ guardPath });
    rmSync(join(path, 'db/LOCK'));
    expect((await exit(start({ guardPath }))).exitCode).toBe(75);
    const other = join(folder, 'other');
    cpSync(path, other, { recursive: true });
    chmodSync(join(other, 'keys/master'), 0o600);
    expect((await exit(start({ path: other, guardPath }))).exitCode).toBe(75);
    await stop();
    const release = await lockPath(path);
    expect((await exit(start({ guardPath }))).exitCode).toBe(75);
    release();
    expect(await grow(1, { guardPath })).toBe(1);
  });

  test('who was deposed acknowledges nothing and stops', async () => {
    const { server } = await start();
    const main = server.log('main') as Log;
    await append({ server }, main, 2);
    const { guard } = GuardFile.open(join(path, 'guard'));
    await guard.claim();
    guard.close();
    await expect(append({ server }, main, 1)).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect(fatal).toEqual([expect.objectContaining({ code: 'deposed' })]);
    expect(main.state.treeSize).toBe(2);
    await stop();
    const again = await start();
    // It looked before its batch, too: nothing of it is in what is the successor's database by now.
    expect([again.adopted, again.server.log('main')?.state.treeSize]).toEqual([0, 2]);
  });

  test('who is deposed between its batch and its promise has not acknowledged either; the commit is adopted', async () => {
    const { server } = await start();
    const main = server.log('main') as Log;
    const { promise } = GuardFile.prototype;
    GuardFile.prototype.promise = async function (this: GuardFile, promised) {
      const { guard } = GuardFile.open(join(path, 'guard'));
      await guard.claim();
      guard.close();
      return promise.call(this, promised);
    };
    try {
      await expect(append({ server }, main, 1)).rejects.toMatchObject({ code: 'outcome_unknown' });
    } finally {
      GuardFile.prototype.promise = promise;
    }
    await stop();
    const again = await start();
    expect([again.adopted, again.server.log('main')?.state.treeSize]).toEqual([1, 1]);
  });

  test('an idle server that was deposed stops by itself', async () => {
    const clock = new ManualClock();
    const started = await startLogServer({ path }, { clock, onFatal: (error) => fatal.push(error) });
    running.push(started);
    const { guard } = GuardFile.open(join(path, 'guard'));
    await guard.claim();
    guard.close();
    expect(fatal).toEqual([]);
    clock.advance(1000);
    await settle();
    expect(fatal).toEqual([expect.objectContaining({ code: 'deposed' })]);
    await expect(started.server.recordSystemEvent({ action: 'x.y' })).rejects.toMatchObject({
      code: 'outcome_unknown',
    });
  });

  test('the guard is claimed before the database is opened', async () => {
    await grow(2);
    const { claim } = GuardFile.prototype;
    const seen: string[] = [];
    GuardFile.prototype.claim = async function (this: GuardFile) {
      const store = await openLevelStore({ path: join(path, 'db'), createIfMissing: false });
      seen.push('the database was still closed');
      await store.close();
      return claim.call(this);
    };
    try {
      await start();
    } finally {
      GuardFile.prototype.claim = claim;
    }
    expect(seen).toEqual(['the database was still closed']);
  });

  test.each([
    [
      'a successor has removed is no damage',
      true,
      { exitCode: 75, message: expect.stringContaining('another process') },
    ],
    [
      'nobody else has removed is',
      false,
      { exitCode: 78, message: expect.stringContaining('cannot open the database') },
    ],
  ])('a file of the database that %s', async (_, succeeded, expected) => {
    await grow(1);
    const { claim } = GuardFile.prototype;
    GuardFile.prototype.claim = async function (this: GuardFile) {
      const content = await claim.call(this);
      if (succeeded) {
        const { guard } = GuardFile.open(this.path);
        await claim.call(guard);
        guard.close();
      }
      rmSync(join(path, 'db/CURRENT'));
      return content;
    };
    try {
      expect(await exit(start())).toMatchObject(expected);
    } finally {
      GuardFile.prototype.claim = claim;
    }
  });

  test('a guard that cannot be written ends the start with 70, one that was taken over with 75', async () => {
    await grow(1);
    const { claim } = GuardFile.prototype;
    const { GuardError } = await import('../../server/guard.ts');
    for (const [code, exitCode] of [
      ['outcome_unknown', 70],
      ['deposed', 75],
    ] as const) {
      GuardFile.prototype.claim = async () => {
        throw new GuardError(code, 'planted');
      };
      try {
        expect((await exit(start())).exitCode).toBe(exitCode);
      } finally {
        GuardFile.prototype.claim = claim;
      }
    }
    expect(await grow(1)).toBe(2);
  });
});
