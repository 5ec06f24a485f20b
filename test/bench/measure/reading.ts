/** A round of GETs over a list of paths, in turn, from connections that each wait for their answer. */
import { randomInt } from 'node:crypto';
import type { Bench, Series } from '../scenario.ts';
import { startBareHttp } from '../subjects/bare-http.ts';
import { Indelible } from '../subjects/indelible.ts';
import type { Subject } from '../subjects/subject.ts';
import { forEach } from './concurrency.ts';
import { applyLoad, prepare } from './wrk.ts';

const CONNECTIONS = 64;

/** What a round has seen. */
export interface Read {
  readonly subject: string;
  readonly perSecond: number;
  /** Server CPU for a reply, in µs. */
  readonly cpuMicros: number;
  /** In ms. */
  readonly p50: number;
  readonly p99: number;
}

export const readRate = ({ perSecond }: Read): number => perSecond;
export const readCpu = ({ cpuMicros }: Read): number => cpuMicros;

/** Warms up and measures; a subject's key is not sent, as what is read is public. */
export async function read(bench: Bench, subject: Subject, paths: readonly string[]): Promise<Read> {
  bench.progress(`${subject.name}: GET ${paths[0]} and others`);
  const requests = prepare(
    bench.folder('requests'),
    'get',
    paths.map((path) => ({ method: 'GET', path })),
  );
  // Reading is steady, so that the quick form needs less of it.
  const times = bench.mode === 'full' ? { seconds: bench.seconds } : { seconds: 2, warmUp: 1 };
  const load = await applyLoad({ subject, requests, connections: CONNECTIONS, ...times });
  const { perSecond, cpuMicros, p50, p99 } = load;
  return { subject: subject.name, perSecond, cpuMicros, p50, p99 };
}

/** Ours on a data directory; all of `warm` is asked for once before. */
export async function readIndelible(
  bench: Bench,
  dataDir: string,
  { paths, warm }: { readonly paths: readonly string[]; readonly warm: Iterable<string> },
): Promise<Read> {
  const server = await Indelible.start({ dataDir });
  await getAll(server, warm);
  const round = await read(bench, server, paths);
  await server.close();
  return round;
}

/** The yardstick, with replies of so many bytes. */
export async function readBareHttp(bench: Bench, size: number): Promise<Read> {
  const server = await startBareHttp();
  const round = await read(bench, server, [`/${size}`]);
  await server.stop();
  return round;
}

/** Asks for each of these once. */
export async function getAll(subject: Subject, paths: Iterable<string>): Promise<void> {
  await forEach(paths, 16, async (path) => {
    const response = await fetch(`${subject.url}${path}`);
    if (response.status !== 200) throw new Error(`${path}: ${response.status}`);
    await response.arrayBuffer();
  });
}

/** `count` paths, made from numbers at random. */
export function randomPaths(count: number, make: (below: (limit: number) => number) => string): string[] {
  return Array.from({ length: count }, () => make((limit) => randomInt(limit)));
}

export function readSeries(under: string, rounds: readonly Read[]): Series[] {
  const series = (figure: string, unit: string, value: (round: Read) => number): Series => ({
    ...{ subject: rounds[0]?.subject ?? '', under, figure, unit },
    values: rounds.map(value),
  });
  if (rounds.length === 0) return [];
  return [
    series('replies', '/s', readRate),
    series('CPU', 'µs', readCpu),
    series('p50', 'ms', ({ p50 }) => p50),
    series('p99', 'ms', ({ p99 }) => p99),
  ];
}
