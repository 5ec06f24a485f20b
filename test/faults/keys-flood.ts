/**
 * One API key floods a server that limits each of them, while another goes on with its own quiet work. What each was promised is counted on
 * the client's side: who floods gets no more than its rate, what is refused is not stored, and who does not flood is never refused.
 *
 * How long others wait is measured by a clock that stands still while the machine does other things (test/support/fair-clock.ts); the rate is
 * one of the wall.
 */
import { Agent, request } from 'node:http';
import { FairClock } from '../support/fair-clock.ts';
import { seededRandom } from '../support/random.ts';
import { ServerProcess } from '../support/spawn-server.ts';

export interface FloodRun {
  readonly dataDir: string;
  readonly rounds: number;
  readonly seed: number;
  readonly build?: string;
  readonly progress?: (done: number) => void;
}

export interface FloodReport {
  readonly rounds: number;
  readonly violations: readonly { readonly seed: number; readonly text: string }[];
  readonly seen: Readonly<Record<string, number>>;
}

/** Of each key, a second. */
const REQUESTS = 100;
const ENTRIES = 1000;
const LARGEST_BATCH = 60;
/** Connections of the flood, and how long a round takes, in milliseconds: longer where it is no flood yet. */
const CONNECTIONS = 24;
const ROUND = 3000;
const LONGEST_ROUND = 30_000;
/** Requests of a round that must be taken, and that must be refused, at least. */
const ENOUGH = REQUESTS / 5;
/** How long the quiet key is alone at first, in milliseconds. */
const ALONE = 2000;
/** Between two appends of the quiet key, in milliseconds. */
const PAUSE = 25;

interface Told {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly code: string | undefined;
  readonly milliseconds: number;
}

/** Sends a batch of events; a broken connection has the status 0. */
function append(url: string, agent: Agent, key: string, count: number, now = () => 0): Promise<Told> {
  const began = now();
  const body = '{"flood":true}\n'.repeat(count);
  return new Promise((resolve) => {
    const sent = request(`${url}/logs/main/events`, {
      method: 'POST',
      agent,
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/x-ndjson',
        'content-length': body.length,
      },
    });
    const done = (status: number, text = '', retryAfter?: string): void => {
      const code = status === 429 ? (JSON.parse(text) as { code: string }).code : undefined;
      resolve({ status, code, retryAfter, milliseconds: now() - began });
    };
    sent.on('response', (reply) => {
      let text = '';
      reply.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      reply.on('end', () => done(reply.statusCode ?? 0, text, reply.headers['retry-after']));
      reply.on('error', () => done(0));
    });
    sent.on('error', () => done(0));
    sent.end(body);
  });
}

async function makeKey(server: ServerProcess, name: string): Promise<string> {
  const reply = await server.fetch('/admin/keys', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, scope: 'append' }),
  });
  return ((await reply.json()) as { key: string }).key;
}

/** What a key has been given since a moment. */
class Given {
  requests = 0;
  entries = 0;
  refused = 0;
  broken = 0;
  /** Of the quiet key: how long each append took. */
  readonly times: number[] = [];
  readonly wrong: string[] = [];

  take({ status, code, retryAfter, milliseconds }: Told, count: number): void {
    this.times.push(milliseconds);
    if (status === 200) {
      this.requests++;
      this.entries += count;
    } else if (status === 429) {
      this.refused++;
      if (code !== 'rate_limited' || !/^[1-9][0-9]?$/.test(retryAfter ?? ''))
        this.wrong.push(`429 with the code ${code} and Retry-After ${retryAfter}`);
    } else if (status === 0) this.broken++;
    else this.wrong.push(`status ${status}`);
  }
}

function quantile(times: readonly number[], q: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

async function quietWhile(
  goOn: () => boolean,
  url: string,
  agent: Agent,
  key: string,
  clock: FairClock,
): Promise<Given> {
  const given = new Given();
  while (goOn()) {
    given.take(await append(url, agent, key, 1, () => clock.now()), 1);
    await new Promise((wait) => setTimeout(wait, PAUSE));
  }
  return given;
}

/** Floods for a round, and on until it was one. */
async function flood(url: string, key: string, random: () => number): Promise<Given> {
  const given = new Given();
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const began = performance.now();
  const goOn = (): boolean => {
    const took = performance.now() - began;
    return took < ROUND || (took < LONGEST_ROUND && (given.refused < ENOUGH || given.requests < ENOUGH));
  };
  const one = async (): Promise<void> => {
    while (goOn()) {
      const count = 1 + Math.floor(random() * LARGEST_BATCH);
      given.take(await append(url, agent, key, count), count);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, one));
  agent.destroy();
  return given;
}

async function metric(server: ServerProcess, name: string): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

/** Durable entries of all logs but what the server itself writes. */
async function sizeOfMain(server: ServerProcess): Promise<number> {
  const last = await server.append({ last: true }, '?ack=durable');
  return ((await last.json()) as { entries: [{ leaf_index: number }] }).entries[0].leaf_index;
}

export async function floodRun({ dataDir, rounds, seed, build, progress }: FloodRun): Promise<FloodReport> {
  const random = seededRandom(seed);
  const violations: { seed: number; text: string }[] = [];
  const violated = (text: string): void => void violations.push({ seed, text });
  const flags = ['--key-requests', String(REQUESTS), '--key-entries', String(ENTRIES), '--log-level', 'warn'];
  const server = await ServerProcess.start({ dataDir, flags, ...(build === undefined ? {} : { build }) });
  const { url } = server;
  const agent = new Agent({ keepAlive: true });
  const quietKey = await makeKey(server, 'quiet');
  const clock = new FairClock({ pids: [server.child.pid as number], late: true });
  const aloneUntil = clock.now() + ALONE;
  const alone = await quietWhile(() => clock.now() < aloneUntil, url, agent, quietKey, clock);
  let size = await sizeOfMain(server);
  let done = 0;
  const seen = { appended: 0, refused: 0, 'quiet appends': 0 };
  const quietTimes: number[] = [];
  for (; done < rounds && violations.length === 0; done++) {
    // A key of its own for each round, with full buckets.
    const loudKey = await makeKey(server, `loud${done}`);
    const before = await metric(server, 'indelible_rate_limited_total');
    const began = performance.now();
    let flooding = true;
    const [loud, quiet] = await Promise.all([
      flood(url, loudKey, random).finally(() => {
        flooding = false;
      }),
      quietWhile(() => flooding, url, agent, quietKey, clock),
    ]);
    const seconds = (performance.now() - began) / 1000;
    const most = { requests: REQUESTS * (seconds + 1) + 1, entries: ENTRIES * (seconds + 1) + 1 };
    for (const what of ['requests', 'entries'] as const)
      if (loud[what] > most[what])
        violated(`${loud[what]} ${what} taken in ${seconds.toFixed(2)} s, at most ${most[what]}`);
    // It was a flood, and it was let through up to its rate.
    if (loud.refused < ENOUGH) violated(`only ${loud.refused} requests of the flood were refused`);
    if (loud.requests < ENOUGH) violated(`only ${loud.requests} requests of the flood were taken`);
    for (const text of [...loud.wrong, ...quiet.wrong]) violated(text);
    if (quiet.refused > 0 || quiet.broken > 0)
      violated(`of the quiet key ${quiet.refused} appends were refused and ${quiet.broken} broke off`);
    const counted = (await metric(server, 'indelible_rate_limited_total')) - before;
    // Of a connection that broke, nobody was told.
    if (counted < loud.refused || counted > loud.refused + loud.broken)
      violated(`the server counted ${counted} refusals, the flood ${loud.refused}, and ${loud.broken} broke off`);
    const next = await sizeOfMain(server);
    const stored = next - size - 1;
    const told = loud.entries + quiet.entries;
    if (stored < told || stored > told + loud.broken * LARGEST_BATCH)
      violated(`${stored} entries were stored, ${told} acknowledged, ${loud.broken} requests broke off`);
    size = next;
    quietTimes.push(...quiet.times);
    seen.appended += told;
    seen.refused += loud.refused;
    seen['quiet appends'] += quiet.requests;
    progress?.(done + 1);
  }
  // Others go on: a server that works off the flood first does not let them.
  const [usual, during] = [quantile(alone.times, 0.99), quantile(quietTimes, 0.99)];
  if (during > Math.max(10 * usual, 500))
    violated(`p99 of the quiet key is ${during.toFixed(0)} ms beside the flood, ${usual.toFixed(0)} ms alone`);
  clock.stop();
  agent.destroy();
  await server.stop();
  return {
    rounds: done,
    violations,
    seen: { ...seen, 'ms p99 alone': Math.ceil(usual), 'ms p99 beside the flood': Math.ceil(during) },
  };
}
