/** Checks the signed heads of a log: each opens under one of the log's keys, stands under its size, and signs the root that was derived. */
import type { TreeHead } from '../../proofs/checkpoint.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import { equalBytes, toHex } from '../../tree/bytes.ts';
import { frontierRoot } from '../../tree/frontier.ts';
import type { TreeHash } from '../../tree/hash.ts';
import { checkTreeHeadSignature, openOwnCheckpoint } from '../own-signatures.ts';
import { headKey, headPrefix, refreshKey } from '../storage/keys.ts';
import { type HeadMark, parseHeadRow } from '../storage/rows.ts';
import { prefixRange, type Row } from '../storage/store.ts';
import { type Fault, fault, type Report } from './fault.ts';
import type { Reads } from './reads.ts';

/** What verifying a signature counts as, in bytes read: it takes about as long as reading and hashing so many. */
const SIGNATURE_WORK = 8192;

export interface HeadsOptions {
  readonly log: string;
  readonly keys: () => readonly VerifierKey[];
  readonly treeSize: number;
  readonly reads: Reads;
  readonly report: Report;
  /** Heads above the tree size are those of commits since, not damage. */
  readonly growing: boolean;
}

interface PendingHead extends TreeHead {
  readonly row: Row;
}

/** The heads of a log in the order of their sizes, beside a walk over its tree. */
export interface HeadsCheck {
  /** Tree size of the next head; infinity after the last. */
  next(): number;
  /** Compares the heads of that size with the root of this frontier, and reads on. */
  compare(frontier: readonly TreeHash[] | undefined): Promise<void>;
  /** Checks what stands beyond the tree, and that the newest head is the one that the edge names. */
  finish(mark: HeadMark | undefined): Promise<void>;
}

export async function makeHeadsCheck({
  log,
  keys,
  treeSize,
  reads,
  report,
  growing,
}: HeadsOptions): Promise<HeadsCheck> {
  const { gte, lt } = prefixRange(headPrefix(log), 1);
  const rows = reads.range({ gte, lt }, 256);
  const tell = (problem: Fault['problem'], rest: Partial<Fault>): void =>
    report(fault('head', problem, { log, ...rest }));
  let pending: PendingHead | undefined;
  /** Size of the newest first head; refreshes must follow one. */
  let first = -1;
  let newest: HeadMark | undefined;
  let hasZero = false;

  const advance = async (): Promise<void> => {
    pending = undefined;
    for (let next = await rows.next(); !next.done; next = await rows.next()) {
      const row = next.value;
      const place = placeOf(log, row.key);
      if (place === undefined) {
        tell('stray', { key: row.key, stored: 'a key of no form that heads have' });
        continue;
      }
      if (place.treeSize > treeSize) {
        if (!growing)
          tell('stray', {
            index: place.treeSize,
            key: row.key,
            stored: `a head of size ${place.treeSize}`,
            derived: `a tree of size ${treeSize}`,
          });
        continue;
      }
      hasZero ||= place.treeSize === 0;
      if (place.time === undefined) first = place.treeSize;
      else if (first !== place.treeSize)
        tell('missing', {
          index: place.treeSize,
          key: headKey(log, place.treeSize),
          derived: `the head that ${row.key} signs again`,
        });
      await reads.work(SIGNATURE_WORK);
      const head = open(row, place);
      if (head === undefined) continue;
      pending = head;
      return;
    }
  };
  const open = (row: Row, place: Place): PendingHead | undefined => {
    const { key: rowKey } = row;
    try {
      const { checkpoint, time, signature } = parseHeadRow(row.value);
      const own = keys();
      const head = openOwnCheckpoint(checkpoint, own);
      if (head.treeSize !== place.treeSize)
        throw new RangeError(`a checkpoint of size ${head.treeSize} under the key of another`);
      if (place.time !== undefined && place.time !== time)
        throw new RangeError(`the time ${time} under the key of another`);
      if (signature !== undefined) checkTreeHeadSignature(signature, { ...head, timestamp: time }, own);
      newest = { treeSize: head.treeSize, time };
      return { treeSize: head.treeSize, rootHash: head.rootHash, row };
    } catch (error) {
      newest = undefined;
      tell('malformed', { index: place.treeSize, key: rowKey, stored: (error as Error).message });
      return undefined;
    }
  };

  await advance();
  return {
    next: () => pending?.treeSize ?? Number.POSITIVE_INFINITY,
    compare: async (frontier) => {
      if (pending === undefined) return;
      const { row, rootHash } = pending;
      if (frontier !== undefined && !equalBytes(frontierRoot(frontier), rootHash))
        tell('differs', {
          index: pending.treeSize,
          key: row.key,
          stored: `root hash ${toHex(rootHash)}`,
          derived: toHex(frontierRoot(frontier)),
        });
      await advance();
    },
    finish: async (mark) => {
      while (pending !== undefined) await advance();
      if (!hasZero) tell('missing', { index: 0, key: headKey(log, 0), derived: 'the head that a log is made with' });
      if (mark === undefined || growing) return;
      if (newest?.treeSize === mark.treeSize && newest.time === mark.time) return;
      const [own, again] = [headKey(log, mark.treeSize), refreshKey(log, mark.treeSize, mark.time)];
      const found = await reads.getMany([own, again]);
      // What is there and wrong has been named already.
      if (found.every((row) => row === undefined))
        tell('missing', { index: mark.treeSize, key: own, derived: `the newest head, as the edge names it` });
      else if (newest !== undefined)
        tell('differs', {
          index: newest.treeSize,
          key: headKey(log, newest.treeSize),
          stored: `a newest head of size ${newest.treeSize} and time ${newest.time}`,
          derived: `size ${mark.treeSize} and time ${mark.time}, as the edge says`,
        });
    },
  };
}

interface Place {
  readonly treeSize: number;
  /** Of a refresh. */
  readonly time: number | undefined;
}

/** What the key of a head says; `undefined` for a key that no head has. */
function placeOf(log: string, key: string): Place | undefined {
  const match = /^([0-9]{16})(?:\/([0-9]{16}))?$/.exec(key.slice(headPrefix(log).length));
  if (match === null) return undefined;
  const treeSize = Number(match[1]);
  const time = match[2] === undefined ? undefined : Number(match[2]);
  return Number.isSafeInteger(treeSize) && (time === undefined || Number.isSafeInteger(time))
    ? { treeSize, time }
    : undefined;
}
