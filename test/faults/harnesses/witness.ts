/** kill -9 of a witness under load, while logs try to get two trees cosigned. */
import { COSIGNED_TOO_EARLY } from '../../support/plant.ts';
import { temporaryFolder } from '../../support/spawn-server.ts';
import type { Harness } from '../harness.ts';
import { witnessKillRun } from '../witness-kill.ts';

export const harness: Harness = {
  id: 'witness',
  title: 'kill -9 of a witness under load by logs that have two trees',
  required: 'no head is ever cosigned, or told of, that is older than one cosigned before or of the other tree',
  unit: 'cycles',
  count: { quick: 25, full: 500 },
  least: { cosigned: 1, conflicts: 0.5 },
  plants: {
    'cosigned-too-early': {
      bugs: COSIGNED_TOO_EARLY,
      count: 10,
      expect: /after .* was cosigned|two trees were cosigned/,
    },
  },
  async run({ count, seed, build, progress }) {
    const { path, remove } = temporaryFolder('witness-kill');
    const { cycles, cosigned, conflicts, refused, violations } = await witnessKillRun({
      folder: path,
      ...{ cycles: count, seed, progress },
      ...(build === undefined ? {} : { build }),
    });
    remove();
    return {
      tried: cycles,
      violations: violations.map((text) => ({ seed, text })),
      seen: { cosigned, conflicts, refused },
    };
  },
};
