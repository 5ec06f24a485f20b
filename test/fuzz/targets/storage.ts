/** What comes back from a disk that may lie: rows, commit records, the guard, LevelDB's own files, the by-hash index. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Level } from 'level';
import { concatBytes, equalBytes, fromUtf8, toHex, utf8 } from '../../../tree/bytes.ts';
import type { Modules } from '../build-modules.ts';
import { reshaped } from '../json-shapes.ts';
import { below, type Random, splice } from '../mutator.ts';
import { decompressed } from '../reference-snappy.ts';
import type { SignedLog } from '../signed.ts';
import { bytesTarget, coded, expect, expectSame, nothing, oneOf, type Target } from '../target.ts';
import { logFile } from '../wal-file.ts';

export async function storageTargets(modules: Modules, log: SignedLog, folder: string): Promise<Target[]> {
  return [
    ...rowTargets(modules, log),
    ...jsonRowTargets(modules, log),
    ...indexTargets(modules),
    ...logFileTargets(modules, folder),
    ...(await databaseTargets(modules, folder)),
    guardTarget(modules, folder),
  ];
}

const range = oneOf(RangeError);

function rowTargets({ rows, commitRecord, bundles }: Modules, log: SignedLog): Target[] {
  const edge = (treeSize: number) => ({
    treeSize,
    lastReceivedAt: Math.min(treeSize * 1000, 2 ** 53 - 1),
    rootHash: log.rootAt(Math.min(treeSize, 7)),
    head: { treeSize, time: 5 },
    frontier: Array.from({ length: [...treeSize.toString(2)].filter((bit) => bit === '1').length }, () =>
      log.rootAt(2),
    ),
  });
  const record = (changed: readonly string[]) => ({
    ...{ storeId: new Uint8Array(32).fill(1), n: 7, previous: new Uint8Array(32).fill(2), logCount: 3 },
    ...{
      sum: new Uint8Array(32).fill(3),
      changed: changed.map((name) => ({ name, treeSize: 9, rootHash: log.rootAt(7) })),
    },
  });
  const row = { salt: new Uint8Array(32).fill(7), header: utf8('{"by":"a","via":"events"}'), event: utf8('{"a":1}') };
  return [
    bytesTarget({
      name: 'edge',
      covers: ['server/storage/rows parseEdge'],
      good: [0, 1, 7, 256, 2 ** 53 - 1].map((size) => rows.encodeEdge(edge(size))),
      refuses: range,
      read: (input) => expectSame(rows.encodeEdge(rows.parseEdge(input)), input),
    }),
    bytesTarget({
      name: 'event row',
      covers: ['server/storage/rows parseEventRow'],
      good: [row, { ...row, event: new Uint8Array(0) }, { ...row, header: new Uint8Array(0) }].map((each) =>
        rows.encodeEventRow(each),
      ),
      refuses: range,
      read: (input) => expectSame(rows.encodeEventRow(rows.parseEventRow(input)), input),
    }),
    bytesTarget({
      name: 'id row',
      covers: ['server/storage/rows parseIdRow'],
      good: [rows.encodeIdRow({ leafIndex: 0, count: 1 }), rows.encodeIdRow({ leafIndex: 2 ** 53 - 1, count: 10_000 })],
      refuses: range,
      read: (input) => expectSame(rows.encodeIdRow(rows.parseIdRow(input)), input),
    }),
    bytesTarget({
      name: 'open row',
      covers: ['server/storage/rows parseOpenRow'],
      good: [['a'], ['', 'bc', 'x'.repeat(300)]].map((leaves) => bundles.encodeBundle(leaves.map(utf8))),
      refuses: range,
      read: (input) => {
        const leaves = rows.parseOpenRow(input, 5);
        expect(leaves.length >= 1 && leaves.length <= 5, `${leaves.length} leaves`);
        expectSame(bundles.encodeBundle(leaves), input);
      },
    }),
    bytesTarget({
      name: 'commit record',
      covers: ['server/storage/commit-record parseCommitRecord'],
      good: [[], ['main'], ['main', '_system', 'x'.repeat(63)]].map((names) =>
        commitRecord.encodeCommitRecord(record(names)),
      ),
      refuses: range,
      read: (input) => expectSame(commitRecord.encodeCommitRecord(commitRecord.parseCommitRecord(input)), input),
    }),
  ];
}

/** Puts a right `check` at the end of an altered JSON row, now and then: then the members must be looked at. */
function checkedAgain(input: Uint8Array, random: Random): Uint8Array {
  if (random() >= 0.5) return input;
  try {
    const { check, ...members } = JSON.parse(fromUtf8(input)) as Record<string, unknown>;
    if (check === undefined) return input;
    const right = createHash('sha256').update(JSON.stringify(members)).digest('hex').slice(0, 32);
    return utf8(JSON.stringify({ ...members, check: right }));
  } catch {
    return input;
  }
}

function jsonRowTargets({ rows, checkedJson, log: logs, access, serverErrors }: Modules, log: SignedLog): Target[] {
  const definition = {
    ...{ name: 'main', kind: 'events' as const, origin: log.key.name, verifierKey: log.key.text },
    ...{ signEpoch: 0, rotations: [] },
    ...{ createdAt: '2026-01-02T03:04:05.000006Z', publicReads: false, idPointer: '/id', status: 'active' as const },
    ...{ frozenAt: null, deletedAt: null },
  };
  const frozen = { ...definition, status: 'frozen' as const, frozenAt: definition.createdAt, idPointer: null };
  const key = {
    ...{
      id: '0123456789abcdef',
      hash: 'ab'.repeat(32),
      name: 'billing',
      scopes: ['append', 'read'] as const,
      log: null,
    },
    ...{ createdAt: definition.createdAt, revokedAt: null },
  };
  const head = { checkpoint: log.notes.plain, time: 1_767_323_045_001 };
  const words = [
    '"check":',
    ',"check":"00"',
    '"chec\\u006b":',
    '"status":"frozen",',
    '"revoked_at":null',
    '"scopes":[',
    '1e3',
    '"time":',
  ];
  const damaged = coded(serverErrors.ServerError, 'damaged');
  const row = (
    name: string,
    covers: string,
    good: readonly Uint8Array[],
    refuses: (error: unknown) => boolean,
    again: (input: Uint8Array) => Uint8Array,
  ): Target =>
    bytesTarget({
      name,
      covers: [covers],
      good,
      words,
      cost: 3,
      refuses,
      read: (input, random) => {
        const given = checkedAgain(random() < 0.3 ? reshaped(input, random) : input, random);
        const written = again(given);
        // Read again, what was written says the same; members that nobody knows are gone.
        expectSame(again(written), written);
      },
    });
  return [
    row(
      'row with a check',
      'server/storage/checked-json parseChecked',
      [checkedJson.encodeChecked({ a: 1, b: 'text' })],
      range,
      (input) => checkedJson.encodeChecked(checkedJson.parseChecked(input)),
    ),
    row(
      'definition of a log',
      'server/log parseDefinition',
      [definition, frozen].map(logs.encodeDefinition),
      damaged,
      (input) => logs.encodeDefinition(logs.parseDefinition(input)),
    ),
    row(
      'API key row',
      'server/access parseApiKey',
      [key, { ...key, log: 'main', revokedAt: key.createdAt }].map(access.encodeApiKey),
      damaged,
      (input) => access.encodeApiKey(access.parseApiKey(input)),
    ),
    row(
      'head row',
      'server/storage/rows parseHeadRow',
      [head, { ...head, signature: new Uint8Array(68).fill(8) }].map(rows.encodeHeadRow),
      range,
      (input) => rows.encodeHeadRow(rows.parseHeadRow(input)),
    ),
  ];
}

function indexTargets({ runs, storeRow }: Modules): Target[] {
  const key = utf8('a key');
  const damage = oneOf(runs.IndexDamage);
  const rowValue = ({ value }: { readonly value: Uint8Array | undefined }): Uint8Array => value ?? new Uint8Array(0);
  /** Every other input gets a right checksum over what it says. */
  const sealed = (row: Uint8Array, input: Uint8Array, random: Random): Uint8Array =>
    random() < 0.5 ? input : runs.seal(row, input.subarray(0, Math.max(0, input.length - 4)));
  const list = [
    { id: 0, first: 0, count: 32_768 },
    { id: 4, first: 32_768, count: 512 },
  ];
  const logRows = [runs.NO_RUNS, { runs: list, rubbish: list.slice(1), nextId: 5 }].map((each) =>
    rowValue(runs.logRow('main', each)),
  );
  const entries = Uint32Array.from({ length: 9 }, (_, i) => i * 1_000_003);
  const storeId = new Uint8Array(32).fill(5);
  return [
    bytesTarget({
      name: 'sealed row',
      covers: ['server/by-hash/runs unseal'],
      good: [runs.seal(key, utf8('content')), runs.seal(key, new Uint8Array(0))],
      refuses: damage,
      read: (input, random) => {
        const given = sealed(key, input, random);
        expectSame(runs.seal(key, runs.unseal(key, given)), given);
      },
    }),
    bytesTarget({
      name: 'row of entries',
      covers: ['server/by-hash/runs parseEntries'],
      good: [rowValue(runs.entriesRow(key, entries))],
      refuses: damage,
      read: (input, random) => {
        const given = sealed(key, input, random);
        expectSame(rowValue(runs.entriesRow(key, runs.parseEntries(key, given, 3))), given);
      },
    }),
    bytesTarget({
      name: 'row of a log',
      covers: ['server/by-hash/runs parseLogRow'],
      good: logRows,
      refuses: damage,
      read: (input, random) => {
        const given = sealed(runs.logKey('main'), input, random);
        expectSame(rowValue(runs.logRow('main', runs.parseLogRow('main', given))), given);
      },
    }),
    bytesTarget({
      name: 'row of the index',
      covers: ['server/by-hash/store-row secretOf'],
      good: [rowValue(storeRow.storeRow(storeId, new Uint8Array(136).fill(6)))],
      refuses: nothing,
      read: (input, random) => {
        const given = sealed(storeRow.STORE_ROW, input, random);
        const secret = storeRow.secretOf(given, storeId);
        if (secret !== undefined) expectSame(rowValue(storeRow.storeRow(storeId, secret)), given);
      },
    }),
  ];
}

function logFileTargets({ logFormat, walScan, manifest, snappy, store }: Modules, folder: string): Target[] {
  const records = [
    [utf8('one')],
    [utf8('one'), new Uint8Array(0), utf8('three'.repeat(20))],
    [new Uint8Array(33_000).fill(5), utf8('end')],
    [new Uint8Array(32_768 - 7 - 7).fill(6), utf8('exactly at a block')],
  ];
  const files = records.map(logFile);
  const edit = Uint8Array.of(2, 5, 9, 0, 3, 6, 4, 9);
  const table = concatBytes(
    Uint8Array.of(7, 0, 8, 100, 9),
    utf8('a'),
    new Uint8Array(8),
    Uint8Array.of(9),
    utf8('z'),
    new Uint8Array(8),
  );
  const manifests = [
    [edit],
    [edit, table, Uint8Array.of(6, 0, 8)],
    [concatBytes(Uint8Array.of(1, 3), utf8('cmp'), edit)],
  ];
  const path = join(folder, 'wal');
  mkdirSync(path, { recursive: true });
  const compressed = [
    Uint8Array.of(5, 16, ...utf8('abcde')),
    Uint8Array.of(12, 4, ...utf8('ab'), 0x19, 2),
    Uint8Array.of(20, 0, 97, 0x4a, 1, 0),
  ];
  return [
    bytesTarget({
      name: 'log file',
      covers: ['server/storage/log-format scanLog', 'server/storage/log-format recordsBehind'],
      good: files,
      cost: 15,
      refuses: nothing,
      read: (input) => {
        const found: Uint8Array[] = [];
        const fault = logFormat.scanLog(input, (record) => found.push(record.slice()));
        expect(
          fault === undefined || (fault.offset >= 0 && fault.offset <= input.length),
          'a fault outside of the file',
        );
        // What was read whole is written the same way, up to the fault.
        const written = logFile(found);
        expectSame(written, input.subarray(0, written.length));
        if (fault === undefined)
          expect(
            input.subarray(written.length).every((byte) => byte === 0),
            'bytes were passed over',
          );
        let behind = 0;
        if (fault !== undefined) for (const record of logFormat.recordsBehind(input, fault)) behind += record.length;
        expect(behind <= input.length - (fault?.offset ?? 0), 'more stands behind a fault than there is');
      },
    }),
    bytesTarget({
      name: 'MANIFEST and log files of a folder',
      covers: ['server/storage/wal-scan checkLogFiles', 'server/storage/manifest readManifest'],
      good: manifests.map(logFile),
      cost: 80,
      refuses: coded(store.StorageError, 'unreadable'),
      read: (input, random) => {
        const isAltered = random() < 0.3;
        writeFileSync(join(path, 'CURRENT'), isAltered && random() < 0.3 ? input : 'MANIFEST-000004\n');
        writeFileSync(join(path, 'MANIFEST-000004'), input);
        const older = isAltered
          ? splice(files[1] as Uint8Array, below(random, 30), 1, Uint8Array.of(below(random, 256)))
          : (files[1] as Uint8Array);
        writeFileSync(join(path, '000009.log'), older);
        writeFileSync(join(path, '000010.log'), files[0] as Uint8Array);
        const found = manifest.readManifest(path);
        if (found !== undefined) expect(Number.isSafeInteger(found.firstLog), 'no number of a log file');
        walScan.checkLogFiles(path);
        const isWhole = logFormat.scanLog(older) === undefined;
        expect(isWhole || (found?.firstLog ?? 0) > 9, 'a damaged log file was passed over');
      },
    }),
    bytesTarget({
      name: 'what LevelDB says',
      covers: ['server/storage/wal-scan checkTextLog'],
      good: ['2026/01/02-03:04:05 Recovering log #3\n'].map(utf8),
      words: ['dropping', 'Corruption', 'ignoring error', 'CORRUPT'],
      cost: 30,
      refuses: coded(store.StorageError, 'unreadable'),
      read: (input) => {
        writeFileSync(join(path, 'LOG'), input);
        walScan.checkTextLog(path);
        expect(
          !/dropping|corrupt|ignoring error/i.test(Buffer.from(input).toString('latin1')),
          'a complaint was passed over',
        );
      },
    }),
    bytesTarget({
      name: 'number and text of LevelDB',
      covers: ['server/storage/manifest userKey'],
      good: [
        concatBytes(Uint8Array.of(12), utf8('name'), new Uint8Array(8)),
        concatBytes(Uint8Array.of(0x88, 0x00), new Uint8Array(8)),
      ],
      refuses: range,
      read: (input) => {
        const reader = new manifest.Reader(input);
        const key = reader.bytes();
        expect(manifest.userKey(key).length === key.length - 8, 'a key of another length');
      },
    }),
    bytesTarget({
      name: 'snappy',
      covers: ['server/storage/snappy unsnappy'],
      good: compressed,
      cost: 4,
      refuses: range,
      read: (input, random) => {
        const most = random() < 0.9 ? 65_536 : 1 + below(random, 20);
        const expected = decompressed(input);
        let out: Uint8Array;
        try {
          out = snappy.unsnappy(input, most);
        } catch (error) {
          expect(expected === undefined || expected.length > most, 'refused, and it is snappy');
          throw error;
        }
        expect(expected !== undefined && expected.length <= most, 'accepted, and it is no snappy');
        expectSame(out, Uint8Array.from(expected));
      },
    }),
  ];
}

/** A small database with a table, made by LevelDB itself. */
async function databaseTargets({ tableScan, store, manifest }: Modules, folder: string): Promise<Target[]> {
  const path = join(folder, 'tables');
  const db = new Level<string, string>(path, { compression: true, writeBufferSize: 65_536 });
  await db.open();
  for (let i = 0; i < 200; i++) await db.put(`log/main/id/${String(i).padStart(43, 'x')}`, `${i} `.repeat(40));
  // LevelDB has it; what is common to all engines does not.
  await (db as unknown as { compactRange(from: string, to: string): Promise<void> }).compactRange('', '~');
  await db.close();
  const name = readdirSync(path).find((each) => each.endsWith('.ldb')) as string;
  const whole = new Uint8Array(readFileSync(join(path, name)));
  const size = manifest.readManifest(path)?.tables[0]?.size as number;
  return [
    bytesTarget({
      name: 'table',
      covers: [
        'server/storage/table-scan checkTables',
        ...['readFooter', 'parseHandle', 'checkBlock', 'readBlock'].map(
          (name) => `server/storage/table-format ${name}`,
        ),
      ],
      good: [whole],
      cost: 200,
      refuses: coded(store.StorageError, 'unreadable'),
      read: async (input) => {
        writeFileSync(join(path, name), input);
        await tableScan.checkTables(path);
        // LevelDB goes by the size in the MANIFEST; padding after the two handles of the footer is read by nobody.
        const same = equalBytes(input.subarray(0, size - 48), whole.subarray(0, size - 48));
        expect(same, 'a table was altered, and nobody noticed');
      },
    }),
  ];
}

function guardTarget({ guard, bytes }: Modules, folder: string): Target {
  const path = join(folder, 'guard');
  rmSync(path, { force: true });
  const storeId = new Uint8Array(32).fill(4);
  guard.createGuard(path, storeId);
  const whole = new Uint8Array(readFileSync(path));
  const contents = [17 + 72, 17 + 72, 17 + 16, 17 + 40];
  return bytesTarget({
    name: 'guard',
    covers: ['server/guard readGuard'],
    good: [whole],
    cost: 150,
    refuses: coded(guard.GuardError, 'unreadable'),
    read: (input, random) => {
      const given = input.slice();
      // Half of them with right hashes: then what the blocks say must be looked at.
      if (random() < 0.5 && given.length === 4 * 4096) {
        for (const [i, length] of contents.entries()) {
          const block = given.subarray(i * 4096, (i + 1) * 4096);
          block.set(createHash('sha256').update(block.subarray(0, length)).digest(), length);
        }
      }
      writeFileSync(path, given);
      const { content } = guard.readGuard(path);
      expect(content.storeId.length === 32, 'a store id of another length');
      for (const [i, slot] of content.slots.entries()) {
        if (slot === undefined) continue;
        expect(slot.n % 2 === i || slot.n === 0, 'a slot in the place of the other');
        const block = given.subarray(i * 4096, i * 4096 + 17 + 72);
        expectSame(
          bytes.concatBytes(utf8('indelible guard 1'), content.storeId, bytes.u64(slot.n), slot.recordHash),
          block,
        );
        expectSame(
          toHex(given.subarray(i * 4096 + 89, i * 4096 + 121)),
          createHash('sha256').update(block).digest('hex'),
        );
      }
    },
  });
}
