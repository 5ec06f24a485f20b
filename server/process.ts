/**
 * The server as a process: opened from its configuration, listening, drained on a signal, stopped at once when a write failed.
 */
import { join } from 'node:path';
import { pino } from 'pino';
import { type ClockAlarm, systemClock } from './clock.ts';
import type { Config } from './config.ts';
import { keepEvidence } from './cosigning/evidence.ts';
import { readWitnessPolicies } from './cosigning/policies.ts';
import { httpTransport } from './cosigning/transport.ts';
import { WitnessAlarms } from './cosigning/witness-alarms.ts';
import type { SpaceReport } from './free-space.ts';
import { HTTP_LIMITS } from './http/call.ts';
import { tellCuts } from './http/cuts.ts';
import { makeDispatcher } from './http/dispatch.ts';
import { FailedLogins } from './http/failed-logins.ts';
import { LoginThrottle } from './http/login-throttle.ts';
import { RateLimiter } from './http/rate-limiter.ts';
import { takePort } from './http/take-port.ts';
import { certificateEnd, certificateWarnings, loadTls, type Tls } from './http/tls.ts';
import { Metrics } from './metrics.ts';
import { ProcessLife } from './process-life.ts';
import { SEQUENCER_LIMITS } from './sequencer.ts';
import { type StartedServer, startLogServer } from './start.ts';
import { Witness } from './witness/witness.ts';
import { registerWitness } from './witness/witness-metrics.ts';
import { NO_LOGS, reloadLogs, witnessObserver } from './witness/witness-process.ts';
import { readWitnessedLogs } from './witness/witnessed-logs.ts';

export interface RunningServer {
  readonly url: string;
  readonly started: StartedServer;
  /** Resolves with the exit code when the server has stopped, whoever stopped it. */
  readonly stopped: Promise<number>;
  /** Drains: what was acknowledged stays, what waits gets its answer. */
  stop(): void;
  /** Reads certificate, key and witnessed logs again; keeps what is in use where the new is no good. Only where there is any of these. */
  readonly reload: (() => void) | undefined;
  /** The witness that this server is too, if it is. */
  readonly witness: Witness | undefined;
}

/** Longest time that running requests get to finish when the server stops, in milliseconds. */
const DRAIN_GRACE = 35_000;

/**
 * Takes the port, opens the data directory, and serves. `onFirstStart` hears of the admin key the moment it is durable: nobody can
 * look it up later. Throws ExitError: 2, 70, 75 or 78.
 */
export async function runServer(
  config: Config,
  onFirstStart: (url: string, started: StartedServer) => void = () => {},
): Promise<RunningServer> {
  const logger = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
  const tls = loadTls(config);
  const policies = readWitnessPolicies(config.witnessPolicy);
  const { witnessLogs } = config;
  const logs = witnessLogs === undefined ? undefined : readWitnessedLogs('witness-logs', witnessLogs);
  const http = await takePort(config.listen, tls?.context);
  const life = new ProcessLife(logger);
  const onFatal = (error: unknown): void => life.fail(error);

  const metrics = new Metrics(() => observe(started));
  const witnessAlarms = new WitnessAlarms(logger);
  const started = await startLogServer(
    {
      path: config.dataDir,
      checkInode: config.guardInode === 'on',
      writeBufferSize: config.writeBuffer,
      minFreeSpace: config.minFreeSpace,
      ...(config.guard === undefined ? {} : { guardPath: config.guard }),
      ...(config.masterSeed === undefined ? {} : { masterSeed: config.masterSeed }),
    },
    {
      intervals: { interval: config.interval, refresh: config.refresh },
      clockLimits: { maxForwardStep: config.maxForwardStep, maxAbsence: config.maxAbsence },
      limits: { ...SEQUENCER_LIMITS, maxPendingEntries: config.maxPendingEntries },
      scrub: config.scrubRate === 0 ? undefined : { rate: config.scrubRate * 1e6, delay: config.scrubDelay * 1000 },
      ...(config.originBase === undefined ? {} : { originBase: config.originBase }),
      witnesses:
        policies.length === 0
          ? undefined
          : {
              policies,
              publish: config.publish,
              timeout: config.witnessTimeout,
              transport: httpTransport,
              keepEvidence: (contradiction) => keepEvidence(join(config.dataDir, 'evidence'), contradiction),
            },
      ...(config.adminKey === undefined ? {} : { adminKey: config.adminKey }),
      observer: {
        onCommit: (entries) => metrics.committed(entries),
        onDamage: (message) => {
          metrics.damaged();
          logger.error({ alarm: 'damage' }, message);
        },
        onIndexTrouble: (error) =>
          logger.error({ alarm: 'index', err: error }, 'the by-hash index cannot be used; trying again in a while'),
        onClockAlarm: (alarm) => {
          metrics.clockAlarm(alarm);
          logger.warn({ alarm: 'clock', ...alarm }, clockText(alarm));
        },
        onWitness: (report) => {
          metrics.witnessAnswered(report);
          witnessAlarms.hear(report);
        },
        onFreeSpace: (report) =>
          logger[report.full ? 'error' : 'warn']({ alarm: 'free-space', ...report }, spaceText(report)),
      },
      onFatal,
    },
  ).catch(async (error: unknown) => {
    await http.close(0);
    throw error;
  });
  const { space } = started;
  metrics.gauge(
    'indelible_free_bytes',
    'Free bytes of the file system that is nearest to its watermark; -1 where it does not say.',
    () => space.report.free ?? -1,
  );
  metrics.gauge('indelible_storage_full', '1 while appends answer 507 because there is too little free space.', () =>
    space.report.full ? 1 : 0,
  );
  metrics.gauge(
    'indelible_withheld_heads',
    'Signed heads that wait for the quorum of their witnesses.',
    () => started.server.waitingForWitnesses.withheld,
  );
  metrics.gauge(
    'indelible_logs_unheard',
    'Logs that are not signed until more of their witnesses have answered since the start.',
    () => started.server.waitingForWitnesses.unheard,
  );
  if (started.first !== undefined) onFirstStart(http.url, started);
  // After the admin key was shown: a first start that fails here must not lose it.
  const witness =
    logs === undefined
      ? undefined
      : await Witness.open({
          path: join(config.dataDir, 'witness'),
          name: config.witnessName,
          logs,
          clock: systemClock,
          clockLimits: { maxForwardStep: config.maxForwardStep, maxAbsence: config.maxAbsence },
          room: space,
          observer: witnessObserver(logger),
          onFatal,
        }).catch(async (error: unknown) => {
          await http.close(0);
          await started.close();
          throw error;
        });
  if (witness !== undefined) {
    metrics.include((registry) => registerWitness(registry, () => witness));
    logger.info({ witness: witness.verifierKey.text, logs: witness.logs }, 'this server is a witness too');
    if (witness.logs === 0) logger.warn(NO_LOGS);
  }
  if (started.adopted > 0) logger.warn(`adopted durable commits that were never acknowledged: ${started.adopted}`);
  const limits = {
    maxEventSize: config.maxEventSize,
    maxEvents: config.maxEvents,
    maxBodySize: config.maxBodySize,
    ackTimeout: config.ackTimeout,
    readTimeout: HTTP_LIMITS.readTimeout,
  };
  const certificateInUse = ({ certificate }: Tls): void => {
    metrics.servesCertificate(certificateEnd(certificate));
    for (const warning of certificateWarnings(certificate, systemClock.wallMicros() / 1000))
      logger.warn({ alarm: 'certificate' }, warning);
  };
  if (tls !== undefined) certificateInUse(tls);
  const failedLogins = new FailedLogins({
    clock: systemClock,
    logger,
    onBurst: ({ failures, seconds }) => {
      const event = { action: 'access.failed_burst', by: 'system', failures, within_seconds: seconds };
      started.server
        .recordSystemEvent(event)
        .catch((error: unknown) => logger.warn({ err: error }, 'could not record a burst of failed logins'));
    },
  });
  const proxies = config.trustedProxies;
  const rates = new RateLimiter({
    limits: { requests: config.keyRequests, entries: config.keyEntries },
    clock: systemClock,
    onRefused: ({ id, name }, isNews) => {
      metrics.rateLimited();
      if (isNews) logger.warn({ key: id, name }, 'an API key asks for more than it may; its requests get 429');
    },
  });
  const throttle = new LoginThrottle(config.failedLogins, systemClock);
  const access = { proxies, failedLogins, throttle, rates };
  const context = { server: started.server, limits, metrics, ready: () => life.ready, logger, witness, ...access };
  http.serve(
    (abandon) => makeDispatcher(context, abandon),
    tellCuts(logger, (reason) => metrics.cut(reason)),
  );
  started.server.start();
  life.begin();
  logger.info({ url: http.url, logs: started.server.logs().length }, 'accepting requests');

  const stop = (): void =>
    life.stop(async () => {
      // Whoever waits for a signed head gets it now, not after the interval.
      started.server.publisher.hurry();
      await http.close(DRAIN_GRACE);
      await witness?.close();
      await started.close();
    });
  const reloadTls = (): void => {
    try {
      const next = loadTls(config);
      if (next === undefined) return;
      http.renew(next.context);
      certificateInUse(next);
      logger.info('reloaded the TLS certificate');
    } catch (error) {
      // Nobody reads a signal's answer: the connections must not suffer for a file that is half written.
      logger.error({ alarm: 'certificate' }, `kept the TLS certificate in use: ${(error as Error).message}`);
    }
  };
  const reload = (): void => {
    if (tls !== undefined) reloadTls();
    if (witness !== undefined && witnessLogs !== undefined) reloadLogs(witness, 'witness-logs', witnessLogs, logger);
  };
  const hasReload = tls !== undefined || witness !== undefined;
  return { url: http.url, started, stopped: life.stopped, stop, reload: hasReload ? reload : undefined, witness };
}

function clockText({ kind, step }: ClockAlarm): string {
  const seconds = Math.round(step / 1e6);
  if (kind === 'unsafe') {
    return `the wall clock is ${seconds} s ahead of what is plausible: nothing is appended or signed. Correct it, or POST /admin/clock if it is right.`;
  }
  return kind === 'forward_step'
    ? `the wall clock jumped ${seconds} s forward; followed`
    : `the wall clock is ${seconds} s behind; ignored`;
}

function spaceText({ path, free, minimum, full, error }: SpaceReport): string {
  if (!full) return `there is room on the file system of ${path} again (${free} bytes): appends are accepted`;
  const why = error ?? `${free} bytes are free, ${minimum} must stay`;
  return `appends are refused (507) until there is more room on the file system of ${path}: ${why}`;
}

function observe({
  server,
}: StartedServer): ConstructorParameters<typeof Metrics>[0] extends () => infer R ? R : never {
  let entries = 0;
  let unsigned = 0;
  const logs = server.logs().filter(({ definition }) => definition.status !== 'deleted');
  for (const { state, published } of logs) {
    entries += state.treeSize;
    unsigned += state.treeSize - published.treeSize;
  }
  return {
    logs: logs.length,
    entries,
    unsigned,
    indexLag: server.leafIndex.lag,
    pending: server.sequencer.pendingEntries,
    clockUnsafe: server.entryClock.unsafe,
    scrub: server.scrub?.progress,
  };
}
