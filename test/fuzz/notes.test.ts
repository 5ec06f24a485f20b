/**
 * Keys, signed notes, checkpoints and tlog-proofs: an altered one is refused by a NoteError, or it is the same. Nobody but the holder
 * of a key can make a text that opens to something else.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from '../../proofs/checkpoint.ts';
import { cosignatureMessage } from '../../proofs/cosignature.ts';
import { sign } from '../../proofs/ed25519.ts';
import { NoteError } from '../../proofs/error.ts';
import { formatKeyId } from '../../proofs/key.ts';
import {
  ed25519Signer,
  makeVerifierKey,
  openNote,
  parseSignerKey,
  parseVerifierKey,
  signNote,
} from '../../proofs/note.ts';
import { formatTlogProof, parseTlogProof } from '../../proofs/tlog-proof.ts';
import { concatBytes, fromBase64, fromUtf8, toBase64, u64, utf8 } from '../../tree/bytes.ts';
import { asTreeHash, emptyRoot } from '../../tree/hash.ts';
import { altered, alteredBytes, alteredUtf8, anyText, outcomeOf, runs } from './mutations.ts';

const ORIGIN = 'example.com/logs/main';
const seed = new Uint8Array(32).fill(1);
const signer = ed25519Signer(ORIGIN, seed);
const witnessSeed = new Uint8Array(32).fill(2);
const witness = makeVerifierKey('witness.example', ed25519Signer('x', witnessSeed).verifierKey.publicKey, 4);
const cosigner = {
  verifierKey: witness,
  sign: (message: Uint8Array) =>
    concatBytes(u64(1_700_000_000), sign(cosignatureMessage(1_700_000_000, message), witnessSeed)),
};
const SIGNER_KEY = `PRIVATE+KEY+${ORIGIN}+${formatKeyId(signer.verifierKey.keyId)}+${toBase64(concatBytes(Uint8Array.of(1), seed))}`;

/** The value, or `undefined` where a NoteError refuses; any other error fails. */
function opened<Value>(codes: readonly string[], action: () => Value): Value | undefined {
  const outcome = outcomeOf(action);
  if ('value' in outcome) return outcome.value;
  const { error } = outcome;
  if (!(error instanceof NoteError)) throw error;
  expect(codes).toContain(error.code);
  return undefined;
}

const KEY_CODES = ['malformed_key', 'unknown_algorithm', 'bad_public_key', 'key_id_mismatch'];
const NOTE_CODES = ['malformed_note', 'ambiguous_key', 'invalid_signature', 'unknown_signer'];
const CHECKPOINT_CODES = [...NOTE_CODES, 'malformed_checkpoint', 'origin_mismatch'];

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asTreeHash);
const head = fc
  .record({ treeSize: fc.oneof(fc.nat(9), fc.maxSafeNat()), rootHash: hash })
  .map((each) => (each.treeSize === 0 ? { treeSize: 0, rootHash: emptyRoot() } : each));
const checkpointText = head.map((each) => formatCheckpoint({ ...each, origin: ORIGIN }));
/** Signing costs milliseconds, so a few notes are altered many times. */
const notes = Array.from({ length: 4 }, (_, i) => {
  const text = formatCheckpoint({ origin: ORIGIN, treeSize: 7 + i, rootHash: asTreeHash(new Uint8Array(32).fill(i)) });
  return signNote(i === 3 ? `${text}extension line\n` : text, i % 2 === 0 ? [signer] : [signer, cosigner]);
});

test('a verifier key', () => {
  const good = fc.constantFrom(signer.verifierKey.text, witness.text);
  fc.assert(
    fc.property(altered(good), ({ good, text }) => {
      const key = opened(KEY_CODES, () => parseVerifierKey(text));
      if (key !== undefined) expect([key.text, text]).toEqual([text, good]);
    }),
    runs(2000),
  );
  fc.assert(
    fc.property(anyText, (text) => expect(opened(KEY_CODES, () => parseVerifierKey(text))).toBeUndefined()),
    runs(500),
  );
});

test('a signer key', () => {
  expect(parseSignerKey(SIGNER_KEY).verifierKey.text).toBe(signer.verifierKey.text);
  fc.assert(
    fc.property(altered(fc.constant(SIGNER_KEY)), ({ text }) => {
      const key = opened(KEY_CODES, () => parseSignerKey(text));
      // One newline at its end is as files have it.
      if (key !== undefined)
        expect([key.verifierKey.text, text.replace(/\n$/, '')]).toEqual([signer.verifierKey.text, SIGNER_KEY]);
    }),
    runs(1000),
  );
});

describe('a signed note', () => {
  const good = fc.constantFrom(...notes);

  test('opens to the text that was signed, or not at all', () => {
    fc.assert(
      fc.property(alteredUtf8(good), ({ good, bytes }) => {
        const note = opened(NOTE_CODES, () => openNote(bytes, [signer.verifierKey, witness]));
        if (note === undefined) return;
        expect(note.text).toBe(openNote(good, [signer.verifierKey, witness]).text);
        expectCanonicalLines(fromUtf8(bytes));
        for (const { name } of note.signatures) expect([ORIGIN, witness.name]).toContain(name);
      }),
      runs(700),
    );
  });

  /** Everybody's signature lines, known or not, have one spelling. */
  function expectCanonicalLines(note: string): void {
    for (const line of note.slice(note.lastIndexOf('\n\n') + 2, -1).split('\n')) {
      const [, base64 = ''] = /^\u2014 [^ ]+ ([^ ]+)$/.exec(line) ?? [];
      expect([line, Buffer.from(base64, 'base64').toString('base64')]).toEqual([line, base64 || 'a signature']);
    }
  }

  test('with one bit or byte of a signature altered is refused', () => {
    const [note = ''] = notes;
    const start = note.lastIndexOf(' ') + 1;
    const blob = fromBase64(note.slice(start, -1));
    fc.assert(
      fc.property(alteredBytes(fc.constant(blob)), ({ bytes }) => {
        const text = `${note.slice(0, start)}${toBase64(bytes)}\n`;
        expect(opened(NOTE_CODES, () => openNote(text, [signer.verifierKey])) !== undefined).toBe(text === note);
      }),
      runs(500),
    );
  });

  test('read as a text is what it is as bytes', () => {
    fc.assert(
      fc.property(altered(good), ({ text }) => {
        const asText = outcomeOf(() => openNote(text, [signer.verifierKey]));
        const asBytes = outcomeOf(() => openNote(utf8(text), [signer.verifierKey]));
        // Bytes have no lone surrogates: there they are U+FFFD.
        if (/\p{Cs}/u.test(text)) expect(asText).toHaveProperty('error.code', 'malformed_note');
        else expect(asText).toEqual(asBytes);
      }),
      runs(300),
    );
  });

  test('of any text is opened again, and spelt as it was', () => {
    const line = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), anyText);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
        const text = `${lines.join('\n')}\n`;
        const made = outcomeOf(() => signNote(text, [signer]));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a note may not have
        const isText = !/[\u0000-\u0009\u000b-\u001f]|\p{Cs}/u.test(text);
        expect('value' in made).toBe(isText);
        if (!('value' in made)) return expect(made).toHaveProperty('error.code', 'malformed_note');
        const note = openNote(made.value, [signer.verifierKey]);
        expect(note.text).toBe(text);
        expect(signNote(note.text, [], note.signatures)).toBe(made.value);
      }),
      runs(150),
    );
  });

  test('anything else is none', () => {
    fc.assert(
      fc.property(anyText, fc.uint8Array({ maxLength: 200 }), (text, bytes) => {
        expect(opened(NOTE_CODES, () => openNote(text, [signer.verifierKey]))).toBeUndefined();
        expect(opened(NOTE_CODES, () => openNote(bytes, [signer.verifierKey]))).toBeUndefined();
      }),
      runs(500),
    );
  });
});

describe('a checkpoint', () => {
  test('signed, says what was signed, or nothing', () => {
    fc.assert(
      fc.property(alteredUtf8(fc.constantFrom(...notes)), ({ good, bytes }) => {
        const checkpoint = opened(CHECKPOINT_CODES, () => openCheckpoint(bytes, signer.verifierKey));
        if (checkpoint === undefined) return;
        const { note, ...body } = checkpoint;
        const { note: _, ...expected } = openCheckpoint(good, signer.verifierKey);
        expect([note, body]).toEqual([fromUtf8(bytes), expected]);
      }),
      runs(700),
    );
  });

  test('signed over any head, is read back', () => {
    fc.assert(
      fc.property(head, ({ treeSize, rootHash }) => {
        const made = signCheckpoint({ origin: ORIGIN, treeSize, rootHash }, signer);
        expect(openCheckpoint(made, signer.verifierKey)).toMatchObject({ origin: ORIGIN, treeSize, rootHash });
      }),
      runs(50),
    );
  });

  test('has one spelling', () => {
    const good = fc
      .tuple(checkpointText, fc.array(fc.constantFrom('extension', 'another 1'), { maxLength: 2 }))
      .map(([text, lines]) => text + lines.map((line) => `${line}\n`).join(''));
    fc.assert(
      fc.property(altered(good), ({ text }) => {
        const body = opened(['malformed_checkpoint'], () => parseCheckpoint(text));
        if (body === undefined) return;
        const { origin, treeSize, rootHash, extensions } = body;
        expect(text.slice(0, -1).split('\n')).not.toContain('');
        expect([origin, String(treeSize), toBase64(rootHash), ...extensions, ''].join('\n')).toBe(text);
      }),
      runs(3000),
    );
  });
});

describe('a tlog-proof', () => {
  const good = fc
    .record({
      leafIndex: fc.oneof(fc.nat(300), fc.maxSafeNat()),
      proof: fc.array(hash, { maxLength: 4 }),
      checkpoint: fc.constantFrom(...notes),
      extra: fc.option(fc.uint8Array({ maxLength: 9 }), { nil: undefined }),
    })
    .map(({ extra, ...rest }) => formatTlogProof(extra === undefined ? rest : { ...rest, extra }));

  test('has one spelling', () => {
    fc.assert(
      fc.property(alteredUtf8(good), ({ bytes }) => {
        const proof = opened(['malformed_proof'], () => parseTlogProof(bytes));
        if (proof === undefined) return;
        expect(formatTlogProof(proof)).toBe(fromUtf8(bytes));
        expect(proof.proof.every(({ length }) => length === 32) && Number.isSafeInteger(proof.leafIndex)).toBe(true);
      }),
      runs(3000),
    );
  });

  test('anything else is none', () => {
    fc.assert(
      fc.property(fc.oneof(anyText.map(utf8), fc.uint8Array({ maxLength: 200 })), (bytes) => {
        expect(opened(['malformed_proof'], () => parseTlogProof(bytes))).toBeUndefined();
      }),
      runs(500),
    );
  });
});
