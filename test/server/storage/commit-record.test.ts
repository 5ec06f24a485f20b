import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type CommitRecord,
  commitRecordHash,
  encodeCommitRecord,
  type LogHead,
  LogSum,
  NO_RECORD_HASH,
  parseCommitRecord,
  RECORDS_KEPT,
} from '../../../server/storage/commit-record.ts';
import { asTreeHash } from '../../../tree/hash.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const filled = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

const golden = bytesOf(`
  01 1111111111111111111111111111111111111111111111111111111111111111
  0000000000010203 2222222222222222222222222222222222222222222222222222222222222222
  00000003 3333333333333333333333333333333333333333333333333333333333333333
  0002
  07 5f73797374656d 0000000000000002 4444444444444444444444444444444444444444444444444444444444444444
  04 6d61696e 001fffffffffffff 5555555555555555555555555555555555555555555555555555555555555555`);

const record: CommitRecord = {
  storeId: filled(0x11),
  n: 0x010203,
  previous: filled(0x22),
  logCount: 3,
  sum: filled(0x33),
  changed: [
    { name: '_system', treeSize: 2, rootHash: asTreeHash(filled(0x44)) },
    { name: 'main', treeSize: Number.MAX_SAFE_INTEGER, rootHash: asTreeHash(filled(0x55)) },
  ],
};

const logHead: fc.Arbitrary<LogHead> = fc.record({
  name: fc.stringMatching(/^[a-z0-9_][a-z0-9._-]{0,62}$/),
  treeSize: fc.maxSafeNat(),
  rootHash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asTreeHash),
});

describe('commit record', () => {
  test('has this layout, and its hash is the SHA-256 of it', () => {
    expect(hex(encodeCommitRecord(record))).toBe(hex(golden));
    expect(parseCommitRecord(golden)).toEqual(record);
    expect(hex(commitRecordHash(golden))).toBe(createHash('sha256').update(golden).digest('hex'));
    expect(hex(NO_RECORD_HASH)).toBe('00'.repeat(32));
    expect(RECORDS_KEPT).toBe(1024);
  });

  test('of a commit that changes no log', () => {
    const none = { ...record, n: 1, previous: NO_RECORD_HASH, logCount: 0, changed: [] };
    const bytes = encodeCommitRecord(none);
    expect(bytes.length).toBe(111);
    expect(parseCommitRecord(bytes)).toEqual(none);
  });

  test('is read back whatever it says', () => {
    const any = fc.record({
      storeId: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      n: fc.maxSafeNat(),
      previous: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      logCount: fc.nat(2 ** 32 - 1),
      sum: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      changed: fc.array(logHead, { maxLength: 20 }),
    });
    fc.assert(
      fc.property(any, (value) => {
        const bytes = encodeCommitRecord(value);
        expect(parseCommitRecord(bytes)).toEqual(value);
        expect(hex(encodeCommitRecord(parseCommitRecord(bytes)))).toBe(hex(bytes));
      }),
    );
  });

  test('every truncation and every extension is refused', () => {
    for (let length = 0; length < golden.length; length++) {
      expect(() => parseCommitRecord(golden.subarray(0, length))).toThrow(RangeError);
    }
    expect(() => parseCommitRecord(Uint8Array.of(...golden, 0))).toThrow(RangeError);
  });

  test('whatever one byte becomes, it is refused or reads as another record', () => {
    for (let at = 0; at < golden.length; at++) {
      for (const change of [1, 0x80, 0xff]) {
        const other = golden.slice();
        other[at] = ((other[at] as number) + change) % 256;
        let parsed: CommitRecord;
        try {
          parsed = parseCommitRecord(other);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
          continue;
        }
        expect(parsed).not.toEqual(record);
        expect(hex(encodeCommitRecord(parsed))).toBe(hex(other));
      }
    }
  });

  test('what it cannot hold is not written', () => {
    const log = record.changed[0] as LogHead;
    expect(() => encodeCommitRecord({ ...record, changed: new Array<LogHead>(65_536).fill(log) })).toThrow(RangeError);
    expect(() => encodeCommitRecord({ ...record, changed: [{ ...log, name: 'a'.repeat(256) }] })).toThrow(RangeError);
    expect(() => encodeCommitRecord({ ...record, n: 2 ** 53 })).toThrow(RangeError);
  });
});

describe('S', () => {
  /** The definition, with everything spelt out another way. */
  const naive = (logs: readonly LogHead[]): string => {
    let sum = 0n;
    for (const { name, treeSize, rootHash } of logs) {
      const size = Buffer.alloc(8);
      size.writeBigUInt64BE(BigInt(treeSize));
      const digest = createHash('sha256').update(name, 'utf8').update(size).update(rootHash).digest('hex');
      sum += BigInt(`0x${digest}`);
    }
    return (sum % 2n ** 256n).toString(16).padStart(64, '0');
  };

  test('of no log is zero', () => {
    expect(hex(new LogSum().bytes())).toBe('00'.repeat(32));
  });

  test('of one known log', () => {
    const sum = new LogSum();
    sum.set({ name: 'main', treeSize: 0, rootHash: asTreeHash(createHash('sha256').digest()) });
    const preimage =
      '6d61696e' + '0000000000000000' + 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    expect(hex(sum.bytes())).toBe(createHash('sha256').update(Buffer.from(preimage, 'hex')).digest('hex'));
  });

  test('is the sum over all logs, each as it was put in last, in any order', () => {
    fc.assert(
      fc.property(fc.array(logHead, { maxLength: 30 }), (heads) => {
        const sum = new LogSum();
        const last = new Map<string, LogHead>();
        for (const head of heads) {
          sum.set(head);
          last.set(head.name, head);
        }
        const logs = [...last.values()];
        expect(hex(sum.bytes())).toBe(naive(logs));
        expect(sum.equals(Buffer.from(naive(logs.slice().reverse()), 'hex'))).toBe(true);
        // A name that the generator cannot make.
        sum.set({ name: 'x'.repeat(100), treeSize: 1, rootHash: asTreeHash(filled(1)) });
        expect(sum.equals(Buffer.from(naive(logs), 'hex'))).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  test('takes a name as long as a record holds, and none that is longer', () => {
    const rootHash = asTreeHash(filled(1));
    for (const name of ['a'.repeat(256), 'é'.repeat(128), 'a'.repeat(5000)])
      expect(() => new LogSum().set({ name, treeSize: 1, rootHash })).toThrow(RangeError);
    const name = 'a'.repeat(255);
    const sum = new LogSum();
    sum.set({ name, treeSize: 1, rootHash });
    const input = Buffer.concat([Buffer.from(name), Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]), rootHash]);
    expect(hex(sum.bytes())).toBe(createHash('sha256').update(input).digest('hex'));
  });

  test('wraps at 2^256', () => {
    // Of four digests some two add up to more than 2^256 with near certainty; these are known to.
    const logs = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ name, treeSize: 1, rootHash: asTreeHash(filled(7)) }));
    const sum = new LogSum();
    for (const log of logs) sum.set(log);
    expect(hex(sum.bytes())).toBe(naive(logs));
    const grown = logs.map((log) => ({ ...log, treeSize: 2 }));
    for (const log of grown) sum.set(log);
    expect(hex(sum.bytes())).toBe(naive(grown));
  });
});
