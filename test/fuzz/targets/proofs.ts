/** Keys, notes, checkpoints, proofs, leaves and entries. What is accepted is what somebody signed; every other input is a NoteError or a ProofError. */
import { concatBytes, equalBytes, fromBase64, fromUtf8, toBase64, u64, utf8 } from '../../../tree/bytes.ts';
import { asLeafHash, type TreeHash } from '../../../tree/hash.ts';
import type { Modules } from '../build-modules.ts';
import { isHalf } from '../json-rules.ts';
import { below, pick, type Random } from '../mutator.ts';
import { isConsistent, isIncluded } from '../reference-proofs.ts';
import { type Entry, ORIGIN, type SignedLog } from '../signed.ts';
import { bytesTarget, coded, expect, expectSame, nothing, oneOf, type Target, textTarget } from '../target.ts';

/** An Ed25519 verification takes as long as so many cheap inputs. */
const SIGNATURE = 60;

const KEY_CODES = ['malformed_key', 'unknown_algorithm', 'bad_public_key', 'key_id_mismatch'];
const NOTE_CODES = ['malformed_note', 'ambiguous_key', 'invalid_signature', 'unknown_signer'];
const CHECKPOINT_CODES = [...NOTE_CODES, 'malformed_checkpoint', 'origin_mismatch'];

export function proofTargets(modules: Modules, log: SignedLog): Target[] {
  return [
    ...keyTargets(modules, log),
    ...noteTargets(modules, log),
    ...leafTargets(modules, log),
    ...claimTargets(modules, log),
    ...fraudTargets(modules, log),
  ];
}

/** A log that has never lied: whatever is made of its heads convicts it of nothing. */
function fraudTargets({ errors, fraudProof, consistency }: Modules, log: SignedLog): Target[] {
  const { notes, tree, key } = log;
  const beginning = (first: number, second: number) => ({
    root: tree.root(first),
    proof: consistency.proveConsistency({ first, second }, tree.node),
  });
  const texts = [
    fraudProof.formatFraudProof({ first: notes.plain, second: notes.crowded }),
    fraudProof.formatFraudProof({ first: notes.plain, second: notes.cosigned, beginning: beginning(7, log.size) }),
    fraudProof.formatFraudProof({ first: notes.plain, second: notes.plain }),
  ];
  const words = [
    'indelible/fraud-proof/v1\n',
    'first ',
    'second ',
    'root ',
    '\n\n',
    ...texts.flatMap((text) => text.split('\n')),
  ];
  return [
    bytesTarget({
      name: 'fraud proof',
      covers: ['proofs/fraud-proof parseFraudProof'],
      good: texts.map(utf8),
      words,
      cost: 3,
      refuses: coded(errors.NoteError, 'malformed_fraud_proof'),
      read: (input) => {
        const parsed = fraudProof.parseFraudProof(input);
        expect(fraudProof.isFraudProof(input), 'read, and it does not look like one');
        expectSame(fraudProof.formatFraudProof(parsed), fromUtf8(input));
      },
    }),
    bytesTarget({
      name: 'fraud that never was',
      covers: ['proofs/fraud-proof verifyFraudProof', 'proofs/fraud-proof openByAny'],
      good: texts.map(utf8),
      words,
      beginnings: true,
      cost: SIGNATURE,
      refuses: oneOf(errors.NoteError, errors.ProofError),
      read: (input) => {
        fraudProof.verifyFraudProof(fraudProof.parseFraudProof(input), [key]);
        expect(false, 'an honest log is convicted');
      },
    }),
  ];
}

function keyTargets({ errors, key, ed25519 }: Modules, log: SignedLog): Target[] {
  const texts = [log.key.text, log.witnessKey.text, log.stranger.verifierKey.text];
  return [
    textTarget({
      name: 'verifier key',
      covers: ['proofs/key parseVerifierKey'],
      good: texts,
      words: ['+', 'PRIVATE+KEY+', log.key.name, '01020304', 'AQAAAA'],
      // Nearly all are refused by their form; a few multiply points.
      cost: 4,
      refuses: coded(errors.NoteError, ...KEY_CODES),
      read: (text) => {
        const parsed = key.parseVerifierKey(text);
        expectSame(parsed.text, text);
        expect(texts.includes(text), 'accepted, and nobody made it: its key ID is right');
      },
    }),
    textTarget({
      name: 'signer key',
      covers: ['proofs/key parseSignerKey'],
      good: [log.signerText, `${log.signerText}\n`],
      words: ['+', 'PRIVATE+KEY+', '\n'],
      cost: 30,
      refuses: coded(errors.NoteError, ...KEY_CODES),
      read: (text) => {
        const { verifierKey } = key.parseSignerKey(text);
        // One newline at its end is as files have it.
        expectSame(text.replace(/\n$/, ''), log.signerText);
        expectSame(verifierKey.text, log.key.text);
      },
    }),
    textTarget({
      name: 'name of a key',
      covers: ['proofs/key isKeyName'],
      good: ['example.com/logs/main', 'é', 'a'],
      refuses: nothing,
      read: (text) => {
        const isName = key.isKeyName(text);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a name may not have
        const space = /[\u0000- +\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|\p{Cs}/u;
        const odd = text === '' || space.test(text);
        expect(isName !== odd, isName ? 'accepted as a name' : 'refused as a name');
      },
    }),
    bytesTarget({
      name: 'public key',
      covers: ['proofs/ed25519 isValidPublicKey'],
      good: [log.key.publicKey, log.witnessKey.publicKey],
      cost: 8,
      refuses: nothing,
      read: (input) => {
        const isValid = ed25519.isValidPublicKey(input);
        expect(!isValid || input.length === 32, 'accepted with another length');
      },
    }),
  ];
}

function noteTargets(
  { errors, note, checkpoint, tlogProof, ed25519, cosignature, treeHead }: Modules,
  log: SignedLog,
): Target[] {
  const all = Object.values(log.notes);
  const bodies = all.map((each) => each.slice(0, each.lastIndexOf('\n\n') + 1));
  const signed = new Set(bodies);
  const message = utf8(bodies[0] as string);
  const signature = log.signer.sign(message);
  const stamped = log.witness.sign(message);
  const head = { treeSize: 7, rootHash: log.rootAt(7), timestamp: 1_767_323_045_001 };
  const headSignature = treeHead.signTreeHead(head, log.signer);
  const opens = (bytes: Uint8Array): boolean => {
    try {
      note.openNote(bytes, [log.key]);
      return true;
    } catch {
      return false;
    }
  };
  const lines = all.flatMap((each) => each.split('\n')).filter((line) => line !== '');
  return [
    bytesTarget({
      name: 'signed note',
      covers: ['proofs/note openNote'],
      good: all.map(utf8),
      words: ['\n\n', '— ', ...lines, ...lines.map((line) => `${line}\n`)],
      cost: SIGNATURE / 2,
      refuses: coded(errors.NoteError, ...NOTE_CODES),
      read: (input) => {
        const opened = note.openNote(input, [log.key, log.witnessKey]);
        expect(signed.has(opened.text), 'opens to a text that nobody signed');
        expect(opened.signatures.length > 0, 'opened without a signature');
        for (const { name } of opened.signatures)
          expect(name === ORIGIN || name === log.witnessKey.name, `verified for ${name}`);
        for (const line of fromUtf8(input)
          .slice(opened.text.length + 1, -1)
          .split('\n')) {
          const [, base64 = ''] = /^— [^ ]+ ([^ ]+)$/.exec(line) ?? [];
          expect(
            Buffer.from(base64, 'base64').toString('base64') === base64 && base64 !== '',
            'a line with another spelling',
          );
        }
      },
    }),
    bytesTarget({
      name: 'checkpoint',
      covers: ['proofs/checkpoint openCheckpoint'],
      good: all.map(utf8),
      words: ['\n\n', '— ', ...lines, ...lines.map((line) => `${line}\n`)],
      cost: SIGNATURE / 2,
      refuses: coded(errors.NoteError, ...CHECKPOINT_CODES),
      read: (input) => {
        const opened = checkpoint.openCheckpoint(input, log.key);
        expectSame(opened.note, fromUtf8(input));
        expect(opened.origin === ORIGIN && opened.treeSize <= log.size, 'another head than was signed');
        expectSame(opened.rootHash, log.rootAt(opened.treeSize));
      },
    }),
    textTarget({
      name: 'note as a text',
      covers: [],
      good: all,
      cost: SIGNATURE,
      refuses: coded(errors.NoteError, ...NOTE_CODES),
      read: (text) => {
        let opened: ReturnType<typeof note.openNote>;
        try {
          opened = note.openNote(text, [log.key]);
        } catch (error) {
          // Bytes have no lone surrogates: there they are U+FFFD.
          expect(isHalf(text) || !opens(utf8(text)), 'opened as bytes, and not as a text');
          throw error;
        }
        expect(!isHalf(text) && opens(utf8(text)), 'opened as a text, and not as bytes');
        expect(signed.has(opened.text), 'opens to a text that nobody signed');
      },
    }),
    textTarget({
      name: 'text to be signed',
      covers: [],
      good: ['one line\n', 'é 😀\n\nafter an empty line\n', '\n', '\n\n— a b\n'],
      cost: 2 * SIGNATURE,
      refuses: coded(errors.NoteError, 'malformed_note'),
      read: (text) => {
        const made = note.signNote(text, [log.signer]);
        const opened = note.openNote(made, [log.key]);
        expectSame(opened.text, text);
        expectSame(note.signNote(opened.text, [], opened.signatures), made);
      },
    }),
    textTarget({
      name: 'text of a checkpoint',
      covers: ['proofs/checkpoint parseCheckpoint'],
      good: [...bodies, `${ORIGIN}\n9007199254740991\n${toBase64(log.rootAt(3))}\na\nb 1\n`],
      refuses: coded(errors.NoteError, 'malformed_checkpoint'),
      read: (text) => {
        const { origin, treeSize, rootHash, extensions } = checkpoint.parseCheckpoint(text);
        expectSame([origin, String(treeSize), toBase64(rootHash), ...extensions, ''].join('\n'), text);
        expect(rootHash.length === 32 && !text.slice(0, -1).split('\n').includes(''), 'accepted with an empty line');
      },
    }),
    bytesTarget({
      name: 'tlog-proof',
      covers: ['proofs/tlog-proof parseTlogProof', 'proofs/preamble splitPreamble'],
      good: [
        { leafIndex: 3, proof: log.proofOf(3, 7), checkpoint: log.notes.plain },
        { leafIndex: 2 ** 53 - 1, proof: [], checkpoint: 'no note', extra: Uint8Array.of(1, 2, 3) },
        {
          leafIndex: 0,
          proof: Array.from({ length: 63 }, () => log.rootAt(1)),
          checkpoint: '',
          extra: new Uint8Array(0),
        },
      ].map((each) => utf8(tlogProof.formatTlogProof(each))),
      words: ['c2sp.org/tlog-proof@v1\n', 'index ', 'extra ', '\nextra AQID', `${toBase64(log.rootAt(2))}\n`, '\n\n'],
      refuses: coded(errors.NoteError, 'malformed_proof'),
      read: (input) => {
        const parsed = tlogProof.parseTlogProof(input);
        expectSame(utf8(tlogProof.formatTlogProof(parsed)), input);
        expect(parsed.proof.length <= 63 && Number.isSafeInteger(parsed.leafIndex), 'accepted out of range');
      },
    }),
    bytesTarget({
      name: 'signature',
      covers: ['proofs/ed25519 verifySignature'],
      good: [signature],
      cost: SIGNATURE,
      refuses: nothing,
      read: (input) => {
        const isValid = ed25519.verifySignature(input, message, log.key.publicKey);
        expect(
          isValid === equalBytes(input, signature),
          isValid ? 'another signature is valid' : 'the signature is refused',
        );
      },
    }),
    bytesTarget({
      name: 'cosignature',
      covers: ['proofs/cosignature verifyCosignature'],
      good: [stamped],
      cost: SIGNATURE,
      refuses: nothing,
      read: (input) => {
        const isValid = cosignature.verifyCosignature(input, message, log.witnessKey.publicKey);
        expect(
          isValid === equalBytes(input, stamped),
          isValid ? 'another cosignature is valid' : 'the cosignature is refused',
        );
      },
    }),
    bytesTarget({
      name: 'tree head signature',
      covers: ['proofs/tree-head-signature verifyTreeHeadSignature'],
      good: [headSignature],
      cost: SIGNATURE,
      refuses: coded(errors.NoteError, 'unknown_algorithm', 'invalid_signature'),
      read: (input) => {
        treeHead.verifyTreeHeadSignature(input, head, log.key);
        expectSame(headSignature, input);
      },
    }),
  ];
}

function leafTargets({ errors, leaf, time }: Modules, log: SignedLog): Target[] {
  const headers = [
    ...log.entries.slice(0, 2).map(({ header }) => header),
    leaf.encodeHeader({ by: 'system', via: 'system' }),
    leaf.encodeHeader({ by: 'a', via: 'events', idempotency_key: 'key', n: 2 ** 53 - 1 }),
    leaf.encodeHeader({ by: 'a', via: 'events', id_pointer: `/${'p'.repeat(250)}` }),
  ];
  return [
    bytesTarget({
      name: 'leaf of an event',
      covers: ['proofs/leaf parseEventLeaf'],
      good: [0, 1, 2 ** 53 - 1].map((receivedAt) =>
        leaf.encodeEventLeaf({ receivedAt, commitment: new Uint8Array(32).fill(9) }),
      ),
      refuses: coded(errors.ProofError, 'bad_leaf'),
      read: (input) => expectSame(leaf.encodeEventLeaf(leaf.parseEventLeaf(input)), input),
    }),
    bytesTarget({
      name: 'leaf that a raw log must not take',
      covers: ['proofs/leaf isReservedRawLeaf'],
      good: [new Uint8Array(41), new Uint8Array(41).fill(0x20), new Uint8Array(0)],
      refuses: nothing,
      read: (input) => {
        // Whatever reads as the leaf of an event is one that a raw log refuses.
        let isLeaf = true;
        try {
          leaf.parseEventLeaf(input);
        } catch {
          isLeaf = false;
        }
        expect(!isLeaf || leaf.isReservedRawLeaf(input), 'a raw log would take the leaf of an event');
      },
    }),
    bytesTarget({
      name: 'header of an entry',
      covers: ['proofs/leaf parseHeader', 'proofs/leaf checkHeader'],
      good: headers,
      words: ['"by":', '"via":', '"n":', '"id_pointer":', '"idempotency_key":', '"by":"system",', '\\ud800'],
      refuses: coded(errors.ProofError, 'bad_header'),
      read: (input) => {
        leaf.checkHeader(input);
        const header = leaf.parseHeader(input);
        // Lone surrogates can be escaped in JSON and so stand in a header; written again they are escaped again. What grew too long is not written.
        let again = header;
        try {
          again = leaf.parseHeader(leaf.encodeHeader(header));
        } catch (error) {
          if (!(error instanceof errors.ProofError)) throw error;
        }
        expect(JSON.stringify(again) === JSON.stringify(header), 'written again it says something else');
        expect(input.length <= 1024 && input[0] === 0x7b && input.at(-1) === 0x7d, 'accepted with something around it');
        const { by, via } = JSON.parse(fromUtf8(input)) as Record<string, unknown>;
        expect(by === header.by && via === header.via, 'says something else');
      },
    }),
    bytesTarget({
      name: 'text of an event, for a verifier',
      covers: ['proofs/leaf checkEventText'],
      good: log.entries.slice(0, 3).map(({ event }) => event),
      refuses: coded(errors.ProofError, 'bad_event'),
      read: (input) => {
        leaf.checkEventText(input);
        const value: unknown = JSON.parse(fromUtf8(input));
        expect(typeof value === 'object' && value !== null && !Array.isArray(value), 'accepted, and it is no object');
        expect(input[0] === 0x7b && input.at(-1) === 0x7d, 'accepted with something around it');
      },
    }),
    textTarget({
      name: 'time',
      covers: ['proofs/time parseMicros'],
      good: [0, 1, 1_767_323_045_000_006, 951_782_400_000_000, 2 ** 53 - 1].map(time.formatMicros),
      words: ['T', 't', 'Z', '+00:00', '02-29', '02-30', '24:00:00', ':60', '.000000'],
      refuses: (error) => error instanceof RangeError,
      read: (text) => {
        const micros = time.parseMicros(text);
        expect(Number.isSafeInteger(micros) && micros >= 0, `accepted as ${micros}`);
        expectSame(time.formatMicros(micros), text);
        expect(new Date(Math.floor(micros / 1000)).toISOString().slice(0, 19) === text.slice(0, 19), 'another time');
      },
    }),
  ];
}

/** Numbers that sizes and indexes must not be, or could be. */
const NUMBERS = [
  -1,
  -0,
  0.5,
  1.5,
  2 ** 31,
  2 ** 32,
  2 ** 52,
  2 ** 53 - 1,
  2 ** 53,
  1e300,
  Number.NaN,
  Number.POSITIVE_INFINITY,
];

function number(random: Random, good: number): number {
  const chosen = random();
  if (chosen < 0.6) return good;
  if (chosen < 0.75) return good + below(random, 5) - 2;
  return chosen < 0.9 ? below(random, 80) : pick(random, NUMBERS);
}

/** The 32-byte pieces of some bytes, and now and then one of another length. */
function hashes(input: Uint8Array, random: Random): TreeHash[] {
  const size = random() < 0.05 ? 31 + 2 * below(random, 2) : 32;
  const list: Uint8Array[] = [];
  for (let at = 0; at < input.length && list.length < 70; at += size) list.push(input.subarray(at, at + size));
  return list as TreeHash[];
}

const PROOF_CODES = [
  'unsafe_number',
  'index_out_of_range',
  'size_order',
  'bad_proof_length',
  'bad_hash_length',
  'root_mismatch',
];
const ENTRY_CODES = [
  ...PROOF_CODES,
  ...[
    'bad_leaf',
    'bad_salt',
    'bad_header',
    'bad_event',
    'bad_received_at',
    'commitment_mismatch',
    'received_at_mismatch',
    'leaf_hash_mismatch',
  ],
];

function claimTargets({ errors, inclusion, consistency, entry, checkpoint }: Modules, log: SignedLog): Target[] {
  const { tree, size } = log;
  const places = [0, 1, 5, 31, 32, 63, 64, 69].flatMap((m) =>
    [7, 8, 33, 64, 65, 70].filter((n) => m < n).map((n) => [m, n] as const),
  );
  const pairs = [1, 2, 6, 7, 32, 33, 64, 69].flatMap((m) =>
    [7, 8, 33, 64, 65, 70].filter((n) => m < n).map((n) => [m, n] as const),
  );
  const head = checkpoint.openCheckpoint(log.notes.cosigned, log.key);
  const disagree = (accepted: boolean): string =>
    `the verifier ${accepted ? 'accepts' : 'refuses'} it, docs/format.md does not`;
  return [
    bytesTarget({
      name: 'inclusion proof',
      covers: ['proofs/inclusion verifyInclusion'],
      good: places.map(([m, n]) => concatBytes(u64(m), u64(n), ...tree.path(m, n))),
      cost: 6,
      refuses: coded(errors.ProofError, ...PROOF_CODES),
      read: (input, random) => {
        const [m, n] = pick(random, places);
        const isWhole = input.length % 32 === 16;
        const claim = {
          leafHash: asLeafHash(tree.hash(m, m + 1)),
          leafIndex: number(random, m),
          treeSize: number(random, n),
          rootHash: tree.root(n),
          proof:
            isWhole && random() < 0.5
              ? hashes(input.subarray(16), random)
              : hashes(concatBytes(...tree.path(m, n)), random),
        };
        agree(() => inclusion.verifyInclusion(claim), isIncluded(claim), disagree);
      },
    }),
    bytesTarget({
      name: 'consistency proof',
      covers: ['proofs/consistency verifyConsistency'],
      good: pairs.map(([m, n]) => concatBytes(u64(m), u64(n), ...tree.proof(m, n))),
      cost: 6,
      refuses: coded(errors.ProofError, ...PROOF_CODES),
      read: (input, random) => {
        const [m, n] = pick(random, pairs);
        const claim = {
          first: number(random, m),
          second: number(random, n),
          firstRoot: random() < 0.1 ? tree.root(below(random, size)) : tree.root(m),
          secondRoot: random() < 0.1 ? tree.root(below(random, size)) : tree.root(n),
          proof: random() < 0.3 ? hashes(input.subarray(16), random) : hashes(concatBytes(...tree.proof(m, n)), random),
        };
        agree(() => consistency.verifyConsistency(claim), isConsistent(claim), disagree);
      },
    }),
    bytesTarget({
      name: 'entry under a checkpoint',
      covers: ['proofs/entry verifyEntry'],
      good: log.entries
        .slice(0, 4)
        .map(({ event, header, salt }) => concatBytes(salt, Uint8Array.of(header.length), header, event)),
      cost: 8,
      refuses: coded(errors.ProofError, ...ENTRY_CODES),
      read: (input, random) => {
        const stated = log.entries[((input[0] ?? 0) + 3) % 4] as Entry;
        const end = 33 + (input[32] ?? 0);
        const given = {
          ...stated,
          salt: input.subarray(0, 32),
          header: input.subarray(33, end),
          event: input.subarray(end),
          leafIndex: number(random, stated.leafIndex),
          receivedAt: number(random, stated.receivedAt),
        };
        const claim = random() < 0.5 ? given : { ...given, leaf: undefined, leafHash: undefined };
        const { leaf, leafHash, ...bare } = claim;
        const entryClaim = leaf === undefined || leafHash === undefined ? bare : { ...bare, leaf, leafHash };
        entry.verifyEntry({ entry: entryClaim, checkpoint: head, proof: log.proofOf(stated.leafIndex, size) });
        const logged = log.entries[given.leafIndex] as Entry;
        const same = (['event', 'header', 'salt'] as const).every((part) => equalBytes(given[part], logged[part]));
        expect(same && given.receivedAt === logged.receivedAt, 'accepted, and it was never logged');
      },
    }),
    textTarget({
      name: 'origin of an entry',
      covers: [],
      good: [ORIGIN],
      cost: 6,
      refuses: coded(errors.ProofError, 'commitment_mismatch', 'leaf_hash_mismatch', 'root_mismatch'),
      read: (origin) => {
        const stated = log.entries[3] as Entry;
        entry.verifyEntry({ entry: stated, checkpoint: { ...head, origin }, proof: log.proofOf(3, size) });
        expect(origin === ORIGIN || utf8(origin).length === utf8(ORIGIN).length, 'accepted for another log');
        expectSame(origin, ORIGIN);
      },
    }),
    bytesTarget({
      name: 'base64 of a proof',
      covers: [],
      good: [log.rootAt(3), log.rootAt(4)],
      refuses: nothing,
      read: (input) => expectSame(fromBase64(toBase64(input)), input),
    }),
  ];
}

/** The verifier and the page must say the same. */
function agree(verify: () => void, isRight: boolean, text: (accepted: boolean) => string): void {
  let refusal: unknown;
  try {
    verify();
  } catch (error) {
    refusal = error;
  }
  expect((refusal === undefined) === isRight, text(refusal === undefined));
  if (refusal !== undefined) throw refusal;
}
