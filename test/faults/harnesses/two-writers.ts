/** Two servers on one data directory: locks removed, processes that sleep and wake, starts that race. */

import { namespacesMissing } from '../../support/namespaces.ts';
import { type Bug, OWNER_NOT_CHECKED } from '../../support/plant.ts';
import { PROMISE_BROKEN } from '../expected.ts';
import type { Harness } from '../harness.ts';
import { twoWritersRun } from '../two-writers.ts';

/** Looks whose the directory is before the batch, and not again before it answers; and seldom by the clock, which would be sooner on waking up. */
const OWNER_CHECKED_TOO_EARLY: readonly Bug[] = [
  { file: 'server/start.js', text: 'OWNER_INTERVAL = 1000', replacement: 'OWNER_INTERVAL = 6000' },
  {
    file: 'server/guard.js',
    text: `this.checkOwner();
        await this.#writeBlock(promised.n % 2, slotBlock(this.#storeId, promised));
        this.checkOwner();`,
    replacement: 'await this.#writeBlock(promised.n % 2, slotBlock(this.#storeId, promised));',
  },
];

/** Who lost the directory goes on with it. */
const STAYED = new RegExp(`goes on|neither leaves it|two servers run|left with|${PROMISE_BROKEN.source}`);

/** Two of them have written: what one promised is gone, or the directory is of no use to anybody. */
const BOTH_WROTE = new RegExp(`nobody has the directory|${PROMISE_BROKEN.source}`);

export const harness: Harness = {
  id: 'two-writers',
  title: 'two servers on one data directory: LOCK removed, asleep and awake again, starts that race',
  required: 'all that any of them acknowledged or signed is in one tree; who lost leaves with 75 and says so',
  unit: 'races',
  count: { quick: 20, full: 200 },
  least: { acknowledged: 1, heads: 0.5, deposed: 0.2 },
  plants: {
    'owner-not-checked': { bugs: OWNER_NOT_CHECKED, count: 10, expect: STAYED },
    'owner-checked-too-early': { bugs: OWNER_CHECKED_TOO_EARLY, count: 20, expect: BOTH_WROTE },
  },
  missing: namespacesMissing,
  async run({ count, seed, build, progress }) {
    const { races, acknowledged, heads, deposed, turnedAway, halfWritten, violations } = await twoWritersRun({
      races: count,
      ...{ seed, build, progress },
    });
    return {
      tried: races,
      violations: violations.map((text) => ({ seed, text })),
      seen: { acknowledged, heads, deposed, 'turned away': turnedAway, 'asleep in half a batch': halfWritten },
    };
  },
};
