import { describe, expect, test } from '@jest/globals';
import type { Promised } from '../../server/guard.ts';
import { judgeStart, type Verdict } from '../../server/start-rules.ts';

/** Hash of record n in this history; `fork` is another one. */
const hashOf = (n: number, fork = false): Uint8Array =>
  n === 0 ? new Uint8Array(32) : new Uint8Array(32).fill(fork ? 0x80 + n : n);

const TORN = undefined;
type Slot = number | typeof TORN;

const slot = (n: Slot, fork = false): Promised | undefined =>
  n === undefined ? undefined : { n, recordHash: hashOf(n, fork) };

/** A database that ends at record n and keeps all records from `kept` on. */
const database = (n: number, kept = 1) => ({
  n,
  recordHash: (i: number): Uint8Array | undefined => (i >= kept && i <= n ? hashOf(i) : undefined),
});

function judge(a: Slot, b: Slot, n: number): Verdict['action'] {
  const verdict = judgeStart([slot(a), slot(b)], database(n));
  const swapped = judgeStart([slot(b), slot(a)], database(n));
  expect(swapped).toEqual(verdict);
  return verdict.action;
}

describe('accepted', () => {
  test.each([
    ['nothing promised, nothing committed: the first start is made again', 0, 0, 0, 'restart-init'],
    ['commit 1 is durable, not promised', 0, 0, 1, 'adopt'],
    ['commit 1 was promised', 0, 1, 1, 'accept'],
    ['the database is where the guard says', 6, 7, 7, 'accept'],
    ['the database has one commit more', 6, 7, 8, 'adopt'],
    ['the database has two commits more', 6, 7, 9, 'adopt'],
    ['the first promise was torn: commit 1 explains it', 0, TORN, 1, 'adopt'],
    ['the promise of commit 2 was torn', 1, TORN, 2, 'adopt'],
    ['the promise of commit 8 was torn', 7, TORN, 8, 'adopt'],
    ['the promise of commit 8 was torn while commit 9 was stored', 7, TORN, 9, 'adopt'],
  ] as const)('%s', (_, a, b, n, action) => {
    expect(judge(a, b, n)).toBe(action);
  });
});

test('every other combination of slots and database is refused', () => {
  const accepted = new Map<string, Verdict['action']>();
  const states: Slot[] = [TORN, 0, 1, 2, 3, 4, 5];
  for (const [i, a] of states.entries()) {
    for (const b of states.slice(i)) {
      for (let n = 0; n <= 9; n++) {
        const action = judge(a, b, n);
        if (action !== 'refuse') accepted.set(`${a ?? 'torn'} ${b ?? 'torn'} | ${n}`, action);
      }
    }
  }
  const expected = new Map<string, Verdict['action']>([['0 0 | 0', 'restart-init']]);
  expected.set('0 0 | 1', 'adopt');
  for (let n = 0; n <= 5; n++) expected.set(`torn ${n} | ${n + 1}`, 'adopt');
  for (let n = 1; n <= 5; n++) expected.set(`torn ${n} | ${n + 2}`, 'adopt');
  for (let n = 1; n <= 5; n++) {
    expected.set(`${n - 1} ${n} | ${n}`, 'accept');
    expected.set(`${n - 1} ${n} | ${n + 1}`, 'adopt');
    expected.set(`${n - 1} ${n} | ${n + 2}`, 'adopt');
  }
  expect(new Map([...accepted].sort())).toEqual(new Map([...expected].sort()));
});

describe('refused', () => {
  test('with a reason that names what is there and what was promised', () => {
    const reason = (a: Slot, b: Slot, n: number): string => {
      const verdict = judgeStart([slot(a), slot(b)], database(n));
      return verdict.action === 'refuse' ? verdict.reason : verdict.action;
    };
    expect(reason(6, 7, 5)).toMatch(/rollback.*\b5\b.*\b7\b/);
    expect(reason(6, 7, 0)).toMatch(/rollback.*\b0\b.*\b7\b/);
    expect(reason(6, 7, 10)).toMatch(/\b10\b.*\b7\b/);
    expect(reason(4, 7, 7)).toMatch(/\b4\b.*\b7\b/);
    expect(reason(TORN, TORN, 7)).toMatch(/both slots/);
    expect(reason(TORN, 7, 7)).toMatch(/one slot.*\b7\b/);
  });

  test('another history: the record of the newest promise differs', () => {
    expect(judgeStart([slot(6), slot(7, true)], database(7)).action).toBe('refuse');
    expect(judgeStart([slot(6), slot(7, true)], database(8)).action).toBe('refuse');
    expect(judgeStart([TORN, slot(7, true)], database(8)).action).toBe('refuse');
    expect(judgeStart([slot(0), slot(1, true)], database(1)).action).toBe('refuse');
  });

  test('another history: the record of the promise before differs', () => {
    expect(judgeStart([slot(6, true), slot(7)], database(7)).action).toBe('refuse');
    expect(judgeStart([slot(6, true), slot(7)], database(8)).action).toBe('refuse');
  });

  test('a promised record that the database does not keep', () => {
    expect(judgeStart([slot(6), slot(7)], database(7, 7)).action).toBe('refuse');
    expect(judgeStart([slot(6), slot(7)], database(8, 8)).action).toBe('refuse');
  });
});
