/** What goes wrong in a start, as the exit code that docs/operations.md promises for it. */
import { expect, test } from '@jest/globals';
import { EXIT, ServerError } from '../../server/errors.ts';
import { GuardError } from '../../server/guard.ts';
import { asExitError } from '../../server/start.ts';
import { StorageError } from '../../server/storage/store.ts';

const inFirstCommit = (cause: Error): ServerError => new ServerError('outcome_unknown', 'a write failed', { cause });

test.each([
  ['taken over before the first commit', new GuardError('deposed', 'x'), EXIT.inUse],
  ['taken over in the first commit', inFirstCommit(new GuardError('deposed', 'x')), EXIT.inUse],
  ['a guard that cannot be written', new GuardError('outcome_unknown', 'x'), EXIT.failStop],
  [
    'a guard that cannot be written in the first commit',
    inFirstCommit(new GuardError('outcome_unknown', 'x')),
    EXIT.failStop,
  ],
  ['a first commit that fails', inFirstCommit(new StorageError('outcome_unknown', 'x')), EXIT.failStop],
])('%s', (_, error, exitCode) => {
  expect(asExitError(error)).toMatchObject({ exitCode, message: 'x' });
});
