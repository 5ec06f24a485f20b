/** Keeps both heads of a contradiction as files that anybody can verify: whoever is asked what happened needs them. */
import { join } from 'node:path';
import { toHex } from '../../tree/bytes.ts';
import { createWhole, makeDirectory } from '../files.ts';
import type { Contradiction } from './contradiction.ts';

/**
 * Writes `LOG-SIZE-ROOT.checkpoint` for the head that the witness holds and for ours, unless they are there; returns the folder. What
 * cannot be written is told instead of the folder: the contradiction itself must be heard in any case.
 */
export function keepEvidence(folder: string, { log, own, held }: Contradiction): string {
  try {
    makeDirectory(folder, 0o700);
    for (const { treeSize, rootHash, note } of [{ ...own, note: own.checkpoint }, held]) {
      const name = `${log.name}-${treeSize}-${toHex(rootHash).slice(0, 16)}.checkpoint`;
      createWhole(join(folder, name), () => Buffer.from(note));
    }
    return folder;
  } catch (error) {
    return `no file (${(error as Error).message}): ${JSON.stringify(held.note)}`;
  }
}
