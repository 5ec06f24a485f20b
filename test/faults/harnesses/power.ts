/** The power is cut under load, at a first start and while a server recovers; the disk loses what it had in its cache. */
import { cannotUseImages } from '../../support/ext4-image.ts';
import { ACKNOWLEDGED_TOO_EARLY, type Bug, PROMISED_FIRST } from '../../support/plant.ts';
import { PROMISE_BROKEN } from '../expected.ts';
import type { Harness } from '../harness.ts';
import { powerRun } from '../power.ts';
import { cannotCutPower } from '../power-disk.ts';

/** Commits that LevelDB does not sync. */
const BATCH_NOT_SYNCED: Bug = {
  file: 'server/storage/level.js',
  text: 'await batch.write({ sync: true });',
  replacement: 'await batch.write({ sync: false });',
};

/** Promises that stay in the page cache. */
const GUARD_NOT_SYNCED: Bug = {
  file: 'server/guard.js',
  text: 'SYNCED ? constants.O_RDWR + constants.O_DSYNC : constants.O_RDWR',
  replacement: 'constants.O_RDWR',
};

/** Guard, master seed and format under their names before they are on the disk. */
const NEW_FILES_NOT_SYNCED: Bug = {
  file: 'server/files.js',
  text: 'writeFileSync(fd, content(inodeOf(fd)));\n            fsyncSync(fd);',
  replacement: 'writeFileSync(fd, content(inodeOf(fd)));',
};

export const harness: Harness = {
  id: 'power',
  title: 'power cuts, of a disk with a volatile cache',
  required:
    'everything acknowledged before the cut is there, every head ever seen is consistent, and the server starts',
  unit: 'cuts',
  count: { quick: 20, full: 300 },
  // Nothing is acknowledged while a first server starts, and few cuts may be of that.
  least: { 'acknowledgements in the images': 0.5, 'cuts that lost something': 0.05 },
  missing: () => cannotCutPower() ?? cannotUseImages(),
  plants: {
    'batch-not-synced': { bugs: [BATCH_NOT_SYNCED], count: 20, expect: PROMISE_BROKEN },
    'guard-not-synced': { bugs: [GUARD_NOT_SYNCED], count: 20, expect: PROMISE_BROKEN },
    'nothing-synced': { bugs: [BATCH_NOT_SYNCED, GUARD_NOT_SYNCED], count: 20, expect: PROMISE_BROKEN },
    'promised-first': { bugs: PROMISED_FIRST, count: 20, expect: PROMISE_BROKEN },
    'new-files-not-synced': { bugs: [NEW_FILES_NOT_SYNCED], count: 20, expect: /refused to start/ },
    'acknowledged-too-early': { bugs: ACKNOWLEDGED_TOO_EARLY, count: 20, expect: PROMISE_BROKEN },
  },
  async run({ count, seed, build, progress }) {
    const report = await powerRun({ cuts: count, seed, progress, ...(build === undefined ? {} : { build }) });
    const { tried, acknowledged, heads, firstStarts, restarts, lossy, adopted, refused, violations } = report;
    return {
      tried,
      violations: violations.map((text) => ({ seed, text })),
      seen: {
        'acknowledgements in the images': acknowledged,
        'heads in them': heads,
        'cuts at a first start': firstStarts,
        'cuts at a later one': restarts,
        'cuts that lost something': lossy,
        'adopted commits': adopted,
        'refused starts': refused,
      },
    };
  },
};
