/** Every kind of call that changes a file, failing once or for good, under a real server. */
import {
  COMMIT_ERROR_IGNORED,
  DISK_ERROR_IS_USAGE,
  FAILURE_FORGOTTEN,
  GUARD_ERROR_IGNORED,
  STOP_FORGOTTEN,
  STOPPED_WITHOUT_A_WORD,
  TAIL_REFUSED,
} from '../../support/plant.ts';
import type { Harness } from '../harness.ts';
import { straceMissing } from '../strace.ts';
import { syscallRun } from '../syscalls.ts';

export const harness: Harness = {
  id: 'syscalls',
  title: 'EIO, ENOSPC, a short write or kill -9 at one call to the kernel, and at a second one',
  required:
    'the server answers right, or stops with exit code 70 and says why; then it starts with all that was promised, and fsck finds nothing',
  unit: 'injections',
  count: { quick: 200, full: 2000 },
  least: { acknowledged: 0.5, stopped: 0.1 },
  missing: straceMissing,
  plants: {
    'failure-forgotten': { bugs: FAILURE_FORGOTTEN, count: 60 },
    'commit-error-ignored': { bugs: COMMIT_ERROR_IGNORED, count: 60 },
    'guard-error-ignored': { bugs: GUARD_ERROR_IGNORED, count: 120 },
    'stopped-without-a-word': { bugs: STOPPED_WITHOUT_A_WORD, count: 60 },
    'stop-forgotten': { bugs: STOP_FORGOTTEN, count: 60 },
    'disk-error-is-usage': { bugs: DISK_ERROR_IS_USAGE, count: 60 },
    'tail-refused': { bugs: TAIL_REFUSED, count: 120 },
  },
  run: syscallRun,
};
