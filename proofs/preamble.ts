/** Texts that are some lines, an empty line, and signed notes as they are: requests to witnesses, offline proofs, fraud proofs. */
import { fromUtf8 } from '../tree/bytes.ts';
import type { NoteError } from './error.ts';

/** Most hashes that a proof can have, one a line: a tree of 2^63 leaves has so many levels. */
export const MAX_PROOF_HASHES = 63;

/**
 * The lines before the first empty line, without their newlines, and all that follows it. `malformed` makes the error of the format;
 * `notes` is what has to follow, for people.
 */
export function splitPreamble(
  bytes: Uint8Array,
  notes: string,
  malformed: (reason: string, cause?: unknown) => NoteError,
): { readonly lines: readonly string[]; readonly rest: string } {
  let text: string;
  try {
    text = fromUtf8(bytes);
  } catch (cause) {
    throw malformed('it is not UTF-8', cause);
  }
  const end = text.indexOf('\n\n');
  if (end < 0) throw malformed(`there is no empty line before ${notes}`);
  return { lines: text.slice(0, end).split('\n'), rest: text.slice(end + 2) };
}
