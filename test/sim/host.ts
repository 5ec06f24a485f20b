/**
 * A machine on which one server after the other runs: production code, from opening the guard to publishing heads. What it does in
 * place of server/data-directory.ts is the same without files: claim, then open, then judge.
 */
import type { Log, Published } from '../../server/log.ts';
import type { LogServer, LogServerOptions } from '../../server/log-server.ts';
import { sha256 } from '../../server/sha256-node.ts';
import type { Store } from '../../server/storage/store.ts';
import { concatBytes, u64, utf8 } from '../../tree/bytes.ts';
import { SimDerived } from './derived.ts';
import { Disk } from './disk.ts';
import type { LastingTask, SimProcess } from './machine.ts';
import type { Parts } from './parts.ts';
import { VIRTUAL } from './virtual-files.ts';
import type { VirtualFile, World } from './world.ts';

const STORE_ID = new Uint8Array(32).fill(0x51);
const MASTER_SEED = new Uint8Array(32).fill(0x4d);
const GUARD = `${VIRTUAL}guard`;
const DATABASE = `${VIRTUAL}db`;

/** Share of the operations under way that a crash finds done. */
const DONE_AT_CRASH = 0.4;

export interface Running extends SimProcess {
  server: LogServer | undefined;
  derived: SimDerived | undefined;
  /** What `onFatal` was called with. */
  fatal: unknown;
  closing: boolean;
  /** The heads that it was seen to show. */
  readonly shown: Map<Log, Published>;
  /** Faults that had happened when it began. */
  readonly faultsBefore: number;
  /** Whether it has an excuse of its own for stopping: another process took over. */
  deposed: boolean;
}

/** A copy of database and guard. */
export interface Backup {
  readonly disk: Disk;
  readonly guard: Uint8Array;
}

export type Options = Omit<LogServerOptions, 'clock' | 'onFatal'>;

export class Host {
  readonly #parts: Parts;
  readonly #world: World;
  readonly #options: (process: Running) => Options;
  /** The database that the next process finds. */
  disk = new Disk();
  readonly guard: VirtualFile = newGuard(7);
  /** What a disk that lies would have kept if it had not. */
  honest: Disk | undefined;
  #derivedRows: Map<string, Uint8Array> = new Map();
  #lives = 0;

  constructor(parts: Parts, world: World, options: (process: Running) => Options) {
    this.#parts = parts;
    this.#world = world;
    this.#options = options;
    world.files.set(GUARD, this.guard);
  }

  /** A process that is not started yet. */
  process(disk: Disk = this.disk): Running {
    const nothing = { server: undefined, derived: undefined, fatal: undefined };
    return {
      ...nothing,
      name: `process ${++this.#lives}`,
      disk,
      dead: false,
      closing: false,
      deposed: false,
      shown: new Map(),
      faultsBefore: this.#world.faults.count,
    };
  }

  /**
   * Starts a server on what is there. `taken` hears when the directory is this process's own, and before it opens the database. Rejects
   * as a real start does; resolves when it accepts requests.
   */
  async boot(process: Running, taken: () => void = () => {}, guardPath = GUARD): Promise<LogServer> {
    const { start, guard: guards, directory, recovery } = this.#parts;
    this.#world.opening = process;
    const { guard } = guards.GuardFile.open(guardPath);
    const content = await guard.claim();
    guard.watch(guardPath);
    taken();
    const derived = new SimDerived(process, new Map(this.#derivedRows));
    process.derived = derived;
    const untouched = directory.isUntouched(content);
    const store = await this.#open(process, untouched);
    const { storeId } = content;
    const backing = { store, guard, storeId, masterSeed: MASTER_SEED, openDerived: async () => derived };
    const options: LogServerOptions = {
      ...this.#options(process),
      clock: {
        wallMicros: () => this.#world.scheduler.wallMicros(),
        monotonicMicros: () => this.#world.scheduler.monotonicMicros(),
        sleep: (milliseconds, signal) => this.#world.scheduler.sleep(milliseconds, signal, process),
      },
      onFatal: (error) => {
        process.fatal = error;
      },
    };
    const first = untouched && (await recovery.readChain(store, storeId)) === undefined;
    // Nobody was told of anything in there: what an interrupted first start left behind is made again.
    if (first) process.disk.clear();
    const { server } = first
      ? await start.createLogServer(backing, options)
      : await start.openLogServer(backing, content.slots, options);
    process.server = server;
    return server;
  }

  /** Number of the newest commit that the guard has promised. */
  promised(): number {
    const { slots } = this.#parts.guard.readGuard(GUARD).content;
    return Math.max(...slots.map((slot) => slot?.n ?? 0));
  }

  /** Ends a process where it stands: by kill -9, or with the power of the whole machine. */
  crash(process: Running, power: boolean): void {
    const { random } = this.#world;
    this.#end(process);
    const honest = this.disk.lying ? this.disk.fork() : undefined;
    const { lied } = this.disk.crash(power, random);
    if (lied && honest !== undefined) {
      honest.crash(false, random);
      this.honest = honest;
    }
    this.#keepDerived(process);
  }

  /** Another process has taken the directory over: from now on, what this one writes goes into files of its own. */
  depose(process: Running): void {
    process.deposed = true;
    process.disk = this.disk.fork();
    this.disk.crash(false, this.#world.random);
    this.#keepDerived(process);
  }

  /** Ends a process that has no machine to itself any more. */
  bury(process: Running): void {
    this.#end(process);
  }

  /** Whether the data has been tampered with, so that a server may refuse it by name. */
  get excused(): boolean {
    return this.honest !== undefined || this.disk.damages.some((damage) => this.disk.holds(damage));
  }

  /** A server has accepted what the disk has: it goes on from here, and what a disk that does not lie would have had is of the past. */
  accepted(): void {
    this.honest = undefined;
  }

  /** The operator puts everything right again. */
  repair(): void {
    if (this.honest !== undefined) this.disk.become(this.honest);
    this.honest = undefined;
    this.disk.repair();
  }

  /** A copy of guard and database at this moment, on which another history can be made. */
  backup(): Backup {
    const disk = this.disk.fork();
    disk.crash(false, this.#world.random);
    return { disk, guard: this.guard.bytes.slice() };
  }

  /** Where a guard of that content stands, for a server beside this machine. */
  otherGuard(bytes: Uint8Array): string {
    const path = `${VIRTUAL}other-guard`;
    this.#world.files.set(path, { bytes: bytes.slice(), inode: 8 });
    return path;
  }

  #keepDerived({ derived }: Running): void {
    if (derived !== undefined) this.#derivedRows = derived.rowsAfterCrash(this.#world.random);
  }

  async #open(process: Running, create: boolean): Promise<Store> {
    this.#world.opening = process;
    return this.#parts.level.openLevelStore({ path: DATABASE, createIfMissing: create });
  }

  #end(process: Running): void {
    const { scheduler, random } = this.#world;
    process.dead = true;
    for (const task of scheduler.end(process)) {
      if ((task as LastingTask).lasting && random() < DONE_AT_CRASH) task.run();
    }
  }
}

/** A guard that has promised nothing, as docs/format.md describes it. */
function newGuard(inode: number): VirtualFile {
  const block = (content: Uint8Array): Uint8Array => {
    const bytes = new Uint8Array(4096);
    bytes.set(content);
    bytes.set(sha256(content), content.length);
    return bytes;
  };
  const slot = block(concatBytes(utf8('indelible guard 1'), STORE_ID, u64(0), new Uint8Array(32)));
  const owner = block(concatBytes(utf8('indelible owner 1'), new Uint8Array(16)));
  const identity = block(concatBytes(utf8('indelible inode 1'), STORE_ID, u64(inode)));
  return { bytes: concatBytes(slot, slot, owner, identity), inode };
}
