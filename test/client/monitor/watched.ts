/**
 * A log, its witnesses and a monitor of them, in one process. The monitor is made anew from its stored text for every look, so that each test is
 * one of restarts too.
 */
import type { Alert } from '../../../client/monitor/alarms.ts';
import { MONITOR_LIMITS, Monitor, type MonitorOptions, type StepReport } from '../../../client/monitor/monitor.ts';
import { formatState, type MonitorState, newState, parseState } from '../../../client/monitor/state.ts';
import { type Fetch, Transport } from '../../../client/transport.ts';
import { originHash } from '../../../proofs/add-checkpoint.ts';
import { type Cosigner, cosigner } from '../../../proofs/cosignature.ts';
import { type ProvenFraud, parseFraudProof, verifyFraudProof } from '../../../proofs/fraud-proof.ts';
import { parseVerifierKey } from '../../../proofs/key.ts';
import { addSignatures } from '../../../proofs/note.ts';
import { type Policy, parsePolicy } from '../../../proofs/policy.ts';
import { utf8 } from '../../../tree/bytes.ts';
import { API_KEY, type FakeLog } from '../fake-log.ts';

/** When the tests take place, in milliseconds. */
export const START = 1_767_312_000_000;

/** What a witness's endpoint answers: a note, or a status without one. `throw`: the connection breaks. */
export type Shown = string | number | 'throw';

export class TestWitness {
  readonly name: string;
  readonly cosigner: Cosigner;
  shown: Shown = 404;

  constructor(name: string, seed: number) {
    this.name = name;
    this.cosigner = cosigner(`${name}.example/witness`, new Uint8Array(32).fill(seed));
  }

  get policyLine(): string {
    return `witness ${this.name} ${this.cosigner.verifierKey.text} http://${this.name}.example/`;
  }

  /** The note with a cosignature of this witness, `time` in seconds. */
  cosign(note: string, time: number = START / 1000): string {
    const text = note.slice(0, note.lastIndexOf('\n\n') + 1);
    const { name, keyId } = this.cosigner.verifierKey;
    return addSignatures(note, [{ name, keyId, signature: this.cosigner.cosign(text, time) }]);
  }
}

export function policyOf(witnesses: readonly TestWitness[], quorum = 'all'): Policy {
  const names = witnesses.map(({ name }) => name).join(' ');
  return parsePolicy(
    `${witnesses.map((each) => `${each.policyLine}\n`).join('')}group g ${quorum} ${names}\nquorum g\n`,
  );
}

/** What a test sets otherwise than the others. */
type Given = { -readonly [Name in Exclude<keyof MonitorOptions, 'limits'>]?: MonitorOptions[Name] } & {
  limits?: Partial<MonitorOptions['limits']>;
};

export interface Look extends StepReport {
  /** What was told in this look: state and code, and the subject if there is one. */
  readonly told: readonly string[];
  readonly alerts: readonly Alert[];
}

export class Watched {
  /** Who answers at the log's address. A test puts another one here, with the same name and key, and the log has changed its history. */
  log: FakeLog;
  readonly witnesses: readonly TestWitness[];
  readonly policy: Policy | undefined;
  now = START;
  /** The state as it was made durable last. */
  text: string | undefined;
  readonly evidence: string[] = [];
  commits = 0;
  options: Given = {};
  readonly #vkey: string;

  constructor(log: FakeLog, witnesses: readonly TestWitness[] = [], quorum = 'all') {
    this.log = log;
    this.witnesses = witnesses;
    this.policy = witnesses.length === 0 ? undefined : policyOf(witnesses, quorum);
    this.#vkey = log.vkey;
  }

  /** The state that would be found after a crash. */
  state(): MonitorState {
    const key = parseVerifierKey(this.#vkey);
    return this.text === undefined ? newState(key) : parseState(this.text, key);
  }

  transport(fetch: Fetch = (url, init) => this.log.fetch(url, init)): Transport {
    const clock = { now: () => this.now, sleep: async () => undefined };
    return new Transport({ url: 'http://x.example/logs/main', key: API_KEY, fetch, clock, retries: { attempts: 2 } });
  }

  #witnessTransport(witness: TestWitness): Transport {
    const clock = { now: () => this.now, sleep: async () => undefined };
    const fetch: Fetch = async (url) => {
      const path = `http://${witness.name}.example/${originHash(this.log.origin)}/checkpoint`;
      if (url !== path) throw new Error(`bug: asked for ${url}`);
      if (witness.shown === 'throw') throw new TypeError('fetch failed');
      if (typeof witness.shown === 'number') return new Response('no', { status: witness.shown });
      return new Response(witness.shown);
    };
    return new Transport({ url: `http://${witness.name}.example/`, fetch, clock, retries: { attempts: 1 } });
  }

  /** One look, `later` milliseconds after the last one. */
  async look(later = 60_000): Promise<Look> {
    this.now += later;
    const state = this.state();
    const alerts: Alert[] = [];
    const { limits, ...options } = this.options;
    const monitor = new Monitor(state, {
      transport: this.transport(),
      policy: this.policy,
      witnesses: (this.policy?.witnesses ?? []).map((witness, i) => ({
        witness,
        transport: this.#witnessTransport(this.witnesses[i] as TestWitness),
      })),
      now: () => this.now,
      webhook: false,
      commit: async () => {
        this.commits++;
        this.text = formatState(state);
        alerts.push(...state.outbox.map(({ alert }) => alert));
        state.outbox = [];
        this.text = formatState(state);
      },
      keepEvidence: async (fraud) => {
        this.evidence.push(fraud);
        return `evidence-${this.evidence.length}`;
      },
      ...options,
      limits: { ...MONITOR_LIMITS, commitEvery: 0, ...limits },
    });
    const report = await monitor.step();
    const told = alerts.map(({ state: kind, code, subject }) =>
      [kind, code, subject].filter((text) => text !== '').join(' '),
    );
    return { ...report, told, alerts };
  }

  /** The only fraud proof that was kept, as somebody judges it who has nothing but the file and the key. */
  provenFraud(): ProvenFraud {
    if (this.evidence.length !== 1) throw new Error(`${this.evidence.length} files of evidence`);
    return verifyFraudProof(parseFraudProof(utf8(this.evidence[0] as string)), [parseVerifierKey(this.#vkey)]);
  }
}

/** Another history of the same log: equal up to `same` entries, then others, up to `size`. Signed by the same key. */
export function fork(log: FakeLog, same: number, size: number, make: () => FakeLog): FakeLog {
  const other = make();
  for (const { event } of log.entries.slice(0, same)) other.add(new TextDecoder().decode(event), '/id');
  while (other.entries.length < size) other.add(`{"id":"fork-${other.entries.length}"}`, '/id');
  return other;
}
