/**
 * Tells alerts: on stdout as soon as the state that holds them is durable, then to the webhook, again and again for a while. An alert that
 * was told and not yet crossed out when the process died is told again under the same id.
 */
import type { Alert } from '../../client/monitor/alarms.ts';
import type { MonitorState, Undelivered } from '../../client/monitor/state.ts';
import { sendWebhook, type Webhook } from './webhook.ts';

export interface CourierOptions {
  readonly state: MonitorState;
  /** Makes the state durable. */
  readonly save: () => Promise<void>;
  readonly print: (alert: Alert) => void;
  readonly webhook: Webhook | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Waits; ends early, without an error, when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Hears of every try that failed; `lost` where it was the last one, or there were too many. */
  readonly onFailure: (reason: string, lost: boolean) => void;
}

/** Most tries of one alert, over about four and a half hours. */
const MAX_ATTEMPTS = 14;
const FIRST_DELAY = 5000;
const MAX_DELAY = 3_600_000;
/** How often it is looked whether something is due. */
const POLL = 500;
/** Most alerts that wait for the webhook; beyond it those that matter least are given up, the oldest of them first. */
export const MAX_WAITING = 1000;

export class Courier {
  readonly #options: CourierOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: CourierOptions) {
    this.#options = options;
  }

  /** Makes the state durable, tells what is new in its outbox, and makes that durable too. */
  async commit(): Promise<void> {
    const { state, save, print, webhook } = this.#options;
    await save();
    const fresh = state.outbox.filter(({ printed }) => !printed);
    if (fresh.length === 0) return;
    for (const { alert } of fresh) print(alert);
    // Who was told is crossed out; the others wait for their webhook.
    this.#change((each) =>
      each.webhook === undefined || webhook === undefined ? undefined : { ...each, printed: true },
    );
    this.#dropLeast();
    await save();
  }

  /** Delivers to the webhook in the background until `stop`. */
  start(): void {
    this.#running ??= this.#deliverForEver();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Delivers what waits, for so many milliseconds at most; what is left stays in the state. */
  async drain(patience: number): Promise<void> {
    const { state, now, sleep, save } = this.#options;
    const end = now() + patience;
    while (state.outbox.length > 0 && now() < end) {
      if (!(await this.#deliverDue())) await sleep(POLL, this.#stop.signal);
    }
    await save();
  }

  async #deliverForEver(): Promise<void> {
    const { sleep, save } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      if (await this.#deliverDue()) await save();
      else await sleep(POLL, signal);
    }
  }

  /** One alert that is due. Gives false where none is. */
  async #deliverDue(): Promise<boolean> {
    const { state, webhook, now, onFailure } = this.#options;
    const due = state.outbox.find((each) => each.printed && each.webhook !== undefined && each.webhook.nextAt <= now());
    if (webhook === undefined || due?.webhook === undefined) return false;
    const failed = await sendWebhook(webhook, due.alert, now());
    const attempts = due.webhook.attempts + 1;
    const lost = failed !== undefined && (failed.gone || attempts >= MAX_ATTEMPTS);
    if (failed !== undefined) onFailure(failed.reason, lost);
    const delay = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** (attempts - 1));
    this.#change((each) => {
      if (each.alert.id !== due.alert.id || each.alert.state !== due.alert.state) return each;
      return failed === undefined || lost ? undefined : { ...each, webhook: { attempts, nextAt: now() + delay } };
    });
    return true;
  }

  #change(change: (each: Undelivered) => Undelivered | undefined): void {
    const { state } = this.#options;
    state.outbox = state.outbox.map(change).filter((each) => each !== undefined);
  }

  /** Whoever can cause many harmless alerts must not push out the one that matters. */
  #dropLeast(): void {
    const { state, onFailure } = this.#options;
    const many = state.outbox.length - MAX_WAITING;
    if (many <= 0) return;
    const active = new Set(state.alarms.map(({ id }) => id));
    // Sorting is stable: among equals the oldest come first.
    const ranked = state.outbox.toSorted((a, b) => worth(a.alert, active) - worth(b.alert, active));
    const dropped = new Set(ranked.slice(0, many));
    state.outbox = state.outbox.filter((each) => !dropped.has(each));
    onFailure(`${many} alerts are more than can wait`, true);
  }
}

/** How much would be lost with an alert: least with one of what happened, most with the beginning of an alarm that still goes on. */
function worth({ id, state, level }: Alert, active: ReadonlySet<string>): number {
  if (state === 'happened') return 0;
  if (state === 'cleared' || level === 'warning') return 1;
  return active.has(id) ? 3 : 2;
}
