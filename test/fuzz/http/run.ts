/** Fuzzes the HTTP surface of a real server: hundreds of thousands of requests, most of them wrong, over connections that are reused. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROUTES } from '../../../server/http/routes.ts';
import { encodeBundle } from '../../../tree/bundles.ts';
import { fromBase64, toBase64, utf8 } from '../../../tree/bytes.ts';
import { leafHash } from '../../../tree/hash.ts';
import { within } from '../../faults/expected.ts';
import { CutLines } from '../../support/cut-lines.ts';
import { BUILD, ServerProcess } from '../../support/spawn-server.ts';
import { logsFile } from '../../support/witnessed-log.ts';
import { show } from '../target.ts';
import { Client } from './client.ts';
import { FROZEN_SIZE, LOGS, MADE, nameOf, WITNESSED, type World } from './corpus.ts';
import { documentedCodes } from './documented.ts';
import { canaryRequest, type Exchange, makeExchange } from './exchanges.ts';
import { slowClients, tooManyConnections } from './limits.ts';
import { growthOf, Machine } from './machine.ts';
import { lasting, Oracle } from './oracle.ts';
import { replyAt, type WireReply } from './replies.ts';

export interface HttpRun {
  readonly build?: string;
  readonly count: number;
  readonly seed: number;
  /** Whether limits of time and number are tried too, and whether also those that take minutes. */
  readonly limits: 'none' | 'short' | 'long';
  readonly progress?: (done: number, text: string) => void;
}

export interface HttpReport {
  readonly requests: number;
  readonly violations: readonly { readonly seed: number; readonly text: string }[];
  readonly seen: Readonly<Record<string, number>>;
}

const CONNECTIONS = 40;
const ENOUGH = 5;
/**
 * Bytes by which the server's memory may grow after it has warmed up. Its caches fill slowly: bundles have 16 MiB, LevelDB's buffers and blocks 20,
 * and Node's old objects what the collector leaves to a quick machine. Honest runs of 50,000 requests had 37 to 58 MiB, one of 1,000,000 less than 50.
 */
const MAX_GROWTH = 80 * 1_048_576;
/** Requests below which a run says nothing about growth. */
const GROWTH_COUNT = 8000;

/** Small limits, so that what is too large need not be large; a folder in memory, so that a slow disk is not taken for a slow server. */
const FLAGS = [
  '--interval',
  '20',
  '--log-level',
  'debug',
  '--max-event-size',
  '16384',
  '--max-body-size',
  '65536',
  '--max-events',
  '100',
  // Wrong keys by the hundred come from the address of the good ones.
  '--failed-logins',
  '0',
];

export async function fuzzHttp({ build = BUILD, count, seed, limits, progress }: HttpRun): Promise<HttpReport> {
  const dataDir = mkdtempSync(join(memoryFolder(), 'indelible-fuzz-'));
  const violations: { seed: number; text: string }[] = [];
  const violated = (text: string): void => void violations.push({ seed, text });
  const cuts = new CutLines();
  try {
    const { onLine } = cuts;
    const logs = join(dataDir, 'logs.txt');
    writeFileSync(logs, logsFile(WITNESSED));
    const flags = [...FLAGS, '--witness-logs', logs, '--witness-name', 'witness.example'];
    const server = await ServerProcess.start({ dataDir: join(dataDir, 'data'), build, flags, onLine });
    if (server.url === '') throw new Error(`the server did not start: ${server.stderr}`);
    const { world, oracle } = await prepare(server);
    const port = Number(new URL(server.url).port);
    const slow = limits === 'none' ? Promise.resolve([]) : slowClients(port, limits);
    const load = await loaded({
      server,
      world,
      oracle,
      cuts,
      port,
      count,
      seed,
      violated,
      ...(progress === undefined ? {} : { progress }),
    });
    const exit = violations.length === 0 ? undefined : await within(server.exited, 200);
    if (exit !== undefined)
      violated(`the server ended with ${exit.code ?? exit.signal}: ${server.stderr.slice(-6000)}`);
    const alive = exit === undefined && server.child.exitCode === null && server.child.signalCode === null;
    if (alive && violations.length === 0) {
      for (const fault of await slow) violated(fault);
      if (limits !== 'none') for (const fault of await tooManyConnections(port)) violated(fault);
      for (const fault of await oracle.check(server)) violated(fault);
      for (const fault of await ended(server, join(dataDir, 'data'), build)) violated(fault);
    }
    const statuses = [...oracle.statuses]
      .sort(([a], [b]) => a - b)
      .map(([status, times]) => [`status ${status}`, times]);
    return {
      requests: load.requests,
      violations,
      seen: {
        connections: load.connections,
        canaries: load.canaries,
        acknowledged: oracle.events.acknowledged.size,
        'MiB grown': Math.round(load.growth / 1_048_576),
        'cut with an excuse': load.excused,
        ...Object.fromEntries([...cuts.counts].sort().map(([reason, times]) => [`cut: ${reason}`, times])),
        ...Object.fromEntries(statuses),
      },
    };
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function memoryFolder(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

async function post(server: ServerProcess, path: string, body: unknown, type = 'application/json'): Promise<Response> {
  const content = body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body);
  const reply = await server.fetch(path, { method: 'POST', headers: { 'content-type': type }, body: content });
  if (!reply.ok) throw new Error(`${path} answered ${reply.status}: ${await reply.text()}`);
  return reply;
}

/** Logs, keys and entries that requests are about, and the answers that must never change. */
async function prepare(server: ServerProcess): Promise<{ world: World; oracle: Oracle }> {
  await post(server, '/admin/logs', { name: LOGS.raw, kind: 'raw' });
  await post(server, '/admin/logs', { name: LOGS.frozen, kind: 'events', public_reads: true });
  for (const name of MADE) await post(server, '/admin/logs', { name, kind: 'events' });
  const events = Array.from({ length: FROZEN_SIZE }, (_, i) => `{"id":"frozen-${i}"}`);
  const hashes: string[] = [];
  for (let at = 0; at < events.length; at += 100) {
    const lines = utf8(events.slice(at, at + 100).join('\n'));
    const reply = await post(server, `/logs/${LOGS.frozen}/events?ack=signed`, lines, 'application/x-ndjson');
    const { entries } = (await reply.json()) as { entries: { leaf_hash: string }[] };
    hashes.push(...entries.map(({ leaf_hash: hash }) => hash));
  }
  await post(server, '/witness/add-checkpoint', utf8(WITNESSED.body(0, 0)), 'text/plain');
  await post(server, `/logs/${LOGS.raw}/add-batch`, encodeBundle([utf8('first')]), 'application/octet-stream');
  await post(server, `/admin/logs/${LOGS.frozen}/freeze`, {});
  const makeKey = async (scope: string, log: string | null): Promise<{ id: string; key: string }> =>
    (await (await post(server, '/admin/keys', { name: scope, scope, log })).json()) as { id: string; key: string };
  const append = await makeKey('append', null);
  const read = await makeKey('read', null);
  const spareKeys: string[] = [];
  for (let i = 0; i < 30; i++) spareKeys.push((await makeKey('read', LOGS.frozen)).id);
  const world = { keys: { append: append.key, read: read.key }, spareKeys, hashes };
  const oracle = new Oracle(documentedCodes(), await canaries(server));
  await oracle.events.meet(server);
  oracle.raw.set(0, toBase64(leafHash(utf8('first'))));
  if (fromBase64(hashes[0] as string).length !== 32) throw new Error('the server gave no leaf hash');
  return { world, oracle };
}

/** The answer to each canary, read over a connection of its own. */
async function canaries(server: ServerProcess): Promise<string[]> {
  const answers: string[] = [];
  const number = Number(new URL(server.url).port);
  const { connect } = await import('node:net');
  const socket = connect({ port: number, host: '127.0.0.1' });
  let received = Buffer.alloc(0);
  for (let index = 0; index < FROZEN_SIZE; index++) {
    socket.write(canaryRequest(index));
    for (let reply: ReturnType<typeof replyAt> = 'incomplete'; reply === 'incomplete'; ) {
      const chunk = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
      received = Buffer.concat([received, chunk]);
      reply = replyAt(received, 0, false);
      if (reply === 'incomplete') continue;
      if ('fault' in reply || reply.status !== 200) throw new Error(`canary ${index}: ${JSON.stringify(reply)}`);
      answers.push(lasting(reply as WireReply));
      received = received.subarray((reply as WireReply).end);
    }
  }
  socket.destroy();
  return answers;
}

interface Load {
  readonly requests: number;
  readonly connections: number;
  readonly canaries: number;
  readonly growth: number;
  /** Connections that were cut for a limit of time, on a machine that was late. */
  readonly excused: number;
}

interface LoadOptions {
  readonly server: ServerProcess;
  readonly world: World;
  readonly oracle: Oracle;
  readonly cuts: CutLines;
  readonly port: number;
  readonly count: number;
  readonly seed: number;
  readonly violated: (text: string) => void;
  readonly progress?: (done: number, text: string) => void;
}

async function loaded(options: LoadOptions): Promise<Load> {
  const { server, world, oracle, cuts, port, count, seed, violated, progress } = options;
  const succeeded = new Set<string>();
  let requests = 0;
  let canaries = 0;
  let next = 0;
  let faults = 0;
  let excused = 0;
  const onFault = (exchange: Exchange, fault: string): void => {
    if (++faults <= ENOUGH) violated(`exchange ${exchange.number}: ${fault}; sent ${show(exchange.bytes)}`);
  };
  const clients = Array.from(
    { length: CONNECTIONS },
    () =>
      new Client({
        port,
        now: () => machine.now(),
        onFault,
        cutOf: (own) => cuts.of(own),
        onConnect: (own) => cuts.forget(own),
        onExcused: () => excused++,
        onReply: (exchange, answered) => {
          const fault = oracle.judge(answered);
          if (fault !== undefined) return fault;
          const { start, request, reply } = answered;
          if (start === exchange.canary?.start) {
            canaries++;
            return reply.status === 200 ? undefined : `the canary is answered ${reply.status}`;
          }
          const good = exchange.good.get(start);
          if (good === undefined || good.end !== request.end) return undefined;
          if (reply.status < 300) succeeded.add(good.route);
          // What is administered may be frozen, deleted or there already, and an id may be one of another event.
          else if (!good.route.includes('/admin/') && reply.status !== 409)
            return `a good request, ${good.route}, is answered ${reply.status}`;
          return undefined;
        },
      }),
  );
  const machine = new Machine(
    server.child.pid as number,
    () => requests,
    () => {
      const now = machine.now();
      for (const client of clients) client.look(now);
      progress?.(requests, `${canaries} canaries`);
    },
  );
  const work = async (client: Client): Promise<void> => {
    while (requests < count && faults < ENOUGH && server.child.exitCode === null) {
      const exchange = makeExchange(seed, next++, world);
      requests += exchange.requests;
      await client.run(exchange);
    }
  };
  await Promise.all(clients.map(work)).catch((error) => violated(`no connection to the server: ${String(error)}`));
  machine.stop();
  for (const client of clients) client.close();
  const growth = growthOf(machine.memory, requests);
  if (requests >= GROWTH_COUNT && growth > MAX_GROWTH)
    violated(`the server's memory grew by ${Math.round(growth / 1_048_576)} MiB after its warm-up`);
  if (requests >= GROWTH_COUNT && faults === 0) {
    const silent = ROUTES.map(nameOf).filter((route) => !succeeded.has(route));
    if (silent.length > 0)
      violated(`no good request succeeded for ${silent.join(', ')}: give it one in test/fuzz/http/corpus.ts`);
  }
  const connections = clients.reduce((sum, client) => sum + client.connections, 0);
  return { requests, connections, canaries, growth, excused };
}

/** What the server says of itself, its end, and what fsck says of what it leaves. */
async function ended(server: ServerProcess, dataDir: string, build: string): Promise<string[]> {
  const faults: string[] = [];
  const metrics = await (await server.fetch('/metrics')).text();
  if (!/^indelible_damage_total 0$/m.test(metrics)) faults.push('the server counts damage');
  if (!/^indelible_connections_cut_total\{reason="unnamed"\} 0$/m.test(metrics))
    faults.push('the server has ended connections and does not know why');
  const { code } = await server.stop('SIGTERM');
  if (code !== 0) faults.push(`the server ended with ${code}: ${server.stderr.slice(-500)}`);
  if (/"level":(?:50|60)/.test(server.stderr)) faults.push(`the server complains: ${server.stderr.slice(0, 1000)}`);
  const checked = spawnSync(process.execPath, [join(build, 'cli/main.js'), 'fsck', '--data-dir', dataDir], {
    encoding: 'utf8',
  });
  if (checked.status !== 0)
    faults.push(`fsck ends with ${checked.status}: ${checked.stdout.slice(-500)} ${checked.stderr.slice(-500)}`);
  return faults;
}
