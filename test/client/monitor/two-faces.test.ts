/**
 * A log that shows two clients two trees under one key: one to the witness, another to the monitor. Both trees grow, both are served whole, tiles
 * and entries and proofs; nothing that either client sees alone is wrong.
 */
import { describe, expect, test } from '@jest/globals';
import { equalBytes } from '../../../tree/bytes.ts';
import { FakeLog } from '../fake-log.ts';
import { fork, TestWitness, Watched } from './watched.ts';

const INTERVAL = 60_000;

/** The log: who asks decides what there is. */
class TwoFaces {
  readonly honest: FakeLog;
  /** What the monitor is shown; the same log until `split`. */
  other: FakeLog;

  constructor(size: number) {
    this.honest = new FakeLog().fill(size);
    this.other = this.honest;
  }

  /** From now on the monitor is shown another last entry, and what follows it. */
  split(): void {
    const { length } = this.honest.entries;
    this.other = fork(this.honest, length, length, () => new FakeLog());
    this.other.add('{"id":"only-for-the-monitor"}', '/id');
    this.honest.add('{"id":"only-for-the-witness"}', '/id');
  }

  grow(by: number): void {
    for (const log of new Set([this.honest, this.other])) log.fill(log.entries.length + by);
  }
}

describe('a log that shows two clients different trees', () => {
  test.each([
    [0, 0],
    [1, 0],
    [6, 0],
    [6, 1],
    [255, 3],
    [256, 3],
    [511, 300],
  ])('after %d entries, with %d more in the first interval, is caught within one', async (size, more) => {
    const log = new TwoFaces(size);
    const witness = new TestWitness('w1', 50);
    const watched = new Watched(log.other, [witness]);
    /** The witness looks a moment before the monitor does. */
    const look = async () => {
      const seconds = Math.floor((watched.now + INTERVAL) / 1000);
      witness.shown = witness.cosign(log.honest.checkpoint(), seconds);
      watched.log = log.other;
      // A cheat has the cosignature that it needs, by a second witness that looks away.
      watched.log.tamperText = ({ path }, text) => (path === 'checkpoint' ? witness.cosign(text, seconds) : text);
      return await watched.look(INTERVAL);
    };
    for (let i = 0; i < 3; i++) {
      log.grow(2);
      expect((await look()).told).toEqual([]);
    }
    log.split();
    log.grow(more);
    expect((await look()).told.filter((told) => told.includes('split_view'))).toHaveLength(1);
    const { first, second } = watched.provenFraud();
    expect(first.treeSize).toBe(size + 7 + more);
    expect(equalBytes(first.rootHash, second.rootHash)).toBe(false);
  });

  test('of two sizes is caught as well: the witness lags behind the fork, then holds a head that does not fit', async () => {
    const log = new TwoFaces(10);
    const witness = new TestWitness('w1', 50);
    const watched = new Watched(log.other, [witness]);
    const look = async (shown: string) => {
      witness.shown = shown;
      watched.log = log.other;
      watched.log.tamperText = ({ path }, text) => (path === 'checkpoint' ? witness.cosign(text) : text);
      return (await watched.look(1000)).told;
    };
    const before = witness.cosign(log.honest.checkpoint());
    expect(await look(before)).toEqual([]);
    log.split();
    log.grow(5);
    // It has seen nothing of the fork yet: there is nothing to be found.
    expect(await look(before)).toEqual([]);
    expect(await look(witness.cosign(log.honest.checkpoint(13)))).toEqual(['raised split_view w1']);
    expect(watched.provenFraud()).toMatchObject({ first: { treeSize: 13 }, second: { treeSize: 16 } });
  });
});
