/** What the server measures about itself, for Prometheus. No label ever names a log, a key or a path. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { ClockAlarm } from './clock.ts';
import type { WitnessReport } from './cosigning/witnesses.ts';
import { CUT_REASONS, type CutReason } from './http/cuts.ts';
import { addGauge } from './measured.ts';
import { type MeteredRoute, RequestMeter } from './request-meter.ts';
import type { ScrubProgress } from './scrub.ts';

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = new RequestMeter();
  readonly #entries: Counter;
  readonly #commits: Counter;
  readonly #replays: Counter;
  readonly #damage: Counter;
  readonly #failedLogins: Counter;
  readonly #loginsThrottled: Counter;
  readonly #rateLimited: Counter;
  readonly #certificateEnd: Gauge;
  readonly #witnessAnswers: Counter<'outcome'>;
  readonly #clockAlarms: Counter<'kind'>;
  readonly #cuts: Counter<'reason'>;

  /** `read` gives what is asked of the server at each scrape. */
  constructor(
    read: () => {
      readonly logs: number;
      readonly entries: number;
      readonly unsigned: number;
      readonly pending: number;
      readonly indexLag: number;
      readonly clockUnsafe: boolean;
      /** `undefined` where it is switched off. */
      readonly scrub?: ScrubProgress | undefined;
    },
  ) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#entries = new Counter({ name: 'indelible_entries_appended_total', help: 'Entries made durable.', registers });
    this.#commits = new Counter({ name: 'indelible_commits_total', help: 'Commits promised by the guard.', registers });
    this.#replays = new Counter({
      name: 'indelible_entries_replayed_total',
      help: 'Events that had been logged before under the same id.',
      registers,
    });
    this.#damage = new Counter({
      name: 'indelible_damage_total',
      help: 'Stored bytes found damaged. Anything above 0 is an alarm.',
      registers,
    });
    this.#failedLogins = new Counter({
      name: 'indelible_failed_logins_total',
      help: 'Requests with an API key that is unknown or revoked.',
      registers,
    });
    this.#loginsThrottled = new Counter({
      name: 'indelible_logins_throttled_total',
      help: 'Requests whose API key was not looked at, since too many from their address were refused.',
      registers,
    });
    this.#rateLimited = new Counter({
      name: 'indelible_rate_limited_total',
      help: 'Requests refused because their API key asked for more than it may.',
      registers,
    });
    this.#certificateEnd = new Gauge({
      name: 'indelible_tls_certificate_end_seconds',
      help: 'When the TLS certificate in use expires, seconds since the Unix epoch; 0 without TLS.',
      registers,
    });
    this.#clockAlarms = new Counter({
      name: 'indelible_clock_alarms_total',
      help: 'Steps of the wall clock, by kind.',
      labelNames: ['kind'],
      registers,
    });
    this.#witnessAnswers = new Counter({
      name: 'indelible_witness_answers_total',
      help: 'Questions to witnesses, by what came of them. silent, unknown_origin and larger_claim are alarms.',
      labelNames: ['outcome'],
      registers,
    });
    this.#cuts = new Counter({
      name: 'indelible_connections_cut_total',
      help: 'Connections that ended though their clients might have gone on with them, by reason.',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of CUT_REASONS) this.#cuts.inc({ reason }, 0);
    const gauge = this.gauge.bind(this);
    gauge('indelible_logs', 'Logs on this server.', () => read().logs);
    gauge('indelible_entries', 'Entries in all logs.', () => read().entries);
    gauge('indelible_unsigned_entries', 'Durable entries that no signed head covers yet.', () => read().unsigned);
    gauge('indelible_pending_entries', 'Entries that wait for their commit.', () => read().pending);
    gauge(
      'indelible_index_lag_entries',
      'Durable entries that the by-hash index does not know yet.',
      () => read().indexLag,
    );
    gauge('indelible_clock_unsafe', '1 while nothing is appended or signed because of the clock.', () =>
      read().clockUnsafe ? 1 : 0,
    );
    gauge(
      'indelible_scrub_progress_ratio',
      'Part of all entries that the running scrub has checked.',
      () => read().scrub?.ratio ?? 0,
    );
    gauge(
      'indelible_scrub_last_completed_timestamp_seconds',
      'When a scrub over everything last ended; 0 for never.',
      () => read().scrub?.lastCompleted ?? 0,
    );
    new Counter({
      name: 'indelible_scrub_bytes_total',
      help: 'Bytes that the scrub has read and checked.',
      registers,
      collect() {
        this.reset();
        this.inc(read().scrub?.bytes ?? 0);
      },
    });
  }

  /** Something that is measured at each scrape. */
  gauge(name: string, help: string, value: () => number): void {
    addGauge(this.#registry, name, help, value);
  }

  /** Takes in the metrics of another part of this process. */
  include(register: (registry: Registry) => void): void {
    register(this.#registry);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async render(): Promise<string> {
    return `${await this.#registry.metrics()}\n${this.#requests.render()}`;
  }

  /** `undefined` for what has no route. */
  answered(route: MeteredRoute | undefined, status: number, seconds: number): void {
    this.#requests.answered(route, status, seconds);
  }

  committed(entries: number): void {
    this.#commits.inc();
    this.#entries.inc(entries);
  }

  replayed(entries: number): void {
    if (entries > 0) this.#replays.inc(entries);
  }

  damaged(): void {
    this.#damage.inc();
  }

  loginFailed(): void {
    this.#failedLogins.inc();
  }

  loginThrottled(): void {
    this.#loginsThrottled.inc();
  }

  rateLimited(): void {
    this.#rateLimited.inc();
  }

  /** `end` in milliseconds since the Unix epoch. */
  servesCertificate(end: number): void {
    this.#certificateEnd.set(end / 1000);
  }

  witnessAnswered({ outcome }: WitnessReport): void {
    this.#witnessAnswers.inc({ outcome });
  }

  cut(reason: CutReason): void {
    this.#cuts.inc({ reason });
  }

  clockAlarm({ kind }: ClockAlarm): void {
    this.#clockAlarms.inc({ kind });
  }
}
