import { afterEach, expect, test } from '@jest/globals';
import { killRun } from '../faults/kill.ts';
import { ACKNOWLEDGED_TOO_EARLY, plant } from '../support/plant.ts';
import { killAll, temporaryFolder } from '../support/spawn-server.ts';

afterEach(killAll);

test('the cycles of `npm run test:faults -- kill` turn red on a server that acknowledges too early', async () => {
  const { path, remove } = temporaryFolder('kill-planted');
  const planted = plant(ACKNOWLEDGED_TOO_EARLY);
  const report = await killRun({ dataDir: path, cycles: 20, seed: 1, build: planted.build });
  expect(report.violations.join('\n')).toMatch(
    /is lost|two roots|not consistent|two indexes|refused to start|stopped by itself/,
  );
  planted.remove();
  remove();
}, 180_000);
