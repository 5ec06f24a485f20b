/**
 * Damage at rest: a data directory that a real server made is copied, one thing in one file of the copy is damaged, and a real
 * server is started on it. Either it refuses and says where; or every answer is what the undamaged server gave, byte for byte,
 * or a named error, which is counted and logged. Nothing else is allowed: no altered byte, no shorter log, no older head, no key that
 * works again, no second entry for an id that was logged.
 *
 * LevelDB may end the process with SIGABRT where it meets damage. That counts as noticed only if nothing wrong was served before, and
 * if whoever starts the server again is told which file it is.
 */
import { basename } from 'node:path';
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { verifyConsistency } from '../../proofs/consistency.ts';
import { parseVerifierKey } from '../../proofs/key.ts';
import { equalBytes, fromBase64 } from '../../tree/bytes.ts';
import { asTreeHash } from '../../tree/hash.ts';
import { seededRandom } from '../support/random.ts';
import { type Exit, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { type Answer, ask, type Original, type Question } from './damage-original.ts';
import { within } from './expected.ts';
import { type Aim, damagedCopy, damagedRows, hasRows, type Inflicted } from './inflict.ts';

export type Outcome =
  /** Exit 78 or 70 at the start, with a message. */
  | 'refused'
  /** All answers are right. */
  | 'harmless'
  /** Some answers are errors that say `damaged`, the others are right. */
  | 'reported'
  /** Exit 70 while it ran; what was answered until then was right. */
  | 'stopped'
  /** LevelDB ended the process; what was answered until then was right, and the next start named the file. */
  | 'aborted';

interface Judgement {
  readonly outcome: Outcome | 'wrong';
  readonly detail: string;
}

export interface Trial extends Inflicted, Judgement {
  readonly seed: number;
  readonly original: string;
}

/** A damaged copy, and what is asked of it. */
interface Patient {
  readonly original: Original;
  readonly copy: string;
  /** Of the damaged file, relative to the data directory. */
  readonly file: string;
  /** Places in the original's list of questions. */
  readonly questions: readonly number[];
  readonly build: string | undefined;
}

/** What the trials of eight seeds in a row are aimed at, but for those that damage anything. */
const AIMED: Readonly<Record<number, Aim>> = { 1: 'leaves', 3: 'ids', 5: 'events', 6: 'tiles', 7: 'ids' };
const SEEDS = 8;
/** Who asks for everything that damaged rows of events, leaves and tiles are part of sees it, too. */
const READS_ROWS = /\/(?:events|tile)/;
/** Wrong answers that are enough to be shown. */
const SHOWN = 3;
/** Events sent again in one request. */
const RETRY_BATCH = 31;

/**
 * So many trials, two at a time: the original, the file, the damage and its place are of the trial's own seed, which is one more for each.
 * Ends at the first that is wrong.
 */
export async function damageRun(
  originals: readonly Original[],
  trials: number,
  seed: number,
  { build, progress }: { readonly build?: string | undefined; readonly progress?: (done: number) => void } = {},
): Promise<Trial[]> {
  const done: Trial[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < trials && done.every(({ outcome }) => outcome !== 'wrong')) {
      done.push(await trial(originals, seed + next++, build));
      progress?.(done.length);
    }
  };
  await Promise.all([work(), work()]);
  return done;
}

async function trial(originals: readonly Original[], seed: number, build: string | undefined): Promise<Trial> {
  const random = seededRandom(seed);
  const aim = AIMED[seed % SEEDS];
  const eligible = aim === undefined ? originals : originals.filter((original) => hasRows(original, aim));
  const original = eligible[Math.floor(random() * eligible.length)] as Original;
  const { path: copy, remove } = temporaryFolder('damaged');
  try {
    const inflicted =
      aim === undefined ? damagedCopy(original, copy, random) : damagedRows(original, copy, aim, random);
    const patient = {
      ...{ original, copy, file: inflicted.file, build },
      questions: aim === undefined || aim === 'ids' ? sample(original, random) : readsOf(original),
    };
    return { seed, original: original.name, ...inflicted, ...(await judge(patient)) };
  } finally {
    remove();
  }
}

/** The questions whose answers are made of events, leaves and tiles. */
function readsOf({ questions }: Original): number[] {
  return [...questions.keys()].filter((i) => READS_ROWS.test((questions[i] as Question).path));
}

/** As many questions as one trial asks, in order. */
function sample({ questions: { length: count }, asked: wanted }: Original, random: () => number): number[] {
  const chosen: number[] = [];
  for (let i = 0; i < count; i++) {
    if (random() * (count - i) < wanted - chosen.length) chosen.push(i);
  }
  return chosen;
}

function start({ original: { flags }, copy, build }: Patient): Promise<ServerProcess> {
  return ServerProcess.start({ dataDir: copy, flags, ...(build === undefined ? {} : { build }) });
}

/** Starts a server on a damaged copy and compares all it says. */
async function judge(patient: Patient): Promise<Judgement> {
  const server = await start(patient);
  if (server.url === '') return judgeExit(patient, await server.exited, server.stderr, 'refused');
  const wrong: string[] = [];
  const damaged: string[] = [];
  let signed = true;
  try {
    await askAll(server, patient, wrong, damaged);
    await retryAll(server, patient, wrong, damaged);
    signed = await growOn(server, patient.original, wrong, damaged);
    if (damaged.length > 0) await checkAlarm(server, wrong);
  } catch (error) {
    // No answer: the process is gone, or about to go.
    const exit = await within(server.exited, 5000);
    if (exit === undefined) wrong.push(`no answer from a server that runs: ${String(error)}`);
    else if (wrong.length === 0) return judgeExit(patient, exit, server.stderr, 'stopped');
  }
  const exit = await server.stop('SIGTERM');
  if (wrong.length > 0) return { outcome: 'wrong', detail: wrong.slice(0, SHOWN).join('; ') };
  if (exit.code !== 0) return judgeExit(patient, exit, server.stderr, 'stopped');
  if (!signed) return { outcome: 'wrong', detail: 'a new event got no head, and the server went on as if it had' };
  return damaged.length > 0
    ? { outcome: 'reported', detail: `${damaged.length} answers` }
    : { outcome: 'harmless', detail: '' };
}

async function askAll(
  server: ServerProcess,
  { original, questions }: Patient,
  wrong: string[],
  damaged: string[],
): Promise<void> {
  for (const i of questions) {
    if (wrong.length >= SHOWN) return;
    const question = original.questions[i] as Question;
    const answer = await ask(server, question);
    const expected = original.answers[i] as Answer;
    if (isDamaged(answer)) damaged.push(question.path);
    else if (answer.status !== expected.status || !equalBytes(answer.body, expected.body))
      wrong.push(`${question.path}: ${answer.status} ${new TextDecoder().decode(answer.body).slice(0, 300)}`);
  }
}

function isDamaged({ status, body }: Answer): boolean {
  if (status !== 500) return false;
  return (JSON.parse(new TextDecoder().decode(body)) as { code: string }).code === 'damaged';
}

/** Where damage was answered, the metric counts it and the log names the row. */
async function checkAlarm(server: ServerProcess, wrong: string[]): Promise<void> {
  const metrics = await (await server.fetch('/metrics')).text();
  if (!/^indelible_damage_total [1-9]/m.test(metrics)) wrong.push('damage was answered and not counted');
  const lines = server.stderr.split('\n').filter((line) => line.includes('"alarm":"damage"'));
  if (!lines.some((line) => NAMES_A_PLACE.test((JSON.parse(line) as { msg: string }).msg)))
    wrong.push('damage was answered, and the log does not say where it is');
}

/** What a message must name: a file, a log, a row, a commit, the guard. */
const NAMES_A_PLACE = /\/|\blog \S|commit|guard|key/;

async function judgeExit(
  patient: Patient,
  { code, signal }: Exit,
  stderr: string,
  outcome: 'refused' | 'stopped',
): Promise<Judgement> {
  const detail = reasonOf(stderr).slice(0, 300);
  if (signal === 'SIGABRT' || signal === 'SIGSEGV' || signal === 'SIGBUS')
    return judgeAbort(patient, `${signal}, ${outcome}: ${stderr.trim().split('\n').at(-1)?.slice(0, 300) ?? ''}`);
  const allowed = outcome === 'refused' ? code === 78 || code === 70 : code === 70;
  if (!allowed) return { outcome: 'wrong', detail: `exit ${code ?? signal}: ${stderr.trim().slice(-2000)}` };
  if (!NAMES_A_PLACE.test(detail))
    return { outcome: 'wrong', detail: `exit ${code}, and no place is named: ${stderr.trim().slice(-2000)}` };
  return { outcome, detail };
}

/** Why a server says that it ended: the line of a refused start, or what it logged as fatal, without the stack, in which there are always places. */
function reasonOf(stderr: string): string {
  const lines = stderr.split('\n');
  const refused = lines.findLast((line) => line.startsWith('indelible: '));
  const fatal = lines.findLast((line) => line.startsWith('{"level":60,'));
  if (refused !== undefined || fatal === undefined) return refused ?? '';
  const { msg, err } = JSON.parse(fatal) as { msg: string; err?: { message: string } };
  return `${msg}: ${err?.message ?? ''}`;
}

/** Time for a server that runs again to name the file, in milliseconds. */
const NAMING_TIME = 5000;

/** Whoever starts it again must be told which file it is that LevelDB cannot live with. */
async function judgeAbort(patient: Patient, detail: string): Promise<Judgement> {
  const server = await start(patient);
  const name = basename(patient.file);
  for (const end = Date.now() + NAMING_TIME; Date.now() < end && !server.stderr.includes(name); ) {
    if ((await within(server.exited, 50)) !== undefined) break;
  }
  const { code, signal } = await server.stop('SIGKILL');
  if (server.stderr.includes(name)) return { outcome: 'aborted', detail };
  const again = server.url === '' ? `did not start (${code ?? signal})` : 'started';
  return {
    outcome: 'wrong',
    detail: `LevelDB ended the process (${detail}); started again, it ${again} and does not name ${name}: ${server.stderr.trim()}`,
  };
}

/** All events that had an id, sent again: each gets its own index, or an error; never a second entry. */
async function retryAll(
  server: ServerProcess,
  { original }: Patient,
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
  const events = [...original.events];
  for (let at = 0; at < events.length; at += RETRY_BATCH) {
    const batch = events.slice(at, at + RETRY_BATCH);
    if (await send(batch)) continue;
    for (const one of batch) if (!(await send([one]))) damaged.push(`retry of ${one[0]}`);
  }
}

/**
 * A new event: taken, and then the new head is consistent with the old one; or a named error. Says whether there is a head of what was taken:
 * damage further back may keep it from being signed, and then the server must stop.
 */
async function growOn(server: ServerProcess, original: Original, wrong: string[], damaged: string[]): Promise<boolean> {
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
    return true;
  }
  if (reply.status === 503) throw new Error('the server is stopping');
  if (body.entries?.[0]?.leaf_index !== before.treeSize) {
    wrong.push(`a new event: ${reply.status} ${JSON.stringify(body).slice(0, 200)}`);
    return true;
  }
  const note = body.checkpoint ?? (await (await server.fetch('/logs/main/checkpoint')).text());
  const after = openCheckpoint(note, parseVerifierKey(info.verifier_key));
  if (after.treeSize <= before.treeSize) return false;
  // There is a head, and the proof for it met damage: the answer leaves both out.
  if (body.checkpoint === undefined) damaged.push('proof of a new event');
  const proofReply = await server.fetch(
    `/logs/main/proofs/consistency?first=${before.treeSize}&second=${after.treeSize}`,
  );
  const { proof, code } = (await proofReply.json()) as { proof?: string[]; code?: string };
  if (proof === undefined) {
    if (code === 'damaged') damaged.push('consistency');
    else wrong.push(`a consistency proof to the new head: ${proofReply.status} ${code}`);
    return true;
  }
  verifyConsistency({
    first: before.treeSize,
    second: after.treeSize,
    firstRoot: before.rootHash,
    secondRoot: after.rootHash,
    proof: proof.map((hash) => asTreeHash(fromBase64(hash))),
  });
  return true;
}
