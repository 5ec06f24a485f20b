/**
 * A witness as a process of its own: opened, listening, drained on a signal, stopped at once when a head could not be kept.
 */
import { type Logger, pino } from 'pino';
import { type ClockAlarm, systemClock } from '../clock.ts';
import { FreeSpace } from '../free-space.ts';
import { tellCuts } from '../http/cuts.ts';
import type { Listen } from '../http/http-server.ts';
import { takePort } from '../http/take-port.ts';
import { witnessHandler } from '../http/witness-site.ts';
import { ProcessLife } from '../process-life.ts';
import { Witness, type WitnessObserver } from './witness.ts';
import { WitnessMetrics } from './witness-metrics.ts';
import { readWitnessedLogs } from './witnessed-logs.ts';

export interface WitnessConfig {
  readonly dataDir: string;
  /** Needed at the first start. */
  readonly name: string | undefined;
  /** File of the logs that are witnessed. */
  readonly policy: string;
  readonly listen: Listen;
}

export interface RunningWitness {
  readonly url: string;
  readonly witness: Witness;
  /** Resolves with the exit code when it has stopped, whoever stopped it. */
  readonly stopped: Promise<number>;
  /** Drains: what is being cosigned gets its answer. */
  stop(): void;
  /** Reads the file of the logs again; keeps those in use where that is not one. */
  reload(): void;
}

/** Longest time that running requests get to finish, in milliseconds. */
const DRAIN_GRACE = 10_000;
/** Room that must stay on the disk, in bytes: heads are small, and each takes the place of the one before. */
const MIN_FREE_SPACE = 4 * 1_048_576;

/** Takes the port, opens the directory, and serves. Throws ExitError: 2, 70, 75 or 78. */
export async function runWitness(config: WitnessConfig): Promise<RunningWitness> {
  const logger = pino({ base: null }, pino.destination({ dest: 2, sync: true }));
  const logs = readWitnessedLogs('policy', config.policy);
  const http = await takePort(config.listen);
  const life = new ProcessLife(logger);
  const onFatal = (error: unknown): void => life.fail(error);
  const { witness, space } = await open(config, logs, logger, onFatal).catch(async (error: unknown) => {
    await http.close(0);
    throw error;
  });
  const site = { witness, metrics: new WitnessMetrics(() => witness), logger, ready: () => life.ready };
  http.serve((abandon) => witnessHandler(site, abandon), tellCuts(logger));
  life.begin();
  logger.info({ url: http.url, witness: witness.verifierKey.text, logs: witness.logs }, 'accepting requests');
  if (witness.logs === 0) logger.warn(NO_LOGS);

  const stop = (): void =>
    life.stop(async () => {
      await http.close(DRAIN_GRACE);
      await witness.close();
      space.close();
    });
  const reload = (): void => reloadLogs(witness, 'policy', config.policy, logger);
  return { url: http.url, witness, stopped: life.stopped, stop, reload };
}

async function open(
  { dataDir: path, name }: WitnessConfig,
  logs: ReturnType<typeof readWitnessedLogs>,
  logger: Logger,
  onFatal: (error: unknown) => void,
): Promise<{ witness: Witness; space: FreeSpace }> {
  let space: FreeSpace | undefined;
  // Where the directory is is known to be there only when it is open.
  const room = {
    take: (bytes: number): void => space?.take(bytes),
    release: (bytes: number): void => space?.release(bytes),
  };
  const observer = witnessObserver(logger);
  const witness = await Witness.open({ path, name, logs, clock: systemClock, room, observer, onFatal });
  space = await FreeSpace.open({
    places: [{ path, minimum: () => MIN_FREE_SPACE }],
    onChange: (report) => {
      if (report.full)
        logger.error({ alarm: 'free-space', ...report }, 'nothing is cosigned (507) until there is room');
      else logger.warn({ alarm: 'free-space', ...report }, 'there is room again');
    },
  });
  return { witness, space };
}

/** What is said of a witness of no logs, which is of use only to learn its verifier key. */
export const NO_LOGS = 'the file of the logs names none: nothing is cosigned until it does. Add them and send SIGHUP';

/** Reads the logs again on a signal, whose answer nobody reads. */
export function reloadLogs(witness: Witness, flag: string, path: string, logger: Logger): void {
  try {
    witness.watch(readWitnessedLogs(flag, path));
    logger.info({ logs: witness.logs }, 'reloaded the logs that are witnessed');
    if (witness.logs === 0) logger.warn(NO_LOGS);
  } catch (error) {
    logger.error({ alarm: 'witness-logs' }, `kept the logs that are witnessed: ${(error as Error).message}`);
  }
}

/** The lines of the log for what a witness sees. */
export function witnessObserver(logger: Logger): WitnessObserver {
  return {
    onFinding: ({ kind, origin, kept }) => {
      // What is repeated is counted, and was told of when it was new.
      if (kept === 'known') return;
      const where = kept === 'new' ? 'evidence/ has it' : 'evidence/ has enough of that log and keeps no more';
      if (kind === 'unproven')
        logger.warn(
          { alarm: 'unproven', origin },
          `a signed head does not follow from the one cosigned before; ${where}`,
        );
      else
        logger.error(
          { alarm: kind === 'split_view' ? 'split-view' : 'impossible-head', origin },
          kind === 'split_view'
            ? `the log has signed two trees of one size; ${where}`
            : `the log has signed an empty tree with a root that none has; ${where}`,
        );
    },
    onEvidenceTrouble: (error) =>
      logger.error({ alarm: 'evidence', err: error }, 'could not keep evidence against a log'),
    onClockAlarm: (alarm: ClockAlarm) => logger.warn({ alarm: 'clock', ...alarm }, clockText(alarm)),
  };
}

function clockText({ kind, step }: ClockAlarm): string {
  const seconds = Math.round(step / 1e6);
  if (kind === 'unsafe')
    return `the wall clock is ${seconds} s ahead of what is plausible: nothing is cosigned. Correct it, or start again if it is right`;
  if (kind === 'forward_step') return `the wall clock jumped ${seconds} s forward; followed`;
  return `the wall clock is ${seconds} s behind; ignored`;
}
