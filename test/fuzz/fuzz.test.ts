/** The fuzzers of `npm run test:faults`, for a few seconds: that they run, that nothing is found at once, and that no parser is forgotten. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ROOT } from '../support/spawn-server.ts';

const COMMAND = [
  '--import',
  './test/support/typescript.js',
  join(ROOT, 'test/faults/main.ts'),
  '--quick',
  '--seed',
  '1',
];

test.each([
  ['fuzz-parsers', 20_000],
  ['fuzz-http', 800],
])(
  '%s',
  (harness, count) => {
    const { status, stdout } = spawnSync(process.execPath, [...COMMAND, harness, '--count', String(count)], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([0, expect.stringContaining(': held')]);
  },
  240_000,
);
