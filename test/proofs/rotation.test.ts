/** Key rotation: the statement in its one spelling, and that nothing but all of the evidence moves a pin. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { signCheckpoint } from '../../proofs/checkpoint.ts';
import { cosigner } from '../../proofs/cosignature.ts';
import { type EventEntry, entryLeaf } from '../../proofs/entry.ts';
import { LogError } from '../../proofs/error.ts';
import { ed25519Signer, type NoteSigner } from '../../proofs/key.ts';
import { encodeHeader } from '../../proofs/leaf.ts';
import { addSignatures, openNote, signNote, splitNote } from '../../proofs/note.ts';
import { parsePolicy } from '../../proofs/policy.ts';
import {
  formatRotation,
  openRotation,
  ROTATION_ACTION,
  ROTATION_FORMAT,
  type RotationClaim,
  signRotation,
  verifyRotation,
} from '../../proofs/rotation.ts';
import { concatBytes, equalBytes, fromBase64, toBase64, utf8 } from '../../tree/bytes.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { ReferenceTree } from '../support/reference-tree.ts';
import { ROOT } from '../support/spawn-server.ts';
import { codeOf, flipped } from './error-code.ts';

const ORIGIN = 'example.com/logs/main';
const signerOf = (name: string, byte: number) => ed25519Signer(name, new Uint8Array(32).fill(byte));
const [oldSigner, newSigner, thief] = [1, 2, 3].map((byte) => signerOf(ORIGIN, byte)) as [
  NoteSigner,
  NoteSigner,
  NoteSigner,
];
const [oldKey, newKey] = [oldSigner.verifierKey, newSigner.verifierKey];

const SYSTEM = encodeHeader({ by: 'system', via: 'system' });
const BY_KEY = encodeHeader({ by: '0123456789abcdef', via: 'events' });

/** The entry stands at leaf index 6 of 7 when the old key signs; the new key signs size 11. */
const [STATED, INDEX, OLD_SIZE, NEW_SIZE] = [6, 6, 7, 11];
const statement = signRotation({ treeSize: STATED }, oldSigner, newSigner);
const text = splitTextOf(statement);

function splitTextOf(note: string): string {
  return note.slice(0, note.lastIndexOf('\n\n') + 1);
}

interface Made {
  readonly entries: readonly EventEntry[];
  readonly tree: ReferenceTree;
}

/** A log whose entry at `index` has this event and header. */
function logWith(origin: string, index: number, event: Uint8Array, header: Uint8Array): Made {
  const entries = Array.from(
    { length: NEW_SIZE },
    (_, leafIndex): EventEntry => ({
      event: leafIndex === index ? event : utf8(`{"id":${leafIndex}}`),
      header: leafIndex === index ? header : BY_KEY,
      salt: new Uint8Array(32).fill(leafIndex + 1),
      leafIndex,
      receivedAt: 1_767_225_600_000_000 + leafIndex,
    }),
  );
  return { entries, tree: new ReferenceTree(entries.map((entry) => entryLeaf(entry, origin))) };
}

const recordOf = (note: string) =>
  utf8(JSON.stringify({ action: ROTATION_ACTION, by: '00', log: 'main', statement: note }));

/** Everything that a client needs, for a log that holds this record. */
function claimFor(
  { entries, tree }: Made,
  note = statement,
  { index = INDEX, oldSize = OLD_SIZE, newSize = NEW_SIZE } = {},
): RotationClaim {
  const head = (treeSize: number, signer: NoteSigner) =>
    signCheckpoint({ origin: ORIGIN, treeSize, rootHash: tree.root(treeSize) }, signer);
  return {
    pinned: { key: oldKey },
    statement: note,
    entry: entries[index] as EventEntry,
    inclusion: tree.path(index, oldSize).map(asTreeHash),
    head: head(oldSize, oldSigner),
    newHead: head(newSize, newSigner),
    consistency: tree.proof(oldSize, newSize).map(asTreeHash),
  };
}

const made = logWith(ORIGIN, INDEX, recordOf(statement), SYSTEM);
const good = claimFor(made);
const judge = (change: Partial<RotationClaim>, base = good) => codeOf(() => verifyRotation({ ...base, ...change }));

describe('the statement', () => {
  test('is five lines and two signatures', () => {
    expect(text).toBe(`${ROTATION_FORMAT}\n${ORIGIN}\n${oldKey.text}\n${newKey.text}\n6\n`);
    expect(ROTATION_FORMAT).toBe('indelible/key-rotation/v1');
    expect(formatRotation({ origin: ORIGIN, oldKey, newKey, treeSize: 6 })).toBe(text);
    expect(statement).toBe(signNote(text, [oldSigner, newSigner]));
    const opened = { origin: ORIGIN, oldKey, newKey, treeSize: 6 };
    expect(openRotation(statement, oldKey)).toEqual(opened);
    expect(openRotation(utf8(statement), oldKey)).toEqual(opened);
  });

  test('is the one of docs/format.md, byte for byte', () => {
    const [zero, one] = [signerOf(ORIGIN, 0), signerOf(ORIGIN, 1)];
    const page = readFileSync(join(ROOT, 'docs/format.md'), 'utf8');
    const [, stated] = /```\n(indelible\/key-rotation\/v1\n[^`]*)```/.exec(page) ?? [];
    expect(signRotation({ treeSize: 2 }, zero, one)).toBe(stated);
    expect(openRotation(stated as string, zero.verifierKey).newKey.text).toBe(
      'example.com/logs/main+086c4f23+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c',
    );
  });

  test('sizes from 0 to the largest', () => {
    for (const treeSize of [0, 2 ** 53 - 1])
      expect(openRotation(signRotation({ treeSize }, oldSigner, newSigner), oldKey).treeSize).toBe(treeSize);
  });

  const cosigning = cosigner(ORIGIN, new Uint8Array(32).fill(2)).verifierKey;
  test.each<[string, () => unknown]>([
    ['the same key', () => signRotation({ treeSize: 6 }, oldSigner, oldSigner)],
    ['keys of two names', () => signRotation({ treeSize: 6 }, oldSigner, signerOf('example.com/logs/other', 2))],
    ['another origin', () => formatRotation({ origin: 'example.com/logs/other', oldKey, newKey, treeSize: 6 })],
    ['a negative size', () => signRotation({ treeSize: -1 }, oldSigner, newSigner)],
    ['a fraction', () => signRotation({ treeSize: 0.5 }, oldSigner, newSigner)],
    ['a size above 2^53 - 1', () => signRotation({ treeSize: 2 ** 53 }, oldSigner, newSigner)],
    [
      'the key of a witness as the new one',
      () => formatRotation({ origin: ORIGIN, oldKey, newKey: cosigning, treeSize: 6 }),
    ],
    [
      'the key of a witness as the old one',
      () => formatRotation({ origin: ORIGIN, oldKey: cosigning, newKey, treeSize: 6 }),
    ],
  ])('is not made with %s', (_, action) => {
    expect(codeOf(action)).toBe('malformed_rotation');
  });

  test.each([
    ['another version', text.replace('/v1', '/v2')],
    ['CR LF', text.replaceAll('\n', '\r\n'), 'malformed_note'],
    ['a line more', `${text}more\n`],
    ['an empty line more', `${text}\n`],
    ['a line less', text.replace('\n6\n', '\n')],
    ['a size with a leading zero', text.replace('\n6\n', '\n06\n')],
    ['a size with a sign', text.replace('\n6\n', '\n+6\n')],
    ['a size above 2^53 - 1', text.replace('\n6\n', '\n9007199254740992\n')],
    ['no size', text.replace('\n6\n', '\n\n')],
    ['a space behind the size', text.replace('\n6\n', '\n6 \n')],
    ['another origin', text.replace(`\n${ORIGIN}\n`, '\nexample.com/logs/other\n')],
    ['no origin', text.replace(`\n${ORIGIN}\n`, '\n\n')],
    ['a new key of another name', text.replace(newKey.text, signerOf('example.com/logs/other', 2).verifierKey.text)],
    ['an old key of another name', text.replace(oldKey.text, signerOf('example.com/logs/other', 1).verifierKey.text)],
    ['a new key with another ID', text.replace(newKey.text, newKey.text.replace(/\+[0-9a-f]{8}\+/, '+00000000+'))],
    ['a new key for cosignatures', text.replace(newKey.text, cosigning.text)],
    ['the old key twice', text.replace(newKey.text, oldKey.text)],
    [
      'the keys in the other order',
      text.replace(oldKey.text, '?').replace(newKey.text, oldKey.text).replace('?', newKey.text),
      'rotation_refused',
    ],
    ['the old key swapped', text.replace(oldKey.text, thief.verifierKey.text), 'rotation_refused'],
  ])('is refused with %s, though both keys signed it', (_, changed, code = 'malformed_rotation') => {
    const sign = () => openRotation(signNote(changed, [oldSigner, newSigner]), oldKey);
    expect(codeOf(sign)).toBe(code);
  });

  test('is refused without one of the signatures, in the other order, or with further lines', () => {
    const by = (...signers: NoteSigner[]) => codeOf(() => openRotation(signNote(text, signers), oldKey));
    expect(by(oldSigner, newSigner)).toBe('accepted');
    expect(by(oldSigner)).toBe('unknown_signer');
    expect(by(newSigner)).toBe('unknown_signer');
    expect(by(newSigner, oldSigner)).toBe('unknown_signer');
    expect(by(oldSigner, thief)).toBe('unknown_signer');
    expect(by(oldSigner, newSigner, thief)).toBe('malformed_rotation');
    expect(by(thief, oldSigner, newSigner)).toBe('malformed_rotation');
    const false2 = { ...newSigner, sign: (message: Uint8Array) => thief.sign(message) };
    expect(by(oldSigner, false2)).toBe('invalid_signature');
    // A second line by a key that signed already is passed over in other notes; here it would be another spelling.
    const { name, keyId } = oldKey;
    const again = `— ${name} ${toBase64(concatBytes(idOf(keyId), new Uint8Array(64)))}\n`;
    expect(codeOf(() => openRotation(`${statement}${again}`, oldKey))).toBe('malformed_rotation');
    expect(codeOf(() => openRotation(`${statement}${statement.slice(text.length + 1)}`, oldKey))).toBe(
      'malformed_rotation',
    );
  });

  test('is no checkpoint, and no checkpoint is one', () => {
    expect(codeOf(() => openRotation(good.head, oldKey))).toBe('malformed_rotation');
    expect(
      codeOf(() => openRotation(addSignatures(good.head, openNote(good.newHead, [newKey]).signatures), oldKey)),
    ).toBe('malformed_rotation');
    expect(judge({ head: statement })).toBe('malformed_checkpoint');
  });

  test('every bit counts', () => {
    const bytes = utf8(statement);
    for (let bit = 0; bit < 8 * bytes.length; bit += 3)
      if (codeOf(() => openRotation(flipped(bytes, bit), oldKey)) === 'accepted') throw new Error(`bit ${bit}`);
  });
});

function idOf(keyId: number): Uint8Array {
  return Uint8Array.from([24, 16, 8, 0], (shift) => Math.floor(keyId / 2 ** shift) % 256);
}

describe('the pin moves', () => {
  test('with all of the evidence, to the new key', () => {
    expect(verifyRotation(good)).toEqual(newKey);
  });

  test('where the new key signed the very head that the old one signed', () => {
    expect(judge({}, claimFor(made, statement, { newSize: OLD_SIZE }))).toBe('accepted');
  });

  test('where other entries came between the statement and its entry', () => {
    const earlier = signRotation({ treeSize: 2 }, oldSigner, newSigner);
    expect(judge({}, claimFor(logWith(ORIGIN, INDEX, recordOf(earlier), SYSTEM), earlier))).toBe('accepted');
  });

  test('from key to key: two rotations are two steps, and the second alone is none', () => {
    const third = signerOf(ORIGIN, 9);
    const second = signRotation({ treeSize: 8 }, newSigner, third);
    const events = logWith(ORIGIN, 8, recordOf(second), SYSTEM);
    const head = (treeSize: number, signer: NoteSigner) =>
      signCheckpoint({ origin: ORIGIN, treeSize, rootHash: events.tree.root(treeSize) }, signer);
    const step: RotationClaim = {
      pinned: { key: newKey },
      statement: second,
      entry: events.entries[8] as EventEntry,
      inclusion: events.tree.path(8, 9).map(asTreeHash),
      head: head(9, newSigner),
      newHead: head(11, third),
      consistency: events.tree.proof(9, 11).map(asTreeHash),
    };
    expect(verifyRotation(step)).toEqual(third.verifierKey);
    expect(judge({ pinned: { key: oldKey } }, step)).toBe('unknown_signer');
  });
});

describe('no forgery moves it', () => {
  test("a line of one's own under a genuine head", () => {
    const { lines } = splitNote(
      signCheckpoint({ origin: ORIGIN, treeSize: OLD_SIZE, rootHash: made.tree.root(OLD_SIZE) }, thief),
    );
    const twice = addSignatures(good.head, lines);
    expect(judge({ statement: twice })).toBe('malformed_rotation');
    // The head as such is as good as before, and the statement still names another key than the thief's.
    expect(judge({ head: twice })).toBe('accepted');
    expect(judge({ newHead: twice })).toBe('unknown_signer');
  });

  test('a statement that only the thief signed, or the thief in the name of the new key', () => {
    const forged = signNote(text, [thief, newSigner]);
    expect(judge({}, claimFor(logWith(ORIGIN, INDEX, recordOf(forged), SYSTEM), forged))).toBe('unknown_signer');
    const own = signNote(formatRotation({ origin: ORIGIN, oldKey, newKey: thief.verifierKey, treeSize: STATED }), [
      thief,
    ]);
    expect(judge({}, claimFor(logWith(ORIGIN, INDEX, recordOf(own), SYSTEM), own))).toBe('unknown_signer');
  });

  test.each([
    ['an API key', { by: '0123456789abcdef', via: 'events' }],
    ['an API key that says it came from the server', { by: '0123456789abcdef', via: 'system' }],
    ['the server through another way in', { by: 'system', via: 'events' }],
    ['somebody called almost so', { by: 'System', via: 'system' }],
    [
      'a key of a request that looks like it',
      { by: '0123456789abcdef', via: 'events', idempotency_key: '"by":"system"', n: 0 },
    ],
  ])('a genuine statement in an event by %s', (_, header) => {
    expect(judge({}, claimFor(logWith(ORIGIN, INDEX, recordOf(statement), encodeHeader(header))))).toBe(
      'rotation_refused',
    );
  });

  test('the same entry with the header altered afterwards', () => {
    const posted = claimFor(logWith(ORIGIN, INDEX, recordOf(statement), BY_KEY));
    expect(judge({ entry: { ...posted.entry, header: SYSTEM } }, posted)).toBe('root_mismatch');
    expect(judge({ entry: { ...posted.entry, header: utf8('{"by":"system"}') } }, posted)).toBe('root_mismatch');
  });

  test.each<[string, Uint8Array, string]>([
    ['another action', utf8(JSON.stringify({ action: 'log.created', statement })), 'rotation_refused'],
    ['no action', utf8(JSON.stringify({ statement })), 'rotation_refused'],
    ['no statement', utf8(JSON.stringify({ action: ROTATION_ACTION })), 'rotation_refused'],
    [
      'a statement that is no text',
      utf8(JSON.stringify({ action: ROTATION_ACTION, statement: [statement] })),
      'rotation_refused',
    ],
    [
      'the statement deeper in it',
      utf8(JSON.stringify({ action: ROTATION_ACTION, body: { statement } })),
      'rotation_refused',
    ],
    ['a newline more', recordOf(`${statement}\n`), 'rotation_refused'],
    ['a statement of another size', recordOf(signRotation({ treeSize: 5 }, oldSigner, newSigner)), 'rotation_refused'],
    ['a statement for another key', recordOf(signRotation({ treeSize: STATED }, oldSigner, thief)), 'rotation_refused'],
    ['what is no object', utf8(JSON.stringify([statement])), 'bad_event'],
  ])('a system entry with %s', (_, event, code) => {
    // The bytes of an array are committed to as they are: here the leaf is made of another event, for the verifier never gets so far.
    const events = logWith(ORIGIN, INDEX, code === 'bad_event' ? utf8('{}') : event, SYSTEM);
    const claim = claimFor(events);
    expect(judge({ entry: { ...claim.entry, event } }, claim)).toBe(code);
  });

  test('the statement of another log, with its own keys, and a statement by the pinned key about another origin', () => {
    const [a, b] = [signerOf('example.com/logs/other', 1), signerOf('example.com/logs/other', 2)];
    const other = signRotation({ treeSize: STATED }, a, b);
    expect(judge({}, claimFor(logWith(ORIGIN, INDEX, recordOf(other), SYSTEM), other))).toBe('unknown_signer');
    const asOurs = signNote(splitTextOf(other), [oldSigner, newSigner]);
    expect(judge({}, claimFor(logWith(ORIGIN, INDEX, recordOf(asOurs), SYSTEM), asOurs))).toBe('rotation_refused');
  });

  test('a statement that replaces another key, signed by the pinned one all the same', () => {
    const swapped = signNote(text.replace(oldKey.text, thief.verifierKey.text), [oldSigner, newSigner]);
    expect(judge({}, claimFor(logWith(ORIGIN, INDEX, recordOf(swapped), SYSTEM), swapped))).toBe('rotation_refused');
  });

  test('a proof of another leaf, or of another tree, or none', () => {
    expect(judge({ inclusion: made.tree.path(5, OLD_SIZE).map(asTreeHash) })).toBe('bad_proof_length');
    expect(judge({ inclusion: good.inclusion.toReversed() })).toBe('root_mismatch');
    expect(judge({ inclusion: made.tree.path(INDEX, NEW_SIZE).map(asTreeHash) })).toBe('bad_proof_length');
    expect(judge({ inclusion: [] })).toBe('bad_proof_length');
    expect(
      judge({ entry: made.entries[5] as EventEntry, inclusion: made.tree.path(5, OLD_SIZE).map(asTreeHash) }),
    ).toBe('rotation_refused');
    expect(judge({ entry: { ...good.entry, leafIndex: 7 } })).toBe('index_out_of_range');
    expect(judge({ entry: { ...good.entry, salt: new Uint8Array(32) } })).toBe('root_mismatch');
    // The proof of a leaf that is in the tree, for the entry that is not.
    const outside = claimFor(logWith(ORIGIN, INDEX, utf8('{"id":"nothing"}'), BY_KEY));
    expect(judge({ entry: good.entry }, outside)).toBe('root_mismatch');
  });

  test('a statement about entries that were not there: beyond the head, or beyond the entry itself', () => {
    const beyond = (treeSize: number) => {
      const note = signRotation({ treeSize }, oldSigner, newSigner);
      return claimFor(logWith(ORIGIN, INDEX, recordOf(note), SYSTEM), note, { oldSize: 9 });
    };
    expect(judge({}, beyond(6))).toBe('accepted');
    expect(judge({}, beyond(7))).toBe('rotation_refused');
    expect(judge({}, beyond(9))).toBe('rotation_refused');
    expect(judge({}, beyond(10))).toBe('rotation_refused');
  });

  test('heads by the wrong key', () => {
    const head = (treeSize: number, signer: NoteSigner) =>
      signCheckpoint({ origin: ORIGIN, treeSize, rootHash: made.tree.root(treeSize) }, signer);
    expect(judge({ head: head(OLD_SIZE, newSigner) })).toBe('unknown_signer');
    expect(judge({ head: head(OLD_SIZE, thief) })).toBe('unknown_signer');
    expect(judge({ newHead: head(NEW_SIZE, oldSigner) })).toBe('unknown_signer');
    expect(judge({ newHead: head(NEW_SIZE, thief) })).toBe('unknown_signer');
    // The new key signed the statement too, but is not the one that it replaces.
    expect(judge({ pinned: { key: newKey } })).toBe('rotation_refused');
    expect(judge({ pinned: { key: thief.verifierKey } })).toBe('unknown_signer');
  });

  test('a head by the new key that is not what the old one grew to', () => {
    const fork = logWith(ORIGIN, INDEX, utf8('{"id":"fork"}'), BY_KEY);
    const forked = signCheckpoint(
      { origin: ORIGIN, treeSize: NEW_SIZE, rootHash: fork.tree.root(NEW_SIZE) },
      newSigner,
    );
    expect(judge({ newHead: forked })).toBe('root_mismatch');
    expect(judge({ newHead: forked, consistency: fork.tree.proof(OLD_SIZE, NEW_SIZE).map(asTreeHash) })).toBe(
      'root_mismatch',
    );
    expect(judge({ consistency: [] })).toBe('bad_proof_length');
    expect(judge({ consistency: made.tree.proof(6, NEW_SIZE).map(asTreeHash) })).not.toBe('accepted');
    const smaller = signCheckpoint({ origin: ORIGIN, treeSize: 6, rootHash: made.tree.root(6) }, newSigner);
    expect(judge({ newHead: smaller, consistency: [] })).toBe('size_order');
    const same = signCheckpoint({ origin: ORIGIN, treeSize: OLD_SIZE, rootHash: fork.tree.root(OLD_SIZE) }, newSigner);
    expect(judge({ newHead: same, consistency: [] })).toBe('root_mismatch');
  });

  test('any byte of event, header and salt altered', () => {
    for (const part of ['event', 'header', 'salt'] as const) {
      const bytes = good.entry[part];
      for (let at = 0; at < bytes.length; at += 17) {
        const code = judge({ entry: { ...good.entry, [part]: flipped(bytes, 8 * at) } });
        if (code === 'accepted') throw new Error(`${part}, byte ${at}`);
      }
    }
  });
});

describe('with a policy', () => {
  const w1 = cosigner('witness.example/1', new Uint8Array(32).fill(11));
  const policy = parsePolicy(`log ${oldKey.text}\nwitness w1 ${w1.verifierKey.text}\nquorum w1\n`);
  const cosign = (note: string) => {
    const { name, keyId } = w1.verifierKey;
    return addSignatures(note, [{ name, keyId, signature: w1.cosign(splitTextOf(note), 1_767_323_045) }]);
  };

  test('the head by the pinned key needs the quorum, and the first one by the new key does not', () => {
    const pinned = { key: oldKey, policy };
    expect(judge({ pinned })).toBe('quorum_not_met');
    expect(judge({ pinned, head: cosign(good.head) })).toBe('accepted');
    expect(judge({ pinned, newHead: cosign(good.newHead) })).toBe('quorum_not_met');
  });

  test('of a recorder, too', () => {
    const { claim, recorder } = rawClaim();
    expect(judge({ recorder: { ...recorder, policy } }, claim)).toBe('unknown_signer');
    const own = parsePolicy(`witness w1 ${w1.verifierKey.text}\nquorum w1\n`);
    expect(judge({ recorder: { ...recorder, policy: own } }, claim)).toBe('quorum_not_met');
    expect(judge({ recorder: { ...recorder, policy: own, head: cosign(recorder.head) } }, claim)).toBe('accepted');
  });
});

const SYSTEM_ORIGIN = 'example.com/logs/_system';
const systemSigner = signerOf(SYSTEM_ORIGIN, 7);

/** A raw log of other leaves, whose rotation is recorded at leaf index 2 of `_system`. */
function rawClaim(): { claim: RotationClaim; recorder: NonNullable<RotationClaim['recorder']> } {
  const system = logWith(SYSTEM_ORIGIN, 2, recordOf(statement), SYSTEM);
  const raw = new ReferenceTree(Array.from({ length: NEW_SIZE }, (_, i) => utf8(`raw ${i}`)));
  const head = (treeSize: number, signer: NoteSigner) =>
    signCheckpoint({ origin: ORIGIN, treeSize, rootHash: raw.root(treeSize) }, signer);
  const recorder = {
    key: systemSigner.verifierKey,
    head: signCheckpoint({ origin: SYSTEM_ORIGIN, treeSize: 5, rootHash: system.tree.root(5) }, systemSigner),
  };
  return {
    recorder,
    claim: {
      pinned: { key: oldKey },
      statement,
      entry: system.entries[2] as EventEntry,
      inclusion: system.tree.path(2, 5).map(asTreeHash),
      head: head(OLD_SIZE, oldSigner),
      newHead: head(NEW_SIZE, newSigner),
      consistency: raw.proof(OLD_SIZE, NEW_SIZE).map(asTreeHash),
      recorder,
    },
  };
}

describe('of a raw log, recorded in `_system`', () => {
  const { claim, recorder } = rawClaim();

  test('moves the pin where the key of `_system` is pinned too', () => {
    expect(verifyRotation(claim)).toEqual(newKey);
    const { recorder: _, ...alone } = claim;
    expect(judge({}, alone as RotationClaim)).not.toBe('accepted');
    expect(judge({ recorder: { ...recorder, key: signerOf(SYSTEM_ORIGIN, 8).verifierKey } }, claim)).toBe(
      'unknown_signer',
    );
  });

  test('not by an event of an API key there, nor by an entry of the log itself as one of `_system`', () => {
    const posted = logWith(SYSTEM_ORIGIN, 2, recordOf(statement), BY_KEY);
    const head = signCheckpoint({ origin: SYSTEM_ORIGIN, treeSize: 5, rootHash: posted.tree.root(5) }, systemSigner);
    const change = {
      entry: posted.entries[2] as EventEntry,
      inclusion: posted.tree.path(2, 5).map(asTreeHash),
      recorder: { ...recorder, head },
    };
    expect(judge(change, claim)).toBe('rotation_refused');
    expect(judge({ entry: made.entries[2] as EventEntry }, claim)).toBe('root_mismatch');
  });

  test('the statement is still no larger than the head of the log', () => {
    const note = signRotation({ treeSize: OLD_SIZE + 1 }, oldSigner, newSigner);
    const system = logWith(SYSTEM_ORIGIN, 2, recordOf(note), SYSTEM);
    const head = signCheckpoint({ origin: SYSTEM_ORIGIN, treeSize: 5, rootHash: system.tree.root(5) }, systemSigner);
    const change = {
      statement: note,
      entry: system.entries[2] as EventEntry,
      inclusion: system.tree.path(2, 5).map(asTreeHash),
      recorder: { ...recorder, head },
    };
    expect(judge(change, claim)).toBe('rotation_refused');
  });
});

test('errors say what stays as it was, and are of our kinds', () => {
  const posted = claimFor(logWith(ORIGIN, INDEX, recordOf(statement), BY_KEY));
  let error: unknown;
  try {
    verifyRotation(posted);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(LogError);
  expect((error as Error).message).toMatch(/^the pinned key stays: .*"0123456789abcdef"/);
  expect(equalBytes(fromBase64(newKey.text.split('+').slice(2).join('+')).subarray(1), newKey.publicKey)).toBe(true);
});
