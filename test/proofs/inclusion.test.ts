import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { inclusionNodes, proveInclusion, verifyInclusion } from '../../proofs/inclusion.ts';
import { asLeafHash, asTreeHash, type LeafHash, nodeHash, type TreeHash } from '../../tree/hash.ts';
import type { NodeId } from '../../tree/positions.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';
import { codeOf, flipped } from './error-code.ts';

const LIMIT = 300;
const tree = new ReferenceTree(numberedLeaves(5000));
const leafHashAt = (i: number): LeafHash => asLeafHash(tree.hash(i, i + 1));

describe('generation and verification', () => {
  test(`equal the RFC's own text for every leaf of every size up to ${LIMIT}`, () => {
    for (let treeSize = 1; treeSize <= LIMIT; treeSize++) {
      const rootHash = tree.root(treeSize);
      for (let leafIndex = 0; leafIndex < treeSize; leafIndex++) {
        const proof = proveInclusion({ leafIndex, treeSize }, tree.node);
        const expected = tree.path(leafIndex, treeSize);
        if (Buffer.compare(Buffer.concat(proof), Buffer.concat(expected)) !== 0 || proof.length !== expected.length)
          throw new Error(`another proof for leaf ${leafIndex} of ${treeSize}`);
        verifyInclusion({ leafHash: leafHashAt(leafIndex), leafIndex, treeSize, rootHash, proof });
      }
    }
  });

  test('equal it for random leaves of trees up to 5,000', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.nat(), (treeSize, seed) => {
        const leafIndex = seed % treeSize;
        const proof = proveInclusion({ leafIndex, treeSize }, tree.node);
        expect(proof).toEqual(tree.path(leafIndex, treeSize));
        verifyInclusion({ leafHash: leafHashAt(leafIndex), leafIndex, treeSize, rootHash: tree.root(treeSize), proof });
      }),
      { numRuns: 300 },
    );
  });

  test('work up to the largest size, and read only the nodes that were announced', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat(), (a, b, other) => {
        const treeSize = Math.max(a, b) + (a === b && a === 0 ? 1 : 0);
        const leafIndex = Math.min(a, b) % treeSize;
        const huge = oneOddLeaf(leafIndex);
        const announced = new Set(inclusionNodes({ leafIndex, treeSize }).map(nameOf));
        const proof = proveInclusion({ leafIndex, treeSize }, (node) => {
          expect(announced).toContain(nameOf(node));
          return huge.node(node);
        });
        const rootHash = huge.root(treeSize);
        const claim = { leafHash: huge.odd, leafIndex, treeSize, rootHash, proof };
        verifyInclusion(claim);
        const wrong = other % treeSize;
        if (wrong !== leafIndex)
          expect(['bad_proof_length', 'root_mismatch']).toContain(
            codeOf(() => verifyInclusion({ ...claim, leafIndex: wrong })),
          );
      }),
      { numRuns: 200 },
    );
  });

  test('announce every node exactly once', () => {
    for (let treeSize = 1; treeSize <= 70; treeSize++) {
      for (let leafIndex = 0; leafIndex < treeSize; leafIndex++) {
        const read: string[] = [];
        proveInclusion({ leafIndex, treeSize }, (node) => {
          read.push(nameOf(node));
          return tree.node(node);
        });
        expect(inclusionNodes({ leafIndex, treeSize }).map(nameOf)).toEqual(read);
        expect(new Set(read).size).toBe(read.length);
      }
    }
  });

  test('the reader must not be handed anything but the node', () => {
    proveInclusion({ leafIndex: 4, treeSize: 7 }, (...args) => {
      expect(args).toHaveLength(1);
      return tree.node(args[0]);
    });
  });

  test('size 1: the proof is empty and the leaf hash is the root hash', () => {
    const claim = { leafHash: leafHashAt(0), leafIndex: 0, treeSize: 1, rootHash: tree.root(1), proof: [] };
    verifyInclusion(claim);
    expect(codeOf(() => verifyInclusion({ ...claim, leafHash: leafHashAt(1) }))).toBe('root_mismatch');
  });
});

describe('refusals', () => {
  test.each([
    [0, 0],
    [1, 0],
    [2, 1],
    [7, 7],
    [8, 7],
  ])('leaf %d of %d is out of range', (leafIndex, treeSize) => {
    const claim = { leafHash: leafHashAt(0), leafIndex, treeSize, rootHash: tree.root(1), proof: [] };
    expect(codeOf(() => verifyInclusion(claim))).toBe('index_out_of_range');
    expect(codeOf(() => proveInclusion({ leafIndex, treeSize }, tree.node))).toBe('index_out_of_range');
    expect(codeOf(() => inclusionNodes({ leafIndex, treeSize }))).toBe('index_out_of_range');
  });

  test.each([
    [-1, 5],
    [0.5, 5],
    [Number.NaN, 5],
    [0, 2 ** 53],
    [0, Number.POSITIVE_INFINITY],
    [0, 1.5],
  ])('leaf %d of %d are no numbers for a tree', (leafIndex, treeSize) => {
    const claim = { leafHash: leafHashAt(0), leafIndex, treeSize, rootHash: tree.root(1), proof: [] };
    expect(codeOf(() => verifyInclusion(claim))).toBe('unsafe_number');
    expect(codeOf(() => proveInclusion({ leafIndex, treeSize }, tree.node))).toBe('unsafe_number');
  });

  const pairs: [number, number][] = [];
  for (let n = 1; n <= 40; n++) for (let m = 0; m < n; m++) pairs.push([m, n]);
  pairs.push([0, 257], [255, 257], [256, 257], [299, 300]);

  function everyPair(probe: (claim: Parameters<typeof verifyInclusion>[0]) => void) {
    for (const [leafIndex, treeSize] of pairs) {
      const proof = tree.path(leafIndex, treeSize).map(asTreeHash);
      probe({ leafHash: leafHashAt(leafIndex), leafIndex, treeSize, rootHash: tree.root(treeSize), proof });
    }
  }

  test('one hash too many, wherever it stands, even an empty one', () => {
    everyPair((claim) => {
      for (const extra of [claim.rootHash, claim.leafHash, claim.proof[0] ?? claim.rootHash, new Uint8Array(0)]) {
        const hash = extra as TreeHash;
        for (let at = 0; at <= claim.proof.length; at++)
          expect(codeOf(() => verifyInclusion({ ...claim, proof: claim.proof.toSpliced(at, 0, hash) }))).toBe(
            'bad_proof_length',
          );
      }
    });
  });

  test('one hash too few, whichever it is', () => {
    everyPair((claim) => {
      for (let at = 0; at < claim.proof.length; at++)
        expect(codeOf(() => verifyInclusion({ ...claim, proof: claim.proof.toSpliced(at, 1) }))).toBe(
          'bad_proof_length',
        );
    });
  });

  test('hashes that do not have 32 bytes', () => {
    everyPair((claim) => {
      for (const size of [0, 31, 33, 64]) {
        const bad = new Uint8Array(size) as TreeHash;
        for (let at = 0; at < claim.proof.length; at++)
          expect(codeOf(() => verifyInclusion({ ...claim, proof: claim.proof.with(at, bad) }))).toBe('bad_hash_length');
        expect(codeOf(() => verifyInclusion({ ...claim, leafHash: bad as LeafHash }))).toBe('bad_hash_length');
        expect(codeOf(() => verifyInclusion({ ...claim, rootHash: bad }))).toBe('bad_hash_length');
      }
    });
  });

  test('the leaf index beside it', () => {
    everyPair((claim) => {
      const { leafIndex: m, treeSize: n, proof } = claim;
      for (const leafIndex of [m - 1, m + 1, Math.floor(m / 2) % 2 === 0 ? m + 2 : m - 2]) {
        let expected = 'root_mismatch';
        if (leafIndex < 0) expected = 'unsafe_number';
        else if (leafIndex >= n) expected = 'index_out_of_range';
        else if (tree.path(leafIndex, n).length !== proof.length) expected = 'bad_proof_length';
        expect([m, n, codeOf(() => verifyInclusion({ ...claim, leafIndex }))]).toEqual([m, n, expected]);
      }
    });
  });

  test('twice the size and half of it', () => {
    everyPair((claim) => {
      const half = Math.floor(claim.treeSize / 2);
      expect(codeOf(() => verifyInclusion({ ...claim, treeSize: claim.treeSize * 2 }))).toBe('bad_proof_length');
      expect(codeOf(() => verifyInclusion({ ...claim, treeSize: half }))).toBe(
        claim.leafIndex < half ? 'bad_proof_length' : 'index_out_of_range',
      );
    });
  });

  test('the root hash of another size, the leaf hash of another leaf', () => {
    everyPair((claim) => {
      for (const size of [0, claim.treeSize - 1, claim.treeSize + 1])
        expect(codeOf(() => verifyInclusion({ ...claim, rootHash: tree.root(size) }))).toBe('root_mismatch');
      expect(codeOf(() => verifyInclusion({ ...claim, leafHash: leafHashAt(claim.leafIndex + 1) }))).toBe(
        'root_mismatch',
      );
    });
  });

  test('any byte changed, any two hashes swapped', () => {
    everyPair((claim) => {
      if (claim.treeSize > 40) return;
      const refused = (change: Partial<typeof claim>) => {
        const code = codeOf(() => verifyInclusion({ ...claim, ...change }));
        if (code !== 'root_mismatch') throw new Error(`${code}: leaf ${claim.leafIndex} of ${claim.treeSize}`);
      };
      const { proof, leafHash, rootHash } = claim;
      for (let byte = 0; byte < 32; byte++) {
        const bit = 8 * byte + ((byte + claim.leafIndex) % 8);
        refused({ leafHash: flipped(leafHash, bit) });
        refused({ rootHash: flipped(rootHash, bit) });
        proof.forEach((hash, at) => {
          refused({ proof: proof.with(at, flipped(hash, bit)) });
        });
      }
      for (let a = 0; a < proof.length; a++)
        for (let b = a + 1; b < proof.length; b++)
          refused({ proof: proof.with(a, proof[b] as TreeHash).with(b, proof[a] as TreeHash) });
    });
  });

  test('a node hash as a leaf hash one level up (second preimage)', () => {
    // The proof of node (1, 0) in the tree of 8 has two hashes; as a leaf it would need three.
    const leafHash = asLeafHash(tree.hash(0, 2));
    const proof = [tree.hash(2, 4), tree.hash(4, 8)].map(asTreeHash);
    const claim = { leafHash, leafIndex: 0, treeSize: 8, rootHash: tree.root(8), proof };
    expect(codeOf(() => verifyInclusion(claim))).toBe('bad_proof_length');
  });
});

function nameOf({ level, index }: NodeId): string {
  return `${level}/${index}`;
}

/** A tree of any size in which all leaves are alike but one, so that any node can be computed in 53 steps. */
function oneOddLeaf(at: number) {
  const plain: TreeHash[] = [asLeafHash(new Uint8Array(32).fill(7))];
  const odd = asLeafHash(new Uint8Array(32).fill(9));
  const plainAt = (level: number): TreeHash => {
    for (let top = plain.length; top <= level; top++) {
      const below = plain[top - 1] as TreeHash;
      plain.push(nodeHash(below, below));
    }
    return plain[level] as TreeHash;
  };
  const node = ({ level, index }: NodeId): TreeHash => {
    if (Math.floor(at / 2 ** level) !== index) return plainAt(level);
    if (level === 0) return odd;
    return nodeHash(node({ level: level - 1, index: index * 2 }), node({ level: level - 1, index: index * 2 + 1 }));
  };
  const root = (n: number, begin = 0): TreeHash => {
    let k = 1;
    let level = 0;
    while (k * 2 <= n) {
      k *= 2;
      level++;
    }
    const left = node({ level, index: begin / k });
    return k === n ? left : nodeHash(left, root(n - k, begin + k));
  };
  return { odd, node, root };
}
