/** The state of a monitor as text: it comes back as it was, and nothing else is taken for one. */
import { describe, expect, test } from '@jest/globals';
import { parseRules } from '../../../client/monitor/rules.ts';
import { formatState, MonitorStateError, newState, parseState } from '../../../client/monitor/state.ts';
import { parseVerifierKey } from '../../../proofs/key.ts';
import { FakeLog, type Json } from '../fake-log.ts';
import { TestWitness, Watched } from './watched.ts';

/** A state in which every member has something. */
async function fullState(): Promise<{ readonly text: string; readonly log: FakeLog }> {
  const log = new FakeLog().fill(5);
  const witness = new TestWitness('w1', 50);
  witness.shown = witness.cosign(new FakeLog().fill(9).checkpoint());
  const watched = new Watched(log, [witness]);
  watched.options.watch = {
    rules: parseRules({ rules: [{ name: 'r', action: 'x', silent_for: '1s' }] }),
    fromStart: true,
  };
  watched.options.limits = { readFor: 0 };
  await watched.look();
  log.fill(700);
  watched.options.webhook = true;
  watched.options.commit = async (state) => {
    watched.text = formatState(state);
  };
  await watched.look();
  return { text: watched.text as string, log };
}

const codeOf = (text: string, log: FakeLog): string => {
  try {
    parseState(text, parseVerifierKey(log.vkey));
  } catch (error) {
    if (error instanceof MonitorStateError) return error.code;
    throw error;
  }
  return 'accepted';
};

test('comes back as it was', async () => {
  const { text, log } = await fullState();
  const value = JSON.parse(text) as Json;
  for (const [name, member] of Object.entries(value)) {
    const isEmpty = member === null || (Array.isArray(member) && member.length === 0);
    expect([name, isEmpty]).toEqual([name, name === 'happened' || name === 'faults']);
  }
  expect(formatState(parseState(text, parseVerifierKey(log.vkey)))).toBe(text);
  const empty = formatState(newState(parseVerifierKey(log.vkey)));
  expect(formatState(parseState(empty, parseVerifierKey(log.vkey)))).toBe(empty);
});

test('what a witness holds and the log does not show comes back too, and a state without it is read', async () => {
  const log = new FakeLog().fill(5);
  const witness = new TestWitness('w1', 50);
  witness.shown = witness.cosign(new FakeLog().fill(9).checkpoint());
  const watched = new Watched(log, [witness]);
  await watched.look();
  const text = watched.text as string;
  const key = parseVerifierKey(log.vkey);
  const { ahead, ...rest } = parseState(text, key).witnesses.get('w1') ?? {};
  expect(ahead).toEqual({ note: witness.shown, treeSize: 9, since: watched.now });
  expect(formatState(parseState(text, key))).toBe(text);
  const value = JSON.parse(text) as { witnesses: Json[] };
  const before = value.witnesses.map(({ name, note, tree_size, at }) => ({ name, note, tree_size, at }) as Json);
  const read = parseState(JSON.stringify({ ...value, witnesses: before }), key);
  expect(read.witnesses.get('w1')).toEqual({ ...rest, ahead: undefined });
  for (const wrong of [7, {}, { note: 'x', tree_size: -1, since: 1 }])
    expect(codeOf(JSON.stringify({ ...value, witnesses: [{ ...before[0], ahead: wrong }] }), log)).toBe('damaged');
});

describe('refused', () => {
  test('whatever is no state: every member missing, or of another type', async () => {
    const { text, log } = await fullState();
    const value = JSON.parse(text) as Json;
    const maybe = new Set(['kind', 'head', 'progress', 'fresh_at', 'events']);
    for (const name of Object.keys(value)) {
      for (const other of [undefined, 7.5, 'text', { a: 1 }, [7], -1, true]) {
        if (other === undefined && maybe.has(name)) continue;
        if (name === 'kind' && other === undefined) continue;
        const changed = JSON.stringify({ ...value, [name]: other });
        const expected = name === 'origin' && other === 'text' ? 'foreign' : 'damaged';
        expect([name, other, codeOf(changed, log)]).toEqual([name, other, expected]);
      }
    }
    for (const other of ['', '[]', 'null', '7', '{', text.slice(0, -20)]) expect(codeOf(other, log)).toBe('damaged');
  });

  test('another log’s, and a newer version’s', async () => {
    const { text, log } = await fullState();
    expect(codeOf(text, new FakeLog('other'))).toBe('foreign');
    expect(codeOf(JSON.stringify({ ...(JSON.parse(text) as Json), format: 2 }), log)).toBe('newer');
  });

  test('a tree that is not the one of its head, and a head that nobody signed', async () => {
    const { text, log } = await fullState();
    const value = JSON.parse(text) as { tree: { frontier: string[]; size: number }; head: string };
    const frontier = value.tree.frontier.toReversed();
    expect(codeOf(JSON.stringify({ ...value, tree: { ...value.tree, frontier } }), log)).toBe('damaged');
    expect(codeOf(JSON.stringify({ ...value, tree: { ...value.tree, size: 10 } }), log)).toBe('damaged');
    expect(codeOf(JSON.stringify({ ...value, head: value.head.replace('\n9\n', '\n8\n') }), log)).toBe('damaged');
    expect(codeOf(JSON.stringify({ ...value, head: new FakeLog('main', 2).fill(5).checkpoint() }), log)).toBe(
      'damaged',
    );
  });
});

test('a changed key under the same name goes on, and what the former one signed still counts', async () => {
  const watched = new Watched(new FakeLog().fill(5));
  await watched.look();
  const after = new FakeLog('main', 2);
  const state = parseState(watched.text as string, parseVerifierKey(after.vkey));
  expect(state.keys.map(({ text }) => text)).toEqual([after.vkey, watched.log.vkey]);
  expect(state.head?.treeSize).toBe(5);
  const again = parseState(formatState(state), parseVerifierKey(after.vkey));
  expect(again.keys).toEqual(state.keys);
});
