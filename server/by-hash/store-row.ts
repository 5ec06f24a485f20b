/** The row that says what a derived store is: of which server, in which layout, and the secret of its keys. */
import { concatBytes, equalBytes } from '../../tree/bytes.ts';
import type { DerivedRow } from '../storage/derived.ts';
import { SECRET_SIZE } from './leaf-keys.ts';
import { IndexDamage, seal, unseal } from './runs.ts';

export const STORE_ROW = Uint8Array.of(0);
/** Layout 1 had a row a leaf, and no number. */
const LAYOUT = 2;

/** u8 layout ‖ the number 1 as a word of this machine ‖ store id (32) ‖ secret, sealed. Rows hold words as the machine has them. */
function start(storeId: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(LAYOUT), new Uint8Array(Uint32Array.of(1).buffer), storeId);
}

export function storeRow(storeId: Uint8Array, secret: Uint8Array): DerivedRow {
  return { key: STORE_ROW, value: seal(STORE_ROW, concatBytes(start(storeId), secret)) };
}

/** The secret of a store of this server that this machine can read; `undefined` where it is anything else, or damaged. */
export function secretOf(value: Uint8Array | undefined, storeId: Uint8Array): Uint8Array | undefined {
  let content: Uint8Array;
  try {
    content = unseal(STORE_ROW, value);
  } catch (error) {
    if (error instanceof IndexDamage) return undefined;
    throw error;
  }
  const wanted = start(storeId);
  const secret = content.subarray(wanted.length);
  return secret.length === SECRET_SIZE && equalBytes(content.subarray(0, wanted.length), wanted) ? secret : undefined;
}
