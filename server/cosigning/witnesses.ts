/**
 * The witnesses as this server knows them: what size each cosigned last for a log, and who cannot be reached. All questions go
 * through here, so that thousands of logs ask one witness side by side but not all at once, and one that is gone costs one
 * timeout an interval and not one a log.
 */
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { consistencyProof } from '../prover.ts';
import type { TreeReader } from '../tree-reader.ts';
import { type Contradiction, contradictionOf, newestSigned } from './contradiction.ts';
import {
  askForHeld,
  askToCosign,
  type CosignAnswer,
  type HeldAnswer,
  type Silent,
  type WitnessTransport,
} from './conversation.ts';
import type { AskedWitness } from './policies.ts';
import { makeTurns } from './turns.ts';

/** What came of a question, for metrics and the log. */
export interface WitnessReport {
  readonly outcome: 'cosigned' | 'size' | 'held' | 'none' | 'unknown_origin' | 'larger_claim' | 'silent';
  readonly witness: string;
  readonly log: string;
  readonly reason: string;
}

export interface WitnessesOptions {
  readonly transport: WitnessTransport;
  /** Longest that a witness may take to cosign a head, or to say what it holds, in milliseconds: waiting for its turn included. */
  readonly timeout: number;
  /** Where a witness could not be reached, nobody tries for half of this time, in milliseconds. */
  readonly interval: number;
  readonly clock: Clock;
  readonly reader: TreeReader;
  /** Called for each answer. */
  readonly onReport: (report: WitnessReport) => void;
  /** A witness proves that this is not the newest state of the log, or not the only one. */
  readonly onContradiction: (contradiction: Contradiction) => void;
}

/** Questions to one witness side by side. */
const TOGETHER = 32;
/** Answers of "another size" before a round is given up; one is usual after a start, more mean that somebody else asks too. */
const MAX_TRIES = 10;

interface Known {
  readonly turns: ReturnType<typeof makeTurns>;
  /** Size that it cosigned last, of the logs where that is known. */
  readonly sizes: Map<Log, number>;
  /** Monotonic time in microseconds until which it is taken for unreachable. */
  restsUntil: number;
  restReason: string;
}

export class Witnesses {
  readonly #options: WitnessesOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: WitnessesOptions) {
    this.#options = options;
  }

  /**
   * Has a head cosigned; `undefined` where the witness did not, in time or at all. Rejects with ServerError `damaged` where the log cannot
   * be read.
   */
  async cosign(
    witness: AskedWitness,
    log: Log,
    head: { readonly treeSize: number; readonly checkpoint: string },
    stop: AbortSignal,
  ): Promise<Extract<CosignAnswer, { kind: 'cosigned' }> | undefined> {
    return this.#inTime(stop, (signal) => this.#cosign(witness, log, head, signal));
  }

  async #cosign(
    witness: AskedWitness,
    log: Log,
    { treeSize, checkpoint }: { readonly treeSize: number; readonly checkpoint: string },
    signal: AbortSignal,
  ): Promise<Extract<CosignAnswer, { kind: 'cosigned' }> | undefined> {
    const { sizes } = this.#knownOf(witness);
    for (let tries = 0; tries < MAX_TRIES && !signal.aborted; tries++) {
      const oldSize = Math.min(sizes.get(log) ?? log.published.treeSize, treeSize);
      const answer = await this.#askToCosign(witness, log, oldSize, treeSize, checkpoint, signal);
      if (answer.kind === 'cosigned') {
        sizes.set(log, treeSize);
        return answer;
      }
      if (answer.kind !== 'size') return undefined;
      // Another question, with a newer head, may have overtaken this one.
      if (answer.treeSize > newestSigned(log).treeSize) await this.#judgeClaim(witness, log, answer.treeSize, signal);
      else sizes.set(log, answer.treeSize);
      if (answer.treeSize > treeSize) return undefined;
    }
    if (!signal.aborted) this.#report('silent', witness, log, `it named another size ${MAX_TRIES} times`);
    return undefined;
  }

  /**
   * Asks whether the witness knows a head of ours that we do not have. Resolves with whether it gave an answer that counts. Rejects
   * with ServerError `damaged` where the log cannot be read.
   */
  hear(witness: AskedWitness, log: Log, stop: AbortSignal): Promise<boolean> {
    return this.#inTime(stop, (signal) => this.#hear(witness, log, signal));
  }

  async #hear(witness: AskedWitness, log: Log, signal: AbortSignal): Promise<boolean> {
    const held = await this.#askForHeld(witness, log, signal);
    if (held.kind === 'silent') return false;
    // What it shows may be an hour old (C2SP tlog-witness), and not all have that path. So the head that we stored is offered to it, as one that it
    // has cosigned: it answers that at once, and by what it holds now.
    const { treeSize, checkpoint } = newestSigned(log);
    const answer = await this.#askToCosign(witness, log, treeSize, treeSize, checkpoint, signal);
    switch (answer.kind) {
      case 'cosigned':
        this.#knownOf(witness).sizes.set(log, treeSize);
        return true;
      case 'unknown_origin':
        return true;
      case 'size':
        // A newer head may have been signed since, and have overtaken this question.
        if (answer.treeSize > newestSigned(log).treeSize) {
          this.#reportClaim(witness, log, answer.treeSize);
          return false;
        }
        this.#knownOf(witness).sizes.set(log, answer.treeSize);
        return true;
      case 'silent':
        return false;
    }
  }

  /** A number in a 409 is signed by nobody. With the checkpoint behind it, it would be a proof; without, one bad witness must not stop a log. */
  async #judgeClaim(witness: AskedWitness, log: Log, claimed: number, signal: AbortSignal): Promise<void> {
    const held = await this.#askForHeld(witness, log, signal);
    if (held.kind === 'held' && held.checkpoint.treeSize >= claimed) return;
    this.#reportClaim(witness, log, claimed);
  }

  #reportClaim(witness: AskedWitness, log: Log, claimed: number): void {
    const reason = `it says that it has cosigned size ${claimed}, larger than any head signed here, and shows no checkpoint of it`;
    this.#report('larger_claim', witness, log, reason);
  }

  async #askForHeld(witness: AskedWitness, log: Log, signal: AbortSignal): Promise<HeldAnswer> {
    const { transport, reader, onContradiction } = this.#options;
    const keys = log.verifierKeys;
    const answer = await this.#ask(witness, signal, () => askForHeld(witness, keys, transport, signal));
    this.#report(answer.kind, witness, log, answer.kind === 'silent' ? answer.reason : '');
    if (answer.kind === 'held') {
      const { checkpoint } = answer;
      const contradiction = await contradictionOf(reader, log, witness.name, checkpoint);
      if (contradiction === undefined) this.#knownOf(witness).sizes.set(log, checkpoint.treeSize);
      else onContradiction(contradiction);
    }
    return answer;
  }

  async #askToCosign(
    witness: AskedWitness,
    log: Log,
    oldSize: number,
    treeSize: number,
    checkpoint: string,
    signal: AbortSignal,
  ): Promise<CosignAnswer> {
    const { transport, reader } = this.#options;
    const answer = await this.#ask(witness, signal, async () => {
      // Made in its turn: for a witness that rests, thousands of logs would make proofs for nobody.
      const grew = oldSize > 0 && oldSize < treeSize;
      const proof = grew ? await consistencyProof(reader, log, oldSize, treeSize) : [];
      return askToCosign(witness, { oldSize, proof, checkpoint }, transport, signal);
    });
    this.#report(answer.kind, witness, log, answer.kind === 'silent' ? answer.reason : '');
    return answer;
  }

  /** Runs a conversation, and ends it after the timeout, or when the server stops. */
  async #inTime<T>(stop: AbortSignal, conversation: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, timeout } = this.#options;
    const end = new AbortController();
    const done = new AbortController();
    const abort = (): void => end.abort();
    stop.addEventListener('abort', abort);
    if (stop.aborted) abort();
    clock.sleep(timeout, done.signal).then(abort, () => {});
    try {
      return await conversation(end.signal);
    } finally {
      done.abort();
      stop.removeEventListener('abort', abort);
    }
  }

  async #ask<T extends { readonly kind: string }>(
    witness: AskedWitness,
    signal: AbortSignal,
    question: () => Promise<T | Silent>,
  ): Promise<T | Silent> {
    const { clock, interval } = this.#options;
    const known = this.#knownOf(witness);
    return known.turns(async () => {
      // Too late when its turn came: that says that there are many questions, and nothing about the witness.
      if (signal.aborted) return { kind: 'silent', reason: 'no answer in time', unreachable: false };
      if (clock.monotonicMicros() < known.restsUntil)
        return { kind: 'silent', reason: known.restReason, unreachable: true };
      const answer = await question();
      if (answer.kind === 'silent' && (answer as Silent).unreachable) {
        known.restsUntil = clock.monotonicMicros() + interval * 500;
        known.restReason = (answer as Silent).reason;
      }
      return answer;
    });
  }

  #report(outcome: WitnessReport['outcome'], witness: AskedWitness, log: Log, reason: string): void {
    this.#options.onReport({ outcome, witness: witness.name, log: log.name, reason });
  }

  #knownOf({ key, url }: AskedWitness): Known {
    // Two policies may name one witness; where they give it two addresses, each is asked for itself.
    const id = `${key.text} ${url}`;
    let known = this.#known.get(id);
    if (known === undefined) {
      known = { turns: makeTurns(TOGETHER), sizes: new Map(), restsUntil: 0, restReason: '' };
      this.#known.set(id, known);
    }
    return known;
  }
}
