/** What a log asks a witness for, in its one spelling (C2SP tlog-witness), and the addresses of the answer. */
import { describe, expect, test } from '@jest/globals';
import {
  type AddCheckpoint,
  claimedOrigin,
  formatAddCheckpoint,
  MAX_ADD_CHECKPOINT_SIZE,
  originHash,
  parseAddCheckpoint,
} from '../../proofs/add-checkpoint.ts';
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { verifyConsistency } from '../../proofs/consistency.ts';
import { parseVerifierKey } from '../../proofs/key.ts';
import { concatBytes, fromBase64, utf8 } from '../../tree/bytes.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { codeOf } from './error-code.ts';

const ORIGIN = 'sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562';
const key = parseVerifierKey(`${ORIGIN}+5202289b+Af/cLU2Y5BJNP+r3iMDC+av9eWCD0fBJVDfzAux5zxAP`);
const head = (size: number, root: string, signature: string) =>
  `${ORIGIN}\n${size}\n${root}\n\n— ${ORIGIN} ${signature}\n`;
const one = head(
  1,
  'KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  'UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=',
);
const three = head(
  3,
  'RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=',
  'UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=',
);
const H1 = 'KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const H2 = 'KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const good = `old 1\n${H1}\n${H2}\n\n${three}`;

const parse = (text: string) => parseAddCheckpoint(utf8(text));
const hash = (n: number) => asTreeHash(new Uint8Array(32).fill(n));

describe('the conversation of the litewitness test of torchwood', () => {
  test('its requests are read and written again, and what they hold verifies', () => {
    const request = parse(good);
    expect(formatAddCheckpoint(request)).toBe(good);
    expect(request.oldSize).toBe(1);
    const [first, second] = [openCheckpoint(one, key), openCheckpoint(request.checkpoint, key)];
    verifyConsistency({
      first: request.oldSize,
      second: second.treeSize,
      firstRoot: first.rootHash,
      secondRoot: second.rootHash,
      proof: request.proof,
    });
  });

  test('the first one: old 0, no proof', () => {
    expect(parse(`old 0\n\n${one}`)).toEqual({ oldSize: 0, proof: [], checkpoint: one });
  });

  test('that the note is signed and means something is not judged here', () => {
    for (const note of [
      three.replace('\n3\n', '\nfive\n'),
      three.replace(ORIGIN, 'somebody.else'),
      'a\n\n— b AAAAAQI=\n',
    ])
      expect(parse(`old 1\n\n${note}`).checkpoint).toBe(note);
  });
});

test.each<[string, AddCheckpoint]>([
  ['63 hashes', { oldSize: 7, proof: Array.from({ length: 63 }, (_, i) => hash(i)), checkpoint: one }],
  ['the largest size', { oldSize: 2 ** 53 - 1, proof: [hash(1)], checkpoint: one }],
  ['a note with an empty line in its text', { oldSize: 1, proof: [], checkpoint: `a\n\nb\n\n${one}` }],
])('round trip: %s', (_, request) => {
  expect(parse(formatAddCheckpoint(request))).toStrictEqual(request);
});

describe('refused', () => {
  test.each([
    ['nothing', ''],
    ['no empty line', `old 1\n${H1}`],
    ['only a head line', 'old 1\n'],
    ['no old', `${H1}\n\n${three}`],
    ['another word', good.replace('old', 'new')],
    ['a capital letter', good.replace('old', 'Old')],
    ['two spaces', good.replace('old 1', 'old  1')],
    ['a space behind', good.replace('old 1', 'old 1 ')],
    ['no size', good.replace('old 1', 'old ')],
    ['a leading zero', good.replace('old 1', 'old 01')],
    ['a sign', good.replace('old 1', 'old +1')],
    ['a negative size', good.replace('old 1', 'old -1')],
    ['hexadecimal', good.replace('old 1', 'old 0x1')],
    ['a size above 2^53 - 1', good.replace('old 1', 'old 9007199254740992')],
    ['CR LF', good.replaceAll('\n', '\r\n')],
    ['a space before', ` ${good}`],
    ['a byte order mark', `\ufeff${good}`],
    ['an empty line before', `\n${good}`],
    ['64 hashes', `old 1\n${`${H1}\n`.repeat(64)}\n${three}`],
    ['a hash of 31 bytes', good.replace(H1, 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ==')],
    ['a hash of 33 bytes', good.replace(H1, `AAAA${'A'.repeat(40)}`)],
    [
      'a hash in another spelling',
      good.replace('KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB='),
    ],
    ['no padding', good.replace(`${H1}`, H1.slice(0, -1))],
    ['no note', 'old 1\n\n'],
    ['a note without signatures', `old 1\n\n${three.slice(0, three.indexOf('\n\n') + 1)}`],
    ['a note with an empty signature block', `old 1\n\n${three.slice(0, three.indexOf('\n\n') + 2)}`],
    ['a note without its last newline', good.slice(0, -1)],
    ['something after the note', `${good}x\n`],
    ['an empty line after the note', `${good}\n`],
    ['a line that is no signature', `${good}- ${ORIGIN} AAAAAQI=\n`],
    ['a tab in the note', good.replace('\n3\n', '\n3\t\n')],
    ['101 signatures', `${good}${'— a AAAAAQI=\n'.repeat(100)}`],
  ])('%s', (_, text) => {
    expect(codeOf(() => parse(text))).toBe('malformed_request');
  });

  test('bytes that are not UTF-8, in the request and in the note', () => {
    expect(codeOf(() => parseAddCheckpoint(concatBytes(Uint8Array.of(0xff), utf8(good))))).toBe('malformed_request');
    expect(codeOf(() => parseAddCheckpoint(concatBytes(utf8(good), Uint8Array.of(0xff, 0x0a))))).toBe(
      'malformed_request',
    );
  });

  test('a request larger than 128 KiB', () => {
    const rest = utf8(`old 0\n\n\n${one}`).length;
    const text = (size: number) => `old 0\n\n${'x'.repeat(size - rest)}\n${one}`;
    expect(utf8(text(MAX_ADD_CHECKPOINT_SIZE))).toHaveLength(131_072);
    expect(parse(text(MAX_ADD_CHECKPOINT_SIZE)).oldSize).toBe(0);
    expect(codeOf(() => parse(text(MAX_ADD_CHECKPOINT_SIZE + 1)))).toBe('malformed_request');
  });

  test('hostile requests take time in proportion to their size', () => {
    for (const text of ['\n'.repeat(131_072), `old 1\n${`${H1}\n`.repeat(2900)}`, `old 1\n\n${'\n'.repeat(131_000)}`]) {
      const begin = performance.now();
      expect(codeOf(() => parse(text))).toBe('malformed_request');
      expect(performance.now() - begin).toBeLessThan(1000);
    }
  });

  test('cuts anywhere', () => {
    for (let at = 0; at < utf8(good).length; at++)
      if (codeOf(() => parseAddCheckpoint(utf8(good).subarray(0, at))) !== 'malformed_request')
        throw new Error(`at ${at}`);
  });

  test.each<[string, Partial<AddCheckpoint>]>([
    ['a size that is none', { oldSize: -1 }],
    ['a fraction', { oldSize: 1.5 }],
    ['a size above 2^53 - 1', { oldSize: 2 ** 53 }],
    ['64 hashes', { proof: Array.from({ length: 64 }, (_, i) => hash(i)) }],
    ['a hash of 31 bytes', { proof: [new Uint8Array(31) as never] }],
    ['what is no note', { checkpoint: 'a\n' }],
  ])('nor is one written with %s', (_, change) => {
    expect(codeOf(() => formatAddCheckpoint({ ...parse(good), ...change }))).toBe('malformed_request');
  });
});

test('the origin that a request claims is the first line of its note', () => {
  expect(claimedOrigin(parse(good))).toBe(ORIGIN);
  expect(claimedOrigin({ checkpoint: '\n\n— b AAAAAQI=\n' })).toBe('');
  expect(codeOf(() => claimedOrigin({ checkpoint: 'example.com\n' }))).toBe('malformed_note');
});

test('the hash of an origin of a known log', () => {
  expect(originHash('example.com/log/testdata')).toBe(
    '6994c64086cc171ca46c749d036fd313bac575a8b2b2a2b9874ef097775714d5',
  );
  expect(fromBase64(H1)).toHaveLength(32);
});
