import { afterEach, expect, test } from '@jest/globals';
import { brimRun, type DiskFullReport, strokeRun, watermarkRun } from '../faults/disk-full.ts';
import { canMount } from '../support/small-disk.ts';
import { killAll } from '../support/spawn-server.ts';

const onSmallDisk = canMount() ? test : test.skip;

afterEach(killAll);

function judge(report: DiskFullReport): void {
  console.log(JSON.stringify(report));
  expect(report.violations).toEqual([]);
}

const seed = Date.now() % 1e9;

onSmallDisk('a disk that fills up and is freed, five times anew: 507 and on again, nothing lost', async () => {
  for (let i = 0; i < 5; i++) {
    const report = await watermarkRun({ size: 24, cycles: 2, seed: seed + i });
    judge(report);
    expect(report.refused).toBeGreaterThan(40);
  }
});

onSmallDisk('a disk that somebody else fills twenty times: 70 and on again, nothing lost', async () => {
  const report = await strokeRun({ size: 96, cycles: 20, seed });
  judge(report);
  expect(report.failStops).toBeGreaterThan(5);
});

onSmallDisk('a disk on which compactions run out of room: 70, and nothing lost on a larger one', async () => {
  const report = await brimRun({ size: 24, cycles: 8, seed });
  judge(report);
  expect(report.failStops).toBeGreaterThan(0);
});
