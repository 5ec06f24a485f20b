/**
 * Restores of older snapshots over a history that goes on. One data directory is run by one server after the other; of each moment
 * a copy is taken, while the server stands or while it runs; more is appended and acknowledged; then the copy is put in the place of what is
 * there, in all the ways in which people restore backups. A server must refuse that, every time, with a reason that docs/operations.md
 * names. Then the newer state is put back, and the history goes on: it must be whole (expected.ts).
 */
import { execFile } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { seededRandom } from '../support/random.ts';
import { BUILD, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { ExpectedLog, Load, pause } from './expected.ts';
import { namedRefusals } from './named-refusals.ts';

const run = promisify(execFile);

/** When a snapshot is taken. A running server changes files while they are copied, so such a copy is of no one moment. */
export const MOMENTS = ['stopped', 'killed', 'running'] as const;
export type Moment = (typeof MOMENTS)[number];

/** What is restored, and how. */
export const WAYS = {
  /** db/ alone: the guard is the newer one. */
  database: /rollback: the database ends at commit/,
  /** db/ alone, and somebody deleted the guard to get past the refusal. */
  'database without guard': /has a database but no guard/,
  /** The guard alone: it has not promised what the database holds. */
  guard: /but the guard has promised only \d+/,
  /** The whole directory, as another one in its place. */
  directory: /is a copy/,
  /**
   * The whole directory removed, and then the copy put in its place. A file system may give the new guard the inode of the old one, ext4
   * often does; then only the time when the file was made tells it from the original. Where the file system keeps none, this is as `in place`.
   */
  replaced: /is a copy/,
  /** The whole directory, in another place. */
  elsewhere: /is a copy/,
  /** The whole directory; the guard is on another disk and stays. */
  'guard apart': /rollback: the database ends at commit/,
  /**
   * Bytes of all files, the guard included, written into the files that are there, as a restored disk image or virtual machine has them: the
   * guard is the very file, and agrees with the database. Nothing on this machine remembers more. Whoever has seen a
   * newer head does; see `needsWitness`.
   */
  'in place': undefined,
} as const satisfies Record<string, RegExp | undefined>;
export type Way = keyof typeof WAYS;

export interface RollbackRun {
  readonly restores: number;
  readonly seed: number;
  readonly build?: string;
  readonly progress?: (done: number, text: string) => void;
}

export interface RollbackReport {
  readonly tried: number;
  readonly refused: number;
  /** Restores that nothing but a witness can notice. */
  readonly needsWitness: number;
  /** Restores where the file system gave a new guard the inode of the old one. */
  readonly sameInode: number;
  /** Snapshots of a server that ran. */
  readonly running: number;
  readonly acknowledged: number;
  readonly violations: readonly string[];
}

/** Longest time that a server is under load before and after a snapshot, in milliseconds. */
const LOAD_TIME = 250;
/** Acknowledged at least after a snapshot: so many requests, each a commit later than the one before. */
const COMMITS_AFTER = 3;
/** A history is as long as so many restores; then another begins. */
const HISTORY = 25;

/** Several restores of one history. */
class History {
  readonly folder = temporaryFolder('rollback');
  readonly expected = new ExpectedLog();
  readonly data = join(this.folder.path, 'data');
  readonly guard: string;
  readonly snapshot = join(this.folder.path, 'snapshot');
  readonly #options: RollbackRun;
  /** Chooses the moments; not the events, which are made in an order that nobody can repeat. */
  readonly #random: () => number;
  readonly #randomEvent: () => number;
  #events = 0;

  constructor(options: RollbackRun, random: () => number, guardApart: boolean) {
    this.#options = options;
    this.#random = random;
    this.#randomEvent = seededRandom(options.seed + 1);
    this.guard = guardApart ? join(this.folder.path, 'other-disk', 'guard') : join(this.data, 'guard');
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  start(dataDir = this.data): Promise<ServerProcess> {
    const { build } = this.#options;
    const apart = this.guard.startsWith(this.data) ? [] : ['--guard', this.guard];
    return ServerProcess.start({
      dataDir,
      flags: ['--interval', '20', '--write-buffer', '65536', '--log-level', 'warn', ...apart],
      ...(build === undefined ? {} : { build }),
    });
  }

  /** Starts on the newest state, which must be whole; `undefined` if it does not start. */
  async goOn(): Promise<ServerProcess | undefined> {
    const server = await this.start();
    if (server.url === '') {
      this.expected.violations.push(`the newest state does not start: ${server.stderr.trim()}`);
      return undefined;
    }
    if (!this.expected.met) await this.expected.meet(server);
    await this.expected.settle(server.url);
    await this.expected.check(server);
    return server;
  }

  load(server: ServerProcess): Load {
    return new Load(server, this.expected, (client) =>
      Array.from({ length: client % 4 === 0 ? 1 + Math.floor(this.#randomEvent() * 20) : 1 }, () => {
        const id = `${this.#options.seed}-${this.#events++}`;
        return { id, text: JSON.stringify({ id, filler: 'x'.repeat(this.#randomEvent() * 600) }) };
      }),
    );
  }

  /** Appends, takes a snapshot at that moment, and appends more. Nothing runs at the end. */
  async grow(moment: Moment): Promise<void> {
    let server = await this.goOn();
    if (server === undefined) return;
    let load = this.load(server);
    await pause(this.below(LOAD_TIME));
    if (moment === 'running') {
      await this.#copy();
    } else {
      load.end();
      if (moment === 'stopped') await load.stop();
      await this.#end(server, moment === 'stopped' ? 'SIGTERM' : 'SIGKILL');
      await load.stop();
      await this.#copy();
      server = await this.goOn();
      if (server === undefined) return;
      load = this.load(server);
    }
    await pause(this.below(LOAD_TIME));
    await load.stop();
    for (let i = 0; i < COMMITS_AFTER; i++) {
      const id = `${this.#options.seed}-after-${this.#events++}`;
      if ((await this.expected.send(server.url, [{ id, text: JSON.stringify({ id }) }])) !== 200)
        this.expected.violations.push(`an append to a server that runs was not acknowledged: ${server.stderr.trim()}`);
    }
    await this.expected.see(server);
    await this.#end(server, this.#random() < 0.5 ? 'SIGTERM' : 'SIGKILL');
  }

  /** Ends a server of the newest state, which must not have ended by itself. */
  async #end(server: ServerProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const early = await server.end(signal);
    if (early !== undefined) this.expected.violations.push(early);
  }

  async #copy(): Promise<void> {
    rmSync(this.snapshot, { recursive: true, force: true });
    try {
      await run('cp', ['-a', this.data, this.snapshot]);
    } catch (error) {
      // A file that LevelDB deleted under the copy: whoever makes such a backup is told, and has it all the same.
      if (!/No such file or directory/.test(String(error))) throw error;
    }
  }

  /** Puts the snapshot in place in that way, lets `look` see it, and puts back what was there. */
  async restore(way: Way, look: (dataDir: string) => Promise<void>): Promise<void> {
    const undo = await this.#put(way);
    try {
      await look(way === 'elsewhere' ? join(this.folder.path, 'elsewhere') : this.data);
    } finally {
      await undo();
    }
  }

  /** Restores, and gives what restores the newer state. Moved and put back, a file stays the very file that it is. */
  async #put(way: Way): Promise<() => Promise<void>> {
    const { data, guard, snapshot } = this;
    const aside = (path: string): (() => void) => {
      const place = join(this.folder.path, 'aside');
      renameSync(path, place);
      return () => {
        rmSync(path, { recursive: true, force: true });
        renameSync(place, path);
      };
    };
    const db = join(data, 'db');
    switch (way) {
      case 'database': {
        const back = aside(db);
        await run('cp', ['-a', join(snapshot, 'db'), db]);
        return async () => back();
      }
      case 'database without guard': {
        const back = aside(db);
        await run('cp', ['-a', join(snapshot, 'db'), db]);
        const hidden = join(this.folder.path, 'hidden');
        renameSync(guard, hidden);
        return async () => {
          renameSync(hidden, guard);
          back();
        };
      }
      case 'guard': {
        const newer = readFileSync(guard);
        overwrite(guard, readFileSync(join(snapshot, 'guard')));
        return async () => overwrite(guard, newer);
      }
      case 'directory':
      case 'guard apart': {
        const back = aside(data);
        await run('cp', ['-a', snapshot, data]);
        return async () => back();
      }
      case 'replaced': {
        const newer = join(this.folder.path, 'newer');
        await run('cp', ['-a', data, newer]);
        rmSync(data, { recursive: true });
        await run('cp', ['-a', snapshot, data]);
        return async () => {
          rmSync(data, { recursive: true });
          await run('cp', ['-a', newer, data]);
          rmSync(newer, { recursive: true });
          await adopt(data);
        };
      }
      case 'elsewhere': {
        const other = join(this.folder.path, 'elsewhere');
        await run('cp', ['-a', snapshot, other]);
        return async () => rmSync(other, { recursive: true });
      }
      case 'in place': {
        const back = aside(db);
        const newer = readFileSync(guard);
        await run('cp', ['-a', join(snapshot, 'db'), db]);
        overwrite(guard, readFileSync(join(snapshot, 'guard')));
        return async () => {
          back();
          overwrite(guard, newer);
        };
      }
    }
  }
}

/** Takes over a copy, unless it cannot be told from the original: then the command says so and ends with 2. */
async function adopt(dataDir: string): Promise<void> {
  await run(process.execPath, [join(BUILD, 'cli/main.js'), 'adopt', '--data-dir', dataDir]).catch((error: unknown) => {
    if ((error as { code?: unknown }).code !== 2) throw error;
  });
}

/** New bytes in a file that stays the same file. */
function overwrite(path: string, bytes: Uint8Array): void {
  const { ino } = statSync(path);
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, 0);
  closeSync(fd);
  if (statSync(path).ino !== ino) throw new Error('bug: the file was replaced');
}

class Run {
  readonly options: RollbackRun;
  readonly violations: string[] = [];
  readonly seen = { tried: 0, refused: 0, needsWitness: 0, sameInode: 0, running: 0, acknowledged: 0 };
  readonly #named = namedRefusals();

  constructor(options: RollbackRun) {
    this.options = options;
  }

  /** One restore: a server must refuse it, and refuse it again; the first refusal must not have made the second start possible. */
  async restore(history: History, way: Way, moment: Moment): Promise<void> {
    const name = `restore ${this.seen.tried} (${way}, of a server that was ${moment})`;
    await history.grow(moment);
    if (moment === 'running') this.seen.running++;
    const { ino } = statSync(history.guard, { bigint: true });
    let unnoticed = way === 'in place';
    await history.restore(way, async (dataDir) => {
      // Of other ways there may be no guard there.
      const now = way === 'replaced' ? statSync(history.guard, { bigint: true }) : undefined;
      if (now?.ino === ino) {
        this.seen.sameInode++;
        unnoticed = now.birthtimeNs === 0n;
      }
      for (let i = 0; i < 2 && history.expected.violations.length === 0; i++) {
        const server = await history.start(dataDir);
        const problem = unnoticed
          ? await this.needsWitness(history, server, moment)
          : await this.#judge(server, way, moment);
        if (problem !== undefined) this.violations.push(`${name}: ${problem}`);
      }
    });
    if (unnoticed) this.seen.needsWitness++;
    else this.seen.refused++;
    this.violations.push(...history.expected.violations.map((text) => `${name}: ${text}`));
    this.seen.tried++;
    this.options.progress?.(this.seen.tried, `${history.expected.acknowledged.size} acknowledged`);
  }

  async #judge(server: ServerProcess, way: Way, moment: Moment): Promise<string | undefined> {
    if (server.url !== '') {
      await server.stop('SIGKILL');
      return 'a server started on it';
    }
    const { code } = await server.exited;
    const text = server.stderr.trim();
    if (code !== 78) return `it was not refused with 78 but ended with ${code}: ${text}`;
    if (this.#named(text) === undefined)
      return `it was refused for a reason that docs/operations.md does not name: ${text}`;
    // The database of a server that ran was copied over some time: that it is damaged may be seen before that it is old.
    if (moment === 'running' && (way === 'database' || way === 'guard apart')) return undefined;
    return WAYS[way]?.test(text) ? undefined : `it was refused for another reason: ${text}`;
  }

  /**
   * What happens today: database and guard agree on an older moment, and a server starts on it. It would sign another tree over sizes
   * that it has signed before. The one thing that can tell is a head that somebody else has kept: a client notices when it
   * asks for a proof, a witness would keep the server from starting. Once a start asks witnesses, this is where a refusal must be demanded.
   */
  async needsWitness(history: History, server: ServerProcess, moment: Moment): Promise<string | undefined> {
    if (server.url === '') {
      const { code } = await server.exited;
      // A copy of no one moment need not agree with itself.
      return moment === 'running' && code === 78 && this.#named(server.stderr) !== undefined
        ? undefined
        : `expected to start, as nothing on this machine can tell; it ended with ${code}: ${server.stderr.trim()}`;
    }
    const { treeSize } = await history.expected.fork().see(server);
    await server.stop('SIGTERM');
    const newest = Math.max(...[...history.expected.acknowledged.values()].map(({ leafIndex }) => leafIndex));
    return treeSize <= newest ? undefined : `size ${treeSize} is not older than what was acknowledged`;
  }
}

/** Restores of that seed. Stops at the first violation. */
export async function rollbackRun(options: RollbackRun): Promise<RollbackReport> {
  const rollback = new Run(options);
  const random = seededRandom(options.seed);
  while (rollback.seen.tried < options.restores && rollback.violations.length === 0) {
    const guardApart = random() < 0.25;
    const history = new History(options, random, guardApart);
    const ways = (Object.keys(WAYS) as Way[]).filter((way) => (way === 'guard apart') === guardApart);
    try {
      const end = Math.min(options.restores, rollback.seen.tried + (guardApart ? Math.ceil(HISTORY / 5) : HISTORY));
      while (rollback.seen.tried < end && rollback.violations.length === 0) {
        const way = ways[Math.floor(random() * ways.length)] as Way;
        await rollback.restore(history, way, MOMENTS[Math.floor(random() * MOMENTS.length)] as Moment);
      }
      if (rollback.violations.length === 0) await (await history.goOn())?.stop('SIGTERM');
      rollback.violations.push(...history.expected.violations);
    } finally {
      rollback.seen.acknowledged += history.expected.acknowledged.size;
      history.folder.remove();
    }
  }
  return { ...rollback.seen, violations: rollback.violations };
}
