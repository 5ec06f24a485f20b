/**
 * Two servers on one data directory, again and again, in every way that an operator can bring about: a second start beside the first, in
 * the same network namespace or in another one, with LevelDB's LOCK file in place or removed; a server that sleeps while its successor
 * takes over, asleep at any moment, in the midst of a batch, or in its own start; first starts at the same moment.
 *
 * One oracle (expected.ts) hears the clients of all servers. Whatever one of them acknowledged or signed must be in the one tree that is
 * left. Whoever lost the directory has to leave with exit code 75 and has to say so.
 *
 * LevelDB's write buffer is so large here that nothing is compacted under a takeover: a compaction that runs while somebody removes LOCK
 * is what our lock cannot stop (docs/design.md, Commits and the guard).
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Namespace } from '../support/namespaces.ts';
import { seededRandom } from '../support/random.ts';
import { killAll, type ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { ExpectedLog, Load, pause, type Sent, within } from './expected.ts';

export interface TwoWritersRun {
  readonly races: number;
  readonly seed: number;
  readonly build?: string | undefined;
  /** Hears after each race how many there were, and what it was. */
  readonly progress?: (done: number, race: string) => void;
}

export interface TwoWritersReport {
  readonly races: number;
  readonly acknowledged: number;
  readonly heads: number;
  /** Servers that lost their directory while they ran. */
  readonly deposed: number;
  /** Starts that found it taken. */
  readonly turnedAway: number;
  /** Races whose loser slept in the midst of a batch. */
  readonly halfWritten: number;
  readonly violations: readonly string[];
}

/** Takeovers of one directory, before there is a new one: with the fifth start LevelDB has tables to compact. */
const TAKEOVERS = 3;
/** Namespaces: as many servers may run at once. */
const PLACES = 3;
/** Time for a server that lost its directory to leave, in milliseconds. It looks every second. */
const LEAVING_TIME = 10_000;

class Races {
  readonly #places: readonly Namespace[];
  readonly #build: string | undefined;
  /** Of the schedule alone: how much the clients send meanwhile depends on the machine. */
  readonly random: () => number;
  readonly #loadRandom: () => number;
  readonly violations: string[] = [];
  /** Of the directory of now: the races over it, the newest last. */
  history: string[] = [];
  dataDir = '';
  expected = new ExpectedLog();
  acknowledged = 0;
  heads = 0;
  deposed = 0;
  turnedAway = 0;
  halfWritten = 0;
  #met = false;
  #next = 0;
  readonly #seed: number;

  constructor(places: readonly Namespace[], { seed, build }: TwoWritersRun) {
    this.#places = places;
    this.#build = build;
    this.#seed = seed;
    this.random = seededRandom(seed);
    this.#loadRandom = seededRandom(seed + 1);
  }

  get failed(): boolean {
    return this.violations.length + this.expected.violations.length > 0;
  }

  /** From now on there is another directory, which is not there yet. */
  begin(dataDir: string): void {
    this.dataDir = dataDir;
    this.expected = new ExpectedLog();
    this.history = [];
    this.#met = false;
  }

  /** Learns the key of the log, from whoever answers first. */
  async meet(server: ServerProcess): Promise<void> {
    if (!this.#met) await this.expected.meet(server);
    this.#met = true;
  }

  /** Starts a server on the directory; those in different places do not see each other's lock. */
  start(place: number, onSpawn: (child: ChildProcess) => void = () => {}): Promise<ServerProcess> {
    return (this.#places[place % PLACES] as Namespace).start({
      dataDir: this.dataDir,
      onSpawn,
      flags: ['--interval', '20', '--write-buffer', '16777216', '--log-level', 'warn'],
      ...(this.#build === undefined ? {} : { build: this.#build }),
    });
  }

  event(filler = ''): Sent {
    const id = `${this.#seed}-${this.#next++}`;
    return { id, text: JSON.stringify({ id, filler }) };
  }

  load(server: ServerProcess): Load {
    return new Load(server, this.expected, (client) =>
      Array.from({ length: client % 4 === 0 ? 1 + Math.floor(this.#loadRandom() * 9) : 1 }, () => this.event()),
    );
  }

  /** Some time of up to so many milliseconds. */
  wait(most: number): Promise<void> {
    return pause(this.random() * most);
  }

  /** LevelDB's own lock is gone with its file. */
  removeLock(): void {
    rmSync(join(this.dataDir, 'db/LOCK'), { force: true });
  }

  /** Clients of a server for some time; a server that owns the directory must have taken something. */
  async use(server: ServerProcess, milliseconds: number): Promise<void> {
    const before = this.expected.acknowledged.size;
    const load = this.load(server);
    await pause(milliseconds);
    for (let i = 0; i < 100 && this.expected.acknowledged.size === before; i++) await pause(50);
    await load.stop();
    if (this.expected.acknowledged.size === before) this.violations.push('the owner of the directory takes nothing');
  }

  /** It ran, and the directory was taken from it. */
  async mustLeave(server: ServerProcess): Promise<void> {
    const exit = await within(server.exited, LEAVING_TIME);
    if (exit === undefined) {
      this.violations.push('a server that lost its directory goes on');
      await server.stop('SIGKILL');
    } else if (exit.code !== 75) {
      this.violations.push(`a server that lost its directory left with ${exit.code ?? exit.signal}: ${server.stderr}`);
    } else if (!server.stderr.includes('another process owns the data directory now')) {
      this.violations.push(`a server that lost its directory does not say so: ${server.stderr}`);
    } else this.deposed++;
  }

  /** It was started, and found the directory taken, or lost it before it listened. */
  async mustBeTurnedAway(server: ServerProcess): Promise<void> {
    const { code, signal } = await server.exited;
    if (code !== 75) this.violations.push(`a second server ended with ${code ?? signal}: ${server.stderr}`);
    else if (!/another process/.test(server.stderr))
      this.violations.push(`a second server was turned away without a reason: ${server.stderr}`);
    else this.turnedAway++;
  }

  /** Ends the owner of the directory, which nobody may have ended before. */
  async end(server: ServerProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const early = await server.end(signal);
    if (early !== undefined) this.violations.push(early);
  }

  /** Everything that was promised, against the one server that is left. */
  async check(server: ServerProcess): Promise<void> {
    try {
      await this.meet(server);
      await this.expected.settle(server.url);
      await this.expected.check(server);
    } catch (error) {
      this.violations.push(`the owner of the directory stopped: ${String(error)} ${server.stderr}`);
    }
  }
}

/** One race over the directory of a server that runs, in a place; resolves with who has it then, and where. */
interface Owner {
  readonly server: ServerProcess;
  readonly place: number;
}
type Race = (races: Races, owner: Owner) => Promise<Owner | undefined>;

/** A second start where our own lock is seen: it is turned away, and the first one goes on, whatever became of LOCK. */
const besideTheFirst: Race = async (races, owner) => {
  const load = races.load(owner.server);
  await races.wait(100);
  if (races.random() < 0.5) races.removeLock();
  const second = await races.start(owner.place);
  await load.stop();
  if (second.url !== '') races.violations.push('two servers run beside each other');
  else await races.mustBeTurnedAway(second);
  await races.use(owner.server, 20);
  return owner;
};

/** Where neither our lock nor LevelDB's is seen, the second one takes the directory from the first. */
const lockRemoved: Race = async (races, owner) => {
  // Half of the time it has nothing to do, and has to notice by itself.
  const load = races.random() < 0.5 ? races.load(owner.server) : undefined;
  await races.wait(100);
  races.removeLock();
  const place = owner.place + 1;
  const second = await races.start(place);
  const left = races.mustLeave(owner.server);
  if (second.url !== '') await races.use(second, 20 + races.random() * 100);
  await left;
  await load?.stop();
  return succeed(races, { server: second, place });
};

/** LevelDB's lock turns the second one away, as a rule; it has claimed the guard by then, so the first one goes too, and a third has everything. */
const lockInPlace: Race = async (races, owner) => {
  // A race before this one may have removed it.
  if (!existsSync(join(races.dataDir, 'db/LOCK'))) return lockRemoved(races, owner);
  const load = races.load(owner.server);
  await races.wait(100);
  const second = await races.start(owner.place + 1);
  await races.mustLeave(owner.server);
  await load.stop();
  // The first may have noticed the claim, and be gone, before the second got as far as LOCK.
  if (second.url !== '') return { server: second, place: owner.place + 1 };
  await races.mustBeTurnedAway(second);
  const place = owner.place + 2;
  return succeed(races, { server: await races.start(place), place });
};

/** Asleep under load while the second one takes over; awake again, it must not acknowledge anything of its own. */
const asleep: Race = async (races, owner) => {
  const load = races.load(owner.server);
  await races.wait(150);
  owner.server.child.kill('SIGSTOP');
  return takeOver(races, owner, load);
};

/** Bytes of LevelDB's log files. */
function written(dataDir: string): number {
  const folder = join(dataDir, 'db');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** Events of one large batch, and bytes of each. */
const LARGE = { count: 8, size: 900_000 };

/** Asleep in the midst of a batch: it looked whose the directory is before that, and has to look again before it answers. */
const asleepInBatch: Race = async (races, owner) => {
  const { expected, dataDir } = races;
  await races.use(owner.server, 20);
  const before = written(dataDir);
  const batch = Array.from({ length: LARGE.count }, () => races.event('x'.repeat(LARGE.size)));
  const answer = expected.send(owner.server.url, batch);
  let answered = false;
  void answer.then(() => {
    answered = true;
  });
  while (!answered && written(dataDir) < before + LARGE.size / 4) await new Promise(setImmediate);
  owner.server.child.kill('SIGSTOP');
  if (written(dataDir) < before + LARGE.count * LARGE.size) races.halfWritten++;
  return takeOver(races, owner, { stop: async () => void (await answer) });
};

/** The first one sleeps: the second takes over, is used, and the first wakes up. */
async function takeOver(races: Races, owner: Owner, load: Pick<Load, 'stop'>): Promise<Owner | undefined> {
  races.removeLock();
  const place = owner.place + 1;
  const second = await races.start(place);
  if (second.url !== '') await races.use(second, races.random() * 100);
  owner.server.child.kill('SIGCONT');
  // Now and then the second is busy just then.
  if (second.url !== '' && races.random() < 0.5) await races.use(second, 50);
  await races.mustLeave(owner.server);
  await load.stop();
  return succeed(races, { server: second, place });
}

/** The owner has stopped; of two starts the first sleeps at some moment of its own, and the second one has LevelDB's lock against it or not. */
const asleepInStart: Race = async (races, owner) => {
  await races.end(owner.server, races.random() < 0.5 ? 'SIGTERM' : 'SIGKILL');
  const places = [owner.place + 1, owner.place + 2] as const;
  let child: ChildProcess | undefined;
  const starting = races.start(places[0], (spawned) => {
    child = spawned;
  });
  await pause(100 + races.random() * 700);
  child?.kill('SIGSTOP');
  const second = await races.start(places[1]);
  if (second.url !== '') await races.use(second, 20 + races.random() * 50);
  child?.kill('SIGCONT');
  const first = await starting;
  return survivor(races, [
    { server: first, place: places[0] },
    { server: second, place: places[1] },
  ]);
};

/** Of servers that were started together, whoever still has the directory; where nobody has, somebody is started. */
async function survivor(races: Races, started: readonly Owner[]): Promise<Owner | undefined> {
  for (const { server } of started) if (server.url === '') await races.mustBeTurnedAway(server);
  // All but one of those that listen have lost it already, or are about to.
  const listening = started.filter(({ server }) => server.url !== '');
  const load = listening.map(({ server }) => races.load(server));
  for (const end = Date.now() + LEAVING_TIME; Date.now() < end && running(listening).length > 1; ) await pause(20);
  for (const one of load) one.end();
  if (running(listening).length > 1) races.violations.push('two servers have one directory, and neither leaves it');
  const owners: Owner[] = [];
  for (const one of listening) {
    // Who still acknowledges has the directory: nobody else is about to take it.
    if ((await races.expected.send(one.server.url, [races.event()])) === 200) owners.push(one);
    else await races.mustLeave(one.server);
  }
  for (const one of load) await one.stop();
  if (races.failed) return undefined;
  const place = (started[0] as Owner).place;
  return succeed(races, owners[0] ?? { server: await races.start(place), place });
}

function running(owners: readonly Owner[]): Owner[] {
  return owners.filter(({ server: { child } }) => child.exitCode === null && child.signalCode === null);
}

/** Whoever has the directory now must run, and have everything. */
async function succeed(races: Races, owner: Owner): Promise<Owner | undefined> {
  if (owner.server.url !== '') return owner;
  const { code, signal } = await owner.server.exited;
  races.violations.push(
    `nobody has the directory; the last start ended with ${code ?? signal}: ${owner.server.stderr}`,
  );
  return undefined;
}

/** Two or three first starts over one empty directory, one a little after the other. */
async function firstStarts(races: Races): Promise<Owner | undefined> {
  const count = 2 + Math.floor(races.random() * (PLACES - 1));
  const started = await Promise.all(
    Array.from({ length: count }, async (_, place) => {
      await races.wait(300);
      return { server: await races.start(place), place };
    }),
  );
  // Any of them may be gone before it can be asked.
  for (const { server } of started) if (server.url !== '') await races.meet(server).catch(() => {});
  return survivor(races, started);
}

const RACES: Readonly<Record<string, Race>> = {
  'beside the first': besideTheFirst,
  'LOCK removed': lockRemoved,
  'LOCK in place': lockInPlace,
  asleep,
  'asleep in a batch': asleepInBatch,
  'asleep in its start': asleepInStart,
};

/** Races of that seed, over one directory after the other; ends at a violation. */
export async function twoWritersRun(run: TwoWritersRun): Promise<TwoWritersReport> {
  const places: Namespace[] = [];
  let done = 0;
  try {
    for (let i = 0; i < PLACES; i++) places.push(await Namespace.make());
    const races = new Races(places, run);
    const names = Object.keys(RACES);
    while (done < run.races && !races.failed) {
      const { path, remove } = temporaryFolder('two-writers');
      races.begin(join(path, 'data'));
      // Every fourth directory or so begins with a race, too.
      const raced = races.random() < 0.25;
      if (raced) races.history.push('first starts');
      let owner = raced ? await firstStarts(races) : await succeed(races, { server: await races.start(0), place: 0 });
      if (raced) {
        done++;
        run.progress?.(done, 'first starts');
      }
      if (owner !== undefined && !races.failed) await races.check(owner.server);
      for (let i = 0; i < TAKEOVERS && done < run.races && owner !== undefined && !races.failed; i++) {
        // Each kind in its turn, in an order that chance begins anew.
        const name = names[(done + Math.floor(races.random() * 2)) % names.length] as string;
        races.history.push(name);
        const next: Owner | undefined = await (RACES[name] as Race)(races, owner);
        if (next !== undefined) await races.check(next.server);
        for (const text of races.expected.violations.splice(0)) races.violations.push(text);
        owner = next;
        done++;
        run.progress?.(done, name);
      }
      await finish(races, owner);
      remove();
    }
    return report(races, done);
  } finally {
    await killAll();
    for (const place of places) await place.close();
  }
}

/** The last owner is killed; a start after that has everything, byte for byte. */
async function finish(races: Races, owner: Owner | undefined): Promise<void> {
  if (owner !== undefined) await races.end(owner.server, 'SIGKILL');
  if (owner !== undefined && !races.failed) {
    const last = await succeed(races, { server: await races.start(0), place: 0 });
    if (last !== undefined) {
      await races.check(last.server);
      if (!races.failed) await races.expected.checkEvents(last.server);
      await races.end(last.server, 'SIGTERM');
    }
  }
  races.acknowledged += races.expected.acknowledged.size;
  races.heads += races.expected.heads.size;
  for (const text of races.expected.violations.splice(0)) races.violations.push(text);
  if (races.failed) races.violations.push(`races over that directory: ${races.history.join(', ')}`);
}

function report(races: Races, done: number): TwoWritersReport {
  const { acknowledged, heads, deposed, turnedAway, halfWritten, violations } = races;
  return { races: done, acknowledged, heads, deposed, turnedAway, halfWritten, violations };
}
