import { afterEach, expect, test } from '@jest/globals';
import { killRun } from '../faults/kill.ts';
import { killAll, temporaryFolder } from '../support/spawn-server.ts';

afterEach(killAll);

test('200 kill -9 cycles under load lose nothing acknowledged and show no two trees', async () => {
  const { path, remove } = temporaryFolder('kill-slow');
  const report = await killRun({ dataDir: path, cycles: 200, seed: Date.now() % 1e9 });
  console.log(JSON.stringify(report));
  expect(report.violations).toEqual([]);
  expect(report.acknowledged).toBeGreaterThan(5000);
  remove();
});
