/** A round of writing: a subject starts on an empty folder, warms up and is measured; ours ends with kill -9 and a look for its entries. */
import type { Bench } from '../scenario.ts';
import { startBareHttp } from '../subjects/bare-http.ts';
import { Indelible } from '../subjects/indelible.ts';
import type { Subject } from '../subjects/subject.ts';
import { startTessera } from '../subjects/tessera.ts';
import { crashAndLook } from './crash.ts';
import { allocatedBytes } from './disk.ts';
import type { Body } from './payloads.ts';
import type { Form } from './recorder.ts';
import { LOG } from './stores.ts';
import { memoryOf } from './usage.ts';
import { applyLoad, prepare } from './wrk.ts';

export interface Writing {
  readonly form: Form;
  /** Sent in turn, each time with other unique digits. */
  readonly bodies: readonly Body[];
  readonly connections: number;
}

/** What a round has seen; rates and CPU are of entries, not requests. */
export interface Written {
  readonly subject: string;
  readonly perSecond: number;
  /** Of ours, counted until every leaf can be found by its hash. */
  readonly indexedPerSecond: number;
  /** Server CPU for an entry in µs, with that of the index until then. */
  readonly cpuMicros: number;
  /** Of requests, in ms. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Median under load, and the largest since the start. */
  readonly rssBytes: number;
  readonly peakRssBytes: number;
  /** On the disk for an entry, at once, before anything was compacted. */
  readonly diskBytes: number;
  /** Compared after kill -9. */
  readonly found: number;
}

export const rate = ({ perSecond }: Written): number => perSecond;
export const indexedRate = ({ indexedPerSecond }: Written): number => indexedPerSecond;
export const cpu = ({ cpuMicros }: Written): number => cpuMicros;

/** Ours, with every check on, by-hash index included. */
export async function writeIndelible(bench: Bench, writing: Writing): Promise<Written> {
  const dataDir = bench.folder('data');
  const server = await Indelible.start({ dataDir });
  await server.createLog(LOG, writing.form === 'events' ? 'events' : 'raw');
  return writeInto(bench, server, writing, { storage: dataDir });
}

/** The same into the log `bench` of a server that runs. `storage`: its directory, if it holds nothing but what is written now. */
export async function writeInto(
  bench: Bench,
  server: Indelible,
  writing: Writing,
  counted: { readonly storage?: string } = {},
): Promise<Written> {
  const requests = requestsFor(bench, server, `/logs/${LOG}/${writing.form}`, writing);
  const written = await measure(bench, server, requests, writing, { ...counted, settle: () => server.indexed() });
  bench.progress('kill -9 under load, and a look for what was acknowledged');
  const found = await crashAndLook({ server, logs: [LOG], requests, ...writing });
  await server.stop();
  return { ...written, found };
}

/** Tessera as shipped; it takes single entries only. */
export async function writeTessera(bench: Bench, program: string, writing: Writing): Promise<Written> {
  const storage = bench.folder('tessera');
  const server = await startTessera(program, storage);
  const written = await measure(bench, server, requestsFor(bench, server, '/add', writing), writing, { storage });
  await server.stop();
  return written;
}

/** The yardstick, which reads the body and stores nothing. */
export async function writeBareHttp(bench: Bench, writing: Writing): Promise<Written> {
  const server = await startBareHttp();
  const written = await measure(bench, server, requestsFor(bench, server, '/add', writing), writing, {});
  await server.stop();
  return written;
}

function requestsFor(bench: Bench, { headers }: Subject, path: string, { form, bodies }: Writing): string {
  const type = form === 'events' ? 'application/x-ndjson' : 'application/octet-stream';
  return prepare(
    bench.folder('requests'),
    form,
    bodies.map((body) => ({ method: 'POST', path, headers: { ...headers, 'content-type': type }, body })),
  );
}

async function measure(
  bench: Bench,
  subject: Subject,
  requests: string,
  { bodies, connections }: Writing,
  { storage, settle }: { readonly storage?: string; readonly settle?: () => Promise<void> },
): Promise<Written> {
  bench.progress(`${subject.name} at ${connections} connections`);
  const load = await applyLoad({
    ...{ subject, requests, connections, seconds: bench.seconds },
    ...(settle === undefined ? {} : { settle }),
  });
  const entries = Math.max(1, (bodies[0] as Body).unique.length);
  const all = (load.requests + load.warmUpRequests) * entries;
  return {
    subject: subject.name,
    perSecond: load.perSecond * entries,
    indexedPerSecond: settle === undefined ? 0 : (load.requests * entries) / load.settledSeconds,
    cpuMicros: load.cpuMicros / entries,
    p50: load.p50,
    p99: load.p99,
    p999: load.p999,
    rssBytes: load.rssBytes,
    peakRssBytes: memoryOf(subject.pid).peakRssBytes,
    diskBytes: storage === undefined ? 0 : allocatedBytes(storage) / all,
    found: 0,
  };
}
