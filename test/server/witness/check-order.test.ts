/** Every row of the check order of C2SP tlog-witness, and that an earlier row is answered where several are wrong. */
import { describe, expect, test } from '@jest/globals';
import type { AddCheckpoint } from '../../../proofs/add-checkpoint.ts';
import { formatCheckpoint, type TreeHead } from '../../../proofs/checkpoint.ts';
import { signNote } from '../../../proofs/note.ts';
import { ServerError } from '../../../server/errors.ts';
import { verifyQuickly } from '../../../server/own-signatures.ts';
import { isContradiction, judge, openSigned, readHead } from '../../../server/witness/check-order.ts';
import { toBase64 } from '../../../tree/bytes.ts';
import { asTreeHash } from '../../../tree/hash.ts';
import { WitnessedLog } from '../../support/witnessed-log.ts';

const log = new WitnessedLog('example.com/logs/main');
const forked = log.forked(3);
const other = new WitnessedLog('example.com/logs/other', 8, { seed: 2 });
const impostor = new WitnessedLog('example.com/logs/main', 8, { seed: 3 });
const noHash = asTreeHash(new Uint8Array(32));

/** What a request is answered, given what is known of the log: a code, a conflict, or that it is good. */
function answer(request: AddCheckpoint, known?: TreeHead, keys = [log.key]): string {
  try {
    const head = readHead(openSigned(request, keys, verifyQuickly).text);
    if (head === 'impossible') return 'impossible';
    const conflict = judge(known, request, head);
    return conflict === undefined ? 'good' : `conflict ${conflict.treeSize}`;
  } catch (error) {
    if (error instanceof ServerError) return error.code;
    throw error;
  }
}

const request = (oldSize: number, treeSize: number, changes: Partial<AddCheckpoint> = {}): AddCheckpoint => ({
  ...log.request(oldSize, treeSize),
  ...changes,
});

describe('what is good', () => {
  test.each([
    ['the first head', 0, 5, undefined],
    ['an empty tree first', 0, 0, undefined],
    ['after an empty tree', 0, 5, 0],
    ['an extension', 3, 5, 3],
    ['one of one', 1, 2, 1],
    ['of a power of two', 4, 8, 4],
    ['by a lot', 1, 64, 1],
    ['the same again', 5, 5, 5],
    ['the empty tree again', 0, 0, 0],
  ])('%s', (_, oldSize, treeSize, known) => {
    expect(answer(request(oldSize, treeSize), known === undefined ? undefined : log.head(known))).toBe('good');
  });

  test('every pair of sizes', () => {
    for (let treeSize = 0; treeSize <= 16; treeSize++)
      for (let oldSize = 0; oldSize <= treeSize; oldSize++)
        expect([oldSize, treeSize, answer(request(oldSize, treeSize), log.head(oldSize))]).toEqual([
          oldSize,
          treeSize,
          'good',
        ]);
  });
});

describe('row 2, the origin', () => {
  test('is of no log that is witnessed', () => {
    expect(() => openSigned(other.request(0, 1), undefined, verifyQuickly)).toThrow(
      expect.objectContaining({ code: 'unknown_origin' }),
    );
  });
});

describe('row 3, the signature', () => {
  test('is by another key of the same name', () => {
    expect(answer({ ...request(0, 5), checkpoint: impostor.checkpoint(5) })).toBe('not_signed_by_log');
  });

  test('claims the key and is not by it', () => {
    const note = log.checkpoint(5);
    const at = note.lastIndexOf(' ') + 20;
    const flipped = `${note.slice(0, at)}${note[at] === 'A' ? 'B' : 'A'}${note.slice(at + 1)}`;
    expect(answer({ ...request(0, 5), checkpoint: flipped })).toBe('not_signed_by_log');
  });

  test('is good for another text', () => {
    const [, lines] = log.checkpoint(5).split('\n\n');
    const [text] = log.checkpoint(6).split('\n\n');
    expect(answer({ ...request(0, 6), checkpoint: `${text}\n\n${lines}` })).toBe('not_signed_by_log');
  });

  test('is one of two that claim keys of the log, and one is false', () => {
    const next = new WitnessedLog(log.origin, 8, { seed: 9 });
    const text = formatCheckpoint({ origin: log.origin, ...log.head(5) });
    const good = signNote(text, [log.signer, next.signer]);
    expect(answer({ ...request(0, 5), checkpoint: good }, undefined, [log.key, next.key])).toBe('good');
    const bad = signNote(text, [log.signer, { ...next.signer, sign: () => new Uint8Array(64) }]);
    expect(answer({ ...request(0, 5), checkpoint: bad }, undefined, [log.key, next.key])).toBe('not_signed_by_log');
    // To who knows only the first key, the second line is a stranger's.
    expect(answer({ ...request(0, 5), checkpoint: bad })).toBe('good');
  });
});

describe('row 4, the text', () => {
  const origin = log.origin;
  const root = toBase64(log.head(5).rootHash);
  test.each([
    ['a size in words', `${origin}\nfive\n${root}\n`],
    ['a leading zero', `${origin}\n05\n${root}\n`],
    ['a sign', `${origin}\n+5\n${root}\n`],
    ['a size above 2^53 - 1', `${origin}\n9007199254740992\n${root}\n`],
    ['a root of 31 bytes', `${origin}\n5\n${toBase64(new Uint8Array(31))}\n`],
    ['a root that is no base64', `${origin}\n5\n${'!'.repeat(44)}\n`],
    ['two lines', `${origin}\n5\n`],
    ['an empty extension line', `${origin}\n5\n${root}\n\nx\n`],
    ['an empty tree whose root is no hash', `${origin}\n0\n${toBase64(new Uint8Array(31))}\n`],
    ['an empty tree with another root and an empty line', `${origin}\n0\n${root}\n\nx\n`],
  ])('%s', (_, text) => {
    expect(answer({ ...request(0, 5), checkpoint: log.sign(text) })).toBe('malformed_checkpoint');
  });

  test('extension lines are no fault', () => {
    expect(answer({ ...request(0, 5), checkpoint: log.sign(`${origin}\n5\n${root}\nmore\n`) })).toBe('good');
  });
});

describe('row 5, the empty tree', () => {
  test('has one root', () => {
    const text = `${log.origin}\n0\n${toBase64(noHash)}\n`;
    expect(answer({ ...request(0, 0), checkpoint: log.sign(text) })).toBe('impossible');
    expect(answer({ ...request(0, 0), checkpoint: log.sign(`${text}more\n`) })).toBe('impossible');
  });
});

describe('rows 6 to 10', () => {
  test.each<readonly [string, AddCheckpoint, number | undefined, string]>([
    ['6: old above the size', request(6, 6, { checkpoint: log.checkpoint(5) }), 6, 'malformed_request'],
    ['7: nothing is known', request(3, 5), undefined, 'conflict 0'],
    ['7: less is known', request(3, 5), 1, 'conflict 1'],
    ['7: more is known', request(3, 5), 8, 'conflict 8'],
    ['7: old is 0 and something is known', request(0, 5), 3, 'conflict 3'],
    ['8: hashes from 0', request(0, 5, { proof: [noHash] }), undefined, 'inconsistent_checkpoint'],
    ['8: hashes from an empty tree that is known', request(0, 5, { proof: [noHash] }), 0, 'inconsistent_checkpoint'],
    ['9: another root of the size', forked.request(5, 5), 5, 'inconsistent_checkpoint'],
    ['10: no proof', request(3, 5, { proof: [] }), 3, 'inconsistent_checkpoint'],
    ['10: a hash too many', request(3, 5, { proof: [...log.proof(3, 5), noHash] }), 3, 'inconsistent_checkpoint'],
    ['10: a hash too few', request(3, 5, { proof: log.proof(3, 5).slice(1) }), 3, 'inconsistent_checkpoint'],
    ['10: the proof of other sizes', request(3, 5, { proof: log.proof(3, 6) }), 3, 'inconsistent_checkpoint'],
    ['10: the proof of another tree', request(3, 5, { proof: forked.proof(4, 5) }), 3, 'inconsistent_checkpoint'],
    ['10: another tree', forked.request(4, 6), 4, 'inconsistent_checkpoint'],
    ['10: hashes between equal sizes', request(5, 5, { proof: [noHash] }), 5, 'inconsistent_checkpoint'],
  ])('%s', (_, asked, known, expected) => {
    expect(answer(asked, known === undefined ? undefined : log.head(known))).toBe(expected);
  });

  test('the forked tree is the same one up to its fork', () => {
    expect(answer(forked.request(3, 6), log.head(3))).toBe('good');
  });
});

describe('the first row that is wrong is answered', () => {
  test('3 before 4, 6, 7 and 10', () => {
    const checkpoint = impostor.sign(`${log.origin}\nfive\n\n`);
    expect(answer({ oldSize: 9, proof: [noHash], checkpoint }, log.head(3))).toBe('not_signed_by_log');
  });
  test('4 before 6 and 7', () => {
    expect(answer({ oldSize: 9, proof: [], checkpoint: log.sign(`${log.origin}\nfive\nx\n`) }, log.head(3))).toBe(
      'malformed_checkpoint',
    );
  });
  test('5 before 6 and 7', () => {
    const checkpoint = log.sign(`${log.origin}\n0\n${toBase64(noHash)}\n`);
    expect(answer({ oldSize: 9, proof: [noHash], checkpoint }, log.head(3))).toBe('impossible');
  });
  test('6 before 7', () => {
    expect(answer({ ...request(5, 5), oldSize: 9 }, log.head(3))).toBe('malformed_request');
  });
  test('7 before 8, 9 and 10', () => {
    expect(answer({ ...request(0, 5), proof: [noHash] }, log.head(3))).toBe('conflict 3');
    expect(answer({ ...forked.request(4, 5) }, log.head(5))).toBe('conflict 5');
    expect(answer({ ...request(2, 5), proof: [noHash] }, log.head(3))).toBe('conflict 3');
  });
});

describe('a contradiction', () => {
  test('is one size with two roots, and nothing else', () => {
    expect(isContradiction(log.head(5), forked.head(5))).toBe(true);
    expect(isContradiction(log.head(3), forked.head(3))).toBe(false);
    expect(isContradiction(log.head(5), forked.head(6))).toBe(false);
    expect(isContradiction(undefined, forked.head(5))).toBe(false);
  });
});
