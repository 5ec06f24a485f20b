/** What a monitor measures about its log and itself, for Prometheus, on an address of its own. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { ALARM_LEVELS, type Alert } from '../../client/monitor/alarms.ts';
import type { StepReport } from '../../client/monitor/monitor.ts';
import type { MonitorState } from '../../client/monitor/state.ts';
import { addGauge } from '../../server/measured.ts';

export class MonitorMetrics {
  readonly #registry = new Registry();
  readonly #shown: Gauge;
  readonly #steps: Counter<'log'>;
  readonly #entries: Counter;
  readonly #lastStep: Gauge;
  readonly #alerts: Counter<'code'>;
  readonly #failures: Counter;
  readonly #lost: Counter;

  constructor(state: MonitorState) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    const gauge = (name: string, help: string, value: () => number): void =>
      addGauge(this.#registry, name, help, value);
    this.#shown = new Gauge({
      name: 'indelible_monitor_shown_tree_size',
      help: 'Size of the newest head that the log showed.',
      registers,
    });
    gauge('indelible_monitor_verified_tree_size', 'Size of the newest tree that was rebuilt.', () => state.tree.size);
    gauge(
      'indelible_monitor_read_entries',
      'Leaves read so far, verified or not.',
      () => (state.progress ?? state.tree).size,
    );
    gauge('indelible_monitor_watched_entries', 'Events that the watch rules have seen.', () => state.events?.size ?? 0);
    gauge(
      'indelible_monitor_fresh_timestamp_seconds',
      'When the log last grew or refreshed its head; 0 for never.',
      () => (state.freshAt ?? 0) / 1000,
    );
    gauge(
      'indelible_monitor_webhooks_waiting',
      'Alerts that the webhook has not taken yet.',
      () => state.outbox.filter(({ webhook }) => webhook !== undefined).length,
    );
    new Gauge({
      name: 'indelible_monitor_alarms',
      help: 'Alarms that go on, by code.',
      labelNames: ['code'],
      registers,
      collect() {
        for (const code of Object.keys(ALARM_LEVELS))
          this.set({ code }, state.alarms.filter((alarm) => alarm.code === code).length);
      },
    });
    this.#alerts = new Counter({
      name: 'indelible_monitor_alerts_total',
      help: 'Alerts told, ends of alarms not counted, by code.',
      labelNames: ['code'],
      registers,
    });
    this.#steps = new Counter({
      name: 'indelible_monitor_steps_total',
      help: 'Looks at the log, by whether it showed a signed head.',
      labelNames: ['log'],
      registers,
    });
    this.#entries = new Counter({ name: 'indelible_monitor_entries_total', help: 'Leaves read.', registers });
    this.#lastStep = new Gauge({
      name: 'indelible_monitor_last_step_timestamp_seconds',
      help: 'When the last look ended.',
      registers,
    });
    this.#failures = new Counter({
      name: 'indelible_monitor_webhook_failures_total',
      help: 'Deliveries to the webhook that failed.',
      registers,
    });
    this.#lost = new Counter({
      name: 'indelible_monitor_webhooks_lost_total',
      help: 'Alerts that the webhook never took. Anything above 0 is an alarm.',
      registers,
    });
  }

  /** `now` in milliseconds since the Unix epoch. */
  stepped({ shown, read }: StepReport, now: number): void {
    this.#steps.inc({ log: shown === undefined ? 'not_shown' : 'shown' });
    this.#entries.inc(read);
    if (shown !== undefined) this.#shown.set(shown);
    this.#lastStep.set(now / 1000);
  }

  told({ code, state }: Alert): void {
    if (state !== 'cleared') this.#alerts.inc({ code });
  }

  webhookFailed(lost: boolean): void {
    this.#failures.inc();
    if (lost) this.#lost.inc();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async render(): Promise<string> {
    return await this.#registry.metrics();
  }
}

export interface MetricsServer {
  /** Where they are, such as http://127.0.0.1:9100/metrics. */
  readonly url: string;
  close(): void;
}

/** Serves them at /metrics, and nothing else. Rejects with the system's error where the address cannot be had. */
export async function serveMetrics(metrics: MonitorMetrics, host: string, port: number): Promise<MetricsServer> {
  const server: Server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
    const isAsked = request.url === '/metrics' && (request.method === 'GET' || request.method === 'HEAD');
    if (!isAsked) {
      response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('there is only /metrics\n');
      return;
    }
    metrics.render().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType, 'cache-control': 'no-store' }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  server.unref();
  const { port: bound } = server.address() as AddressInfo;
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${name}:${bound}/metrics`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
