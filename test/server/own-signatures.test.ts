/** What OpenSSL is asked first judges as the core does, on good signatures and on everything that is nearly one. */
import { expect, test } from '@jest/globals';
import { openCheckpoint, signCheckpoint } from '../../proofs/checkpoint.ts';
import { ALGORITHM_COSIGNATURE, ed25519Signer } from '../../proofs/key.ts';
import { signNote } from '../../proofs/note.ts';
import { signTreeHead, verifyTreeHeadSignature } from '../../proofs/tree-head-signature.ts';
import { checkTreeHeadSignature, openOwnCheckpoint } from '../../server/own-signatures.ts';
import { toBase64 } from '../../tree/bytes.ts';
import { asTreeHash } from '../../tree/hash.ts';

const signer = ed25519Signer('example.com/logs/main', new Uint8Array(32).fill(7));
const other = ed25519Signer('example.com/logs/main', new Uint8Array(32).fill(8));
const key = signer.verifierKey;
const head = { treeSize: 8, rootHash: asTreeHash(new Uint8Array(32).fill(3)) };
const note = signCheckpoint({ origin: key.name, ...head }, signer);

/** The code of what is thrown, or what comes back. */
function outcome(judge: () => unknown): unknown {
  try {
    return judge();
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test('a checkpoint, and each that differs from it in one character or one line', () => {
  expect(openOwnCheckpoint(note, [key])).toMatchObject(head);
  const foreign = signCheckpoint({ origin: key.name, ...head }, other);
  const [line, foreignLine] = [note, foreign].map((text) => text.slice(text.indexOf('\n\n') + 2));
  const variants = [foreign, `${note}${foreignLine}`, `${note}${line}`, `${note}\n`, note.slice(0, -1), '', '\n\n'];
  for (let at = 0; at < note.length; at++) {
    const code = note.charCodeAt(at);
    variants.push(`${note.slice(0, at)}${String.fromCharCode(code === 65 ? 66 : 65)}${note.slice(at + 1)}`);
    variants.push(note.slice(0, at) + note.slice(at + 1));
  }
  for (const variant of variants) {
    const core = outcome(() => {
      const { treeSize, rootHash } = openCheckpoint(variant, key);
      return { treeSize, rootHash };
    });
    const own = outcome(() => {
      const { treeSize, rootHash } = openOwnCheckpoint(variant, [key]);
      return { treeSize, rootHash };
    });
    expect(own).toEqual(core);
  }
}, 120_000);

test('the signature of a tree head, and each that differs from it in one bit', () => {
  const timed = { ...head, timestamp: 1_700_000_000_000 };
  const signature = signTreeHead(timed, signer);
  expect(outcome(() => checkTreeHeadSignature(signature, timed, [key]))).toBeUndefined();
  for (let at = 0; at < signature.length; at += 3) {
    const altered = signature.slice();
    altered[at] = (altered[at] as number) === 0 ? 128 : 0;
    const core = outcome(() => verifyTreeHeadSignature(altered, timed, key));
    expect([at, outcome(() => checkTreeHeadSignature(altered, timed, [key]))]).toEqual([at, core]);
    expect(core).toEqual(expect.any(String));
  }
  expect(outcome(() => checkTreeHeadSignature(signature, { ...timed, timestamp: 1 }, [key]))).toBe('invalid_signature');
  expect(outcome(() => checkTreeHeadSignature(signature, timed, [other.verifierKey]))).toBe('invalid_signature');
  expect(outcome(() => checkTreeHeadSignature(signature.slice(1), timed, [key]))).toBe('unknown_algorithm');
});

test('what is good never costs the core its time: the key is read once, by OpenSSL', () => {
  let reads = 0;
  const counted = Object.defineProperty({ ...key }, 'publicKey', {
    get: () => {
      reads++;
      return key.publicKey;
    },
  });
  const timed = { ...head, timestamp: 1_700_000_000_000 };
  const signature = signTreeHead(timed, signer);
  for (let i = 0; i < 3; i++) {
    openOwnCheckpoint(note, [counted]);
    checkTreeHeadSignature(signature, timed, [counted]);
  }
  expect(reads).toBe(1);
});

test('keys of other algorithms are left to the core', () => {
  const cosigner = { ...key, algorithm: ALGORITHM_COSIGNATURE };
  const timed = { ...head, timestamp: 1_700_000_000_000 };
  expect(outcome(() => openOwnCheckpoint(note, [cosigner]))).toBe('invalid_signature');
  expect(outcome(() => checkTreeHeadSignature(signTreeHead(timed, signer), timed, [cosigner]))).toBe(
    'unknown_algorithm',
  );
});

test('a good signature over a foreign origin, and over what is no checkpoint, is judged by the core', () => {
  const foreign = signNote(`example.com/other\n8\n${toBase64(head.rootHash)}\n`, [signer]);
  expect(outcome(() => openOwnCheckpoint(foreign, [key]))).toBe('origin_mismatch');
  expect(outcome(() => openOwnCheckpoint(signNote('no checkpoint\n', [signer]), [key]))).toBe('malformed_checkpoint');
});
