/** What makes a run of a harness good: nothing violated, all of it tried, and enough seen. */
import { describe, expect, test } from '@jest/globals';
import type { Harness, Outcome } from './harness.ts';
import { describe as describeResult } from './result.ts';

const HARNESS: Harness = {
  id: 'example',
  title: 'a fault',
  required: 'all is well',
  unit: 'cycles',
  count: { quick: 20, full: 200 },
  least: { acknowledged: 1, heads: 0.5 },
  plants: { bug: { bugs: [], count: 20 }, loss: { bugs: [], count: 20, expect: /is lost/ } },
  run: () => Promise.reject(new Error('not run here')),
};

function judged(outcome: Partial<Outcome>, { count = 20, plant }: { count?: number; plant?: string } = {}) {
  const whole = { tried: count, violations: [], seen: { acknowledged: count, heads: count }, ...outcome };
  return describeResult({ harness: HARNESS, plant, outcome: whole, count, seconds: 1, mode: 'quick', seed: 1 });
}

const violations = [{ seed: 1, text: 'a-1, acknowledged at 7, is lost' }];

describe('a run', () => {
  test('is good with nothing violated and enough seen', () => {
    expect(judged({})).toMatchObject({ good: true, text: expect.stringContaining('held') });
  });

  test('is bad at a violation, of which what lacks is only a consequence', () => {
    const { good, text } = judged({ tried: 3, violations, seen: {} });
    expect(good).toBe(false);
    expect(text).toContain('VIOLATED');
    expect(text).not.toContain('at least');
  });

  test.each<[string, Partial<Outcome>, string]>([
    ['tried too little', { tried: 19 }, '19 cycles were tried, not 20'],
    ['saw too little of one thing', { seen: { acknowledged: 20, heads: 9 } }, '9 heads were seen, 10 at least'],
    ['saw nothing of it', { seen: { heads: 10 } }, '0 acknowledged were seen, 20 at least'],
    ['tried nothing', { tried: 0 }, '0 cycles were tried, not 20'],
  ])('is bad where it %s', (_, outcome, line) => {
    const { good, text } = judged(outcome);
    expect(good).toBe(false);
    expect(text).toContain('SAW TOO LITTLE');
    expect(text).toContain(line);
  });

  test('of few faults needs only what each of them gives', () => {
    expect(judged({ seen: { acknowledged: 1 } }, { count: 9 }).good).toBe(true);
    expect(judged({ seen: { heads: 9 } }, { count: 9 }).good).toBe(false);
  });
});

describe('a run with a planted bug', () => {
  test('is good at a violation, however little was tried until then', () => {
    expect(judged({ tried: 1, violations, seen: {} }, { plant: 'bug' }).good).toBe(true);
  });

  test('needs the violation that comes of the bug, where that is known', () => {
    const other = [{ seed: 1, text: 'the server refused to start' }];
    expect(judged({ violations }, { plant: 'loss' }).good).toBe(true);
    expect(judged({ violations: other }, { plant: 'loss' }).good).toBe(false);
    expect(judged({ violations: [...other, ...violations] }, { plant: 'loss' }).good).toBe(true);
  });

  test('is bad where only the harness itself failed', () => {
    const failed = [{ seed: 1, text: 'the harness itself failed: a-1 is lost', broken: true as const }];
    for (const plant of ['bug', 'loss']) expect(judged({ violations: failed }, { plant }).good).toBe(false);
  });

  test('is bad without one', () => {
    expect(judged({}, { plant: 'bug' }).good).toBe(false);
  });
});
