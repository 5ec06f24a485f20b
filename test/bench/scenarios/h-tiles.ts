/** GET of full tiles that are in memory: against nginx with the same bytes in files, and against Tessera's own server. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HASH_SIZE } from '../../../tree/hash.ts';
import { TILE_WIDTH } from '../../../tree/tiles.ts';
import { type Read, read, readBareHttp, readCpu, readIndelible, readSeries } from '../measure/reading.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { LOG, rawStore } from '../measure/stores.ts';
import { FULL_TILES, readTesseraTiles } from '../measure/tessera-tiles.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import { Indelible } from '../subjects/indelible.ts';
import { findNginx, startNginx } from '../subjects/nginx.ts';
import { findTessera } from '../subjects/tessera.ts';

export const scenario: Scenario = {
  id: 'h',
  title: 'GET of a full tile, hot',
  quick: true,
  async run(bench: Bench): Promise<Finding> {
    const full = bench.mode === 'full';
    const [nginxPeer, tesseraPeer] = [findNginx(), findTessera(bench)];
    const dataDir = await rawStore(bench, full ? 1_000_000 : 100_000);
    const paths = FULL_TILES.map((path) => `/logs/${LOG}/${path}`);
    const nginxRound = (keepsOpen: boolean) =>
      full && 'found' in nginxPeer ? () => readNginx(bench, nginxPeer.found, { dataDir, keepsOpen }) : undefined;
    const { indelible, nginx, shipped, tessera, bare } = await alternate(bench.pairs, {
      indelible: () => readIndelible(bench, dataDir, { paths, warm: paths }),
      nginx: nginxRound(true),
      shipped: nginxRound(false),
      tessera: full && 'found' in tesseraPeer ? () => readTesseraTiles(bench, tesseraPeer.found) : undefined,
      bare: () => readBareHttp(bench, TILE_WIDTH * HASH_SIZE),
    });
    const againstNginx = [
      {
        text: 'GETs a core against nginx that keeps its files open: its CPU per GET against ours',
        values: ratios(nginx, readCpu, indelible, readCpu),
        atLeast: 0.4,
        aim: 0.5,
      },
      {
        text: 'GETs a core against nginx as shipped, which opens a file for each',
        values: ratios(shipped, readCpu, indelible, readCpu),
      },
    ];
    const againstTessera = {
      text: 'GETs a core against Tessera’s server: its CPU per GET against ours',
      values: ratios(tessera, readCpu, indelible, readCpu),
      atLeast: 2,
    };
    return {
      series: [indelible, nginx, shipped, tessera, bare].flatMap((rounds) => readSeries('8 KiB', rounds)),
      ratios: [
        ...(nginx.length > 0 ? againstNginx : []),
        ...(tessera.length > 0 ? [againstTessera] : []),
        { text: 'CPU per GET, in bare requests', values: ratios(indelible, readCpu, bare, readCpu), kept: true },
      ],
      skipped: full ? [nginxPeer, tesseraPeer].flatMap((peer) => ('missing' in peer ? [peer.missing] : [])) : [],
    };
  },
};

async function readNginx(
  bench: Bench,
  program: string,
  { dataDir, keepsOpen }: { readonly dataDir: string; readonly keepsOpen: boolean },
): Promise<Read> {
  const subject = await startNginx(bench, program, { root: await staticTiles(bench, dataDir), keepsOpen });
  const round = await read(
    bench,
    subject,
    FULL_TILES.map((path) => `/${path}`),
  );
  await subject.stop();
  return round;
}

/** The same tiles as files. */
function staticTiles(bench: Bench, dataDir: string): Promise<string> {
  return bench.once('static-tiles', async (folder) => {
    const server = await Indelible.start({ dataDir });
    for (const path of FULL_TILES) {
      const tile = await (await fetch(`${server.log(LOG)}/${path}`)).arrayBuffer();
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), new Uint8Array(tile));
    }
    await server.close();
    return folder;
  });
}
