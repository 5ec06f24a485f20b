/** Cosignatures of witnesses, byte for byte (C2SP tlog-cosignature). */
import { describe, expect, test } from '@jest/globals';
import {
  COSIGNATURE_SIZE,
  cosignatureMessage,
  cosignatureTime,
  cosigner,
  formatCosignerKey,
  parseCosignerKey,
  verifyCosignature,
} from '../../proofs/cosignature.ts';
import { makeVerifierKey, parseSignerKey } from '../../proofs/key.ts';
import { addSignatures, formatSignatureLines, openNote, signNote } from '../../proofs/note.ts';
import { concatBytes, fromBase64, toBase64, toHex, u64, utf8 } from '../../tree/bytes.ts';
import { sha256 } from '../../tree/sha256.ts';
import { codeOf, flipped } from './error-code.ts';

const PETER = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const seed = fromBase64('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz').subarray(1);
const NAME = 'witness.example.com/w1';
const KEY_TEXT = `PRIVATE+KEY+${NAME}+d46a2b1b+BIEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz`;
const TIME = 1679315147;
const BODY = 'example.com/log/testdata\n8\nbC+VwvrJbalNVjfkdI8kUgs7mJoXrqiXCE7bgnD28pY=\n';
const LINE =
  '— witness.example.com/w1 1GorGwAAAABkGFDLOr4VChN4hpalDO5b4Mj0X6m/DTEIGwaOKA8KCdrRCbsYhaIS4or9kM6NAejGR2TLIVn2y6urZGG0vEhcCLT6Bw==\n';

const w1 = cosigner(NAME, seed);
const lineAt = (time: number) => {
  const { name, keyId } = w1.verifierKey;
  return { name, keyId, signature: w1.cosign(BODY, time) };
};

describe('a known cosignature', () => {
  test('key, message and line', () => {
    expect(w1.verifierKey.text).toBe(`${NAME}+d46a2b1b+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW`);
    expect(toHex(sha256(cosignatureMessage(TIME, utf8(BODY))))).toBe(
      '88ce6a1a9b2cf76feb14531899125f72b5439da8816f5e3c7e1d4e521ec9f871',
    );
    expect(formatSignatureLines([lineAt(TIME)])).toBe(LINE);
    expect(cosignatureTime(lineAt(TIME).signature)).toBe(TIME);
  });

  test('a note that only the witness signed opens by its key, and not by the same public key for notes', () => {
    const note = `${BODY}\n${LINE}`;
    expect(openNote(note, [w1.verifierKey]).signatures).toHaveLength(1);
    const plain = makeVerifierKey(NAME, w1.verifierKey.publicKey);
    expect(plain.text).toContain('+7a2f5fee+');
    expect(codeOf(() => openNote(note, [plain]))).toBe('unknown_signer');
  });

  test('under a checkpoint, the log stays first and a newer line takes the place of the older', () => {
    const log = parseSignerKey(
      'PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg',
    );
    const bare = signNote(BODY, [log]);
    const once = addSignatures(bare, [lineAt(TIME)]);
    expect(once).toBe(`${bare}${LINE}`);
    const twice = addSignatures(once, [lineAt(TIME + 1)]);
    expect(twice).toBe(`${bare}${formatSignatureLines([lineAt(TIME + 1)])}`);
    expect(addSignatures(twice, [lineAt(TIME)])).toBe(once);
  });
});

describe('signing', () => {
  test('the same text at another time is another signature', () => {
    expect(lineAt(TIME).signature).toEqual(lineAt(TIME).signature);
    expect(lineAt(TIME).signature.subarray(8)).not.toEqual(lineAt(TIME + 1).signature.subarray(8));
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])('no cosignature has the time %d', (time) => {
    expect(() => w1.cosign(BODY, time)).toThrow(RangeError);
  });

  test('the first and the last time', () => {
    for (const time of [1, 2 ** 53 - 1]) {
      const signature = w1.cosign(BODY, time);
      expect(signature).toHaveLength(COSIGNATURE_SIZE);
      expect(cosignatureTime(signature)).toBe(time);
      expect(verifyCosignature(signature, utf8(BODY), w1.verifierKey.publicKey)).toBe(true);
    }
  });

  test('the seed is copied', () => {
    const own = Uint8Array.from(seed);
    const made = cosigner(NAME, own);
    own.fill(0);
    expect(made.cosign(BODY, TIME)).toEqual(w1.cosign(BODY, TIME));
  });

  test.each([0, 31, 33, 64])('a seed of %d bytes is refused', (length) => {
    expect(codeOf(() => cosigner(NAME, new Uint8Array(length)))).toBe('malformed_key');
    expect(codeOf(() => formatCosignerKey(NAME, new Uint8Array(length)))).toBe('malformed_key');
  });

  test.each(['', 'two words', 'a+b', 'line\n', '\ud800'])('the name %j is refused', (name) => {
    expect(codeOf(() => cosigner(name, seed))).toBe('malformed_key');
    expect(codeOf(() => formatCosignerKey(name, seed))).toBe('malformed_key');
  });
});

describe('verifying', () => {
  const good = w1.cosign(BODY, TIME);
  const check = (signature: Uint8Array, text = utf8(BODY)) =>
    verifyCosignature(signature, text, w1.verifierKey.publicKey);

  test('every bit counts, those of the time too', () => {
    for (let bit = 0; bit < 8 * COSIGNATURE_SIZE; bit++) if (check(flipped(good, bit))) throw new Error(`bit ${bit}`);
    for (let bit = 0; bit < 8 * utf8(BODY).length; bit++)
      if (check(good, flipped(utf8(BODY), bit))) throw new Error(`bit ${bit} of the text`);
    expect(check(good)).toBe(true);
  });

  test('other lengths, and times that are no number here', () => {
    expect(check(good.subarray(1))).toBe(false);
    expect(check(concatBytes(good, Uint8Array.of(0)))).toBe(false);
    expect(check(good.subarray(8))).toBe(false);
    expect(check(concatBytes(new Uint8Array(8).fill(0xff), good.subarray(8)))).toBe(false);
    expect(codeOf(() => cosignatureTime(good.subarray(1)))).toBe('malformed_note');
    expect(codeOf(() => cosignatureTime(new Uint8Array(COSIGNATURE_SIZE).fill(0xff)))).toBe('malformed_note');
    expect(cosignatureTime(concatBytes(u64(2 ** 53 - 1), good.subarray(8)))).toBe(2 ** 53 - 1);
    expect(cosignatureTime(concatBytes(u64(0), good.subarray(8)))).toBe(0);
  });

  test('whoever verifies in another way is asked about the 64 bytes and the whole message', () => {
    const asked: Uint8Array[][] = [];
    const note = `${BODY}\n${LINE}`;
    openNote(note, [w1.verifierKey], (key, message, signature) => {
      asked.push([key.publicKey, message, signature]);
      return true;
    });
    expect(asked).toEqual([[w1.verifierKey.publicKey, cosignatureMessage(TIME, utf8(BODY)), good.subarray(8)]]);
    expect(codeOf(() => openNote(note, [w1.verifierKey], () => false))).toBe('invalid_signature');
  });
});

describe('the private key of a witness', () => {
  test('is written and read in one spelling, a newline at its end aside', () => {
    expect(formatCosignerKey(NAME, seed)).toBe(KEY_TEXT);
    for (const text of [KEY_TEXT, `${KEY_TEXT}\n`]) {
      expect(parseCosignerKey(text).verifierKey).toEqual(w1.verifierKey);
      expect(parseCosignerKey(text).cosign(BODY, TIME)).toEqual(w1.cosign(BODY, TIME));
    }
  });

  test.each([
    ['two newlines', `${KEY_TEXT}\n\n`, 'malformed_key'],
    ['a space', `${KEY_TEXT} `, 'malformed_key'],
    ['CR LF', `${KEY_TEXT}\r\n`, 'malformed_key'],
    ['no prefix', KEY_TEXT.replace('PRIVATE+KEY+', ''), 'malformed_key'],
    ['the prefix in small letters', KEY_TEXT.replace('PRIVATE', 'private'), 'malformed_key'],
    ['a key for notes', PETER, 'unknown_algorithm'],
    ['a key for ML-DSA', KEY_TEXT.replace('+BIEK', '+BoEK'), 'unknown_algorithm'],
    ['the key ID under 0x01', KEY_TEXT.replace('d46a2b1b', '7a2f5fee'), 'key_id_mismatch'],
    ['another seed', KEY_TEXT.replace('KDFz', 'KDFy'), 'key_id_mismatch'],
    ['another name', KEY_TEXT.replace('/w1', '/w2'), 'key_id_mismatch'],
    ['a seed of 31 bytes', KEY_TEXT.replace('HKDFz', 'HKA=='), 'malformed_key'],
    ['capital digits', KEY_TEXT.replace('d46a2b1b', 'D46A2B1B'), 'malformed_key'],
    ['nothing', '', 'malformed_key'],
  ])('refused: %s', (_, text, code) => {
    expect(codeOf(() => parseCosignerKey(text))).toBe(code);
  });

  test('a signer of notes is not made of it, and no error repeats it', () => {
    expect(codeOf(() => parseSignerKey(KEY_TEXT))).toBe('unknown_algorithm');
    for (let at = 0; at < KEY_TEXT.length; at++) {
      const next = String.fromCharCode(KEY_TEXT.charCodeAt(at) + 1);
      const bad = KEY_TEXT.slice(0, at) + next + KEY_TEXT.slice(at + 1);
      let message = '';
      try {
        parseCosignerKey(bad);
      } catch (error) {
        message = (error as Error).message;
      }
      // Each character counts, and no message gives any of the seed away.
      expect(message).not.toBe('');
      for (let from = 0; from + 8 <= 44; from++)
        expect(message).not.toContain(toBase64(concatBytes(Uint8Array.of(4), seed)).slice(from, from + 8));
    }
  });
});
