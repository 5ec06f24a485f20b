/**
 * Every small change of what was signed or proven: each bit turned, each byte left out, bytes put in at each place; of proofs, each hash
 * left out, doubled, moved, cut or lengthened as well. All of them are refused, or belong to one of these exceptions, which are counted:
 *
 * - `stranger`: the line of a signature by a key that was not given. It proves nothing, and nothing is taken from it (format.md,
 *   "Signed notes", 4).
 * - `disowned`: the line of one of two given keys, altered so that it names another key. What stays verified is the other key's.
 * - `extra`: the line `extra` of a tlog-proof, of which C2SP says that nobody vouches for it.
 * - `same-way`: another tree size for which the way from the leaf to the root is the same. A proof binds the root hash, and the size
 *   only through the signed head that holds both (proofs/inclusion.ts).
 * - `from-nothing`: any second root hash after size 0, from which everything is consistent (format.md, "Consistency proofs").
 * - `spelling`: a JSON text that says the same in all that is read of it: white space, a member that nobody reads, such as `event` of an
 *   answer, which is for people; or a head row whose check has lost its name, as those of older versions have none.
 */
import { equalBytes, fromUtf8, utf8 } from '../../tree/bytes.ts';
import { asLeafHash, asTreeHash, type TreeHash } from '../../tree/hash.ts';
import type { Modules } from './build-modules.ts';
import { flipBit, pick, type Random, splice } from './mutator.ts';
import { consistencyShape, inclusionShape } from './reference-proofs.ts';
import { type Entry, ORIGIN, type SignedLog } from './signed.ts';
import { expect } from './target.ts';
import { logFile } from './wal-file.ts';

/** What became of one change. */
export type Verdict = 'refused' | 'stranger' | 'disowned' | 'extra' | 'same-way' | 'from-nothing' | 'spelling';

export interface Forgery {
  readonly name: string;
  /** What an altered one looks like, for a message. */
  readonly input: Uint8Array | string;
  /** Throws `Wrong` where it was accepted and must not be, and what a verifier must not throw. */
  try(): Verdict;
}

/**
 * How thoroughly: every value of a byte is put in at each place, or two of them are; or, of what costs a signature to verify, one change in
 * ten is tried, which is for tests of the machinery alone.
 */
export type Thoroughness = 'all' | 'some' | 'few';

const SOME = [0x00, 0x0a, 0x20, 0x2b, 0x30, 0x31, 0x3d, 0x41, 0x7f, 0x80, 0xff];

/** Every one-bit change, every byte left out, and bytes put in at each place. */
export function* changes(good: Uint8Array, how: Thoroughness, random: Random): Generator<Uint8Array> {
  for (const changed of everyChange(good, how, random)) if (how !== 'few' || random() < 0.1) yield changed;
}

function* everyChange(good: Uint8Array, how: Thoroughness, random: Random): Generator<Uint8Array> {
  for (let at = 0; at < good.length; at++) for (let bit = 0; bit < 8; bit++) yield flipBit(good, at, bit);
  for (let at = 0; at < good.length; at++) yield splice(good, at, 1, new Uint8Array(0));
  for (let at = 0; at <= good.length; at++) {
    const values = how === 'all' ? Array.from({ length: 256 }, (_, i) => i) : [pick(random, SOME), good[at] ?? 0x0a];
    for (const value of values) yield splice(good, at, 0, Uint8Array.of(value));
  }
}

/** Everything at once, in an order that finds a careless verifier early. */
export function* allForgeries(modules: Modules, log: SignedLog, how: Thoroughness, random: Random): Generator<Forgery> {
  yield* inclusionForgeries(modules, log);
  yield* consistencyForgeries(modules, log);
  yield* entryForgeries(modules, log);
  yield* keyForgeries(modules, log, random);
  yield* sealedForgeries(modules, log, random);
  yield* noteForgeries(modules, log, how, random);
  yield* tlogProofForgeries(modules, log, how, random);
  yield* signatureForgeries(modules, log, how, random);
  yield* replyForgeries(modules, log, how, random);
}

/** `refused` where the action throws one of our errors; what else it throws goes through. */
function verdict(modules: Modules, action: () => Verdict): Verdict {
  const { errors, clientError } = modules;
  try {
    return action();
  } catch (error) {
    const refused =
      error instanceof errors.NoteError ||
      error instanceof errors.ProofError ||
      error instanceof clientError.ClientError;
    if (refused) return 'refused';
    throw error;
  }
}

function accepted(what: string): never {
  expect(false, `${what}, and it is accepted`);
  throw new Error('bug: unreachable');
}

function treeHashes(hashes: readonly Uint8Array[]): readonly TreeHash[] {
  return hashes.map(asTreeHash);
}

function sameHashes(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((hash, i) => equalBytes(hash, b[i] as Uint8Array));
}

/** A proof with one hash altered in its length or place; the same ones again are left out. */
function* listChanges(proof: readonly TreeHash[], other: TreeHash): Generator<readonly TreeHash[]> {
  for (let i = 0; i <= proof.length; i++) {
    yield proof.toSpliced(i, 0, other);
    if (i === proof.length) continue;
    const hash = proof[i] as TreeHash;
    yield proof.toSpliced(i, 1);
    yield proof.toSpliced(i, 0, hash);
    yield proof.with(i, hash.subarray(0, 31) as TreeHash);
    yield proof.with(i, splice(hash, 32, 0, Uint8Array.of(0)) as TreeHash);
    yield proof.with(i, other);
    for (let j = i + 1; j < proof.length; j++) yield proof.with(i, proof[j] as TreeHash).with(j, hash);
  }
}

/** All leaves of all trees up to this size, and some larger ones. */
const SMALL = 13;
const LARGE = [31, 32, 33, 64, 65, 70];

function* inclusionForgeries(modules: Modules, { tree, size }: SignedLog): Generator<Forgery> {
  const { verifyInclusion } = modules.inclusion;
  const sizes = [...Array.from({ length: SMALL }, (_, i) => i + 1), ...LARGE];
  for (const treeSize of sizes) {
    const leaves =
      treeSize <= SMALL ? Array.from({ length: treeSize }, (_, i) => i) : [0, treeSize - 1, Math.floor(treeSize / 2)];
    for (const leafIndex of leaves) {
      const good = {
        leafHash: asLeafHash(tree.hash(leafIndex, leafIndex + 1)),
        ...{
          leafIndex,
          treeSize,
          rootHash: tree.root(treeSize),
          proof: treeHashes(tree.path(leafIndex, treeSize)),
        },
      };
      const name = `inclusion of ${leafIndex} in ${treeSize}`;
      const forged = (claim: typeof good, what: string, exception?: Verdict): Forgery => ({
        name,
        input: what,
        try: () =>
          verdict(modules, () => {
            verifyInclusion(claim);
            return exception ?? accepted(what);
          }),
      });
      for (const { hash, what } of bitFlips(good.leafHash, 'the leaf hash'))
        yield forged({ ...good, leafHash: hash }, what);
      for (const { hash, what } of bitFlips(good.rootHash, 'the root hash'))
        yield forged({ ...good, rootHash: hash }, what);
      for (const { proof, what } of flippedProofs(good.proof)) yield forged({ ...good, proof }, what);
      for (const proof of listChanges(good.proof, tree.root(size)))
        if (!sameHashes(proof, good.proof)) yield forged({ ...good, proof }, `${proof.length} other hashes`);
      const way = inclusionShape(leafIndex, treeSize);
      for (let m = 0; m <= treeSize + 1; m++) {
        if (m === leafIndex) continue;
        yield forged({ ...good, leafIndex: m }, `leaf index ${m}`);
      }
      for (const n of [...sizes, size, 2 ** 31, 2 ** 32 + 5, 2 ** 53 - 1]) {
        if (n === treeSize) continue;
        const same = leafIndex < n && n < 2 ** 31 && inclusionShape(leafIndex, n) === way;
        yield forged({ ...good, treeSize: n }, `tree size ${n}`, same ? 'same-way' : undefined);
      }
    }
  }
}

/** A hash with each of its bits turned. Of what kind it is, its type says and no verifier believes. */
function* bitFlips(hash: Uint8Array, name: string): Generator<{ readonly hash: never; readonly what: string }> {
  for (let at = 0; at < hash.length; at++) {
    for (let bit = 0; bit < 8; bit++)
      yield { hash: flipBit(hash, at, bit) as never, what: `bit ${bit} of byte ${at} of ${name}` };
  }
}

function* flippedProofs(proof: readonly TreeHash[]): Generator<{ readonly proof: TreeHash[]; readonly what: string }> {
  for (const [i, each] of proof.entries()) {
    for (const { hash, what } of bitFlips(each, `hash ${i}`)) yield { proof: proof.with(i, hash), what };
  }
}

function* consistencyForgeries(modules: Modules, { tree, size }: SignedLog): Generator<Forgery> {
  const { verifyConsistency } = modules.consistency;
  const sizes = [...Array.from({ length: SMALL }, (_, i) => i + 1), ...LARGE];
  for (const second of sizes) {
    const olders =
      second <= SMALL ? Array.from({ length: second + 1 }, (_, i) => i) : [1, second - 1, Math.floor(second / 2), 8];
    for (const first of olders) {
      const good = {
        ...{ first, second, firstRoot: tree.root(first), secondRoot: tree.root(second) },
        proof: treeHashes(tree.proof(first, second)),
      };
      const forged = (claim: typeof good, what: string, exception?: Verdict): Forgery => ({
        name: `consistency from ${first} to ${second}`,
        input: what,
        try: () =>
          verdict(modules, () => {
            verifyConsistency(claim);
            return exception ?? accepted(what);
          }),
      });
      for (const { hash, what } of bitFlips(good.firstRoot, 'the first root hash'))
        yield forged({ ...good, firstRoot: hash }, what);
      for (const { hash, what } of bitFlips(good.secondRoot, 'the second root hash'))
        yield forged({ ...good, secondRoot: hash }, what, first === 0 ? 'from-nothing' : undefined);
      for (const { proof, what } of flippedProofs(good.proof)) yield forged({ ...good, proof }, what);
      for (const proof of listChanges(good.proof, tree.root(size)))
        if (!sameHashes(proof, good.proof)) yield forged({ ...good, proof }, `${proof.length} other hashes`);
      for (const n of sizes) {
        const newer = { ...good, second: n };
        const older = { ...good, first: n };
        // From size 0, any size has nothing to prove, but the empty tree itself.
        if (n !== second)
          yield forged(
            newer,
            `second size ${n}`,
            isSameWay(newer, good) ? (first === 0 ? 'from-nothing' : 'same-way') : undefined,
          );
        if (n !== first) yield forged(older, `first size ${n}`, isSameWay(older, good) ? 'same-way' : undefined);
      }
    }
  }
}

interface Sizes {
  readonly first: number;
  readonly second: number;
}

function isSameWay(a: Sizes, b: Sizes): boolean {
  if (a.first === 0 || b.first === 0) return a.first === b.first;
  if (a.first >= a.second || b.first >= b.second) return false;
  return consistencyShape(a.first, a.second) === consistencyShape(b.first, b.second);
}

function* entryForgeries(modules: Modules, log: SignedLog): Generator<Forgery> {
  const { verifyEntry } = modules.entry;
  const checkpoint = modules.checkpoint.openCheckpoint(log.notes.cosigned, log.key);
  for (const leafIndex of [0, 3, 69]) {
    const good = log.entries[leafIndex] as Entry;
    const proof = log.proofOf(leafIndex, log.size);
    const forged = (entry: Omit<Entry, 'leaf' | 'leafHash'>, what: string): Forgery => ({
      name: `entry ${leafIndex}`,
      input: what,
      try: () =>
        verdict(modules, () => {
          verifyEntry({ entry, checkpoint, proof });
          return accepted(what);
        }),
    });
    const { leaf, leafHash, ...bare } = good;
    for (const part of ['event', 'header', 'salt'] as const) {
      for (const changed of changes(good[part], 'some', () => 0.5)) {
        yield forged({ ...good, [part]: changed }, `${part} altered, leaf as stated`);
        yield forged({ ...bare, [part]: changed }, `${part} altered`);
      }
    }
    for (const part of ['leaf', 'leafHash'] as const)
      for (const changed of changes(good[part], 'some', () => 0.5))
        yield forged({ ...good, [part]: changed }, `${part} altered`);
    for (const step of [-1000, -1, 1, 2, 1000]) {
      yield forged({ ...bare, receivedAt: good.receivedAt + step }, `received ${step} later`);
      yield forged({ ...bare, leafIndex: leafIndex + step }, `leaf index ${leafIndex + step}`);
    }
    // A byte moved from the header to the event, or the other way: the lengths are hashed.
    yield forged(
      { ...bare, header: good.header.subarray(0, -1), event: splice(good.event, 0, 0, good.header.subarray(-1)) },
      'header and event divided otherwise',
    );
  }
}

function* keyForgeries(modules: Modules, log: SignedLog, random: Random): Generator<Forgery> {
  for (const good of [log.key.text, log.witnessKey.text]) {
    for (const changed of changes(utf8(good), 'some', random)) {
      const text = Buffer.from(changed).toString('utf8');
      if (text === good) continue;
      yield {
        name: 'verifier key',
        input: text,
        try: () =>
          verdict(modules, () => {
            modules.key.parseVerifierKey(text);
            return accepted('a key that nobody made');
          }),
      };
    }
  }
}

/** Rows and blocks that a check vouches for: no single fault goes through, whatever it does to the content. */
function* sealedForgeries(modules: Modules, log: SignedLog, random: Random): Generator<Forgery> {
  const { rows, runs, logFormat } = modules;
  const damaged = (error: unknown): boolean => error instanceof RangeError || error instanceof runs.IndexDamage;
  const forged = (name: string, input: Uint8Array, open: () => boolean): Forgery => ({
    name,
    input,
    try: () => {
      try {
        return open() ? 'spelling' : accepted('altered');
      } catch (error) {
        if (damaged(error)) return 'refused';
        throw error;
      }
    },
  });
  const head = rows.encodeHeadRow({ checkpoint: log.notes.plain, time: 7, signature: new Uint8Array(68).fill(8) });
  const read = rows.parseHeadRow(head);
  for (const changed of changes(head, 'some', random)) {
    // White space between the members, and the name of the check: without one it is an older row, which holds, and says the same.
    yield forged('head row', changed, () => JSON.stringify(rows.parseHeadRow(changed)) === JSON.stringify(read));
  }
  const key = utf8('a key');
  const sealed = runs.seal(key, utf8('the content of a row'));
  for (const changed of changes(sealed, 'all', random)) {
    yield forged('sealed row', changed, () => {
      runs.unseal(key, changed);
      return false;
    });
  }
  const records = [utf8('one'), utf8('two'.repeat(30)), utf8('three')];
  const whole = logFile(records);
  for (const changed of changes(whole, 'some', random)) {
    yield forged('log file of LevelDB', changed, () => {
      const found: Uint8Array[] = [];
      const fault = logFormat.scanLog(changed, (record) => found.push(record.slice()));
      // What stands before the fault was written; a record that is not whole is no record.
      expect(sameHashes(found, records.slice(0, found.length)), 'another record than was written');
      if (fault !== undefined) throw new RangeError('it has a fault');
      return false;
    });
  }
}

/** A signed text in which something was altered: what may be verified of it, if anything. */
function* noteForgeries(modules: Modules, log: SignedLog, how: Thoroughness, random: Random): Generator<Forgery> {
  const { openNote } = modules.note;
  const { openCheckpoint } = modules.checkpoint;
  for (const name of ['plain', 'cosigned', 'crowded', 'extended'] as const) {
    const note = log.notes[name];
    const keys = [log.key, log.witnessKey];
    const good = openNote(note, keys);
    const head = openCheckpoint(note, log.key);
    for (const input of changes(utf8(note), how, random)) {
      if (name !== 'extended') {
        const judge = (): Verdict => exceptionOf(good, openNote(input, keys));
        yield { name: `note, ${name}`, input, try: () => verdict(modules, judge) };
      }
      if (name === 'cosigned') continue;
      const judge = (): Verdict => {
        const opened = openCheckpoint(input, log.key);
        const same =
          opened.treeSize === head.treeSize && equalBytes(opened.rootHash, head.rootHash) && opened.origin === ORIGIN;
        expect(same && opened.note === fromUtf8(input), 'another head than was signed');
        return exceptionOf(good, openNote(input, keys));
      };
      yield { name: `checkpoint, ${name}`, input, try: () => verdict(modules, judge) };
    }
  }
}

type Opened = ReturnType<Modules['note']['openNote']>;

function lineOf({ name, keyId, signature }: Opened['signatures'][number]): string {
  return `${name} ${keyId} ${Buffer.from(signature).toString('hex')}`;
}

/** Which exception lets an altered note be opened: a line of nobody who was asked for has changed, and only that. */
function exceptionOf(good: Opened, opened: Opened): Verdict {
  expect(opened.text === good.text, 'another text than was signed');
  const verified = opened.signatures.map(lineOf);
  expect(
    verified.length > 0 && opened.signatures.every((line) => good.signatures.map(lineOf).includes(lineOf(line))),
    'another signature is verified',
  );
  const lines = good.signatures.length + good.unverified.length;
  expect(opened.signatures.length + opened.unverified.length === lines, 'another number of lines');
  const changed = opened.unverified.filter((line) => !good.unverified.map(lineOf).includes(lineOf(line)));
  expect(changed.length === 1, 'something else than one line of a stranger was altered');
  return verified.length === good.signatures.length ? 'stranger' : 'disowned';
}

function* tlogProofForgeries(modules: Modules, log: SignedLog, how: Thoroughness, random: Random): Generator<Forgery> {
  const leafIndex = 3;
  const { leaf, leafHash, ...entry } = log.entries[leafIndex] as Entry;
  const proof = log.proofOf(leafIndex, 7);
  const extra = utf8('nobody vouches');
  const text = utf8(modules.tlogProof.formatTlogProof({ leafIndex, proof, checkpoint: log.notes.plain, extra }));
  for (const input of changes(text, how, random)) {
    const judge = (): Verdict => {
      const opened = modules.checkReply.openTlogProof(input, entry, log.key);
      const parsed = modules.tlogProof.parseTlogProof(input);
      const rest = modules.tlogProof.formatTlogProof({ ...parsed, extra });
      expect(
        rest === fromUtf8(text) && opened.leafIndex === leafIndex,
        'it opens, and something but the line extra was altered',
      );
      return 'extra';
    };
    yield { name: 'tlog-proof', input, try: () => verdict(modules, judge) };
  }
}

function* signatureForgeries(modules: Modules, log: SignedLog, how: Thoroughness, random: Random): Generator<Forgery> {
  const { ed25519, cosignature, treeHead } = modules;
  const message = utf8(log.notes.plain.slice(0, log.notes.plain.indexOf('\n\n') + 1));
  const wrong = (isValid: boolean): Verdict => (isValid ? accepted('altered') : 'refused');
  for (const input of changes(log.signer.sign(message), how, random))
    yield { name: 'signature', input, try: () => wrong(ed25519.verifySignature(input, message, log.key.publicKey)) };
  for (const input of changes(log.key.publicKey, how, random))
    yield {
      name: 'signature by another key',
      input,
      try: () => wrong(ed25519.verifySignature(log.signer.sign(message), message, input)),
    };
  for (const input of changes(log.witness.sign(message), how, random))
    yield {
      name: 'cosignature',
      input,
      try: () => wrong(cosignature.verifyCosignature(input, message, log.witnessKey.publicKey)),
    };
  const head = { treeSize: 7, rootHash: log.rootAt(7), timestamp: 1_767_323_045_001 };
  const signed = treeHead.signTreeHead(head, log.signer);
  const verify = (signature: Uint8Array, claim: typeof head, input: Uint8Array | string): Forgery => ({
    name: 'tree head signature',
    input,
    try: () =>
      verdict(modules, () => {
        treeHead.verifyTreeHeadSignature(signature, claim, log.key);
        return accepted('altered');
      }),
  });
  for (const input of changes(signed, how, random)) yield verify(input, head, input);
  for (let at = 0; at < 32; at++)
    for (let bit = 0; bit < 8; bit++)
      yield verify(signed, { ...head, rootHash: flipBit(head.rootHash, at, bit) as never }, 'another root hash');
  for (const step of [-1, 1, 1000, 2 ** 32]) {
    yield verify(signed, { ...head, timestamp: head.timestamp + step }, `timestamp ${step} later`);
    yield verify(signed, { ...head, treeSize: head.treeSize + Math.abs(step) }, `${step} leaves more`);
  }
}

/** Of the answers, which are long, one change in so many: what is signed in them has been altered above, bit by bit. */
const REPLY_STEP = 4;

function* replyForgeries(modules: Modules, log: SignedLog, how: Thoroughness, random: Random): Generator<Forgery> {
  const leafIndex = 5;
  const entry = log.entries[leafIndex] as Entry;
  const reply = utf8(log.eventReply(leafIndex, 7, log.notes.plain));
  for (const input of changes(reply, how === 'few' ? 'few' : 'some', random)) {
    if (random() * REPLY_STEP >= 1) continue;
    const judge = (): Verdict => {
      const opened = modules.checkReply.openEventReply(input, log.key);
      const parts = ['event', 'header', 'salt', 'leaf', 'leafHash'] as const;
      const same = parts.every((part) => equalBytes(opened[part] as Uint8Array, entry[part]));
      expect(
        same && opened.leafIndex === leafIndex && opened.receivedAt === entry.receivedAt,
        'it opens to another entry',
      );
      expect(opened.checkpoint.treeSize === 7, 'it opens under another head');
      return 'spelling';
    };
    yield { name: 'saved answer', input, try: () => verdict(modules, judge) };
  }
}
