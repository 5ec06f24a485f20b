/**
 * Power cuts under load. A server runs with its data directory on a disk of which the power can be cut (power-disk.ts), clients append,
 * and at random moments, counted in writes and flushes of the disk, an image is taken of what a cut would leave. The server goes on, so that
 * one of them gives many. Then each image is mounted, ext4 replays its journal, and a server is started on it: what had been
 * acknowledged when its power was cut must be there (expected.ts), and fsck must find nothing.
 */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MountedImage, makeImage } from '../support/ext4-image.ts';
import { seededRandom } from '../support/random.ts';
import { BUILD, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { ExpectedLog, Load, pause } from './expected.ts';
import { namedRefusals } from './named-refusals.ts';
import { PowerDisk } from './power-disk.ts';

const run = promisify(execFile);

export interface PowerRun {
  /** How many images. */
  readonly cuts: number;
  readonly seed: number;
  /** What runs while the power is cut; the server that is started afterwards is always the project's own. */
  readonly build?: string;
  readonly progress?: (done: number, text: string) => void;
}

export interface PowerReport {
  /** Images that were looked at. */
  readonly tried: number;
  /** Acknowledgements that had to be in the images, all images together. */
  readonly acknowledged: number;
  readonly heads: number;
  /** Cuts while a server made its data directory, and while one recovered. */
  readonly firstStarts: number;
  readonly restarts: number;
  /** Cuts in which something was lost of what the disk had in its cache. */
  readonly lossy: number;
  /** Durable commits that nobody had been told of, and that were adopted. */
  readonly adopted: number;
  /** Starts that were refused, with a documented reason, where nothing had been acknowledged. */
  readonly refused: number;
  readonly violations: readonly string[];
}

/** MiB of the disk. */
const SIZE = 128;
/** Servers that run one after the other on one disk: the first makes or recovers, those after it were killed. */
const SESSIONS = 2;
/** Cuts under one server: while it makes its data directory, while it recovers, and under load. */
const CUTS = { 'first start': 4, restart: 2, load: 2 };
/** Most writes and flushes from one cut at a start to the next; a first start makes some 70. */
const START_GAP = 36;
/** The same under load. */
const LOAD_GAP = 24;
/** Longest pause before a cut under load, in milliseconds. */
const LOAD_PAUSE = 300;
/** A disk that has been through so many lives is given up for a new one. */
const MAX_LIVES = 2;

type Phase = 'first start' | 'restart' | 'load';

/** What a cut left, and what was known at that moment. */
interface Snapshot {
  readonly image: string;
  readonly expected: ExpectedLog;
  readonly phase: Phase;
  readonly name: string;
  readonly lost: number;
  /** Whether the guard has a folder of its own. */
  readonly guardApart: boolean;
}

/** What a server is started with; its guard stands in its data directory, or in another folder of the same disk. */
function startOn(disk: string, guardApart: boolean, build?: string): Promise<ServerProcess> {
  return ServerProcess.start({
    dataDir: join(disk, 'data'),
    ...(build === undefined ? {} : { build }),
    flags: [
      ...['--interval', '20', '--write-buffer', '65536', '--log-level', 'warn'],
      ...(guardApart ? ['--guard', join(disk, 'apart', 'guard')] : []),
    ],
  });
}

class Run {
  readonly folder = temporaryFolder('power');
  readonly options: PowerRun;
  /** Chooses the cuts. */
  readonly random: () => number;
  /** Chooses the events: these are made in an order that nobody can repeat, and must not touch the cuts. */
  readonly #randomEvent: () => number;
  readonly violations: string[] = [];
  readonly seen = {
    tried: 0,
    acknowledged: 0,
    heads: 0,
    firstStarts: 0,
    restarts: 0,
    lossy: 0,
    adopted: 0,
    refused: 0,
  };
  readonly #named = namedRefusals();
  #taken = 0;
  #events = 0;

  constructor(options: PowerRun) {
    this.options = options;
    this.random = seededRandom(options.seed);
    this.#randomEvent = seededRandom(options.seed + 1);
  }

  get left(): number {
    return this.violations.length > 0 ? 0 : this.options.cuts - this.#taken;
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  /** A disk from its power-on to its end: servers run on it, one after the other, and the power is cut again and again. */
  async life(from: Snapshot | undefined, image: string, guardApart: boolean): Promise<Snapshot[]> {
    const expected = from?.expected.fork() ?? new ExpectedLog();
    const snapshots: Snapshot[] = [];
    const folder = join(this.folder.path, `disk-${this.#taken}`);
    const disk = await PowerDisk.start(image, folder);
    try {
      for (let session = 0; session < SESSIONS && this.left > 0; session++) {
        const phase = from === undefined && session === 0 ? 'first start' : 'restart';
        await this.#session(disk, expected, phase, guardApart, snapshots);
      }
    } finally {
      await disk.remove();
      rmSync(folder, { recursive: true, force: true });
    }
    return snapshots;
  }

  async #session(
    disk: PowerDisk,
    expected: ExpectedLog,
    phase: Phase,
    guardApart: boolean,
    snapshots: Snapshot[],
  ): Promise<void> {
    const work = this.#serve(disk, expected, guardApart);
    // Awaited below, after the cuts at the start.
    work.catch(() => {});
    const cut = async (during: Phase, gap: number): Promise<void> => {
      if (this.left === 0) return;
      const name = `cut ${this.#taken++} (${during})`;
      const image = join(this.folder.path, `image-${this.#taken}`);
      const request = { path: image, seed: this.below(2 ** 31), after: this.below(gap) };
      let known = expected;
      const { lost } = await disk.cut(request, () => {
        known = expected.fork();
      });
      snapshots.push({ image, expected: known, phase: during, name, lost, guardApart });
    };
    for (let i = 0; i < CUTS[phase]; i++) await cut(phase, START_GAP);
    const { server, load } = await work;
    for (let i = 0; i < CUTS.load; i++) {
      await pause(this.below(LOAD_PAUSE));
      await cut('load', LOAD_GAP);
    }
    load?.end();
    // One that did not start is a violation already.
    const early = server.url === '' ? undefined : await server.end('SIGKILL');
    await load?.stop();
    if (early !== undefined) this.violations.push(`${early} (while its power was cut)`);
    this.violations.push(...expected.violations);
  }

  /** Starts a server, and load on it as soon as it listens. */
  async #serve(
    disk: PowerDisk,
    expected: ExpectedLog,
    guardApart: boolean,
  ): Promise<{ server: ServerProcess; load?: Load }> {
    const server = await startOn(disk.path, guardApart, this.options.build);
    if (server.url === '') {
      this.violations.push(`a server did not start: ${server.stderr.trim()}`);
      return { server };
    }
    if (!expected.met) await expected.meet(server);
    const load = new Load(server, expected, (client) =>
      Array.from({ length: client % 4 === 0 ? 1 + Math.floor(this.#randomEvent() * 40) : 1 }, () => {
        const id = `${this.options.seed}-${this.#events++}`;
        return { id, text: JSON.stringify({ id, filler: 'x'.repeat(this.#randomEvent() * 600) }) };
      }),
    );
    return { server, load };
  }

  /** A copy of an image and what belongs to it, for the next disk to begin with. */
  async keep(snapshot: Snapshot | undefined): Promise<Snapshot | undefined> {
    if (snapshot === undefined) return undefined;
    const image = join(this.folder.path, 'kept');
    await run('cp', ['--sparse=always', snapshot.image, image]);
    return { ...snapshot, image, expected: snapshot.expected.fork() };
  }

  /** Mounts an image, looks at what a server makes of it, and removes it. */
  async judge({ image, expected, phase, name, lost, guardApart }: Snapshot): Promise<void> {
    this.seen.acknowledged += expected.acknowledged.size;
    this.seen.heads += expected.heads.size;
    if (phase === 'first start') this.seen.firstStarts++;
    if (phase === 'restart') this.seen.restarts++;
    if (lost > 0) this.seen.lossy++;
    const mounted = await MountedImage.mount(image, `${image}-mounted`);
    try {
      const problems = await this.#look(mounted.path, expected, guardApart);
      this.violations.push(...problems.map((problem) => `${name}: ${problem}`));
    } finally {
      await mounted.unmount();
    }
    const faults = await mounted.faults();
    if (faults !== '') throw new Error(`${name}: the file system itself did not survive the cut: ${faults}`);
    rmSync(image);
    this.seen.tried++;
    this.options.progress?.(this.seen.tried, `${this.seen.acknowledged} acknowledged`);
  }

  async #look(disk: string, expected: ExpectedLog, guardApart: boolean): Promise<string[]> {
    const server = await startOn(disk, guardApart);
    if (server.url === '') {
      const { code } = await server.exited;
      const text = server.stderr.trim();
      // Nobody had heard of this log yet.
      if (!expected.met && code === 78 && this.#named(text) !== undefined) {
        this.seen.refused++;
        return [];
      }
      return [`the server refused to start (${code}): ${text}`];
    }
    this.seen.adopted += server.adopted;
    try {
      if (!expected.met) await expected.meet(server);
      await expected.settle(server.url);
      await expected.check(server);
      if (expected.violations.length === 0) await expected.checkEvents(server);
    } catch (error) {
      await server.stop('SIGKILL');
      return [...expected.violations, `the server stopped by itself: ${String(error)} ${server.stderr.trim()}`];
    }
    const { code, signal } = await server.stop('SIGTERM');
    if (code !== 0) return [...expected.violations, `the server ended with ${code ?? signal}: ${server.stderr.trim()}`];
    return [...expected.violations, ...(await fsck(disk, guardApart))];
  }
}

async function fsck(disk: string, guardApart: boolean): Promise<string[]> {
  const guard = guardApart ? ['--guard', join(disk, 'apart', 'guard')] : [];
  try {
    await run(process.execPath, [join(BUILD, 'cli/main.js'), 'fsck', '--data-dir', join(disk, 'data'), ...guard]);
    return [];
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    return [`fsck: ${stdout ?? String(error)} ${stderr ?? ''}`.trim()];
  }
}

/** Power cuts of that seed. Stops at the first disk on which something was violated. */
export async function powerRun(options: PowerRun): Promise<PowerReport> {
  const power = new Run(options);
  try {
    const empty = join(power.folder.path, 'empty');
    makeImage(empty, SIZE);
    let last: Snapshot | undefined;
    for (let life = 0; power.left > 0; life++) {
      // A new data directory, and then the disk goes on from what its last cut left, as after a real one.
      const from = life % MAX_LIVES === 0 ? undefined : last;
      const guardApart = from?.guardApart ?? power.random() < 0.3;
      const snapshots = await power.life(from, from?.image ?? empty, guardApart);
      last = await power.keep(snapshots.at(-1));
      await inPairs(snapshots, (snapshot) => power.judge(snapshot));
    }
  } finally {
    power.folder.remove();
  }
  return { ...power.seen, violations: power.violations };
}

/** Does something with each of them, two at a time. */
async function inPairs<T>(all: readonly T[], action: (one: T) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < all.length) await action(all[next++] as T);
  };
  const workers = await Promise.allSettled([work(), work()]);
  for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
}
