import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { consistencyNodes, proveConsistency, verifyConsistency } from '../../proofs/consistency.ts';
import { asTreeHash, emptyRoot, nodeHash, type TreeHash } from '../../tree/hash.ts';
import type { NodeId } from '../../tree/positions.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';
import { codeOf, flipped } from './error-code.ts';

const LIMIT = 300;
const tree = new ReferenceTree(numberedLeaves(5000));

type Claim = Parameters<typeof verifyConsistency>[0];

function claimFor(first: number, second: number): Claim {
  const proof = tree.proof(first, second).map(asTreeHash);
  return { first, second, firstRoot: tree.root(first), secondRoot: tree.root(second), proof };
}

describe('generation and verification', () => {
  test(`equal the RFC's own text for every two sizes up to ${LIMIT}`, () => {
    for (let second = 0; second <= LIMIT; second++) {
      const secondRoot = tree.root(second);
      for (let first = 0; first <= second; first++) {
        const proof = proveConsistency({ first, second }, tree.node);
        const expected = tree.proof(first, second);
        if (Buffer.compare(Buffer.concat(proof), Buffer.concat(expected)) !== 0 || proof.length !== expected.length)
          throw new Error(`another proof from ${first} to ${second}`);
        verifyConsistency({ first, second, firstRoot: tree.root(first), secondRoot, proof });
      }
    }
  });

  test('equal it for random sizes up to 5,000', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: 5000 }), (a, b) => {
        const [first, second] = [Math.min(a, b), Math.max(a, b)];
        const proof = proveConsistency({ first, second }, tree.node);
        expect(proof).toEqual(tree.proof(first, second));
        verifyConsistency(claimFor(first, second));
      }),
      { numRuns: 300 },
    );
  });

  test('work up to the largest size, and read only the nodes that were announced', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), fc.nat(255), (a, b, bit) => {
        const [first, second] = [Math.min(a, b), Math.max(a, b)];
        const announced = new Set(consistencyNodes({ first, second }).map(nameOf));
        const proof = proveConsistency({ first, second }, (node) => {
          expect(announced).toContain(nameOf(node));
          return nodeOfAlike(node);
        });
        const claim = { first, second, firstRoot: rootOfAlike(first), secondRoot: rootOfAlike(second), proof };
        verifyConsistency(claim);
        proof.forEach((hash, at) => {
          const mangled = { ...claim, proof: proof.with(at, flipped(hash, bit)) };
          expect(codeOf(() => verifyConsistency(mangled))).toBe('root_mismatch');
        });
      }),
      { numRuns: 100 },
    );
  });

  test('announce every node exactly once', () => {
    for (let second = 0; second <= 70; second++) {
      for (let first = 0; first <= second; first++) {
        const read: string[] = [];
        proveConsistency({ first, second }, (node) => {
          read.push(nameOf(node));
          return tree.node(node);
        });
        expect(consistencyNodes({ first, second }).map(nameOf)).toEqual(read);
        expect(new Set(read).size).toBe(read.length);
      }
    }
  });
});

describe('the edges that the RFC leaves open', () => {
  test('equal sizes: an empty proof and equal roots, nothing else', () => {
    for (const size of [1, 2, 7, 256]) {
      const claim = claimFor(size, size);
      verifyConsistency(claim);
      expect(codeOf(() => verifyConsistency({ ...claim, proof: [claim.firstRoot] }))).toBe('bad_proof_length');
      expect(codeOf(() => verifyConsistency({ ...claim, secondRoot: tree.root(size + 1) }))).toBe('root_mismatch');
      expect(codeOf(() => verifyConsistency({ ...claim, firstRoot: new Uint8Array(31) as TreeHash }))).toBe(
        'bad_hash_length',
      );
    }
  });

  test('from size 0: an empty proof and the root of the empty tree', () => {
    for (const second of [0, 1, 8, 300]) {
      const claim = claimFor(0, second);
      verifyConsistency(claim);
      expect(codeOf(() => verifyConsistency({ ...claim, proof: [tree.root(1)] }))).toBe('bad_proof_length');
      expect(codeOf(() => verifyConsistency({ ...claim, firstRoot: tree.root(1) }))).toBe('root_mismatch');
      expect(codeOf(() => verifyConsistency({ ...claim, secondRoot: new Uint8Array(33) as TreeHash }))).toBe(
        'bad_hash_length',
      );
    }
    const bothWrong = { ...claimFor(0, 0), firstRoot: tree.root(3), secondRoot: tree.root(3) };
    expect(codeOf(() => verifyConsistency(bothWrong))).toBe('root_mismatch');
    expect(codeOf(() => verifyConsistency({ ...claimFor(0, 0), secondRoot: tree.root(3) }))).toBe('root_mismatch');
  });

  test('a first size above the second is an error, never swapped', () => {
    const { firstRoot, secondRoot, proof } = claimFor(6, 8);
    const claim = { first: 8, second: 6, firstRoot: secondRoot, secondRoot: firstRoot, proof };
    expect(codeOf(() => verifyConsistency(claim))).toBe('size_order');
    expect(codeOf(() => proveConsistency({ first: 8, second: 6 }, tree.node))).toBe('size_order');
    expect(codeOf(() => consistencyNodes({ first: 1, second: 0 }))).toBe('size_order');
  });

  test.each([
    [-1, 5],
    [0.5, 5],
    [1, 2 ** 53],
    [Number.NaN, Number.NaN],
  ])('%d and %d are no tree sizes', (first, second) => {
    const claim = { first, second, firstRoot: emptyRoot(), secondRoot: emptyRoot(), proof: [] };
    expect(codeOf(() => verifyConsistency(claim))).toBe('unsafe_number');
    expect(codeOf(() => proveConsistency({ first, second }, tree.node))).toBe('unsafe_number');
  });
});

describe('refusals', () => {
  function everyPair(probe: (claim: Claim) => void) {
    for (let second = 2; second <= 40; second++)
      for (let first = 1; first < second; first++) probe(claimFor(first, second));
    probe(claimFor(255, 257));
    probe(claimFor(256, 257));
  }

  test('swapped roots', () => {
    everyPair((claim) => {
      const swapped = { ...claim, firstRoot: claim.secondRoot, secondRoot: claim.firstRoot };
      expect(codeOf(() => verifyConsistency(swapped))).toBe('root_mismatch');
    });
  });

  test('the root hash of another size on either side', () => {
    everyPair((claim) => {
      for (const away of [-1, 1]) {
        const firstRoot = tree.root(claim.first + away);
        const secondRoot = tree.root(claim.second + away);
        expect(codeOf(() => verifyConsistency({ ...claim, firstRoot }))).toBe('root_mismatch');
        expect(codeOf(() => verifyConsistency({ ...claim, secondRoot }))).toBe('root_mismatch');
      }
    });
  });

  test('a proof that is empty, too short or too long', () => {
    everyPair((claim) => {
      const { proof, firstRoot, secondRoot } = claim;
      const wrong = [[], [proof[0] as TreeHash, ...proof], [...proof, new Uint8Array(0) as TreeHash]];
      for (const root of [firstRoot, secondRoot]) wrong.push([...proof, root], [root, ...proof]);
      for (let at = 0; at < proof.length; at++) wrong.push(proof.toSpliced(at, 1));
      for (const changed of wrong)
        expect(codeOf(() => verifyConsistency({ ...claim, proof: changed }))).toBe('bad_proof_length');
    });
  });

  test('wrong sizes', () => {
    everyPair((claim) => {
      const { first: m, second: n, proof } = claim;
      const beside = [m - 1, m + 1, Math.floor(m / 2) % 2 === 0 ? m + 2 : m - 2];
      const sizes = [...beside.map((first) => [first, n]), [m, n * 2], [m, Math.floor(n / 2)]];
      for (const [first, second] of sizes as [number, number][]) {
        let expected = 'root_mismatch';
        if (first < 0) expected = 'unsafe_number';
        else if (first > second) expected = 'size_order';
        else if (tree.proof(first, second).length !== proof.length) expected = 'bad_proof_length';
        const code = codeOf(() => verifyConsistency({ ...claim, first, second }));
        expect([m, n, first, second, code]).toEqual([m, n, first, second, expected]);
      }
    });
  });

  test('hashes that do not have 32 bytes', () => {
    everyPair((claim) => {
      for (const size of [0, 31, 33, 64]) {
        const bad = new Uint8Array(size) as TreeHash;
        const changes = [{ firstRoot: bad }, { secondRoot: bad }];
        for (const change of changes)
          expect(codeOf(() => verifyConsistency({ ...claim, ...change }))).toBe('bad_hash_length');
        for (let at = 0; at < claim.proof.length; at++)
          expect(codeOf(() => verifyConsistency({ ...claim, proof: claim.proof.with(at, bad) }))).toBe(
            'bad_hash_length',
          );
      }
    });
  });

  test('any byte changed, any two hashes swapped', () => {
    everyPair((claim) => {
      const { first, second, proof, firstRoot, secondRoot } = claim;
      if (second > 32) return;
      const refused = (change: Partial<Claim>) => {
        const code = codeOf(() => verifyConsistency({ ...claim, ...change }));
        if (code !== 'root_mismatch') throw new Error(`${code}: ${first} to ${second}`);
      };
      for (let byte = 0; byte < 32; byte++) {
        const bit = 8 * byte + ((byte + first) % 8);
        refused({ firstRoot: flipped(firstRoot, bit) });
        refused({ secondRoot: flipped(secondRoot, bit) });
        proof.forEach((hash, at) => {
          refused({ proof: proof.with(at, flipped(hash, bit)) });
        });
      }
      for (let a = 0; a < proof.length; a++)
        for (let b = a + 1; b < proof.length; b++)
          refused({ proof: proof.with(a, proof[b] as TreeHash).with(b, proof[a] as TreeHash) });
    });
  });

  test('a history that was rewritten', () => {
    const leaves = numberedLeaves(40);
    const rewritten = new ReferenceTree(leaves.with(5, new TextEncoder().encode('another leaf')));
    for (let first = 6; first < 40; first++) {
      const proof = rewritten.proof(first, 40).map(asTreeHash);
      const claim = { first, second: 40, firstRoot: tree.root(first), secondRoot: rewritten.root(40), proof };
      expect(codeOf(() => verifyConsistency(claim))).toBe('root_mismatch');
    }
  });
});

function nameOf({ level, index }: NodeId): string {
  return `${level}/${index}`;
}

/** A tree in which all leaves are alike: any node of any size costs a look at a table. */
const alike: TreeHash[] = [asTreeHash(new Uint8Array(32).fill(7))];
for (let level = 1; level <= 53; level++) {
  const below = alike[level - 1] as TreeHash;
  alike.push(nodeHash(below, below));
}

function nodeOfAlike({ level }: NodeId): TreeHash {
  return alike[level] as TreeHash;
}

function rootOfAlike(n: number): TreeHash {
  if (n === 0) return emptyRoot();
  let k = 1;
  let level = 0;
  while (k * 2 <= n) {
    k *= 2;
    level++;
  }
  const left = alike[level] as TreeHash;
  return k === n ? left : nodeHash(left, rootOfAlike(n - k));
}
