/** Readers that ask for much and take it slowly or not at all, under a cap of memory. */
import { type Bug, plant } from '../../support/plant.ts';
import { temporaryFolder } from '../../support/spawn-server.ts';
import type { Harness } from '../harness.ts';
import { readersRun, STALL } from '../readers.ts';

/** No bug: two minutes become some seconds, so that a test sees their end. */
const SHORT_STALL: Bug = {
  file: 'server/http/http-server.js',
  text: 'stallTimeout: 120_000',
  replacement: `stallTimeout: ${STALL}`,
};

/** Makes every reply as large as it is asked for, and keeps it for whoever does not take it. */
const REPLIES_NOT_COUNTED: readonly Bug[] = [
  SHORT_STALL,
  { file: 'server/http/byte-budget.js', text: 'if (bytes > this.#left)', replacement: 'if (false)' },
  { file: 'server/http/reply-budget.js', text: 'return this.left < BUDGET / 2;', replacement: 'return false;' },
];

/** Waits for ever for whoever takes nothing. */
const NEVER_CUT: readonly Bug[] = [
  { file: 'server/http/connections.js', text: 'socket.setTimeout(unsent ? this.#stallTimeout : 0);', replacement: '' },
];

/** Counts replies, and never forgets them. */
const NEVER_GIVEN_BACK: readonly Bug[] = [
  SHORT_STALL,
  { file: 'server/http/site.js', text: 'replies.giveBack(bytes);', replacement: '' },
];

export const harness: Harness = {
  id: 'readers',
  title: 'readers that ask for large replies and do not take them, or a few bytes at a time',
  required:
    'appends and usual reads go on (p99 2 s), memory stays below 512 MiB, who takes nothing is cut, and large replies are served afterwards',
  unit: 'slow readers',
  count: { quick: 200, full: 2000 },
  alone: true,
  least: { acknowledged: 2, 'large replies not taken': 0.005 },
  plants: {
    'replies-not-counted': { bugs: REPLIES_NOT_COUNTED, count: 400 },
    'never-cut': { bugs: NEVER_CUT, count: 200 },
    'never-given-back': { bugs: NEVER_GIVEN_BACK, count: 200 },
  },
  async run({ count, seed, build, progress }) {
    const { path, remove } = temporaryFolder('readers');
    const own = build === undefined ? plant([SHORT_STALL]) : undefined;
    try {
      const { readers, seen, violations } = await readersRun({
        dataDir: path,
        build: build ?? (own?.build as string),
        ...{ readers: count, seed, progress },
      });
      return { tried: readers, violations: violations.map((text) => ({ seed, text })), seen };
    } finally {
      own?.remove();
      remove();
    }
  },
};
