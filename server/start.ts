/** Starting: a server over a store that exists or is made, and over a data directory. */
import { type Clock, systemClock } from './clock.ts';
import { type DataDirectoryOptions, type OpenDirectory, openDataDirectory } from './data-directory.ts';
import { EXIT, ExitError, ServerError } from './errors.ts';
import { FreeSpace, type MinFreeSpace, placesOf } from './free-space.ts';
import { type Guard, GuardError } from './guard.ts';
import { type Backing, type FirstStart, LogServer, type LogServerOptions } from './log-server.ts';
import { recover } from './recovery.ts';
import { makeKeyRing } from './secrets.ts';
import { LogSum, NO_RECORD_HASH } from './storage/commit-record.ts';
import { watchTables } from './storage/table-scan.ts';

/** Opens a store that exists: recovers it, and gives a server over it. Throws ExitError 78. */
export async function openLogServer(
  backing: Backing,
  slots: OpenDirectory['content']['slots'],
  options: LogServerOptions,
): Promise<{ server: LogServer; adopted: number }> {
  const keys = makeKeyRing(backing.masterSeed, backing.storeId);
  const recovered = await recover({ ...backing, slots, keys });
  return { server: new LogServer(backing, recovered, options), adopted: recovered.adopted };
}

/** Makes a new, empty store: its first commit is durable when this resolves. */
export async function createLogServer(
  backing: Backing,
  options: LogServerOptions,
): Promise<{ server: LogServer; first: FirstStart }> {
  const end = { storeId: backing.storeId, n: 0, recordHash: NO_RECORD_HASH, sum: new LogSum(), logCount: 0 };
  const server = new LogServer(backing, { end, logs: [], apiKeys: [], newestTime: 0 }, options);
  return { server, first: await server.initialise(backing.storeId, options.adminKey === undefined) };
}

export interface StartedServer {
  readonly server: LogServer;
  /** Only on a first start. */
  readonly first: FirstStart | undefined;
  /** How many durable commits that were never acknowledged have been adopted. */
  readonly adopted: number;
  /** What is known of the free space. */
  readonly space: FreeSpace;
  close(): Promise<void>;
}

/** What went wrong while a store was opened, as the exit code that says so; everything unforeseen as it is. */
export function asExitError(error: unknown): unknown {
  if (error instanceof GuardError) {
    return new ExitError(error.code === 'deposed' ? EXIT.inUse : EXIT.failStop, error.message, { cause: error });
  }
  if (error instanceof ServerError && error.code === 'outcome_unknown') {
    const { cause } = error;
    // Of first starts at the same moment, all but one lose the directory in their first commit.
    if (cause instanceof GuardError) return asExitError(cause);
    return new ExitError(EXIT.failStop, cause instanceof Error ? cause.message : error.message, { cause: error });
  }
  return error;
}

/** Opens a data directory and the server in it; makes both on a first start. Throws ExitError 70, 75 or 78. */
export async function startLogServer(
  directory: DataDirectoryOptions & { readonly minFreeSpace?: MinFreeSpace },
  options: LogServerOptions,
): Promise<StartedServer> {
  try {
    return await startIn(await openDataDirectory(directory), directory.minFreeSpace, options);
  } catch (error) {
    throw asExitError(error);
  }
}

/** Pause before each table that is looked at in the background, in milliseconds. */
const TABLE_PAUSE = 100;

/** After a run that ended without a word, whatever ended it may be a table that LevelDB cannot live with: it has to be named. */
async function lookForDamage(
  { lastEnd, paths }: OpenDirectory,
  clock: Clock,
  signal: AbortSignal,
  onDamage: (message: string) => void,
): Promise<void> {
  if (lastEnd === 'clean') return;
  try {
    await watchTables(paths.db, () => clock.sleep(TABLE_PAUSE, signal), onDamage);
  } catch (error) {
    if (!signal.aborted) onDamage(`the tables in ${paths.db} could not be checked: ${String(error)}`);
  }
}

/** How often an idle server looks whether the directory is still its own, in milliseconds. */
const OWNER_INTERVAL = 1000;

/**
 * An idle server that was deposed must go too: its LevelDB may compact, and delete files that are the successor's by now. Ends with
 * the signal, or after telling that the directory is lost.
 */
async function watchOwner(
  guard: Guard,
  clock: Clock,
  signal: AbortSignal,
  onFatal: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      guard.checkOwner();
    } catch (error) {
      onFatal(error);
      return;
    }
    await clock.sleep(OWNER_INTERVAL, signal).catch(() => {});
  }
}

async function startIn(
  opened: OpenDirectory,
  minFreeSpace: MinFreeSpace,
  given: LogServerOptions,
): Promise<StartedServer> {
  const clock = given.clock ?? systemClock;
  const space = await FreeSpace.open({
    places: placesOf(opened.paths, opened.writeBufferSize, minFreeSpace),
    clock,
    onChange: (report) => given.observer?.onFreeSpace?.(report),
  });
  const options = { ...given, room: space };
  try {
    const { server, first, adopted } = opened.firstStart
      ? { ...(await createLogServer(opened, options)), adopted: 0 }
      : { ...(await openLogServer(opened, opened.content.slots, options)), first: undefined };
    await server.askWitnesses();
    await opened.finish();
    const stop = new AbortController();
    const watch = watchOwner(opened.guard, clock, stop.signal, (error) => server.sequencer.fail(error));
    const look = lookForDamage(opened, clock, stop.signal, (message) => given.observer?.onDamage?.(message));
    return {
      server,
      first,
      adopted,
      space,
      close: async () => {
        stop.abort();
        await watch;
        await look;
        await server.close();
        space.close();
        await opened.close();
      },
    };
  } catch (error) {
    const reason = opened.guard.reasonOf(error);
    space.close();
    await opened.close();
    throw reason;
  }
}
