/** C2SP tlog-proof: one spelling, every other refused. */
import { describe, expect, test } from '@jest/globals';
import { formatTlogProof, parseTlogProof } from '../../proofs/tlog-proof.ts';
import { utf8 } from '../../tree/bytes.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { codeOf } from './error-code.ts';

const hash = (n: number) => asTreeHash(new Uint8Array(32).fill(n));
const checkpoint = 'example.com/log\n9\nAAAA\n\n— example.com/log AAAAAAAA\n';
const good = formatTlogProof({ leafIndex: 7, proof: [hash(1), hash(2)], checkpoint });

function parse(text: string): ReturnType<typeof parseTlogProof> {
  return parseTlogProof(utf8(text));
}

describe('tlog-proof', () => {
  test('is the text of the specification', () => {
    expect(good).toBe(
      'c2sp.org/tlog-proof@v1\nindex 7\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n' +
        `AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n\n${checkpoint}`,
    );
  });

  test.each([
    ['no hashes, as at size 1', { leafIndex: 0, proof: [], checkpoint }],
    ['63 hashes', { leafIndex: 5, proof: Array.from({ length: 63 }, (_, i) => hash(i)), checkpoint }],
    ['extra', { leafIndex: 1, proof: [hash(3)], checkpoint, extra: utf8('extra') }],
    ['empty extra', { leafIndex: 1, proof: [], checkpoint, extra: new Uint8Array(0) }],
    ['the largest index', { leafIndex: 2 ** 53 - 1, proof: [], checkpoint }],
  ])('round trip: %s', (_, proof) => {
    expect(parse(formatTlogProof(proof))).toStrictEqual(proof);
  });

  test.each([
    ['another version', good.replace('@v1', '@v2')],
    ['a space before', ` ${good}`],
    ['CRLF', good.replaceAll('\n', '\r\n')],
    ['no index', good.replace('index 7\n', '')],
    ['index with a leading zero', good.replace('index 7', 'index 07')],
    ['index with a sign', good.replace('index 7', 'index +7')],
    ['index above 2^53 - 1', good.replace('index 7', 'index 9007199254740992')],
    ['another word than index', good.replace('index 7', 'level 7')],
    ['two spaces', good.replace('index 7', 'index  7')],
    ['extra after index', good.replace('index 7\n', 'index 7\nextra AAAA\n')],
    ['extra twice', good.replace('index 7\n', 'extra AAAA\nextra AAAA\nindex 7\n')],
    ['extra that is not base64', good.replace('index 7\n', 'extra A\nindex 7\n')],
    [
      'a hash of 31 bytes',
      good.replace('AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=', 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=='),
    ],
    [
      'a hash in another spelling',
      good.replace('AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=', 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQF='),
    ],
    ['64 hashes', formatTlogProof({ leafIndex: 1, proof: Array.from({ length: 64 }, (_, i) => hash(i)), checkpoint })],
    ['no empty line', 'c2sp.org/tlog-proof@v1\nindex 7\n'],
    ['nothing', ''],
    ['more than 1 MiB', good + 'x'.repeat(1_048_576)],
  ])('refused: %s', (_, text) => {
    expect(codeOf(() => parse(text))).toBe('malformed_proof');
  });

  test('1 MiB is still read', () => {
    const longest = good + 'x'.repeat(1_048_576 - utf8(good).length);
    expect(formatTlogProof(parse(longest))).toBe(longest);
    expect(codeOf(() => parse(`${longest}x`))).toBe('malformed_proof');
  });

  test('invalid UTF-8 is refused', () => {
    expect(codeOf(() => parseTlogProof(Uint8Array.of(...utf8(good), 0xff)))).toBe('malformed_proof');
  });
});
