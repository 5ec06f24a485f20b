import fast from './jest.config.js';

/** What takes longer: long kill loops and the like, one file at a time. */
export default {
  ...fast,
  testPathIgnorePatterns: ['/node_modules/'],
  testMatch: ['<rootDir>/test/slow/**/*.test.ts'],
  testTimeout: 3_600_000,
  maxWorkers: 1,
};
