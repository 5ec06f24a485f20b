/**
 * The file that says whose checkpoints a witness cosigns: the `log` lines of a trust policy (C2SP tlog-policy). It is a whole policy, so
 * that there is one format to know; its witnesses and its quorum mean nothing here.
 *
 *   log example.com/logs/main+81907c50+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop
 *   quorum none
 */
import { NoteError } from '../../proofs/error.ts';
import { MAX_POLICY_SIZE, type PolicyLog, parsePolicy } from '../../proofs/policy.ts';
import { EXIT, ExitError } from '../errors.ts';
import { readAtMost } from '../files.ts';
import { hideSecrets } from '../secrets.ts';

/** Reads the file that `flag` names. Throws ExitError 2 that says what is wrong with it, and where. */
export function readWitnessedLogs(flag: string, path: string): readonly PolicyLog[] {
  const shown = `--${flag}: ${hideSecrets(path)}`;
  let bytes: Uint8Array;
  try {
    bytes = readAtMost(path, MAX_POLICY_SIZE + 1);
  } catch (cause) {
    const { code = 'it cannot be opened' } = cause as NodeJS.ErrnoException;
    throw new ExitError(EXIT.usage, `${shown} cannot be read (${code})`, { cause });
  }
  try {
    return parsePolicy(bytes).logs;
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    throw new ExitError(
      EXIT.usage,
      // Who gave the file of a key by mistake must not find it in the journal.
      `${shown} is not a list of logs: ${cause.message.replaceAll(/PRIVATE\+KEY\+[^\s"]*/g, '…')}. It has a line \`log VKEY\` for each log, and one line \`quorum none\``,
      { cause },
    );
  }
}
