/**
 * Watch rules applied to the events of a log. An event is shown to no rule before its leaf was made from its own bytes and proven to stand
 * in the tree that was verified: a whole page at a time, by the consistency of the tree that its leaves make with the signed one.
 */
import { ProofError } from '../../proofs/error.ts';
import { parseHeader } from '../../proofs/leaf.ts';
import { formatMicros } from '../../proofs/time.ts';
import { concatBytes, equalBytes, fromUtf8 } from '../../tree/bytes.ts';
import { type LoggedEntry, rebuild } from '../check-reply.ts';
import { ClientError } from '../error.ts';
import { parseEntryLine } from '../replies.ts';
import type { Transport } from '../transport.ts';
import { NodeReader } from '../tree-reader.ts';
import type { AlarmBook } from './alarms.ts';
import { GrowingTree } from './grow.ts';
import { fittingValues, type WatchRule } from './rules.ts';
import { EMPTY_TREE, type MonitorState } from './state.ts';

/** Most events of a page, and about how many bytes of them: a page is all that is in memory. */
const PAGE = 1000;
const PAGE_BYTES = 4_194_304;

export interface WatchOptions {
  readonly rules: readonly WatchRule[];
  /** Whether rules that are new here are shown the events that are in the log already. */
  readonly fromStart: boolean;
}

interface WatchCall {
  readonly transport: Transport;
  readonly state: MonitorState;
  readonly book: AlarmBook;
  readonly watch: WatchOptions;
  readonly now: () => number;
  /** After each page: what was found is in the state. */
  readonly onPage: () => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/** Shows the rules all events up to the verified tree, then judges who has been silent. Throws only the reason of the signal. */
export async function applyRules(call: WatchCall): Promise<void> {
  const { state, book, watch, now, signal } = call;
  beginRules(call);
  try {
    while (state.events !== undefined && state.events.size < state.tree.size) {
      await applyPage(call);
      await call.onPage();
    }
    book.set('events_unreachable', '', undefined);
    book.set('event_mismatch', '', undefined);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof ProofError || (error instanceof ClientError && isMismatch(error))) {
      book.set('events_unreachable', '', undefined);
      book.set('event_mismatch', '', error.message, { code: error.code });
    } else if (error instanceof ClientError) book.set('events_unreachable', '', error.message);
    else throw error;
  }
  for (const rule of watch.rules) {
    if (rule.silentFor === undefined) continue;
    const seen = state.rules.get(rule.name);
    const since = seen?.last ?? seen?.since ?? now();
    const silent = now() - since > rule.silentFor;
    const last = seen?.last === undefined ? 'since this rule is watched' : `since ${formatMicros(seen.last * 1000)}`;
    book.set('source_silent', rule.name, silent ? `no event fits the rule "${rule.name}" ${last}` : undefined);
  }
}

/** A rule that is gone is forgotten; a new one begins now, or with everything. */
function beginRules({ state, book, watch, now }: WatchCall): void {
  const names = new Set(watch.rules.map(({ name }) => name));
  book.keepOnly(['source_silent'], names);
  for (const name of [...state.rules.keys()]) if (!names.has(name)) state.rules.delete(name);
  for (const name of names) if (!state.rules.has(name)) state.rules.set(name, { since: now(), last: undefined });
  // Of a log that was never verified there is no beginning yet.
  if (state.head !== undefined) state.events ??= watch.fromStart ? EMPTY_TREE : state.tree;
}

async function applyPage(call: WatchCall): Promise<void> {
  const { transport, state, signal } = call;
  const { head, events: from = EMPTY_TREE } = state;
  if (head === undefined) throw new Error('bug: events of a log without a head');
  const entries: LoggedEntry[] = [];
  let bytes = 0;
  const limit = Math.min(PAGE, state.tree.size - from.size);
  for await (const line of transport.lines({ path: 'events', query: { from: from.size, limit }, signal })) {
    const entry = rebuild(parseEntryLine(line), head.origin);
    const expected = from.size + entries.length;
    if (entry.leafIndex !== expected)
      throw new ClientError('bad_reply', `leaf index ${expected} should follow, not ${entry.leafIndex}`);
    entries.push(entry);
    bytes += entry.event.length;
    if (entries.length === limit || bytes >= PAGE_BYTES) break;
  }
  const last = entries.at(-1);
  if (last === undefined)
    throw new ClientError(
      'missing_entries',
      `the log gives no events from leaf index ${from.size} on, and has signed a tree of ${state.tree.size}`,
    );
  const tree = new GrowingTree(from, 'raw', () => undefined);
  tree.takeHashes(concatBytes(...entries.map(({ leafHash }) => leafHash)), entries.length, last.receivedAt);
  await proveBeginning(call, tree);
  for (const entry of entries) showRules(call, entry);
  state.events = tree.point();
}

/** Throws ProofError `root_mismatch` unless these leaves are the first ones of the verified tree. */
async function proveBeginning({ transport, state, signal }: WatchCall, tree: GrowingTree): Promise<void> {
  const { head } = state;
  if (head === undefined) throw new Error('bug: events of a log without a head');
  let known = head.rootHash;
  if (tree.size < head.treeSize) {
    const reader = new NodeReader({ transport, treeSize: head.treeSize, signal });
    const { firstRoot, secondRoot } = await reader.consistency(tree.size, head.treeSize);
    if (!equalBytes(secondRoot, head.rootHash))
      throw new ProofError('root_mismatch', `the tiles of size ${head.treeSize} do not make the signed root hash`);
    known = firstRoot;
  }
  if (!equalBytes(tree.root(), known))
    throw new ProofError('root_mismatch', `the events up to leaf index ${tree.size - 1} are not those that are signed`);
}

function showRules({ state, book, watch, now }: WatchCall, entry: LoggedEntry): void {
  const event: unknown = JSON.parse(fromUtf8(entry.event));
  const header = parseHeader(entry.header);
  const { leafIndex, receivedAt } = entry;
  for (const rule of watch.rules) {
    const values = fittingValues(rule, event, header);
    if (values === undefined) continue;
    if (rule.silentFor === undefined) {
      const what = Object.entries(values).map(([name, value]) => `${name} ${value}`);
      book.report(
        'rule_matched',
        `${rule.name}/${leafIndex}`,
        `the event at leaf index ${leafIndex} fits the rule "${rule.name}": ${what.join(', ')}`,
        {
          rule: rule.name,
          leaf_index: leafIndex,
          received_at: formatMicros(receivedAt),
          tree_size: state.tree.size,
          values,
        },
      );
    } else {
      const seen = state.rules.get(rule.name);
      // A time ahead of ours would keep a silence hidden.
      const at = Math.min(Math.floor(receivedAt / 1000), now());
      state.rules.set(rule.name, { since: seen?.since ?? now(), last: Math.max(seen?.last ?? 0, at) });
    }
  }
}

function isMismatch({ code }: ClientError): boolean {
  return code === 'bad_reply' || code === 'missing_entries';
}
