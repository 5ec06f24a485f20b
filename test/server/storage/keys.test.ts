import { describe, expect, test } from '@jest/globals';
import { frame } from '../../../server/frames.ts';
import { integrate } from '../../../server/integrate.ts';
import { emptyState } from '../../../server/log.ts';
import {
  apiKeyKey,
  bundleKey,
  commitKey,
  edgeKey,
  eventKey,
  headKey,
  headPrefix,
  idKey,
  logDefinitionKey,
  numberInKey,
  openKey,
  refreshKey,
  STORE_KEY,
  tileKey,
} from '../../../server/storage/keys.ts';
import { prefixRange, type Write } from '../../../server/storage/store.ts';
import { numberedLeaves } from '../../support/reference-tree.ts';

test('every key is spelt as it will be for ever', () => {
  expect([
    STORE_KEY,
    commitKey(1),
    commitKey(Number.MAX_SAFE_INTEGER),
    logDefinitionKey('main'),
    apiKeyKey('0123456789abcdef'),
    edgeKey('main'),
    tileKey('main', { level: 0, index: 1234067 }),
    bundleKey('main', 1234067),
    openKey('_system', 0),
    eventKey('main', 255),
    idKey('main', 'AbC-_9'),
    headPrefix('main'),
    headKey('main', 5),
    refreshKey('main', 5, 1767225600000),
  ]).toEqual([
    'server/store',
    'server/commit/0000000000000001',
    'server/commit/9007199254740991',
    'server/log/main',
    'server/key/0123456789abcdef',
    'log/main/~edge',
    'log/main/tile/0/x001/x234/067',
    'stream/main/entries/x001/x234/067',
    'log/_system/open/0000000000000000',
    'stream/main/event/0000000000000255',
    'log/main/id/AbC-_9',
    'log/main/head/',
    'log/main/head/0000000000000005',
    'log/main/head/0000000000000005/0001767225600000',
  ]);
});

test('numbers in keys sort as numbers, and are read back', () => {
  const numbers = [0, 1, 9, 10, 255, 256, 99_999, 2 ** 32, 2 ** 53 - 2, 2 ** 53 - 1];
  const keys = numbers.map(commitKey);
  expect(keys.slice().sort()).toEqual(keys);
  expect(keys.map(numberInKey)).toEqual(numbers);
});

test('a head sorts before its refresh, and both before the head of the next size', () => {
  const keys = [headKey('a', 5), refreshKey('a', 5, 1), refreshKey('a', 5, 2), headKey('a', 6)];
  expect(keys.slice().sort()).toEqual(keys);
});

test('the range of a log holds no key of another one', () => {
  const { gte, lt } = prefixRange('log/a/', 1);
  for (const other of ['a-', 'a.b', 'a0', 'aa', '_a', 'b']) {
    const key = edgeKey(other);
    expect(key >= gte && key < lt).toBe(false);
  }
  expect(edgeKey('a') >= gte && edgeKey('a') < lt).toBe(true);
});

describe('what integration writes', () => {
  const names = (writes: readonly Write[]): string[] =>
    writes.map(({ key, value }) => `${value === undefined ? 'del' : 'put'} ${key}`);
  const open = (operation: string, from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, i) => `${operation} log/x/open/${String(from + i).padStart(16, '0')}`);

  test('261 entries, then 10, then 300: exactly these keys', () => {
    const leaves = numberedLeaves(571);
    const first = integrate('x', emptyState(0), frame(leaves.slice(0, 261)), 1);
    expect(names(first.writes)).toEqual(['put log/x/tile/0/000', 'put stream/x/entries/000', ...open('put', 256, 257)]);
    const second = integrate('x', first.state, frame(leaves.slice(261, 271)), 2);
    expect(names(second.writes)).toEqual(open('put', 261, 262));
    const third = integrate('x', second.state, frame(leaves.slice(271, 571)), 3);
    expect(names(third.writes)).toEqual([
      'put log/x/tile/0/001',
      'put stream/x/entries/001',
      ...open('del', 256, 257),
      ...open('del', 261, 262),
      ...open('put', 512, 513),
    ]);
  });

  test('261 entries one by one: each row is written once, and deleted by the commit that fills the bundle', () => {
    let state = emptyState(0);
    const written: string[] = [];
    for (const leaf of numberedLeaves(261)) {
      const { writes, state: next } = integrate('x', state, frame([leaf]), 1);
      written.push(...names(writes));
      state = next;
    }
    expect(written).toEqual([
      ...open('put', 0, 255),
      'put log/x/tile/0/000',
      'put stream/x/entries/000',
      ...open('del', 0, 255),
      ...open('put', 256, 261),
    ]);
  });

  test('nothing for nothing', () => {
    const state = emptyState(0);
    expect(integrate('x', state, frame([]), 9)).toEqual({ state, writes: [], leafHashes: new Uint8Array(0) });
  });
});
