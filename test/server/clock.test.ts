import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CLOCK_LIMITS, type ClockAlarm, EntryClock, systemClock } from '../../server/clock.ts';
import { ManualClock, START_OF_TESTS } from '../support/manual-clock.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

function make(newest = 0): { clock: ManualClock; entries: EntryClock; alarms: ClockAlarm[] } {
  const clock = new ManualClock();
  const alarms: ClockAlarm[] = [];
  return { clock, entries: new EntryClock(clock, newest, CLOCK_LIMITS, (alarm) => alarms.push(alarm)), alarms };
}

/** Microseconds since the start of the test. */
const at = (milliseconds: number): number => START_OF_TESTS + milliseconds * 1000;

test('the limits are a day and 400 days', () => {
  expect(CLOCK_LIMITS).toEqual({ maxForwardStep: DAY, maxAbsence: 400 * DAY });
});

test('it follows the wall clock while nobody touches it', () => {
  const { clock, entries, alarms } = make();
  expect(entries.now()).toBe(at(0));
  clock.advance(1500);
  expect(entries.now()).toBe(at(1500));
  clock.advance(48 * HOUR);
  expect(entries.now()).toBe(at(1500 + 48 * HOUR));
  expect(entries.unsafe).toBe(false);
  expect(alarms).toEqual([]);
});

describe('backward steps', () => {
  test('are ignored: time goes on as if nothing had happened', () => {
    const { clock, entries, alarms } = make();
    clock.advance(1000);
    expect(entries.now()).toBe(at(1000));
    clock.step(-HOUR);
    expect(entries.now()).toBe(at(1000));
    clock.advance(2000);
    expect(entries.now()).toBe(at(3000));
    expect(alarms).toEqual([{ kind: 'backward_step', step: HOUR * 1000 }]);
    clock.step(HOUR);
    expect(entries.now()).toBe(at(3000));
  });

  test('are alarmed once each, and not at all up to 10 s', () => {
    const { clock, entries, alarms } = make();
    clock.step(-10 * SECOND);
    entries.now();
    expect(alarms).toEqual([]);
    clock.step(-1);
    entries.now();
    entries.now();
    expect(alarms.length).toBe(1);
    clock.step(11 * SECOND);
    entries.now();
    clock.step(-11 * SECOND);
    entries.now();
    expect(alarms.length).toBe(2);
  });

  test('at start: time begins at the newest entry, one alarm', () => {
    const { clock, entries, alarms } = make(at(HOUR));
    expect(entries.now()).toBe(at(HOUR));
    clock.advance(1000);
    expect(entries.now()).toBe(at(HOUR + 1000));
    expect(alarms).toEqual([{ kind: 'backward_step', step: HOUR * 1000 }]);
  });
});

describe('forward steps', () => {
  test('are followed up to 24 h, and alarmed above 10 s', () => {
    const { clock, entries, alarms } = make();
    clock.step(10 * SECOND);
    expect(entries.now()).toBe(at(10 * SECOND));
    expect(alarms).toEqual([]);
    clock.step(DAY);
    expect(entries.now()).toBe(at(10 * SECOND + DAY));
    expect(alarms).toEqual([{ kind: 'forward_step', step: DAY * 1000 }]);
    expect(entries.unsafe).toBe(false);
  });

  test('above 24 h make the clock unsafe, with one alarm', () => {
    const { clock, entries, alarms } = make();
    clock.step(DAY + 1);
    expect(entries.now()).toBeUndefined();
    expect(entries.now()).toBeUndefined();
    expect(entries.unsafe).toBe(true);
    clock.advance(5000);
    expect(entries.unsafe).toBe(true);
    expect(entries.estimate()).toBe(at(5000));
    expect(alarms).toEqual([{ kind: 'unsafe', step: (DAY + 1) * 1000 }]);
  });

  test('an unsafe clock is safe again when the clocks agree, not when it is merely less wrong', () => {
    const { clock, entries } = make();
    clock.step(10 * DAY);
    expect(entries.unsafe).toBe(true);
    clock.step(-9.5 * DAY);
    expect(entries.unsafe).toBe(true);
    clock.step(-0.5 * DAY + 11 * SECOND);
    expect(entries.unsafe).toBe(true);
    clock.step(-1 * SECOND);
    expect(entries.now()).toBe(at(10 * SECOND));
    clock.step(20 * HOUR);
    expect(entries.now()).toBe(at(10 * SECOND + 20 * HOUR));
  });

  test('an operator accepts one, and the next is judged anew', () => {
    const { clock, entries, alarms } = make();
    clock.step(30 * DAY);
    expect(entries.unsafe).toBe(true);
    expect(entries.accept()).toBe(30 * DAY * 1000);
    expect(entries.now()).toBe(at(30 * DAY));
    clock.step(2 * DAY);
    expect(entries.unsafe).toBe(true);
    expect(alarms.map(({ kind }) => kind)).toEqual(['unsafe', 'unsafe']);
  });

  test('accepting a wall clock that is behind moves nothing', () => {
    const { clock, entries } = make();
    clock.step(-HOUR);
    expect(entries.accept()).toBe(-HOUR * 1000);
    expect(entries.now()).toBe(at(0));
  });
});

describe('at start', () => {
  test('up to 400 days after the newest entry the server was off', () => {
    const { entries, alarms } = make(at(-400 * DAY));
    expect(entries.now()).toBe(at(0));
    expect(alarms).toEqual([]);
  });

  test('longer after it the clock is unsafe, and time stays at the newest entry until it is accepted', () => {
    const { clock, entries, alarms } = make(at(-400 * DAY - 1));
    expect(entries.unsafe).toBe(true);
    expect(entries.estimate()).toBe(at(-400 * DAY - 1));
    clock.advance(1000);
    expect(entries.estimate()).toBe(at(-400 * DAY + 999));
    expect(alarms).toEqual([{ kind: 'unsafe', step: (400 * DAY + 1) * 1000 }]);
    entries.accept();
    expect(entries.now()).toBe(at(1000));
  });

  test('when it is corrected it goes on, however long the server was off, and the next step is judged as ever', () => {
    const { clock, alarms } = make(at(-30 * DAY));
    clock.step(3650 * DAY);
    const entries = new EntryClock(clock, at(-30 * DAY), CLOCK_LIMITS, (alarm) => alarms.push(alarm));
    expect(entries.now()).toBeUndefined();
    clock.advance(5000);
    clock.step(-3200 * DAY);
    expect(entries.now()).toBeUndefined();
    clock.step(-450 * DAY);
    expect(entries.now()).toBe(at(5000));
    expect(alarms.map(({ kind }) => kind)).toEqual(['unsafe', 'forward_step']);
    clock.step(2 * DAY);
    expect(entries.now()).toBeUndefined();
    clock.step(-DAY);
    expect(entries.now()).toBeUndefined();
  });

  test('a store without entries has no newest one', () => {
    const { entries, alarms } = make(0);
    expect(entries.now()).toBe(at(0));
    expect(alarms).toEqual([]);
  });
});

test('whatever the wall clock does, answers never decrease and never begin below the newest entry', () => {
  const step = fc.oneof(
    fc.record({ advance: fc.integer({ min: 0, max: 3 * DAY }) }),
    fc.record({ step: fc.integer({ min: -500 * DAY, max: 500 * DAY }) }),
    fc.record({ step: fc.integer({ min: -30 * SECOND, max: 30 * SECOND }) }),
    fc.constant({ accept: true as const }),
    fc.constant({ estimate: true as const }),
  );
  const age = fc.integer({ min: -500 * DAY, max: 500 * DAY });
  fc.assert(
    fc.property(age, fc.array(step, { maxLength: 40 }), (newest, steps) => {
      const { clock, entries } = make(at(newest));
      let last = at(newest);
      for (const what of steps) {
        if ('advance' in what) clock.advance(what.advance);
        else if ('step' in what) clock.step(what.step);
        else if ('accept' in what) entries.accept();
        const answer = 'estimate' in what ? entries.estimate() : entries.now();
        if (answer === undefined) continue;
        expect(answer).toBeGreaterThanOrEqual(last);
        expect(Number.isSafeInteger(answer)).toBe(true);
        last = answer;
      }
    }),
    { numRuns: 500 },
  );
});

test('the clock of the system tells microseconds, and its sleep can be broken off', async () => {
  expect(Math.abs(systemClock.wallMicros() / 1000 - Date.now())).toBeLessThan(5000);
  const before = systemClock.monotonicMicros();
  await systemClock.sleep(1);
  expect(systemClock.monotonicMicros()).toBeGreaterThan(before);
  expect(Number.isSafeInteger(before)).toBe(true);
  const stop = new AbortController();
  const sleep = systemClock.sleep(60_000, stop.signal);
  stop.abort();
  await expect(sleep).rejects.toMatchObject({ name: 'AbortError' });
});
