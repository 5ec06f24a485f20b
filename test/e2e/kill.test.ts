import { afterEach, expect, test } from '@jest/globals';
import { killRun } from '../faults/kill.ts';
import { ACKNOWLEDGED_TOO_EARLY, plant } from '../support/plant.ts';
import { killAll, temporaryFolder } from '../support/spawn-server.ts';

afterEach(killAll);

test('20 kill -9 cycles under load lose nothing acknowledged and show no two trees', async () => {
  const { path, remove } = temporaryFolder('kill');
  const report = await killRun({ dataDir: path, cycles: 20, seed: Date.now() % 1e9 });
  console.log(JSON.stringify(report));
  expect(report.violations).toEqual([]);
  expect(report.acknowledged).toBeGreaterThan(500);
  expect(report.checkpoints).toBeGreaterThan(20);
  remove();
}, 180_000);

test('the same cycles turn red on a server that acknowledges too early', async () => {
  const { path, remove } = temporaryFolder('kill-planted');
  const planted = plant(ACKNOWLEDGED_TOO_EARLY);
  const report = await killRun({ dataDir: path, cycles: 20, seed: 1, build: planted.build });
  expect(report.violations.join('\n')).toMatch(
    /is lost|two roots|not consistent|two indexes|refused to start|stopped by itself/,
  );
  planted.remove();
  remove();
}, 180_000);
