/**
 * Time. One clock object is passed to whoever needs it; nothing else in the server reads the time or sets a timer, so that a
 * test or a simulation can hold all of it in its hand.
 */
import { hrtime } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Wall clock, microseconds since the Unix epoch. May step in either direction. */
  wallMicros(): number;
  /** Monotonic clock, microseconds since some fixed moment. */
  monotonicMicros(): number;
  /** Resolves after that many milliseconds, or rejects with an AbortError when the signal fires. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  wallMicros: () => Date.now() * 1000,
  monotonicMicros: () => Number(hrtime.bigint() / 1000n),
  sleep: (milliseconds, signal) => delay(milliseconds, undefined, signal === undefined ? {} : { signal }),
};

export interface ClockLimits {
  /** Largest forward step of the wall clock that is followed, in milliseconds. Default 24 h. */
  readonly maxForwardStep: number;
  /** Largest age of the newest entry and head at start that still counts as a server that was off, in milliseconds. Default 400 days. */
  readonly maxAbsence: number;
}

export const CLOCK_LIMITS: ClockLimits = { maxForwardStep: 24 * 3600e3, maxAbsence: 400 * 86400e3 };

/** Forward steps above this are followed and alarmed; backward ones above it are ignored and alarmed. */
const ALARM_STEP = 10_000_000;

export interface ClockAlarm {
  readonly kind: 'forward_step' | 'backward_step' | 'unsafe';
  /** Size of the step in microseconds. */
  readonly step: number;
}

/**
 * The clock behind receivedAt (docs/design.md, The way of an entry): base + monotonic, never decreasing. Backward steps of the wall clock are
 * ignored, forward ones followed up to a limit; beyond it the clock is *unsafe*, nothing is appended or signed, until the
 * clocks agree again (after a start: until the time since the newest entry or head is plausible) or an operator accepts the new time.
 * One bad second would otherwise spoil a log for ever.
 */
export class EntryClock {
  readonly #clock: Clock;
  readonly #limits: ClockLimits;
  readonly #onAlarm: (alarm: ClockAlarm) => void;
  /** Wall time at monotonic zero, as we believe it. */
  #base: number;
  #unsafe = false;
  /** Unsafe from the start on: the newest time of the store is all that the wall clock can be compared with. */
  #unproven = false;
  #behind: boolean;
  #last: number;

  /** `newest` is the newest time that the store states in microseconds, 0 for none: the clock starts not below it. */
  constructor(clock: Clock, newest: number, limits: ClockLimits, onAlarm: (alarm: ClockAlarm) => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#onAlarm = onAlarm;
    this.#last = newest;
    const wall = clock.wallMicros();
    this.#base = Math.max(wall, newest) - clock.monotonicMicros();
    this.#behind = wall < newest - ALARM_STEP;
    if (this.#behind) onAlarm({ kind: 'backward_step', step: newest - wall });
    if (newest > 0 && wall - newest > limits.maxAbsence * 1000) {
      // Stay at the newest time until somebody who can read a calendar has looked.
      this.#base = newest - clock.monotonicMicros();
      this.#unproven = true;
      this.#setUnsafe(wall - newest);
    }
  }

  /** Microseconds for the next entry, or `undefined` while the clock is unsafe. Never below an earlier answer. */
  now(): number | undefined {
    const estimate = this.#base + this.#clock.monotonicMicros();
    const step = this.#clock.wallMicros() - estimate;
    if (step > this.#limit()) {
      if (!this.#unsafe) this.#setUnsafe(step);
      return undefined;
    }
    this.#setSafe();
    if (step > 0) {
      if (step > ALARM_STEP) this.#onAlarm({ kind: 'forward_step', step });
      this.#base += step;
    }
    const behind = step < -ALARM_STEP;
    if (behind && !this.#behind) this.#onAlarm({ kind: 'backward_step', step: -step });
    this.#behind = behind;
    this.#last = Math.max(this.#last, this.#base + this.#clock.monotonicMicros());
    return this.#last;
  }

  /** Time for what must be recorded even while the clock is unsafe: base + monotonic, not following the wall clock. */
  estimate(): number {
    return Math.max(this.#last, this.#base + this.#clock.monotonicMicros());
  }

  /** Microseconds since some fixed moment, for how long something takes. */
  monotonicMicros(): number {
    return this.#clock.monotonicMicros();
  }

  get unsafe(): boolean {
    return this.now() === undefined;
  }

  /** An operator says that the wall clock is right: follow it, however far it went. Returns the step in microseconds. */
  accept(): number {
    const step = this.#clock.wallMicros() - (this.#base + this.#clock.monotonicMicros());
    if (step > 0) this.#base += step;
    this.#setSafe();
    return step;
  }

  /** Largest forward step that is followed now, in microseconds. */
  #limit(): number {
    const { maxForwardStep, maxAbsence } = this.#limits;
    // Once the clock is corrected, whoever was off for a month is a month behind it: the next start would believe it, so this one does.
    if (this.#unproven) return maxAbsence * 1000;
    return this.#unsafe ? ALARM_STEP : maxForwardStep * 1000;
  }

  #setSafe(): void {
    this.#unsafe = false;
    this.#unproven = false;
  }

  #setUnsafe(step: number): void {
    this.#unsafe = true;
    this.#onAlarm({ kind: 'unsafe', step });
  }
}
