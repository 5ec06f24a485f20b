/** `indelible monitor`: watches a log, its witnesses and its events, and tells what is wrong. */

import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../client/clock.ts';
import { type ActiveAlarm, ALARM_LEVELS, type Alert } from '../client/monitor/alarms.ts';
import { MONITOR_LIMITS, Monitor, type StepReport } from '../client/monitor/monitor.ts';
import type { MonitorState } from '../client/monitor/state.ts';
import type { WatchOptions } from '../client/monitor/watch.ts';
import { verifyByOpenssl } from '../server/own-signatures.ts';
import { memoryPath } from './memory-file.ts';
import { Courier } from './monitoring/courier.ts';
import { type MetricsServer, MonitorMetrics, serveMetrics } from './monitoring/metrics.ts';
import { secondsFrom, type WatchedFlags, watchedLog, witnessSources } from './monitoring/options.ts';
import { readRulesFile } from './monitoring/rules-file.ts';
import { keepEvidence, StateFile } from './monitoring/state-file.ts';
import { alertMembers, parseWebhookSecret, parseWebhookUrl, type Webhook } from './monitoring/webhook.ts';
import { EXIT_GOOD, EXIT_UNREACHABLE, EXIT_WRONG, note, printable, run, say, usage } from './output.ts';

/** Times in seconds. */
interface MonitorFlags extends WatchedFlags {
  readonly watch?: string;
  readonly watchAll?: true;
  readonly state?: string;
  readonly evidence?: string;
  readonly interval: number;
  readonly stall: number;
  readonly cosignatureAge: number;
  readonly withheld: number;
  readonly kind?: 'events' | 'raw';
  readonly once?: true;
  readonly json?: true;
  readonly webhook?: string;
  readonly webhookSecret?: string;
  readonly metrics?: { readonly host: string; readonly port: number };
}

/** How long `--once` waits for the webhook to take what was found, in milliseconds. */
const PATIENCE = 8000;
const WEBHOOK_TIMEOUT = 15_000;

export function monitorCommand(): Command {
  return new Command('monitor')
    .description('watch a log: signatures, quorum, every entry, its witnesses; tell whatever does not go together')
    .argument('[URL]', "the log's base URL, any C2SP tiles log's [INDELIBLE_URL]")
    .option('--vkey <KEY>', "the log's verifier key, from its operator")
    .option(
      '--policy <FILE>',
      'trust policy (C2SP tlog-policy): the quorum that every head needs, and the witnesses to compare with',
    )
    .option('--watch <FILE>', 'watch rules, YAML: which events to tell of; needs an API key that may read')
    .option('--watch-all', 'new rules also see the events that are in the log already')
    .option('--key <KEY>', 'API key; that of the environment goes to the server of INDELIBLE_URL only')
    .option('--state <FILE>', 'what was seen so far (default monitor-….json beside what the other commands remember)')
    .option('--evidence <DIR>', 'where fraud proofs are written (default the directory of the state)')
    .option('--interval <S>', 'seconds between two looks', secondsFrom(1), 60)
    .option(
      '--stall <S>',
      'seconds without growth or a refreshed head, 0: any',
      secondsFrom(0),
      MONITOR_LIMITS.stall / 1000,
    )
    .option(
      '--cosignature-age <S>',
      'seconds that the cosignatures of a quorum may be old, 0: any',
      secondsFrom(0),
      MONITOR_LIMITS.cosignatureAge / 1000,
    )
    .option(
      '--withheld <S>',
      'seconds that a witness may hold a larger head than the log shows',
      secondsFrom(0),
      MONITOR_LIMITS.withheld / 1000,
    )
    .addOption(new Option('--kind <KIND>', 'kind of the log; otherwise it is asked once').choices(['events', 'raw']))
    .option('--once', 'look once, and end with an exit code')
    .option('--json', 'one JSON object a line')
    .option('--webhook <URL>', 'send alerts there too (Standard Webhooks)')
    .addOption(
      new Option(
        '--webhook-secret <SECRET>',
        'whsec_ and base64; better in the environment, where no process list shows it',
      ).env('INDELIBLE_WEBHOOK_SECRET'),
    )
    .option('--metrics <HOST:PORT>', 'serve Prometheus metrics there', parseAddress)
    .addHelpText(
      'after',
      `
Alerts go to stdout, one line each, and to the webhook. The state is written before anything is told: a monitor that was killed goes on
where it was, and may tell the last alerts again, under the same ids. SIGTERM and SIGINT end it.

Exit codes: 0 nothing is wrong (or stopped by a signal), 1 with --once: an alarm goes on or a rule fits, without: nobody reads stdout any
more, 2 usage, 3 with --once: the log cannot be reached.

Examples:
  $ indelible monitor https://audit.example.com/logs/main --vkey 'audit.example.com/logs/main+1234abcd+AZ…' --policy policy.txt
  $ indelible monitor --vkey "$VKEY" --watch rules.yaml --webhook https://hooks.example.com/indelible --metrics 127.0.0.1:9100`,
    )
    .action((url: string | undefined, flags: MonitorFlags) => run(flags.json === true, () => monitor(url, flags)));
}

async function monitor(given: string | undefined, flags: MonitorFlags): Promise<number> {
  const { url, key, policy, transport, hasApiKey } = watchedLog(given, flags);
  const watch = await givenWatch(flags, hasApiKey);
  const webhook = givenWebhook(flags);
  const path = flags.state ?? defaultState(url, key.name);
  const evidence = flags.evidence ?? dirname(path);
  const file = await StateFile.open(path);
  let server: MetricsServer | undefined;
  try {
    const state = await file.read(key, verifyByOpenssl);
    const metrics = new MonitorMetrics(state);
    server = flags.metrics && (await serveMetrics(metrics, flags.metrics.host, flags.metrics.port));
    if (server !== undefined) note(`metrics at ${server.url}`);
    let happened = 0;
    const courier = new Courier({
      state,
      webhook,
      save: () => file.write(state),
      print: (alert) => {
        if (alert.state === 'happened' && alert.level === 'alarm') happened++;
        metrics.told(alert);
        say(flags.json === true ? JSON.stringify({ type: 'alert', ...alertMembers(alert) }) : alertLine(alert));
      },
      now: Date.now,
      sleep: (ms, signal) => systemClock.sleep(ms, signal).catch(() => undefined),
      onFailure: (reason, lost) => {
        metrics.webhookFailed(lost);
        note(`webhook: ${printable(reason)}${lost ? '; given up' : ''}`);
      },
    });
    const watching = new Monitor(state, {
      transport,
      policy,
      witnesses: witnessSources(policy),
      verify: verifyByOpenssl,
      now: Date.now,
      limits: {
        ...MONITOR_LIMITS,
        stall: 1000 * flags.stall,
        cosignatureAge: 1000 * flags.cosignatureAge,
        withheld: 1000 * flags.withheld,
        readFor: 1000 * flags.interval,
      },
      kind: flags.kind,
      watch,
      webhook: webhook !== undefined,
      commit: () => courier.commit(),
      keepEvidence: (fraud) => keepEvidence(evidence, fraud),
    });
    const stop = new AbortController();
    const end = (): void => stop.abort();
    process.once('SIGTERM', end);
    process.once('SIGINT', end);
    try {
      if (flags.once === true) {
        const report = await lookOnce(watching, state, stop.signal);
        metrics.stepped(report, Date.now());
        if (webhook !== undefined) await courier.drain(PATIENCE);
        sayStatus(flags, state, report);
        return exitCode(state, happened);
      }
      // Other commands end well when their reader does; here it would mean that nobody hears of alarms any more.
      process.stdout.removeAllListeners('error').on('error', () => process.exit(EXIT_WRONG));
      courier.start();
      await lookForEver(watching, state, 1000 * flags.interval, stop.signal, (report) =>
        metrics.stepped(report, Date.now()),
      );
      return EXIT_GOOD;
    } catch (error) {
      if (!stop.signal.aborted) throw error;
      return EXIT_GOOD;
    } finally {
      await courier.stop();
      process.removeListener('SIGTERM', end);
      process.removeListener('SIGINT', end);
    }
  } finally {
    server?.close();
    await file.close();
  }
}

/** Reads on until everything that is there has been read. */
async function lookOnce(watching: Monitor, state: MonitorState, stop: AbortSignal): Promise<StepReport> {
  for (;;) {
    const report = await look(watching, stop);
    if (state.progress === undefined || report.read === 0) return report;
  }
}

/** One look per interval; a log that is still being read is looked at again at once. */
async function lookForEver(
  watching: Monitor,
  state: MonitorState,
  interval: number,
  stop: AbortSignal,
  onStep: (report: StepReport) => void,
): Promise<void> {
  while (!stop.aborted) {
    const began = performance.now();
    const report = await look(watching, stop);
    onStep(report);
    if (state.progress !== undefined && report.read > 0) continue;
    const rest = interval - (performance.now() - began);
    if (rest > 0) await systemClock.sleep(rest, stop).catch(() => undefined);
  }
}

/** A signal of its own for each look: one that lives for a year would keep something of every request. */
async function look(watching: Monitor, stop: AbortSignal): Promise<StepReport> {
  const one = new AbortController();
  const end = (): void => one.abort(stop.reason);
  stop.throwIfAborted();
  stop.addEventListener('abort', end);
  try {
    return await watching.step(one.signal);
  } finally {
    stop.removeEventListener('abort', end);
  }
}

function isAlarm({ code }: ActiveAlarm): boolean {
  return ALARM_LEVELS[code] === 'alarm';
}

function exitCode({ alarms }: MonitorState, happened: number): number {
  const codes = alarms.filter(isAlarm).map(({ code }) => code);
  if (happened > 0 || codes.some((code) => code !== 'log_unreachable')) return EXIT_WRONG;
  return codes.length > 0 ? EXIT_UNREACHABLE : EXIT_GOOD;
}

function sayStatus(flags: MonitorFlags, state: MonitorState, { shown, verified }: StepReport): void {
  const { alarms, head } = state;
  if (flags.json === true)
    say(
      JSON.stringify({
        type: 'status',
        ok: !alarms.some(isAlarm),
        origin: state.keys[0].name,
        shown_tree_size: shown ?? null,
        verified_tree_size: verified,
        checkpoint: head?.note ?? null,
        alarms: alarms.map(({ id, code, subject, since, message }) => ({
          ...{ id, code, subject, since: new Date(since).toISOString(), message },
        })),
      }),
    );
  else
    say(
      `${printable(state.keys[0].name)}: ${verified} entries verified, the log shows ${shown ?? 'nothing'}, ` +
        (alarms.length === 0
          ? 'nothing is wrong'
          : `${alarms.length} alarms: ${alarms.map(({ code }) => code).join(', ')}`),
    );
}

function alertLine({ time, state, level, code, subject, message }: Alert): string {
  const what = state === 'cleared' ? 'END' : level === 'alarm' ? 'ALARM' : 'WARNING';
  const about = subject === '' ? '' : ` (${subject})`;
  return printable(`${new Date(time).toISOString()} ${what} ${code}${about}: ${message}`);
}

async function givenWatch({ watch, watchAll }: MonitorFlags, hasApiKey: boolean): Promise<WatchOptions | undefined> {
  if (watch === undefined) {
    if (watchAll === true) throw usage('--watch-all goes with --watch');
    return undefined;
  }
  const rules = await readRulesFile(watch);
  if (!hasApiKey) throw usage('watch rules read events: give --key, or set INDELIBLE_URL and INDELIBLE_KEY');
  return { rules, fromStart: watchAll === true };
}

function givenWebhook({ webhook, webhookSecret }: MonitorFlags): Webhook | undefined {
  if (webhook === undefined) return undefined;
  if (webhookSecret === undefined || webhookSecret === '')
    throw usage('a webhook is signed: set INDELIBLE_WEBHOOK_SECRET, or give --webhook-secret');
  return { url: parseWebhookUrl(webhook), secret: parseWebhookSecret(webhookSecret), timeout: WEBHOOK_TIMEOUT };
}

/** One file for each log and place: two mirrors of one log may show different things. */
function defaultState(url: string, origin: string): string {
  const name = createHash('sha256').update(`${url}\n${origin}`).digest('hex').slice(0, 16);
  return join(dirname(memoryPath(process.env)), `monitor-${name}.json`);
}

function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new InvalidArgumentError('HOST:PORT, such as 127.0.0.1:9100.');
  return { host: (match[1] ?? match[2]) as string, port };
}
