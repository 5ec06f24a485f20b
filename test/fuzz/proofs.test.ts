/** Proofs: every bit of a valid one counts, and no number or list makes a verifier throw anything but a ProofError. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { proveConsistency, verifyConsistency } from '../../proofs/consistency.ts';
import { type EventEntry, entryLeaf, verifyEntry } from '../../proofs/entry.ts';
import { ProofError } from '../../proofs/error.ts';
import { proveInclusion, verifyInclusion } from '../../proofs/inclusion.ts';
import { commitment, encodeEventLeaf } from '../../proofs/leaf.ts';
import { utf8 } from '../../tree/bytes.ts';
import { asLeafHash, leafHash, type TreeHash } from '../../tree/hash.ts';
import { codeOf, flipped } from '../proofs/error-code.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';
import { alteredBytes, alteredUtf8, outcomeOf, runs } from './mutations.ts';

const SIZE = 40;
const tree = new ReferenceTree(numberedLeaves(SIZE));

function inclusionOf(leafIndex: number, treeSize: number) {
  const proof = proveInclusion({ leafIndex, treeSize }, tree.node);
  return {
    leafHash: asLeafHash(tree.hash(leafIndex, leafIndex + 1)),
    leafIndex,
    treeSize,
    rootHash: tree.root(treeSize),
    proof,
  };
}

function consistencyOf(first: number, second: number) {
  const proof = proveConsistency({ first, second }, tree.node);
  return { first, second, firstRoot: tree.root(first), secondRoot: tree.root(second), proof };
}

/** All claims that differ from a good one in one bit of one hash. */
function* oneBitAway<Claim extends { readonly proof: readonly TreeHash[] }>(
  claim: Claim,
  hashes: readonly (keyof Claim)[],
): Generator<Claim> {
  for (let bit = 0; bit < 256; bit++) {
    for (const name of hashes) yield { ...claim, [name]: flipped(claim[name] as Uint8Array, bit) };
    for (const [i, hash] of claim.proof.entries()) yield { ...claim, proof: claim.proof.with(i, flipped(hash, bit)) };
  }
}

describe('every bit of every hash', () => {
  test.each([1, 2, 3, 5, 8, 13])('of the inclusion proofs in a tree of %d', (treeSize) => {
    for (let leafIndex = 0; leafIndex < treeSize; leafIndex++) {
      const claim = inclusionOf(leafIndex, treeSize);
      verifyInclusion(claim);
      const codes = [...oneBitAway(claim, ['leafHash', 'rootHash'])].map((wrong) =>
        codeOf(() => verifyInclusion(wrong)),
      );
      expect(codes).toHaveLength(256 * (2 + claim.proof.length));
      expect(new Set(codes)).toEqual(new Set(['root_mismatch']));
    }
  });

  test.each([1, 2, 3, 5, 8, 13])('of the consistency proofs to a tree of %d', (second) => {
    for (let first = 1; first <= second; first++) {
      const claim = consistencyOf(first, second);
      verifyConsistency(claim);
      const codes = [...oneBitAway(claim, ['firstRoot', 'secondRoot'])].map((wrong) =>
        codeOf(() => verifyConsistency(wrong)),
      );
      expect(codes).toHaveLength(256 * (2 + claim.proof.length));
      expect(new Set(codes)).toEqual(new Set(['root_mismatch']));
    }
  });
});

/** `accepted`, or the code of the ProofError. Any other error fails. */
function verdictOf(action: () => void): string {
  const outcome = outcomeOf(action);
  if ('value' in outcome) return 'accepted';
  if (!(outcome.error instanceof ProofError)) throw outcome.error;
  return outcome.error.code;
}

const anyNumber = fc.oneof(
  fc.integer({ min: -2, max: SIZE + 2 }),
  fc.maxSafeInteger(),
  fc.double(),
  fc.constantFrom(-0, 0.5, 2 ** 31, 2 ** 32, 2 ** 52, 2 ** 53 - 1, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY),
);
const size = fc.integer({ min: 1, max: SIZE });

/** Lists of hashes made of those of a proof: some left out, doubled, moved or of other lengths. */
function lists(proof: readonly TreeHash[]): fc.Arbitrary<readonly TreeHash[]> {
  const hash = fc.oneof(fc.constantFrom(...proof, tree.root(SIZE)), fc.uint8Array({ maxLength: 40 }));
  return fc.oneof(
    fc.array(hash, { maxLength: 8 }).map((hashes) => hashes as TreeHash[]),
    fc.shuffledSubarray([...proof]),
    fc.constant(proof),
  );
}

const equal = (a: readonly TreeHash[], b: readonly TreeHash[]): boolean =>
  a.length === b.length && a.every((hash, i) => Buffer.compare(hash, b[i] as TreeHash) === 0);

test('an inclusion proof of any numbers and lists is refused by a ProofError, unless it is the one', () => {
  const claims = fc.tuple(size, fc.nat()).chain(([treeSize, seed]) => {
    const good = inclusionOf(seed % treeSize, treeSize);
    return fc.tuple(fc.constant(good), fc.option(anyNumber), fc.option(anyNumber), lists(good.proof));
  });
  fc.assert(
    fc.property(claims, ([good, index, otherSize, proof]) => {
      const claim = { ...good, leafIndex: index ?? good.leafIndex, treeSize: otherSize ?? good.treeSize, proof };
      // The root hash does not fix the tree size: where the way to the leaf is the same, the claim is too.
      const verdict = verdictOf(() => verifyInclusion(claim));
      if (index === null && otherSize === null && proof.length !== good.proof.length)
        expect(verdict).toBe('bad_proof_length');
      if (verdict !== 'accepted') return;
      expect(equal(proof, good.proof)).toBe(true);
      if (otherSize === null) expect(claim.leafIndex === good.leafIndex).toBe(true);
    }),
    runs(3000),
  );
});

test('a consistency proof of any numbers and lists is refused by a ProofError, unless it is the one', () => {
  const claims = fc.tuple(size, fc.nat()).chain(([second, seed]) => {
    const good = consistencyOf(1 + (seed % second), second);
    return fc.tuple(fc.constant(good), fc.option(anyNumber), fc.option(anyNumber), lists(good.proof));
  });
  fc.assert(
    fc.property(claims, ([good, first, second, proof]) => {
      const claim = { ...good, first: first ?? good.first, second: second ?? good.second, proof };
      const verdict = verdictOf(() => verifyConsistency(claim));
      if (first === null && second === null && proof.length !== good.proof.length)
        expect(verdict).toBe('bad_proof_length');
      if (verdict !== 'accepted') return;
      expect(equal(proof, good.proof)).toBe(true);
    }),
    runs(3000),
  );
});

test('an entry of altered bytes is refused by a ProofError, unless they are the same', () => {
  const origin = 'example.com/logs/main';
  const entry = {
    event: utf8('{"id":"e-1","actor":"alice","note":"\\u00e9 € 😀"}'),
    header: utf8('{"by":"0123456789abcdef","via":"events","id_pointer":"/id"}'),
    salt: new Uint8Array(32).fill(7),
    leafIndex: 0,
    receivedAt: 1767323045000006,
  } satisfies EventEntry;
  const rootHash = leafHash(entryLeaf(entry, origin));
  const checkpoint = { origin, treeSize: 1, rootHash, extensions: [], note: '' };
  const part = fc.constantFrom('event', 'header', 'salt');
  const change = part.chain((name) =>
    alteredBytes(fc.constant(entry[name as 'event' | 'header' | 'salt'])).map(({ bytes, good }) => ({
      changed: { ...entry, [name]: bytes },
      isSame: Buffer.compare(bytes, good) === 0,
    })),
  );
  fc.assert(
    fc.property(fc.oneof(change, anyNumber.map(timed)), ({ changed, isSame }) => {
      expect(verdictOf(() => verifyEntry({ entry: changed, checkpoint, proof: [] })) === 'accepted').toBe(isSame);
    }),
    runs(3000),
  );

  function timed(receivedAt: number) {
    return { changed: { ...entry, receivedAt }, isSame: receivedAt === entry.receivedAt };
  }
});

test('an event that a log has committed to is taken only if it is the text of a JSON object', () => {
  const origin = 'example.com/logs/main';
  const header = utf8('{"by":"system","via":"system"}');
  const salt = new Uint8Array(32);
  const object = fc
    .dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 2 })
    .map((value) => JSON.stringify(value));
  const isObject = (bytes: Uint8Array): boolean => {
    try {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
      return /^\{.*\}$/s.test(text) && typeof JSON.parse(text) === 'object';
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(alteredUtf8(object), ({ bytes: event }) => {
      const leaf = encodeEventLeaf({ receivedAt: 7, commitment: commitment({ origin, salt, header, event }) });
      const checkpoint = { origin, treeSize: 1, rootHash: leafHash(leaf), extensions: [], note: '' };
      const entry = { event, header, salt, leafIndex: 0, receivedAt: 7 };
      expect(verdictOf(() => verifyEntry({ entry, checkpoint, proof: [] }))).toBe(
        isObject(event) ? 'accepted' : 'bad_event',
      );
    }),
    runs(2000),
  );
});
