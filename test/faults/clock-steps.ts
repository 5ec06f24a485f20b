/** What may happen to a wall clock, drawn from a seed: every kind as often as any other, running and across a restart. */

export const HOUR = 3_600_000;
const DECADE = 87_660 * HOUR;

const KINDS = {
  'hour-forward': { by: HOUR, rate: 1 },
  'hour-back': { by: -HOUR, rate: 1 },
  'decade-forward': { by: DECADE, rate: 1 },
  'decade-back': { by: -DECADE, rate: 1 },
  frozen: { by: 0, rate: 1 },
  double: { by: 0, rate: 2 },
  half: { by: 0, rate: 0.5 },
} as const;

export interface Step {
  readonly kind: keyof typeof KINDS;
  /** Milliseconds that the clock steps by. */
  readonly by: number;
  readonly rate: number;
  /** The server is stopped by that signal, and finds the other clock at its start. */
  readonly restart: boolean;
  readonly signal: 'SIGTERM' | 'SIGKILL';
  /** An operator says that ten years later is right. */
  readonly accepted: boolean;
}

/** Clocks of microseconds in a double end in 2255: no run goes further than this. */
const MOST_ACCEPTED = 6;

export function drawSteps(count: number, random: () => number): Step[] {
  const steps: Step[] = [];
  let accepted = 0;
  while (steps.length < count) {
    const deck = (Object.keys(KINDS) as Step['kind'][]).flatMap((kind) =>
      [true, false].flatMap((restart) => [
        { kind, restart, accepted: false },
        // The only one that ends in two ways.
        ...(kind === 'decade-forward' ? [{ kind, restart, accepted: true }] : []),
      ]),
    );
    while (deck.length > 0 && steps.length < count) {
      const [card] = deck.splice(Math.floor(random() * deck.length), 1) as [(typeof deck)[number]];
      if (card.accepted && accepted++ >= MOST_ACCEPTED) continue;
      steps.push({ ...card, ...KINDS[card.kind], signal: random() < 0.5 ? 'SIGTERM' : 'SIGKILL' });
    }
  }
  return steps;
}
