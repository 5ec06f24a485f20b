/**
 * The file that says whose checkpoints a witness cosigns: the `log` lines of a trust policy (C2SP tlog-policy). It is a whole policy, so
 * that there is one format to know; its witnesses and its quorum mean nothing here.
 *
 *   log example.com/logs/main+81907c50+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop
 *   quorum none
 */
import type { PolicyLog } from '../../proofs/policy.ts';
import { readPolicyFile } from '../policy-file.ts';

const LIST = { what: 'a list of logs', hint: 'It has a line `log VKEY` for each log, and one line `quorum none`' };

/** Reads the file that `flag` names. Throws ExitError 2 that says what is wrong with it, and where. */
export function readWitnessedLogs(flag: string, path: string): readonly PolicyLog[] {
  return readPolicyFile(flag, path, LIST, ({ logs }) => logs);
}
