/**
 * kill -9 of a witness under load, again and again on one directory, while dishonest logs try to get two trees cosigned. The oracle is
 * kept on the clients' side: each cosignature with its head and time, in the order in which it was asked for and given.
 *
 * Two trees share their first leaves. From the moment a head beyond these is cosigned, nothing of the other tree may ever be, before
 * or after a kill; and no answer may speak of an older head than one that a client held before it asked.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointWith } from '../../proofs/checkpoint.ts';
import { cosignatureTime } from '../../proofs/cosignature.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import { type NoteSignature, openNote } from '../../proofs/note.ts';
import { verifyQuickly } from '../../server/own-signatures.ts';
import { equalBytes, parseDecimal } from '../../tree/bytes.ts';
import { seededRandom } from '../support/random.ts';
import { WitnessProcess } from '../support/spawn-witness.ts';
import { logsFile, WitnessedLog } from '../support/witnessed-log.ts';
import { pause } from './expected.ts';

export interface WitnessKillRun {
  /** Folder for the witness's directory and the file of the logs. */
  readonly folder: string;
  readonly cycles: number;
  readonly seed: number;
  readonly build?: string;
  readonly progress?: (done: number) => void;
}

export interface WitnessKillReport {
  readonly cycles: number;
  readonly cosigned: number;
  readonly conflicts: number;
  readonly refused: number;
  readonly violations: readonly string[];
}

const LOGS = 3;
const CLIENTS = 6;
/** Leaves of each tree: more than a cycle can use up, for a log that is at its end has nothing to be caught with. */
const SIZE = 400;

/** Leaves that both trees have. */
const FORK = 8;

/** One log of one key with two trees, and all that its clients know. */
class TwoTrees {
  readonly trees: readonly [WitnessedLog, WitnessedLog];
  /** Largest size that was cosigned, and the time of the last cosignature. */
  size = 0;
  time = 0;
  /** The size that a 409 named: of a head whose cosignature nobody got, perhaps. */
  hint = 0;
  /** Which tree was cosigned beyond the fork. */
  tree: number | undefined;

  constructor(number: number) {
    // A key each, of those that are witnessed at the same time.
    const seed = 1 + (number % 250);
    const log = new WitnessedLog(`example.com/logs/${number}`, SIZE, { seed });
    this.trees = [log, log.forked(FORK, seed)];
  }

  /** What is wrong with a cosignature of a head, given what was known when it was asked for. */
  cosigned(asked: Known, tree: number, treeSize: number, time: number): string | undefined {
    if (treeSize < asked.size) return `size ${treeSize} was cosigned after ${asked.size}`;
    if (time < asked.time) return `time ${time} was given after ${asked.time}`;
    if (treeSize > FORK) {
      if (this.tree !== undefined && this.tree !== tree) return `two trees were cosigned, of size ${treeSize}`;
      this.tree = tree;
    }
    this.size = Math.max(this.size, treeSize);
    this.time = Math.max(this.time, time);
    return undefined;
  }

  /** What is wrong with the head that monitors are shown, given the size that was known when it was asked for. */
  shown(note: string, witness: VerifierKey, size: number): string | undefined {
    const [log] = this.trees;
    try {
      const { checkpoint, others } = openCheckpointWith(note, log.key, [witness], verifyQuickly);
      const { treeSize, rootHash } = checkpoint;
      if (others.length === 0) return `a checkpoint of size ${treeSize} without a cosignature`;
      if (treeSize < size) return `a checkpoint of size ${treeSize}, after ${size} was cosigned`;
      const tree = this.trees.findIndex((one) => treeSize <= SIZE && equalBytes(one.head(treeSize).rootHash, rootHash));
      if (tree < 0) return `a checkpoint of size ${treeSize} of a tree that nobody has`;
      if (treeSize <= FORK) return undefined;
      // Perhaps of a cosignature that nobody got: it counts as much as the others.
      if (this.tree !== undefined && this.tree !== tree) return `two trees were cosigned, one is shown at ${treeSize}`;
      this.tree = tree;
      return undefined;
    } catch (error) {
      return `a checkpoint that does not verify (${String(error)}): ${note}`;
    }
  }
}

/** The size in the body of a 409: a decimal number, which is a safe integer, and a newline. */
function sizeOf(text: string): number | undefined {
  try {
    return text.endsWith('\n') ? parseDecimal(text.slice(0, -1)) : undefined;
  } catch {
    return undefined;
  }
}

/** The line by the witness under a head; or, as a text, why there is none. */
function cosignatureOf(note: string, key: VerifierKey): NoteSignature | string {
  try {
    return openNote(note, [key], verifyQuickly).signatures[0] as NoteSignature;
  } catch (error) {
    return `a cosignature that does not verify (${String(error)}): ${note}`;
  }
}

interface Known {
  readonly size: number;
  readonly time: number;
}

export async function witnessKillRun(options: WitnessKillRun): Promise<WitnessKillReport> {
  const { folder, cycles, seed, build, progress } = options;
  const random = seededRandom(seed);
  const violations: string[] = [];
  const seen = { cosigned: 0, conflicts: 0, refused: 0 };
  const policy = join(folder, 'logs.txt');
  const logs: TwoTrees[] = [];
  let done = 0;
  let answers = 0;

  const start = (): Promise<WitnessProcess> =>
    WitnessProcess.start({
      dataDir: join(folder, 'witness'),
      policy,
      name: 'witness.example.com/kill',
      ...(build === undefined ? {} : { build }),
    });

  /** One request, and what its answer says against the witness. */
  const ask = async (witness: WitnessProcess, key: VerifierKey, log: TwoTrees): Promise<string | undefined> => {
    const tree = log.tree !== undefined && random() < 0.8 ? log.tree : random() < 0.5 ? 0 : 1;
    const known = { size: log.size, time: log.time };
    const newest = Math.max(known.size, log.hint);
    const oldSize = random() < 0.9 ? newest : Math.floor(random() * (newest + 1));
    const treeSize = Math.min(SIZE, oldSize + Math.floor(random() * 4));
    const from = log.trees[tree] as WitnessedLog;
    const reply = await witness.add(from.body(oldSize, treeSize));
    const text = await reply.text();
    if (reply.status === 409) {
      seen.conflicts++;
      const size = sizeOf(text);
      if (size === undefined) return `409 with ${JSON.stringify(text)}, which is no size`;
      log.hint = size;
      return size < known.size ? `409 with ${size}, after size ${known.size} was cosigned` : undefined;
    }
    if (reply.status === 422) {
      seen.refused++;
      return undefined;
    }
    if (reply.status !== 200) return `status ${reply.status}: ${text}`;
    seen.cosigned++;
    const line = cosignatureOf(from.checkpoint(treeSize) + text, key);
    return typeof line === 'string' ? line : log.cosigned(known, tree, treeSize, cosignatureTime(line.signature));
  };

  /** The heads that monitors are shown are cosigned, of the tree that they must be of, and not older than what was cosigned. */
  const look = async (witness: WitnessProcess, log: TwoTrees): Promise<string | undefined> => {
    const { size } = log;
    const reply = await witness.get(`${log.trees[0].hash}/checkpoint`);
    const text = await reply.text();
    if (reply.status === 404) return size > 0 ? `no checkpoint, after size ${size} was cosigned` : undefined;
    return reply.status === 200 ? log.shown(text, witness.key, size) : `a checkpoint: status ${reply.status}: ${text}`;
  };

  let witness: WitnessProcess | undefined;
  for (let cycle = 0; cycle < cycles && violations.length === 0; cycle++) {
    // New logs from time to time, so that there is always one whose trees are both open.
    if (cycle % 4 === 0) for (let i = 0; i < LOGS; i++) logs.push(new TwoTrees(logs.length));
    const current = logs.slice(-2 * LOGS);
    writeFileSync(policy, logsFile(...current.map(({ trees }) => trees[0])));
    witness = await start();
    if (witness.url === '') {
      violations.push(`cycle ${cycle}: it did not start: ${witness.stderr.trim()}`);
      break;
    }
    const running = witness;
    const { key } = running;
    for (const log of current) {
      const fault = await look(running, log);
      if (fault !== undefined) violations.push(`cycle ${cycle}: ${fault}`);
    }
    let killed = false;
    const client = async (): Promise<void> => {
      while (!killed && violations.length === 0) {
        const log = current[Math.floor(random() * current.length)] as TwoTrees;
        try {
          const fault = await (random() < 0.9 ? ask(running, key, log) : look(running, log));
          answers++;
          if (fault !== undefined) violations.push(`cycle ${cycle}: ${fault}`);
        } catch (error) {
          // A request whose answer never came may have been cosigned or not: nobody has the cosignature.
          if (!killed) violations.push(`cycle ${cycle}: ${String((error as Error).cause ?? error)}`);
        }
      }
    };
    const clients = Array.from({ length: CLIENTS }, client);
    // By answers and not by time, for how many come in a time depends on the machine.
    const enough = answers + 1 + Math.floor(random() * 60);
    while (answers < enough && violations.length === 0 && running.child.exitCode === null)
      await pause(2 + random() * 6);
    killed = true;
    const { code, signal } = await running.stop('SIGKILL');
    await Promise.all(clients);
    if (signal !== 'SIGKILL')
      violations.push(`cycle ${cycle}: it stopped by itself (${code ?? signal}): ${running.stderr.trim()}`);
    done++;
    progress?.(done);
  }
  if (witness?.child.exitCode === null && witness.child.signalCode === null) await witness.stop('SIGKILL');
  return { cycles: done, ...seen, violations };
}
