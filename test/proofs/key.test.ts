import { describe, expect, test } from '@jest/globals';
import { NoteError } from '../../proofs/error.ts';
import { ed25519Signer, makeVerifierKey, parseSignerKey, parseVerifierKey } from '../../proofs/note.ts';
import { fromBase64, fromHex, toHex, utf8 } from '../../tree/bytes.ts';
import { codeOf } from './error-code.ts';

const PETER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const PETER_PRIVATE = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const WITNESS = 'witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN';
const GOOD = [
  PETER,
  'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop',
  'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
  'example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx',
  'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8',
  WITNESS,
];
const REFUSALS = ['malformed_key', 'unknown_algorithm', 'key_id_mismatch', 'bad_public_key'];

describe('verifier keys of other implementations', () => {
  test.each(GOOD)('%s', (text) => {
    const key = parseVerifierKey(text);
    const [name, id, base64] = text.split(/\+(.{8})\+/);
    expect(key.name).toBe(name);
    expect(key.keyId).toBe(Number.parseInt(id as string, 16));
    expect([key.algorithm, ...key.publicKey]).toEqual([...fromBase64(base64 as string)]);
    expect(key.text).toBe(text);
    expect(makeVerifierKey(key.name, key.publicKey, key.algorithm)).toEqual(key);
  });

  test('cosigner keys have algorithm 4, the others 1', () => {
    expect(parseVerifierKey(WITNESS).algorithm).toBe(4);
    expect(parseVerifierKey(PETER).algorithm).toBe(1);
  });

  test.each([
    ['40 bytes of key', 'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==', 'malformed_key'],
    ['unknown algorithm', 'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', 'unknown_algorithm'],
    [
      'RFC 6962 tree head, 0x05',
      'rome.ct.filippo.io/2024h1+78f4abae+BTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAFzPC3fap+uINc1RQ4eRbYMUt84+bKkA8GDLN8KwVdzAgYhYSv4kS8XSheGLAHCWhIJTJbuC3sL88bNMTtrsBM=',
      'unknown_algorithm',
    ],
    [
      'ECDSA, 0x02',
      'rekor.sigstore.dev+c0d23d6a+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogSMdGvXwBcK5AW5i0hrZLOC96l+smGNM7nwZ4QvFK/4sueRoVj//QP22Ni4Qt9DPfkWLc=',
      'unknown_algorithm',
    ],
    ['nothing', '', 'malformed_key'],
    ['no name', PETER.slice('PeterNeumann'.length), 'malformed_key'],
    ['a key ID in capitals', PETER.replace('c74f20a3', 'C74F20A3'), 'malformed_key'],
    ['a key ID of seven digits', PETER.replace('c74f20a3', 'c74f20a'), 'malformed_key'],
    ['another key ID', PETER.replace('c74f20a3', 'c74f20a4'), 'key_id_mismatch'],
    ['no base64', 'PeterNeumann+c74f20a3+', 'malformed_key'],
    ['no key', 'PeterNeumann+c74f20a3+AQ==', 'malformed_key'],
    ['white space at the end', `${PETER} `, 'malformed_key'],
    ['a newline at the end', `${PETER}\n`, 'malformed_key'],
    ['a space in the name', `Peter ${PETER.slice(5)}`, 'malformed_key'],
    ['a lone surrogate in the name', `\ud800${PETER}`, 'malformed_key'],
    ['a private key', PETER_PRIVATE, 'malformed_key'],
    ['the URL alphabet', PETER.replace('/', '_'), 'malformed_key'],
  ])('refuses %s', (_, text, code) => {
    expect(codeOf(() => parseVerifierKey(text))).toBe(code);
  });

  test.each([
    ['', 'empty'],
    ['a b', 'space'],
    ['a+b', 'plus sign'],
    ['a\nb', 'newline'],
    ['a\u0085b', 'next line, which \\s misses'],
    ['a\u00a0b', 'no-break space'],
    ['a\u2028b', 'line separator'],
    ['a\u3000b', 'ideographic space'],
    ['a\u0001b', 'control character'],
    ['a\udfffb', 'lone surrogate'],
  ])('refuses the name %j (%s)', (name) => {
    const { publicKey } = parseVerifierKey(PETER);
    expect(codeOf(() => makeVerifierKey(name, publicKey))).toBe('malformed_key');
  });

  test('a byte order mark is no white space', () => {
    const { publicKey } = parseVerifierKey(PETER);
    const { text } = makeVerifierKey('a\ufeffb', publicKey);
    expect(parseVerifierKey(text).name).toBe('a\ufeffb');
  });

  test('refuses a point of small order and a point that is spelt wrongly, with a matching key ID', () => {
    const neutral = fromHex(`01${'00'.repeat(31)}`);
    expect(codeOf(() => makeVerifierKey('x', neutral))).toBe('bad_public_key');
    // SHA-256("x" ‖ LF ‖ 0x01 ‖ the neutral point) begins with 30b4a9e1.
    expect(codeOf(() => parseVerifierKey('x+30b4a9e1+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'))).toBe(
      'bad_public_key',
    );
    expect(codeOf(() => makeVerifierKey('x', new Uint8Array(32).fill(255)))).toBe('bad_public_key');
  });

  test('every proper part of a good key is refused', () => {
    for (const key of [PETER, WITNESS]) {
      for (let begin = 0; begin < key.length; begin++) {
        for (let end = begin; end <= key.length; end++) {
          if (end - begin === key.length) continue;
          const code = codeOf(() => parseVerifierKey(key.slice(begin, end)));
          if (!REFUSALS.includes(code)) throw new Error(`${code}: ${key.slice(begin, end)}`);
        }
      }
    }
  });

  test('every byte one higher is refused', () => {
    for (const key of GOOD) {
      for (let at = 0; at < key.length; at++) {
        const changed = key.slice(0, at) + String.fromCharCode(key.charCodeAt(at) + 1) + key.slice(at + 1);
        const code = codeOf(() => parseVerifierKey(changed));
        if (!REFUSALS.includes(code)) throw new Error(`${code}: ${changed}`);
      }
    }
  });
});

describe('signer keys', () => {
  test.each([
    [PETER_PRIVATE, PETER],
    ['PRIVATE+KEY+EnochRoot+af0cfe78+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', GOOD[1]],
    [
      'PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg',
      'example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx',
    ],
  ])('%s', (text, verifierKey) => {
    expect(parseSignerKey(text).verifierKey.text).toBe(verifierKey);
    expect(parseSignerKey(`${text}\n`).verifierKey.text).toBe(verifierKey);
  });

  test.each([
    ['nothing', '', 'malformed_key'],
    ['a verifier key', PETER, 'malformed_key'],
    ['two newlines', `${PETER_PRIVATE}\n\n`, 'malformed_key'],
    ['CR LF', `${PETER_PRIVATE}\r\n`, 'malformed_key'],
    ['a space before it', ` ${PETER_PRIVATE}`, 'malformed_key'],
    ['another key ID', PETER_PRIVATE.replace('c74f20a3', 'c74f20a4'), 'key_id_mismatch'],
    ['a cosigner', PETER_PRIVATE.replace('+AYE', '+BYE'), 'unknown_algorithm'],
    ['a short seed', 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEK', 'malformed_key'],
  ])('refuses %s', (_, text, code) => {
    expect(codeOf(() => parseSignerKey(text))).toBe(code);
  });

  test('every byte one higher is refused, and no error repeats the key', () => {
    for (let at = 0; at < PETER_PRIVATE.length; at++) {
      const next = String.fromCharCode(PETER_PRIVATE.charCodeAt(at) + 1);
      const changed = PETER_PRIVATE.slice(0, at) + next + PETER_PRIVATE.slice(at + 1);
      let error: unknown;
      try {
        parseSignerKey(changed);
      } catch (thrown) {
        error = thrown;
      }
      if (!(error instanceof NoteError)) throw new Error(`accepted: ${changed}`);
      expect(REFUSALS).toContain(error.code);
      expect(`${error.message}${error.cause}`).not.toContain('FALVFGyNhPJ');
    }
  });

  test('keeps a copy of its seed', () => {
    const seed = new Uint8Array(32).fill(5);
    const signer = ed25519Signer('x', seed);
    const before = toHex(signer.sign(utf8('m')));
    seed.fill(0);
    expect(toHex(signer.sign(utf8('m')))).toBe(before);
    expect(codeOf(() => ed25519Signer('x', seed.slice(1)))).toBe('malformed_key');
  });
});
