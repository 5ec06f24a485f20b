import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { damageRun, makeOriginal, type Original, table } from '../faults/damage.ts';
import { killAll } from '../support/spawn-server.ts';

let originals: Original[];
beforeAll(async () => {
  originals = [await makeOriginal('SIGTERM'), await makeOriginal('SIGKILL')];
}, 120_000);
afterEach(killAll);
afterAll(() => {
  for (const { remove } of originals) remove();
});

test('300 damages of data files: no wrong byte, no rollback, no second entry', async () => {
  const seed = Date.now() % 1e9;
  const trials = await damageRun(originals, 300, seed);
  console.log(`seed ${seed}\n${table(trials)}`);
  expect(trials.filter(({ outcome }) => outcome === 'wrong')).toEqual([]);
  for (const outcome of ['refused', 'reported', 'harmless'] as const) {
    expect(trials.filter((trial) => trial.outcome === outcome).length).toBeGreaterThan(0);
  }
});
