import fast from './jest.config.js';

/** What takes longer and needs other programs, one file at a time. Long fault loops are not tests of jest: `npm run test:faults`. */
export default {
  ...fast,
  testPathIgnorePatterns: ['/node_modules/'],
  testMatch: ['<rootDir>/test/slow/**/*.test.ts'],
  testTimeout: 3_600_000,
  maxWorkers: 1,
};
