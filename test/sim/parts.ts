/** The production code that is simulated, loaded from a build as it stands: the project's own, or one with a bug planted in it. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface Parts {
  readonly start: typeof import('../../server/start.ts');
  readonly guard: typeof import('../../server/guard.ts');
  readonly level: typeof import('../../server/storage/level.ts');
  readonly recovery: typeof import('../../server/recovery.ts');
  readonly directory: typeof import('../../server/data-directory.ts');
  readonly pointers: typeof import('../../server/ingest/event-id.ts');
  readonly frames: typeof import('../../server/frames.ts');
  readonly errors: typeof import('../../server/errors.ts');
  readonly prover: typeof import('../../server/prover.ts');
}

const FILES: Record<keyof Parts, string> = {
  start: 'start.js',
  guard: 'guard.js',
  level: 'storage/level.js',
  recovery: 'recovery.js',
  directory: 'data-directory.js',
  pointers: 'ingest/event-id.js',
  frames: 'frames.js',
  errors: 'errors.js',
  prover: 'prover.js',
};

export async function loadParts(build: string): Promise<Parts> {
  const loaded = Object.entries(FILES).map(async ([name, file]) => [
    name,
    await import(pathToFileURL(join(build, 'server', file)).href),
  ]);
  return Object.fromEntries(await Promise.all(loaded)) as Parts;
}
