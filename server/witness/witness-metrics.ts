/** What a witness measures about itself, for Prometheus. No label names a log. */
import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import { addGauge } from '../measured.ts';
import { type MeteredRoute, RequestMeter } from '../request-meter.ts';
import type { Witness } from './witness.ts';

/** Adds the metrics of a witness to those that are there; `read` is asked at each scrape. */
export function registerWitness(registry: Registry, read: () => Witness): void {
  const registers = [registry];
  const counted = (
    name: string,
    help: string,
    labelNames: readonly string[],
    values: () => readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[],
  ): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [labels, value] of values()) this.inc(labels, value);
      },
    });
  };
  counted('indelible_witness_cosignatures_total', 'Checkpoints that were cosigned, repeated ones too.', [], () => [
    [{}, read().counts.cosigned],
  ]);
  counted('indelible_witness_conflicts_total', 'Requests that were answered with the size that is known.', [], () => [
    [{}, read().counts.conflicts],
  ]);
  counted('indelible_witness_refused_total', 'Checkpoints that were refused, by code.', ['code'], () =>
    [...read().counts.refused].map(([code, value]) => [{ code }, value] as const),
  );
  counted(
    'indelible_witness_findings_total',
    'Heads that a log should not have signed (split_view, impossible), or that nobody could connect with ours (unproven).',
    ['kind'],
    () => Object.entries(read().counts.findings).map(([kind, value]) => [{ kind }, value] as const),
  );
  addGauge(registry, 'indelible_witness_logs', 'Logs whose checkpoints are cosigned.', () => read().logs);
  addGauge(registry, 'indelible_witness_clock_unsafe', '1 while nothing is cosigned because of the clock.', () =>
    read().clockUnsafe ? 1 : 0,
  );
}

/** The metrics of a witness that is a process of its own. */
export class WitnessMetrics {
  readonly #registry = new Registry();
  readonly #requests = new RequestMeter();

  constructor(read: () => Witness) {
    collectDefaultMetrics({ register: this.#registry });
    registerWitness(this.#registry, read);
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
}
