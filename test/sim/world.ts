/**
 * The world of the history that is simulated just now. LevelDB and the file system are reached by production code through imports and
 * paths, not through arguments, and so what stands in for them (fake-level.ts, virtual-files.ts) finds its world here.
 */
import type { Faults } from './faults.ts';
import type { SimProcess } from './machine.ts';
import type { Scheduler } from './scheduler.ts';

/** A file of which blocks are written. */
export interface VirtualFile {
  readonly bytes: Uint8Array;
  readonly inode: number;
}

export interface World {
  readonly random: () => number;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly files: Map<string, VirtualFile>;
  /** Who opens files and databases just now: opening them is synchronous. */
  opening: SimProcess | undefined;
}

let current: World | undefined;

/** Begins another history. */
export function enter(world: World): void {
  current = world;
}

export function world(): World {
  if (current === undefined) throw new Error('there is no simulated world yet');
  return current;
}

export function opener(): SimProcess {
  const { opening } = world();
  if (opening === undefined) throw new Error('nobody of the simulated world opens anything now');
  return opening;
}
