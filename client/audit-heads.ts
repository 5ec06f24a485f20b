/**
 * The audit of a period: every head that a log has signed in it, the chain between them, and every entry that came in meanwhile. The result
 * is a report that says what was looked at as well as what was found.
 *
 *   newest checkpoint ◄── tiles ── last head ◄── entry bundles ── … ◄── first head ◄── tiles ── nothing
 */
import { type Checkpoint, openCheckpoint } from '../proofs/checkpoint.ts';
import { NoteError, ProofError } from '../proofs/error.ts';
import { type FraudProof, formatFraudProof } from '../proofs/fraud-proof.ts';
import type { VerifierKey, Verify } from '../proofs/key.ts';
import { MAX_NOTE_SIZE } from '../proofs/note.ts';
import { holdsQuorum, type Policy } from '../proofs/policy.ts';
import { verifyTreeHeadSignature } from '../proofs/tree-head-signature.ts';
import { openCosigned } from '../proofs/witnessed.ts';
import { equalBytes, toBase64 } from '../tree/bytes.ts';
import { frontierRoot } from '../tree/frontier.ts';
import type { TreeHash } from '../tree/hash.ts';
import { ClientError } from './error.ts';
import { readObject } from './json.ts';
import { findContradiction } from './monitor/contradiction.ts';
import { GrowingTree } from './monitor/grow.ts';
import { parseLogInfo, parseTreeHeadsReply, type StatedTreeHead } from './replies.ts';
import type { Transport } from './transport.ts';
import { type LeafRun, NodeReader, readLeaves } from './tree-reader.ts';

/** One end of a period: a tree size, or a time in milliseconds since the Unix epoch. */
export type PeriodEnd = { readonly treeSize: number } | { readonly time: number };

export interface AuditHeadsOptions {
  readonly transport: Transport;
  readonly key: VerifierKey;
  /** The quorum that every head must have. */
  readonly policy?: Policy | undefined;
  /** Both ends belong to the period. Default: from the first head to the newest. */
  readonly from?: PeriodEnd | undefined;
  readonly to?: PeriodEnd | undefined;
  readonly verify?: Verify | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Heads done so far, and the size of the newest of them. */
  readonly onProgress?: ((heads: number, treeSize: number) => void) | undefined;
}

export type AuditProblemCode =
  /** A head that is not signed as it should be, or says something else than what stands beside it. */
  | 'bad_head'
  /** The list of heads is not in order. */
  | 'bad_order'
  /** The quorum has not cosigned. */
  | 'quorum_not_met'
  /** The entries make another root hash than the head has. */
  | 'root_mismatch'
  /** Two heads that no single tree can have; the report holds the fraud proof. */
  | 'split_view'
  | 'missing_entries'
  | 'unparsable_entry'
  | 'received_at_decreased';

export interface AuditProblem {
  readonly code: AuditProblemCode;
  /** Of the head that it is about; of an entry its leaf index + 1. */
  readonly treeSize: number;
  readonly message: string;
}

export interface AuditedHead {
  readonly treeSize: number;
  readonly rootHash: TreeHash;
  /** In milliseconds; `timeSigned` where the log's RFC 6962 signature covers it, else it is only what the log says. */
  readonly time: number;
  readonly timeSigned: boolean;
}

export interface AuditReport {
  readonly origin: string;
  readonly first: AuditedHead;
  readonly last: AuditedHead;
  /** The newest head of the log, with which the period ends up. */
  readonly newest: Checkpoint;
  readonly heads: number;
  /** Heads that the policy's quorum has cosigned; undefined without a policy. */
  readonly cosigned: number | undefined;
  /** Entries that were read, from the first head on: those between the first head and the last, if there was no problem. */
  readonly entries: number;
  /** receivedAt of the first and the last of them in microseconds; undefined for none, and for raw logs. */
  readonly received: { readonly first: number; readonly last: number } | undefined;
  /** Longest time between two heads of the period, in milliseconds. */
  readonly longestGap: number;
  /** The first 100. */
  readonly problems: readonly AuditProblem[];
  readonly problemCount: number;
  /** Fraud proofs as texts, at most 8. */
  readonly frauds: readonly string[];
}

const PAGE = 500;
const MAX_PROBLEMS = 100;
const MAX_FRAUDS = 8;

/**
 * Audits a period of a log. What is wrong with the log stands in the report. Throws where there is nothing to report on: ClientError
 * `bad_argument` for a period without heads, ClientError where the log cannot be asked or answers in another shape, NoteError where its
 * newest head is not signed.
 */
export async function auditHeads(options: AuditHeadsOptions): Promise<AuditReport> {
  const { transport, key, from, to, verify, signal, onProgress } = options;
  const note = await transport.request({ path: 'checkpoint', maxReplySize: MAX_NOTE_SIZE, signal });
  const newest = openCheckpoint(note, key, verify);
  const audit = new Audit(options, newest);
  const start =
    from === undefined ? 0 : 'treeSize' in from ? from.treeSize : await findSize(options, from.time, newest);
  for (let next: number | undefined = start; next !== undefined; ) {
    const page = await askHeads(options, next, PAGE);
    if (page.next !== undefined && page.next <= next)
      throw new ClientError('bad_reply', 'the list of heads does not go on');
    next = page.next;
    for (const stated of page.heads) {
      if (isAfter(stated, to)) {
        next = undefined;
        break;
      }
      await audit.take(stated);
      onProgress?.(audit.heads, stated.treeSize);
    }
  }
  return await audit.finish();
}

function isAfter(head: StatedTreeHead, end: PeriodEnd | undefined): boolean {
  if (end === undefined) return false;
  return 'treeSize' in end ? head.treeSize > end.treeSize : head.timestamp > end.time;
}

async function askHeads({ transport, signal }: AuditHeadsOptions, from: number, limit: number) {
  return parseTreeHeadsReply(await transport.request({ path: 'tree-heads', query: { from, limit }, signal }));
}

/** Size of the first head that is not older than a time: later heads are larger. */
async function findSize(options: AuditHeadsOptions, time: number, newest: Checkpoint): Promise<number> {
  let low = 0;
  let high = newest.treeSize + 1;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const { heads } = await askHeads(options, middle, 1);
    const [head] = heads;
    if (head === undefined || head.timestamp >= time) high = middle;
    else low = Math.max(middle, head.treeSize) + 1;
  }
  return low;
}

/** One audit under way: it is given the heads in their order. */
class Audit {
  readonly #options: AuditHeadsOptions;
  readonly #newest: Checkpoint;
  readonly #problems: AuditProblem[] = [];
  readonly #frauds: string[] = [];
  #problemCount = 0;
  #cosigned = 0;
  #first: AuditedHead | undefined;
  #last: AuditedHead | undefined;
  #lastHead: Checkpoint | undefined;
  #longestGap = 0;
  #tree: GrowingTree | undefined;
  #leaves: AsyncGenerator<LeafRun, void, undefined> | undefined;
  #run: LeafRun | undefined;
  /** Size from which on entries were read. */
  #begun: number | undefined;
  /** False once entries could not be read: what follows is not held against the log twice. */
  #isReading = true;
  heads = 0;

  constructor(options: AuditHeadsOptions, newest: Checkpoint) {
    this.#options = options;
    this.#newest = newest;
  }

  async take(stated: StatedTreeHead): Promise<void> {
    this.heads++;
    const head = this.#open(stated);
    if (this.#last !== undefined) {
      if (stated.treeSize <= this.#last.treeSize)
        this.#found('bad_order', stated.treeSize, `it follows the head of size ${this.#last.treeSize}`);
      if (stated.timestamp < this.#last.time)
        this.#found('bad_order', stated.treeSize, `it is older than the head of size ${this.#last.treeSize}`);
      this.#longestGap = Math.max(this.#longestGap, stated.timestamp - this.#last.time);
    }
    if (head === undefined) return;
    const { treeSize, rootHash } = head;
    if (this.#lastHead?.treeSize === treeSize && !equalBytes(this.#lastHead.rootHash, rootHash))
      this.#keep({ first: this.#lastHead.note, second: head.note }, treeSize, treeSize);
    const audited = { treeSize, rootHash, time: stated.timestamp, timeSigned: stated.signature !== undefined };
    const isNext = this.#last === undefined || treeSize > this.#last.treeSize;
    this.#first ??= audited;
    this.#last = audited;
    this.#lastHead = head;
    if (isNext) await this.#rebuild(head);
  }

  /** Compares the last head with the newest one, and says what was found. Throws ClientError `bad_argument` where there was no head. */
  async finish(): Promise<AuditReport> {
    await this.#leaves?.return();
    const { policy, key } = this.#options;
    if (this.#first === undefined || this.#last === undefined) {
      const [problem] = this.#problems;
      if (problem !== undefined) throw new NoteError('invalid_signature', problem.message);
      throw new ClientError('bad_argument', 'the log lists no signed head in this period');
    }
    if (this.#lastHead !== undefined) await this.#compareWithNewest(this.#lastHead);
    const { firstReceivedAt, receivedAt = 0, size = 0 } = this.#tree ?? {};
    return {
      origin: key.name,
      first: this.#first,
      last: this.#last,
      newest: this.#newest,
      heads: this.heads,
      cosigned: policy === undefined ? undefined : this.#cosigned,
      entries: size - (this.#begun ?? size),
      received: firstReceivedAt === undefined ? undefined : { first: firstReceivedAt, last: receivedAt },
      longestGap: this.#longestGap,
      problems: this.#problems,
      problemCount: this.#problemCount,
      frauds: this.#frauds,
    };
  }

  #found(code: AuditProblemCode, treeSize: number, message: string): void {
    this.#problemCount++;
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push({ code, treeSize, message });
  }

  /** The head, if the log has signed it. */
  #open(stated: StatedTreeHead): Checkpoint | undefined {
    const { key, policy, verify } = this.#options;
    const { treeSize, rootHash, checkpoint, signature, timestamp, origin } = stated;
    try {
      const head = openCheckpoint(checkpoint, key, verify);
      if (head.treeSize !== treeSize || !equalBytes(head.rootHash, rootHash) || origin !== head.origin) {
        this.#found('bad_head', treeSize, 'the checkpoint says something else than what stands beside it');
        return undefined;
      }
      if (signature !== undefined) verifyTreeHeadSignature(signature, { treeSize, rootHash, timestamp }, key, verify);
      if (policy !== undefined) this.#judgeQuorum(head, policy);
      return head;
    } catch (error) {
      if (!(error instanceof NoteError || error instanceof ProofError)) throw error;
      this.#found('bad_head', treeSize, `${error.code}: ${error.message}`);
      return undefined;
    }
  }

  #judgeQuorum(head: Checkpoint, policy: Policy): void {
    const { key, verify } = this.#options;
    let reason: string;
    try {
      const { cosignatures } = openCosigned(head.note, key, policy, verify);
      const signed = new Set(cosignatures.map(({ witness }) => witness));
      if (holdsQuorum(policy, (witness) => signed.has(witness))) {
        this.#cosigned++;
        return;
      }
      const missing = policy.witnesses.filter((witness) => !signed.has(witness)).map(({ name }) => name);
      reason = `it is not cosigned by ${missing.join(', ')}`;
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
      reason = error.message;
    }
    this.#found('quorum_not_met', head.treeSize, reason);
  }

  /** Reads the entries up to a head and compares the root hash. */
  async #rebuild(head: Checkpoint): Promise<void> {
    if (!this.#isReading) return;
    try {
      const tree = this.#tree ?? (await this.#begin(head));
      while (tree.size < head.treeSize) {
        this.#run ??= await this.#nextRun();
        if (this.#run === undefined)
          throw new ClientError('missing_entries', `the newest head has ${this.#newest.treeSize} entries only`);
        tree.take(this.#run, head.treeSize);
        if (tree.size >= this.#run.first + this.#run.count) this.#run = undefined;
      }
      if (equalBytes(tree.root(), head.rootHash)) return;
      this.#found(
        'root_mismatch',
        head.treeSize,
        `the entries make the root hash ${toBase64(tree.root())}, signed is ${toBase64(head.rootHash)}`,
      );
      await this.#explain(head);
    } catch (error) {
      // Before the first entry, the next head may be a better beginning.
      this.#isReading = this.#tree === undefined;
      this.#cannotRead(error, head.treeSize);
    }
  }

  /** The tree of the first head, from its tiles: their fold must be the root hash that is signed. */
  async #begin(head: Checkpoint): Promise<GrowingTree> {
    const { transport, signal } = this.#options;
    const { treeSize } = this.#newest;
    const reader = new NodeReader({ transport, treeSize, signal });
    const frontier = await reader.frontier(head.treeSize);
    if (!equalBytes(frontierRoot(frontier), head.rootHash)) {
      await this.#explain(head);
      throw new ProofError('root_mismatch', 'the tiles do not make the root hash of the first head of the period');
    }
    const kind = await this.#askKind();
    this.#tree = new GrowingTree(
      { size: head.treeSize, frontier, receivedAt: 0 },
      kind,
      ({ code, leafIndex, message }) => this.#found(code, leafIndex + 1, message),
    );
    this.#leaves = readLeaves({ transport, treeSize, from: head.treeSize, signal });
    this.#begun = head.treeSize;
    return this.#tree;
  }

  async #nextRun(): Promise<LeafRun | undefined> {
    const next = await this.#leaves?.next();
    return next === undefined || next.done === true ? undefined : next.value;
  }

  async #askKind(): Promise<'events' | 'raw'> {
    const { transport, signal } = this.#options;
    return parseLogInfo(readObject(await transport.request({ path: '', signal }), 'the answer')).kind;
  }

  /** A head that the entries do not make: whether it contradicts the newest one can be proven by its tiles. */
  async #explain(head: Checkpoint): Promise<void> {
    const { transport, signal } = this.#options;
    if (head.treeSize > this.#newest.treeSize || this.#frauds.length >= MAX_FRAUDS) return;
    const reader = new NodeReader({ transport, treeSize: this.#newest.treeSize, signal });
    const fraud = await findContradiction(head, this.#newest, reader);
    if (fraud !== undefined) this.#keep(fraud, head.treeSize, this.#newest.treeSize);
  }

  #keep(fraud: FraudProof, treeSize: number, other: number): void {
    const text = formatFraudProof(fraud);
    if (this.#frauds.includes(text)) return;
    this.#found('split_view', treeSize, `it contradicts a head of size ${other}: the fraud proof is in the report`);
    if (this.#frauds.length < MAX_FRAUDS) this.#frauds.push(text);
  }

  async #compareWithNewest(head: Checkpoint): Promise<void> {
    const { transport, signal } = this.#options;
    if (head.treeSize > this.#newest.treeSize) {
      this.#found(
        'bad_order',
        head.treeSize,
        `it is larger than the newest head, which has ${this.#newest.treeSize} entries`,
      );
      return;
    }
    try {
      const reader = new NodeReader({ transport, treeSize: this.#newest.treeSize, signal });
      const fraud = await findContradiction(head, this.#newest, reader);
      if (fraud !== undefined) this.#keep(fraud, head.treeSize, this.#newest.treeSize);
    } catch (error) {
      this.#cannotRead(error, this.#newest.treeSize);
    }
  }

  /** What the log serves wrongly stands in the report; that it does not answer ends the audit. */
  #cannotRead(error: unknown, treeSize: number): void {
    this.#options.signal?.throwIfAborted();
    if (error instanceof ProofError) this.#found('root_mismatch', treeSize, error.message);
    else if (error instanceof ClientError && error.code === 'missing_entries')
      this.#found('missing_entries', treeSize, error.message);
    else if (error instanceof ClientError && error.code === 'bad_reply')
      this.#found('unparsable_entry', treeSize, error.message);
    else throw error;
  }
}
