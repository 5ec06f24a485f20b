/**
 * RFC 6962 signatures of published heads: made when first asked for, at most one a head, stored before anyone sees it.
 *
 * The signed timestamp is the head's own time: when the publisher signed its checkpoint. That is later than the head before and
 * than every entry under this one, so timestamps strictly increase whoever asks and whenever. Made again after a crash, the
 * signature would have the same bytes. How often there can be a new one is the publisher's schedule, never a matter of clients.
 */
import { signTreeHead } from '../proofs/tree-head-signature.ts';
import type { EntryClock } from './clock.ts';
import { ServerError } from './errors.ts';
import type { Log, Published } from './log.ts';
import type { Sequencer } from './sequencer.ts';
import { headKey, refreshKey } from './storage/keys.ts';
import { encodeHeadRow } from './storage/rows.ts';
import type { Store } from './storage/store.ts';

/** A published head with its RFC 6962 signature. */
export interface SignedHead extends Published {
  readonly signature: Uint8Array;
}

export interface TreeHeadSignerOptions {
  readonly store: Store;
  readonly sequencer: Sequencer;
  readonly clock: EntryClock;
}

export class TreeHeadSigner {
  readonly #options: TreeHeadSignerOptions;
  readonly #making = new Map<Log, Promise<SignedHead>>();

  constructor(options: TreeHeadSignerOptions) {
    this.#options = options;
  }

  /**
   * The newest published head with its signature. Whoever asks while it is being made waits for the same one.
   * Rejects with ServerError `clock_unsafe` while nothing may be signed and this head has no signature yet, and with
   * `shutting_down` and `outcome_unknown` as every commit does.
   */
  async newest(log: Log): Promise<SignedHead> {
    const { published } = log;
    const { signature } = published;
    if (signature !== undefined) return { ...published, signature };
    // Whoever joins here has seen no newer head than the one that is being made: it is the newest when its commit is done.
    let making = this.#making.get(log);
    if (making === undefined) {
      making = this.#store(log).finally(() => this.#making.delete(log));
      this.#making.set(log, making);
    }
    return making;
  }

  async #store(log: Log): Promise<SignedHead> {
    const { store, sequencer, clock } = this.#options;
    for (;;) {
      const head = log.published;
      if (head.signature !== undefined) return { ...head, signature: head.signature };
      if (clock.unsafe) {
        throw new ServerError(
          'clock_unsafe',
          'the clock of the server jumped too far; no tree head is signed until that is settled',
        );
      }
      const { treeSize, rootHash, time } = head;
      const { signer } = log;
      const signed = { ...head, signature: signTreeHead({ timestamp: time, treeSize, rootHash }, signer) };
      const refreshed = refreshKey(log.name, treeSize, time);
      const key = (await store.get(refreshed)) === undefined ? headKey(log.name, treeSize) : refreshed;
      const stored = await sequencer.change((transaction) => {
        // A newer head may be in the same commit, and may have deleted this row: it must not come back.
        const newest = transaction.newestHead(log);
        if (newest.treeSize !== treeSize || newest.time !== time) return false;
        // The log goes on under another key.
        if (transaction.definitionOf(log).verifierKey !== signer.verifierKey.text) return false;
        // Crash after the commit: the row is read back with its signature. Before it: nobody has seen it, and the next one is equal.
        transaction.put(key, encodeHeadRow(signed));
        transaction.whenDone(() => {
          log.published = signed;
        });
        return true;
      });
      if (stored) return signed;
    }
  }
}
