/** What is durable but not yet under a signed head: shown when it is, or not at all. */
import { ServerError } from '../errors.ts';
import type { LogCall } from './call.ts';
import { decimal } from './request.ts';

/** The leaf index that a path names, once a head covers it. Throws ServerError `bad_parameter`, `no_such_entry`, `not_signed_yet`. */
export async function signedIndex(call: LogCall, text: string): Promise<number> {
  const leafIndex = decimal(text, 'the leaf index');
  const { treeSize } = call.log.state;
  if (leafIndex >= treeSize) {
    throw new ServerError('no_such_entry', `the log has ${treeSize} entries; the first has index 0`);
  }
  await waitUntilSigned(call, leafIndex + 1);
  return leafIndex;
}

/** Waits a little until a head of that size is published. Throws ServerError `not_signed_yet`. */
export async function waitUntilSigned({ log, server, limits }: LogCall, treeSize: number): Promise<void> {
  if (await server.publisher.waitFor(log, treeSize, limits.readTimeout)) return;
  throw new ServerError('not_signed_yet', 'the entry is durable, but no signed head covers it yet; ask again');
}
