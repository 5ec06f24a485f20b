import { afterEach, describe, expect, test } from '@jest/globals';
import { witnessKillRun } from '../faults/witness-kill.ts';
import { COSIGNED_TOO_EARLY, plant } from '../support/plant.ts';
import { temporaryFolder } from '../support/spawn-server.ts';
import { killWitnesses } from '../support/spawn-witness.ts';

afterEach(killWitnesses);

describe('the cycles of `npm run test:faults -- witness`', () => {
  test('hold', async () => {
    const { path, remove } = temporaryFolder('witness-kill');
    const report = await witnessKillRun({ folder: path, cycles: 8, seed: 1 });
    expect(report).toMatchObject({ cycles: 8, violations: [] });
    // It was tried: heads were cosigned, and others were not.
    expect(report.cosigned).toBeGreaterThan(0);
    expect(report.conflicts + report.refused).toBeGreaterThan(0);
    remove();
  }, 120_000);

  test('turn red on a witness that cosigns before it remembers', async () => {
    const { path, remove } = temporaryFolder('witness-planted');
    const planted = plant(COSIGNED_TOO_EARLY);
    const report = await witnessKillRun({ folder: path, cycles: 20, seed: 1, build: planted.build });
    expect(report.violations.join('\n')).toMatch(/after .* was cosigned|two trees were cosigned/);
    planted.remove();
    remove();
  }, 180_000);
});
