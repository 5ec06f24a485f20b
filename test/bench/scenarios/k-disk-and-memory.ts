/** What a raw entry of 200 bytes takes on the disk when all compactions are done, and what the server takes of memory. */
import { setTimeout as wait } from 'node:timers/promises';
import { allocatedBytes } from '../measure/disk.ts';
import { rawBatch, rawEntries } from '../measure/payloads.ts';
import { alternate } from '../measure/rounds.ts';
import { foundIn, writtenSeries } from '../measure/series.ts';
import { LOG, rawStore } from '../measure/stores.ts';
import { memoryOf, sampleMemory } from '../measure/usage.ts';
import { type Written, writeIndelible } from '../measure/writing.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import { Indelible } from '../subjects/indelible.ts';

const LARGE = 10_000_000;

/** Seconds without any change that count as compacted. */
const QUIET = 10;
/** Seconds of doing nothing after a start before the memory counts as idle, and while it is watched. */
const IDLE = 10;
/** Seconds of scrub after which its memory is looked at: 160 MB of tables at the default rate. */
const SCRUBBED = 40;

interface Idle {
  readonly bytesPerEntry: number;
  readonly rss: number;
  readonly peakRss: number;
  /** Without the pages of mapped files. */
  readonly own: number;
  /** With the scrub at work: it reads tables, and what is read of a mapped file counts. */
  readonly scrubbing: number;
}

async function idleStore(bench: Bench): Promise<Idle> {
  const dataDir = await rawStore(bench, LARGE);
  const server = await Indelible.start({ dataDir });
  const size = await server.size(LOG);
  bench.progress('idle at 10 M entries');
  await wait(IDLE * 1000);
  const memory = sampleMemory(server.pid);
  await wait(IDLE * 1000);
  const rss = memory.median();
  const { peakRssBytes, ownBytes } = memoryOf(server.pid);
  bench.progress('until the files change no more');
  const bytes = await settledBytes(dataDir);
  await server.close();
  const scrubbing = await scrubbingMemory(bench, dataDir);
  return { bytesPerEntry: bytes / size, rss: rss / 1e6, peakRss: peakRssBytes / 1e6, own: ownBytes / 1e6, scrubbing };
}

async function scrubbingMemory(bench: Bench, dataDir: string): Promise<number> {
  const server = await Indelible.start({ dataDir, flags: ['--scrub-delay', '0'] });
  bench.progress('with the scrub at work');
  await wait(SCRUBBED * 1000);
  const { rssBytes } = memoryOf(server.pid);
  await server.close();
  return rssBytes / 1e6;
}

/** The whole directory once it has stayed the same for a while. */
async function settledBytes(folder: string): Promise<number> {
  for (let before = allocatedBytes(folder), since = performance.now(); ; ) {
    await wait(1000);
    const now = allocatedBytes(folder);
    if (now !== before) since = performance.now();
    else if (performance.now() - since >= QUIET * 1000) return now;
    before = now;
  }
}

export const scenario: Scenario = {
  id: 'k',
  title: 'disk for a raw entry of 200 B, index on, compacted; memory under load and idle',
  quick: false,
  async run(bench: Bench): Promise<Finding> {
    const bodies = Array.from({ length: 4 }, () => rawBatch(1000, 200));
    const { singles, batches } = await alternate(bench.pairs, {
      singles: () => writeIndelible(bench, { form: 'add', bodies: rawEntries(200), connections: 256 }),
      batches: () => writeIndelible(bench, { form: 'add-batch', bodies, connections: 4 }),
    });
    const idle = await idleStore(bench);
    const common = { subject: 'indelible', under: '10 M entries' };
    const megabytes = ({ rssBytes }: Written): number => rssBytes / 1e6;
    return {
      series: [
        ...writtenSeries('single entries, 256 connections', singles),
        ...writtenSeries('batches of 1,000', batches),
        { ...common, figure: 'RSS', unit: 'MB', values: [idle.rss] },
        { ...common, figure: 'peak RSS', unit: 'MB', values: [idle.peakRss] },
        { ...common, figure: 'RSS without mapped files', unit: 'MB', values: [idle.own] },
        { ...common, under: '10 M entries, scrub at work', figure: 'RSS', unit: 'MB', values: [idle.scrubbing] },
        { ...common, figure: 'disk', unit: 'B', values: [idle.bytesPerEntry] },
      ],
      ratios: [
        {
          text: 'disk for a raw entry of 200 B, everything in the data directory',
          unit: 'B',
          values: [idle.bytesPerEntry],
          atMost: 325,
          aim: 280,
        },
        { text: 'RSS, median under single entries', unit: 'MB', values: singles.map(megabytes), atMost: 220 },
        { text: 'RSS, median under batches', unit: 'MB', values: batches.map(megabytes), atMost: 320 },
        { text: 'RSS, idle at 10 M entries', unit: 'MB', values: [idle.rss], atMost: 160 },
      ],
      found: foundIn(singles, batches),
    };
  },
};
