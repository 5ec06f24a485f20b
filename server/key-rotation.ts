/**
 * Key rotation of a log: begun, both keys sign every head; ended, the new one alone. What makes a client follow is a statement signed by both
 * keys inside an entry of the server itself, proven under a head by the key that the client has pinned (proofs/rotation.ts).
 */
import { openCheckpoint } from '../proofs/checkpoint.ts';
import { ROTATION_ACTION, signRotation } from '../proofs/rotation.ts';
import { formatMicros } from '../proofs/time.ts';
import { appendSystemEvent, type SystemEvent } from './entry.ts';
import { ServerError } from './errors.ts';
import type { Log, LogDefinition } from './log.ts';
import type { KeyRotation } from './log-keys.ts';
import type { Change } from './log-life.ts';

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
  const epoch = Math.max(signEpoch, ...rotations.map((rotation) => rotation.epoch)) + 1;
  const next = log.signerOf(epoch);
  const treeSize = transaction.treeSize(log);
  const statement = signRotation({ treeSize }, log.signer, next);
  const event: SystemEvent = {
    action: ROTATION_ACTION,
    by,
    log: name,
    origin,
    old_verifier_key: log.signer.verifierKey.text,
    new_verifier_key: next.verifierKey.text,
    tree_size: treeSize,
    statement,
  };
  const recorder = definition.kind === 'events' ? log : system;
  if (recorder !== system) appendSystemEvent(transaction, system, event, now);
  const leafIndex = transaction.treeSize(recorder);
  appendSystemEvent(transaction, recorder, event, now);
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
  const { transaction, system, by, now } = change;
  const definition = activeDefinition(change, log);
  const rotation = runningOf(definition);
  if (rotation === undefined) throw new ServerError('no_rotation', 'no rotation of this key runs');
  const recorder = logNamed(rotation.recordedIn);
  const { next } = log.keys;
  const recorded = recorder !== undefined && recorder.published.treeSize > rotation.leafIndex;
  // A head by both keys that is under way would be shown after the one that is kept, and whoever saw it could not follow.
  const underWay = log.signing || log.withheld !== undefined;
  if (!recorded || underWay || next === undefined || !isSignedBy(log, next.verifierKey)) {
    throw new ServerError(
      'rotation_not_signed',
      'no head that is shown has been signed by both keys and covers the entry of the rotation; ask again in a moment',
    );
  }
  const ended = { ...rotation, endedAt: formatMicros(now), head: log.published.checkpoint };
  const event: SystemEvent = { action: ENDED_ACTION, by, log: log.name, verifier_key: rotation.verifierKey };
  appendSystemEvent(transaction, system, event, now);
  if (definition.kind === 'events' && log !== system) appendSystemEvent(transaction, log, event, now);
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

/** The rotation of a log that has begun and not ended. */
export function runningOf({ rotations }: LogDefinition): KeyRotation | undefined {
  const last = rotations.at(-1);
  return last?.endedAt === null ? last : undefined;
}

function isSignedBy({ published }: Log, key: Parameters<typeof openCheckpoint>[1]): boolean {
  try {
    openCheckpoint(published.checkpoint, key);
    return true;
  } catch {
    return false;
  }
}

function activeDefinition({ transaction }: Change, log: Log): LogDefinition {
  const definition = transaction.definitionOf(log);
  const { status, deletedAt, frozenAt } = definition;
  if (status === 'deleted') throw new ServerError('log_deleted', `this log was deleted at ${deletedAt}`);
  if (status === 'frozen')
    throw new ServerError('log_frozen', `this log was frozen at ${frozenAt}: it signs nothing more`);
  return definition;
}
