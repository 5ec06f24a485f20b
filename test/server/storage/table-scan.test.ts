/** LevelDB's tables, looked at before LevelDB does: of whatever the scan lets pass, LevelDB reads the rows that count as they were. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openLevelStore } from '../../../server/storage/level.ts';
import { readManifest } from '../../../server/storage/manifest.ts';
import { checkTables } from '../../../server/storage/table-scan.ts';
import { concatBytes, utf8 } from '../../../tree/bytes.ts';
import { seededRandom } from '../../support/random.ts';
import { ROOT, temporaryFolder } from '../../support/spawn-server.ts';

let folder: ReturnType<typeof temporaryFolder>;
let original: string;
let path: string;
/** Rows that nothing but a checksum vouches for. */
const counted = new Map<string, string>();

beforeAll(async () => {
  folder = temporaryFolder('tables');
  original = join(folder.path, 'original');
  path = join(folder.path, 'db');
  mkdirSync(original);
  const random = seededRandom(5);
  const open = () => openLevelStore({ path: original, createIfMissing: true, writeBufferSize: 65_536 });
  let store = await open();
  for (let n = 0; n < 1500; n++) {
    const digits = String(n).padStart(16, '0');
    const noise = Array.from({ length: 8 }, () => Math.floor(random() * 2 ** 48).toString(36)).join('');
    const rows: [string, string][] = [[`log/main/id/${noise}`, digits]];
    if (n % 20 === 0) rows.push([`log/main/head/${digits}`, noise], [`server/key/${digits}`, '{"scopes":["read"]}']);
    for (const [key, value] of rows) counted.set(key, value);
    await store.commit([
      ...rows.map(([key, value]) => ({ key, value: utf8(value) })),
      { key: `stream/main/event/${digits}`, value: utf8(noise.repeat(3)) },
    ]);
  }
  await store.close();
  // Whatever is still in a log file becomes a table.
  store = await open();
  await store.close();
}, 60_000);

afterAll(() => folder.remove());

function fresh(): string[] {
  rmSync(path, { recursive: true, force: true });
  cpSync(original, path, { recursive: true });
  return readdirSync(path)
    .filter((name) => name.endsWith('.ldb'))
    .map((name) => join(path, name));
}

async function refusal(): Promise<string | undefined> {
  try {
    await checkTables(path);
    return undefined;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    expect({ code, message }).toMatchObject({ code: 'unreadable' });
    return message;
  }
}

/** All rows that count, as LevelDB itself reads them in a process of its own; `undefined` if that does not survive it. */
function readByLevel(): [string, string][] | undefined {
  const script = `
    import { Level } from 'level';
    const db = new Level(process.argv[1], { createIfMissing: false });
    const rows = (await db.iterator().all()).filter(([key]) => /^server|[/](?:id|head)[/]/.test(key));
    process.stdout.write(JSON.stringify(rows));
    await db.close();`;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script, path], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  return status === 0 ? (JSON.parse(stdout) as [string, string][]) : undefined;
}

test('the MANIFEST names the very tables that are there, with their sizes and keys in order', () => {
  const files = fresh();
  const tables = readManifest(path)?.tables ?? [];
  expect(tables.map(({ number }) => `${String(number).padStart(6, '0')}.ldb`).sort()).toEqual(
    files.map((file) => file.slice(path.length + 1)).sort(),
  );
  expect(tables.length).toBeGreaterThan(2);
  for (const { number, size, smallest, largest } of tables) {
    expect(readFileSync(join(path, `${String(number).padStart(6, '0')}.ldb`))).toHaveLength(size);
    expect(smallest <= largest).toBe(true);
    expect(smallest).toMatch(/^(?:log\/main|server)\//);
  }
});

test('whole tables pass', async () => {
  fresh();
  expect(await refusal()).toBeUndefined();
});

describe('damage', () => {
  test('one flipped bit, anywhere: named, or in a block of events, or without effect', async () => {
    const random = seededRandom(11);
    let refused = 0;
    let passed = 0;
    for (let i = 0; i < 60; i++) {
      const files = fresh();
      const file = files[Math.floor(random() * files.length)] as string;
      const bytes = readFileSync(file);
      const at = Math.floor(random() * bytes.length);
      // biome-ignore lint/suspicious/noBitwiseOperators: one bit of one byte
      bytes[at] = (bytes[at] as number) ^ (2 ** Math.floor(random() * 8));
      writeFileSync(file, bytes);
      const message = await refusal();
      if (message !== undefined) {
        expect(message).toContain(file);
        refused++;
        continue;
      }
      passed++;
      const rows = readByLevel();
      // LevelDB may also stop at an assertion, in a block of events that it puts into another table.
      if (rows !== undefined) expect({ file, at, rows }).toEqual({ file, at, rows: [...counted].sort() });
    }
    expect(refused).toBeGreaterThan(10);
    expect(passed).toBeGreaterThan(2);
  }, 60_000);

  test('every byte of the end of a table: filter, metadata, index and footer', async () => {
    const [file] = fresh();
    const bytes = readFileSync(file as string);
    const silent: number[] = [];
    for (let at = bytes.length - 400; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] as number) < 128 ? 255 : 0;
      writeFileSync(file as string, damaged);
      if ((await refusal()) === undefined) silent.push(bytes.length - at);
    }
    // The footer has room for larger numbers than stand in it; that padding means nothing.
    expect(silent.every((fromEnd) => fromEnd > 8 && fromEnd <= 40)).toBe(true);
    expect(silent.length).toBeLessThan(36);
  });

  test('a table that is cut off, empty or gone is named', async () => {
    for (const damage of [
      (file: string) => truncateSync(file, readFileSync(file).length - 1),
      (file: string) => truncateSync(file, 0),
      (file: string) => rmSync(file),
    ]) {
      const [file] = fresh();
      damage(file as string);
      expect(await refusal()).toContain(file as string);
    }
  });

  test('bytes after the end of a table are not part of it', async () => {
    const [file] = fresh();
    writeFileSync(file as string, concatBytes(readFileSync(file as string), new Uint8Array(5000).fill(7)));
    expect(await refusal()).toBeUndefined();
  });
});

test('a database without a MANIFEST is for LevelDB to refuse', async () => {
  fresh();
  rmSync(join(path, 'CURRENT'));
  expect(await refusal()).toBeUndefined();
});
