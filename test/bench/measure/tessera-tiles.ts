/** Tessera with a log that has full tiles, to be read from its own server. */
import { setTimeout as wait } from 'node:timers/promises';
import { TILE_WIDTH, tilePath } from '../../../tree/tiles.ts';
import type { Bench } from '../scenario.ts';
import type { Subject } from '../subjects/subject.ts';
import { startTessera } from '../subjects/tessera.ts';
import { rawEntries } from './payloads.ts';
import { getAll, type Read, read } from './reading.ts';
import { applyLoad, prepare } from './wrk.ts';

/** Full tiles that are asked for in turn. */
export const TILES = 64;

const ENTRIES = TILES * TILE_WIDTH;

export const FULL_TILES = Array.from({ length: TILES }, (_, index) => tilePath({ level: 0, index, width: TILE_WIDTH }));

/** A folder of Tessera's with so many full tiles, made once in a run. A larger log would cost the same: each tile is a file. */
function storage(bench: Bench, program: string): Promise<string> {
  return bench.once('tessera-tiles', async (folder) => {
    const subject = await startTessera(program, folder);
    const bodies = rawEntries(200);
    const requests = prepare(
      bench.folder('requests'),
      'add',
      bodies.map((body) => ({ method: 'POST', path: '/add', body })),
    );
    while ((await size(subject)) < ENTRIES) {
      await applyLoad({ subject, requests, connections: 256, seconds: 1, warmUp: 0 });
      await wait(2000);
    }
    await subject.stop();
    return folder;
  });
}

async function size({ url }: Subject): Promise<number> {
  return Number((await (await fetch(`${url}/checkpoint`)).text()).split('\n')[1]);
}

/** Full tiles from Tessera's own server. */
export async function readTesseraTiles(bench: Bench, program: string): Promise<Read> {
  const subject = await startTessera(program, await storage(bench, program));
  const paths = FULL_TILES.map((path) => `/${path}`);
  await getAll(subject, paths);
  const round = await read(bench, subject, paths);
  await subject.stop();
  return round;
}
