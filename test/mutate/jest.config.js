import fast from '../jest.config.js';

/**
 * For Stryker, which runs these tests once for every mutant: only those of the files that INDELIBLE_MUTATE_TESTS names, by
 * commas, in that order, and no more of them after the first that fails.
 */
export default {
  ...fast,
  rootDir: '../..',
  roots: ['<rootDir>/test'],
  testMatch: (process.env['INDELIBLE_MUTATE_TESTS'] ?? '').split(',').map((name) => `<rootDir>/test/${name}.test.ts`),
  testEnvironment: new URL('first-failure.cjs', import.meta.url).pathname,
  testSequencer: new URL('listed-order.cjs', import.meta.url).pathname,
  setupFiles: ['<rootDir>/test/mutate/same-seed.ts'],
  testTimeout: 8_000,
  maxWorkers: 1,
  watchman: false,
  reporters: [],
};
