/** The witness itself: what it remembers, its times, races, evidence, and what a failed write does. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { openNote } from '../../../proofs/note.ts';
import { ServerError } from '../../../server/errors.ts';
import { replaceWhole } from '../../../server/files.ts';
import { toBase64 } from '../../../tree/bytes.ts';
import { START_OF_TESTS, settle } from '../../support/manual-clock.ts';
import { seededRandom } from '../../support/random.ts';
import { WitnessedLog } from '../../support/witnessed-log.ts';
import { closeWitnesses, OpenWitness } from './open-witness.ts';

const log = new WitnessedLog('example.com/logs/main');
const forked = log.forked(3);
const other = new WitnessedLog('example.com/logs/other', 64, { seed: 2 });
afterEach(closeWitnesses);

/** Seconds at the start of a test. */
const START = START_OF_TESTS / 1e6;

describe('what is cosigned', () => {
  test('extensions, and what is known is asked back after a restart', async () => {
    const opened = await OpenWitness.of([log, other]);
    expect(opened.witness.firstStart).toBe(true);
    expect(await opened.ask(log.request(0, 5))).toBe(START);
    expect(await opened.ask(other.request(0, 1))).toBe(START);
    expect(await opened.ask(log.request(5, 8))).toBe(START);
    const key = opened.witness.verifierKey.text;
    await opened.restart();
    expect([opened.witness.firstStart, opened.witness.verifierKey.text]).toEqual([false, key]);
    expect(await opened.ask(log.request(5, 9))).toBe('conflict 8');
    expect(await opened.ask(other.request(0, 9))).toBe('conflict 1');
    expect(await opened.ask(log.request(8, 64))).toBe(START);
  });

  test('the whole note is kept: the log’s signature and ours, and no stranger’s', async () => {
    const opened = await OpenWitness.of([log]);
    expect(opened.witness.checkpoint(log.hash)).toBeUndefined();
    const stranger = new WitnessedLog('stranger.example', 1, { seed: 7 });
    const [text, lines] = log.checkpoint(5).split('\n\n') as [string, string];
    const [, foreign] = stranger.sign(`${text}\n`).split('\n\n') as [string, string];
    await opened.ask({ ...log.request(0, 5), checkpoint: `${text}\n\n${lines}${foreign}` });
    const note = opened.witness.checkpoint(log.hash) as string;
    const keys = [log.key, opened.witness.verifierKey];
    expect(openNote(note, keys)).toMatchObject({
      text: `${text}\n`,
      signatures: keys.map(({ name, keyId }) => ({ name, keyId })),
      unverified: [],
    });
    await opened.restart();
    expect(opened.witness.checkpoint(log.hash)).toBe(note);
  });

  test('with two keys of one log, lines by either', async () => {
    const next = log.forked(64, 5);
    const opened = await OpenWitness.of([log, next]);
    expect(opened.witness.logs).toBe(1);
    expect(await opened.ask(log.request(0, 5))).toBe(START);
    expect(await opened.ask(next.request(5, 6))).toBe(START);
    opened.witness.watch([next.asPolicyLog]);
    expect(await opened.ask(log.request(6, 7))).toBe('not_signed_by_log');
    expect(await opened.ask(next.request(6, 7))).toBe(START);
  });

  test('other logs can be watched, and what was cosigned of those that are gone is remembered', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 5));
    opened.witness.watch([other.asPolicyLog]);
    expect(await opened.ask(log.request(5, 6))).toBe('unknown_origin');
    expect(await opened.ask(other.request(0, 6))).toBe(START);
    expect(opened.witness.checkpoint(log.hash)).toContain(log.origin);
    opened.witness.watch([log.asPolicyLog]);
    expect(await opened.ask(log.request(0, 6))).toBe('conflict 5');
    expect(await opened.ask(other.request(6, 7))).toBe('unknown_origin');
  });
});

describe('times', () => {
  test('a refresh is signed anew with the time of the moment, and kept', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 5));
    opened.clock.advance(10_000);
    expect(await opened.ask(log.request(5, 5))).toBe(START + 10);
    const note = opened.witness.checkpoint(log.hash) as string;
    expect(opened.time(note, `${note.trimEnd().split('\n').at(-1)}\n`)).toBe(START + 10);
  });

  test('repeated within a second, the answer is the same and nothing is written', async () => {
    const opened = await OpenWitness.of([log]);
    let writes = 0;
    opened.replace = (path, bytes) => {
      writes++;
      return replaceWhole(path, bytes);
    };
    const first = await opened.witness.addCheckpoint(log.request(0, 5));
    opened.clock.advance(900);
    for (let i = 0; i < 5; i++) expect(await opened.witness.addCheckpoint(log.request(5, 5))).toEqual(first);
    expect(writes).toBe(1);
    opened.clock.advance(100);
    expect(await opened.ask(log.request(5, 5))).toBe(START + 1);
    expect(writes).toBe(2);
  });

  test('never go back, whatever the clock does, also over restarts', async () => {
    const opened = await OpenWitness.of([log, other]);
    opened.clock.advance(100_000);
    expect(await opened.ask(log.request(0, 5))).toBe(START + 100);
    opened.clock.step(-3600e3);
    expect(await opened.ask(log.request(5, 6))).toBe(START + 100);
    await opened.restart();
    expect(opened.clockAlarms).toContain('backward_step');
    expect(await opened.ask(log.request(6, 7))).toBe(START + 100);
    opened.clock.advance(5000);
    expect(await opened.ask(log.request(7, 8))).toBe(START + 105);
  });

  test('a clock of 1970 gives no time 0', async () => {
    const opened = await OpenWitness.of([log]);
    opened.clock.step(-START * 1000);
    await opened.restart();
    expect(opened.clock.wallMicros()).toBe(0);
    expect(await opened.ask(log.request(0, 5))).toBe(1);
  });

  test('a clock that jumps too far stops it, until somebody says that it is right', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 5));
    opened.clock.step(48 * 3600e3);
    expect(await opened.ask(log.request(5, 6))).toBe('clock_unsafe');
    expect([opened.witness.clockUnsafe, opened.clockAlarms]).toEqual([true, ['unsafe']]);
    opened.witness.acceptClock();
    expect(await opened.ask(log.request(5, 6))).toBe(START + 48 * 3600);
    opened.clock.step(48 * 3600e3);
    await opened.restart();
    // A start has nothing to compare it with but the last cosignature, and witnesses may be off for long.
    expect(await opened.ask(log.request(6, 7))).toBe(START + 96 * 3600);
  });
});

describe('races', () => {
  test('of two good extensions of one head, one is cosigned and the other learns the new size', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 1));
    let size = 1;
    for (let seed = 0; seed < 60 && size < 62; seed++) {
      const random = seededRandom(seed);
      // The disk takes its time, and not always the same.
      opened.replace = async (path, bytes) => {
        await settle(Math.floor(random() * 4));
        await replaceWhole(path, bytes);
        await settle(Math.floor(random() * 4));
      };
      const [a, b] = random() < 0.5 ? [1, 2] : [2, 1];
      const first = opened.ask(log.request(size, size + a));
      await settle(Math.floor(random() * 3));
      const second = opened.ask(log.request(size, size + b));
      const answers = await Promise.all([first, second]);
      expect([seed, answers.filter((answer) => typeof answer === 'number').length]).toEqual([seed, 1]);
      const taken = typeof answers[0] === 'number' ? size + a : size + b;
      expect([seed, answers.find((answer) => typeof answer === 'string')]).toEqual([seed, `conflict ${taken}`]);
      size = taken;
    }
  });

  test('of two trees, only one is ever cosigned', async () => {
    for (let seed = 0; seed < 25; seed++) {
      const random = seededRandom(seed);
      const opened = await OpenWitness.of([log]);
      opened.replace = async (path, bytes) => {
        await settle(Math.floor(random() * 4));
        await replaceWhole(path, bytes);
      };
      await opened.ask(log.request(0, 3));
      const asked = Array.from({ length: 8 }, () => {
        const tree = random() < 0.5 ? log : forked;
        return { tree, size: 4 + Math.floor(random() * 8) };
      });
      const answers = await Promise.all(asked.map(({ tree, size }) => opened.ask(tree.request(3, size))));
      const good = asked.filter((_, i) => typeof answers[i] === 'number');
      // The same head twice is a refresh of nobody: `old` is 3 in all of them.
      expect([seed, good.length]).toEqual([seed, 1]);
      const [{ tree, size }] = good as [(typeof asked)[number]];
      const wrong = tree === log ? forked : log;
      expect([seed, await opened.ask(wrong.request(size, size + 1))]).toEqual([seed, 'inconsistent_checkpoint']);
      expect([seed, await opened.ask(tree.request(size, size + 1))]).toEqual([seed, START]);
    }
  }, 120_000);

  test('a log that waits for its disk keeps no other log waiting, and too many of them are told to come back', async () => {
    const opened = await OpenWitness.of([log, other]);
    let release: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    opened.replace = async (path, bytes) => {
      if (path.endsWith(log.hash)) await gate;
      await replaceWhole(path, bytes);
    };
    const waiting = Array.from({ length: 256 }, () => opened.ask(log.request(0, 5)));
    await settle();
    expect(await opened.ask(log.request(0, 5))).toBe('pushback');
    expect(await opened.ask(other.request(0, 5))).toBe('pushback');
    release();
    const answers = await Promise.all(waiting);
    expect(answers.filter((answer) => answer === START)).toHaveLength(1);
    expect(answers.filter((answer) => answer === 'conflict 5')).toHaveLength(255);
    expect(await opened.ask(other.request(0, 5))).toBe(START);
  });
});

describe('evidence', () => {
  test('two roots of one size are kept, whatever the request is answered', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 5));
    expect(await opened.ask({ ...forked.request(5, 5) })).toBe('inconsistent_checkpoint');
    expect(await opened.ask(forked.request(3, 5))).toBe('conflict 5');
    expect(opened.findings).toEqual([
      { kind: 'split_view', kept: 'new' },
      { kind: 'split_view', kept: 'known' },
    ]);
    const [only, ...more] = opened.evidence();
    expect(more).toEqual([]);
    expect(only).toMatchObject({ kind: 'split_view', origin: log.origin, old_size: 5, proof: [] });
    const { cosigned, received } = only as { cosigned: string; received: string };
    for (const [note, tree] of [
      [cosigned, log],
      [received, forked],
    ] as const)
      expect(openNote(note, [log.key]).text).toBe(`${tree.checkpoint(5).split('\n\n')[0]}\n`);
    expect(opened.witness.counts.findings).toEqual({ split_view: 2, impossible: 0, unproven: 0 });
    expect(opened.witness.counts.cosigned).toBe(1);
    // And it goes on with the tree that it knows.
    expect(await opened.ask(log.request(5, 6))).toBe(START);
  });

  test('a head that does not follow is kept with the proof that failed', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 5));
    expect(await opened.ask(forked.request(5, 8))).toBe('inconsistent_checkpoint');
    expect(opened.findings).toEqual([{ kind: 'unproven', kept: 'new' }]);
    expect(opened.evidence()).toMatchObject([
      { kind: 'unproven', old_size: 5, proof: forked.proof(5, 8).map(toBase64) },
    ]);
  });

  test('what proves nothing is none: conflicts, older heads, forged ones, hashes from 0', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask({ ...log.request(0, 5), proof: log.proof(3, 5) });
    await opened.ask(log.request(0, 5));
    await opened.ask(log.request(3, 8));
    await opened.ask(log.request(0, 3));
    await opened.ask({ ...log.request(5, 5), proof: log.proof(3, 5) });
    await opened.ask({ ...log.request(5, 5), checkpoint: new WitnessedLog(log.origin, 8, { seed: 4 }).checkpoint(5) });
    expect([opened.findings, opened.evidence()]).toEqual([[], []]);
  });

  test('an empty tree with another root', async () => {
    const opened = await OpenWitness.of([log]);
    const checkpoint = log.sign(`${log.origin}\n0\n${toBase64(new Uint8Array(32))}\n`);
    expect(await opened.ask({ oldSize: 0, proof: [], checkpoint })).toBe('inconsistent_checkpoint');
    expect(opened.evidence()).toMatchObject([{ kind: 'impossible', cosigned: null, received: checkpoint }]);
  });

  test('there is a bound for each kind and log, also over restarts, so that no proof is crowded out', async () => {
    const opened = await OpenWitness.of([log, other]);
    await opened.ask(log.request(0, 4));
    await opened.ask(other.request(0, 4));
    for (let size = 5; size < 40; size++) await opened.ask(forked.request(4, size));
    expect(opened.evidence()).toHaveLength(16);
    await opened.restart();
    await opened.ask(forked.request(4, 41));
    expect(opened.findings.at(-1)).toEqual({ kind: 'unproven', kept: 'full' });
    await opened.ask(forked.request(4, 4));
    await opened.ask(other.forked(3, 2).request(4, 9));
    expect(opened.findings.slice(-2)).toEqual([
      { kind: 'split_view', kept: 'new' },
      { kind: 'unproven', kept: 'new' },
    ]);
    expect(opened.evidence()).toHaveLength(18);
  });

  test('that cannot be written stops nothing', async () => {
    const troubles: unknown[] = [];
    const opened = await OpenWitness.of([log], { observer: { onEvidenceTrouble: (error) => troubles.push(error) } });
    await opened.ask(log.request(0, 5));
    rmSync(join(opened.path, 'evidence'), { recursive: true });
    expect(await opened.ask(forked.request(5, 5))).toBe('inconsistent_checkpoint');
    expect(troubles).toMatchObject([{ code: 'ENOENT' }]);
    expect(await opened.ask(log.request(5, 6))).toBe(START);
  });
});

describe('a write that fails', () => {
  const failing = (code: string) => async (): Promise<never> => {
    throw Object.assign(new Error(code), { code });
  };

  test.each(['ENOSPC', 'EIO', 'EROFS'])(
    '%s: nothing is cosigned, then or later, and the process has to end',
    async (code) => {
      const opened = await OpenWitness.of([log, other]);
      await opened.ask(log.request(0, 5));
      opened.replace = failing(code);
      expect(await opened.ask(log.request(5, 6))).toBe('outcome_unknown');
      expect(opened.fatal).toEqual([expect.objectContaining({ code: 'outcome_unknown' })]);
      expect((opened.fatal[0] as Error).message).toContain(`cannot keep the newest head of ${log.origin}`);
      opened.replace = replaceWhole;
      expect(await opened.ask(log.request(5, 6))).toBe('outcome_unknown');
      expect(await opened.ask(other.request(0, 6))).toBe('outcome_unknown');
      expect(opened.witness.checkpoint(log.hash)).toContain('\n5\n');
      await opened.restart();
      expect(await opened.ask(log.request(5, 6))).toBe(START);
    },
  );

  test('after the new file was in place: the next start knows the new head, and nobody has its cosignature', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 5));
    opened.replace = async (path, bytes) => {
      await replaceWhole(path, bytes);
      throw new Error('the directory could not be synced');
    };
    expect(await opened.ask(log.request(5, 6))).toBe('outcome_unknown');
    await opened.restart();
    expect(await opened.ask(log.request(5, 7))).toBe('conflict 6');
    // It is in the file, and the start has seen to its name.
    expect(await opened.ask(log.request(6, 6))).toBe(START);
  });

  test('somebody else who writes there is noticed before the next head', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 5));
    const file = join(opened.path, 'origins', log.hash);
    const old = readFileSync(file);
    await opened.ask(log.request(5, 6));
    writeFileSync(file, old);
    expect(await opened.ask(log.request(6, 7))).toBe('outcome_unknown');
    expect(String(opened.fatal[0])).toContain('somebody else writes into this directory');
  });

  test('no room: 507, and nothing has happened', async () => {
    let full = true;
    const taken: number[] = [];
    const room = {
      take: (bytes: number): void => {
        if (full) throw new ServerError('storage_full', 'planted');
        taken.push(bytes);
      },
      release: (bytes: number): void => void taken.push(-bytes),
    };
    const opened = await OpenWitness.of([log], { room });
    expect(await opened.ask(log.request(0, 5))).toBe('storage_full');
    full = false;
    expect(await opened.ask(log.request(0, 5))).toBe(START);
    expect(taken.reduce((sum, bytes) => sum + bytes, 0)).toBe(0);
    expect([taken.length, opened.fatal]).toEqual([2, []]);
  });
});

describe('files', () => {
  test('leave nothing behind, neither after a success nor after a failure', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 5));
    await opened.ask(log.request(5, 6));
    expect(readdirSync(join(opened.path, 'origins'))).toEqual([log.hash]);
    await expect(replaceWhole(join(opened.path, 'nowhere', 'x'), Uint8Array.of(1))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    await expect(replaceWhole(join(opened.path, 'origins'), Uint8Array.of(1))).rejects.toThrow();
    expect(readdirSync(opened.path).sort()).toEqual(['evidence', 'key', 'origins']);
  });

  test('what an interrupted write has left is removed at a start', async () => {
    const opened = await OpenWitness.of([log]);
    await opened.ask(log.request(0, 5));
    const left = join(opened.path, 'origins', `${log.hash}.tmp-0123456789ab`);
    writeFileSync(left, 'half a h');
    await opened.restart();
    expect(existsSync(left)).toBe(false);
    expect(await opened.ask(log.request(5, 6))).toBe(START);
  });
});

describe('closing', () => {
  test('lets a turn end, and takes no other', async () => {
    const opened = await OpenWitness.of([log]);
    let release: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    opened.replace = async (path, bytes) => {
      await gate;
      await replaceWhole(path, bytes);
    };
    const turn = opened.ask(log.request(0, 5));
    await settle();
    const closed = opened.witness.close();
    expect(await opened.ask(log.request(0, 6))).toBe('shutting_down');
    release();
    expect(await turn).toBe(START);
    await closed;
    await opened.open();
    expect(await opened.ask(log.request(0, 6))).toBe('conflict 5');
  });
});
