import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type Edge,
  encodeEdge,
  encodeEventRow,
  encodeHeadRow,
  encodeIdRow,
  parseEdge,
  parseEventRow,
  parseHeadRow,
  parseIdRow,
} from '../../../server/storage/rows.ts';
import { frontierLength } from '../../../tree/frontier.ts';
import { asTreeHash, type TreeHash } from '../../../tree/hash.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const filled = (byte: number): TreeHash => asTreeHash(new Uint8Array(32).fill(byte));
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asTreeHash);

describe('edge', () => {
  const edge: Edge = {
    treeSize: 5,
    lastReceivedAt: 1767225600000123,
    rootHash: filled(0xaa),
    head: { treeSize: 4, time: 1767225600001 },
    frontier: [filled(0xb0), filled(0xb1)],
  };
  const golden = bytesOf(`
    01 0000000000000005 000647484620407b
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0000000000000004 0000019b76daa801
    b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0
    b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1`);

  test('has this layout', () => {
    expect(hex(encodeEdge(edge))).toBe(hex(golden));
    expect(parseEdge(golden)).toEqual(edge);
  });

  test('is read back whatever it says', () => {
    const any = fc
      .record({ treeSize: fc.maxSafeNat(), lastReceivedAt: fc.maxSafeNat(), rootHash: hash })
      .chain((fixed) =>
        fc.record({
          head: fc.record({ treeSize: fc.maxSafeNat(), time: fc.maxSafeNat() }),
          frontier: fc.array(hash, {
            minLength: frontierLength(fixed.treeSize),
            maxLength: frontierLength(fixed.treeSize),
          }),
          treeSize: fc.constant(fixed.treeSize),
          lastReceivedAt: fc.constant(fixed.lastReceivedAt),
          rootHash: fc.constant(fixed.rootHash),
        }),
      );
    fc.assert(fc.property(any, (value) => expect(parseEdge(encodeEdge(value))).toEqual(value)));
  });

  test('truncated, extended or of another format it is refused', () => {
    for (let length = 0; length < golden.length; length++) {
      expect(() => parseEdge(golden.subarray(0, length))).toThrow(RangeError);
    }
    expect(() => parseEdge(Uint8Array.of(...golden, 0))).toThrow(RangeError);
    for (const format of [0, 2, 255]) {
      const other = golden.slice();
      other[0] = format;
      expect(() => parseEdge(other)).toThrow(RangeError);
    }
  });

  test('numbers above 2^53 - 1 are refused', () => {
    for (const at of [1, 9, 49, 57]) {
      const other = golden.slice();
      other[at] = 0x00;
      other[at + 1] = 0x20;
      expect(() => parseEdge(other)).toThrow(RangeError);
    }
  });

  test('what it hands out is its own', () => {
    const bytes = golden.slice();
    const parsed = parseEdge(bytes);
    bytes.fill(0);
    expect(parsed).toEqual(edge);
  });
});

describe('event row', () => {
  const row = { salt: filled(0x5a) as Uint8Array, header: text('{"by":"system"}'), event: text('{"a":1}') };
  const golden = bytesOf(`
    01 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a
    000f 7b226279223a2273797374656d227d 7b2261223a317d`);

  test('has this layout', () => {
    expect(hex(encodeEventRow(row))).toBe(hex(golden));
    expect(parseEventRow(golden)).toEqual(row);
  });

  test('is read back whatever it holds', () => {
    const any = fc.record({
      salt: hash as fc.Arbitrary<Uint8Array>,
      header: fc.uint8Array({ maxLength: 1024 }),
      event: fc.uint8Array({ maxLength: 3000 }),
    });
    fc.assert(fc.property(any, (value) => expect(parseEventRow(encodeEventRow(value))).toEqual(value)));
  });

  test('cut anywhere before its event, or in another state, it is refused', () => {
    for (let length = 0; length < 35 + 15; length++) {
      expect(() => parseEventRow(golden.subarray(0, length))).toThrow(RangeError);
    }
    for (const state of [0, 2, 3, 4, 5, 255]) {
      const other = golden.slice();
      other[0] = state;
      expect(() => parseEventRow(other)).toThrow(RangeError);
    }
  });
});

describe('id row', () => {
  test('has this layout and no other', () => {
    const golden = bytesOf('0000000000000007 0000000000000001');
    expect(hex(encodeIdRow({ leafIndex: 7, count: 1 }))).toBe(hex(golden));
    expect(parseIdRow(golden)).toEqual({ leafIndex: 7, count: 1 });
    for (let length = 0; length < 16; length++)
      expect(() => parseIdRow(golden.subarray(0, length))).toThrow(RangeError);
    expect(() => parseIdRow(Uint8Array.of(...golden, 0))).toThrow(RangeError);
    expect(() => parseIdRow(bytesOf('0020000000000000 0000000000000001'))).toThrow(RangeError);
    expect(() => encodeIdRow({ leafIndex: 2 ** 53, count: 1 })).toThrow(RangeError);
  });
});

describe('head row', () => {
  const head = { checkpoint: 'example.com/logs/main\n0\nabc=\n\n— x y\n', time: 1767225600001 };
  const golden = '{"checkpoint":"example.com/logs/main\\n0\\nabc=\\n\\n— x y\\n","time":1767225600001}';

  test('is this JSON', () => {
    // sha256sum of the line above, its first half.
    const checked = `${golden.slice(0, -1)},"check":"fd1de4df307bb326331e5f2b3ccdaf85"}`;
    expect(new TextDecoder().decode(encodeHeadRow(head))).toBe(checked);
    expect(parseHeadRow(text(checked))).toEqual(head);
    expect(parseHeadRow(text(golden))).toEqual(head);
  });

  test('with a tree head signature it is this JSON', () => {
    const signed = { ...head, signature: Uint8Array.of(8, 7, 0, 64) };
    const row = `${golden.slice(0, -1)},"tree_head_signature":"CAcAQA=="}`;
    // Again the first half of its SHA-256.
    const checked = `${row.slice(0, -1)},"check":"95392afa7ac890f26aff7778cd960f7d"}`;
    expect(new TextDecoder().decode(encodeHeadRow(signed))).toBe(checked);
    expect(parseHeadRow(text(checked))).toEqual(signed);
    expect(parseHeadRow(text(row))).toEqual(signed);
    for (const other of ['7', 'null', '"CAcAQB=="', '"CAcAQA"', '["CAcAQA=="]'])
      expect(() => parseHeadRow(text(row.replace('"CAcAQA=="', other)))).toThrow(RangeError);
  });

  test('members that come later are left alone', () => {
    expect(parseHeadRow(text('{"checkpoint":"x","time":1,"cosignatures":["y"]}'))).toEqual({
      checkpoint: 'x',
      time: 1,
    });
  });

  test('every truncation is refused, and so is what lacks its members', () => {
    const bytes = text(golden);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => parseHeadRow(bytes.subarray(0, length))).toThrow(RangeError);
    }
    for (const other of [
      'null',
      '7',
      '"x"',
      '[]',
      '{}',
      '{"checkpoint":"x"}',
      '{"checkpoint":"x","time":"1"}',
      '{"checkpoint":"x","time":1.5}',
      '{"checkpoint":"x","time":-1}',
      '{"checkpoint":"x","time":9007199254740992}',
      '{"checkpoint":7,"time":1}',
    ]) {
      expect(() => parseHeadRow(text(other))).toThrow(RangeError);
    }
    expect(() => parseHeadRow(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(RangeError);
  });
});
