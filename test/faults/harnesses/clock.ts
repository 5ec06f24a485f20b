/** The wall clock steps, stands still or runs at another rate, while the server runs and while it is off. */
import { FakeTime } from '../../support/fake-time.ts';
import type { Bug } from '../../support/plant.ts';
import { temporaryFolder } from '../../support/spawn-server.ts';
import { clockRun } from '../clock.ts';
import type { Harness } from '../harness.ts';

/** Follows every step of the wall clock, however large. */
const FORWARD_STEP_FOLLOWED: readonly Bug[] = [
  { file: 'server/clock.js', text: 'if (step > this.#limit()) {', replacement: 'if (false) {' },
];

/** Believes any time at its start. */
const ABSENCE_NOT_NOTICED: readonly Bug[] = [
  {
    file: 'server/clock.js',
    text: 'if (newest > 0 && wall - newest > limits.maxAbsence * 1000) {',
    replacement: 'if (false) {',
  },
];

/** Times of entries are those of the wall clock, whatever the ones before were. */
const RECEIVED_AT_NOT_CLAMPED: readonly Bug[] = [
  {
    file: 'server/clock.js',
    text: 'if (step > 0) {\n            if (step > ALARM_STEP)',
    replacement: 'if (step !== 0) {\n            if (step > ALARM_STEP)',
  },
  {
    file: 'server/clock.js',
    text: 'this.#last = Math.max(this.#last, this.#base + this.#clock.monotonicMicros());',
    replacement: 'this.#last = this.#base + this.#clock.monotonicMicros();',
  },
  {
    file: 'server/group.js',
    text: 'return Math.max(now, transaction.lastReceivedAt(log));',
    replacement: 'return now;',
  },
  // A last assertion would refuse such entries.
  {
    file: 'server/committer.js',
    text: 'append(log, leaf, receivedAt) {\n        const touched = this.#touch(log);\n        if (receivedAt < touched.lastReceivedAt)',
    replacement: 'append(log, leaf, receivedAt) {\n        const touched = this.#touch(log);\n        if (false)',
  },
];

/** Knows that the clock stepped, and does not count it. */
const ALARM_NOT_COUNTED: readonly Bug[] = [
  { file: 'server/process.js', text: 'metrics.clockAlarm(alarm);', replacement: '' },
];

/** A start that found a wrong clock goes on only within 10 s of the newest entry, however right the clock has become. */
const CORRECTION_NOT_BELIEVED: readonly Bug[] = [
  { file: 'server/clock.js', text: 'if (this.#unproven)', replacement: 'if (false)' },
];

/** Goes as slowly as the wall clock does. */
const SLOW_CLOCK_FOLLOWED: readonly Bug[] = [
  {
    file: 'server/clock.js',
    text: 'this.#last = Math.max(this.#last, this.#base + this.#clock.monotonicMicros());',
    replacement:
      'this.#last = Math.max(this.#last, this.#base + this.#clock.monotonicMicros() + (step > -ALARM_STEP ? Math.min(0, step) : 0));',
  },
];

/** Follows steps of the wall clock, and not what it gains little by little. */
const FAST_CLOCK_NOT_FOLLOWED: readonly Bug[] = [
  {
    file: 'server/clock.js',
    text: 'if (step > 0) {\n            if (step > ALARM',
    replacement: 'if (step > ALARM_STEP) {\n            if (step > ALARM',
  },
];

const WRONG_RATE = /ms (?:below|above) what it m/;

export const harness: Harness = {
  id: 'clock',
  title: 'steps of the wall clock (±1 h, ±10 years, frozen, ×2, ×½), running and across restarts',
  required:
    'no time of an entry or head ever decreases, ten years are refused by name and alarmed, and it goes on when the clock is right again',
  unit: 'steps',
  count: { quick: 20, full: 100 },
  least: { acknowledged: 0.5, alarms: 0.1 },
  missing: FakeTime.missing,
  plants: {
    'forward-step-followed': { bugs: FORWARD_STEP_FOLLOWED, count: 16 },
    'absence-not-noticed': { bugs: ABSENCE_NOT_NOTICED, count: 16 },
    'received-at-not-clamped': { bugs: RECEIVED_AT_NOT_CLAMPED, count: 16 },
    'correction-not-believed': { bugs: CORRECTION_NOT_BELIEVED, count: 16 },
    'slow-clock-followed': { bugs: SLOW_CLOCK_FOLLOWED, count: 16, expect: WRONG_RATE },
    'fast-clock-not-followed': { bugs: FAST_CLOCK_NOT_FOLLOWED, count: 16, expect: WRONG_RATE },
    'alarm-not-counted': { bugs: ALARM_NOT_COUNTED, count: 16 },
  },
  async run({ count, seed, build, progress }) {
    const { path, remove } = temporaryFolder('clock');
    const { steps, acknowledged, heads, restarts, refused, alarms, violations } = await clockRun({
      folder: path,
      ...{ steps: count, seed, progress },
      ...(build === undefined ? {} : { build }),
    });
    remove();
    return {
      tried: steps,
      violations: violations.map((text) => ({ seed, text })),
      seen: { acknowledged, heads, restarts, 'refused steps': refused, alarms },
    };
  },
};
