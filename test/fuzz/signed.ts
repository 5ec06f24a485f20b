/** A small log whose every promise is at hand: keys, notes, proofs and entries that the fuzzers alter. All of it is the same in every run. */
import { toBase64, u64, utf8 } from '../../tree/bytes.ts';
import { asTreeHash, type TreeHash } from '../../tree/hash.ts';
import { ReferenceTree } from '../support/reference-tree.ts';
import type { Modules } from './build-modules.ts';

export const ORIGIN = 'example.com/logs/main';
const ENTRIES = 70;

/** An entry as its submitter and the server know it. */
export interface Entry {
  readonly event: Uint8Array;
  readonly header: Uint8Array;
  readonly salt: Uint8Array;
  readonly leafIndex: number;
  readonly receivedAt: number;
  readonly leaf: Uint8Array;
  readonly leafHash: Uint8Array;
}

export type SignedLog = ReturnType<typeof makeSignedLog>;

export function makeSignedLog({
  bytes,
  key,
  note,
  checkpoint,
  cosignature,
  ed25519,
  leaf,
  entry,
  inclusion,
  hash,
}: Modules) {
  const seed = new Uint8Array(32).fill(1);
  const witnessSeed = new Uint8Array(32).fill(2);
  const signer = key.ed25519Signer(ORIGIN, seed);
  const witnessKey = key.makeVerifierKey(
    'witness.example',
    ed25519.publicKeyOf(witnessSeed),
    key.ALGORITHM_COSIGNATURE,
  );
  const witness = {
    verifierKey: witnessKey,
    sign: (message: Uint8Array) =>
      bytes.concatBytes(
        u64(1_700_000_000),
        ed25519.sign(cosignature.cosignatureMessage(1_700_000_000, message), witnessSeed),
      ),
  };
  const stranger = key.ed25519Signer('stranger.example/one', new Uint8Array(32).fill(3));
  const entries = Array.from({ length: ENTRIES }, (_, leafIndex): Entry => {
    const event = utf8(`{"id":"e-${leafIndex}","actor": "Zoë","list":[${leafIndex},null]}`);
    const header = leaf.encodeHeader({
      by: '0123456789abcdef',
      via: 'events',
      ...(leafIndex % 2 ? { id_pointer: '/id' } : {}),
    });
    const stated = {
      event,
      header,
      salt: new Uint8Array(32).fill(leafIndex + 1),
      leafIndex,
      receivedAt: 1_767_225_600_000_000 + leafIndex,
    };
    const made = entry.entryLeaf(stated, ORIGIN);
    return { ...stated, leaf: made, leafHash: hash.leafHash(made) };
  });
  const tree = new ReferenceTree(entries.map((each) => each.leaf));
  const text = (treeSize: number): string =>
    checkpoint.formatCheckpoint({ origin: ORIGIN, treeSize, rootHash: tree.root(treeSize) });
  const proofOf = (leafIndex: number, treeSize: number): TreeHash[] =>
    inclusion.proveInclusion({ leafIndex, treeSize }, tree.node);
  const notes = {
    /** By the log alone. */
    plain: note.signNote(text(7), [signer]),
    /** By the log and a witness. */
    cosigned: note.signNote(text(ENTRIES), [signer, witness]),
    /** By a stranger first, then the log. */
    crowded: note.signNote(text(13), [stranger, signer]),
    /** With an extension line that is signed. */
    extended: note.signNote(`${text(1)}extension line\n`, [signer]),
    empty: note.signNote(text(0), [signer]),
  };
  const eventReply = (leafIndex: number, treeSize: number, signed: string): string => {
    const { event, header, salt, receivedAt, leaf: stored, leafHash } = entries[leafIndex] as Entry;
    const members = {
      leaf_index: leafIndex,
      received_at: new Date(Math.floor(receivedAt / 1000))
        .toISOString()
        .replace('Z', `${String(receivedAt % 1000).padStart(3, '0')}Z`),
      event: JSON.parse(bytes.fromUtf8(event)),
      event_base64: toBase64(event),
      header_base64: toBase64(header),
      salt: toBase64(salt),
      leaf: toBase64(stored),
      leaf_hash: toBase64(leafHash),
      tree_size: treeSize,
      proof: proofOf(leafIndex, treeSize).map(toBase64),
      checkpoint: signed,
    };
    return JSON.stringify(members);
  };
  return {
    ...{ signer, witness, witnessKey, stranger, entries, tree, notes, proofOf, eventReply },
    key: signer.verifierKey,
    signerText: `PRIVATE+KEY+${ORIGIN}+${key.formatKeyId(signer.verifierKey.keyId)}+${toBase64(bytes.concatBytes(Uint8Array.of(1), seed))}`,
    size: ENTRIES,
    /** The newest head, opened. */
    opened: checkpoint.openCheckpoint(notes.cosigned, signer.verifierKey),
    /** Hashes of the reference again, for a size that is a sum of these powers of two. */
    frontier: (treeSize: number): TreeHash[] => {
      const hashes: TreeHash[] = [];
      for (let begin = 0, power = 2 ** 40; power >= 1; power /= 2)
        if (begin + power <= treeSize) {
          hashes.push(asTreeHash(tree.hash(begin, begin + power)));
          begin += power;
        }
      return hashes;
    },
    /** A tree in which every leaf says its number: hashes of the reference, not of the code under test. */
    rootAt: (treeSize: number) => asTreeHash(tree.hash(0, treeSize)),
  };
}
