/** Checkpoints under a policy: who has signed, whether that suffices, and that no altered note passes. */
import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { openCheckpoint, signCheckpoint } from '../../proofs/checkpoint.ts';
import { type Cosigner, cosignatureMessage, cosigner } from '../../proofs/cosignature.ts';
import { sign } from '../../proofs/ed25519.ts';
import { NoteError } from '../../proofs/error.ts';
import { ed25519Signer, type NoteSigner, type Verify } from '../../proofs/key.ts';
import { addSignatures, formatSignatureLines, type NoteSignature, openNote, signNote } from '../../proofs/note.ts';
import { holdsQuorum, type Policy, parsePolicy } from '../../proofs/policy.ts';
import { openCosigned, openWitnessed } from '../../proofs/witnessed.ts';
import { concatBytes, u64, utf8 } from '../../tree/bytes.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';
import { codeOf, flipped } from './error-code.ts';

const ORIGIN = 'example.com/logs/main';
const tree = new ReferenceTree(numberedLeaves(9));
const log = ed25519Signer(ORIGIN, new Uint8Array(32).fill(1));
const key = log.verifierKey;
const seeds = [11, 12, 13].map((byte) => new Uint8Array(32).fill(byte));
const witnesses = seeds.map((seed, i) => cosigner(`witness.example/${i + 1}`, seed));
const [w1, w2, w3] = witnesses as [Cosigner, Cosigner, Cosigner];
const stranger = cosigner('stranger.example', new Uint8Array(32).fill(14));
const TIME = 1_767_323_045;

const policyOf = (...lines: readonly string[]) =>
  parsePolicy(
    `${[...witnesses.map(({ verifierKey }, i) => `witness w${i + 1} ${verifierKey.text}`), ...lines].join('\n')}\n`,
  );
const twoOfThree = policyOf('group g 2 w1 w2 w3', 'quorum g');

const checkpoint = signCheckpoint({ origin: ORIGIN, treeSize: 9, rootHash: tree.root(9) }, log);
const body = openNote(checkpoint, [key]).text;
const lineOf = ({ verifierKey, cosign }: Cosigner, time = TIME, text = body): NoteSignature => ({
  name: verifierKey.name,
  keyId: verifierKey.keyId,
  signature: cosign(text, time),
});
const under = (...lines: readonly NoteSignature[]) => addSignatures(checkpoint, lines);

/** Thousands of altered notes are judged, and OpenSSL takes a tenth of the time. Whatever it accepts would be a failure. */
const quickly: Verify = (by, message, signature) => {
  const x = Buffer.from(by.publicKey).toString('base64url');
  return verify(null, message, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }), signature);
};

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof NoteError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}

describe('a cosigned checkpoint', () => {
  test('says who signed it, and when, in the order of its lines', () => {
    const note = under(lineOf(w3, TIME), lineOf(w1, 1));
    const opened = openWitnessed(note, key, twoOfThree);
    expect(opened).toEqual({ ...openCheckpoint(note, key), cosignatures: opened.cosignatures });
    expect(opened.cosignatures.map(({ witness, time }) => [witness.name, time])).toEqual([
      ['w3', TIME],
      ['w1', 1],
    ]);
    expect(opened.cosignatures[0]?.witness).toBe(twoOfThree.witnesses[2]);
    expect(openWitnessed(utf8(note), key, twoOfThree)).toEqual(opened);
  });

  test('lines by others are passed over, wherever they stand', () => {
    const others = lineOf(stranger);
    const opened = openWitnessed(under(others, lineOf(w1), lineOf(w2)), key, twoOfThree);
    expect(opened.cosignatures.map(({ witness }) => witness.name)).toEqual(['w1', 'w2']);
  });

  test('is found wanting: who signed and who did not is said', () => {
    expect(messageOf(() => openWitnessed(under(lineOf(w2), lineOf(stranger)), key, twoOfThree))).toBe(
      'quorum_not_met: the head of size 9 has no quorum: it is cosigned by w2; missing: w1, w3',
    );
    expect(messageOf(() => openWitnessed(checkpoint, key, twoOfThree))).toBe(
      'quorum_not_met: the head of size 9 has no quorum: it is cosigned by nobody; missing: w1, w2, w3',
    );
  });

  test('without the quorum it is still a checkpoint', () => {
    expect(openCosigned(checkpoint, key, twoOfThree).cosignatures).toEqual([]);
    expect(openCosigned(under(lineOf(w2)), key, twoOfThree).cosignatures).toHaveLength(1);
    expect(openWitnessed(checkpoint, key, policyOf('quorum none')).cosignatures).toEqual([]);
  });

  test('each set of witnesses passes exactly where the quorum holds', () => {
    const policies = ['any', '1', '2', '3', 'all'].map((k) => policyOf(`group g ${k} w1 w2 w3`, 'quorum g'));
    policies.push(policyOf('quorum w2'), policyOf('group a any w1 w3', 'group b all a w2', 'quorum b'));
    for (let mask = 0; mask < 8; mask++) {
      const signers = witnesses.filter((_, i) => Math.floor(mask / 2 ** i) % 2 === 1);
      const note = signers.length === 0 ? checkpoint : under(...signers.map((each) => lineOf(each)));
      for (const policy of policies) {
        const suffices = holdsQuorum(policy, (witness) =>
          signers.some(({ verifierKey }) => verifierKey.text === witness.key.text),
        );
        expect(codeOf(() => openWitnessed(note, key, policy))).toBe(suffices ? 'accepted' : 'quorum_not_met');
      }
    }
  });

  test('one witness never counts twice', () => {
    const note = `${under(lineOf(w1))}${formatSignatureLines([lineOf(w1, TIME + 1)])}`;
    expect(openCosigned(note, key, twoOfThree).cosignatures).toHaveLength(1);
    expect(codeOf(() => openWitnessed(note, key, twoOfThree))).toBe('quorum_not_met');
  });

  test('a cosignature of time 0 is verified and does not count', () => {
    const timeless = {
      ...lineOf(w2),
      signature: concatBytes(u64(0), sign(cosignatureMessage(0, utf8(body)), seeds[1] as Uint8Array)),
    };
    expect(openCosigned(under(lineOf(w1), timeless), key, twoOfThree).cosignatures).toHaveLength(1);
    expect(codeOf(() => openWitnessed(under(lineOf(w1), timeless), key, twoOfThree))).toBe('quorum_not_met');
    const forged = { ...timeless, signature: flipped(timeless.signature, 100) };
    expect(codeOf(() => openCosigned(under(lineOf(w1), forged), key, twoOfThree))).toBe('invalid_signature');
  });
});

describe('is refused', () => {
  const refused = (note: string, policy: Policy = twoOfThree) => codeOf(() => openWitnessed(note, key, policy));

  test('one false line by a witness of the policy, beside enough true ones', () => {
    const other = body.replace('\n9\n', '\n8\n');
    for (const line of [lineOf(w3, TIME, other), { ...lineOf(w3), signature: lineOf(w2).signature }])
      expect(refused(under(lineOf(w1), lineOf(w2), line))).toBe('invalid_signature');
    const short = { ...lineOf(w3), signature: lineOf(w3).signature.subarray(8) };
    expect(refused(under(lineOf(w1), lineOf(w2), short))).toBe('invalid_signature');
  });

  test('all witnesses and not the log', () => {
    const lines = formatSignatureLines(witnesses.map((each) => lineOf(each)));
    expect(refused(`${body}\n${lines}`)).toBe('unknown_signer');
    const byOther = signNote(body, [ed25519Signer(ORIGIN, new Uint8Array(32).fill(2))]);
    expect(
      refused(
        addSignatures(
          byOther,
          witnesses.map((each) => lineOf(each)),
        ),
      ),
    ).toBe('unknown_signer');
  });

  test('cosignatures that were made for another head', () => {
    const smaller = signCheckpoint({ origin: ORIGIN, treeSize: 8, rootHash: tree.root(8) }, log);
    expect(refused(addSignatures(smaller, [lineOf(w1), lineOf(w2)]))).toBe('invalid_signature');
  });

  test('signatures of the witnesses over the text alone, as a log makes them', () => {
    const plain = seeds.map((seed, i): NoteSigner => {
      const { verifierKey } = witnesses[i] as Cosigner;
      return { verifierKey, sign: (message) => sign(message, seed) };
    });
    const note = signNote(body, [log, ...plain]);
    expect(refused(note)).toBe('invalid_signature');
  });

  test('another origin, though log and witnesses signed it', () => {
    const text = body.replace('main', 'other');
    const note = addSignatures(signNote(text, [log]), [lineOf(w1, TIME, text), lineOf(w2, TIME, text)]);
    expect(refused(note)).toBe('origin_mismatch');
  });

  test('what is no checkpoint, though all signed it', () => {
    const text = 'example.com/logs/main\nnine\n';
    const note = addSignatures(signNote(text, [log]), [lineOf(w1, TIME, text), lineOf(w2, TIME, text)]);
    expect(refused(note)).toBe('malformed_checkpoint');
  });

  test('a log that the policy does not list; one of several suffices', () => {
    const other = ed25519Signer('example.com/logs/other', new Uint8Array(32).fill(3)).verifierKey;
    const renewed = ed25519Signer(ORIGIN, new Uint8Array(32).fill(4)).verifierKey;
    const good = under(lineOf(w1), lineOf(w2));
    const rules = ['group g 2 w1 w2 w3', 'quorum g'];
    expect(refused(good, policyOf(`log ${other.text}`, ...rules))).toBe('unknown_signer');
    expect(refused(good, policyOf(`log ${renewed.text}`, ...rules))).toBe('unknown_signer');
    expect(refused(good, policyOf(`log ${other.text}`, `log ${key.text}`, ...rules))).toBe('accepted');
    expect(codeOf(() => openCosigned(good, key, policyOf(`log ${other.text}`, ...rules)))).toBe('unknown_signer');
  });

  test('every bit of a note that log and two witnesses signed, under a policy that asks for both', () => {
    const both = policyOf('group g all w1 w2', 'quorum g');
    const note = utf8(under(lineOf(w1), lineOf(w2)));
    expect(codeOf(() => openWitnessed(note, key, both, quickly))).toBe('accepted');
    const codes = new Map<string, number>();
    for (let bit = 0; bit < 8 * note.length; bit++) {
      const code = codeOf(() => openWitnessed(flipped(note, bit), key, both, quickly));
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    // A line whose name or key ID was turned is a stranger's: then the log or a witness is missing.
    expect([...codes.keys()].toSorted()).toEqual([
      'invalid_signature',
      'malformed_note',
      'quorum_not_met',
      'unknown_signer',
    ]);
  });

  test('every cut and every byte left out', () => {
    const both = policyOf('group g all w1 w2', 'quorum g');
    const note = utf8(under(lineOf(w1), lineOf(w2)));
    for (let at = 0; at < note.length; at++) {
      const without = concatBytes(note.subarray(0, at), note.subarray(at + 1));
      for (const bad of [note.subarray(0, at), without])
        if (codeOf(() => openWitnessed(bad, key, both, quickly)) === 'accepted') throw new Error(`byte ${at}`);
    }
  });
});
