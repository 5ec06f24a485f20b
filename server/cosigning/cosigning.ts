/**
 * From a signed head to one that may be shown: the head is stored, its witnesses are asked side by side, and with the quorum's
 * cosignatures it is published. Entries are appended meanwhile; a log has at most one head under way.
 *
 *   signed → withheld (stored) → witnesses asked → quorum: published with its cosignatures, in one commit
 *                                                → none: asked again every interval (require-quorum), or published as it is (best-effort)
 *
 * After a start, nothing is signed for a log while those witnesses that have not answered yet could be a quorum by themselves: one
 * of them may hold a newer head, and this directory be an older copy.
 */
import { addSignatures, type NoteSignature } from '../../proofs/note.ts';
import { couldBeQuorum, holdsQuorum } from '../../proofs/policy.ts';
import type { Clock } from '../clock.ts';
import { EXIT, ExitError, ServerError } from '../errors.ts';
import type { Log, Published } from '../log.ts';
import { isStopping, type Sequencer } from '../sequencer.ts';
import { withheldKey } from '../storage/keys.ts';
import { storeHead } from '../store-head.ts';
import type { TreeReader } from '../tree-reader.ts';
import { type Contradiction, contradictionText } from './contradiction.ts';
import type { WitnessTransport } from './conversation.ts';
import { type AskedWitness, policyOf, type WitnessPolicy } from './policies.ts';
import { Witnesses, type WitnessReport } from './witnesses.ts';

/** `require-quorum`: a head is shown when the quorum has signed it. `best-effort`: with the cosignatures that came, be it none. */
export type PublishRule = 'require-quorum' | 'best-effort';

/** What an operator says about witnesses. */
export interface WitnessOptions {
  readonly policies: readonly WitnessPolicy[];
  readonly publish: PublishRule;
  /** Longest that a witness may take to cosign a head, or to say what it holds, in milliseconds. */
  readonly timeout: number;
  readonly transport: WitnessTransport;
  /** Keeps the two heads of a contradiction; returns where. */
  readonly keepEvidence: (contradiction: Contradiction) => string;
}

export interface CosigningOptions extends WitnessOptions {
  readonly interval: number;
  readonly clock: Clock;
  readonly reader: TreeReader;
  readonly sequencer: Sequencer;
  /** The logs that were there at the start; of a log that was made since, nobody else can have a head. */
  readonly logs: readonly Log[];
  /** Called for each answer of a witness. */
  readonly onReport: (report: WitnessReport) => void;
  /** A head was published. */
  readonly onPublished: () => void;
}

/** Time for the slower witnesses once the quorum holds, in milliseconds: a head with more cosignatures serves more people. */
const GRACE = 200;
/** The witnesses are asked for so many timeouts before a start goes on without the rest. */
const START_TIMEOUTS = 3;

export class Cosigning {
  readonly #options: CosigningOptions;
  readonly #witnesses: Witnesses;
  /** Each witness of each policy. */
  readonly #all: readonly AskedWitness[];
  readonly #policies = new Map<Log, WitnessPolicy | undefined>();
  /** Names of the witnesses that have not said yet what they hold, of each log that was there at the start. */
  readonly #unheard = new Map<Log, Set<string>>();
  readonly #driving = new Map<Log, Promise<void>>();
  readonly #stop = new AbortController();
  #asking: Promise<unknown> = Promise.resolve();
  #contradiction: ServerError | undefined;
  #started = false;

  constructor(options: CosigningOptions) {
    this.#options = options;
    this.#all = options.policies.flatMap(({ witnesses }) => witnesses);
    const { transport, timeout, interval, clock, reader } = options;
    this.#witnesses = new Witnesses({
      transport,
      timeout,
      interval,
      clock,
      reader,
      onReport: options.onReport,
      onContradiction: (contradiction) => this.#contradicted(contradiction),
    });
    for (const log of options.logs) {
      const policy = log.definition.status === 'deleted' ? undefined : this.#policyOf(log);
      if (policy !== undefined) this.#unheard.set(log, new Set(policy.witnesses.map(({ name }) => name)));
    }
  }

  /** Whether a log's heads go to witnesses. */
  concerns(log: Log): boolean {
    return this.#policyOf(log) !== undefined;
  }

  /** Whether enough witnesses have answered since the start for a new head to be signed. */
  maySign(log: Log): boolean {
    if (this.#contradiction !== undefined) return false;
    const unheard = this.#unheard.get(log);
    const policy = this.#policyOf(log);
    if (unheard === undefined || policy === undefined) return true;
    // A quorum of nobody holds without anybody's answer.
    if (holdsQuorum(policy, () => false)) return true;
    return !couldBeQuorum(policy, ({ name }) => unheard.has(name));
  }

  /** Heads that wait for their quorum, and logs that may not be signed because too few witnesses answered since the start. */
  get waiting(): { readonly withheld: number; readonly unheard: number } {
    return {
      withheld: this.#driving.size,
      unheard: [...this.#unheard.keys()].filter((log) => !this.maySign(log)).length,
    };
  }

  /**
   * Asks all witnesses of all logs what they hold, before anything is accepted. Whoever does not answer in time is asked again later.
   * Throws ExitError 78 where one of them proves that this is not the newest state, or not the only one.
   */
  async askAtStart(): Promise<void> {
    const { clock, timeout } = this.#options;
    const done = new AbortController();
    await Promise.race([
      Promise.all(this.#all.map((witness) => this.#askUnheard(witness))).finally(() => done.abort()),
      clock.sleep(START_TIMEOUTS * timeout, done.signal).catch(() => {}),
    ]);
    if (this.#contradiction !== undefined)
      throw new ExitError(EXIT.refused, this.#contradiction.message, { cause: this.#contradiction });
  }

  /** Goes on with the heads that were withheld when the last run ended, and with asking. */
  start(): void {
    this.#started = true;
    // A proof that came when the start had waited long enough.
    if (this.#contradiction !== undefined) {
      this.#options.sequencer.fail(this.#contradiction);
      return;
    }
    for (const log of this.#options.logs) if (log.withheld !== undefined) this.begin(log);
    // Each for itself: one that hangs must not keep the others from being asked every interval.
    this.#asking = Promise.all(this.#all.map((witness) => this.#askAgain(witness)));
  }

  /** A head of this log was stored and withheld: has it cosigned, and published when it may be. */
  begin(log: Log): void {
    if (this.#driving.has(log)) return;
    const drive = this.#drive(log)
      .catch((error: unknown) => {
        // The rows of a log that was deleted go while it is being asked for.
        if (log.definition.status !== 'deleted') this.#fail(error);
      })
      .finally(() => this.#driving.delete(log));
    this.#driving.set(log, drive);
  }

  /** Ends after the rounds that run: a head that is still withheld then is the next start's. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#asking, ...this.#driving.values()]);
  }

  #policyOf(log: Log): WitnessPolicy | undefined {
    if (!this.#policies.has(log)) this.#policies.set(log, policyOf(this.#options.policies, log.verifierKeys));
    return this.#policies.get(log);
  }

  async #drive(log: Log): Promise<void> {
    const { clock, interval } = this.#options;
    for (let head = log.withheld; head !== undefined; head = log.withheld) {
      if (await this.#round(log, head)) return;
      if (this.#stop.signal.aborted) return;
      await clock.sleep(interval, this.#stop.signal).catch(() => {});
      if (this.#stop.signal.aborted) return;
    }
  }

  /** Asks all witnesses for one head, and publishes it if it may be. Resolves with whether it was. */
  async #round(log: Log, head: Published): Promise<boolean> {
    const policy = this.#policyOf(log);
    // Withheld by an earlier run, which had a policy.
    if (policy === undefined) return this.#publish(log, head, [], false);
    const lines = await this.#collect(log, policy, head);
    const witnessed = holdsQuorum(policy, ({ name }) => lines.has(name));
    if (this.#contradiction !== undefined) return false;
    if (!witnessed && this.#options.publish === 'require-quorum') return false;
    const inOrder = policy.witnesses.flatMap(({ name }) => lines.get(name) ?? []);
    return this.#publish(log, head, inOrder, witnessed);
  }

  /** Cosignatures by the name of the witness: until all have answered, or a little longer than the quorum took. */
  #collect(log: Log, policy: WitnessPolicy, head: Published): Promise<ReadonlyMap<string, NoteSignature>> {
    const { clock } = this.#options;
    const lines = new Map<string, NoteSignature>();
    let open = policy.witnesses.length;
    return new Promise((resolve, reject) => {
      const enough = (): void => resolve(new Map(lines));
      for (const witness of policy.witnesses) {
        this.#witnesses.cosign(witness, log, head, this.#stop.signal).then((answer) => {
          if (answer !== undefined) {
            lines.set(witness.name, answer.line);
            // Whoever extends its own last checkpoint to this head holds nothing that contradicts it.
            this.#heard(log, witness.name);
          }
          open--;
          if (open === 0) enough();
          else if (holdsQuorum(policy, ({ name }) => lines.has(name)))
            clock.sleep(GRACE, this.#stop.signal).then(enough, enough);
        }, reject);
      }
    });
  }

  async #publish(
    log: Log,
    { treeSize, rootHash, checkpoint, time }: Published,
    lines: readonly NoteSignature[],
    witnessed: boolean,
  ): Promise<boolean> {
    const { sequencer, onPublished } = this.#options;
    const note = addSignatures(checkpoint, lines);
    await sequencer.change((transaction) => {
      // Crash before the commit: still withheld, and asked for again. After it: published.
      transaction.delete(withheldKey(log.name));
      transaction.whenDone(() => {
        log.withheld = undefined;
      });
      if (transaction.definitionOf(log).status === 'deleted') return;
      storeHead(transaction, log, { treeSize, rootHash, checkpoint: note, time, witnessed });
    });
    onPublished();
    return true;
  }

  async #askAgain(witness: AskedWitness): Promise<void> {
    const { clock, interval } = this.#options;
    while (this.#logsUnheardBy(witness).length > 0 && !this.#stop.signal.aborted) {
      await clock.sleep(interval, this.#stop.signal).catch(() => {});
      if (this.#stop.signal.aborted) return;
      await this.#askUnheard(witness).catch((error: unknown) => this.#fail(error));
    }
  }

  #logsUnheardBy(witness: AskedWitness): Log[] {
    const logs: Log[] = [];
    for (const [log, names] of this.#unheard)
      if (names.has(witness.name) && this.#policyOf(log)?.witnesses.includes(witness) === true) logs.push(log);
    return logs;
  }

  async #askUnheard(witness: AskedWitness): Promise<void> {
    await Promise.all(
      this.#logsUnheardBy(witness).map(async (log) => {
        const heard = await this.#witnesses.hear(witness, log, this.#stop.signal).catch((error: unknown) => {
          // Its rows go while they are read.
          if (log.definition.status === 'deleted') return true;
          throw error;
        });
        if (heard || log.definition.status === 'deleted') this.#heard(log, witness.name);
      }),
    );
  }

  #heard(log: Log, witness: string): void {
    const unheard = this.#unheard.get(log);
    if (unheard === undefined) return;
    const might = this.maySign(log);
    unheard.delete(witness);
    if (unheard.size === 0) this.#unheard.delete(log);
    // What grew meanwhile may be signed now.
    if (!might && this.maySign(log)) this.#options.onPublished();
  }

  #contradicted(contradiction: Contradiction): void {
    if (this.#contradiction !== undefined) return;
    const kept = this.#options.keepEvidence(contradiction);
    const message = `${contradictionText(contradiction)}. Nothing is signed any more; both heads are in ${kept}`;
    this.#contradiction = new ServerError('damaged', message);
    // Before that, `askAtStart` throws it.
    if (this.#started) this.#options.sequencer.fail(this.#contradiction);
  }

  #fail(error: unknown): void {
    if (!isStopping(error)) this.#options.sequencer.fail(error);
  }
}
