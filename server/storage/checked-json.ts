/**
 * Rows that are JSON objects. The last member, `check`, is the SHA-256 of the text without it: no hash of the tree stands behind
 * these rows, and a flipped bit in a name or a pointer would be another name or pointer. Rows without it are older than it, and hold.
 */
import { sha256 } from '#sha256';
import { fromUtf8, toHex, utf8 } from '../../tree/bytes.ts';

export function encodeChecked(members: Readonly<Record<string, unknown>>): Uint8Array {
  return utf8(JSON.stringify({ ...members, check: checkOf(members) }));
}

/** The members without `check`. Throws a RangeError on what is no JSON object, or not the one that was written. */
export function parseChecked(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let row: unknown;
  try {
    row = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new RangeError('it is not JSON', { cause });
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) throw new RangeError('it is not a JSON object');
  const { check, ...members } = row as Record<string, unknown>;
  if (check !== undefined && check !== checkOf(members)) throw new RangeError('its check does not match');
  return members;
}

/** 32 hex digits. */
function checkOf(members: Readonly<Record<string, unknown>>): string {
  return toHex(sha256(utf8(JSON.stringify(members))).subarray(0, 16));
}
