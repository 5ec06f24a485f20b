/** Whole histories of the real server over a simulated disk, guard and clock, in an order that the seed decides. */
import { SIM_PLANTS } from '../../sim/plants.ts';
import { simulateMany } from '../../sim/run.ts';
import type { Harness } from '../harness.ts';

/** Things that happen in one history. */
const OPERATIONS = 1000;
/** Histories in which a planted bug has to be found. */
const PLANT_COUNT = 100;

export const harness: Harness = {
  id: 'sim',
  title: 'simulated histories of 1,000 operations with crashes, lying disks, failing guards and clocks',
  required:
    'what was acknowledged is at its index, no index has two contents, heads are those of a reference tree, and whoever stops says why',
  unit: 'seeds',
  count: { quick: 500, full: 20_000 },
  least: { acknowledged: 200, heads: 20, kills: 2, 'power cuts': 0.5, takeovers: 0.2, 'altered bytes': 0.1 },
  plants: Object.fromEntries(Object.entries(SIM_PLANTS).map(([name, bugs]) => [name, { bugs, count: PLANT_COUNT }])),
  async run({ count, seed, build, progress }) {
    const reports = await simulateMany({
      ...{ count, seed, progress, operations: OPERATIONS },
      ...(build === undefined ? {} : { build }),
    });
    const seen: Record<string, number> = {};
    for (const report of reports)
      for (const [name, value] of Object.entries(report.seen)) seen[name] = (seen[name] ?? 0) + value;
    const violations = reports.flatMap((report) => report.violations.map((text) => ({ seed: report.seed, text })));
    return { tried: reports.length, violations, seen };
  },
};
