/**
 * Key rotation: the statement that a log goes on under another key, and what it takes to believe it.
 *
 * ```
 * indelible/key-rotation/v1
 * example.com/logs/main
 * example.com/logs/main+81907c50+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop
 * example.com/logs/main+086c4f23+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
 * 1000
 *
 * — example.com/logs/main …        by the old key
 * — example.com/logs/main …        by the new key
 * ```
 * Format, origin, old verifier key, new verifier key, tree size; then exactly these two signature lines. Such a text is no checkpoint
 * whatever the log is called: where a checkpoint has a root hash of 44 characters, this has a verifier key, which has 55 at least.
 *
 * A second signature line on a head never moves a pin, for anybody can put one there. Nor does an event, for whoever may append can
 * post any text: the statement counts inside an entry whose header, which the server writes, says `"by":"system"`.
 */
import { equalBytes, fromUtf8, parseDecimal } from '../tree/bytes.ts';
import type { TreeHash } from '../tree/hash.ts';
import { openCheckpoint } from './checkpoint.ts';
import { verifyConsistency } from './consistency.ts';
import { type EventEntry, verifyEntry } from './entry.ts';
import { NoteError } from './error.ts';
import { ALGORITHM_ED25519, type NoteSigner, parseVerifierKey, type VerifierKey, type Verify } from './key.ts';
import { checkEventText, parseHeader } from './leaf.ts';
import { formatSignatureLines, openNote, signNote } from './note.ts';
import type { Policy } from './policy.ts';
import { openWitnessed } from './witnessed.ts';

/** First line of a statement. */
export const ROTATION_FORMAT = 'indelible/key-rotation/v1';
/** `action` of the system event that holds a statement, as its text `statement`. */
export const ROTATION_ACTION = 'log.key_rotated';

/** What a statement of key rotation says. */
export interface Rotation {
  /** The log's, and the name of both keys. */
  readonly origin: string;
  readonly oldKey: VerifierKey;
  readonly newKey: VerifierKey;
  /** Size of the log's tree when the statement was made: what only the old key has signed until then. */
  readonly treeSize: number;
}

/** The text of a statement. Throws NoteError `malformed_rotation` where the fields do not go together. */
export function formatRotation({ origin, oldKey, newKey, treeSize }: Rotation): string {
  const text = `${ROTATION_FORMAT}\n${origin}\n${oldKey.text}\n${newKey.text}\n${treeSize}\n`;
  parseRotation(text);
  return text;
}

/**
 * The statement that a log of this tree size goes on under the key of the second signer, signed by both.
 * Throws NoteError `malformed_rotation`: the keys are equal, of different names, or not of plain Ed25519; or the size is none.
 */
export function signRotation(fields: Pick<Rotation, 'treeSize'>, oldSigner: NoteSigner, newSigner: NoteSigner): string {
  const oldKey = oldSigner.verifierKey;
  const newKey = newSigner.verifierKey;
  return signNote(formatRotation({ ...fields, origin: oldKey.name, oldKey, newKey }), [oldSigner, newSigner]);
}

/**
 * Reads a statement about this key, signed by it and by the key that it names. That moves no pin yet: `verifyRotation` does.
 * Throws NoteError: all that `openNote` throws, `malformed_rotation`, and `rotation_refused` where the statement is about another key.
 */
export function openRotation(note: string | Uint8Array, oldKey: VerifierKey, verify?: Verify): Rotation {
  // The name of the second key is known only from the text, and the text counts only once the first key has signed it.
  const rotation = parseRotation(openNote(note, [oldKey], verify).text);
  if (rotation.oldKey.text !== oldKey.text)
    throw refused(`the statement replaces the key ${rotation.oldKey.text}, and the pinned one is ${oldKey.text}`);
  const { text, signatures } = openNote(note, [oldKey, rotation.newKey], verify);
  const [first, second] = signatures;
  if (first?.keyId !== oldKey.keyId || second?.keyId !== rotation.newKey.keyId)
    throw new NoteError(
      'unknown_signer',
      'a statement of key rotation is signed by the old key and then by the new one',
    );
  // Lines by others, and second ones by the same key, are passed over in other notes. This one has one spelling.
  if (`${text}\n${formatSignatureLines(signatures)}` !== (typeof note === 'string' ? note : fromUtf8(note)))
    throw malformed('it has other lines than the two signatures');
  return rotation;
}

/** A log as a verifier knows it: its pinned key, and the policy for its heads if there is one. */
export interface PinnedLog {
  readonly key: VerifierKey;
  readonly policy?: Policy;
}

/** Everything that it takes to move a pin. */
export interface RotationClaim {
  /** The log whose key is replaced. */
  readonly pinned: PinnedLog;
  /** The statement, a signed note. */
  readonly statement: string;
  /** The entry that holds it. */
  readonly entry: EventEntry;
  /** That the entry is in the log that records it: under `head`, or under `recorder.head`. */
  readonly inclusion: readonly TreeHash[];
  /** A checkpoint of the log by the pinned key, a note; with the policy's quorum where there is a policy. */
  readonly head: string;
  /** A checkpoint of the log by the new key, of the size of `head` or a later one. */
  readonly newHead: string;
  /** From `head` to `newHead`. */
  readonly consistency: readonly TreeHash[];
  /**
   * Another log that records the rotation, with a checkpoint of it: for a raw log, which holds no system entries, the log `_system` of
   * the same server. It counts only as far as its key was pinned before, in the same way as the log's own; a client that has no pin of it
   * cannot follow the rotation of a raw log, and must be given the new key by hand. Give none for an events log: what is said about
   * one counts only in that log.
   */
  readonly recorder?: PinnedLog & { readonly head: string };
}

/**
 * Judges whether a pin moves, and returns the key to pin from now on. All of this must hold:
 *
 * 1. The statement is signed by the pinned key and by the new one, and is about this origin and these keys.
 * 2. The entry is by the server itself and holds exactly this statement, and it is included in a head by the pinned key of the log
 *    (or of the recorder), with the quorum.
 * 3. The statement's tree size is not above the size of the log's head, nor above the leaf index of the entry where the log records its
 *    own rotation: the server states the size that it has, and appends the entry after that. A larger one would be about entries
 *    that did not exist. (A recorder's leaf indexes count other entries; nothing is compared there.)
 * 4. The head by the new key is not smaller and is consistent with the one by the pinned key. Its quorum is not asked for, since a policy may list the
 *    log by its old key only; the next head that is accepted under the new pin must have it as always.
 *
 * A client that remembers a head must also see that `head` is consistent with that one, as with every head.
 * Throws NoteError: as `openRotation`, `openWitnessed` and `openCheckpoint` do, `rotation_refused`; ProofError: as `verifyEntry` and
 * `verifyConsistency` do.
 */
export function verifyRotation(claim: RotationClaim, verify?: Verify): VerifierKey {
  const { pinned, statement, entry, inclusion, consistency, recorder } = claim;
  const { newKey, treeSize } = openRotation(statement, pinned.key, verify);
  const head = openPinned(claim.head, pinned, verify);
  const recorded = recorder === undefined ? head : openPinned(recorder.head, recorder, verify);
  verifyEntry({ entry, checkpoint: recorded, proof: inclusion });
  checkRecord(entry, statement);
  if (treeSize > head.treeSize)
    throw refused(
      `the statement is about tree size ${treeSize}, and the head by the old key has only ${head.treeSize}`,
    );
  if (recorder === undefined && treeSize > entry.leafIndex)
    throw refused(`the statement is about tree size ${treeSize}, and its entry has the leaf index ${entry.leafIndex}`);
  const newHead = openCheckpoint(claim.newHead, newKey, verify);
  verifyConsistency({
    first: head.treeSize,
    second: newHead.treeSize,
    firstRoot: head.rootHash,
    secondRoot: newHead.rootHash,
    proof: consistency,
  });
  return newKey;
}

function openPinned(note: string, { key, policy }: PinnedLog, verify: Verify | undefined) {
  return policy === undefined ? openCheckpoint(note, key, verify) : openWitnessed(note, key, policy, verify);
}

/** The event of an entry that the server made to record a rotation holds the statement, byte for byte. */
function checkRecord({ header, event }: EventEntry, statement: string): void {
  const { by, via } = parseHeader(header);
  if (by !== 'system' || via !== 'system')
    throw refused(`the entry is by ${JSON.stringify(by)} via ${JSON.stringify(via)}, not by the server itself`);
  checkEventText(event);
  const members = JSON.parse(fromUtf8(event)) as Readonly<Record<string, unknown>>;
  if (members['action'] !== ROTATION_ACTION) throw refused(`the action of the event is not ${ROTATION_ACTION}`);
  if (members['statement'] !== statement) throw refused('the event holds another statement, or none');
}

/** The text of a statement in its one spelling; who signed it is another question. */
function parseRotation(text: string): Rotation {
  const [format, origin = '', oldText = '', newText = '', size = '', end, ...rest] = text.split('\n');
  if (format !== ROTATION_FORMAT || end !== '' || rest.length > 0)
    throw malformed(`it has five lines, the first of them ${ROTATION_FORMAT}`);
  let rotation: Rotation;
  try {
    rotation = {
      origin,
      oldKey: parseVerifierKey(oldText),
      newKey: parseVerifierKey(newText),
      treeSize: parseDecimal(size),
    };
  } catch (cause) {
    throw malformed((cause as Error).message, cause);
  }
  const { oldKey, newKey } = rotation;
  if (oldKey.name !== origin || newKey.name !== origin)
    throw malformed(`the keys are of ${oldKey.name} and ${newKey.name}, and the origin is ${JSON.stringify(origin)}`);
  if (oldKey.algorithm !== ALGORITHM_ED25519 || newKey.algorithm !== ALGORITHM_ED25519)
    throw malformed('the keys of a log are of plain Ed25519 (0x01)');
  if (equalBytes(oldKey.publicKey, newKey.publicKey)) throw malformed('the new key is the old one');
  return rotation;
}

function malformed(reason: string, cause?: unknown): NoteError {
  return new NoteError('malformed_rotation', `this is not a statement of key rotation: ${reason}`, { cause });
}

function refused(reason: string): NoteError {
  return new NoteError('rotation_refused', `the pinned key stays: ${reason}`);
}
