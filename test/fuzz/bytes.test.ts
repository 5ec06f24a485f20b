/**
 * Binary formats: bundles, leaves, headers, the rows of the database, commit records and LevelDB's log files. Altered bytes are refused
 * by the one documented error, or they are what would be written for the value that they read as.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ProofError } from '../../proofs/error.ts';
import { type EventHeader, encodeEventLeaf, encodeHeader, parseEventLeaf, parseHeader } from '../../proofs/leaf.ts';
import { encodeCommitRecord, parseCommitRecord } from '../../server/storage/commit-record.ts';
import { crc32c, scanLog } from '../../server/storage/log-format.ts';
import {
  encodeEdge,
  encodeEventRow,
  encodeHeadRow,
  encodeIdRow,
  parseEdge,
  parseEventRow,
  parseHeadRow,
  parseIdRow,
} from '../../server/storage/rows.ts';
import { StorageError } from '../../server/storage/store.ts';
import { checkLogFiles } from '../../server/storage/wal-scan.ts';
import { decodeBundle, decodeFrames, encodeBundle } from '../../tree/bundles.ts';
import { concatBytes, equalBytes, fromUtf8, utf8 } from '../../tree/bytes.ts';
import { frontierLength } from '../../tree/frontier.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { temporaryFolder } from '../support/spawn-server.ts';
import { alteredBytes, alteredUtf8, outcomeOf, runs } from './mutations.ts';

const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const hash = bytes32.map(asTreeHash);

/** Good bytes altered, and any bytes. */
function inputs(good: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    { weight: 4, arbitrary: alteredBytes(good).map(({ bytes }) => bytes) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  );
}

/** Of long arrays, `toEqual` takes milliseconds. */
function same(found: Uint8Array, expected: Uint8Array): void {
  if (!equalBytes(found, expected)) expect(found).toEqual(expected);
}

function sameAll(found: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, bytes] of expected.entries()) same(found[i] as Uint8Array, bytes);
}

/** Good bytes are read, and written again as they were; all others are refused by this error, or are as they would be written. */
function holds<Value>(
  good: fc.Arbitrary<Uint8Array>,
  format: { readonly parse: (bytes: Uint8Array) => Value; readonly encode: (value: Value) => Uint8Array },
  isRefusal: (error: unknown) => boolean = (error) => error instanceof RangeError,
): void {
  fc.assert(
    fc.property(good, (bytes) => same(format.encode(format.parse(bytes)), bytes)),
    runs(200),
  );
  fc.assert(
    fc.property(inputs(good), (bytes) => {
      const given = bytes.slice();
      const outcome = outcomeOf(() => format.parse(bytes));
      same(bytes, given);
      if ('value' in outcome) same(format.encode(outcome.value), bytes);
      else if (!isRefusal(outcome.error)) throw outcome.error;
    }),
    runs(2000),
  );
}

describe('in the tree', () => {
  const leaves = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 });

  test('bundle framing', () => {
    holds(leaves.map(encodeBundle), {
      parse: (bytes: Uint8Array) => decodeFrames(bytes, 10_000),
      encode: encodeBundle,
    });
  });

  test('a bundle of a known number of leaves', () => {
    fc.assert(
      fc.property(
        leaves.chain((all) => fc.tuple(fc.constant(all.length), alteredBytes(fc.constant(encodeBundle(all))))),
        fc.integer({ min: -2, max: 2 }),
        ([count, { bytes }], more) => {
          const outcome = outcomeOf(() => decodeBundle(bytes, Math.max(0, count + more)));
          if ('value' in outcome) {
            expect(encodeBundle(outcome.value)).toEqual(bytes);
            expect(outcome.value).toHaveLength(Math.max(0, count + more));
          } else expect(outcome.error).toBeInstanceOf(RangeError);
        },
      ),
      runs(2000),
    );
  });

  test('a leaf', () => {
    const leaf = fc.record({ receivedAt: number, commitment: bytes32 }).map(encodeEventLeaf);
    const refused = (error: unknown): boolean => error instanceof ProofError && error.code === 'bad_leaf';
    holds(leaf, { parse: parseEventLeaf, encode: encodeEventLeaf }, refused);
  });

  test('a header is refused, or says the same when it is written again', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 12 });
    const header = fc
      .record(
        { by: text, via: text, id_pointer: text, idempotency_key: text, n: number },
        { requiredKeys: ['by', 'via'] },
      )
      .map((each) => fromUtf8(encodeHeader(each as EventHeader)));
    fc.assert(
      fc.property(alteredUtf8(header), ({ bytes }) => {
        const outcome = outcomeOf(() => parseHeader(bytes));
        if ('error' in outcome) return expect(outcome.error).toMatchObject({ name: 'ProofError', code: 'bad_header' });
        // Lone surrogates can be escaped in JSON and so stand in a header; written again they are escaped again.
        expect(parseHeader(encodeHeader(outcome.value))).toEqual(outcome.value);
      }),
      runs(2000),
    );
  });
});

describe('in the database', () => {
  test('an edge', () => {
    const edge = fc
      .record({
        treeSize: number,
        lastReceivedAt: number,
        rootHash: hash,
        head: fc.record({ treeSize: number, time: number }),
      })
      .chain((fixed) =>
        fc
          .array(hash, { minLength: frontierLength(fixed.treeSize), maxLength: frontierLength(fixed.treeSize) })
          .map((frontier) => encodeEdge({ ...fixed, frontier })),
      );
    holds(edge, { parse: parseEdge, encode: encodeEdge });
  });

  test('an event row', () => {
    const part = fc.uint8Array({ maxLength: 50 });
    holds(fc.record({ salt: bytes32, header: part, event: part }).map(encodeEventRow), {
      parse: parseEventRow,
      encode: encodeEventRow,
    });
  });

  test('an id row', () => {
    holds(fc.record({ leafIndex: number, count: number }).map(encodeIdRow), { parse: parseIdRow, encode: encodeIdRow });
  });

  test('a head row is refused, or says the same when it is written again', () => {
    const row = fc.record({ checkpoint: fc.string({ unit: 'grapheme' }), time: number }).map(encodeHeadRow);
    fc.assert(
      fc.property(alteredUtf8(row.map(fromUtf8)), ({ bytes }) => {
        const outcome = outcomeOf(() => parseHeadRow(bytes));
        if ('error' in outcome) return expect(outcome.error).toBeInstanceOf(RangeError);
        expect(parseHeadRow(encodeHeadRow(outcome.value))).toEqual(outcome.value);
      }),
      runs(2000),
    );
  });

  test('a commit record', () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/);
    const record = fc
      .record({
        storeId: bytes32,
        n: number,
        previous: bytes32,
        logCount: fc.nat(4_294_967_295),
        sum: bytes32,
        changed: fc.array(fc.record({ name, treeSize: number, rootHash: hash }), { maxLength: 4 }),
      })
      .map(encodeCommitRecord);
    holds(record, { parse: parseCommitRecord, encode: encodeCommitRecord });
  });
});

describe("LevelDB's log files", () => {
  const folder = temporaryFolder('fuzz');
  afterAll(() => folder.remove());

  const BLOCK = 32_768;
  const records = fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fc.uint8Array({ maxLength: 80 }) },
      {
        weight: 1,
        arbitrary: fc.tuple(fc.nat(70_000), fc.nat(255)).map(([size, byte]) => new Uint8Array(size).fill(byte)),
      },
    ),
    { maxLength: 6 },
  );

  /** A log file, written from LevelDB's own description of the format (doc/log_format.md there). */
  function logFile(all: readonly Uint8Array[]): Uint8Array {
    const parts: Uint8Array[] = [];
    let at = 0;
    const put = (bytes: Uint8Array): void => {
      parts.push(bytes);
      at += bytes.length;
    };
    for (const data of all) {
      let done = 0;
      for (let first = true; first || done < data.length; first = false) {
        if (BLOCK - (at % BLOCK) < 7) put(new Uint8Array(BLOCK - (at % BLOCK)));
        const piece = data.subarray(done, done + BLOCK - (at % BLOCK) - 7);
        done += piece.length;
        const last = done === data.length;
        const type = first ? (last ? 1 : 2) : last ? 4 : 3;
        const body = concatBytes(Uint8Array.of(type), piece);
        const header = new DataView(new ArrayBuffer(6));
        header.setUint32(0, masked(crc32c(body, 0, body.length)), true);
        header.setUint16(4, piece.length, true);
        put(concatBytes(new Uint8Array(header.buffer), body));
        if (last) break;
      }
    }
    return concatBytes(...parts);
  }

  function masked(crc: number): number {
    const value = BigInt(crc);
    return Number((((value / 2n ** 15n + (value % 2n ** 15n) * 2n ** 17n) % 2n ** 32n) + 0xa282ead8n) % 2n ** 32n);
  }

  function scanned(bytes: Uint8Array): { readonly fault: ReturnType<typeof scanLog>; readonly data: Uint8Array[] } {
    const data: Uint8Array[] = [];
    const fault = scanLog(bytes, (record) => data.push(record.slice()));
    return { fault, data };
  }

  test('are read back record by record', () => {
    fc.assert(
      fc.property(records, (all) => {
        const { fault, data } = scanned(logFile(all));
        expect(fault).toBeUndefined();
        sameAll(data, all);
      }),
      runs(100),
    );
  });

  test('altered: what comes before the fault is what was written, and the scan ends', () => {
    fc.assert(
      fc.property(
        records.chain((all) => fc.tuple(fc.constant(all), alteredBytes(fc.constant(logFile(all))))),
        ([all, { good, bytes }]) => {
          const { fault, data } = scanned(bytes);
          if (fault !== undefined) expect(fault.offset >= 0 && fault.offset <= bytes.length).toBe(true);
          // The first altered byte: all records that end before it are as they were.
          let same = 0;
          while (same < Math.min(good.length, bytes.length) && good[same] === bytes[same]) same++;
          const before = all.filter((_, i) => logFile(all.slice(0, i + 1)).length <= same);
          sameAll(data.slice(0, before.length), before);
        },
      ),
      runs(150),
    );
  });

  test('of any bytes: a fault or none, and the scan ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const { fault, data } = scanned(bytes);
        if (bytes.some((byte) => byte !== 0)) expect(fault).toBeDefined();
        if (fault !== undefined) expect(fault.offset).toBeLessThanOrEqual(bytes.length);
        expect(data).toEqual([]);
      }),
      runs(1000),
    );
  });

  test('a database folder with altered files is opened or refused by a StorageError, and nothing else', () => {
    const edit = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.constant(Uint8Array.of(2, 5, 9, 0, 3, 6, 4, 9)));
    const file = fc.oneof(
      alteredBytes(records.map(logFile)).map(({ bytes }) => bytes),
      records.map(logFile),
    );
    fc.assert(
      fc.property(
        alteredBytes(fc.constant(utf8('MANIFEST-000004\n'))),
        fc.array(edit, { maxLength: 4 }),
        fc.array(file, { maxLength: 3 }),
        (current, edits, files) => {
          const path = join(folder.path, 'db');
          rmSync(path, { recursive: true, force: true });
          mkdirSync(path);
          writeFileSync(join(path, 'CURRENT'), edits.length % 2 === 0 ? current.bytes : current.good);
          writeFileSync(join(path, 'MANIFEST-000004'), logFile(edits));
          for (const [i, bytes] of files.entries()) writeFileSync(join(path, `00000${5 + i}.log`), bytes);
          const outcome = outcomeOf(() => checkLogFiles(path));
          if ('error' in outcome && !(outcome.error instanceof StorageError)) throw outcome.error;
        },
      ),
      runs(200),
    );
  });

  test('a MANIFEST with a number beyond all numbers does not make the scan pass over a damaged file', () => {
    const path = join(folder.path, 'endless');
    mkdirSync(path);
    const endless = concatBytes(Uint8Array.of(2), new Uint8Array(200).fill(0x80), Uint8Array.of(0));
    writeFileSync(join(path, 'CURRENT'), 'MANIFEST-000004\n');
    writeFileSync(join(path, 'MANIFEST-000004'), logFile([endless]));
    writeFileSync(join(path, '000005.log'), concatBytes(logFile([utf8('one')]).with(9, 0), logFile([utf8('two')])));
    expect(() => checkLogFiles(path)).toThrow(StorageError);
  });
});
