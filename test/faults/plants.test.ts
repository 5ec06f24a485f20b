/** Every planted bug still fits the build: one that does not would fail only when somebody plants it, in the long runs. */
import { describe, expect, test } from '@jest/globals';
import type { Bug } from '../support/plant.ts';
import * as support from '../support/plant.ts';
import { allHarnesses } from './harnesses.ts';

const ofHarnesses = (await allHarnesses()).flatMap(({ id, plants }) =>
  Object.entries(plants).map(([name, { bugs }]): [string, readonly Bug[]] => [`${id} ${name}`, bugs]),
);
const known = new Set(ofHarnesses.map(([, bugs]) => bugs));
const ofTests = Object.entries(support).filter((entry): entry is [string, readonly Bug[]] => {
  const [, value] = entry;
  return Array.isArray(value) && !known.has(value);
});

describe('the text that a planted bug replaces is in the build exactly once', () => {
  test.each([...ofHarnesses, ...ofTests])('%s', (_, bugs) => {
    expect(support.planted(bugs).size).toBeGreaterThan(0);
  });
});
