/** Trust policies (C2SP tlog-policy) in files that the operator names. */
import { NoteError } from '../proofs/error.ts';
import { MAX_POLICY_SIZE, type Policy, parsePolicy } from '../proofs/policy.ts';
import { EXIT, ExitError } from './errors.ts';
import { readAtMost } from './files.ts';
import { hideSecrets } from './secrets.ts';

/**
 * What `take` makes of the policy in the file that `flag` names; it may refuse it with a NoteError. Throws ExitError 2 that says what is
 * wrong with the file, and where; `what` is what it should be, `hint` how to write that.
 */
export function readPolicyFile<T>(
  flag: string,
  path: string,
  { what, hint }: { readonly what: string; readonly hint: string },
  take: (policy: Policy) => T,
): T {
  const shown = `--${flag}: ${hideSecrets(path)}`;
  let bytes: Uint8Array;
  try {
    bytes = readAtMost(path, MAX_POLICY_SIZE + 1);
  } catch (cause) {
    const { code = 'it cannot be opened' } = cause as NodeJS.ErrnoException;
    throw new ExitError(EXIT.usage, `${shown} cannot be read (${code})`, { cause });
  }
  try {
    return take(parsePolicy(bytes));
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    // Who gave the file of a key by mistake must not find it in the journal.
    const message = cause.message.replaceAll(/PRIVATE\+KEY\+[^\s"]*/g, '…');
    throw new ExitError(EXIT.usage, `${shown} is not ${what}: ${message}. ${hint}`, { cause });
  }
}
