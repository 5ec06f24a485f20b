/** Fraud proofs: what contradicts itself is proven, what does not is not, and no honest log can be accused. */

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { signCheckpoint } from '../../proofs/checkpoint.ts';
import { proveConsistency } from '../../proofs/consistency.ts';
import {
  type FraudProof,
  formatFraudProof,
  isFraudProof,
  type ProvenFraud,
  parseFraudProof,
  verifyFraudProof,
} from '../../proofs/fraud-proof.ts';
import { ed25519Signer } from '../../proofs/note.ts';
import { equalBytes, utf8 } from '../../tree/bytes.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';
import { codeOf, flipped } from './error-code.ts';

const ORIGIN = 'example.com/logs/main';
const signer = ed25519Signer(ORIGIN, new Uint8Array(32).fill(1));
const stranger = ed25519Signer(ORIGIN, new Uint8Array(32).fill(2));
const keys = [signer.verifierKey];

/** One history, and another that is equal up to some entries. */
const honest = new ReferenceTree(numberedLeaves(300));
const forkAt = (same: number): ReferenceTree =>
  new ReferenceTree(numberedLeaves(300).map((leaf, i) => (i < same ? leaf : utf8(`other ${i}`))));

function head(tree: ReferenceTree, treeSize: number, by = signer, origin = ORIGIN): string {
  return signCheckpoint({ origin, treeSize, rootHash: tree.root(treeSize) }, by);
}

/** What a log that shows `honest` at the first size and a fork at the second can be convicted with. */
function evidence(same: number, first: number, second: number): FraudProof {
  const fork = forkAt(same);
  return {
    first: head(honest, first),
    second: head(fork, second),
    beginning: { root: fork.root(first), proof: proveConsistency({ first, second }, fork.node) },
  };
}

function judge(fraud: FraudProof): ProvenFraud {
  return verifyFraudProof(parseFraudProof(utf8(formatFraudProof(fraud))), keys);
}

describe('a contradiction', () => {
  test('of one size is proven by the two heads', () => {
    for (const size of [1, 2, 7, 8, 300]) {
      const proven = judge({ first: head(honest, size), second: head(forkAt(0), size) });
      expect([proven.first.treeSize, proven.second.treeSize]).toEqual([size, size]);
    }
  });

  test('of two sizes is proven by what the larger tree begins with, for all sizes up to 24', () => {
    for (let second = 2; second <= 24; second++) {
      for (let first = 1; first < second; first++) {
        const { otherRoot } = judge(evidence(first - 1, first, second));
        expect(equalBytes(otherRoot, forkAt(first - 1).root(first))).toBe(true);
      }
    }
  });

  test('under a changed key is proven with both keys, and not with one', () => {
    const fraud = { first: head(honest, 7), second: head(forkAt(3), 7, stranger) };
    expect(codeOf(() => verifyFraudProof(fraud, keys))).toBe('unknown_signer');
    expect(verifyFraudProof(fraud, [...keys, stranger.verifierKey]).first.treeSize).toBe(7);
  });
});

describe('an honest log', () => {
  test('cannot be accused with its own heads and its own proofs', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 300 }), (a, b) => {
        const [first, second] = a < b ? [a, b] : [b, a];
        const heads = { first: head(honest, first), second: head(honest, second) };
        if (first === second) expect(codeOf(() => judge(heads))).toBe('no_contradiction');
        else expect(codeOf(() => judge(heads))).toBe('not_proven');
        if (first === 0 || first === second) return;
        const proof = proveConsistency({ first, second }, honest.node);
        expect(codeOf(() => judge({ ...heads, beginning: { root: honest.root(first), proof } }))).toBe(
          'no_contradiction',
        );
      }),
      { numRuns: 60 },
    );
  });

  test('cannot be accused with hashes that do not lead to its head', () => {
    const first = head(honest, 7);
    const second = head(honest, 12);
    const fork = forkAt(3);
    const proof = proveConsistency({ first: 7, second: 12 }, fork.node);
    expect(codeOf(() => judge({ first, second, beginning: { root: fork.root(7), proof } }))).toBe('root_mismatch');
    const own = proveConsistency({ first: 7, second: 12 }, honest.node);
    expect(codeOf(() => judge({ first, second, beginning: { root: fork.root(7), proof: own } }))).toBe('root_mismatch');
    const longer = [...own, asTreeHash(new Uint8Array(32))];
    expect(codeOf(() => judge({ first, second, beginning: { root: fork.root(7), proof: longer } }))).toBe(
      'bad_proof_length',
    );
  });

  test('cannot be accused with the empty tree, with heads of others, or with heads of two logs', () => {
    const other = ed25519Signer('example.com/logs/other', new Uint8Array(32).fill(3));
    const root = forkAt(0).root(3);
    const beginning = { root, proof: [root] };
    expect(codeOf(() => judge({ first: head(honest, 0), second: head(honest, 3), beginning }))).toBe(
      'bad_proof_length',
    );
    expect(codeOf(() => judge({ first: head(honest, 7), second: head(forkAt(0), 7, stranger) }))).toBe(
      'unknown_signer',
    );
    const two = { first: head(honest, 7), second: head(forkAt(0), 7, other, 'example.com/logs/other') };
    expect(codeOf(() => judge(two))).toBe('unknown_signer');
    expect(codeOf(() => verifyFraudProof(two, [...keys, other.verifierKey]))).toBe('no_contradiction');
    expect(codeOf(() => verifyFraudProof(two, []))).toBe('unknown_signer');
  });

  test('a file with one bit turned convicts nobody', () => {
    const bytes = utf8(formatFraudProof(evidence(3, 7, 12)));
    for (let bit = 0; bit < 8 * bytes.length; bit += 3) {
      const changed = flipped(bytes, bit);
      const code = codeOf(() => verifyFraudProof(parseFraudProof(changed), keys));
      expect([bit, code]).not.toEqual([bit, 'accepted']);
    }
  });
});

describe('its text', () => {
  const same = { first: head(honest, 7), second: head(forkAt(3), 7) };
  const good = formatFraudProof(evidence(3, 7, 12));

  test('is the one of the documentation', () => {
    expect(formatFraudProof(same)).toBe(
      `indelible/fraud-proof/v1\nfirst ${utf8(same.first).length}\nsecond ${utf8(same.second).length}\n\n${same.first}\n${same.second}`,
    );
    expect(
      good
        .split('\n')
        .slice(3, 5)
        .map((line) => line.slice(0, 5)),
    ).toEqual(['root ', expect.any(String)]);
  });

  test('comes back as it was', () => {
    for (const fraud of [same, evidence(3, 7, 12), evidence(255, 256, 300)])
      expect(parseFraudProof(utf8(formatFraudProof(fraud)))).toEqual(fraud);
  });

  test('is told from other files by its first line', () => {
    expect(isFraudProof(utf8(good))).toBe(true);
    for (const text of ['', 'indelible/fraud-proof/v1', 'indelible/fraud-proof/v2\n', ` ${good}`, '{}'])
      expect(isFraudProof(utf8(text))).toBe(false);
  });

  const firstSize = utf8(head(honest, 7)).length;
  test.each([
    ['nothing', ''],
    ['another version', good.replace('/v1', '/v2')],
    ['CRLF', good.replaceAll('\n', '\r\n')],
    ['a byte more', `${good}\n`],
    ['a byte less', good.slice(0, -1)],
    ['no sizes', good.replace(/first .*\nsecond .*\n/, '')],
    ['a size with a leading zero', good.replace('first ', 'first 0')],
    ['a size with a sign', good.replace('first ', 'first +')],
    ['a size above 2^53 - 1', good.replace(/first .*/, 'first 9007199254740992')],
    ['a size that is one too large', good.replace(`first ${firstSize}`, `first ${firstSize + 1}`)],
    ['a size that is one too small', good.replace(`first ${firstSize}`, `first ${firstSize - 1}`)],
    ['sizes in another order', good.replace(/(first .*\n)(second .*\n)/, '$2$1')],
    ['a root and no hashes', good.replace(/(root .*\n)(?:[A-Za-z0-9+/=]{44}\n)+/, '$1')],
    ['hashes and no root', good.replace(/root .*\n/, '')],
    ['a root of 31 bytes', good.replace(/root .*/, `root ${'A'.repeat(40)}AA==`)],
    ['a hash in another spelling', good.replace(/(root .{42}).=/, '$1B=')],
    ['64 hashes', good.replace(/(root .*\n)/, `$1${`${'A'.repeat(43)}=\n`.repeat(64)}`)],
    ['no empty line between the heads', good.replace(/\n\n(?=example[^\n]*\n12\n)/, '\n')],
    ['no empty line at all', good.replaceAll('\n\n', '\n')],
    ['more than is read', good + 'x'.repeat(2_200_000)],
  ])('refused: %s', (_, text) => {
    expect(codeOf(() => parseFraudProof(utf8(text)))).toBe('malformed_fraud_proof');
  });

  test('bytes that are no text are refused', () => {
    expect(codeOf(() => parseFraudProof(utf8(good).with(3, 0xff)))).toBe('malformed_fraud_proof');
    expect(codeOf(() => parseFraudProof(utf8(good).with(-3, 0xff)))).toBe('malformed_fraud_proof');
  });

  test('hostile text takes no longer than its length', () => {
    const time = (length: number): number => {
      const bytes = utf8(`indelible/fraud-proof/v1\nfirst 5\nsecond 5\nroot ${'\n'.repeat(length)}`);
      const began = process.cpuUsage();
      codeOf(() => parseFraudProof(bytes));
      return process.cpuUsage(began).user;
    };
    time(1000);
    expect(time(1_000_000)).toBeLessThan(1_000_000);
  });

  test('what cannot be read back is not written', () => {
    expect(codeOf(() => formatFraudProof({ ...same, beginning: { root: honest.root(3), proof: [] } }))).toBe(
      'malformed_fraud_proof',
    );
  });
});
