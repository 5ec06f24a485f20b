import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { COMMIT_PREFIX, commitKey } from '../../../server/storage/keys.ts';
import { openLevelStore } from '../../../server/storage/level.ts';
import { type Manifest, readManifest, tableFile } from '../../../server/storage/manifest.ts';
import { prefixRange } from '../../../server/storage/store.ts';
import { lastInTables } from '../../../server/storage/table-lookup.ts';
import { temporaryFolder } from '../../support/spawn-server.ts';

/** Enough for several tables of a small write buffer, and for several blocks in each. */
const COMMITS = 60;

let folder: ReturnType<typeof temporaryFolder>;
let path: string;
let manifest: Manifest;

beforeEach(async () => {
  folder = temporaryFolder('lookup');
  path = join(folder.path, 'db');
  mkdirSync(path);
  const store = await openLevelStore({ path, createIfMissing: true, writeBufferSize: 65_536 });
  for (let n = 1; n <= COMMITS; n++)
    await store.commit([
      { key: commitKey(n), value: randomBytes(3000) },
      { key: commitKey(n - 50), value: undefined },
    ]);
  await store.close();
  await (await openLevelStore({ path, createIfMissing: false })).close();
  manifest = readManifest(path) as Manifest;
});

afterEach(() => folder.remove());

const only = (key: string): { gte: string; lt: string } => ({ gte: key, lt: `${key}\0` });

test('finds every key that is there and none that is not', () => {
  expect(manifest.tables.length).toBeGreaterThan(1);
  for (let n = 11; n <= COMMITS; n++) {
    expect(lastInTables(path, manifest, only(commitKey(n)))).toBe(commitKey(n));
    expect(lastInTables(path, manifest, only(`${commitKey(n)}x`))).toBeUndefined();
    expect(lastInTables(path, manifest, { gte: `${commitKey(n)}x`, lt: commitKey(n + 1) })).toBeUndefined();
    expect(lastInTables(path, manifest, { gte: commitKey(11), lt: `${commitKey(n)}x` })).toBe(commitKey(n));
  }
  const { gte, lt } = prefixRange(COMMIT_PREFIX, 1);
  expect(lastInTables(path, manifest, { gte, lt })).toBe(commitKey(COMMITS));
  expect(lastInTables(path, manifest, { gte: commitKey(COMMITS), lt })).toBe(commitKey(COMMITS));
  expect(lastInTables(path, manifest, { gte: commitKey(COMMITS + 1), lt })).toBeUndefined();
  expect(lastInTables(path, manifest, { gte: 'a', lt: gte })).toBeUndefined();
  expect(lastInTables(path, manifest, { gte: lt, lt: 'z' })).toBeUndefined();
  expect(lastInTables(path, { ...manifest, tables: [] }, { gte, lt })).toBeUndefined();
});

test('a damaged table is named where it may hold the key, and not read where it cannot', () => {
  for (const table of manifest.tables) {
    const file = tableFile(path, table);
    const content = readFileSync(file);
    writeFileSync(
      file,
      content.map((byte) => 255 - byte),
    );
    expect(() => lastInTables(path, { ...manifest, tables: [table] }, only(table.smallest))).toThrow(
      `${file} is damaged`,
    );
    expect(() => lastInTables(path, { ...manifest, tables: [table] }, only(table.largest))).toThrow(
      `${file} is damaged`,
    );
    expect(lastInTables(path, { ...manifest, tables: [table] }, { gte: 'a', lt: table.smallest })).toBeUndefined();
    expect(
      lastInTables(path, { ...manifest, tables: [table] }, { gte: `${table.largest}\0`, lt: 'z' }),
    ).toBeUndefined();
    writeFileSync(file, content);
  }
});
