/** Cases for judge.js: evidence of a real log, and everything that may be wrong with it, with the exact verdict where one is told. */
import { createHash } from 'node:crypto';
import { Point, utils } from '@noble/ed25519';
import { formatCheckpoint, signCheckpoint } from '../../proofs/checkpoint.ts';
import { publicKeyOf, sign } from '../../proofs/ed25519.ts';
import { ed25519Signer } from '../../proofs/note.ts';
import { concatBytes, fromBase64, fromHex, fromUtf8, toBase64, toHex, utf8 } from '../../tree/bytes.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { flipped } from '../proofs/error-code.ts';
import {
  L,
  littleEndian,
  opensslAccepts,
  P,
  SMALL_ORDER_POINTS,
  signWith,
  TORSION,
} from '../support/odd-signatures.ts';

/** Go takes it, and so does OpenSSL up to Node 22. */
const NEUTRAL = 'R is the neutral point';

export type Case = Readonly<Record<string, unknown>> & { readonly kind: string };

/** A case, and what must come out: a whole verdict, or the beginning of one. */
export type Expected = readonly [name: string, verdict: string, each: Case];

/** The members of a saved reply that are altered here. */
export interface Reply {
  readonly leaf_index: number;
  readonly received_at: string;
  readonly event_base64: string;
  readonly header_base64: string;
  readonly salt: string;
  readonly leaf: string;
  readonly leaf_hash: string;
  readonly tree_size: number;
  readonly proof: readonly string[];
  readonly checkpoint: string;
}

const BYTES = ['event_base64', 'header_base64', 'salt', 'leaf', 'leaf_hash'] as const;

function caseOf(reply: unknown, vkey: string): Case {
  const bytes = reply instanceof Uint8Array ? reply : utf8(typeof reply === 'string' ? reply : JSON.stringify(reply));
  return { kind: 'reply', reply: toBase64(bytes), vkey };
}

function edited(text: string, change: (bytes: Uint8Array) => Uint8Array): string {
  return toBase64(change(fromBase64(text)));
}

const flip = (bit: number) => (bytes: Uint8Array) => flipped(bytes, bit);

/** A saved reply as it came, and with one thing wrong. `other` is of another leaf index under the same head, `older` under an older one. */
export function replyCases(
  text: string,
  { vkey, other, older }: { readonly vkey: string; readonly other: Reply; readonly older: Reply },
): Expected[] {
  const reply = JSON.parse(text) as Reply;
  const { proof, checkpoint } = reply;
  const seed = new Uint8Array(32).fill(9);
  const stranger = ed25519Signer(vkey.split('+')[0] as string, seed);
  const head = { origin: stranger.verifierKey.name, treeSize: reply.tree_size, rootHash: rootOf(checkpoint) };
  const signatureAt = checkpoint.lastIndexOf(' ') + 1;
  const signature = checkpoint.slice(signatureAt, -1);
  const resigned = (change: (blob: Uint8Array) => Uint8Array) =>
    `${checkpoint.slice(0, signatureAt)}${edited(signature, change)}\n`;
  const changed = (change: Partial<Record<keyof Reply, unknown>>) => caseOf({ ...reply, ...change }, vkey);
  return [
    ['as it came', 'accepted', caseOf(text, vkey)],
    ['the event in other words for people', 'accepted', caseOf({ ...reply, event: { forged: true } }, vkey)],
    [
      'a letter of the event',
      'ProofError commitment_mismatch',
      changed({ event_base64: replaced(reply, '"id"', '"ID"') }),
    ],
    ['the brace of the event', 'ProofError bad_event', changed({ event_base64: edited(reply.event_base64, flip(0)) })],
    [
      'a space before the event',
      'ProofError bad_event',
      changed({ event_base64: edited(reply.event_base64, (b) => concatBytes(utf8(' '), b)) }),
    ],
    ['an event that is an array', 'ProofError bad_event', changed({ event_base64: toBase64(utf8('[1]')) })],
    [
      'an event that is not UTF-8',
      'ProofError bad_event',
      changed({ event_base64: toBase64(concatBytes(utf8('{"'), Uint8Array.of(0xff), utf8('":1}'))) }),
    ],
    ['the event of another entry', 'ProofError commitment_mismatch', changed({ event_base64: other.event_base64 })],
    [
      'the key in the header',
      'ProofError commitment_mismatch',
      changed({ header_base64: edited(reply.header_base64, flip(8 * 8)) }),
    ],
    [
      'a header that is no object',
      'ProofError bad_header',
      changed({ header_base64: edited(reply.header_base64, flip(0)) }),
    ],
    [
      'a header of 1,025 bytes',
      'ProofError bad_header',
      changed({ header_base64: toBase64(utf8(`{"a":"${'x'.repeat(1017)}"}`)) }),
    ],
    ['a bit of the salt', 'ProofError commitment_mismatch', changed({ salt: edited(reply.salt, flip(100)) })],
    ['a salt of 31 bytes', 'ProofError bad_salt', changed({ salt: edited(reply.salt, (b) => b.slice(1)) })],
    ['the form of the leaf', 'ProofError bad_leaf', changed({ leaf: edited(reply.leaf, flip(1)) })],
    ['the time in the leaf', 'ProofError received_at_mismatch', changed({ leaf: edited(reply.leaf, flip(8 * 8)) })],
    [
      'the commitment in the leaf',
      'ProofError commitment_mismatch',
      changed({ leaf: edited(reply.leaf, flip(8 * 40)) }),
    ],
    ['a leaf of 40 bytes', 'ProofError bad_leaf', changed({ leaf: edited(reply.leaf, (b) => b.slice(1)) })],
    [
      'a bit of the leaf hash',
      'ProofError leaf_hash_mismatch',
      changed({ leaf_hash: edited(reply.leaf_hash, flip(255)) }),
    ],
    ['another time', 'ProofError received_at_mismatch', changed({ received_at: '2026-01-02T03:04:05.000006Z' })],
    [
      'a time with five decimals',
      'ClientError bad_reply',
      changed({ received_at: reply.received_at.replace(/.Z$/, 'Z') }),
    ],
    ['30 February', 'ClientError bad_reply', changed({ received_at: '2026-02-30T03:04:05.000006Z' })],
    ['another leaf index', 'ProofError root_mismatch', changed({ leaf_index: other.leaf_index })],
    ['a leaf index beyond the tree', 'ProofError index_out_of_range', changed({ leaf_index: reply.tree_size })],
    ['half a leaf index', 'ClientError bad_reply', changed({ leaf_index: 0.5 })],
    [
      'a leaf index above 2^53 - 1',
      'ClientError bad_reply',
      caseOf(text.replace(/"leaf_index":\d+/, '"leaf_index":9007199254740992'), vkey),
    ],
    [
      'a bit of the proof',
      'ProofError root_mismatch',
      changed({ proof: [edited(proof[0] as string, flip(3)), ...proof.slice(1)] }),
    ],
    ['the proof in another order', 'ProofError root_mismatch', changed({ proof: [...proof].reverse() })],
    ['the proof of another entry', 'ProofError root_mismatch', changed({ proof: other.proof })],
    ['a hash less', 'ProofError bad_proof_length', changed({ proof: proof.slice(1) })],
    ['a hash more', 'ProofError bad_proof_length', changed({ proof: [...proof, proof[0]] })],
    [
      'a hash of 31 bytes',
      'ClientError bad_reply',
      changed({ proof: [edited(proof[0] as string, (b) => b.slice(1)), ...proof.slice(1)] }),
    ],
    ['another tree size', 'ClientError bad_reply', changed({ tree_size: reply.tree_size + 1 })],
    [
      'an older head',
      'ProofError index_out_of_range',
      changed({ tree_size: older.tree_size, checkpoint: older.checkpoint }),
    ],
    [
      'the root hash in the checkpoint',
      'NoteError invalid_signature',
      changed({ checkpoint: checkpoint.replace(/\n[A-Za-z0-9+/]/, '\n+') }),
    ],
    [
      'the size in the checkpoint',
      'NoteError invalid_signature',
      changed({
        tree_size: reply.tree_size + 1,
        checkpoint: checkpoint.replace(`\n${reply.tree_size}\n`, `\n${reply.tree_size + 1}\n`),
      }),
    ],
    ['a bit of R', 'NoteError invalid_signature', changed({ checkpoint: resigned(flip(8 * 4)) })],
    ['a bit of S', 'NoteError invalid_signature', changed({ checkpoint: resigned(flip(8 * 40)) })],
    ['the key ID of the signature', 'NoteError unknown_signer', changed({ checkpoint: resigned(flip(0)) })],
    ['S plus L', 'NoteError invalid_signature', changed({ checkpoint: resigned(plusL) })],
    [
      'a signature of 63 bytes',
      'NoteError invalid_signature',
      changed({ checkpoint: resigned((b) => b.slice(0, -1)) }),
    ],
    [
      'no signature',
      'NoteError malformed_note',
      changed({ checkpoint: checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1) }),
    ],
    ['CRLF', 'NoteError malformed_note', changed({ checkpoint: checkpoint.replaceAll('\n', '\r\n') })],
    ['a hyphen for the dash', 'NoteError malformed_note', changed({ checkpoint: checkpoint.replace('— ', '- ') })],
    [
      'signed by another key of this name',
      'NoteError unknown_signer',
      changed({ checkpoint: signCheckpoint(head, stranger) }),
    ],
    ['the key of somebody else', 'NoteError unknown_signer', caseOf(text, stranger.verifierKey.text)],
    ['a key with another ID', 'NoteError key_id_mismatch', caseOf(text, vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+'))],
    ['no key', 'NoteError malformed_key', caseOf(text, '')],
    ['base64 without padding', 'ClientError bad_reply', changed({ salt: reply.salt.replace('=', '') })],
    ['base64 of the url alphabet', 'ClientError bad_reply', changed({ salt: `-${reply.salt.slice(1)}` })],
    ['base64 with spare bits', 'ClientError bad_reply', changed({ salt: spareBits(reply.salt) })],
    ['a missing member', 'ClientError bad_reply', changed({ salt: undefined })],
    ['cut off', 'ClientError bad_reply', caseOf(text.slice(0, -2), vkey)],
    [
      'not UTF-8',
      'ClientError bad_reply',
      caseOf(concatBytes(utf8(text.slice(0, 5)), Uint8Array.of(0xc0, 0x80), utf8(text.slice(5))), vkey),
    ],
    ['an empty list', 'ClientError bad_reply', caseOf('[]', vkey)],
    ['nothing', 'ClientError bad_reply', caseOf('', vkey)],
  ];
}

/** One bit of every byte of a reply's parts, its proof and its checkpoint: none may be taken. */
export function flippedReplies(reply: Reply, vkey: string): Case[] {
  const cases: Case[] = [];
  let bit = 0;
  const each = (text: string, put: (text: string) => Partial<Reply>): void => {
    const bytes = fromBase64(text);
    for (let at = 0; at < bytes.length; at++, bit += 3)
      cases.push(caseOf({ ...reply, ...put(toBase64(flipped(bytes, 8 * at + (bit % 8)))) }, vkey));
  };
  for (const name of BYTES) each(reply[name], (text) => ({ [name]: text }));
  for (const [i, hash] of reply.proof.entries()) each(hash, (text) => ({ proof: reply.proof.with(i, text) }));
  const note = utf8(reply.checkpoint);
  for (let at = 0; at < note.length; at++, bit += 3) {
    const bytes = flipped(note, 8 * at + (bit % 8));
    cases.push({ kind: 'checkpoint', note: toBase64(bytes), vkey });
  }
  return cases;
}

/** Signatures and keys on which libraries differ, with the verdict of OpenSSL where the key is one at all. */
export function oddSignatures(): Expected[] {
  const seed = Uint8Array.from({ length: 32 }, (_, i) => i);
  const { scalar } = utils.getExtendedPublicKey(seed);
  const publicKey = publicKeyOf(seed);
  const mixed = Point.BASE.multiply(scalar).add(TORSION).toBytes();
  const text = utf8(formatCheckpoint({ origin: 'odd.example/log', treeSize: 1, rootHash: asTreeHash(seed) }));
  const s = (signature: Uint8Array) => BigInt(`0x${toHex(signature.slice(32).reverse())}`);
  const good = sign(text, seed);
  const withS = (value: bigint) => concatBytes(good.slice(0, 32), littleEndian(value));
  const signed: [name: string, key: Uint8Array, signature: Uint8Array, text?: Uint8Array][] = [
    ['good', publicKey, good],
    [NEUTRAL, publicKey, signWith({ r: 0n, scalar, publicKey, text })],
    ['R is not canonical', publicKey, signWith({ r: 0n, scalar, publicKey, text, spellR: littleEndian(1n + P) })],
    ['S is S + L', publicKey, withS(s(good) + L)],
    ['S is L', publicKey, withS(L)],
    ['S is 0', publicKey, withS(0n)],
    ['S is the largest', publicKey, withS(2n ** 256n - 1n)],
    ['all zero', publicKey, new Uint8Array(64)],
  ];
  for (const [i, addToR] of SMALL_ORDER_POINTS.slice(1).entries())
    signed.push([`R plus torsion ${i + 1}`, publicKey, signWith({ r: 987654321n, scalar, publicKey, text, addToR })]);
  // The key has a part of small order: one message in eight verifies without the cofactor.
  for (let size = 1; size <= 24; size++) {
    const other = utf8(formatCheckpoint({ origin: 'odd.example/log', treeSize: size, rootHash: asTreeHash(seed) }));
    signed.push([
      `a key with torsion, ${size}`,
      mixed,
      signWith({ r: 1234567n, scalar, publicKey: mixed, text: other }),
      other,
    ]);
  }
  for (let bit = 0; bit < 512; bit += 31) signed.push([`bit ${bit}`, publicKey, flipped(good, bit)]);
  const cases = signed.map(
    ([name, key, signature, said = text]): Expected => [
      name,
      opensslAccepts(signature, said, key) || name === NEUTRAL ? 'accepted' : 'NoteError invalid_signature',
      {
        kind: 'checkpoint',
        note: toBase64(noteOf(said, key, signature)),
        vkey: keyText(key),
        // For whoever judges signatures alone.
        publicKey: toBase64(key),
        message: toBase64(said),
        signature: toBase64(signature),
      },
    ],
  );
  const bad: [string, Uint8Array][] = [
    ...SMALL_ORDER_POINTS.map((point, i): [string, Uint8Array] => [`a key of small order ${i}`, point.toBytes()]),
    ['y = p', littleEndian(P)],
    ['y = p + 1', littleEndian(P + 1n)],
    ['y = 2^255 - 1', littleEndian(2n ** 255n - 1n)],
    ['x = 0 with a sign', littleEndian(1n + 2n ** 255n)],
    ['no point', littleEndian(2n)],
  ];
  for (const [name, key] of bad) cases.push([name, 'NoteError bad_public_key', { kind: 'key', vkey: keyText(key) }]);
  return cases;
}

const ODD_NAME = 'odd.example/log';

function keyId(key: Uint8Array): Uint8Array {
  const digest = createHash('sha256').update(`${ODD_NAME}\n`).update(Uint8Array.of(1)).update(key).digest();
  return new Uint8Array(digest.subarray(0, 4));
}

/** A verifier key as text, its public key not judged. */
function keyText(key: Uint8Array): string {
  return `${ODD_NAME}+${toHex(keyId(key))}+${toBase64(concatBytes(Uint8Array.of(1), key))}`;
}

function noteOf(text: Uint8Array, key: Uint8Array, signature: Uint8Array): Uint8Array {
  return utf8(`${fromUtf8(text)}\n— ${ODD_NAME} ${toBase64(concatBytes(keyId(key), signature))}\n`);
}

function rootOf(checkpoint: string): ReturnType<typeof asTreeHash> {
  return asTreeHash(fromBase64(checkpoint.split('\n')[2] as string));
}

function replaced({ event_base64 }: Reply, from: string, to: string): string {
  return toBase64(utf8(fromUtf8(fromBase64(event_base64)).replace(from, to)));
}

/** 4 bytes of key ID, 32 of R, then S, which is made larger by the order of the group. */
function plusL(blob: Uint8Array): Uint8Array {
  const s = BigInt(`0x${toHex(blob.slice(36).reverse())}`) + L;
  return concatBytes(blob.slice(0, 36), fromHex(s.toString(16).padStart(64, '0')).reverse());
}

/** The same bytes with unused bits that are not zero; 32 bytes end in one letter and `=`. */
function spareBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const last = text.at(-2) as string;
  return `${text.slice(0, -2)}${alphabet[alphabet.indexOf(last) + 1]}=`;
}
