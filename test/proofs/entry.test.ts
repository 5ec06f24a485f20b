import { describe, expect, test } from '@jest/globals';
import { type Checkpoint, openCheckpoint, signCheckpoint } from '../../proofs/checkpoint.ts';
import { type EventEntry, entryLeaf, verifyEntry } from '../../proofs/entry.ts';
import { proveInclusion } from '../../proofs/inclusion.ts';
import { encodeHeader } from '../../proofs/leaf.ts';
import { ed25519Signer } from '../../proofs/note.ts';
import { concatBytes, utf8 } from '../../tree/bytes.ts';
import { leafHash, type TreeHash } from '../../tree/hash.ts';
import { ReferenceTree } from '../support/reference-tree.ts';
import { codeOf, flipped } from './error-code.ts';

const ORIGIN = 'example.com/logs/main';
const SIZE = 11;
const signer = ed25519Signer(ORIGIN, new Uint8Array(32).fill(1));
const header = encodeHeader({ by: '0123456789abcdef', via: 'events' });

const plain = Array.from({ length: SIZE }, (_, leafIndex) => ({
  event: utf8(`{"id":${leafIndex},"text":"what happened"}`),
  header,
  salt: new Uint8Array(32).fill(leafIndex + 1),
  leafIndex,
  receivedAt: 1_767_225_600_000_000 + leafIndex,
}));
const leaves = plain.map((entry) => entryLeaf(entry, ORIGIN));
const tree = new ReferenceTree(leaves);
const checkpoint = checkpointOf(ORIGIN, SIZE);

function checkpointOf(origin: string, treeSize: number): Checkpoint {
  const by = ed25519Signer(origin, new Uint8Array(32).fill(1));
  return openCheckpoint(signCheckpoint({ origin, treeSize, rootHash: tree.root(treeSize) }, by), by.verifierKey);
}

function claimFor(leafIndex: number): { entry: Required<EventEntry>; checkpoint: Checkpoint; proof: TreeHash[] } {
  const entry = plain[leafIndex];
  const leaf = leaves[leafIndex];
  if (entry === undefined || leaf === undefined) throw new Error('no such entry');
  const proof = proveInclusion({ leafIndex, treeSize: SIZE }, tree.node);
  return { entry: { ...entry, leaf, leafHash: leafHash(leaf) }, checkpoint, proof };
}

test('every entry of a log verifies, with what is stated and without', () => {
  for (let leafIndex = 0; leafIndex < SIZE; leafIndex++) {
    const claim = claimFor(leafIndex);
    verifyEntry(claim);
    const { leaf, leafHash: stated, ...bare } = claim.entry;
    verifyEntry({ ...claim, entry: bare });
    verifyEntry({ ...claim, entry: { ...bare, leaf } });
    verifyEntry({ ...claim, entry: { ...bare, leafHash: stated } });
  }
  expect(signer.verifierKey.name).toBe(ORIGIN);
});

describe('is refused', () => {
  const claim = claimFor(6);
  const { leaf, leafHash: stated, ...bare } = claim.entry;
  const withEntry = (change: Partial<EventEntry>, base: EventEntry = claim.entry) =>
    codeOf(() => verifyEntry({ ...claim, entry: { ...base, ...change } }));

  test('another event, whether a leaf is stated or not', () => {
    const event = utf8('{"id":6,"text":"what happened."}');
    expect(withEntry({ event })).toBe('commitment_mismatch');
    expect(withEntry({ event }, { ...bare, leafHash: stated })).toBe('leaf_hash_mismatch');
    expect(withEntry({ event }, bare)).toBe('root_mismatch');
  });

  test('every single byte of event, header and salt', () => {
    for (const field of ['event', 'header', 'salt'] as const) {
      const bytes = claim.entry[field];
      for (let at = 0; at < bytes.length; at++) {
        // One byte higher may no longer be JSON; the salt is always 32 bytes.
        const codes = field === 'salt' ? ['root_mismatch'] : ['root_mismatch', 'bad_event', 'bad_header'];
        const code = withEntry({ [field]: bytes.with(at, ((bytes[at] as number) + 1) % 256) }, bare);
        if (!codes.includes(code)) throw new Error(`${code}: byte ${at} of the ${field}`);
      }
    }
  });

  test('the same event in other bytes: what counts is the text, not its meaning', () => {
    expect(withEntry({ event: utf8('{ "id":6,"text":"what happened"}') }, bare)).toBe('root_mismatch');
    expect(withEntry({ event: utf8('{"text":"what happened","id":6}') }, bare)).toBe('root_mismatch');
  });

  test('a border moved from header to event', () => {
    const moved = { header: utf8('{}'), event: concatBytes(header.slice(2), claim.entry.event) };
    expect(withEntry(moved, bare)).toBe('bad_event');
  });

  test('an event that is not the text of an object', () => {
    for (const text of ['', '[]', ' {}', '{} ', '{"a"}', '\ufeff{}', '"{}"'])
      expect(withEntry({ event: utf8(text) })).toBe('bad_event');
    expect(withEntry({ event: Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d) })).toBe('bad_event');
  });

  test('an event that is no object even where the log has committed to it', () => {
    const entry = { ...bare, event: utf8('[1]'), leafIndex: 0 };
    expect(codeOf(() => entryLeaf(entry, ORIGIN))).toBe('bad_event');
    expect(codeOf(() => entryLeaf({ ...entry, event: utf8('{}'), header: utf8('[]') }, ORIGIN))).toBe('bad_header');
  });

  test('a header that is no object or too long', () => {
    expect(withEntry({ header: utf8('null') })).toBe('bad_header');
    expect(withEntry({ header: new Uint8Array(0) })).toBe('bad_header');
    expect(withEntry({ header: utf8(`{"x":"${'y'.repeat(1017)}"}`) })).toBe('bad_header');
  });

  test('a salt that does not have 32 bytes', () => {
    for (const size of [0, 31, 33]) expect(withEntry({ salt: new Uint8Array(size) })).toBe('bad_salt');
  });

  test('another time', () => {
    const receivedAt = claim.entry.receivedAt + 1;
    expect(withEntry({ receivedAt })).toBe('received_at_mismatch');
    expect(withEntry({ receivedAt }, { ...bare, leafHash: stated })).toBe('leaf_hash_mismatch');
    expect(withEntry({ receivedAt }, bare)).toBe('root_mismatch');
    for (const bad of [-1, 0.5, 2 ** 53, Number.NaN]) expect(withEntry({ receivedAt: bad })).toBe('bad_received_at');
  });

  test('a stated leaf or leaf hash that is not the one recomputed', () => {
    for (let at = 0; at < 41; at++) {
      const code = at === 0 ? 'bad_leaf' : at < 9 ? 'received_at_mismatch' : 'commitment_mismatch';
      // The first bit of the time takes it above 2^53 - 1.
      expect(withEntry({ leaf: flipped(leaf, 8 * at) })).toBe(at === 1 ? 'bad_leaf' : code);
    }
    for (const bad of [new Uint8Array(0), leaf.slice(1), concatBytes(leaf, Uint8Array.of(0))])
      expect(withEntry({ leaf: bad })).toBe('bad_leaf');
    for (const bad of [flipped(stated, 100), new Uint8Array(0), stated.slice(1), concatBytes(stated, Uint8Array.of(0))])
      expect(withEntry({ leafHash: bad })).toBe('leaf_hash_mismatch');
  });

  test('another leaf index', () => {
    // Leaf 7 has a proof of the same length, leaf 10 a shorter one.
    expect(withEntry({ leafIndex: 7 })).toBe('root_mismatch');
    expect(withEntry({ leafIndex: 10 })).toBe('bad_proof_length');
    expect(withEntry({ leafIndex: SIZE })).toBe('index_out_of_range');
    expect(withEntry({ leafIndex: -1 })).toBe('unsafe_number');
  });

  test('a proof that was tampered with', () => {
    expect(codeOf(() => verifyEntry({ ...claim, proof: claim.proof.slice(1) }))).toBe('bad_proof_length');
    claim.proof.forEach((hash, at) => {
      const proof = claim.proof.with(at, flipped(hash, 5));
      expect(codeOf(() => verifyEntry({ ...claim, proof }))).toBe('root_mismatch');
    });
  });

  test('under the checkpoint of another log: a leaf of one log opens nowhere else', () => {
    const other = { ...claim, checkpoint: checkpointOf('example.com/logs/other', SIZE) };
    expect(codeOf(() => verifyEntry(other))).toBe('commitment_mismatch');
    expect(codeOf(() => verifyEntry({ ...other, entry: bare }))).toBe('root_mismatch');
  });

  test('under a checkpoint of another size', () => {
    expect(codeOf(() => verifyEntry({ ...claim, checkpoint: checkpointOf(ORIGIN, 6) }))).toBe('index_out_of_range');
    expect(codeOf(() => verifyEntry({ ...claim, checkpoint: checkpointOf(ORIGIN, 8) }))).toBe('bad_proof_length');
  });
});
