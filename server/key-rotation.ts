/**
 * Key rotation of a log: begun, both keys sign every head; ended, the new one alone. What makes a client follow is a statement signed by both
 * keys inside an entry of the server itself, proven under a head by the key that the client has pinned (proofs/rotation.ts).
 */
import { ROTATION_ACTION, signRotation } from '../proofs/rotation.ts';
import { formatMicros } from '../proofs/time.ts';
import { ServerError } from './errors.ts';
import type { Log, LogDefinition } from './log.ts';
import { type KeyRotation, runningOf } from './log-keys.ts';
import { type Change, existingDefinition, record } from './log-life.ts';
import { headSignedBy } from './own-signatures.ts';

/** The event that says that the old key has stopped signing. */
const ENDED_ACTION = 'log.key_rotation_ended';

/**
 * Begins a rotation. The entry stands in the log itself, and of a raw log, which holds none of the server's, in `_system`.
 * Throws ServerError `log_deleted`, `log_frozen`, `rotation_running`.
 */
export function rotateKey(change: Change, log: Log): void {
  const { transaction, system, by, now } = change;
  const definition = activeDefinition(change, log);
  const { origin, name, rotations, signEpoch } = definition;
  if (runningOf(definition) !== undefined)
    throw new ServerError('rotation_running', 'a rotation of this key runs already; end it before another begins');
  const epoch = rotations.length + 1;
  // By the definition: the end of the rotation before may be part of this very commit.
  const signer = log.signerOf(signEpoch);
  const next = log.signerOf(epoch);
  const treeSize = transaction.treeSize(log);
  const statement = signRotation({ treeSize }, signer, next);
  const recorder = definition.kind === 'events' ? log : system;
  const leafIndex = transaction.treeSize(recorder);
  record(change, log, {
    action: ROTATION_ACTION,
    by,
    log: name,
    origin,
    old_verifier_key: signer.verifierKey.text,
    new_verifier_key: next.verifierKey.text,
    tree_size: treeSize,
    statement,
  });
  const rotation: KeyRotation = {
    epoch,
    verifierKey: next.verifierKey.text,
    treeSize,
    statement,
    recordedIn: recorder.name,
    leafIndex,
    startedAt: formatMicros(now),
    endedAt: null,
    head: null,
  };
  transaction.redefine(log, { ...definition, rotations: [...rotations, rotation] });
  transaction.whenDone(() => {
    log.resign = true;
  });
}

/**
 * Ends a rotation: `verifier_key` is the new one from here on. The last head by both keys is kept, for clients that come later.
 * Throws ServerError `log_deleted`, `no_rotation`, and `rotation_not_signed` while no shown head proves the entry under both keys.
 */
export function endRotation(change: Change, log: Log, logNamed: (name: string) => Log | undefined): void {
  const { transaction, by, now } = change;
  const definition = activeDefinition(change, log);
  const rotation = runningOf(definition);
  if (rotation === undefined) throw new ServerError('no_rotation', 'no rotation of this key runs');
  const recorder = logNamed(rotation.recordedIn);
  const { next } = log.keys;
  const recorded = recorder !== undefined && recorder.published.treeSize > rotation.leafIndex;
  // A head by both keys that is under way would be shown after the one that is kept, and whoever saw it could not follow.
  const underWay = log.signing || log.withheld !== undefined;
  const byBoth = next !== undefined && headSignedBy(log.published.checkpoint, next.verifierKey) !== undefined;
  if (!recorded || underWay || !byBoth) {
    throw new ServerError(
      'rotation_not_signed',
      'no head that is shown has been signed by both keys and covers the entry of the rotation; ask again in a moment',
    );
  }
  const ended = { ...rotation, endedAt: formatMicros(now), head: log.published.checkpoint };
  record(change, log, { action: ENDED_ACTION, by, log: log.name, verifier_key: rotation.verifierKey });
  transaction.redefine(log, {
    ...definition,
    verifierKey: rotation.verifierKey,
    signEpoch: rotation.epoch,
    rotations: [...definition.rotations.slice(0, -1), ended],
  });
  transaction.whenDone(() => {
    log.resign = true;
    // Its RFC 6962 signature is by the old key, and `verifier_key` is another one now.
    log.published = { ...log.published, signature: undefined };
  });
}

function activeDefinition(change: Change, log: Log): LogDefinition {
  const definition = existingDefinition(change, log);
  if (definition.status === 'frozen')
    throw new ServerError('log_frozen', `this log was frozen at ${definition.frozenAt}: it signs nothing more`);
  return definition;
}
