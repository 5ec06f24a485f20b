import { describe, expect, test } from '@jest/globals';
import { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from '../../proofs/checkpoint.ts';
import { verifyInclusion } from '../../proofs/inclusion.ts';
import { ed25519Signer, parseSignerKey, signNote } from '../../proofs/note.ts';
import { encodeBundle } from '../../tree/bundles.ts';
import { fromBase64, toBase64, toHex, utf8 } from '../../tree/bytes.ts';
import { appendToFrontier, type Frontier, frontierRoot } from '../../tree/frontier.ts';
import { asTreeHash, emptyRoot, leafHash } from '../../tree/hash.ts';
import { sha256 } from '../../tree/sha256.ts';
import { codeOf } from './error-code.ts';

const ORIGIN = 'example.com/log/testdata';
const signer = parseSignerKey(
  'PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg',
);
const key = signer.verifierKey;
const ROOT = 'bC+VwvrJbalNVjfkdI8kUgs7mJoXrqiXCE7bgnD28pY=';
const BODY = `${ORIGIN}\n8\n${ROOT}\n`;
const NOTE = signNote(BODY, [signer]);

describe("Tessera's test log", () => {
  const entries = 'one two three four five six seven eit nain ten ileven twelf threeten fourten fivten'.split(' ');

  test.each([
    [
      0,
      '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
      'M9e0lhxJACzE1KoUdqKuPa+9p6R7dSW8BlEvrg/noo8FkGg6PbJoRNOcdjqjOq89wVvTA60eubCc4oufo5BvIVEgtQc=',
    ],
    [
      1,
      '0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=',
      'M9e0lhr9kuLxGdAtaUrhm84TQffVsLdcy808sN0a3WyniNlfcr9+bywoiIke1YYciCNjJGkCgIlQ8b16jhsmg/SChAM=',
    ],
    [
      2,
      'T1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4=',
      'M9e0llH4NKmlf0u7C8tkJioQOmi7l5ELqljXgKRg6R3G5JJ7vx7emDWo5fpqKuA/Dk/jRrI6il+7QCVirNhyUAWGoAk=',
    ],
    [
      3,
      'Wqx3HImawpLnS/Gv4ubjAvi1WIOy0b8Ze0amvqbavKk=',
      'M9e0lvAQRtH832pk2RTbeSeZMkp4FZSdJYFBUjO5SKxuRbywPUF3cx+HUrb50kjd3rUWW/fj53Wj1dwcwh9bGQnqVAg=',
    ],
    [
      7,
      'IrSXADBqJ7EQoUODSDKROySgNveeL6CFhik2w/+fS7U=',
      'M9e0luA5JhTRUki/BBQD0QNiH6AEJ2pdtsA5CQjqJErViuuKrN6513RCTL2640wXJv0dCed3neRGI6dMzBq9uANf2Qc=',
    ],
    [
      8,
      'bC+VwvrJbalNVjfkdI8kUgs7mJoXrqiXCE7bgnD28pY=',
      'M9e0lq1EK37dHtgv9O3UzPxisw5vwIPcJsX9ab0xt4mvVfbdUR1fbMjN6sBFYpBoBEmD4+cWhj/AVgI5MitCO5+mews=',
    ],
    [
      15,
      'rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=',
      'M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=',
    ],
  ])('checkpoint of size %d is made again, byte for byte', (treeSize, root, signature) => {
    let frontier: Frontier = [];
    for (const [i, entry] of entries.slice(0, treeSize).entries())
      frontier = appendToFrontier(frontier, i, leafHash(utf8(entry)));
    const rootHash = frontierRoot(frontier);
    expect(toBase64(rootHash)).toBe(root);
    const note = signCheckpoint({ origin: ORIGIN, treeSize, rootHash }, signer);
    expect(note).toBe(`${ORIGIN}\n${treeSize}\n${root}\n\n— ${ORIGIN} ${signature}\n`);
    expect(openCheckpoint(note, key)).toEqual({ origin: ORIGIN, treeSize, rootHash, extensions: [], note });
    expect(openCheckpoint(utf8(note), key).note).toBe(note);
  });

  test('its bundle begins with the framed entries', () => {
    const bundle = encodeBundle(entries.map(utf8));
    expect(toHex(bundle.slice(0, 17))).toBe('00036f6e65000374776f00057468726565');
  });

  test('hashes of the origin', () => {
    expect(toHex(sha256(utf8(ORIGIN)))).toBe('6994c64086cc171ca46c749d036fd313bac575a8b2b2a2b9874ef097775714d5');
    expect(toHex(sha256(utf8(`o:${ORIGIN}`)))).toBe('1d1ec7e7898c1a1f4e09123609cd9ea3e96ce6365969ab3996148ab0fc671b63');
  });

  test('the two-entry check', () => {
    const leaves = [utf8('hello'), utf8('')];
    const [first, second] = leaves.map(leafHash);
    if (first === undefined || second === undefined) throw new Error('no leaves');
    const rootHash = asTreeHash(fromBase64('g5wrnqf848jSpb8RZ0aoPvjniWaeMABKP/lWkUadDnc='));
    verifyInclusion({ leafHash: first, leafIndex: 0, treeSize: 2, rootHash, proof: [second] });
    expect(toHex(encodeBundle(leaves))).toBe('000568656c6c6f0000');
  });
});

describe('opening', () => {
  test('extension lines are kept', () => {
    const note = signNote(`${BODY}one line\nanother \u00e9\n`, [signer]);
    const opened = openCheckpoint(note, key);
    expect(opened.extensions).toEqual(['one line', 'another \u00e9']);
    expect(opened.note).toBe(note);
  });

  test('lines by others stay in the note', () => {
    const witness = ed25519Signer('witness.example.com/w1', new Uint8Array(32).fill(3));
    const note = signNote(BODY, [signer, witness]);
    expect(openCheckpoint(note, key)).toMatchObject({ treeSize: 8, note });
  });

  test('the signature comes before the text: an unsigned malformed one is not even parsed', () => {
    const other = ed25519Signer(ORIGIN, new Uint8Array(32).fill(3));
    expect(codeOf(() => openCheckpoint(signNote('not a checkpoint\n', [other]), key))).toBe('unknown_signer');
    expect(codeOf(() => openCheckpoint(signNote('not a checkpoint\n', [signer]), key))).toBe('malformed_checkpoint');
    expect(codeOf(() => openCheckpoint(NOTE.replace('\n8\n', '\n9\n'), key))).toBe('invalid_signature');
    expect(codeOf(() => openCheckpoint('', key))).toBe('malformed_note');
  });

  test('a valid signature over a foreign origin is a failure', () => {
    for (const origin of ['example.com/log/other', `${ORIGIN}/`, ORIGIN.toUpperCase()])
      expect(codeOf(() => openCheckpoint(signNote(`${origin}\n8\n${ROOT}\n`, [signer]), key))).toBe('origin_mismatch');
    expect(codeOf(() => signCheckpoint({ origin: 'x', treeSize: 0, rootHash: emptyRoot() }, signer))).toBe(
      'origin_mismatch',
    );
  });

  test('every byte of the note one higher: refused', () => {
    const bytes = utf8(NOTE);
    for (let at = 0; at < bytes.length; at++) {
      const code = codeOf(() => openCheckpoint(bytes.with(at, ((bytes[at] as number) + 1) % 256), key));
      if (!['malformed_note', 'invalid_signature', 'unknown_signer'].includes(code))
        throw new Error(`${code} at ${at}`);
    }
  });
});

describe('the text', () => {
  test('is read back as it was written', () => {
    for (const treeSize of [1, 10, 2 ** 53 - 1]) {
      const head = { origin: ORIGIN, treeSize, rootHash: asTreeHash(fromBase64(ROOT)) };
      expect(parseCheckpoint(formatCheckpoint(head))).toEqual({ ...head, extensions: [] });
    }
  });

  const E = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';
  test.each([
    ['nothing', ''],
    ['two lines', `${ORIGIN}\n8\n`],
    ['no newline at the end', BODY.slice(0, -1)],
    ['an empty origin', `\n8\n${ROOT}\n`],
    ['no size', `${ORIGIN}\n\n${ROOT}\n`],
    ['a word for a size', `${ORIGIN}\nfive\n${ROOT}\n`],
    ['a leading zero', `${ORIGIN}\n08\n${ROOT}\n`],
    ['a plus sign', `${ORIGIN}\n+8\n${ROOT}\n`],
    ['a minus sign', `${ORIGIN}\n-8\n${ROOT}\n`],
    ['a space', `${ORIGIN}\n8 \n${ROOT}\n`],
    ['hexadecimal', `${ORIGIN}\n0x8\n${ROOT}\n`],
    ['an exponent', `${ORIGIN}\n1e3\n${ROOT}\n`],
    ['other digits', `${ORIGIN}\n\u0668\n${ROOT}\n`],
    ['2^53', `${ORIGIN}\n9007199254740992\n${ROOT}\n`],
    ['2^63', `${ORIGIN}\n9223372036854775808\n${ROOT}\n`],
    ['a root of 31 bytes', `${ORIGIN}\n8\n${toBase64(new Uint8Array(31))}\n`],
    ['a root of 33 bytes', `${ORIGIN}\n8\n${toBase64(new Uint8Array(33))}\n`],
    ['no root', `${ORIGIN}\n8\n\n`],
    ['a root without padding', `${ORIGIN}\n8\n${ROOT.slice(0, -1)}\n`],
    ['a root with bits behind it', `${ORIGIN}\n8\n${ROOT.replace('pY=', 'pZ=')}\n`],
    ['a root in the URL alphabet', `${ORIGIN}\n8\n${ROOT.replaceAll('+', '-')}\n`],
    ['another root for size 0', `${ORIGIN}\n0\n${ROOT}\n`],
    ['an empty extension line', `${BODY}\n`],
    ['an empty line among the extensions', `${BODY}a\n\nb\n`],
    ['an extension without newline', `${BODY}a`],
    ['the lines in another order', `${ORIGIN}\n${E}\n8\n`],
  ])('refuses %s', (_, text) => {
    expect(codeOf(() => parseCheckpoint(text))).toBe('malformed_checkpoint');
  });

  test.each([
    ['an empty origin', { origin: '' }],
    ['a space in the origin', { origin: 'a b' }],
    ['a newline in the origin', { origin: 'a\nb' }],
    ['a long origin', { origin: 'x'.repeat(256) }],
    ['a long origin in bytes', { origin: 'é'.repeat(128) }],
    ['a negative size', { treeSize: -1 }],
    ['half a size', { treeSize: 1.5 }],
    ['a size beyond numbers', { treeSize: 2 ** 53 }],
    ['a short root', { rootHash: new Uint8Array(31) as ReturnType<typeof asTreeHash> }],
    ['another root for size 0', { treeSize: 0 }],
  ])('is not written with %s', (_, change) => {
    const head = { origin: ORIGIN, treeSize: 8, rootHash: asTreeHash(fromBase64(ROOT)) };
    expect(codeOf(() => formatCheckpoint({ ...head, ...change }))).toBe('malformed_checkpoint');
    expect(formatCheckpoint({ ...head, origin: 'x'.repeat(255) })).toContain('\n8\n');
  });
});
