/** Older snapshots of a data directory are restored over a history that went on, in all the ways in which people restore. */
import { COPY_ACCEPTED, ROLLBACK_ACCEPTED } from '../../support/plant.ts';
import type { Harness } from '../harness.ts';
import { rollbackRun } from '../rollback.ts';

export const harness: Harness = {
  id: 'rollback',
  title: 'older snapshots are restored',
  required: 'a start is refused every time, for a documented reason, and the newer state put back is whole',
  unit: 'restores',
  count: { quick: 20, full: 200 },
  least: { acknowledged: 1, refused: 0.3 },
  plants: {
    'rollback-accepted': { bugs: ROLLBACK_ACCEPTED, count: 20, expect: /a server started on it/ },
    'copy-accepted': { bugs: COPY_ACCEPTED, count: 20, expect: /a server started on it|refused for another reason/ },
  },
  async run({ count, seed, build, progress }) {
    const report = await rollbackRun({ restores: count, seed, progress, ...(build === undefined ? {} : { build }) });
    const { tried, refused, needsWitness, sameInode, running, acknowledged, violations } = report;
    return {
      tried,
      violations: violations.map((text) => ({ seed, text })),
      seen: {
        refused,
        'needs a witness': needsWitness,
        'with the inode given again': sameInode,
        'snapshots of a running server': running,
        acknowledged,
      },
    };
  },
};
