/**
 * What a monitor tells people: alarms that begin and end, and things that happened. Every alert has an id of its own that it keeps when
 * it is told again after a crash, so that whoever receives it twice can tell.
 */
import { sha256 } from '#sha256';
import { toHex, utf8 } from '../../tree/bytes.ts';

/** `warning`: look at it by day. `alarm`: the log, or what watches it, does not do what it promises. */
export type AlarmLevel = 'alarm' | 'warning';

/** Every code, and how bad it is. Stable: people write rules on them. */
export const ALARM_LEVELS = {
  /** Two signed heads that no single tree can have. Never ends: a fraud proof is kept. */
  split_view: 'alarm',
  /** The log shows a smaller tree than it, or a witness, has shown before. */
  rollback: 'alarm',
  /** Neither growth nor a refreshed head for too long. */
  stall: 'alarm',
  /** The quorum's cosignatures on the newest head are too old. */
  stale_cosignatures: 'alarm',
  /** The head is not cosigned as the policy demands. */
  quorum_not_met: 'alarm',
  /** Entries or tiles do not make the root hash that is signed. */
  root_mismatch: 'alarm',
  /** An entry bundle, or a leaf of an events log, that cannot be read. */
  unparsable_entry: 'alarm',
  /** receivedAt is lower than that of the entry before. */
  received_at_decreased: 'alarm',
  /** The log does not give entries or tiles of a tree that it signed. */
  missing_entries: 'alarm',
  /** What the log shows as its checkpoint is none, or not signed by its key. */
  bad_checkpoint: 'alarm',
  /** The log cannot be reached, or its server fails. */
  log_unreachable: 'alarm',
  /** An event is not the one of its leaf, or is kept back. */
  event_mismatch: 'alarm',
  /** The events cannot be read: no key, a key without the right, or a failing server. */
  events_unreachable: 'alarm',
  /** A watch rule fits an event. */
  rule_matched: 'alarm',
  /** A watch rule that wants an event from time to time has waited too long. */
  source_silent: 'alarm',
  /** A witness's monitoring endpoint cannot be reached, or fails. */
  witness_unreachable: 'warning',
  /** What a witness shows is not a head of this log with its cosignature. */
  bad_witness_head: 'warning',
  /** A witness shows a smaller head than before. */
  witness_went_back: 'warning',
} as const satisfies Readonly<Record<string, AlarmLevel>>;

export type AlarmCode = keyof typeof ALARM_LEVELS;

/** Members of an alert beyond those that all have; JSON values. */
export type AlarmDetails = Readonly<Record<string, unknown>>;

/** One thing to tell. */
export interface Alert {
  /** 32 hex digits. */
  readonly id: string;
  /** `raised` and `cleared` are the two ends of an alarm, `happened` has no end. */
  readonly state: 'raised' | 'cleared' | 'happened';
  readonly level: AlarmLevel;
  readonly code: AlarmCode;
  /** What of several it is about: a witness, a rule, a leaf index; empty where there is one only. */
  readonly subject: string;
  readonly origin: string;
  /** Milliseconds since the Unix epoch, by the monitor's clock. */
  readonly time: number;
  readonly message: string;
  readonly details: AlarmDetails;
}

/** An alarm that has begun and not ended. */
export interface ActiveAlarm {
  readonly id: string;
  readonly code: AlarmCode;
  readonly subject: string;
  /** When it began, in milliseconds since the Unix epoch. */
  readonly since: number;
  readonly message: string;
}

/** Most things that happened whose ids are remembered, so that reading the same entries again does not tell them again. */
const MAX_REMEMBERED = 512;

/** What begins, goes on and ends. Its two lists are the state that is kept. */
export class AlarmBook {
  readonly #origin: string;
  readonly #now: () => number;
  readonly #tell: (alert: Alert) => void;
  readonly active: ActiveAlarm[];
  /** Ids of the newest alerts that have no end. */
  readonly happened: string[];

  /** Takes over the lists as they were left. `tell` must keep the alert before it returns. */
  constructor(options: {
    readonly origin: string;
    readonly active: readonly ActiveAlarm[];
    readonly happened: readonly string[];
    readonly now: () => number;
    readonly tell: (alert: Alert) => void;
  }) {
    this.#origin = options.origin;
    this.#now = options.now;
    this.#tell = options.tell;
    this.active = [...options.active];
    this.happened = [...options.happened];
  }

  /** Says how it stands with an alarm: a message while something is wrong, `undefined` while nothing is. Tells of beginning and end only. */
  set(code: AlarmCode, subject: string, message: string | undefined, details: AlarmDetails = {}): void {
    const at = this.active.findIndex((alarm) => alarm.code === code && alarm.subject === subject);
    const known = this.active[at];
    if (message === undefined) {
      if (known === undefined) return;
      this.active.splice(at, 1);
      this.#alert('cleared', code, subject, `no longer: ${known.message}`, details, alertId('cleared', known.id));
    } else if (known === undefined) {
      const since = this.#now();
      const id = alertId(this.#origin, code, subject, String(since));
      this.active.push({ id, code, subject, since, message });
      this.#alert('raised', code, subject, message, details, id);
    } else this.active[at] = { ...known, message };
  }

  /** Whether an alarm goes on, of whatever subject where none is named. */
  has(code: AlarmCode, subject?: string): boolean {
    return this.active.some((alarm) => alarm.code === code && (subject === undefined || alarm.subject === subject));
  }

  /** Ends all alarms of these codes whose subject is no longer watched. */
  keepOnly(codes: readonly AlarmCode[], subjects: ReadonlySet<string>): void {
    for (const { code, subject } of [...this.active])
      if (codes.includes(code) && !subjects.has(subject)) this.set(code, subject, undefined);
  }

  /** Tells of something that has no end, once for each `subject`, which says which of its kind it is. */
  happen(code: AlarmCode, subject: string, message: string, details: AlarmDetails = {}): void {
    const id = alertId(this.#origin, code, subject);
    if (this.happened.includes(id)) return;
    this.happened.push(id);
    if (this.happened.length > MAX_REMEMBERED) this.happened.shift();
    this.#alert('happened', code, subject, message, details, id);
  }

  /** The same for what the caller meets once only: nothing is remembered of it. */
  report(code: AlarmCode, subject: string, message: string, details: AlarmDetails = {}): void {
    this.#alert('happened', code, subject, message, details, alertId(this.#origin, code, subject));
  }

  #alert(
    state: Alert['state'],
    code: AlarmCode,
    subject: string,
    message: string,
    details: AlarmDetails,
    id: string,
  ): void {
    const level = ALARM_LEVELS[code];
    this.#tell({ id, state, level, code, subject, origin: this.#origin, time: this.#now(), message, details });
  }
}

function alertId(...parts: readonly string[]): string {
  return toHex(sha256(utf8(JSON.stringify(parts)))).slice(0, 32);
}
