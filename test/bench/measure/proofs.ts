/** Which proofs are asked for, of the log `bench`. */
import { TILE_WIDTH } from '../../../tree/tiles.ts';
import { randomPaths } from './reading.ts';
import { LOG } from './stores.ts';

/** So many different requests that every tile of a million entries is met ten times. */
const REQUESTS = 40_000;

/** About what a proof in JSON takes, in a log of a million entries. */
export const PROOF_SIZE = 1500;

const inclusionPath = (index: number): string => `/logs/${LOG}/proofs/inclusion?index=${index}`;

/** Inclusion proofs of entries at random, of `count` from `first` on. */
export function inclusionPaths(first: number, count: number): string[] {
  return randomPaths(REQUESTS, (below) => inclusionPath(first + below(count)));
}

/** Consistency proofs between two sizes at random, the first at least 1. */
export function consistencyPaths(size: number): string[] {
  return randomPaths(REQUESTS, (below) => {
    const second = 2 + below(size - 1);
    return `/logs/${LOG}/proofs/consistency?first=${1 + below(second - 1)}&second=${second}`;
  });
}

/** One proof from each tile: after these all tiles are in memory, if they fit. */
export function* everyTile(first: number, count: number): Generator<string> {
  for (let index = first; index < first + count; index += TILE_WIDTH) yield inclusionPath(index);
}
