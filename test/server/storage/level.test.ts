import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Level } from 'level';
import { openLevelStore } from '../../../server/storage/level.ts';
import { StorageError, type Store } from '../../../server/storage/store.ts';
import { storageSuite } from './suite.ts';

storageSuite('LevelDB', async () => {
  const path = mkdtempSync(join(tmpdir(), 'indelible-level-'));
  let store = await openLevelStore({ path, createIfMissing: true });
  return {
    store,
    reopen: async () => {
      await store.close();
      store = await openLevelStore({ path, createIfMissing: false });
      return store;
    },
    destroy: async () => {
      await store.close();
      rmSync(path, { recursive: true });
    },
  };
});

storageSuite('LevelDB with a small write buffer', async () => {
  const path = mkdtempSync(join(tmpdir(), 'indelible-level-'));
  let store = await openLevelStore({ path, createIfMissing: true, writeBufferSize: 64 * 1024 });
  return {
    store,
    reopen: async () => {
      await store.close();
      store = await openLevelStore({ path, createIfMissing: false, writeBufferSize: 64 * 1024 });
      return store;
    },
    destroy: async () => {
      await store.close();
      rmSync(path, { recursive: true });
    },
  };
});

describe('LevelDB', () => {
  let folder: string;
  let path: string;
  const value = Uint8Array.of(1);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'indelible-level-'));
    path = join(folder, 'db');
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const failure = async (opening: Promise<Store>): Promise<StorageError> => {
    const error = await opening.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(StorageError);
    return error as StorageError;
  };

  test('a database that somebody has open is locked', async () => {
    const store = await openLevelStore({ path, createIfMissing: true });
    expect((await failure(openLevelStore({ path, createIfMissing: false }))).code).toBe('locked');
    await store.commit([{ key: 'a', value }]);
    await store.close();
  });

  test('a missing database is unreadable, and is not made', async () => {
    const error = await failure(openLevelStore({ path, createIfMissing: false }));
    expect(error.code).toBe('unreadable');
    expect(error.message).toContain(path);
    expect(existsSync(join(path, 'CURRENT'))).toBe(false);
  });

  test('a database that lost its CURRENT file is unreadable, not new and empty', async () => {
    const store = await openLevelStore({ path, createIfMissing: true });
    await store.commit([{ key: 'a', value }]);
    await store.close();
    rmSync(join(path, 'CURRENT'));
    expect((await failure(openLevelStore({ path, createIfMissing: false }))).code).toBe('unreadable');
  });

  test('what the system says while it opens is told as it is, and is not damage', async () => {
    await (await openLevelStore({ path, createIfMissing: true })).close();
    // LevelDB goes on without its text log where it cannot make one; we read it, because it may say what LevelDB dropped.
    rmSync(join(path, 'LOG'));
    rmSync(join(path, 'LOG.old'), { force: true });
    mkdirSync(join(path, 'LOG'));
    mkdirSync(join(path, 'LOG.old', 'full'), { recursive: true });
    const error = await openLevelStore({ path, createIfMissing: false }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'EISDIR', syscall: 'read' });
    // And it is closed again.
    rmSync(join(path, 'LOG'), { recursive: true });
    await (await openLevelStore({ path, createIfMissing: false })).close();
  });

  test('every commit is one synchronous batch', async () => {
    const asked: unknown[] = [];
    const batch = Level.prototype.batch;
    Level.prototype.batch = function (this: Level, ...args: unknown[]) {
      expect(args).toEqual([]);
      const chained = (batch as () => ReturnType<Level['batch']>).call(this) as unknown as {
        write: (options: unknown) => Promise<void>;
      };
      const write = chained.write.bind(chained);
      chained.write = (options) => {
        asked.push(options);
        return write(options);
      };
      return chained;
    } as unknown as typeof batch;
    try {
      const store = await openLevelStore({ path, createIfMissing: true });
      await store.commit([
        { key: 'a', value },
        { key: 'b', value: undefined },
      ]);
      await store.close();
    } finally {
      Level.prototype.batch = batch;
    }
    expect(asked).toEqual([{ sync: true }]);
  });

  test('after a failed commit every commit fails, although LevelDB would go on', async () => {
    const batch = Level.prototype.batch;
    let failing = true;
    Level.prototype.batch = function (this: Level) {
      if (failing) throw new Error('planted: no space left on device');
      return (batch as () => ReturnType<Level['batch']>).call(this);
    } as unknown as typeof batch;
    try {
      const store = await openLevelStore({ path, createIfMissing: true });
      const first = await store.commit([{ key: 'a', value }]).catch((error: unknown) => error);
      failing = false;
      const second = await store.commit([{ key: 'b', value }]).catch((error: unknown) => error);
      expect(first).toMatchObject({ name: 'StorageError', code: 'outcome_unknown' });
      expect((first as Error).message).toContain('no space left on device');
      expect(second).toBe(first);
      expect(await store.get('b')).toBeUndefined();
      await store.close();
    } finally {
      Level.prototype.batch = batch;
    }
  });
});
