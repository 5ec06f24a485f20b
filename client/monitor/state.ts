/**
 * All that a monitor knows, as one value and as the JSON text in which it survives. Its size does not depend on that of the log: a few
 * heads, two frontiers, what is wrong at the moment, and what is still to be told.
 *
 * It is written by this program and trusted as a pinned key is; heads in it are verified again when it is read, the rest is checked to be
 * of the right shape. Whoever can change the file can make a monitor forget.
 */
import type { Checkpoint } from '../../proofs/checkpoint.ts';
import { LogError } from '../../proofs/error.ts';
import { openByAny } from '../../proofs/fraud-proof.ts';
import { parseVerifierKey, type VerifierKey, type Verify } from '../../proofs/key.ts';
import { equalBytes, fromBase64, toBase64 } from '../../tree/bytes.ts';
import { type Frontier, frontierLength, frontierRoot } from '../../tree/frontier.ts';
import { asTreeHash, type TreeHash } from '../../tree/hash.ts';
import { type ActiveAlarm, ALARM_LEVELS, type Alert } from './alarms.ts';

/** `foreign`: the state is of another log. `damaged`: it is no state. `newer`: a newer version made it. */
export class MonitorStateError extends LogError<'foreign' | 'damaged' | 'newer'> {}

/** How far the leaves were read: the tree over all of them up to `size`. */
export interface TreePoint {
  readonly size: number;
  readonly frontier: Frontier;
  /** receivedAt of the last leaf in microseconds, 0 for none; raw logs have none. */
  readonly receivedAt: number;
}

/** Something about one leaf that must not be. */
export interface LeafFault {
  readonly code: 'unparsable_entry' | 'received_at_decreased';
  readonly leafIndex: number;
  readonly message: string;
}

/** A head that is signed and larger than what was rebuilt so far: it will be compared when its size is reached. */
export interface Claim {
  readonly head: Checkpoint;
  /** `log`, or the name of a witness. */
  readonly from: string;
  /** When it was first seen, in milliseconds. */
  readonly since: number;
}

/** The newest head that a witness has shown. */
export interface WitnessSeen {
  readonly note: string;
  readonly treeSize: number;
  /** When a head of this size was first seen, in milliseconds. */
  readonly at: number;
  /** The oldest of its heads that is larger than what the log shows; undefined while there is none. */
  readonly ahead: WitnessAhead | undefined;
}

export interface WitnessAhead {
  readonly note: string;
  readonly treeSize: number;
  /** Since when the log does not show it, in milliseconds. */
  readonly since: number;
}

/** How far a watch rule has come. Times in milliseconds. */
export interface RuleState {
  /** When the rule was first seen here. */
  readonly since: number;
  /** receivedAt of the last event that fitted it, undefined for none yet. */
  readonly last: number | undefined;
}

/** An alert that is still to be told, to whom. */
export interface Undelivered {
  readonly alert: Alert;
  readonly printed: boolean;
  /** Undefined where nobody else has to hear of it. */
  readonly webhook: { readonly attempts: number; readonly nextAt: number } | undefined;
}

/** Changed in place by a step; everything in it is a value of its own. */
export interface MonitorState {
  /** The log's key first, then those that it had before under the same name. */
  readonly keys: readonly [VerifierKey, ...VerifierKey[]];
  kind: 'events' | 'raw' | undefined;
  /** The newest head whose tree was rebuilt from its entries. */
  head: Checkpoint | undefined;
  /** That tree; of size 0 where there is no head yet. */
  tree: TreePoint;
  /** Leaves read beyond it, under no head that was verified yet. */
  progress: TreePoint | undefined;
  /** What was found in the leaves beyond the tree; told when a head over them is verified. */
  faults: readonly LeafFault[];
  /** How many more there were than are kept. */
  moreFaults: number;
  claims: readonly Claim[];
  witnesses: Map<string, WitnessSeen>;
  /** Heads that were found to go together with the tree, as `headName`. */
  consistent: readonly string[];
  /** When the log last grew or refreshed its head, in milliseconds. */
  freshAt: number | undefined;
  alarms: readonly ActiveAlarm[];
  happened: readonly string[];
  /** Events that watch rules have seen. */
  events: TreePoint | undefined;
  rules: Map<string, RuleState>;
  outbox: readonly Undelivered[];
}

/** Number in the text; a higher one was made by a newer version. */
const FORMAT = 1;
/** Most keys of one log that are kept: each change of the key adds one. */
const MAX_KEYS = 8;

export const EMPTY_TREE: TreePoint = { size: 0, frontier: [], receivedAt: 0 };

export function newState(key: VerifierKey): MonitorState {
  return {
    keys: [key],
    kind: undefined,
    head: undefined,
    tree: EMPTY_TREE,
    progress: undefined,
    faults: [],
    moreFaults: 0,
    claims: [],
    witnesses: new Map(),
    consistent: [],
    freshAt: undefined,
    alarms: [],
    happened: [],
    events: undefined,
    rules: new Map(),
    outbox: [],
  };
}

/** A name for what a head says. */
export function headName({ treeSize, rootHash }: { readonly treeSize: number; readonly rootHash: TreeHash }): string {
  return `${treeSize} ${toBase64(rootHash)}`;
}

/** The text of a state. */
export function formatState(state: MonitorState): string {
  const value = {
    format: FORMAT,
    origin: state.keys[0].name,
    verifier_keys: state.keys.map(({ text }) => text),
    kind: state.kind ?? null,
    head: state.head?.note ?? null,
    tree: pointJson(state.tree),
    progress: state.progress === undefined ? null : pointJson(state.progress),
    faults: state.faults.map(({ code, leafIndex, message }) => ({ code, leaf_index: leafIndex, message })),
    more_faults: state.moreFaults,
    claims: state.claims.map(({ head, from, since }) => ({ note: head.note, from, since })),
    witnesses: [...state.witnesses].map(([name, { note, treeSize, at, ahead }]) => ({
      ...{ name, note, tree_size: treeSize, at },
      ahead: ahead === undefined ? null : { note: ahead.note, tree_size: ahead.treeSize, since: ahead.since },
    })),
    consistent: state.consistent,
    fresh_at: state.freshAt ?? null,
    alarms: state.alarms,
    happened: state.happened,
    events: state.events === undefined ? null : pointJson(state.events),
    rules: [...state.rules].map(([name, { since, last }]) => ({ name, since, last: last ?? null })),
    outbox: state.outbox.map(({ alert, printed, webhook }) => ({ alert, printed, webhook: webhook ?? null })),
  };
  return `${JSON.stringify(value)}\n`;
}

function pointJson({ size, frontier, receivedAt }: TreePoint): Record<string, unknown> {
  return { size, frontier: frontier.map(toBase64), received_at: receivedAt };
}

/**
 * Reads the text of a state. The key may have changed under the same name: what a former key signed is verified with that.
 * Throws MonitorStateError.
 */
export function parseState(text: string, key: VerifierKey, verify?: Verify): MonitorState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged('it is not JSON', cause);
  }
  try {
    const state = object(value);
    const format = number(state['format']);
    if (format > FORMAT) throw new MonitorStateError('newer', 'the monitor state was made by a newer version');
    if (format !== FORMAT) throw new RangeError('the number of its format is another one');
    const origin = string(state['origin']);
    if (origin !== key.name)
      throw new MonitorStateError('foreign', `the monitor state is that of ${origin}, the key that of ${key.name}`);
    const former = list(state['verifier_keys']).map((text) => parseVerifierKey(string(text)));
    const others = former.filter(({ text }) => text !== key.text);
    const keys = [key, ...others.slice(0, MAX_KEYS - 1)] as const;
    const open = (note: string): Checkpoint => openByAny(note, keys, verify);
    const head = optional(state['head'], (note) => open(string(note)));
    const tree = point(state['tree']);
    if (tree.size !== (head?.treeSize ?? 0)) throw new RangeError('head and tree are of two sizes');
    if (head !== undefined && !equalBytes(frontierRoot(tree.frontier), head.rootHash))
      throw new RangeError('the tree is not that of the head');
    const kind = optional(state['kind'], string);
    if (kind !== undefined && kind !== 'events' && kind !== 'raw') throw new RangeError('no such kind of log');
    const progress = optional(state['progress'], point);
    const events = optional(state['events'], point);
    if ((progress?.size ?? tree.size) < tree.size) throw new RangeError('progress ends before the tree');
    if ((events?.size ?? 0) > tree.size) throw new RangeError('more events were seen than there are');
    return {
      keys: [...keys],
      kind,
      head,
      tree,
      progress,
      faults: list(state['faults']).map(fault),
      moreFaults: number(state['more_faults']),
      claims: list(state['claims']).map((each) => {
        const { note, from, since } = object(each);
        return { head: open(string(note)), from: string(from), since: number(since) };
      }),
      witnesses: new Map(
        list(state['witnesses']).map((each) => {
          const { name, note, tree_size, at, ahead } = object(each);
          const seen = { note: string(note), treeSize: number(tree_size), at: number(at) };
          // Versions before did not write it.
          return [string(name), { ...seen, ahead: optional(ahead, witnessAhead) }];
        }),
      ),
      consistent: list(state['consistent']).map(string),
      freshAt: optional(state['fresh_at'], number),
      alarms: list(state['alarms']).map(alarm),
      happened: list(state['happened']).map(string),
      events,
      rules: new Map(
        list(state['rules']).map((each) => {
          const { name, since, last } = object(each);
          return [string(name), { since: number(since), last: optional(last, number) }];
        }),
      ),
      outbox: list(state['outbox']).map(undelivered),
    };
  } catch (cause) {
    if (cause instanceof MonitorStateError) throw cause;
    throw damaged((cause as Error).message, cause);
  }
}

function point(value: unknown): TreePoint {
  const { size: stated, frontier: hashes, received_at } = object(value);
  const size = number(stated);
  const frontier = list(hashes).map((hash) => asTreeHash(fromBase64(string(hash))));
  if (frontier.length !== frontierLength(size)) throw new RangeError('a frontier has not the length of its size');
  return { size, frontier, receivedAt: number(received_at) };
}

function witnessAhead(value: unknown): WitnessAhead {
  const { note, tree_size, since } = object(value);
  return { note: string(note), treeSize: number(tree_size), since: number(since) };
}

function fault(value: unknown): LeafFault {
  const { code, leaf_index, message } = object(value);
  if (code !== 'unparsable_entry' && code !== 'received_at_decreased') throw new RangeError('no such fault');
  return { code, leafIndex: number(leaf_index), message: string(message) };
}

function alarm(value: unknown): ActiveAlarm {
  const { id, code, subject, since, message } = object(value);
  return {
    id: string(id),
    code: knownCode(code),
    subject: string(subject),
    since: number(since),
    message: string(message),
  };
}

function undelivered(value: unknown): Undelivered {
  const { alert: stated, printed, webhook } = object(value);
  const { id, state, level, code, subject, origin, time, message, details } = object(stated);
  if (state !== 'raised' && state !== 'cleared' && state !== 'happened') throw new RangeError('no such alert');
  if (level !== 'alarm' && level !== 'warning') throw new RangeError('no such level');
  if (typeof printed !== 'boolean') throw new RangeError('a member is neither true nor false');
  return {
    alert: {
      ...{ id: string(id), state, level, code: knownCode(code), subject: string(subject), origin: string(origin) },
      ...{ time: number(time), message: string(message), details: object(details) },
    },
    printed,
    webhook: optional(webhook, (due) => {
      const { attempts, nextAt } = object(due);
      return { attempts: number(attempts), nextAt: number(nextAt) };
    }),
  };
}

function knownCode(value: unknown): keyof typeof ALARM_LEVELS {
  const code = string(value);
  if (!Object.hasOwn(ALARM_LEVELS, code)) throw new RangeError(`there is no alarm ${code}`);
  return code as keyof typeof ALARM_LEVELS;
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RangeError('a member is no object');
  // Names come from servers; an object without prototype has no member that was not put there.
  return Object.assign(Object.create(null) as Record<string, unknown>, value);
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new RangeError('a member is no list');
  return value;
}

function string(value: unknown): string {
  if (typeof value !== 'string') throw new RangeError('a member is no text');
  return value;
}

function number(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new RangeError('a member is no number');
  return value;
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === null || value === undefined ? undefined : read(value);
}

function damaged(reason: string, cause?: unknown): MonitorStateError {
  return new MonitorStateError('damaged', `this is not the state of a monitor: ${reason}`, { cause });
}
