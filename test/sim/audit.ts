/** Everything that was ever promised, against what a server has now: after each start, and at the end of a history. */
import type { Log } from '../../server/log.ts';
import type { LogServer } from '../../server/log-server.ts';
import { equalBytes } from '../../tree/bytes.ts';
import type { LogView, Oracle } from './oracle.ts';

/** Logs and keys that must be there, or must not. */
export function auditNames(oracle: Oracle, server: LogServer): void {
  for (const { name } of oracle.logs.values())
    if (server.log(name) === undefined) oracle.violate(`log ${name} is gone`);
  for (const { id, text, revoked } of oracle.keys) {
    const holds = server.apiKeys.authenticate(`Bearer ${text}`) !== undefined;
    if (holds && revoked === 'made') oracle.violate(`the API key ${id} was revoked, and holds`);
    if (!holds && revoked === 'no') oracle.violate(`the API key ${id} is gone`);
  }
}

/**
 * One log: all of its leaves, and the events behind those that are new to the oracle; with `whole`, all events, and all heads that were
 * seen. Rejects with what the server answers.
 */
export async function auditLog(oracle: Oracle, server: LogServer, log: Log, whole: boolean): Promise<void> {
  const view = oracle.meet(log);
  const { status, kind } = log.definition;
  if (view.deleted === 'made' && status !== 'deleted') oracle.violate(`log ${view.name} was deleted, and is back`);
  if (view.frozen === 'made' && status === 'active') oracle.violate(`log ${view.name} was frozen, and is not`);
  if (status === 'deleted') {
    if (view.deleted === 'no') oracle.violate(`log ${view.name} was deleted by nobody`);
    view.deleted = 'made';
    return;
  }
  const { state } = log;
  const { reach } = view;
  const known = whole ? 0 : view.known;
  const leaves = await server.reader.leaves(log, state, 0, state.treeSize);
  oracle.allLeaves(view, leaves, state.rootHash, reach);
  if (kind === 'events') oracle.events(view, await server.entries(log, known, state.treeSize));
  else
    for (const [i, leaf] of leaves.slice(known).entries()) oracle.stored(view, Buffer.from(leaf).toString(), known + i);
  if (whole) await auditHeads(oracle, server, log, view);
}

/** Of each size that a head was seen of, that very one is kept. */
async function auditHeads(oracle: Oracle, server: LogServer, log: Log, view: LogView): Promise<void> {
  const stored = new Map((await server.heads(log, 0, 1e6)).map((head) => [head.treeSize, head]));
  for (const [treeSize, { rootHash, time }] of view.heads) {
    const head = stored.get(treeSize);
    if (head === undefined) oracle.violate(`log ${view.name}: the head of size ${treeSize} is gone`);
    else if (!equalBytes(head.rootHash, rootHash))
      oracle.violate(`log ${view.name}: the head of size ${treeSize} is another one now`);
    else if (head.time !== time)
      oracle.violate(`log ${view.name}: the first head of size ${treeSize} was of ${time}, and is of ${head.time}`);
  }
}
