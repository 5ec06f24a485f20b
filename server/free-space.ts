/**
 * Free space: appends end before the disk does. LevelDB that runs out of room fails in the middle of a write, and then the server
 * can only stop; so there is a watermark below which nothing more is taken from clients, while heads, revocations and whatever
 * else the server must still write use the room that is kept.
 *
 * The file systems are asked from time to time (statfs), and what was taken since is counted, so that a burst between two looks
 * cannot run through the reserve. A question that fails, or that never returns, ends in "full": room that nobody vouches for is
 * none. Other programs may fill the disk faster than we look; then a write fails, and the server stops with exit code 70.
 */
import { statfs } from 'node:fs/promises';
import { type Clock, systemClock } from './clock.ts';
import { ServerError } from './errors.ts';

/** What the sequencer asks before it takes what a client sends. Synchronous, no input or output. */
export interface Room {
  /** Takes room for so many bytes of rows. Throws ServerError `storage_full`, and has then taken nothing. */
  take(bytes: number): void;
  /** What was taken is written, or was given up. */
  release(bytes: number): void;
}

/** Least free space: bytes, or a share of the file system. Undefined: the larger of 5 % and twice the write buffer. */
export type MinFreeSpace = { readonly bytes: number } | { readonly percent: number } | undefined;

/** A file system that must keep room. */
export interface Place {
  /** Any path on it. */
  readonly path: string;
  /** Bytes that must stay free, given the size of the file system in bytes; undefined: it is measured, and never full. */
  readonly minimum: ((size: number) => number) | undefined;
}

/** What a look saw, of the place with the least room above its minimum. */
export interface SpaceReport {
  readonly path: string;
  /** Bytes that are free for us; `undefined` where the file system did not say. */
  readonly free: number | undefined;
  readonly minimum: number;
  /** Whether nothing is taken. */
  readonly full: boolean;
  /** Why the file system did not say. */
  readonly error: string | undefined;
}

/** Size and free room of a file system, as statfs gives them. */
export type StatFs = (
  path: string,
) => Promise<{ readonly bsize: bigint; readonly blocks: bigint; readonly bavail: bigint }>;

export interface FreeSpaceOptions {
  readonly places: readonly Place[];
  readonly clock?: Clock;
  /** Called whenever `full` changes, and after the first look if it is full. */
  readonly onChange?: (report: SpaceReport) => void;
  readonly statfs?: StatFs;
}

/** Time between two looks, in milliseconds. */
const INTERVAL = 1000;
/** A byte of a row is written to the log file and then to a table, and the first copy goes only after the second is there. */
const COPIES = 2;
/** Cost of a request that should fit; where it does not, the disk is called full, instead of taking some requests and others not. */
const SMALL = 1_048_576;
/** Full until there is this share of the minimum above it, so that the answer does not change with every file that comes or goes. */
const HYSTERESIS = 1 / 8;
/** The guard is overwritten in place; file systems that copy on write want a little room for that, and no share of the disk. */
const GUARD_ROOM = 1_048_576;

/** The places of a data directory: where the database is, and where the guard is. */
export function placesOf(
  paths: { readonly db: string; readonly guard: string },
  writeBufferSize: number,
  least: MinFreeSpace,
): Place[] {
  if (least !== undefined && ('bytes' in least ? least.bytes : least.percent) === 0) {
    return [{ path: paths.db, minimum: undefined }];
  }
  const minimum = (size: number): number => {
    if (least === undefined) return Math.max(Math.ceil(size / 20), 2 * writeBufferSize);
    return 'bytes' in least ? least.bytes : Math.ceil((size * least.percent) / 100);
  };
  return [
    { path: paths.db, minimum },
    { path: paths.guard, minimum: (size) => Math.min(GUARD_ROOM, minimum(size)) },
  ];
}

export class FreeSpace implements Room {
  readonly #options: FreeSpaceOptions;
  readonly #statfs: StatFs;
  readonly #stop = new AbortController();
  /** Bytes above the minimum at the last look. */
  #headroom = 0;
  /** Taken and not yet written. */
  #pending = 0;
  /** Written since the last look began. */
  #written = 0;
  /** Something small was refused since the last look. */
  #crowded = false;
  #report: SpaceReport | undefined;
  #looking: Promise<void> | undefined;

  private constructor(options: FreeSpaceOptions) {
    this.#options = options;
    this.#statfs = options.statfs ?? ((path) => statfs(path, { bigint: true }));
  }

  /** Looks once, then from time to time until `close`. */
  static async open(options: FreeSpaceOptions): Promise<FreeSpace> {
    const space = new FreeSpace(options);
    await space.#look();
    void space.#run();
    return space;
  }

  get report(): SpaceReport {
    return this.#report as SpaceReport;
  }

  take(bytes: number): void {
    const cost = bytes * COPIES;
    const counted = this.#pending + this.#written + cost;
    // Near the watermark the last look is soon too old; what it cost to look again is a few microseconds of another thread.
    if (counted > this.#headroom / 2) void this.#look();
    if (this.report.full || counted > this.#headroom) {
      if (cost <= SMALL) this.#crowded = true;
      throw new ServerError(
        'storage_full',
        'the disk of the server is nearly full; nothing was stored, send it again when there is room',
      );
    }
    this.#pending += cost;
  }

  release(bytes: number): void {
    const cost = bytes * COPIES;
    this.#pending -= cost;
    this.#written += cost;
  }

  /** Ends the looks. One that is under way is not waited for: on a dead file system it would never end. */
  close(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { clock = systemClock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(INTERVAL, signal).catch(() => {});
      if (!signal.aborted) await this.#look();
    }
  }

  /** One look at a time; never rejects. */
  #look(): Promise<void> {
    this.#looking ??= this.#measure().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #measure(): Promise<void> {
    const seen = this.#written;
    const [first, ...others] = await Promise.all(this.#options.places.map((place) => this.#ask(place)));
    if (first === undefined) throw new Error('bug: free space of no place');
    const worst = others.reduce((least, found) => (found.headroom < least.headroom ? found : least), first);
    // What was written before we asked is in the figures; what was written meanwhile may or may not be, and counts once more.
    this.#written -= seen;
    const { headroom, ...rest } = worst;
    const before = this.#report?.full ?? false;
    const full = headroom < (before ? rest.minimum * HYSTERESIS : this.#crowded ? SMALL : 0);
    this.#crowded = false;
    this.#headroom = headroom;
    this.#report = { ...rest, full };
    if (full !== before) this.#options.onChange?.(this.#report);
  }

  async #ask({ path, minimum }: Place): Promise<Omit<SpaceReport, 'full'> & { readonly headroom: number }> {
    try {
      const { bsize, blocks, bavail } = await this.#statfs(path);
      const free = Number(bavail * bsize);
      const least = minimum?.(Number(blocks * bsize)) ?? 0;
      const headroom = minimum === undefined ? Number.POSITIVE_INFINITY : free - least;
      return { path, free, minimum: least, error: undefined, headroom };
    } catch (error) {
      const headroom = minimum === undefined ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
      return { path, free: undefined, minimum: minimum?.(0) ?? 0, error: String(error), headroom };
    }
  }
}
