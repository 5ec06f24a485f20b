/** A whole server without disk, sockets or time: what the tests of this folder stand on. */

import type { Appended } from '../../server/append.ts';
import type { Clock } from '../../server/clock.ts';
import type { Log } from '../../server/log.ts';
import type { LogServer, LogServerOptions, Observer } from '../../server/log-server.ts';
import { createLogServer, openLogServer } from '../../server/start.ts';
import type { DerivedStore } from '../../server/storage/derived.ts';
import { MemoryDerivedStore } from '../../server/storage/derived-memory.ts';
import { MemoryStore } from '../../server/storage/memory.ts';
import { FaultyGuard } from '../support/faulty-guard.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** What outlives a process: rows, guard and secrets; and the world's time. */
export interface World {
  readonly rows: MemoryStore;
  readonly openDerived: (afresh?: boolean) => Promise<DerivedStore>;
  readonly guard: FaultyGuard;
  readonly storeId: Uint8Array;
  readonly masterSeed: Uint8Array;
  readonly clock: ManualClock;
}

export interface Run {
  readonly server: LogServer;
  readonly store: FaultyStore;
  readonly guard: FaultyGuard;
  readonly clock: ManualClock;
  readonly world: World;
  /** What `onFatal` was called with. */
  readonly fatal: unknown[];
  /** What `onDamage` was called with. */
  readonly damage: string[];
  readonly main: Log;
}

type Options = Partial<Omit<LogServerOptions, 'onFatal' | 'observer' | 'clock'>> & Pick<Observer, 'onWitness'>;

function options(
  { onWitness, ...extra }: Options,
  clock: Clock,
): { all: LogServerOptions; fatal: unknown[]; damage: string[] } {
  const fatal: unknown[] = [];
  const damage: string[] = [];
  const all = {
    originBase: 'example.com',
    ...extra,
    clock,
    observer: {
      onDamage: (message: string) => void damage.push(message),
      ...(onWitness === undefined ? {} : { onWitness }),
    },
    onFatal: (error: unknown) => void fatal.push(error),
  };
  return { all, fatal, damage };
}

/** A first start. */
export async function firstStart(extra: Options = {}): Promise<Run> {
  const derived = new MemoryDerivedStore();
  const world: World = {
    rows: new MemoryStore(),
    openDerived: async () => derived,
    guard: new FaultyGuard(),
    storeId: new Uint8Array(32).fill(0x51),
    masterSeed: new Uint8Array(32).fill(0x4d),
    clock: new ManualClock(),
  };
  const store = new FaultyStore(world.rows);
  const { all, fatal, damage } = options(extra, world.clock);
  const { server } = await createLogServer({ ...world, store }, all);
  return { server, store, ...world, world, fatal, damage, main: server.log('main') as Log };
}

/** A later start over what a world holds; `changed` rows stand in for what a disk did meanwhile. */
export async function restart(
  world: World,
  changed: Partial<World> = {},
  extra: Options = {},
): Promise<Run & { readonly adopted: number }> {
  const next = { ...world, ...changed };
  const store = new FaultyStore(new MemoryStore(next.rows.rows()));
  const { all, fatal, damage } = options(extra, next.clock);
  const { server, adopted } = await openLogServer({ ...next, store }, next.guard.slots, all);
  const rows = store.inner as MemoryStore;
  return { server, store, ...next, world: { ...next, rows }, fatal, damage, main: server.log('main') as Log, adopted };
}

const encoder = new TextEncoder();

/** Appends events without ids; resolves when they are durable. */
export function append(run: Pick<Run, 'server'>, log: Log, count: number, note = 'x'): Promise<Appended[]> {
  const first = log.state.treeSize;
  return run.server.sequencer.append({
    log,
    events: Array.from({ length: count }, (_, i) => ({
      event: encoder.encode(`{"n":${first + i},"note":"${note}"}`),
      id: undefined,
    })),
    by: '0123456789abcdef',
    source: 'test',
    via: 'events',
    once: undefined,
  });
}

/** A world with entries in `main`, some of them under a signed head, and the server that made it closed. */
export async function grownWorld(signed: number, unsigned: number): Promise<World> {
  const run = await firstStart();
  if (signed > 0) await append(run, run.main, signed);
  await run.server.publisher.publishDue();
  if (unsigned > 0) await append(run, run.main, unsigned);
  await run.server.sequencer.close();
  return run.world;
}

/** Copies of a world's rows, to be changed: `edit` gets them by key. */
export function edited(world: World, edit: (rows: Map<string, Uint8Array>) => void): Partial<World> {
  const rows = new Map(world.rows.rows().map(([key, value]) => [key, value.slice()]));
  edit(rows);
  return { rows: new MemoryStore(rows) };
}
