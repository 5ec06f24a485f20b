/**
 * Databases that are not the one of this guard, put under it while the server is down: by an operator with a backup, or by somebody who
 * copied both and went on elsewhere. A server must refuse each of them; to accept one is to sign two histories.
 */
import type { LogServer } from '../../server/log-server.ts';
import type { Disk } from './disk.ts';
import type { Faults } from './faults.ts';
import type { Backup, Host } from './host.ts';
import type { Oracle } from './oracle.ts';

export interface OtherDatabaseOptions {
  readonly host: Host;
  readonly oracle: Oracle;
  readonly faults: Faults;
  readonly random: () => number;
  readonly trace: (line: string) => void;
  /** Runs the world until a promise settles; says whether it did. */
  readonly drive: (promise: Promise<unknown>) => Promise<boolean>;
}

/** Commits that another history is given at most, to be as long as this one. */
const MAX_FORGED = 12;

/** Puts one in the place of the database, has a server start on it, and takes it away again. `backup` is an older state of both. */
export async function tryOtherDatabase(options: OtherDatabaseOptions, backup: Backup | undefined): Promise<void> {
  const { host, oracle, faults, trace, drive } = options;
  faults.paused = true;
  const other = await otherDatabase(options, backup);
  if (other !== undefined && oracle.violations.length === 0) {
    const { what, disk } = other;
    trace(what);
    faults.saw(what);
    const process = host.process(disk);
    const refused = host.boot(process).catch((error: { readonly exitCode?: number; readonly stack?: string }) => {
      trace(`refused: ${error.exitCode}`);
      if (error.exitCode !== 78) oracle.violate(`${what}: one was refused without a name: ${error.stack}`);
    });
    if (!(await drive(refused)) && oracle.violations.length === 0) oracle.violate(`${what}: a start never ended`);
    if (process.server !== undefined) oracle.violate(`${what}: one was accepted`);
    host.bury(process);
  }
  faults.paused = false;
}

/** An older one; one that went another way since, with as many commits or up to two more; or one that went on without the guard. */
async function otherDatabase(
  options: OtherDatabaseOptions,
  backup: Backup | undefined,
): Promise<{ readonly what: string; readonly disk: Disk } | undefined> {
  const { host, random } = options;
  const promised = host.promised();
  if (random() < 0.3) {
    const disk = await forge(options, host.backup(), promised + 3 + Math.floor(random() * 2));
    return { what: 'databases ahead of the guard', disk };
  }
  if (backup === undefined) return undefined;
  const behind = promised - lastCommit(backup.disk);
  if (behind <= 0) return undefined;
  if (behind > MAX_FORGED || random() < 0.3) return { what: 'older databases', disk: backup.disk };
  const disk = await forge(options, backup, promised + (random() < 0.3 ? 1 + Math.floor(2 * random()) : 0));
  return { what: 'databases of another history', disk };
}

/** Goes on from a copy of database and guard, elsewhere, until that history is of the length that is asked for. */
async function forge({ host, oracle, drive }: OtherDatabaseOptions, { disk, guard }: Backup, n: number): Promise<Disk> {
  const process = host.process(disk);
  const failed = (error: unknown): void => oracle.violate(`a copy of database and guard failed: ${error}`);
  let server: LogServer | undefined;
  const started = host
    .boot(process, () => {}, host.otherGuard(guard))
    .then((value) => {
      server = value;
    }, failed);
  await drive(started);
  while (server !== undefined && lastCommit(disk) < n && oracle.violations.length === 0)
    await drive(server.recordSystemEvent({ action: 'history.other' }).catch(failed));
  host.bury(process);
  return disk;
}

/** Number of the newest commit record of a database, 0 for none. */
function lastCommit(disk: Disk): number {
  const [key] = disk.range({ gte: 'server/commit/', lt: 'server/commit0', limit: 1, reverse: true });
  return key === undefined ? 0 : Number(key.slice(-16));
}
