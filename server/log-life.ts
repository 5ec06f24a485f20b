/**
 * What happens to a log after its creation: settings, freezing, deletion. Each is one commit with the system event that says so: in
 * `_system`, and for what changes the promises of an events log in that log too (docs/design.md, The end of a log).
 */
import { formatMicros } from '../proofs/time.ts';
import { toBase64 } from '../tree/bytes.ts';
import type { Transaction } from './committer.ts';
import { appendSystemEvent, type SystemEvent } from './entry.ts';
import { ServerError } from './errors.ts';
import { type Log, type LogDefinition, SYSTEM_LOG } from './log.ts';
import { withheldKey } from './storage/keys.ts';

export type LogSettings = Pick<LogDefinition, 'publicReads' | 'idPointer'>;

/** What a change works on: the transaction, the log `_system`, who asked for it, and the time in microseconds. */
export interface Change {
  readonly transaction: Transaction;
  readonly system: Log;
  readonly by: string;
  readonly now: number;
}

/** Changes settings; none of them is part of what was signed. Throws ServerError `forbidden`, `log_deleted`. */
export function changeSettings(change: Change, log: Log, wanted: Partial<LogSettings>): void {
  const definition = definitionOf(change, log);
  const after = { ...definition, ...wanted };
  if (after.publicReads === definition.publicReads && after.idPointer === definition.idPointer) return;
  const { by } = change;
  record(change, log, {
    action: 'log.settings_changed',
    by,
    log: log.name,
    before: describe(definition),
    after: describe(after),
  });
  change.transaction.redefine(log, after);
}

/**
 * Freezes a log: what is in it is all that will ever be. The event that says so is the last entry of an events log. A frozen log
 * stays as it is. Throws ServerError `forbidden`, `log_deleted`.
 */
export function freezeLog(change: Change, log: Log): void {
  const definition = definitionOf(change, log);
  if (definition.status === 'frozen') return;
  const { transaction, by, now } = change;
  const last = log.definition.kind === 'events' ? 1 : 0;
  record(change, log, { action: 'log.frozen', by, log: log.name, tree_size: transaction.treeSize(log) + last });
  transaction.redefine(log, { ...definition, status: 'frozen', frozenAt: formatMicros(now) });
}

/**
 * Deletes a frozen log: from here on there is only a tombstone, which keeps name, origin, edge and heads, so that neither name nor
 * origin is used again and nobody can say that something else was signed. The rows are removed by the sweeper.
 * Throws ServerError `forbidden`, `log_not_frozen`, `log_deleted`.
 */
export function deleteLog(change: Change, log: Log): void {
  const definition = definitionOf(change, log);
  // As committed: a freeze in this very group has no signed head yet.
  if (log.definition.status !== 'frozen')
    throw new ServerError('log_not_frozen', 'freeze the log first: its last signed head is what remains of it');
  if (log.published.treeSize !== log.state.treeSize)
    throw new ServerError('log_not_frozen', 'the last head of this log is not signed yet; ask again in a moment');
  const { transaction, system, by, now } = change;
  const { kind, origin, verifierKey } = definition;
  const { treeSize, rootHash } = log.published;
  appendSystemEvent(
    transaction,
    system,
    {
      action: 'log.deleted',
      by,
      log: log.name,
      kind,
      origin,
      verifier_key: verifierKey,
      tree_size: treeSize,
      root_hash: toBase64(rootHash),
    },
    now,
  );
  // A later signature of the same head may be under way to the witnesses.
  transaction.delete(withheldKey(log.name));
  transaction.whenDone(() => {
    log.withheld = undefined;
    log.resign = false;
  });
  transaction.redefine(log, { ...definition, status: 'deleted', deletedAt: formatMicros(now) });
}

function definitionOf(change: Change, log: Log): LogDefinition {
  if (log.name === SYSTEM_LOG) throw new ServerError('forbidden', 'the log of the server itself stays as it is');
  return existingDefinition(change, log);
}

/** The definition of a log, as this change finds it. Throws ServerError `log_deleted`. */
export function existingDefinition({ transaction }: Change, log: Log): LogDefinition {
  const definition = transaction.definitionOf(log);
  if (definition.status === 'deleted')
    throw new ServerError('log_deleted', `this log was deleted at ${definition.deletedAt}`);
  return definition;
}

/** Records what was done to a log: in `_system`, and as its newest entry in an events log that is active. */
export function record({ transaction, system, now }: Change, log: Log, event: SystemEvent): void {
  appendSystemEvent(transaction, system, event, now);
  const { kind, status } = transaction.definitionOf(log);
  if (kind === 'events' && status === 'active' && log !== system) appendSystemEvent(transaction, log, event, now);
}

function describe({ publicReads, idPointer }: LogSettings): Record<string, unknown> {
  return { public_reads: publicReads, id_pointer: idPointer };
}
