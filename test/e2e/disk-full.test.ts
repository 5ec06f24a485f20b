import { afterEach, describe, expect, test } from '@jest/globals';
import { brimRun, strokeRun, watermarkRun } from '../faults/disk-full.ts';
import { FAILURE_FORGOTTEN, NO_WATERMARK, plant } from '../support/plant.ts';
import { canMount } from '../support/small-disk.ts';
import { killAll } from '../support/spawn-server.ts';

const onSmallDisk = canMount() ? test : test.skip;

afterEach(killAll);

describe('a disk of 24 MB', () => {
  onSmallDisk(
    'fills under load: 507 below the watermark, accepted again without a restart, nothing lost',
    async () => {
      const report = await watermarkRun({ size: 24, cycles: 2, seed: Date.now() % 1e9 });
      console.log(JSON.stringify(report));
      expect(report.violations).toEqual([]);
      expect(report.refused).toBeGreaterThan(50);
      expect(report.acknowledged).toBeGreaterThan(500);
    },
    180_000,
  );

  onSmallDisk(
    'filled at one stroke: the server stops with 70, starts again when there is room, nothing lost',
    async () => {
      const report = await strokeRun({ size: 24, cycles: 3, seed: Date.now() % 1e9 });
      console.log(JSON.stringify(report));
      expect(report.violations).toEqual([]);
      expect(report.failStops).toBeGreaterThan(0);
      expect(report.refusedStarts).toBeGreaterThan(0);
    },
    180_000,
  );

  onSmallDisk(
    'all of it the server’s own: 507, or 70 where a compaction has no room; on a larger disk nothing is lost',
    async () => {
      const report = await brimRun({ size: 24, cycles: 3, seed: Date.now() % 1e9 });
      console.log(JSON.stringify(report));
      expect(report.violations).toEqual([]);
      expect(report.refused + report.failStops).toBeGreaterThan(0);
    },
    180_000,
  );
});

describe('the same runs turn red', () => {
  onSmallDisk(
    'without a watermark',
    async () => {
      const { build, remove } = plant(NO_WATERMARK);
      const report = await watermarkRun({ size: 24, cycles: 2, seed: 1, build });
      console.log(JSON.stringify(report).slice(0, 900));
      expect(report.violations.join('\n')).toMatch(/no append was answered 507/);
      remove();
    },
    180_000,
  );

  onSmallDisk(
    'on a server that goes on after a failed write',
    async () => {
      const { build, remove } = plant(FAILURE_FORGOTTEN);
      const report = await strokeRun({ size: 24, cycles: 3, seed: 1, build });
      console.log(JSON.stringify(report).slice(0, 900));
      expect(report.violations.join('\n')).toMatch(/is lost|did not start again|two indexes|not consistent/);
      remove();
    },
    180_000,
  );
});
