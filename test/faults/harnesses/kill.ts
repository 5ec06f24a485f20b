/** kill -9 under load, with write buffers so small that flush and compaction happen under it. */
import { ACKNOWLEDGED_TOO_EARLY } from '../../support/plant.ts';
import { temporaryFolder } from '../../support/spawn-server.ts';
import { PROMISE_BROKEN } from '../expected.ts';
import type { Harness } from '../harness.ts';
import { killRun } from '../kill.ts';

export const harness: Harness = {
  id: 'kill',
  title: 'kill -9 under load',
  required:
    'every acknowledged event is there, every head ever seen is consistent with the newest, and the server starts',
  unit: 'cycles',
  count: { quick: 60, full: 1000 },
  least: { acknowledged: 1, heads: 0.5 },
  plants: { 'acknowledged-too-early': { bugs: ACKNOWLEDGED_TOO_EARLY, count: 20, expect: PROMISE_BROKEN } },
  async run({ count, seed, build, progress }) {
    const { path, remove } = temporaryFolder('kill');
    const { cycles, acknowledged, checkpoints, adopted, violations } = await killRun({
      dataDir: path,
      ...{ cycles: count, seed, progress },
      ...(build === undefined ? {} : { build }),
    });
    remove();
    return {
      tried: cycles,
      violations: violations.map((text) => ({ seed, text })),
      seen: { acknowledged, heads: checkpoints, 'adopted commits': adopted },
    };
  },
};
