/**
 * The client of one events log. It believes nothing: leaves are rebuilt from its own bytes, proofs and signatures are verified, and
 * every checkpoint is compared with the newest one it remembers. What a method returns has been checked as its comment says.
 */
import { type Checkpoint, openCheckpoint, type TreeHead } from '../proofs/checkpoint.ts';
import { NoteError, ProofError } from '../proofs/error.ts';
import { verifyInclusion } from '../proofs/inclusion.ts';
import { parseVerifierKey, type VerifierKey } from '../proofs/key.ts';
import { parseHeader } from '../proofs/leaf.ts';
import type { Policy } from '../proofs/policy.ts';
import { verifyTreeHeadSignature } from '../proofs/tree-head-signature.ts';
import { equalBytes, toBase64 } from '../tree/bytes.ts';
import { asLeafHash, type LeafHash, type TreeHash } from '../tree/hash.ts';
import { appendBody, isRepeatable } from './append-body.ts';
import {
  checkPlaces,
  type LoggedEntry,
  openEventReply,
  openHead,
  openSigned,
  type ProvenEntry,
  rebuild,
} from './check-reply.ts';
import { ClientError } from './error.ts';
import { parseRotationsReply, provenSuccessor } from './follow-rotation.ts';
import { readObject } from './json.ts';
import { checkHead, knownHead, proveConsistent } from './known-head.ts';
import { type HeadMemory, inMemoryHeads } from './memory.ts';
import {
  type Ack,
  type AppendReplyEntry,
  type LogInfo,
  parseAppendReply,
  parseConsistencyReply,
  parseEntryLine,
  parseInclusionReply,
  parseLogInfo,
  parseTreeHeadReply,
} from './replies.ts';
import { Transport, type TransportOptions } from './transport.ts';

export interface LogClientOptions extends TransportOptions {
  /**
   * Verifier key of the log, as text, from the operator by a safe way. It is pinned for the URL in the memory, in place of
   * what was pinned before.
   */
  readonly verifierKey?: string | undefined;
  /** Default: one that forgets everything when the process ends. */
  readonly memory?: HeadMemory | undefined;
  /** Whether a log of which no key is known may tell its key itself, once; it is pinned then. Default true. */
  readonly trustOnFirstUse?: boolean | undefined;
  /** Witnesses of which a quorum must have cosigned every head that is relied on; NoteError `quorum_not_met` otherwise. Default: nobody. */
  readonly policy?: Policy | undefined;
}

export interface AppendOptions {
  /** Level to wait for. `durable` comes without a signature. Default: the server's, durable. */
  readonly ack?: Ack | undefined;
  /** JSON pointer (RFC 6901) to the id in each event that makes it exactly-once, such as `/id`. */
  readonly idPointer?: string | undefined;
  /**
   * 1 to 256 visible ASCII characters, new for each append, that make it exactly-once as a whole: repeated with the same events, it
   * gives the same entries. Not with `idPointer`, nor on a log that has one of its own.
   */
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An entry that was just appended, or had been before (`replayed`). */
export interface AppendedEntry extends LoggedEntry {
  readonly replayed: boolean;
  /** Inclusion proof under the checkpoint of the result, verified. */
  readonly proof?: readonly TreeHash[];
}

export interface AppendResult {
  /** The level that was reached, which may be less than what was asked for. */
  readonly ack: Ack;
  /** In the order of the events. */
  readonly entries: readonly AppendedEntry[];
  /** There if the level is signed. */
  readonly checkpoint?: Checkpoint;
}

export interface EntriesOptions {
  /** First leaf index. Default 0. */
  readonly from?: number | undefined;
  /** Most entries. Default: all that the log gives. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Advance {
  /** The head that was remembered before. */
  readonly from: Checkpoint | undefined;
  /** The newest head, which is remembered now. */
  readonly to: Checkpoint;
}

/** An inclusion proof that was verified against a root hash that is signed, or proven consistent with a signed one. */
export interface ProvenInclusion extends TreeHead {
  readonly leafIndex: number;
  readonly leafHash: LeafHash;
  readonly proof: readonly TreeHash[];
}

/** Most entries that are asked for at once; a server gives no more. */
const PAGE = 1000;

interface Signal {
  readonly signal?: AbortSignal | undefined;
}

export class LogClient {
  readonly #transport: Transport;
  readonly #memory: HeadMemory;
  readonly #given: VerifierKey | undefined;
  readonly #trustOnFirstUse: boolean;
  readonly #policy: Policy | undefined;
  /** ID of the API key, which headers must name. */
  readonly #keyId: string | undefined;
  #key: VerifierKey | undefined;

  /** Throws ClientError `bad_argument`, and NoteError on a verifier key that is none. Sends nothing. */
  constructor(options: LogClientOptions) {
    this.#transport = new Transport(options);
    this.#memory = options.memory ?? inMemoryHeads();
    this.#given = options.verifierKey === undefined ? undefined : parseVerifierKey(options.verifierKey);
    this.#trustOnFirstUse = options.trustOnFirstUse ?? true;
    this.#policy = options.policy;
    this.#keyId = /^ind_([0-9a-f]{16})_[0-9a-f]{64}$/.exec(options.key ?? '')?.[1];
  }

  /** Base URL of the log, without a slash at the end. */
  get url(): string {
    return this.#transport.url;
  }

  /**
   * The key that everything is verified with: the given one, else the pinned one, else, once, what the server says, which is
   * pinned then. Throws ClientError `unpinned`, `bad_reply` and those of a request; NoteError on a key that is none.
   */
  async verifierKey({ signal }: Signal = {}): Promise<VerifierKey> {
    if (this.#key !== undefined) return this.#key;
    const pinned = await this.#memory.readPin(this.url);
    let key = this.#given;
    if (key === undefined) {
      if (pinned === undefined && !this.#trustOnFirstUse)
        throw new ClientError('unpinned', `no verifier key is known for ${this.url}`);
      key = parseVerifierKey(pinned ?? (await this.#statedKey(signal)));
    }
    if (key.text !== pinned) await this.#memory.writePin(this.url, key.text);
    this.#key = key;
    return key;
  }

  /**
   * Moves the pin along the log's rotations of its key, each proven from the key before: a statement by both keys, in an entry of the server
   * itself, under a head by the pinned key that goes together with the remembered one. Returns the key that is pinned now. With `ended` only as
   * far as the server says that the old key has stopped signing. Throws ClientError, NoteError, ProofError; the pin is where it was then.
   */
  async followRotations({ ended = true, signal }: Signal & { readonly ended?: boolean } = {}): Promise<VerifierKey> {
    let key = await this.verifierKey({ signal });
    const policy = this.#policy;
    for (const rotation of parseRotationsReply(await this.#answer('rotations', signal))) {
      if (rotation.oldKey !== key.text || (ended && !rotation.ended)) continue;
      const recorder = await this.#memory.readPin(this.url.replace(/[^/]*$/, '_system'));
      const next = provenSuccessor(
        { key, policy },
        rotation,
        recorder === undefined ? undefined : parseVerifierKey(recorder),
      );
      const head = openSigned(rotation.proven?.head ?? '', key, policy);
      // Not below what is remembered under the old key: under the new one nothing is remembered yet that a smaller tree would contradict.
      const known = await knownHead(this.#memory, key);
      await this.#check(head, key, signal, known?.treeSize);
      // Both keys have signed this head: under the new one it is remembered too, unless more is known of that from before.
      await this.#check(openCheckpoint(head.note, next), next, signal);
      await this.#memory.writePin(this.url, next.text);
      this.#key = next;
      key = next;
    }
    return key;
  }

  /** Does something with the pinned key; where the answer is by nobody known, the log may have a new one, and it is done again with that. */
  async #following<T>(signal: AbortSignal | undefined, work: (key: VerifierKey) => Promise<T>): Promise<T> {
    const key = await this.verifierKey({ signal });
    try {
      return await work(key);
    } catch (error) {
      if (!(error instanceof NoteError && error.code === 'unknown_signer')) throw error;
      const next = await this.followRotations({ signal }).catch((cause: unknown) => {
        // A log that tells of no rotation, or of none that can be followed, has only answered with a wrong signature.
        const says = cause instanceof ClientError ? cause.code : '';
        throw cause instanceof ClientError && (cause.status === 404 || says === 'bad_reply' || says === 'unpinned')
          ? error
          : cause;
      });
      if (next.text === key.text) throw error;
      return await work(next);
    }
  }

  async #statedKey(signal: AbortSignal | undefined): Promise<string> {
    const info = await this.info({ signal });
    if (parseVerifierKey(info.verifierKey).name !== info.origin)
      throw new ClientError('bad_reply', 'the verifier key is not one of this origin');
    return info.verifierKey;
  }

  /** What the server says about the log. Not verified. Throws ClientError. */
  async info({ signal }: Signal = {}): Promise<LogInfo> {
    return parseLogInfo(readObject(await this.#transport.request({ path: '', signal }), 'the answer'));
  }

  /**
   * Appends events, all or none, and rebuilds the leaf of each from the event as it was sent. With level signed, the checkpoint
   * and every inclusion proof are verified too; witnessed is reported where the quorum of this client's own policy was verified.
   * Failures that pass are retried: all of them under an idempotency key and where every event has an id at `idPointer`, otherwise
   * only if the server says that it stored nothing.
   * Throws ClientError (`outcome_unknown` where nobody knows whether it was stored), ProofError, NoteError.
   */
  async append(given: readonly Uint8Array[], options: AppendOptions = {}): Promise<AppendResult> {
    const { ack, idPointer, idempotencyKey, signal } = options;
    const { events, contentType, body } = appendBody(given);
    if (idempotencyKey !== undefined && !/^[!-~]{1,256}$/.test(idempotencyKey))
      throw new ClientError('bad_argument', 'an idempotency key has 1 to 256 visible ASCII characters');
    // Before anything is stored: without a key no answer could be checked.
    const key = await this.verifierKey({ signal });
    const reply = parseAppendReply(
      await this.#transport.request({
        method: 'POST',
        path: 'events',
        query: { id_pointer: idPointer, ack },
        body,
        contentType,
        idempotencyKey,
        repeatable: () => isRepeatable(events, options),
        signal,
      }),
    );
    if (reply.entries.length !== events.length)
      throw new ClientError('bad_reply', `${events.length} events were sent, the answer has ${reply.entries.length}`);
    const entries = reply.entries.map((stated, i) => {
      const entry = rebuild({ ...stated, event: events[i] as Uint8Array }, key.name);
      this.#checkHeader(stated, i, options);
      return { ...entry, replayed: stated.replayed, ...(stated.proof === undefined ? {} : { proof: stated.proof }) };
    });
    checkPlaces(entries);
    if (reply.head === undefined) return { ack: reply.ack, entries };
    // A durable entry is not lost because its head lacks cosignatures: the level says what was verified.
    const witnessed = reply.ack === 'witnessed' && this.#policy !== undefined;
    const { head } = reply;
    const { checkpoint, signedBy } = await this.#following(signal, async (signedBy) => ({
      checkpoint: openHead(head, signedBy, witnessed ? this.#policy : undefined),
      signedBy,
    }));
    for (const { leafHash, leafIndex, proof = [] } of entries)
      verifyInclusion({ leafHash, leafIndex, treeSize: checkpoint.treeSize, rootHash: checkpoint.rootHash, proof });
    await this.#check(checkpoint, signedBy, signal);
    return { ack: witnessed ? 'witnessed' : 'signed', entries, checkpoint };
  }

  /** A header is committed for ever, so it must not lay a new entry at somebody else's door. */
  #checkHeader({ header, replayed }: AppendReplyEntry, i: number, { idPointer, idempotencyKey }: AppendOptions): void {
    const { by, id_pointer, idempotency_key, n } = parseHeader(header);
    if (idempotencyKey !== undefined && (idempotency_key !== idempotencyKey || n !== i))
      throw new ProofError('bad_header', 'the header does not name the idempotency key and the place in the request');
    if (replayed) return;
    if (this.#keyId !== undefined && by !== this.#keyId)
      throw new ProofError('bad_header', `the header says that the entry is by ${by}, not by ${this.#keyId}`);
    if (idPointer !== undefined && id_pointer !== undefined && id_pointer !== idPointer)
      throw new ProofError('bad_header', 'the header names another id pointer');
  }

  /**
   * One entry, proven to be in the log: leaf rebuilt, inclusion proof and checkpoint verified, checkpoint compared with the remembered one.
   * Throws ClientError (`missing_entries` where the log denies an entry of a tree that it signed), ProofError, NoteError.
   */
  async event(leafIndex: number, { signal }: Signal = {}): Promise<ProvenEntry> {
    checkIndex('leaf index', leafIndex);
    const key = await this.verifierKey({ signal });
    const known = await knownHead(this.#memory, key);
    const reply = await this.#answer(`events/${leafIndex}`, signal).catch((error: unknown) => {
      if (known !== undefined && leafIndex < known.treeSize && isDenial(error))
        throw new ClientError(
          'missing_entries',
          `the log denies leaf index ${leafIndex}, and has signed a tree of ${known.treeSize}`,
          { cause: error },
        );
      throw error;
    });
    return await this.#following(signal, async (signedBy) => {
      const proven = openEventReply(reply, signedBy, this.#policy);
      if (proven.leafIndex !== leafIndex)
        throw new ClientError('bad_reply', `leaf index ${leafIndex} was asked for, the answer is ${proven.leafIndex}`);
      await this.#check(proven.checkpoint, signedBy, signal);
      return proven;
    });
  }

  /**
   * Entries in the order of the log, read in pages. The leaf of each is rebuilt and no leaf index left out; that they are in the
   * tree is proven by `event`, or for all of them by `auditLog`. Throws ClientError, ProofError.
   */
  async *entries({ from = 0, limit, signal }: EntriesOptions = {}): AsyncGenerator<LoggedEntry, void, undefined> {
    checkIndex('first leaf index', from);
    const key = await this.verifierKey({ signal });
    let next = from;
    const end = limit === undefined ? Number.POSITIVE_INFINITY : from + limit;
    while (next < end) {
      const first = next;
      const query = { from: first, limit: Math.min(PAGE, end - first) };
      try {
        for await (const line of this.#transport.lines({ path: 'events', query, signal })) {
          const entry = parseEntryLine(line);
          if (entry.leafIndex !== next)
            throw new ClientError('bad_reply', `leaf index ${next} should follow, not ${entry.leafIndex}`);
          if (next === end) throw new ClientError('bad_reply', 'the log gives more entries than were asked for');
          yield rebuild(entry, key.name);
          next++;
        }
      } catch (error) {
        // A connection that broke in the middle: go on where it stopped. Without progress the tries are used up already.
        if (!(error instanceof ClientError && error.code === 'unreachable' && next > first)) throw error;
        continue;
      }
      if (next === first) return;
    }
  }

  /**
   * Takes the newest checkpoint: verified, proven to have grown from the remembered one, and remembered.
   * Throws ClientError (`rollback`, `split_view`, `inconsistent` …), NoteError.
   */
  async advance({ signal }: Signal = {}): Promise<Advance> {
    const { from, to } = await this.#newest(signal, async (key) =>
      openSigned(await this.#answer('checkpoint', signal), key, this.#policy),
    );
    return { from, to };
  }

  /** The newest checkpoint, taken as `advance` does. */
  async checkpoint(options: Signal = {}): Promise<Checkpoint> {
    return (await this.advance(options)).to;
  }

  /**
   * The newest checkpoint by way of the log's tree head, taken as `advance` does, and the time that the server states for it, in
   * milliseconds since the Unix epoch. Where there is a `signature` (RFC 6962), it was verified, and the time is signed; else it is not.
   */
  async treeHead({ signal }: Signal = {}): Promise<{
    readonly checkpoint: Checkpoint;
    readonly timestamp: number;
    readonly signature: Uint8Array | undefined;
  }> {
    let timestamp = 0;
    let signature: Uint8Array | undefined;
    const { to } = await this.#newest(signal, async (key) => {
      const reply = parseTreeHeadReply(await this.#answer('tree-head', signal));
      const checkpoint = openHead(reply, key, this.#policy);
      if (reply.origin !== checkpoint.origin || !equalBytes(reply.rootHash, checkpoint.rootHash))
        throw new ClientError('bad_reply', 'the tree head says something else than its checkpoint');
      ({ timestamp, signature } = reply);
      if (signature !== undefined) verifyTreeHeadSignature(signature, { ...checkpoint, timestamp }, key);
      return checkpoint;
    });
    return { checkpoint: to, timestamp, signature };
  }

  /**
   * The inclusion proof of a leaf, by leaf index or leaf hash, at a tree size or at the newest. Where that size has no signed head of
   * its own, its root hash is first proven consistent with the newest one. Throws ClientError, ProofError, NoteError.
   */
  async inclusion(
    leaf: { readonly leafIndex: number } | { readonly leafHash: Uint8Array },
    { treeSize, signal }: Signal & { readonly treeSize?: number | undefined } = {},
  ): Promise<ProvenInclusion> {
    const asked = 'leafIndex' in leaf ? { index: leaf.leafIndex } : { leaf_hash: toBase64(leaf.leafHash) };
    const query = { ...asked, tree_size: treeSize };
    const reply = parseInclusionReply(await this.#transport.request({ path: 'proofs/inclusion', query, signal }));
    const { leafIndex, rootHash, proof } = reply;
    const leafHash = asLeafHash(reply.leafHash);
    const isOther = 'leafIndex' in leaf ? leafIndex !== leaf.leafIndex : !equalBytes(leafHash, leaf.leafHash);
    if (isOther || (treeSize !== undefined && reply.treeSize !== treeSize))
      throw new ClientError('bad_reply', 'the inclusion proof is for another leaf or tree size');
    verifyInclusion({ leafHash, leafIndex, treeSize: reply.treeSize, rootHash, proof });
    await this.#checkRoot(reply, reply.checkpoint, signal);
    return { leafIndex, leafHash, treeSize: reply.treeSize, rootHash, proof };
  }

  /** Makes sure that a stated root hash is signed, or the beginning of a tree that is. */
  async #checkRoot(head: TreeHead, note: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    if (note === undefined) {
      await this.consistency(head, await this.checkpoint({ signal }), { signal });
      return;
    }
    await this.#following(signal, async (key) => {
      const checkpoint = openHead({ treeSize: head.treeSize, checkpoint: note }, key, this.#policy);
      if (!equalBytes(checkpoint.rootHash, head.rootHash))
        throw new ClientError('bad_reply', 'the root hash is not that of the checkpoint');
      await this.#check(checkpoint, key, signal);
    });
  }

  /**
   * The consistency proof between two heads, verified. The roots are the caller's: take them from checkpoints.
   * Throws ClientError, ProofError.
   */
  async consistency(first: TreeHead, second: TreeHead, { signal }: Signal = {}): Promise<TreeHash[]> {
    return await proveConsistent(first, second, (from, to) => this.#askConsistency(from, to, signal));
  }

  async #askConsistency(first: number, second: number, signal: AbortSignal | undefined): Promise<TreeHash[]> {
    const query = { first, second };
    const reply = await this.#transport.request({ path: 'proofs/consistency', query, signal });
    return parseConsistencyReply(reply, first, second);
  }

  /** Whatever is remembered before the newest head is asked for, that head must not be below it. */
  async #newest(signal: AbortSignal | undefined, take: (key: VerifierKey) => Promise<Checkpoint>): Promise<Advance> {
    return await this.#following(signal, async (key) => {
      const from = await knownHead(this.#memory, key);
      const to = await take(key);
      await this.#check(to, key, signal, from?.treeSize);
      return { from, to };
    });
  }

  async #check(
    checkpoint: Checkpoint,
    key: VerifierKey,
    signal: AbortSignal | undefined,
    floor?: number,
  ): Promise<void> {
    const ask = (first: number, second: number) => this.#askConsistency(first, second, signal);
    await checkHead({ checkpoint, key, memory: this.#memory, ask, floor });
  }

  async #answer(path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
    return await this.#transport.request({ path, signal });
  }
}

function isDenial(error: unknown): boolean {
  return error instanceof ClientError && error.status === 404 && error.problem?.code === 'no_such_entry';
}

function checkIndex(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new ClientError('bad_argument', `a ${name} is an integer from 0 to 2^53 - 1`);
}
