import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { encodeApiKey, parseApiKey } from '../../../server/access.ts';
import { encodeDefinition, parseDefinition } from '../../../server/log.ts';
import { encodeChecked, parseChecked } from '../../../server/storage/checked-json.ts';
import { encodeHeadRow, parseHeadRow } from '../../../server/storage/rows.ts';
import { utf8 } from '../../../tree/bytes.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

test('the check is half the SHA-256 of the text without it', () => {
  const row = '{"name":"é","log":null,"list":["a"],"n":7}';
  const check = createHash('sha256').update(row).digest('hex').slice(0, 32);
  expect(text(encodeChecked({ name: 'é', log: null, list: ['a'], n: 7 }))).toBe(
    `${row.slice(0, -1)},"check":"${check}"}`,
  );
  expect(parseChecked(utf8(`${row.slice(0, -1)},"check":"${check}"}`))).toEqual(JSON.parse(row));
});

test('rows that are older than it hold; unknown members are covered by it', () => {
  expect(parseChecked(utf8('{"name":"x","later":1}'))).toEqual({ name: 'x', later: 1 });
  const row = text(encodeChecked({ name: 'x', later: 1 }));
  expect(() => parseChecked(utf8(row.replace('"later":1', '"later":2')))).toThrow('check does not match');
  expect(() => parseChecked(utf8(row.replace('"later":1,', '')))).toThrow('check does not match');
});

test.each(['', '[]', 'null', '"x"', '{"a":1', '{"a":1,"check":1}', '{"a":1,"check":null}'])('%s is refused', (row) => {
  expect(() => parseChecked(utf8(row))).toThrow(RangeError);
});

const KEY = {
  id: '0123456789abcdef',
  hash: 'ab'.repeat(32),
  name: 'billing',
  scopes: ['append', 'read'],
  log: 'main',
  createdAt: '2026-01-01T00:00:00.000000Z',
  revokedAt: '2026-01-02T00:00:00.000000Z',
} as const;
const DEFINITION = {
  name: 'main',
  kind: 'events',
  origin: 'example.com/logs/main',
  verifierKey: 'example.com/logs/main+00000000+AAAA',
  signEpoch: 0,
  rotations: [],
  createdAt: '2026-01-01T00:00:00.000000Z',
  publicReads: true,
  idPointer: '/id',
  status: 'active',
  frozenAt: null,
  deletedAt: null,
} as const;
const HEAD = { checkpoint: 'example.com/logs/main\n7\nAAAA\n', time: 1_767_225_600_000 };

describe('one flipped bit anywhere in a row is refused, or changes nothing that it says', () => {
  test.each<[string, Uint8Array, (bytes: Uint8Array) => unknown, unknown]>([
    ['an API key', encodeApiKey(KEY), parseApiKey, KEY],
    ['the definition of a log', encodeDefinition(DEFINITION), parseDefinition, DEFINITION],
    ['a head', encodeHeadRow(HEAD), parseHeadRow, HEAD],
  ])('%s', (_name, row, parse, expected) => {
    expect(parse(row)).toEqual(expected);
    let accepted = 0;
    for (let at = 0; at < row.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = row.slice();
        // biome-ignore lint/suspicious/noBitwiseOperators: one bit of one byte
        damaged[at] = (damaged[at] as number) ^ (2 ** bit);
        let found: unknown;
        try {
          found = parse(damaged);
        } catch {
          continue;
        }
        expect({ at, bit, found }).toEqual({ at, bit, found: expected });
        accepted++;
      }
    }
    // The name of the member `check` is what may change: then the row counts as an older one.
    expect(accepted).toBeLessThan(5 * 8);
  });
});

test.each<[string, object]>([
  ['a key without hash', { ...JSON.parse(text(encodeApiKey(KEY))), check: undefined, hash: undefined }],
  ['a key with half a hash', { ...JSON.parse(text(encodeApiKey(KEY))), check: undefined, hash: 'ab' }],
  ['a key with an unknown scope', { ...JSON.parse(text(encodeApiKey(KEY))), check: undefined, scopes: ['adnin'] }],
  ['a key without creation', { ...JSON.parse(text(encodeApiKey(KEY))), check: undefined, created_at: 5 }],
  ['a key without revocation', { ...JSON.parse(text(encodeApiKey(KEY))), check: undefined, revoked_at: undefined }],
])('%s is damaged also in an older row', (_name, row) => {
  expect(() => parseApiKey(utf8(JSON.stringify(row)))).toThrow('an API key row is damaged');
});

test.each<[string, object]>([
  ['public_reads', { public_reads: undefined }],
  ['public_reads', { public_reads: 'true' }],
  ['sign_epoch', { sign_epoch: undefined }],
  ['sign_epoch', { sign_epoch: -1 }],
  ['kind', { kind: 'evens' }],
  ['id_pointer', { id_pointer: undefined }],
])('a log definition without a right %s is damaged also in an older row', (_name, change) => {
  const row = { ...JSON.parse(text(encodeDefinition(DEFINITION))), check: undefined, ...change };
  expect(() => parseDefinition(utf8(JSON.stringify(row)))).toThrow('a log definition is damaged');
});
