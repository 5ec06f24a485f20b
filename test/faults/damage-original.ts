/**
 * Data directories that real servers made, to be damaged (damage.ts), with everything that an undamaged server answers about them. There
 * are four, so that damage meets each way in which bytes are kept:
 *
 *   closed   small write buffer, stopped by SIGTERM: most rows are in tables
 *   killed   the same, killed: the newest rows are in LevelDB's log file only
 *   long     everything in one log file, over 1,024 commits of it, which is as far as the chain of commit records is kept
 *   indexed  so many leaves that the by-hash index has runs of its own on disk, and that a full tile is above others
 */
import { cpSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { concatBytes, toHex, utf8 } from '../../tree/bytes.ts';
import { leafHash } from '../../tree/hash.ts';
import { bundlePath, tilePath } from '../../tree/tiles.ts';
import { ADMIN_KEY, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { pause } from './expected.ts';

/** A question to the server: a path and who asks. */
export interface Question {
  readonly path: string;
  readonly key: string | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** An undamaged directory, one of an earlier moment of it, and what is known of it. */
export interface Original {
  readonly name: string;
  readonly path: string;
  readonly older: string;
  /** Flags of its servers. */
  readonly flags: readonly string[];
  /** Kinds of files (damage.ts) that are its reason to be; empty for all. */
  readonly focus: readonly string[];
  readonly questions: readonly Question[];
  readonly answers: readonly Answer[];
  /** How many of the questions one trial asks. */
  readonly asked: number;
  /** Events of `main` that had an id, by leaf index. */
  readonly events: ReadonlyMap<number, string>;
}

interface Form {
  readonly name: string;
  readonly end: 'SIGTERM' | 'SIGKILL';
  readonly writeBuffer: number;
  readonly focus: readonly string[];
  /** Events in `main`. */
  readonly events: number;
  /** Leaves in `raw`. */
  readonly raw: number;
  /** Leaves in one request: a commit each. */
  readonly batch: number;
  /** Questions about leaves by their hash. */
  readonly hashes: number;
  /** Questions that one trial asks: the damage of a run is seen by who asks for one of its few leaves only. */
  readonly asked: number;
  /** Whether the server is started a second time on what the first one wrote. */
  readonly twice: boolean;
}

const SMALL = 65_536;
const EVENTS = 620;
/** Events in `second`. */
const SECOND = 40;
/** Leaves of which the by-hash index makes a run. */
const RUN = 32_768;
/** Leaves under a full tile of level 1. */
const FULL = 65_536;
/** Bytes of an entry of a run. */
const RUN_ENTRY = 12;

const PLAIN = { hashes: 20, asked: 70 };
const SHORT = { writeBuffer: SMALL, focus: [], events: EVENTS, raw: 300, batch: 50, ...PLAIN, twice: true };

const FORMS: readonly Form[] = [
  { name: 'closed', end: 'SIGTERM', ...SHORT },
  { name: 'killed', end: 'SIGKILL', ...SHORT },
  {
    ...{ name: 'long', end: 'SIGKILL', writeBuffer: 12 * 1_048_576, focus: ['log file', 'guard'] },
    ...{ events: EVENTS, raw: 1200, batch: 1, ...PLAIN, twice: false },
  },
  {
    ...{ name: 'indexed', end: 'SIGTERM', writeBuffer: SMALL },
    focus: ['index table', 'index table', 'index log file', 'index MANIFEST', 'index CURRENT'],
    ...{ events: 60, raw: FULL + 300, batch: 8000, hashes: 200, asked: 230, twice: true },
  },
];

/** Makes all four, in a folder that `remove` removes. */
export async function makeOriginals(): Promise<{
  readonly originals: readonly Original[];
  readonly remove: () => void;
}> {
  const { path, remove } = temporaryFolder('originals');
  try {
    return { originals: await Promise.all(FORMS.map((form) => makeOriginal(form, join(path, form.name)))), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

async function post(server: ServerProcess, path: string, body: string | Uint8Array, type: string): Promise<Response> {
  const reply = await server.fetch(path, { method: 'POST', headers: { 'content-type': type }, body });
  if (!reply.ok) throw new Error(`${path} answered ${reply.status}: ${await reply.text()}`);
  return reply;
}

async function appendEvents(
  server: ServerProcess,
  log: string,
  from: number,
  to: number,
  known: Map<number, string>,
): Promise<void> {
  for (let at = from; at < to; ) {
    const size = Math.min(to - at, 1 + (at % 23));
    const texts = Array.from({ length: size }, (_, i) => {
      const n = at + i;
      return JSON.stringify({ id: `${log}-${n}`, actor: `user ${n % 7}`, note: `${n} `.repeat(n % 40) });
    });
    const path = `/logs/${log}/events?ack=${at % 3 === 0 ? 'signed' : 'durable'}&id_pointer=/id`;
    const reply = (await (await post(server, path, texts.join('\n'), 'application/x-ndjson')).json()) as {
      entries: { leaf_index: number }[];
    };
    reply.entries.forEach(({ leaf_index: leafIndex }, i) => {
      known.set(leafIndex, texts[i] as string);
    });
    at += size;
  }
}

/** Leaves of all lengths, the empty one included; no two are equal but for those. */
function rawLeaf(n: number): Uint8Array {
  return utf8(`${n} `.repeat(n % 9));
}

async function appendRaw(server: ServerProcess, count: number, batch: number): Promise<void> {
  for (let at = 0; at < count; at += batch) {
    const frames = Array.from({ length: Math.min(batch, count - at) }, (_, i) => {
      const leaf = rawLeaf(at + i);
      return concatBytes(Uint8Array.of(0, leaf.length), leaf);
    });
    await post(server, '/logs/raw/add-batch', concatBytes(...frames), 'application/octet-stream');
  }
}

/** Waits until everything durable is under a head: a later start must have nothing to sign. */
async function signed(server: ServerProcess): Promise<void> {
  for (;;) {
    const metrics = await (await server.fetch('/metrics')).text();
    if (/^indelible_unsigned_entries 0$/m.test(metrics)) return;
    await pause(20);
  }
}

/** Waits until the run of the by-hash index is written. */
async function indexed(path: string): Promise<void> {
  const folder = join(path, 'derived', 'by-hash');
  const written = (): number =>
    readdirSync(folder).reduce(
      (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
  while (written() < RUN * RUN_ENTRY) await pause(50);
}

async function makeOriginal(form: Form, folder: string): Promise<Original> {
  const { name, end, focus, asked, writeBuffer } = form;
  const path = join(folder, 'data');
  const older = join(folder, 'older');
  // The scrub would find the damage before anybody is served it, now and then.
  const flags = [
    ...['--interval', '20', '--write-buffer', String(writeBuffer), '--log-level', 'warn'],
    ...['--guard-inode', 'off', '--scrub-rate', '0'],
    // A head that is signed again answers otherwise, and a full run takes longer than the ten minutes after which that is due.
    ...['--refresh', '86400000'],
  ];
  const events = new Map<number, string>();
  const start = (): Promise<ServerProcess> => ServerProcess.start({ dataDir: path, flags });
  let server = await start();
  for (const body of [
    { name: 'raw', kind: 'raw', public_reads: false },
    { name: 'second', kind: 'events', public_reads: false, id_pointer: '/id' },
  ]) {
    await post(server, '/admin/logs', JSON.stringify(body), 'application/json');
  }
  const makeKey = async (body: object): Promise<{ id: string; key: string }> =>
    (await (await post(server, '/admin/keys', JSON.stringify(body), 'application/json')).json()) as never;
  const reader = await makeKey({ name: 'reader', scope: 'read', log: 'second' });
  const writer = await makeKey({ name: 'writer', scope: 'append' });
  const revoked = await makeKey({ name: 'revoked', scope: 'admin' });
  await appendEvents(server, 'main', 0, form.events / 2, events);
  await signed(server);
  // Of a server that runs and has nothing to do: what a copy at the wrong moment holds.
  cpSync(path, older, { recursive: true });
  const gone = await server.fetch(`/admin/keys/${revoked.id}`, { method: 'DELETE' });
  if (!gone.ok) throw new Error('the key could not be revoked');
  await appendEvents(server, 'main', form.events / 2, (3 * form.events) / 4, events);
  await appendRaw(server, form.raw, form.batch);
  if (form.raw > RUN) await indexed(path);
  if (form.twice) {
    await signed(server);
    await server.stop('SIGTERM');
    server = await start();
  }
  await appendEvents(server, 'second', 0, SECOND, new Map());
  await appendEvents(server, 'main', (3 * form.events) / 4, form.events, events);
  await signed(server);
  // What is made when it is first asked for is there: a later server that stops is not asked to make it.
  for (const log of ['main', 'raw', 'second']) await server.fetch(`/logs/${log}/tree-head`);
  await server.stop(end);

  const keys = { admin: ADMIN_KEY, reader: reader.key, writer: writer.key, revoked: revoked.key };
  const questions = questionsFor(keys, form);
  const undamaged = join(folder, 'undamaged');
  cpSync(path, undamaged, { recursive: true });
  server = await ServerProcess.start({ dataDir: undamaged, flags });
  const answers: Answer[] = [];
  for (const question of questions) answers.push(await ask(server, question));
  await server.stop('SIGTERM');
  for (const [i, { status }] of answers.entries()) {
    const { path: question, key } = questions[i] as Question;
    if (key === ADMIN_KEY && status !== (question.includes(ABSENT) ? 404 : 200))
      throw new Error(`the undamaged server answers ${question} with ${status}`);
  }
  return { name, path, older, flags, focus, questions, answers, asked, events };
}

/** Hash of no leaf. */
const ABSENT = 'ab'.repeat(32);

/** Everything that is kept, asked for in every way that touches other rows. */
function questionsFor(
  keys: Readonly<Record<'admin' | 'reader' | 'writer' | 'revoked', string>>,
  { events, raw, hashes }: Form,
): Question[] {
  const paths = ['/admin/logs', '/admin/keys', '/logs/_system/events?from=0&limit=1000'];
  for (const [log, size] of Object.entries({ main: events, raw, second: SECOND })) {
    paths.push(...['', '/checkpoint', '/tree-head', '/tree-heads?limit=1000'].map((rest) => `/logs/${log}${rest}`));
    // Of a long log, as many as of the others.
    const tiles = Math.ceil(size / 256);
    for (let index = 0; index < tiles; index += Math.ceil(tiles / 5)) {
      const width = Math.min(256, size - index * 256);
      paths.push(`/logs/${log}/${bundlePath(index, width)}`, `/logs/${log}/${tilePath({ level: 0, index, width })}`);
    }
    for (let at = 0; at < size; at += Math.max(37, Math.ceil(size / 20))) {
      paths.push(`/logs/${log}/proofs/inclusion?index=${at}`, `/logs/${log}/proofs/${at}.tlog-proof`);
      paths.push(`/logs/${log}/proofs/consistency?first=${at}&second=${size}`);
      if (log !== 'raw') paths.push(`/logs/${log}/events/${at}`);
    }
    if (log !== 'raw') for (let at = 0; at < size; at += 20) paths.push(`/logs/${log}/events?from=${at}&limit=20`);
  }
  const byHash = Array.from({ length: hashes }, (_, i) => toHex(leafHash(rawLeaf(Math.floor((i * raw) / hashes) + 1))));
  paths.push(...[...byHash, ABSENT].map((hash) => `/logs/raw/proofs/inclusion?leaf_hash=${hash}`));
  const asked = [
    '/admin/keys',
    '/logs/main',
    '/logs/second/checkpoint',
    '/logs/second/events/3',
    '/logs/main/events/3',
  ];
  return [
    ...paths.map((path) => ({ path, key: keys.admin })),
    ...[keys.reader, keys.writer, keys.revoked, undefined].flatMap((key) => asked.map((path) => ({ path, key }))),
  ];
}

/** Time for an index that is made again, in milliseconds. */
const INDEX_TIME = 20_000;

/** Asks, and asks again while the by-hash index is made again. */
export async function ask(server: ServerProcess, { path, key }: Question): Promise<Answer> {
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  for (const end = Date.now() + INDEX_TIME; ; await pause(20)) {
    const reply = await fetch(`${server.url}${path}`, { headers });
    const body = new Uint8Array(await reply.arrayBuffer());
    const behind = reply.status === 503 && new TextDecoder().decode(body).includes('"index_behind"');
    if (!behind || Date.now() > end) return { status: reply.status, body };
  }
}
