/** Policies, cosigned heads, requests to witnesses and statements of rotation. What is accepted is what somebody signed, or has one spelling. */
import { fromUtf8, toBase64, utf8 } from '../../../tree/bytes.ts';
import { asTreeHash } from '../../../tree/hash.ts';
import { ReferenceTree } from '../../support/reference-tree.ts';
import type { Modules } from '../build-modules.ts';
import { pick } from '../mutator.ts';
import { ORIGIN, type SignedLog } from '../signed.ts';
import { bytesTarget, coded, expect, expectSame, type Target, textTarget } from '../target.ts';

/** An Ed25519 verification takes as long as so many cheap inputs. */
const SIGNATURE = 60;

const KEY_CODES = ['malformed_key', 'unknown_algorithm', 'bad_public_key', 'key_id_mismatch'];
const NOTE_CODES = ['malformed_note', 'ambiguous_key', 'invalid_signature', 'unknown_signer'];
const CHECKPOINT_CODES = [...NOTE_CODES, 'malformed_checkpoint', 'origin_mismatch'];
const ROTATION_CODES = [...NOTE_CODES, 'malformed_rotation', 'rotation_refused'];

export function trustTargets(modules: Modules, log: SignedLog): Target[] {
  return [
    ...policyTargets(modules, log),
    ...witnessTargets(modules, log),
    ...requestTargets(modules, log),
    ...rotationTargets(modules, log),
  ];
}

function policyTargets({ errors, policy, key, ed25519 }: Modules, log: SignedLog): Target[] {
  const witness = (byte: number): string =>
    key.makeVerifierKey('w.example', ed25519.publicKeyOf(new Uint8Array(32).fill(byte)), key.ALGORITHM_COSIGNATURE)
      .text;
  const [a, b, c] = [20, 21, 22].map(witness);
  const good = [
    'quorum none\n',
    `# who\nlog ${log.key.text} https://log.example/\nwitness w ${log.witnessKey.text} http://[::1]:80/\nquorum w\n`,
    `witness a ${a}\nwitness b ${b}\nwitness c ${c}\ngroup ab any a b\ngroup g 2 ab c\nquorum g\n`,
    `\twitness\ta\t${a} \n\n#\nwitness b ${b}\n group g all a b\nquorum  g\n`,
  ];
  return [
    bytesTarget({
      name: 'policy',
      covers: ['proofs/policy parsePolicy'],
      good: good.map(utf8),
      words: ['log ', 'witness ', 'group ', 'quorum ', ' any', ' all', ' none', ' 2 ', ' 0 ', '\n#', 'a', a as string],
      // Each key is checked to be a point.
      cost: 12,
      refuses: coded(errors.NoteError, 'malformed_policy', 'unknown_algorithm'),
      read: (input, random) => {
        const read = policy.parsePolicy(input);
        const { logs, witnesses, quorum } = read;
        for (const each of logs) expect(each.key.algorithm === 1, 'a log with the key of a witness');
        for (const each of witnesses) expect(each.key.algorithm === 4, 'a witness with another key');
        for (const { url } of [...logs, ...witnesses])
          expect(url === undefined || /^https?:$/.test(new URL(url).protocol), `accepted with the address ${url}`);
        for (const named of [logs, witnesses]) {
          const keys = new Set(named.map((each) => toBase64(each.key.publicKey)));
          expect(keys.size === named.length, 'a public key stands for two');
        }
        expect(new Set(witnesses.map(({ name }) => name)).size === witnesses.length, 'a name stands for two');
        expect(
          policy.holdsQuorum(read, () => true),
          'all of them are no quorum',
        );
        expect(policy.holdsQuorum(read, () => false) === (quorum === 'none'), 'none of them are a quorum');
        // More signatures never suffice where fewer do not.
        const some = new Set(witnesses.filter(() => random() < 0.5));
        const fewer = new Set([...some].slice(1));
        const [most, least] = [some, fewer].map((set) => policy.holdsQuorum(read, (each) => set.has(each)));
        expect(most === true || least === false, 'a quorum that one signature more takes away');
      },
    }),
  ];
}

function witnessTargets({ errors, note, policy, witnessed, cosignature }: Modules, log: SignedLog): Target[] {
  const parsed = policy.parsePolicy(`witness w ${log.witnessKey.text}\nquorum w\n`);
  const { cosigned, plain, crowded } = log.notes;
  const lines = [...cosigned.split('\n'), ...crowded.split('\n')].filter((line) => line !== '');
  const lineBlocks = [cosigned, plain, crowded].map((each) => each.slice(each.lastIndexOf('\n\n') + 2));
  const seed = new Uint8Array(32).fill(2);
  const secret = cosignature.formatCosignerKey(log.witnessKey.name, seed);
  return [
    bytesTarget({
      name: 'checkpoint under a policy',
      covers: [
        'proofs/witnessed openWitnessed',
        'proofs/witnessed openCosigned',
        'proofs/checkpoint openCheckpointWith',
      ],
      good: [utf8(cosigned)],
      words: ['\n\n', '— ', ...lines, ...lines.map((line) => `${line}\n`)],
      cost: 2 * SIGNATURE,
      refuses: coded(errors.NoteError, ...CHECKPOINT_CODES, 'quorum_not_met'),
      read: (input) => {
        const open = witnessed.openWitnessed(input, log.key, parsed);
        expect(open.origin === ORIGIN && open.treeSize === log.size, 'another head than was cosigned');
        expectSame(open.rootHash, log.rootAt(log.size));
        const [by, ...more] = open.cosignatures;
        expect(by?.witness.name === 'w' && by.time === 1_700_000_000 && more.length === 0, 'cosigned by somebody else');
        expect(witnessed.openCosigned(input, log.key, parsed).cosignatures.length === 1, 'opened in two ways');
      },
    }),
    textTarget({
      name: 'signature lines of a witness',
      covers: ['proofs/note parseSignatureLines', 'proofs/note splitNote'],
      good: lineBlocks,
      words: ['— ', '\n', ...lines.map((line) => `${line}\n`)],
      refuses: coded(errors.NoteError, 'malformed_note'),
      read: (text) => {
        const read = note.parseSignatureLines(text);
        const again = note.formatSignatureLines(read);
        // Equal lines count once.
        expectSame([...new Set(text.split('\n').slice(0, -1))].map((line) => `${line}\n`).join(''), again);
        const { text: body, lines: split } = note.splitNote(`text\n\n${text}`);
        expectSame(body, utf8('text\n'));
        expectSame(note.formatSignatureLines(split), again);
      },
    }),
    textTarget({
      name: 'private key of a witness',
      covers: ['proofs/cosignature parseCosignerKey'],
      good: [secret, `${secret}\n`],
      words: ['+', 'PRIVATE+KEY+', '\n'],
      cost: 30,
      refuses: coded(errors.NoteError, ...KEY_CODES),
      read: (text) => {
        const { verifierKey } = cosignature.parseCosignerKey(text);
        expectSame(text.replace(/\n$/, ''), secret);
        expectSame(verifierKey.text, log.witnessKey.text);
      },
    }),
  ];
}

function requestTargets({ errors, addCheckpoint }: Modules, log: SignedLog): Target[] {
  const hash = log.rootAt(2);
  const good = [
    { oldSize: 0, proof: [], checkpoint: log.notes.plain },
    { oldSize: 3, proof: [hash, log.rootAt(5)], checkpoint: log.notes.cosigned },
    { oldSize: 2 ** 53 - 1, proof: Array.from({ length: 63 }, () => hash), checkpoint: log.notes.crowded },
  ].map((each) => utf8(addCheckpoint.formatAddCheckpoint(each)));
  return [
    bytesTarget({
      name: 'request to a witness',
      covers: ['proofs/add-checkpoint parseAddCheckpoint'],
      good,
      words: ['old ', 'old 0\n', '\n\n', `${toBase64(hash)}\n`, '— ', '\n— a AAAAAQI=\n'],
      refuses: coded(errors.NoteError, 'malformed_request'),
      read: (input) => {
        const read = addCheckpoint.parseAddCheckpoint(input);
        expectSame(utf8(addCheckpoint.formatAddCheckpoint(read)), input);
        expect(read.proof.length <= 63 && Number.isSafeInteger(read.oldSize), 'accepted out of range');
        const origin = addCheckpoint.claimedOrigin(read);
        expect(
          read.checkpoint.startsWith(`${origin}\n`) && !origin.includes('\n'),
          'an origin that is not its first line',
        );
      },
    }),
  ];
}

function rotationTargets({ errors, rotation, key, checkpoint, entry, leaf }: Modules, log: SignedLog): Target[] {
  const newSigner = key.ed25519Signer(ORIGIN, new Uint8Array(32).fill(8));
  const statement = rotation.signRotation({ treeSize: 1 }, log.signer, newSigner);
  const [size, leafIndex] = [5, 2];
  const entries = Array.from({ length: size }, (_, i) => ({
    event: utf8(
      i === leafIndex ? JSON.stringify({ action: rotation.ROTATION_ACTION, statement }) : JSON.stringify({ id: i }),
    ),
    header: leaf.encodeHeader(i === leafIndex ? { by: 'system', via: 'system' } : { by: '00', via: 'events' }),
    ...{ salt: new Uint8Array(32).fill(i + 1), leafIndex: i, receivedAt: 1_767_225_600_000_000 + i },
  }));
  const tree = new ReferenceTree(entries.map((each) => entry.entryLeaf(each, ORIGIN)));
  const head = (treeSize: number, signer: typeof newSigner): string =>
    checkpoint.signCheckpoint({ origin: ORIGIN, treeSize, rootHash: tree.root(treeSize) }, signer);
  const claim = {
    pinned: { key: log.key },
    statement,
    entry: entries[leafIndex] as (typeof entries)[number],
    inclusion: tree.path(leafIndex, 4).map((each) => asTreeHash(each)),
    head: head(4, log.signer),
    newHead: head(size, newSigner),
    consistency: tree.proof(4, size).map((each) => asTreeHash(each)),
  };
  const moved = rotation.verifyRotation(claim).text;
  const words = ['\n\n', '— ', ...statement.split('\n').filter((line) => line !== ''), log.stranger.verifierKey.text];
  return [
    bytesTarget({
      name: 'statement of key rotation',
      covers: ['proofs/rotation openRotation'],
      good: [utf8(statement)],
      words,
      cost: 2 * SIGNATURE,
      refuses: coded(errors.NoteError, ...ROTATION_CODES),
      read: (input) => {
        const read = rotation.openRotation(input, log.key);
        expectSame(statement, fromUtf8(input));
        expect(read.newKey.text === newSigner.verifierKey.text && read.treeSize === 1, 'says something else');
      },
    }),
    bytesTarget({
      name: 'evidence of a key rotation',
      covers: ['proofs/rotation verifyRotation'],
      // The input takes the place of one part of the evidence, often of one that it was not made for.
      good: [claim.statement, claim.head, claim.newHead].map(utf8).concat([claim.entry.event, claim.entry.header]),
      words: [...words, '"by":"system"', rotation.ROTATION_ACTION],
      beginnings: true,
      cost: 3 * SIGNATURE,
      refuses: (error) =>
        error instanceof errors.ProofError || coded(errors.NoteError, ...ROTATION_CODES, ...CHECKPOINT_CODES)(error),
      read: (input, random) => {
        const text = Buffer.from(input).toString('utf8');
        const change = pick<Partial<typeof claim>>(random, [
          { statement: text },
          { head: text },
          { newHead: text },
          { entry: { ...claim.entry, event: input } },
          { entry: { ...claim.entry, header: input } },
        ]);
        expectSame(rotation.verifyRotation({ ...claim, ...change }).text, moved);
        // Lines by others may stand under the two heads; nothing else may differ from what was signed and logged.
        const same =
          change.statement === statement ||
          change.head?.startsWith(claim.head.slice(0, claim.head.lastIndexOf('\n\n') + 2)) ||
          change.newHead?.startsWith(claim.newHead.slice(0, claim.newHead.lastIndexOf('\n\n') + 2)) ||
          (change.entry !== undefined &&
            [claim.entry.event, claim.entry.header].some((each) => Buffer.compare(each, input) === 0));
        expect(same === true, 'a pin moved for what nobody signed');
      },
    }),
  ];
}
