/** Which call fails, and how: drawn from what a server was seen to do. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Call, type Effect, type Injection, injector, limiter, type Stage } from './strace.ts';

/** What a server begins with: nothing, or a directory that was in use. */
export type Scene = 'first start' | 'restart';

/** What servers did, by scene. */
export type Recordings = Readonly<Record<Scene, readonly Call[]>>;

/** One server with a fault in it. */
export interface Fault {
  /** For people. */
  readonly text: string;
  readonly effect: Effect | 'short';
  /** When its call is made, if all is as it was recorded. */
  readonly stage: Stage;
  /** Whether one call fails and no other. */
  readonly single: boolean;
  /** Command to run the server with. */
  wrapper(output: string, dataDir: string): string[];
}

export interface Plan {
  readonly scene: Scene;
  readonly fault: Fault;
  /** How the server ends that went on. */
  readonly ending: 'SIGTERM' | 'SIGKILL';
  /** Of the start after it, which fails as well. */
  readonly again: Fault | undefined;
}

const STAGES: readonly (readonly [Scene, Stage])[] = [
  ['first start', 'start'],
  ['first start', 'running'],
  ['restart', 'start'],
  ['restart', 'start'],
  ['restart', 'running'],
  ['restart', 'running'],
  ['restart', 'stop'],
];
const EFFECTS = ['EIO', 'ENOSPC', 'kill'] as const;

/** What a file is for, so that a log file with hundreds of writes does not hide the one rename of CURRENT. */
export function fileKind(file: string): string {
  if (file.startsWith('derived')) return 'derived';
  return file.replace(/tmp-[0-9a-f]+$/, 'tmp').replace(/[0-9]+(?=\.(?:log|ldb|dbtmp)$)|(?<=MANIFEST-)[0-9]+$/, 'N');
}

/** A call, and which one it is of those in its thread that have the same name, about the same file and about any. */
interface Place {
  readonly call: Call;
  readonly file: string;
  readonly nth: number;
  /** How many calls of each name its thread had made until then, this one included. */
  readonly before: ReadonlyMap<string, number>;
}

function placesOf(calls: readonly Call[]): Place[] {
  const counts = new Map<string, number>();
  const threads = new Map<string, Map<string, number>>();
  const count = (of: Map<string, number>, key: string): number => {
    const next = (of.get(key) ?? 0) + 1;
    of.set(key, next);
    return next;
  };
  return calls.map((call) => {
    const { thread, name, files } = call;
    const made = threads.get(thread) ?? new Map<string, number>();
    threads.set(thread, made);
    count(made, name);
    const nths = files.map((file) => count(counts, JSON.stringify([thread, name, file])));
    return { call, file: files[0] as string, nth: nths[0] as number, before: new Map(made) };
  });
}

function pick<T>(from: readonly T[], random: () => number): T {
  return from[Math.floor(random() * from.length)] as T;
}

/** Drawn three times as often as others: what every acknowledgement rests on. */
const OFTEN = /^(?:pwrite64 guard|(?:write|fdatasync) db\/N\.log)$/;

/** A call of that stage: first what it is and what kind of file it is about, then which of those. */
function drawPlace(calls: readonly Call[], stage: Stage, random: () => number): Place | undefined {
  const groups = new Map<string, Place[]>();
  for (const place of placesOf(calls)) {
    if (place.call.stage !== stage) continue;
    const kind = `${place.call.name} ${fileKind(place.file)}`;
    const group = groups.get(kind) ?? [];
    groups.set(kind, group);
    group.push(place);
  }
  const kinds = [...groups.keys()]
    .sort()
    .flatMap((kind) => Array.from({ length: OFTEN.test(kind) ? 3 : 1 }, () => kind));
  // Where nothing was done at that stage there is nothing to let fail.
  return kinds.length === 0 ? undefined : pick(groups.get(pick(kinds, random)) as Place[], random);
}

/** What is tried next. One in four meets a second fault: the same call again, everything from there on, or the start after. */
export function drawPlan(recordings: Recordings, random: () => number): Plan {
  for (;;) {
    const [scene, stage] = pick(STAGES, random);
    const calls = recordings[scene];
    const place = drawPlace(calls, stage, random);
    if (place === undefined) continue;
    const ending = stage === 'stop' || random() < 0.5 ? 'SIGTERM' : 'SIGKILL';
    const { range } = place.call;
    const effect = pick<Effect | 'short'>(range === undefined ? EFFECTS : [...EFFECTS, 'short'], random);
    const again = random() < SECOND_STARTS ? laterFault(recordings.restart, random) : undefined;
    const more = random();
    const fault = ((): Fault => {
      if (effect === 'short') return shortFault(scene, stage, range as Range, random);
      if (effect !== 'kill' && more < REPEATS) return repeatedFault(scene, place, effect);
      if (effect !== 'kill' && more < REPEATS + BROKEN_DISKS) return diskFault(scene, place, calls, effect);
      return oneFault(scene, place, effect);
    })();
    return { scene, fault, ending, again };
  }
}

type Range = NonNullable<Call['range']>;

/** Shares of the double faults. */
const SECOND_STARTS = 0.15;
const REPEATS = 0.08;
const BROKEN_DISKS = 0.08;

function nameOf({ call, file, nth }: Place): string {
  return `${call.name} ${nth} of ${file === '' ? 'the directory' : file}`;
}

function inside(dataDir: string, files: readonly string[]): string[] {
  return files.map((file) => join(dataDir, file));
}

function oneFault(scene: Scene, place: Place, effect: Effect): Fault {
  const { call, file, nth } = place;
  return {
    text: `${scene}, ${call.stage}: ${effect} at ${nameOf(place)}`,
    ...{ effect, stage: call.stage, single: true },
    wrapper: (output, dataDir) =>
      injector(output, inside(dataDir, [file]), [{ name: call.name, effect, when: String(nth) }]),
  };
}

/** Whoever tries again fails again. */
function repeatedFault(scene: Scene, place: Place, effect: Effect): Fault {
  const { call, file, nth } = place;
  return {
    text: `${scene}, ${call.stage}: ${effect} at ${nameOf(place)} and at all later ones`,
    ...{ effect, stage: call.stage, single: false },
    wrapper: (output, dataDir) =>
      injector(output, inside(dataDir, [file]), [{ name: call.name, effect, when: `${nth}+` }]),
  };
}

/** From that call on, nothing can be written any more in its thread. */
function diskFault(scene: Scene, place: Place, calls: readonly Call[], effect: Effect): Fault {
  const { call, before } = place;
  const names = [...new Set(calls.map(({ name }) => name))];
  const injections = names.map((name): Injection => {
    const made = before.get(name) ?? 0;
    return { name, effect, when: `${name === call.name ? made : made + 1}+` };
  });
  const files = [...new Set(calls.flatMap((each) => each.files))];
  return {
    text: `${scene}, ${call.stage}: ${effect} at everything from ${nameOf(place)} on`,
    ...{ effect, stage: call.stage, single: false },
    wrapper: (output, dataDir) => injector(output, inside(dataDir, files), injections),
  };
}

/** No file can grow beyond so many bytes: that write is short, and all that follows fails. */
function shortFault(scene: Scene, stage: Stage, { offset, size }: Range, random: () => number): Fault {
  const limit = offset + Math.floor(random() * size);
  return {
    text: `${scene}, ${stage}: a short write at byte ${limit} of a file, and none beyond it`,
    ...{ effect: 'short', stage, single: false },
    wrapper: (output) => limiter(output, limit),
  };
}

/** Numbers that LevelDB may give to its next files. */
const NAMES_AHEAD = 8;

/** A start on a directory of which nobody knows how the one before left it: some call of a kind that starts make. */
function laterFault(calls: readonly Call[], random: () => number): Fault {
  const places = placesOf(calls.filter(({ stage }) => stage === 'start'));
  const { call, before } = pick(places, random);
  const effect = pick(EFFECTS, random);
  const nth = before.get(call.name) as number;
  const injections = [{ name: call.name, effect, when: String(nth) }];
  return {
    text: `the start after it: ${effect} at ${call.name} ${nth}`,
    ...{ effect, stage: 'start', single: true },
    wrapper: (output, dataDir) => injector(output, inside(dataDir, pathsAhead(dataDir)), injections),
  };
}

/** Files that a start in this directory may touch. */
function pathsAhead(dataDir: string): string[] {
  const there = existsSync(dataDir) ? readdirSync(dataDir, { recursive: true, encoding: 'utf8' }) : [];
  const numbers = there.map((name) => Number(/[0-9]{6}/.exec(name)?.[0] ?? 0));
  const next = Math.max(0, ...numbers) + 1;
  const ahead = Array.from({ length: NAMES_AHEAD }, (_, i) => {
    const number = String(next + i).padStart(6, '0');
    return [`db/${number}.log`, `db/${number}.ldb`, `db/${number}.dbtmp`, `db/MANIFEST-${number}`];
  });
  const always = ['', 'guard', 'format', 'keys', 'keys/master', 'db', 'db/CURRENT', 'db/LOG', 'db/LOG.old', 'db/LOCK'];
  return [...new Set([...always, ...there, ...ahead.flat()])];
}
