/**
 * Calls to the kernel that fail, one at a time, under a real server: on the first start, while it runs, when it stops, on a restart. What
 * a server does is recorded first, then a server is made to do the same with one of these calls failing, and sometimes a second one.
 *
 * Either it answers right, or it stops with a documented exit code and says why. Afterwards a server without a fault must start
 * on what is left, have all that was promised, and leave a directory in which fsck finds nothing.
 */
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkDataDirectory } from '../../server/fsck.ts';
import { seededRandom } from '../support/random.ts';
import { type Exit, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { within } from './expected.ts';
import type { HarnessRun, Outcome, Violation } from './harness.ts';
import { Promises } from './promises.ts';
import { type Call, parseTrace, recorder, TRACED_NODE_FLAGS, tracedEnv } from './strace.ts';
import { drawPlan, type Fault, type Plan, type Recordings, type Scene } from './syscall-faults.ts';

/** No scrub, so that a server does what the recorded one did; frequent heads and a small write buffer, so that there is much of it. */
const FLAGS = ['--interval', '20', '--write-buffer', '65536', '--log-level', 'warn', '--scrub-rate', '0'];
/** The base directory is copied for each trial. */
const SCENE_FLAGS: Readonly<Record<Scene, readonly string[]>> = {
  'first start': FLAGS,
  restart: [...FLAGS, '--guard-inode', 'off'],
};
/** Commits of a server with a fault, of one that has its fault while it starts, and of the one that made the base directory: three write buffers. */
const COMMITS: Readonly<Record<Scene, number>> = { 'first start': 12, restart: 24 };
const FEW_COMMITS = 6;
const BASE_COMMITS = 90;
/** A server that neither answers nor exits for so long, in milliseconds, does not do what it must. */
const PATIENCE = 20_000;
/** The same for one that starts: twenty seconds were not enough for two that started together on a machine with a load of 35. */
const START_PATIENCE = 60_000;
/** A server that has refused something must end by itself in this time, in milliseconds; it takes a quarter of a second where nothing else runs. */
const LAST_WORDS = 10_000;
/** How many at a time. */
const WORKERS = 2;
/** Violations after which it ends: the first one is enough for a planted bug, and some more help to find the cause of one that is not. */
const ENOUGH = 3;
/** Faults that are drawn for one that is reached, at most. */
const MOST_DRAWN = 2;

interface Base {
  readonly path: string;
  readonly promises: Promises;
}

interface Setting {
  readonly build: string | undefined;
  readonly base: Base;
  readonly recordings: Recordings;
}

/** How a server with a fault ended. */
interface Ended {
  readonly reached: boolean;
  readonly outcome: 'killed' | 'stopped' | 'went on';
  readonly violations: readonly string[];
}

interface Trial {
  readonly plan: Plan;
  readonly ended: readonly Ended[];
  readonly acknowledged: number;
  readonly adopted: number;
  readonly violations: readonly string[];
}

export async function syscallRun({ count, seed, build, progress }: HarnessRun): Promise<Outcome> {
  const { path, remove } = temporaryFolder('syscalls-base');
  try {
    // Always by the project's own build: a planted bug is to be met in the trials.
    const base = await makeBase(join(path, 'data'));
    const recordings = { 'first start': await record('first start', base), restart: await record('restart', base) };
    return await manyTrials({ build, base, recordings }, { count, seed, progress });
  } finally {
    remove();
  }
}

async function manyTrials(setting: Setting, { count, seed, progress }: HarnessRun): Promise<Outcome> {
  const seen = new Map<string, number>();
  const add = (name: string, more = 1): void => void seen.set(name, (seen.get(name) ?? 0) + more);
  const violations: Violation[] = [];
  const enough = setting.build === undefined ? ENOUGH : 1;
  let drawn = 0;
  let tried = 0;
  let underWay = 0;
  const work = async (): Promise<void> => {
    while (tried + underWay < count && drawn < count * MOST_DRAWN && violations.length < enough) {
      const own = seed + 1000 * drawn++;
      underWay++;
      const { plan, ended, acknowledged, adopted, violations: found } = await trial(setting, seededRandom(own));
      underWay--;
      const reached = ended[0]?.reached === true;
      if (reached) tried++;
      else add('unreached');
      if (reached) add(plan.fault.effect);
      if (reached && (!plan.fault.single || ended[1]?.reached === true)) add('double');
      for (const { outcome } of reached ? ended : []) add(outcome);
      add('acknowledged', acknowledged);
      if (adopted > 0) add('adopted commits', adopted);
      for (const text of found) violations.push({ seed: own, text: `${titleOf(plan)}: ${text}` });
      progress(tried);
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  return { tried, violations, seen: Object.fromEntries([...seen].sort()) };
}

function titleOf({ fault, ending, again }: Plan): string {
  return `${fault.text}${again === undefined ? '' : `, then ${again.text}`} (ended by ${ending})`;
}

/** A directory that was in use: tables, a log file that a kill left, keys, heads. */
async function makeBase(path: string): Promise<Base> {
  const promises = new Promises();
  const server = await ServerProcess.start({ dataDir: path, flags: FLAGS });
  const all = await promises.work(server, 'base', BASE_COMMITS);
  await server.stop('SIGKILL');
  if (!all) throw new Error(`the base directory could not be made: ${server.stderr}`);
  return { path, promises };
}

/** What a server without a fault does in that scene. */
async function record(scene: Scene, base: Base): Promise<Call[]> {
  const { path, remove } = temporaryFolder('syscalls-recorded');
  try {
    const dataDir = join(path, 'data');
    const output = join(path, 'trace');
    if (scene === 'restart') cpSync(base.path, dataDir, { recursive: true });
    const promises = scene === 'restart' ? base.promises.copy() : new Promises();
    const server = await ServerProcess.start({
      dataDir,
      flags: SCENE_FLAGS[scene],
      ...{ env: tracedEnv(1), nodeFlags: TRACED_NODE_FLAGS, wrapper: recorder(output) },
    });
    const all = await promises.work(server, 'work', COMMITS[scene]);
    const { code } = await server.stop('SIGTERM');
    if (!all || code !== 0) throw new Error(`nothing could be recorded, exit code ${code}: ${server.stderr}`);
    return parseTrace(readFileSync(output, 'utf8'), dataDir);
  } finally {
    remove();
  }
}

async function trial({ build, base, recordings }: Setting, random: () => number): Promise<Trial> {
  const plan = drawPlan(recordings, random);
  const { path, remove } = temporaryFolder('syscalls');
  try {
    const dataDir = join(path, 'data');
    if (plan.scene === 'restart') cpSync(base.path, dataDir, { recursive: true });
    const promises = plan.scene === 'restart' ? base.promises.copy() : new Promises();
    const known = promises.log.acknowledged.size;
    const options = {
      dataDir,
      flags: SCENE_FLAGS[plan.scene],
      patience: START_PATIENCE,
      ...(build === undefined ? {} : { build }),
    };
    const ended = [await endure(plan.fault, { options, path, promises, plan, start: 1 })];
    if (plan.again !== undefined && ended[0]?.violations.length === 0) {
      ended.push(await endure(plan.again, { options, path, promises, plan, start: 2 }));
    }
    const violations = ended.flatMap((each) => each.violations);
    const acknowledged = promises.log.acknowledged.size - known;
    const { adopted, violations: found } = violations.length > 0 ? CLEAN : await startClean(options, promises);
    return { plan, ended, acknowledged, adopted, violations: [...violations, ...found] };
  } finally {
    remove();
  }
}

interface Endured {
  readonly options: { readonly dataDir: string; readonly flags: readonly string[] };
  /** For traces. */
  readonly path: string;
  readonly promises: Promises;
  readonly plan: Plan;
  readonly start: number;
}

/** A server with a fault in it, from its start to its end. */
async function endure(fault: Fault, { options, path, promises, plan, start }: Endured): Promise<Ended> {
  const output = join(path, `trace-${start}`);
  const { dataDir } = options;
  const server = await ServerProcess.start({
    ...options,
    ...{ env: tracedEnv(start), nodeFlags: TRACED_NODE_FLAGS, wrapper: fault.wrapper(output, dataDir) },
  });
  const violations: string[] = [];
  let asked: NodeJS.Signals | undefined;
  if (server.url !== '') {
    const commits = fault.stage === 'start' ? FEW_COMMITS : COMMITS[plan.scene];
    const all = await within(promises.work(server, `work-${start}`, commits), PATIENCE);
    if (all === undefined) violations.push('the server neither answers nor exits');
    if (all === false && (await within(server.exited, LAST_WORDS)) === undefined) {
      violations.push('the server refuses what it is sent, and does not end');
    }
    if (!isGone(server)) asked = all === undefined ? 'SIGKILL' : plan.ending;
  }
  if (asked !== undefined) server.child.kill(asked);
  let exit = await within(server.exited, PATIENCE);
  if (exit === undefined) {
    violations.push('the server does not stop');
    exit = await server.stop('SIGKILL');
  }
  const failed = parseTrace(readFileSync(output, 'utf8'), dataDir).filter((call) => call.failed);
  const killed = asked !== 'SIGKILL' && exit.signal === 'SIGKILL';
  const reached = fault.effect === 'kill' ? killed : failed.length > 0;
  if (violations.length === 0) {
    const wrong = judgeExit(fault, { exit, asked, failed, stderr: server.stderr, listened: server.url !== '' });
    if (wrong !== undefined) violations.push(wrong);
  }
  violations.push(...promises.log.violations);
  const outcome = exit.code === 70 ? 'stopped' : killed ? 'killed' : 'went on';
  return { reached, outcome, violations };
}

function isGone({ child }: ServerProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Files that acknowledgements rest on: a write or a sync of them that fails must end the server. */
const PROMISES = /^(?:guard|db\/[0-9]+\.log)$/;
const WRITES = new Set(['write', 'pwrite64', 'writev', 'pwritev', 'fdatasync', 'fsync']);
/** How Node and the C library call the errors. */
const ERROR_TEXTS: Readonly<Record<string, RegExp>> = {
  EIO: /EIO|Input\/output error/,
  ENOSPC: /ENOSPC|No space left on device/,
};

interface Finished {
  readonly exit: Exit;
  /** The signal that we sent. */
  readonly asked: NodeJS.Signals | undefined;
  readonly failed: readonly Call[];
  readonly stderr: string;
  readonly listened: boolean;
}

/** What docs/operations.md promises of a write that fails: exit code 70, and a line that says why. */
function judgeExit({ effect, single }: Fault, { exit, asked, failed, stderr, listened }: Finished): string | undefined {
  const how = `exit code ${exit.code}, signal ${exit.signal}: ${told(stderr)}`;
  if (exit.signal === 'SIGKILL' && asked === undefined && !listened && effect !== 'kill') {
    return `the server neither listens nor exits: ${told(stderr)}`;
  }
  if (exit.signal !== null) {
    return exit.signal === 'SIGKILL' && (asked === 'SIGKILL' || effect === 'kill') ? undefined : `ended by ${how}`;
  }
  if (exit.code === 0 && asked === 'SIGTERM') {
    const grave = failed.find(({ name, files }) => WRITES.has(name) && files.some((file) => PROMISES.test(file)));
    return grave === undefined ? undefined : `${grave.name} of ${grave.files[0]} failed, and the server went on`;
  }
  if (exit.code !== 70) return `not 70 but ${how}`;
  const reason = listened ? /^\{"level":60,.*$/m.exec(stderr) : /^indelible: .*$/m.exec(stderr);
  if (reason === null) return `no reason is given, ${how}`;
  const text = single ? ERROR_TEXTS[effect] : undefined;
  return text === undefined || text.test(reason[0]) ? undefined : `the reason does not name ${effect}, ${how}`;
}

/** What a server said of its end, without what it says on a first start. */
function told(stderr: string): string {
  const lines = stderr.split('\n');
  const own = lines.filter((line) => /^(?:\{|indelible: )/.test(line));
  return (own.length > 0 ? own : lines).join('\n').trim().slice(0, 600);
}

interface Clean {
  readonly adopted: number;
  readonly violations: readonly string[];
}

const CLEAN: Clean = { adopted: 0, violations: [] };

/** A server without a fault on what is left: it starts, and everything that was promised is there. Then fsck. */
async function startClean(options: Endured['options'], promises: Promises): Promise<Clean> {
  const server = await ServerProcess.start(options);
  const { adopted } = server;
  if (server.url === '') {
    const { code, signal } = await server.exited;
    return { adopted, violations: [`a clean start gave ${code ?? signal}: ${told(server.stderr)}`] };
  }
  const checked = await within(
    promises.check(server).then(
      () => 'checked',
      (error) => `a clean start broke: ${(error as Error).stack} ${told(server.stderr)}`,
    ),
    2 * PATIENCE,
  );
  const { violations } = promises.log;
  if (checked !== 'checked') violations.push(checked ?? 'after a clean start the server did not answer');
  const exit = await within(server.stop('SIGTERM'), PATIENCE);
  if (exit === undefined) await server.stop('SIGKILL');
  if (exit?.code !== 0)
    violations.push(`a clean start ended with ${exit?.code ?? exit?.signal}: ${told(server.stderr)}`);
  if (violations.length === 0) violations.push(...(await fsck(options.dataDir)));
  return { adopted, violations };
}

async function fsck(path: string): Promise<string[]> {
  try {
    const { faults } = await checkDataDirectory({ path });
    return faults.kept.map((fault) => `fsck: ${JSON.stringify(fault)}`);
  } catch (error) {
    return [`fsck: ${(error as Error).message}`];
  }
}
