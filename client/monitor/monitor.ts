/**
 * A monitor of one log: it takes every head that the log and its witnesses show, rebuilds the tree from its entries, and tells whatever
 * does not go together with all that it has seen before.
 *
 *   checkpoint ──┐ signature, quorum                      ┌─ root hash at the size of every head seen
 *   witnesses ───┴─► heads that are claimed ─► entries ───┤
 *                                                         └─ leaves: form, receivedAt ─► events ─► watch rules
 *
 * Pure judging: where bytes come from, where the state is kept and who hears of alarms is given to it.
 */
import type { Checkpoint } from '../../proofs/checkpoint.ts';
import { NoteError, ProofError } from '../../proofs/error.ts';
import { type FraudProof, formatFraudProof, verifyFraudProof } from '../../proofs/fraud-proof.ts';
import type { Verify } from '../../proofs/key.ts';
import type { Policy } from '../../proofs/policy.ts';
import type { Cosigned } from '../../proofs/witnessed.ts';
import { equalBytes, toBase64 } from '../../tree/bytes.ts';
import { ClientError } from '../error.ts';
import { readObject } from '../json.ts';
import { parseLogInfo } from '../replies.ts';
import type { Transport } from '../transport.ts';
import { NodeReader, readLeaves } from '../tree-reader.ts';
import { AlarmBook, type Alert } from './alarms.ts';
import { findContradiction } from './contradiction.ts';
import { GrowingTree } from './grow.ts';
import { askLog, askRefreshed, askWitness, type WitnessAnswer, type WitnessSource } from './heads.ts';
import { judgeQuorum } from './quorum.ts';
import { headName, type MonitorState } from './state.ts';
import { applyRules, type WatchOptions } from './watch.ts';
import { judgeWithheld } from './withheld.ts';

export interface MonitorOptions {
  /** At the log's base URL; with an API key where the log wants one, and for watch rules. */
  readonly transport: Transport;
  /** Without one, heads count by the log's signature alone. */
  readonly policy?: Policy | undefined;
  /** Whose monitoring endpoints are compared with the log. */
  readonly witnesses?: readonly WitnessSource[] | undefined;
  readonly verify?: Verify | undefined;
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Times in milliseconds; 0 switches an alarm off. */
  readonly limits: MonitorLimits;
  /** Kind of the log; where it is not given, the log is asked once. */
  readonly kind?: 'events' | 'raw' | undefined;
  readonly watch?: WatchOptions | undefined;
  /** Whether alerts are kept for a webhook too. */
  readonly webhook: boolean;
  /** Makes the state durable, and then tells what is in its outbox. After it, a crash loses nothing of what was found. */
  readonly commit: (state: MonitorState) => Promise<void>;
  /** Keeps a fraud proof durably under a name of its own, and says where. */
  readonly keepEvidence: (fraud: string) => Promise<string>;
}

export interface MonitorLimits {
  /** Without growth or a refreshed head. */
  readonly stall: number;
  /** Age of the cosignatures of a quorum. */
  readonly cosignatureAge: number;
  /** How long a witness may hold a larger head than the log shows, which then waits for its quorum. */
  readonly withheld: number;
  /** How long entries are read before what was found is committed. */
  readonly commitEvery: number;
  /** How long entries are read before everybody is asked for their heads again. */
  readonly readFor: number;
}

export const MONITOR_LIMITS: MonitorLimits = {
  stall: 3_600_000,
  cosignatureAge: 3_600_000,
  withheld: 600_000,
  commitEvery: 1000,
  readFor: 60_000,
};

export interface StepReport {
  /** Size of the head that the log shows, if it shows one that is signed. */
  readonly shown: number | undefined;
  /** Size of the newest tree that was rebuilt and found right. */
  readonly verified: number;
  /** Leaves that were read in this step. */
  readonly read: number;
}

/** Most heads shown by the log that wait for their size; twice as many where its tiles cannot be asked for. Of a witness two may wait. */
const MAX_CLAIMS = 32;
/** Most faults of leaves that are told one by one, of those under one head. */
const MAX_FAULTS = 256;
/** Most heads of which it is remembered that they go together with the tree. */
const MAX_CONSISTENT = 64;
export class Monitor {
  readonly #options: MonitorOptions;
  readonly #state: MonitorState;
  readonly #book: AlarmBook;
  /** Why the log could not be asked, of the running step. */
  #unreachable: string | undefined;
  #signal: AbortSignal | undefined;
  #committed = 0;
  #read = 0;
  /** False once the log has said that it has no tree heads of RFC 6962. */
  #hasTreeHeads = true;

  /** Goes on where the state is. */
  constructor(state: MonitorState, options: MonitorOptions) {
    this.#state = state;
    this.#options = options;
    this.#book = new AlarmBook({
      origin: state.keys[0].name,
      active: state.alarms,
      happened: state.happened,
      now: options.now,
      tell: (alert) => this.#tell(alert),
    });
    const witnesses = new Set((options.witnesses ?? []).map(({ witness }) => witness.name));
    this.#book.keepOnly(['witness_unreachable', 'bad_witness_head', 'witness_went_back'], witnesses);
    this.#book.keepOnly(['rollback'], new Set([LOG, ...witnesses]));
    if (options.watch === undefined) {
      state.events = undefined;
      state.rules.clear();
      this.#book.keepOnly(['source_silent', 'events_unreachable', 'event_mismatch'], new Set());
    }
    if (options.policy === undefined) this.#book.keepOnly(['quorum_not_met', 'stale_cosignatures'], new Set());
    if (options.kind !== undefined) state.kind = options.kind;
  }

  /**
   * Looks once: at the log, its witnesses, and all entries that are new, or as many as can be read in `readFor`. Whatever is wrong is told
   * as alarms. Throws what `commit` and `keepEvidence` throw, and the reason of the signal.
   */
  async step(signal?: AbortSignal): Promise<StepReport> {
    const { watch, transport, now } = this.#options;
    this.#signal = signal;
    this.#unreachable = undefined;
    this.#read = 0;
    this.#committed = now();
    const [shown] = await Promise.all([this.#askLog(), this.#askWitnesses()]);
    // Heads of the witnesses are compared while the tree grows past their sizes, so they are taken first.
    if (shown !== undefined) await this.#judge(shown.head);
    await this.#settle();
    if (shown !== undefined) {
      await this.#judgeFreshness(shown.head, shown.cosignatures);
      for (const { witness } of this.#options.witnesses ?? []) {
        const { name } = witness;
        const { witnesses } = this.#state;
        const limits = { now: now(), patience: this.#options.limits.withheld };
        const seen = judgeWithheld(this.#book, name, witnesses.get(name), shown.head, limits);
        if (seen !== undefined) witnesses.set(name, seen);
      }
    }
    this.#judgeStall();
    this.#book.set('log_unreachable', '', this.#unreachable);
    if (watch !== undefined)
      await applyRules({
        transport,
        watch,
        now,
        signal,
        state: this.#state,
        book: this.#book,
        onPage: () => this.#commitSometimes(),
      });
    await this.#commit();
    return { shown: shown?.head.treeSize, verified: this.#state.tree.size, read: this.#read };
  }

  async #askLog(): Promise<{ readonly head: Checkpoint; readonly cosignatures: readonly Cosigned[] } | undefined> {
    const { transport, policy, verify, now, limits } = this.#options;
    const signal = this.#signal;
    const book = this.#book;
    try {
      const { head, cosignatures, fault } = await askLog({
        transport,
        key: this.#state.keys[0],
        policy,
        verify,
        signal,
      });
      book.set('bad_checkpoint', '', undefined);
      if (policy !== undefined)
        judgeQuorum(book, policy, head, { cosignatures, fault, now: now(), maxAge: limits.cosignatureAge });
      return { head, cosignatures };
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof NoteError) book.set('bad_checkpoint', '', `${error.code}: ${error.message}`);
      else this.#cannotAsk(error);
      return undefined;
    }
  }

  /** A failure of the conversation; anything else goes on. */
  #cannotAsk(error: unknown): void {
    if (!(error instanceof ClientError)) throw error;
    this.#unreachable ??= error.message;
  }

  async #askWitnesses(): Promise<void> {
    const { witnesses = [], verify } = this.#options;
    const signal = this.#signal;
    const key = this.#state.keys[0];
    const answers = await Promise.all(
      witnesses.map(async (source) => ({
        name: source.witness.name,
        answer: await askWitness(source, { key, verify, signal }),
      })),
    );
    for (const { name, answer } of answers) await this.#takeWitness(name, answer);
  }

  async #takeWitness(name: string, answer: WitnessAnswer): Promise<void> {
    const book = this.#book;
    book.set('witness_unreachable', name, answer.unreachable);
    // What it showed before stands until it answers again.
    if (answer.unreachable !== undefined) return;
    book.set('bad_witness_head', name, answer.fault);
    const { head } = answer;
    if (head === undefined) return;
    const { witnesses } = this.#state;
    const seen = witnesses.get(name);
    const back = seen !== undefined && head.treeSize < seen.treeSize;
    book.set(
      'witness_went_back',
      name,
      back ? `witness ${name} shows size ${head.treeSize}, and has shown ${seen.treeSize} before` : undefined,
    );
    if (!back && seen?.note !== head.note) {
      const { note, treeSize } = head;
      const at = seen?.treeSize === treeSize ? seen.at : this.#options.now();
      witnesses.set(name, { note, treeSize, at, ahead: seen?.ahead });
    }
    await this.#claim(head, name);
  }

  /** A signed head, to be compared with the tree: at once where it is one size with another, else when its size is reached or in the end. */
  async #claim(head: Checkpoint, from: string): Promise<void> {
    const state = this.#state;
    const said = headName(head);
    if (state.consistent.includes(said)) return;
    const known = [state.head, ...state.claims.map((claim) => claim.head)].filter((each) => each !== undefined);
    const other = known.find((each) => each.treeSize === head.treeSize && !equalBytes(each.rootHash, head.rootHash));
    if (other !== undefined) {
      await this.#contradiction({ first: other.note, second: head.note }, from);
      return;
    }
    if (known.some((each) => headName(each) === said)) {
      // Once the log itself shows it, it is the log's word.
      if (from === LOG)
        state.claims = state.claims.map((each) => (headName(each.head) === said ? { ...each, from } : each));
      return;
    }
    if (from === LOG) await this.#makeRoom(head);
    else {
      // A witness signs only what continues its last head, so its oldest and its newest say what those between them would.
      const between = new Set(state.claims.filter((claim) => claim.from === from).slice(1));
      state.claims = state.claims.filter((claim) => !between.has(claim));
    }
    state.claims = [...state.claims, { head, from, since: this.#options.now() }];
  }

  /**
   * A log may show ever new heads and keep back the entries that would judge them. Its oldest and its largest stay; of the others one is
   * let go only when a larger head that stays is proven to continue it, or when both were kept as evidence.
   */
  async #makeRoom(head: Checkpoint): Promise<void> {
    const state = this.#state;
    for (;;) {
      const shown = state.claims.filter(({ from }) => from === LOG);
      if (shown.length < MAX_CLAIMS) return;
      const largest = [head, ...shown.map((claim) => claim.head)].reduce((a, b) => (a.treeSize >= b.treeSize ? a : b));
      const claim = shown.slice(1).find((each) => each.head.treeSize < largest.treeSize);
      if (claim === undefined || !(await this.#mayGo(claim.head, largest, shown.length >= 2 * MAX_CLAIMS))) return;
      state.claims = state.claims.filter((each) => each !== claim);
    }
  }

  /** Whether nothing is lost any more with a head that a log has shown. Not `atOnce`, it may stay until the tiles can be asked for. */
  async #mayGo(head: Checkpoint, larger: Checkpoint, atOnce: boolean): Promise<boolean> {
    const signal = this.#signal;
    try {
      await this.#goTogether(head, larger, LOG);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof ClientError || error instanceof ProofError)) throw error;
      const isLogs = error instanceof ProofError || error.code === 'missing_entries' || error.code === 'bad_reply';
      if (!isLogs && !atOnce) {
        this.#cannotAsk(error);
        return false;
      }
      const evidence = await this.#keepBoth(head, larger);
      this.#book.happen(
        'missing_entries',
        headName(head),
        `the log has shown a head of size ${head.treeSize} and later one of size ${larger.treeSize}, and does not give what would ` +
          `show that they go together: ${error.message}. Both are kept in ${evidence}`,
        { evidence, heads: [head.note, larger.note] },
      );
    }
    return true;
  }

  /** The head that the log shows. */
  async #judge(head: Checkpoint): Promise<void> {
    const state = this.#state;
    const book = this.#book;
    const shownBefore = state.claims.filter(({ from }) => from === LOG).map((claim) => claim.head.treeSize);
    const largest = Math.max(state.head?.treeSize ?? 0, ...shownBefore);
    book.set(
      'rollback',
      LOG,
      head.treeSize < largest
        ? `the log shows a tree of ${head.treeSize} entries, and has shown one of ${largest} before`
        : undefined,
      { heads: [state.head?.note, head.note] },
    );
    if (head.treeSize > largest) state.freshAt = this.#options.now();
    await this.#claim(head, LOG);
    if (state.head !== undefined && headName(state.head) === headName(head)) {
      // The same head with newer cosignatures.
      state.head = head;
      return;
    }
    if (state.head === undefined || head.treeSize > state.head.treeSize) {
      if (state.claims.some((claim) => headName(claim.head) === headName(head))) await this.#grow(head);
    }
  }

  /** Rebuilds the tree of a head that is larger than what was verified. */
  async #grow(head: Checkpoint): Promise<void> {
    const state = this.#state;
    const book = this.#book;
    const { transport, limits, now } = this.#options;
    const signal = this.#signal;
    const began = now();
    try {
      state.kind ??= await this.#askKind();
      if (state.kind === undefined) return;
      // After a contradiction the tiles say at once whether this head stands on the other side of it: the entries are not read in vain.
      const doubtful = book.has('split_view') || book.has('root_mismatch', '');
      if (doubtful && state.head !== undefined && !(await this.#tilesAgree(state.head, head))) return;
      if ((state.progress?.size ?? 0) > head.treeSize) this.#forgetProgress();
      const tree = new GrowingTree(state.progress ?? state.tree, state.kind, (fault) => {
        // Not told yet: these leaves are under no verified head, and may have been altered on their way.
        if (state.faults.length < MAX_FAULTS) state.faults = [...state.faults, fault];
        else state.moreFaults++;
      });
      this.#compare(tree);
      for await (const run of readLeaves({ transport, from: tree.size, treeSize: head.treeSize, signal })) {
        const end = run.first + run.count;
        while (tree.size < end) {
          tree.take(run, this.#nextClaim(tree.size));
          this.#compare(tree);
        }
        this.#read += run.count;
        state.progress = tree.size > state.tree.size ? tree.point() : undefined;
        await this.#commitSometimes();
        // The witnesses are to be asked again, and the log too: the next step goes on here.
        if (now() - began >= limits.readFor && tree.size < head.treeSize) return;
      }
      book.set('missing_entries', '', undefined);
      book.set('unparsable_entry', '', undefined);
      if (state.head !== undefined && headName(state.head) === headName(head)) book.set('root_mismatch', '', undefined);
      else await this.#explain(head, tree);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof ClientError)) throw error;
      if (error.code === 'missing_entries') book.set('missing_entries', '', error.message);
      else if (error.code === 'bad_reply') book.set('unparsable_entry', '', error.message);
      else this.#cannotAsk(error);
    }
  }

  /** Remembered for ever, and leaves of `raw` are not judged: so nothing but a clear answer counts, and any other is asked for again. */
  async #askKind(): Promise<'events' | 'raw' | undefined> {
    const { transport } = this.#options;
    const signal = this.#signal;
    try {
      return parseLogInfo(readObject(await transport.request({ path: '', signal }), 'the answer')).kind;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof ClientError)) throw error;
      // Other people's logs have no such page: what they hold are bytes.
      if (error.status === 404) return 'raw';
      this.#unreachable ??= `the page that says of which kind the log is (if it has none, give the kind): ${error.message}`;
      return undefined;
    }
  }

  /** The next size at which a claimed head is compared. */
  #nextClaim(size: number): number {
    const sizes = this.#state.claims.map((claim) => claim.head.treeSize).filter((each) => each > size);
    return Math.min(Number.POSITIVE_INFINITY, ...sizes);
  }

  /** A claimed head of the size that was reached: with this root hash it is verified, with another it is judged when the tree is complete. */
  #compare(tree: GrowingTree): void {
    const state = this.#state;
    const claims = state.claims.filter((claim) => claim.head.treeSize === tree.size);
    if (claims.length === 0) return;
    const root = tree.root();
    const right = claims.find((claim) => equalBytes(claim.head.rootHash, root));
    if (right === undefined) return;
    state.head = right.head;
    state.tree = tree.point();
    state.progress = undefined;
    this.#agrees(headName(right.head));
    this.#tellFaults(tree.size);
  }

  /** What was found in leaves that are the log's by its signature. */
  #tellFaults(size: number): void {
    const state = this.#state;
    for (const { code, leafIndex, message } of state.faults)
      this.#book.happen(code, String(leafIndex), message, { leaf_index: leafIndex });
    if (state.moreFaults > 0)
      this.#book.happen(
        'unparsable_entry',
        `before ${size}`,
        `${state.moreFaults} more leaves before leaf index ${size} are as wrong as those that were told`,
        { count: state.moreFaults },
      );
    state.faults = [];
    state.moreFaults = 0;
  }

  /** Leaves that were read beyond the verified tree, and what was found in them. */
  #forgetProgress(): void {
    this.#state.progress = undefined;
    this.#state.faults = [];
    this.#state.moreFaults = 0;
  }

  /** A head goes together with the verified tree. */
  #agrees(name: string): void {
    const state = this.#state;
    state.claims = state.claims.filter((claim) => headName(claim.head) !== name);
    state.consistent = [...state.consistent.filter((each) => each !== name), name].slice(-MAX_CONSISTENT);
  }

  /** The entries do not make the root hash of a head: is it the head, or what is served under it? */
  async #explain(head: Checkpoint, tree: GrowingTree): Promise<void> {
    const state = this.#state;
    // What was read is read again next time: a reply may have been damaged on its way.
    this.#forgetProgress();
    let made = `the ${tree.size} entries make the root hash ${toBase64(tree.root())}, signed is ${toBase64(head.rootHash)}`;
    try {
      if (state.head !== undefined && state.head.treeSize > 0) {
        if (!(await this.#tilesAgree(state.head, head))) return;
        made += '; by its tiles the head continues the last one, so the entries are wrong';
      }
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      made += `; its tiles cannot be read: ${error.message}`;
    }
    this.#book.set('root_mismatch', '', made);
  }

  /** Whether the tiles show that a larger head continues the verified one. If they do not, it is told. */
  async #tilesAgree(known: Checkpoint, head: Checkpoint): Promise<boolean> {
    const book = this.#book;
    try {
      if (await this.#goTogether(known, head, LOG)) return true;
      book.set('root_mismatch', '', undefined);
    } catch (error) {
      if (!(error instanceof ProofError)) throw error;
      // Once: a log that goes on so would fill the disk with its heads.
      if (book.has('root_mismatch', '')) return false;
      const evidence = await this.#keepBoth(known, head);
      book.set(
        'root_mismatch',
        '',
        `neither entries nor tiles make the root hash of size ${head.treeSize}: ${error.message}. Both heads are kept in ${evidence}`,
        { evidence, heads: [known.note, head.note] },
      );
    }
    return false;
  }

  /** Compares what is left of the claims with the tree that is verified now. */
  async #settle(): Promise<void> {
    const signal = this.#signal;
    const state = this.#state;
    const book = this.#book;
    const { head } = state;
    if (head === undefined) return;
    let wrong: string | undefined;
    let missing: string | undefined;
    for (const claim of state.claims.filter((each) => each.head.treeSize <= head.treeSize)) {
      try {
        if (await this.#goTogether(claim.head, head, claim.from)) this.#agrees(headName(claim.head));
        state.claims = state.claims.filter((each) => each !== claim);
      } catch (error) {
        signal?.throwIfAborted();
        const code = error instanceof ClientError || error instanceof ProofError ? error.code : undefined;
        if (code === 'missing_entries') missing = (error as Error).message;
        else if (code === 'bad_reply' || code === 'root_mismatch') wrong = (error as Error).message;
        else {
          this.#cannotAsk(error);
          return;
        }
      }
    }
    book.set('root_mismatch', TILES, wrong);
    book.set('missing_entries', TILES, missing);
  }

  /** Whether the tiles of the larger head show that it continues the smaller one; that it does not is told. Throws ClientError, ProofError. */
  async #goTogether(smaller: Checkpoint, larger: Checkpoint, from: string): Promise<boolean> {
    const { transport } = this.#options;
    const reader = new NodeReader({ transport, treeSize: larger.treeSize, signal: this.#signal });
    const fraud = await findContradiction(smaller, larger, reader);
    if (fraud !== undefined) await this.#contradiction(fraud, from);
    return fraud === undefined;
  }

  /** Keeps two heads of which nobody can say whether they go together; says where. */
  #keepBoth(smaller: Checkpoint, larger: Checkpoint): Promise<string> {
    return this.#options.keepEvidence(formatFraudProof({ first: smaller.note, second: larger.note }));
  }

  /** Keeps the proof, and then says so: once for the log, and once for each witness. */
  async #contradiction(fraud: FraudProof, from: string): Promise<void> {
    const { keys } = this.#state;
    if (this.#book.has('split_view', from)) return;
    // What is written must convince others; they have nothing but the file.
    const { first, second } = verifyFraudProof(fraud, keys, this.#options.verify);
    const text = formatFraudProof(fraud);
    const evidence = await this.#options.keepEvidence(text);
    const by = from === LOG ? '' : ` (the head of witness ${from})`;
    this.#book.set(
      'split_view',
      from,
      first.treeSize === second.treeSize
        ? `the log has signed two trees of size ${first.treeSize}${by}: the proof is in ${evidence}`
        : `the log has signed a tree of size ${second.treeSize} that does not begin with the one of size ${first.treeSize} ` +
            `that it has signed${by}: the proof is in ${evidence}`,
      { evidence, heads: [first.note, second.note], fraud_proof: text },
    );
  }

  async #judgeFreshness(shown: Checkpoint, cosignatures: readonly Cosigned[]): Promise<void> {
    const { now, limits, transport, verify } = this.#options;
    const signal = this.#signal;
    const state = this.#state;
    const take = (milliseconds: number): void => {
      state.freshAt = Math.max(state.freshAt ?? 0, Math.min(milliseconds, now()));
    };
    state.freshAt ??= now();
    for (const { time } of cosignatures) take(time * 1000);
    const idle = now() - state.freshAt;
    if (limits.stall === 0 || idle <= limits.stall / 2 || !this.#hasTreeHeads) return;
    try {
      const refreshed = await askRefreshed({ transport, key: state.keys[0], shown, verify, signal });
      if (refreshed !== undefined) take(refreshed);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof NoteError || error instanceof ProofError) return;
      if (!(error instanceof ClientError)) throw error;
      if (error.status === 404) this.#hasTreeHeads = false;
    }
  }

  #judgeStall(): void {
    const { now, limits } = this.#options;
    const { freshAt, tree } = this.#state;
    const idle = freshAt === undefined ? 0 : now() - freshAt;
    this.#book.set(
      'stall',
      '',
      limits.stall > 0 && idle > limits.stall
        ? `the log has neither grown beyond ${tree.size} entries nor refreshed its head for ${Math.floor(idle / 1000)} s`
        : undefined,
    );
  }

  #tell(alert: Alert): void {
    const webhook = this.#options.webhook ? { attempts: 0, nextAt: 0 } : undefined;
    this.#state.outbox = [...this.#state.outbox, { alert, printed: false, webhook }];
  }

  async #commitSometimes(): Promise<void> {
    const { now, limits } = this.#options;
    if (now() - this.#committed >= limits.commitEvery) await this.#commit();
  }

  async #commit(): Promise<void> {
    this.#state.alarms = [...this.#book.active];
    this.#state.happened = [...this.#book.happened];
    await this.#options.commit(this.#state);
    this.#committed = this.#options.now();
  }
}

/** Who shows a head, where it is no witness. No policy has this name for a witness: it is a word of policies. */
const LOG = 'log';
/** What an alarm about tiles is about. */
const TILES = 'tiles';
