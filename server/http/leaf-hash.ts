/** Asking by leaf hash: its two spellings, and the leaf it is of. */
import { fromBase64, fromHex } from '../../tree/bytes.ts';
import { HASH_SIZE } from '../../tree/hash.ts';
import { ServerError } from '../errors.ts';
import type { LogCall } from './call.ts';

/** A hash in base64. Of a plus sign that was not percent-encoded, a space is left. Throws ServerError `bad_parameter`. */
export function hashFromBase64(text: string, name: string): Uint8Array {
  return read(name, 'base64', () => fromBase64(text.replaceAll(' ', '+')));
}

/** A hash in base64 or in 64 hex digits. Throws ServerError `bad_parameter`. */
export function hashFromText(text: string, name: string): Uint8Array {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) return hashFromBase64(text, name);
  return read(name, 'hex', () => fromHex(text.toLowerCase()));
}

function read(name: string, form: string, decode: () => Uint8Array): Uint8Array {
  let hash: Uint8Array | undefined;
  try {
    hash = decode();
  } catch {
    // Said below.
  }
  if (hash?.length === HASH_SIZE) return hash;
  throw new ServerError('bad_parameter', `the parameter ${name} is no hash of ${HASH_SIZE} bytes in ${form}`);
}

/** The first leaf with this hash in the tree of that size. Throws ServerError `no_such_entry`, `index_behind`, `damaged`. */
export async function findLeaf({ log, server }: LogCall, leafHash: Uint8Array, treeSize: number): Promise<number> {
  const leafIndex = await server.leafIndex.find(log, leafHash, treeSize);
  if (leafIndex !== undefined) return leafIndex;
  throw new ServerError('no_such_entry', `no leaf of the first ${treeSize} has this hash`, {
    details: { tree_size: treeSize },
  });
}
