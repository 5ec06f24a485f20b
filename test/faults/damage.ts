/**
 * Damage at rest: a data directory that a real server made is copied, one thing in one file of the copy is damaged, and a real
 * server is started on it. Either it refuses and says where; or every answer is what the undamaged server gave, byte for byte,
 * or a named error. Nothing else is allowed: no altered byte, no shorter log, no older head, no key that works again, no second
 * entry for an id that was logged.
 */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { verifyConsistency } from '../../proofs/consistency.ts';
import { parseVerifierKey } from '../../proofs/key.ts';
import { concatBytes, equalBytes, fromBase64 } from '../../tree/bytes.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { bundlePath, tilePath } from '../../tree/tiles.ts';
import { seededRandom } from '../support/random.ts';
import { ADMIN_KEY, type Exit, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { within } from './expected.ts';

const FLAGS = ['--interval', '20', '--write-buffer', '65536', '--log-level', 'warn', '--guard-inode', 'off'];
const EVENTS = 620;
const RAW = 300;
const SECOND = 40;

/** A question to the server: a path and who asks. */
interface Question {
  readonly path: string;
  readonly key: string | undefined;
}

interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** An undamaged directory, one of an earlier moment of it, and what is known of it. */
export interface Original {
  readonly path: string;
  readonly older: string;
  readonly questions: readonly Question[];
  readonly answers: readonly Answer[];
  /** Events of `main` that had an id, by leaf index. */
  readonly events: ReadonlyMap<number, string>;
  readonly remove: () => void;
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
  count: number,
  known: Map<number, string>,
): Promise<void> {
  for (let at = from; at < from + count; ) {
    const size = Math.min(from + count - at, 1 + (at % 23));
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

function rawLeaf(n: number): Uint8Array {
  return new Uint8Array(n % 50).fill(100 + (n % 100));
}

/** Waits until everything durable is under a head: a later start must have nothing to sign. */
async function signed(server: ServerProcess): Promise<void> {
  for (;;) {
    const metrics = await (await server.fetch('/metrics')).text();
    if (/^indelible_unsigned_entries 0$/m.test(metrics)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Makes the directory; `end` says how its last server is stopped. */
export async function makeOriginal(end: 'SIGTERM' | 'SIGKILL'): Promise<Original> {
  const folder = temporaryFolder('damage');
  const path = join(folder.path, 'data');
  const older = join(folder.path, 'older');
  const events = new Map<number, string>();
  const start = (): Promise<ServerProcess> => ServerProcess.start({ dataDir: path, flags: FLAGS });
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
  await appendEvents(server, 'main', 0, EVENTS / 2, events);
  for (let i = 0; i < RAW; i += 50) {
    const frames = Array.from({ length: 50 }, (_, j) => {
      const leaf = rawLeaf(i + j);
      return concatBytes(Uint8Array.of(0, leaf.length), leaf);
    });
    await post(server, '/logs/raw/add-batch', concatBytes(...frames), 'application/octet-stream');
  }
  await signed(server);
  // Of a server that runs and has nothing to do: what a copy at the wrong moment holds.
  cpSync(path, older, { recursive: true });
  const gone = await server.fetch(`/admin/keys/${revoked.id}`, { method: 'DELETE' });
  if (!gone.ok) throw new Error('the key could not be revoked');
  await appendEvents(server, 'main', EVENTS / 2, EVENTS / 4, events);
  await server.stop('SIGTERM');
  server = await start();
  await appendEvents(server, 'second', 0, SECOND, new Map());
  await appendEvents(server, 'main', (3 * EVENTS) / 4, EVENTS / 4, events);
  await signed(server);
  // What is made when it is first asked for is there: a later server that stops is not asked to make it.
  for (const log of ['main', 'raw', 'second']) await server.fetch(`/logs/${log}/tree-head`);
  await server.stop(end);

  const keys = { admin: ADMIN_KEY, reader: reader.key, writer: writer.key, revoked: revoked.key };
  const questions = questionsFor(keys);
  const undamaged = join(folder.path, 'undamaged');
  cpSync(path, undamaged, { recursive: true });
  server = await ServerProcess.start({ dataDir: undamaged, flags: FLAGS });
  const answers: Answer[] = [];
  for (const question of questions) answers.push(await ask(server, question));
  await server.stop('SIGTERM');
  for (const [i, { status }] of answers.entries()) {
    const { path: asked, key } = questions[i] as Question;
    if (key === ADMIN_KEY && status !== 200) throw new Error(`the undamaged server answers ${asked} with ${status}`);
  }
  return { path, older, questions, answers, events, remove: folder.remove };
}

/** Everything that is kept, asked for in every way that touches other rows. */
function questionsFor(keys: Readonly<Record<'admin' | 'reader' | 'writer' | 'revoked', string>>): Question[] {
  const paths = ['/admin/logs', '/admin/keys', '/logs/_system/events?from=0&limit=1000'];
  const logs = { main: EVENTS, raw: RAW, second: SECOND };
  for (const [log, size] of Object.entries(logs)) {
    paths.push(...['', '/checkpoint', '/tree-head', '/tree-heads?limit=1000'].map((rest) => `/logs/${log}${rest}`));
    for (let index = 0; index * 256 < size; index++) {
      const width = Math.min(256, size - index * 256);
      paths.push(`/logs/${log}/${bundlePath(index, width)}`, `/logs/${log}/${tilePath({ level: 0, index, width })}`);
    }
    for (let at = 0; at < size; at += 37) {
      paths.push(`/logs/${log}/proofs/inclusion?index=${at}`, `/logs/${log}/proofs/${at}.tlog-proof`);
      paths.push(`/logs/${log}/proofs/consistency?first=${at}&second=${size}`);
      if (log !== 'raw') paths.push(`/logs/${log}/events/${at}`);
    }
    if (log !== 'raw') for (let at = 0; at < size; at += 20) paths.push(`/logs/${log}/events?from=${at}&limit=20`);
  }
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

async function ask(server: ServerProcess, { path, key }: Question): Promise<Answer> {
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const reply = await fetch(`${server.url}${path}`, { headers });
  return { status: reply.status, body: new Uint8Array(await reply.arrayBuffer()) };
}

export const DAMAGES = ['flip', 'zero', 'truncate', 'delete', 'older', 'garbage'] as const;
export type Damage = (typeof DAMAGES)[number];

export type Outcome =
  /** Exit 78 or 70 at the start, with a message. */
  | 'refused'
  /** All answers are right. */
  | 'harmless'
  /** Some answers are errors that say `damaged`, the others are right. */
  | 'reported'
  /** Exit 70 while it ran; what was answered until then was right. */
  | 'stopped'
  /** LevelDB ended the process; what was answered until then was right. */
  | 'aborted';

export interface Trial {
  readonly file: string;
  readonly damage: Damage;
  readonly place: string;
  readonly outcome: Outcome | 'wrong';
  readonly detail: string;
}

function filesOf(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(path, name)).isFile())
    .sort();
}

/** What a file is for, so that many tables do not hide the one guard. */
export function kindOf(file: string): string {
  const name = file.replace(/^db\//, '');
  if (name.endsWith('.ldb')) return 'table';
  if (name.endsWith('.log')) return 'log file';
  return name.replace(/-[0-9]+$/, '');
}

/** One damage to one file, in place; `undefined` where it would change nothing. Returns where. */
function inflict(
  original: Original,
  copy: string,
  file: string,
  damage: Damage,
  random: () => number,
): string | undefined {
  const target = join(copy, file);
  const bytes = new Uint8Array(readFileSync(target));
  const at = Math.floor(random() * bytes.length);
  if (damage === 'delete') {
    rmSync(target);
    return 'all of it';
  }
  if (damage === 'garbage') {
    const more = Uint8Array.from({ length: 1 + Math.floor(random() * 5000) }, () => Math.floor(random() * 256));
    writeFileSync(target, concatBytes(bytes, more));
    return `${more.length} bytes after ${bytes.length}`;
  }
  if (damage === 'older') {
    const source = join(original.older, file);
    if (!existsSync(source) || equalBytes(new Uint8Array(readFileSync(source)), bytes)) return undefined;
    writeFileSync(target, readFileSync(source));
    return 'all of it';
  }
  if (bytes.length === 0) return undefined;
  if (damage === 'truncate') {
    truncateSync(target, at);
    return `from byte ${at}`;
  }
  const changed = bytes.slice();
  if (damage === 'flip') changed[at] = flipBit(changed[at] as number, Math.floor(random() * 8));
  else changed.fill(0, at - (at % 4096), at - (at % 4096) + 4096);
  if (equalBytes(changed, bytes)) return undefined;
  writeFileSync(target, changed);
  return `byte ${damage === 'flip' ? at : at - (at % 4096)}`;
}

function flipBit(byte: number, bit: number): number {
  const weight = 2 ** bit;
  return Math.floor(byte / weight) % 2 === 1 ? byte - weight : byte + weight;
}

/** Chosen more often than the rest: where the data is, and what is hardest to notice. */
const OFTEN = {
  kinds: [...Array.from({ length: 10 }, () => 'table'), 'log file', 'log file', 'guard'],
  damages: ['flip', 'flip', 'flip', 'flip', 'zero'],
} as const;

/** Instead of all kinds of files and damages. */
export interface Only {
  readonly kind: string;
  readonly damage: Damage;
}

/** Damages of that seed: file, kind and place, each on a fresh copy. Two at a time. */
export async function damageRun(
  originals: readonly Original[],
  trials: number,
  seed: number,
  { build, only }: { readonly build?: string; readonly only?: Only } = {},
): Promise<Trial[]> {
  const done: Trial[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < trials) {
      const random = seededRandom(seed + 1000 * next);
      const original = originals[next++ % originals.length] as Original;
      done.push(await trial(original, random, build, only));
    }
  };
  await Promise.all([work(), work()]);
  return done;
}

async function trial(
  original: Original,
  random: () => number,
  build: string | undefined,
  only: Only | undefined,
): Promise<Trial> {
  const { path: copy, remove } = temporaryFolder('damaged');
  try {
    for (;;) {
      const files = filesOf(original.path);
      const kinds = [...new Set(files.map(kindOf)), ...OFTEN.kinds];
      const damages = [...DAMAGES, ...OFTEN.damages];
      const kind = only?.kind ?? kinds[Math.floor(random() * kinds.length)];
      const ofKind = files.filter((file) => kindOf(file) === kind);
      const file = ofKind[Math.floor(random() * ofKind.length)] as string;
      const damage = only?.damage ?? (damages[Math.floor(random() * damages.length)] as Damage);
      rmSync(copy, { recursive: true });
      cpSync(original.path, copy, { recursive: true });
      const place = inflict(original, copy, file, damage, random);
      if (place !== undefined) return { file, damage, place, ...(await judge(original, copy, build)) };
    }
  } finally {
    remove();
  }
}

interface Judgement {
  readonly outcome: Outcome | 'wrong';
  readonly detail: string;
}

/** Starts a server on a damaged copy and compares all it says. */
async function judge(original: Original, copy: string, build: string | undefined): Promise<Judgement> {
  const server = await ServerProcess.start({ dataDir: copy, flags: FLAGS, ...(build === undefined ? {} : { build }) });
  if (server.url === '') return judgeExit(await server.exited, server.stderr, 'refused');
  const wrong: string[] = [];
  const damaged: string[] = [];
  try {
    for (const [i, question] of original.questions.entries()) {
      const answer = await ask(server, question);
      const expected = original.answers[i] as Answer;
      if (isDamaged(answer)) damaged.push(question.path);
      else if (answer.status !== expected.status || !equalBytes(answer.body, expected.body))
        wrong.push(`${question.path}: ${answer.status} ${new TextDecoder().decode(answer.body).slice(0, 300)}`);
    }
    await retryAll(server, original, wrong, damaged);
    await growOn(server, original, wrong, damaged);
    if (damaged.length > 0) {
      const metrics = await (await server.fetch('/metrics')).text();
      if (!/^indelible_damage_total [1-9]/m.test(metrics)) wrong.push('damage was answered and not counted');
    }
  } catch (error) {
    // No answer: the process is gone, or about to go.
    const exit = await within(server.exited, 5000);
    if (exit === undefined) wrong.push(`no answer from a server that runs: ${String(error)}`);
    else if (wrong.length === 0) return judgeExit(exit, server.stderr, 'stopped');
  }
  const exit = await server.stop('SIGTERM');
  if (wrong.length > 0) return { outcome: 'wrong', detail: wrong.slice(0, 3).join('; ') };
  if (exit.code !== 0) return judgeExit(exit, server.stderr, 'stopped');
  return damaged.length > 0
    ? { outcome: 'reported', detail: `${damaged.length} answers` }
    : { outcome: 'harmless', detail: '' };
}

function isDamaged({ status, body }: Answer): boolean {
  if (status !== 500) return false;
  return (JSON.parse(new TextDecoder().decode(body)) as { code: string }).code === 'damaged';
}

/** What a message must name: a file, a log, a row, a commit, the guard. */
const NAMES_A_PLACE = /\/|\blog \S|commit|guard|key/;

function judgeExit({ code, signal }: Exit, stderr: string, outcome: 'refused' | 'stopped'): Judgement {
  const detail = stderr.trim().split('\n').at(-1)?.slice(0, 300) ?? '';
  if (signal === 'SIGABRT' || signal === 'SIGSEGV' || signal === 'SIGBUS') return { outcome: 'aborted', detail };
  const allowed = outcome === 'refused' ? code === 78 || code === 70 : code === 70;
  if (!allowed) return { outcome: 'wrong', detail: `exit ${code ?? signal}: ${detail}` };
  if (!NAMES_A_PLACE.test(detail))
    return { outcome: 'wrong', detail: `exit ${code}, and no place is named: ${detail}` };
  return { outcome, detail };
}

/** Every event that had an id, sent again: its own index, or an error; never a second entry. */
async function retryAll(
  server: ServerProcess,
  { events }: Original,
  wrong: string[],
  damaged: string[],
): Promise<void> {
  const send = async (batch: readonly (readonly [number, string])[]): Promise<boolean> => {
    const reply = await server.fetch('/logs/main/events?id_pointer=/id', {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: batch.map(([, text]) => text).join('\n'),
    });
    const body = (await reply.json()) as { entries?: { leaf_index: number; replayed: boolean }[]; code?: string };
    if (reply.status === 500 && body.code === 'damaged') return false;
    if (reply.status === 503) throw new Error('the server is stopping');
    for (const [i, [leafIndex]] of batch.entries()) {
      const entry = body.entries?.[i];
      if (entry?.leaf_index !== leafIndex || !entry.replayed)
        wrong.push(`event ${leafIndex}, sent again: ${reply.status} ${JSON.stringify(entry ?? body).slice(0, 200)}`);
    }
    return true;
  };
  const all = [...events];
  for (let at = 0; at < all.length; at += 31) {
    const batch = all.slice(at, at + 31);
    if (await send(batch)) continue;
    for (const one of batch) if (!(await send([one]))) damaged.push(`retry of ${one[0]}`);
  }
}

/** A new event: taken, and then the new head is consistent with the old one; or a named error. */
async function growOn(server: ServerProcess, original: Original, wrong: string[], damaged: string[]): Promise<void> {
  const known = (path: string): Uint8Array =>
    (original.answers[original.questions.findIndex((question) => question.path === path)] as Answer).body;
  const info = JSON.parse(new TextDecoder().decode(known('/logs/main'))) as { verifier_key: string };
  const before = openCheckpoint(
    new TextDecoder().decode(known('/logs/main/checkpoint')),
    parseVerifierKey(info.verifier_key),
  );
  const reply = await server.append({ id: 'new' }, '?ack=signed&id_pointer=/id');
  const body = (await reply.json()) as { code?: string; checkpoint?: string; entries?: { leaf_index: number }[] };
  if (reply.status === 500 && body.code === 'damaged') {
    damaged.push('append');
    return;
  }
  if (reply.status === 503) throw new Error('the server is stopping');
  if (body.entries?.[0]?.leaf_index !== before.treeSize) {
    wrong.push(`a new event: ${reply.status} ${JSON.stringify(body).slice(0, 200)}`);
    return;
  }
  // Signed or not: damage further back may keep the head from being signed, and then the server stops.
  if (body.checkpoint === undefined) return;
  const after = openCheckpoint(body.checkpoint, parseVerifierKey(info.verifier_key));
  const proofReply = await server.fetch(
    `/logs/main/proofs/consistency?first=${before.treeSize}&second=${after.treeSize}`,
  );
  const { proof } = (await proofReply.json()) as { proof?: string[] };
  if (proof === undefined) {
    damaged.push('consistency');
    return;
  }
  verifyConsistency({
    first: before.treeSize,
    second: after.treeSize,
    firstRoot: before.rootHash,
    secondRoot: after.rootHash,
    proof: proof.map((hash) => asTreeHash(fromBase64(hash))),
  });
}

/** Trials by kind of file, damage and outcome, as lines of a table. */
export function table(trials: readonly Trial[]): string {
  const outcomes = ['refused', 'reported', 'stopped', 'aborted', 'harmless', 'wrong'] as const;
  const rows = new Map<string, number[]>();
  for (const { file, damage, outcome } of trials) {
    for (const name of [`${kindOf(file)}, ${damage}`, '~ all']) {
      const row = rows.get(name) ?? outcomes.map(() => 0);
      row[outcomes.indexOf(outcome)] = (row[outcomes.indexOf(outcome)] ?? 0) + 1;
      rows.set(name, row);
    }
  }
  const lines = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    ['damage', ...outcomes].map((name) => name.padEnd(name === 'damage' ? 24 : 9)).join(' '),
    ...lines.map(([name, counts]) => [name.padEnd(24), ...counts.map((n) => String(n).padEnd(9))].join(' ')),
  ].join('\n');
}
