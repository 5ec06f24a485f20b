import { describe, expect, test } from '@jest/globals';
import { cosignatureMessage } from '../../proofs/cosignature.ts';
import { sign } from '../../proofs/ed25519.ts';
import {
  addSignatures,
  ed25519Signer,
  formatSignatureLines,
  MAX_NOTE_SIZE,
  makeVerifierKey,
  type NoteSignature,
  openNote,
  parseSignatureLines,
  parseSignerKey,
  parseVerifierKey,
  signNote,
  splitNote,
} from '../../proofs/note.ts';
import { concatBytes, fromBase64, toBase64, toHex, u64, utf8 } from '../../tree/bytes.ts';
import { sha256 } from '../../tree/sha256.ts';
import { codeOf } from './error-code.ts';

const PETER_KEY = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const peter = parseSignerKey(PETER_KEY);
const enoch = parseSignerKey('PRIVATE+KEY+EnochRoot+af0cfe78+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA');
const TEXT =
  'If you think cryptography is the answer to your problem,\n' + "then you don't know what your problem is.\n";
const PETER_LINE =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const ENOCH_LINE =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n';
const STRANGER_LINE = '— stranger AAAAAQI=\n';
const known = [peter.verifierKey, enoch.verifierKey];

const lineOf = ({ name, signature }: NoteSignature) => `${name} ${toHex(signature).slice(0, 8)}`;

describe('known notes of other implementations', () => {
  test('the example of signed-note', () => {
    const note =
      'This is an example message.\n\n' +
      '— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
    const key = parseVerifierKey('example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
    const opened = openNote(note, [key]);
    expect(opened.text).toBe('This is an example message.\n');
    expect(opened.signatures).toHaveLength(1);
    expect(opened.signatures[0]).toMatchObject({ name: 'example.com/foo', keyId: 0x530d903a });
    expect(opened.signatures[0]?.signature).toHaveLength(64);
    expect(opened.unverified).toEqual([]);
  });

  test('the notes of sumdb/note are made again, byte for byte', () => {
    expect(signNote(TEXT, [peter])).toBe(`${TEXT}\n${PETER_LINE}`);
    expect(signNote(TEXT, [peter, enoch])).toBe(`${TEXT}\n${PETER_LINE}${ENOCH_LINE}`);
    expect(signNote(TEXT, [enoch, peter])).toBe(`${TEXT}\n${ENOCH_LINE}${PETER_LINE}`);
  });

  test('a note opens as bytes and as a text', () => {
    const note = `${TEXT}\n${PETER_LINE}${ENOCH_LINE}`;
    expect(openNote(utf8(note), known)).toEqual(openNote(note, known));
    expect(openNote(note, known).signatures.map((line) => line.name)).toEqual(['PeterNeumann', 'EnochRoot']);
  });

  test('the cosignature', () => {
    const body = 'example.com/log/testdata\n8\nbC+VwvrJbalNVjfkdI8kUgs7mJoXrqiXCE7bgnD28pY=\n';
    const time = 1679315147;
    const message = cosignatureMessage(time, utf8(body));
    expect(toHex(sha256(message))).toBe('88ce6a1a9b2cf76feb14531899125f72b5439da8816f5e3c7e1d4e521ec9f871');
    const key = parseVerifierKey('witness.example.com/w1+d46a2b1b+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
    expect(makeVerifierKey(key.name, peter.verifierKey.publicKey, 4).text).toBe(key.text);
    expect(makeVerifierKey(key.name, peter.verifierKey.publicKey, 1).keyId).toBe(0x7a2f5fee);
    const seed = fromBase64('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz').slice(1);
    const cosigner = {
      verifierKey: key,
      sign: (text: Uint8Array) => concatBytes(u64(time), sign(cosignatureMessage(time, text), seed)),
    };
    const line =
      '— witness.example.com/w1 1GorGwAAAABkGFDLOr4VChN4hpalDO5b4Mj0X6m/DTEIGwaOKA8KCdrRCbsYhaIS4or9kM6NAejGR2TLIVn2y6urZGG0vEhcCLT6Bw==\n';
    expect(signNote(body, [cosigner])).toBe(`${body}\n${line}`);
    expect(openNote(`${body}\n${line}`, [key]).signatures[0]?.signature).toHaveLength(72);

    // Another time, no time, a time above 2^53 - 1, and the plain signature of the text in its place.
    const cosignature = fromBase64(line.split(' ')[2]?.trim() as string).slice(4);
    const forgeries = [
      cosignature.with(7, 0),
      cosignature.slice(8),
      cosignature.with(0, 1),
      concatBytes(u64(time), sign(utf8(body), seed)),
      concatBytes(cosignature, Uint8Array.of(0)),
    ];
    for (const forged of forgeries) {
      const bad = signNote(body, [{ verifierKey: key, sign: () => forged }]);
      expect(codeOf(() => openNote(bad, [key]))).toBe('invalid_signature');
    }
    // The other way round: a cosignature does not pass for a plain signature of the same raw key.
    const plain = makeVerifierKey(key.name, key.publicKey, 1);
    const crossed = signNote(body, [{ verifierKey: plain, sign: () => cosignature.slice(8) }]);
    expect(codeOf(() => openNote(crossed, [plain]))).toBe('invalid_signature');
  });
});

describe('who signed', () => {
  test('lines by unknown keys are kept apart, equal ones once', () => {
    const other = '— stranger AAAAAQM=\n';
    const opened = openNote(`${TEXT}\n${STRANGER_LINE}${PETER_LINE}${STRANGER_LINE}${other}${ENOCH_LINE}`, [
      peter.verifierKey,
    ]);
    expect(opened.signatures.map((line) => line.name)).toEqual(['PeterNeumann']);
    expect(opened.unverified.map(lineOf)).toEqual(['stranger 02', 'stranger 03', 'EnochRoot 1ce665ad']);
  });

  test('nobody known: refused', () => {
    expect(codeOf(() => openNote(`${TEXT}\n${PETER_LINE}`, [enoch.verifierKey]))).toBe('unknown_signer');
    expect(codeOf(() => openNote(`${TEXT}\n${PETER_LINE}`, []))).toBe('unknown_signer');
  });

  test('the same name with another key ID, and the reverse, are unknown and no failure', () => {
    const { signature } = openNote(`${TEXT}\n${PETER_LINE}`, known).signatures[0] as NoteSignature;
    const { name, keyId } = peter.verifierKey;
    for (const line of [
      { name, keyId: keyId + 1, signature },
      { name: `${name}2`, keyId, signature },
    ]) {
      const note = signNote(TEXT, [enoch], [line]);
      expect(openNote(note, known).unverified).toEqual([line]);
      expect(codeOf(() => openNote(note, [peter.verifierKey]))).toBe('unknown_signer');
    }
  });

  test('one bad signature by a known key spoils the note, whatever else is good', () => {
    const wrong = PETER_LINE.replace('x08go/ZJ', 'x08go/ZK');
    expect(codeOf(() => openNote(`${TEXT}\n${ENOCH_LINE}${wrong}`, known))).toBe('invalid_signature');
    expect(codeOf(() => openNote(`${TEXT}\n${wrong}${ENOCH_LINE}`, known))).toBe('invalid_signature');
    expect(openNote(`${TEXT}\n${wrong}${ENOCH_LINE}`, [enoch.verifierKey]).signatures).toHaveLength(1);
  });

  test('a second line by the same key is skipped', () => {
    const wrong = PETER_LINE.replace('x08go/ZJ', 'x08go/ZK');
    expect(openNote(`${TEXT}\n${PETER_LINE}${PETER_LINE}`, known).signatures).toHaveLength(1);
    expect(openNote(`${TEXT}\n${PETER_LINE}${wrong}`, known)).toMatchObject({ unverified: [] });
    expect(codeOf(() => openNote(`${TEXT}\n${wrong}${PETER_LINE}`, known))).toBe('invalid_signature');
  });

  test('two given keys with one name and ID are an error where such a line occurs, and only there', () => {
    const twice = [peter.verifierKey, peter.verifierKey, enoch.verifierKey];
    expect(codeOf(() => openNote(`${TEXT}\n${PETER_LINE}`, twice))).toBe('ambiguous_key');
    expect(openNote(`${TEXT}\n${ENOCH_LINE}`, twice).signatures).toHaveLength(1);
  });
});

describe('signing', () => {
  test('keeps lines that are there and replaces those of the same key', () => {
    const { signatures, unverified } = openNote(`${TEXT}\n${PETER_LINE}${STRANGER_LINE}`, known);
    const lines = [...signatures, ...unverified];
    expect(signNote(TEXT, [enoch], lines)).toBe(`${TEXT}\n${PETER_LINE}${STRANGER_LINE}${ENOCH_LINE}`);
    expect(signNote(TEXT, [peter], lines)).toBe(`${TEXT}\n${STRANGER_LINE}${PETER_LINE}`);
    expect(signNote(TEXT, [], lines)).toBe(`${TEXT}\n${PETER_LINE}${STRANGER_LINE}`);
  });

  test('the text may have blank lines: the last one separates', () => {
    for (const text of ['a\n\nb\n', '\n', '\n\n', `a\n\n${STRANGER_LINE}`, 'a\n\n\n', '\ufeffa\n']) {
      const note = signNote(text, [peter]);
      expect(openNote(note, known).text).toBe(text);
      expect(openNote(utf8(note), known).text).toBe(text);
    }
  });

  test.each([
    ['an empty text', ''],
    ['no newline at the end', 'abc'],
    ['CR', 'a\r\n'],
    ['a tab', 'a\tb\n'],
    ['a lone surrogate', 'a\ud800\n'],
  ])('refuses %s', (_, text) => {
    expect(codeOf(() => signNote(text, [peter]))).toBe('malformed_note');
  });

  test('refuses to make a note without signatures', () => {
    expect(codeOf(() => signNote(TEXT, []))).toBe('malformed_note');
  });

  test('refuses an existing line that would be none', () => {
    const line = { name: 'a\nb', keyId: 1, signature: Uint8Array.of(1) };
    expect(codeOf(() => signNote(TEXT, [peter], [line]))).toBe('malformed_note');
  });

  test('a signer may need its own object', () => {
    class Signer {
      readonly verifierKey = peter.verifierKey;
      sign(message: Uint8Array): Uint8Array {
        return peter.sign(this.verifierKey === peter.verifierKey ? message : utf8(''));
      }
    }
    expect(signNote(TEXT, [new Signer()])).toBe(`${TEXT}\n${PETER_LINE}`);
  });
});

describe('malformed notes', () => {
  const good = `${TEXT}\n${PETER_LINE}`;
  const base64 = PETER_LINE.split(' ')[2]?.trim() as string;

  test.each([
    ['nothing', ''],
    ['no signature block', TEXT],
    ['only the blank line', `${TEXT}\n`],
    ['no newline at the end', good.slice(0, -1)],
    ['a leading 0x01', `\u0001${good}`],
    ['a name with a space', `${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'Peter Neumann')}`],
    ['a name with a no-break space', `${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'Peter\u00a0Neumann')}`],
    ['a name with U+0085', `${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'Peter\u0085Neumann')}`],
    ['a name with a plus sign', `${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'Peter+Neumann')}`],
    ['no name', `${TEXT}\n— ${base64}\n`],
    ['an empty name', `${TEXT}\n—  ${base64}\n`],
    ['another line after the signatures', `${good}hello\n`],
    ['another line before the signatures', `${TEXT}\nhello\n${PETER_LINE}`],
    ['no blank line', TEXT + PETER_LINE],
    ['a second blank line between the signatures', `${good}\nhello\n`],
    ['a hyphen for the dash', good.replace('—', '-')],
    ['an en dash for the dash', good.replace('—', '–')],
    ['two spaces before the base64', good.replace(' x08', '  x08')],
    ['a space at the end of a line', good.replace('nAM=\n', 'nAM= \n')],
    ['CR LF', good.replaceAll('\n', '\r\n')],
    ['a tab', good.replace('you', '\tyou')],
    ['no padding', good.replace('nAM=', 'nAM')],
    ['bits behind the base64', good.replace('nAM=', 'nAN=')],
    ['the URL alphabet', good.replace('x08go/', 'x08go_')],
    ['a signature of nothing', `${TEXT}\n— PeterNeumann x08gow==\n`],
    ['no base64', `${TEXT}\n— PeterNeumann\n`],
    ['empty base64', `${TEXT}\n— PeterNeumann \n`],
    ['101 signatures', `${TEXT}\n${STRANGER_LINE.repeat(100)}${PETER_LINE}`],
    ['too many bytes', `${'x'.repeat(MAX_NOTE_SIZE)}\n${good}`],
    ['a lone surrogate', `\udc00${good}`],
  ])('%s', (_, note) => {
    expect(codeOf(() => openNote(note, known))).toBe('malformed_note');
  });

  test('bytes that are not UTF-8', () => {
    for (const byte of [0xff, 0x80, 0xc0])
      expect(codeOf(() => openNote(concatBytes(Uint8Array.of(byte), utf8(good)), known))).toBe('malformed_note');
    const inName = utf8(`${TEXT}\n— Peter?eumann ${base64}\n`).map((byte) => (byte === 0x3f ? 0xff : byte));
    expect(codeOf(() => openNote(inName, known))).toBe('malformed_note');
  });

  test('100 signatures and the largest size are still read', () => {
    expect(openNote(`${TEXT}\n${STRANGER_LINE.repeat(99)}${PETER_LINE}`, known).signatures).toHaveLength(1);
    const room = MAX_NOTE_SIZE - utf8(signNote('\n', [peter])).length;
    const note = signNote(`${'x'.repeat(room)}\n`, [peter]);
    expect(utf8(note)).toHaveLength(MAX_NOTE_SIZE);
    expect(openNote(note, known).text).toHaveLength(room + 1);
    expect(codeOf(() => openNote(signNote(`${'x'.repeat(room + 1)}\n`, [peter]), known))).toBe('malformed_note');
  });

  test('every byte one higher or lower, every byte missing, every cut: refused', () => {
    const bytes = utf8(good);
    const refused = (note: Uint8Array, at: number, codes: string[]) => {
      const code = codeOf(() => openNote(note, known));
      if (!codes.includes(code)) throw new Error(`${code} at byte ${at}`);
    };
    const any = ['malformed_note', 'invalid_signature', 'unknown_signer'];
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      refused(bytes.with(at, (byte + 1) % 256), at, any);
      refused(bytes.with(at, (byte + 255) % 256), at, any);
      refused(concatBytes(bytes.slice(0, at), bytes.slice(at + 1)), at, any);
      refused(bytes.slice(0, at), at, ['malformed_note']);
    }
    for (let at = 0; at < utf8(TEXT).length - 1; at++) {
      const byte = bytes[at] as number;
      if (byte === 0x0a) continue;
      refused(bytes.with(at, byte + 1), at, ['invalid_signature', 'malformed_note']);
    }
  });

  test('hostile notes take time in proportion to their size', () => {
    const time = (note: string) => {
      const start = performance.now();
      codeOf(() => openNote(note, known));
      return performance.now() - start;
    };
    const longest = [
      '\n'.repeat(MAX_NOTE_SIZE),
      `a\n\n${'— '.repeat(200_000)}\n`,
      `a\n\n— ${'x'.repeat(MAX_NOTE_SIZE - 100)}\n`,
      `a\n\n— x ${'A'.repeat(MAX_NOTE_SIZE - 100)}\n`,
      `a\n\n${Array.from({ length: 100 }, (_, i) => `— x${i} ${'A'.repeat(10_000)}\n`).join('')}`,
    ];
    // A quadratic pass over a million bytes takes minutes, a linear one milliseconds.
    for (const note of longest) expect(time(note)).toBeLessThan(2000);
  });

  test('a longer way to name a key does not make it another: text and base64 have one spelling', () => {
    expect(toBase64(fromBase64(base64))).toBe(base64);
    expect(ed25519Signer('x', new Uint8Array(32)).verifierKey.text).toMatch(/^x\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$/);
  });
});

describe('signature lines alone, as a witness answers (C2SP tlog-witness)', () => {
  test('are read and written again', () => {
    const lines = parseSignatureLines(`${PETER_LINE}${ENOCH_LINE}`);
    expect(lines).toEqual(openNote(`${TEXT}\n${PETER_LINE}${ENOCH_LINE}`, known).signatures);
    expect(formatSignatureLines(lines)).toBe(`${PETER_LINE}${ENOCH_LINE}`);
    expect(parseSignatureLines(STRANGER_LINE)).toEqual([{ name: 'stranger', keyId: 1, signature: Uint8Array.of(2) }]);
    expect(parseSignatureLines(STRANGER_LINE.repeat(100))).toHaveLength(1);
  });

  test.each([
    ['nothing', ''],
    ['an empty line', '\n'],
    ['no newline at the end', PETER_LINE.slice(0, -1)],
    ['an empty line behind', `${PETER_LINE}\n`],
    ['an empty line before', `\n${PETER_LINE}`],
    ['an empty line between', `${PETER_LINE}\n${ENOCH_LINE}`],
    ['a text before, as in a note', `${TEXT}\n${PETER_LINE}`],
    ['a line that is none', `${PETER_LINE}hello\n`],
    ['CR LF', PETER_LINE.replace('\n', '\r\n')],
    ['a lone surrogate', PETER_LINE.replace('Peter', '\ud800')],
    ['a hyphen', PETER_LINE.replace('—', '-')],
    ['base64 in another spelling', PETER_LINE.replace('nAM=', 'nAN=')],
    ['101 lines', STRANGER_LINE.repeat(101)],
    ['too many bytes', `— x ${'A'.repeat(MAX_NOTE_SIZE)}\n`],
  ])('refused: %s', (_, text) => {
    expect(codeOf(() => parseSignatureLines(text))).toBe('malformed_note');
  });

  test.each<[string, NoteSignature[]]>([
    ['none', []],
    ['a name that is none', [{ name: 'two words', keyId: 1, signature: Uint8Array.of(1) }]],
    ['an empty name', [{ name: '', keyId: 1, signature: Uint8Array.of(1) }]],
    ['a name with a line in it', [{ name: 'a b AAAAAQI=\n— c', keyId: 1, signature: Uint8Array.of(1) }]],
    ['a signature of nothing', [{ name: 'a', keyId: 1, signature: new Uint8Array(0) }]],
  ])('nor are they written: %s', (_, lines) => {
    expect(codeOf(() => formatSignatureLines(lines))).toBe('malformed_note');
  });

  test('are put under a note, in the place of older ones by the same keys, and nobody else is touched', () => {
    const note = `${TEXT}\n${PETER_LINE}${STRANGER_LINE}`;
    expect(addSignatures(note, parseSignatureLines(ENOCH_LINE))).toBe(`${note}${ENOCH_LINE}`);
    const newer = '— stranger AAAAAQM=\n';
    expect(addSignatures(note, parseSignatureLines(newer))).toBe(`${TEXT}\n${PETER_LINE}${newer}`);
    const sameNameOnly = '— stranger AAAAAgM=\n';
    expect(addSignatures(note, parseSignatureLines(sameNameOnly))).toBe(`${note}${sameNameOnly}`);
    expect(addSignatures(note, [])).toBe(note);
    expect(codeOf(() => addSignatures(TEXT, parseSignatureLines(ENOCH_LINE)))).toBe('malformed_note');
  });

  test('a note in its parts, nothing verified', () => {
    const { text, lines } = splitNote(`${TEXT}\n${STRANGER_LINE}`);
    expect([new TextDecoder().decode(text), lines.map(({ name }) => name)]).toEqual([TEXT, ['stranger']]);
  });
});
