/** Three times as many appends as the server can take, in open loop. */
import type { Bug } from '../../support/plant.ts';
import { temporaryFolder } from '../../support/spawn-server.ts';
import type { Harness } from '../harness.ts';
import { overloadRun } from '../overload.ts';

/** Lets everybody wait. */
const NO_PENDING_LIMIT: readonly Bug[] = [
  { file: 'server/backlog.js', text: 'if (this.#entries === 0)', replacement: 'if (true)' },
];

/** Refuses without saying when to come back. */
const RETRY_AFTER_MISSING: readonly Bug[] = [
  {
    file: 'server/http/problem.js',
    text: "...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),",
    replacement: '',
  },
];

/** Signs once an hour, as if rounds took so long: on a busy machine a minute of the wall may be a few seconds. */
const HEADS_STARVE: readonly Bug[] = [
  {
    file: 'server/publisher.js',
    text: 'await clock.sleep(this.#intervals.interval, this.#hurry.signal)',
    replacement: 'await clock.sleep(3_600_000, this.#hurry.signal)',
  },
];

export const harness: Harness = {
  id: 'overload',
  title: 'three times as many appends as it can take, at a fixed rate',
  required:
    'what is acknowledged is so within 5 s (p99) and never lost, the rest is refused by name, heads go on, memory is bounded, and 5 s later all is as ever',
  unit: 'seconds',
  count: { quick: 30, full: 600 },
  alone: true,
  least: { acknowledged: 20, pushback: 20 },
  plants: {
    'no-pending-limit': { bugs: NO_PENDING_LIMIT, count: 30 },
    'retry-after-missing': { bugs: RETRY_AFTER_MISSING, count: 5 },
    'heads-starve': { bugs: HEADS_STARVE, count: 30 },
  },
  async run({ count, seed, build, progress }) {
    const { path, remove } = temporaryFolder('overload');
    try {
      const { seconds, seen, violations } = await overloadRun({
        dataDir: path,
        ...{ seconds: count, seed, progress },
        ...(build === undefined ? {} : { build }),
      });
      return { tried: seconds, violations: violations.map((text) => ({ seed, text })), seen };
    } finally {
      remove();
    }
  },
};
