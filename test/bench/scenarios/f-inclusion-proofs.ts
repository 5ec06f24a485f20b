/** Inclusion proofs, made by our server, against the tiles of which a client of Tessera makes one itself. */
import { everyTile, inclusionPaths, PROOF_SIZE } from '../measure/proofs.ts';
import { readBareHttp, readCpu, readIndelible, readSeries } from '../measure/reading.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { rawStore } from '../measure/stores.ts';
import { readTesseraTiles } from '../measure/tessera-tiles.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import { findTessera } from '../subjects/tessera.ts';

/** In a million entries a path has a tile on each of three levels. */
const TILES_A_PROOF = 3;

export const scenario: Scenario = {
  id: 'f',
  title: 'inclusion proofs in JSON, random index in 1 M entries (quick: 100,000), tiles warm',
  quick: true,
  async run(bench: Bench): Promise<Finding> {
    const full = bench.mode === 'full';
    const entries = full ? 1_000_000 : 100_000;
    const peer = findTessera(bench);
    const dataDir = await rawStore(bench, entries);
    const paths = inclusionPaths(0, entries);
    const { indelible, tessera, bare } = await alternate(bench.pairs, {
      indelible: () => readIndelible(bench, dataDir, { paths, warm: everyTile(0, entries) }),
      tessera: full && 'found' in peer ? () => readTesseraTiles(bench, peer.found) : undefined,
      bare: () => readBareHttp(bench, PROOF_SIZE),
    });
    const against = {
      text: 'CPU per proof against three tile GETs of Tessera (of a smaller log; a GET costs the same)',
      values: ratios(indelible, readCpu, tessera, (round) => TILES_A_PROOF * readCpu(round)),
      atMost: 1 / 3,
      aim: 0.25,
    };
    return {
      series: [
        ...readSeries('proofs', indelible),
        ...readSeries('a full tile', tessera),
        ...readSeries(`${PROOF_SIZE} B`, bare),
      ],
      ratios: [
        ...(tessera.length > 0 ? [against] : []),
        { text: 'CPU per proof, in bare requests', values: ratios(indelible, readCpu, bare, readCpu), kept: true },
      ],
      skipped: full && 'missing' in peer ? [peer.missing] : [],
    };
  },
};
