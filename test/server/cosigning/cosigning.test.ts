import { describe, expect, test } from '@jest/globals';
import { originHash } from '../../../proofs/add-checkpoint.ts';
import { signCheckpoint } from '../../../proofs/checkpoint.ts';
import { parsePolicy } from '../../../proofs/policy.ts';
import { openWitnessed } from '../../../proofs/witnessed.ts';
import type { Contradiction } from '../../../server/cosigning/contradiction.ts';
import type { PublishRule, WitnessOptions } from '../../../server/cosigning/cosigning.ts';
import type { WitnessPolicy } from '../../../server/cosigning/policies.ts';
import type { WitnessReport } from '../../../server/cosigning/witnesses.ts';
import { ExitError } from '../../../server/errors.ts';
import type { Log } from '../../../server/log.ts';
import { headKey, withheldKey } from '../../../server/storage/keys.ts';
import { parseHeadRow } from '../../../server/storage/rows.ts';
import { asTreeHash } from '../../../tree/hash.ts';
import { FaultyGuard } from '../../support/faulty-guard.ts';
import { settle } from '../../support/manual-clock.ts';
import { networkOf, PlainWitness, reply } from '../../support/plain-witness.ts';
import { append, edited, firstStart, type Run, restart, type World } from '../memory-server.ts';

const INTERVAL = 1000;
const TIMEOUT = 5000;

/** Three witnesses, a policy of them for all logs, and a server that asks them. */
class Scene {
  readonly keys: Log['signer']['verifierKey'][] = [];
  readonly witnesses = ['w1', 'w2', 'w3'].map((name) => new PlainWitness(name, () => this.keys));
  readonly reports: WitnessReport[] = [];
  readonly contradictions: Contradiction[] = [];
  readonly policy: WitnessPolicy;
  readonly publish: PublishRule;
  run!: Run;

  constructor(threshold: string, publish: PublishRule = 'require-quorum') {
    const lines = this.witnesses.map((witness, i) => witness.policyLine(`w${i + 1}`)).join('');
    const group = threshold === 'none' ? 'quorum none\n' : `group g ${threshold} w1 w2 w3\nquorum g\n`;
    this.policy = parsePolicy(lines + group) as WitnessPolicy;
    this.publish = publish;
  }

  get w1(): PlainWitness {
    return this.witnesses[0] as PlainWitness;
  }

  get w2(): PlainWitness {
    return this.witnesses[1] as PlainWitness;
  }

  get options(): { witnesses: WitnessOptions; onWitness: (report: WitnessReport) => void } {
    return {
      witnesses: {
        policies: [this.policy],
        publish: this.publish,
        timeout: TIMEOUT,
        transport: networkOf(this.witnesses),
        keepEvidence: (contradiction) => {
          this.contradictions.push(contradiction);
          return 'a folder';
        },
      },
      onWitness: (report) => void this.reports.push(report),
    };
  }

  async first(): Promise<Run> {
    this.run = await firstStart(this.options);
    for (const log of this.run.server.logs()) this.keys.push(log.signer.verifierKey);
    return this.run;
  }

  async again(world: World, changed: Partial<World> = {}): Promise<Run> {
    this.run = await restart(world, changed, this.options);
    return this.run;
  }

  /** Signs what is due and lets the witnesses answer; time goes on by steps, as far as it is said. */
  async publish_(milliseconds = 300): Promise<void> {
    await this.run.server.publisher.publishDue();
    await this.pass(milliseconds);
  }

  async pass(milliseconds: number): Promise<void> {
    await settle();
    for (let passed = 0; passed < milliseconds; passed += 100) {
      this.run.clock.advance(100);
      await settle();
    }
  }

  outcomes(witness: string): string[] {
    return this.reports.filter((report) => report.witness === witness).map(({ outcome }) => outcome);
  }
}

/** A world in which `main` has so many entries under a cosigned head, and the scene that made it. */
async function grown(scene: Scene, entries: number): Promise<World> {
  const run = await scene.first();
  if (entries > 0) await append(run, run.main, entries);
  await scene.publish_();
  await run.server.close();
  return run.world;
}

const copyOf = (world: World): Partial<World> => edited(world, () => {});

const startError = async (run: Run, scene: Scene): Promise<unknown> => {
  const asking = run.server.askWitnesses().then(
    () => undefined,
    (error: unknown) => error,
  );
  await scene.pass(4 * TIMEOUT);
  return asking;
};

describe('a head and its witnesses', () => {
  test('is stored before a witness sees it, withheld until the quorum has signed, and published with the cosignatures', async () => {
    const scene = new Scene('2');
    const run = await scene.first();
    await append(run, run.main, 300);
    let stored: Uint8Array | undefined;
    scene.w1.answer = (method) => {
      if (method === 'POST' && stored === undefined)
        stored = run.world.rows.rows().find(([key]) => key === withheldKey('main'))?.[1];
      return undefined;
    };
    for (const witness of scene.witnesses.slice(1)) witness.away = true;
    await scene.publish_();
    expect(run.main.published.treeSize).toBe(0);
    expect(run.main.withheld?.treeSize).toBe(300);
    expect(parseHeadRow(stored as Uint8Array).checkpoint).toBe(run.main.withheld?.checkpoint);

    scene.w2.away = false;
    await scene.pass(TIMEOUT + 2 * INTERVAL);
    const { published, signer } = run.main;
    expect(published.treeSize).toBe(300);
    const opened = openWitnessed(published.checkpoint, signer.verifierKey, scene.policy);
    expect(opened.cosignatures.map(({ witness }) => witness.name)).toEqual(['w1', 'w2']);
    expect(parseHeadRow((await run.store.get(headKey('main', 300))) as Uint8Array).checkpoint).toBe(
      published.checkpoint,
    );
    expect(await run.store.get(withheldKey('main'))).toBeUndefined();
    expect(run.main.withheld).toBeUndefined();
  });

  test('grows by consistency proofs, and a witness that fell behind is caught up by its 409', async () => {
    const scene = new Scene('all');
    const run = await scene.first();
    for (const count of [1, 5, 300, 700]) {
      await append(run, run.main, count);
      await scene.publish_();
      expect(run.main.published.treeSize).toBe(run.main.state.treeSize);
    }
    const { name } = run.main.signer.verifierKey;
    for (const witness of scene.witnesses) expect(witness.held.get(name)?.treeSize).toBe(1006);
    expect(scene.outcomes('w1')).not.toContain('silent');
  });

  test('entries are appended while the witnesses are away, and heads are shown within two intervals of their return', async () => {
    const scene = new Scene('2');
    const run = await scene.first();
    run.server.start();
    for (const witness of scene.witnesses) witness.away = true;
    await append(run, run.main, 10);
    await scene.pass(20_000);
    await append(run, run.main, 10);
    expect(run.main.published.treeSize).toBe(0);
    expect(run.server.waitingForWitnesses.withheld).toBe(2);
    for (const witness of scene.witnesses) witness.away = false;
    // A question that was asked before has to run into its timeout first.
    await scene.pass(TIMEOUT + 2 * INTERVAL);
    expect(run.main.published.treeSize).toBe(20);
    expect(run.fatal).toEqual([]);
    const closing = run.server.close();
    await scene.pass(INTERVAL);
    await closing;
  });

  test('best-effort: shown with what came, be it nothing', async () => {
    const scene = new Scene('2', 'best-effort');
    const run = await scene.first();
    for (const witness of scene.witnesses) witness.away = true;
    await append(run, run.main, 3);
    await scene.publish_(TIMEOUT + 200);
    expect(run.main.published).toMatchObject({ treeSize: 3, witnessed: false });
    expect(run.main.published.checkpoint).not.toContain('witness.test');
    scene.w1.away = false;
    // For half an interval nobody tries one that could not be reached.
    await scene.pass(INTERVAL);
    await append(run, run.main, 3);
    await scene.publish_(TIMEOUT + INTERVAL);
    expect(run.main.published).toMatchObject({ treeSize: 6, witnessed: false });
    expect(run.main.published.checkpoint).toContain('witness.test/w1');
  });

  test('a witness that says 409 with 2^50 stops nothing, and is told of', async () => {
    const scene = new Scene('2');
    const run = await scene.first();
    scene.w1.answer = (method) =>
      method === 'POST' ? { ...reply(409, `${2 ** 50}\n`), contentType: 'text/x.tlog.size' } : reply(404);
    await append(run, run.main, 3);
    await scene.publish_();
    expect(run.main.published).toMatchObject({ treeSize: 3, witnessed: true });
    expect(scene.outcomes('w1')).toContain('larger_claim');
    expect(run.fatal).toEqual([]);
  });

  test.each([
    [
      'a size that changes all the time',
      (): ReturnType<typeof reply> => ({
        ...reply(409, `${Math.floor(Math.random() * 3)}\n`),
        contentType: 'text/x.tlog.size',
      }),
    ],
    ['409 without the content type', () => reply(409, '1\n')],
    [
      '409 with a parameter in the content type',
      () => ({ ...reply(409, '1\n'), contentType: 'text/x.tlog.size; charset=utf-8' }),
    ],
    ['409 with no size', () => ({ ...reply(409, 'five\n'), contentType: 'text/x.tlog.size' })],
    ['409 without a newline', () => ({ ...reply(409, '1'), contentType: 'text/x.tlog.size' })],
    ['200 with nothing', () => reply(200)],
    ['200 with no signature lines', () => reply(200, 'hello\n')],
    ['200 with a signature by somebody else', () => reply(200, '— somebody.test AAAAAAAAAAAAAAAAAAAA\n')],
    ['200 that is not UTF-8', () => ({ ...reply(200), body: Uint8Array.of(0xff, 0xfe) })],
    ['403', () => reply(403, 'no\r\nsuch\x07key')],
    ['500', () => reply(500)],
    ['302', () => reply(302)],
  ])('what counts as silence: %s', async (_, answer) => {
    const scene = new Scene('2');
    const run = await scene.first();
    scene.w1.answer = () => answer();
    await append(run, run.main, 3);
    await scene.publish_();
    expect(run.main.published).toMatchObject({ treeSize: 3, witnessed: true });
    expect(run.main.published.checkpoint).not.toContain('witness.test/w1');
    expect(scene.outcomes('w1')).toContain('silent');
    // A log line: nothing in it may steer a terminal.
    for (const { reason } of scene.reports) expect(reason).toMatch(/^[ -~]*$/);
    expect(run.fatal).toEqual([]);
  });

  test('a cosignature over another text, with time 0, or by the same name with another key does not count', async () => {
    const scene = new Scene('all');
    const run = await scene.first();
    await append(run, run.main, 3);
    const { signer } = scene.w1;
    const { name, keyId } = signer.verifierKey;
    const text = `${run.main.definition.origin}\n4\n${'A'.repeat(43)}=\n`;
    for (const signature of [signer.cosign(text, 1), new Uint8Array(72)]) {
      const id = Buffer.alloc(4);
      id.writeUInt32BE(keyId);
      const line = `— ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
      scene.w1.answer = (method) => (method === 'POST' ? reply(200, line) : undefined);
      await scene.publish_(INTERVAL + 200);
      expect(run.main.published.treeSize).toBe(0);
    }
    scene.w1.answer = undefined;
    await scene.pass(2 * INTERVAL);
    expect(run.main.published).toMatchObject({ treeSize: 3, witnessed: true });
  });

  test('a witness that shows a larger checkpoint of ours, or another tree, ends all signing; both heads are kept', async () => {
    for (const [treeSize, kind] of [
      [9, 'rollback'],
      [2, 'split_view'],
    ] as const) {
      const scene = new Scene('2');
      const run = await scene.first();
      await append(run, run.main, 3);
      const { origin } = run.main.definition;
      const rootHash = asTreeHash(new Uint8Array(32).fill(9));
      const note = signCheckpoint({ origin, treeSize, rootHash }, run.main.signer);
      scene.w1.held.set(origin, { treeSize, rootHash, note });
      scene.w1.answer = (method) =>
        method === 'POST'
          ? { ...reply(409, `${treeSize === 9 ? 9 : 2 ** 40}\n`), contentType: 'text/x.tlog.size' }
          : undefined;
      run.server.start();
      await scene.pass(2 * INTERVAL);
      expect(scene.contradictions).toMatchObject([{ kind, witness: 'w1', held: { treeSize, note } }]);
      expect(String(run.fatal[0])).toContain(kind === 'rollback' ? 'rollback:' : 'split view:');
      expect(run.main.published.treeSize).toBe(0);
      await expect(append(run, run.main, 1)).rejects.toMatchObject({ code: 'outcome_unknown' });
      const closing = run.server.close();
      await scene.pass(INTERVAL);
      await closing;
    }
  });

  test('an idle head is signed again, and cosigned again', async () => {
    const scene = new Scene('all');
    const run = await scene.first();
    await append(run, run.main, 3);
    await scene.publish_();
    const before = run.main.published;
    run.clock.advance(600_000);
    await scene.publish_();
    expect(run.main.published.time).toBeGreaterThan(before.time);
    expect(
      openWitnessed(run.main.published.checkpoint, run.main.signer.verifierKey, scene.policy).cosignatures,
    ).toHaveLength(3);
    await run.server.close();
    // Rows of both are where recovery looks for them.
    const again = await scene.again(run.world);
    expect(again.main.published.checkpoint).toBe(run.main.published.checkpoint);
  });

  test('whoever waits for a witnessed head gets it then, and not before', async () => {
    const scene = new Scene('3', 'best-effort');
    const run = await scene.first();
    scene.w1.away = true;
    await append(run, run.main, 3);
    let shown: boolean | undefined;
    const waiting = run.server.publisher.waitFor(run.main, 3, 60_000, { witnessed: true }).then((is) => {
      shown = is;
    });
    await scene.publish_(TIMEOUT + 200);
    expect(run.main.published.treeSize).toBe(3);
    expect(shown).toBeUndefined();
    scene.w1.away = false;
    await scene.pass(INTERVAL);
    await append(run, run.main, 1);
    await scene.publish_();
    await waiting;
    expect(shown).toBe(true);
  });

  test('a log that is deleted while a later signature is under way stays deleted', async () => {
    const scene = new Scene('all');
    const run = await scene.first();
    const log = await run.server.createLog({ name: 'l', kind: 'events', publicReads: true, idPointer: null }, 'x');
    scene.keys.push(log.signer.verifierKey);
    await append(run, log, 2);
    await run.server.freezeLog(log, 'x');
    await scene.publish_();
    expect(log.published.treeSize).toBe(3);
    scene.w1.away = true;
    // A frozen log is not signed again: put one under way by hand, as a crash would leave it.
    await run.server.sequencer.change((transaction) => {
      transaction.put(
        withheldKey('l'),
        (run.world.rows.rows().find(([key]) => key === headKey('l', 3)) as [string, Uint8Array])[1],
      );
      transaction.whenDone(() => {
        log.withheld = log.published;
      });
    });
    await run.server.deleteLog(log, 'x');
    expect(log.withheld).toBeUndefined();
    expect(await run.store.get(withheldKey('l'))).toBeUndefined();
  });
});

describe('a start', () => {
  test('goes on with a head that was withheld, and asks for nothing that it has not stored', async () => {
    const scene = new Scene('2');
    const run = await scene.first();
    for (const witness of scene.witnesses) witness.away = true;
    await append(run, run.main, 5);
    await scene.publish_(0);
    const { withheld } = run.main;
    expect(withheld?.treeSize).toBe(5);
    await append(run, run.main, 2);
    // kill -9: nothing is closed.
    for (const witness of scene.witnesses) witness.away = false;
    const again = await scene.again(run.world, copyOf(run.world));
    expect(again.main.withheld).toMatchObject({ treeSize: 5, checkpoint: withheld?.checkpoint });
    await again.server.askWitnesses();
    again.server.start();
    await scene.pass(2 * INTERVAL);
    expect(again.main.published).toMatchObject({ treeSize: 7, witnessed: true });
    expect(await again.store.get(headKey('main', 5))).toBeDefined();
    const closing = again.server.close();
    await scene.pass(INTERVAL);
    await closing;
  });

  test('publishes what was withheld when there is no policy any more', async () => {
    const scene = new Scene('2');
    const run = await scene.first();
    for (const witness of scene.witnesses) witness.away = true;
    await append(run, run.main, 5);
    await scene.publish_(0);
    scene.run = await restart(run.world, copyOf(run.world));
    scene.run.server.start();
    await scene.pass(INTERVAL);
    expect(scene.run.main.published.treeSize).toBe(5);
    const closing = scene.run.server.close();
    await scene.pass(INTERVAL);
    await closing;
  });

  test.each(['shown', 'hidden', 'an hour old'])(
    'refuses an older copy because a witness holds a larger head of ours (monitoring path %s)',
    async (path) => {
      const scene = new Scene('2');
      const old = await grown(scene, 5);
      const copied = copyOf(old);
      const { name } = scene.keys.find((key) => key.name.endsWith('/main')) as { name: string };
      const mainHash = originHash(name);
      const earlier = new Map(scene.witnesses.map((witness) => [witness, witness.held.get(name)?.note]));
      const guard = new FaultyGuard();
      guard.slots = [...old.guard.slots];
      const run = await scene.again(old);
      await run.server.askWitnesses();
      await append(run, run.main, 5);
      await scene.publish_();
      expect(run.main.published.treeSize).toBe(10);
      await run.server.close();
      const rolledBack = await scene.again(old, { ...copied, guard });
      for (const witness of scene.witnesses) {
        witness.hidden = path === 'hidden';
        if (path === 'an hour old')
          witness.answer = (method, at) =>
            method === 'GET' && at.includes(mainHash) ? reply(200, earlier.get(witness) as string) : undefined;
      }
      const error = await startError(rolledBack, scene);
      if (path === 'shown') {
        expect(error).toBeInstanceOf(ExitError);
        expect((error as ExitError).exitCode).toBe(78);
        expect((error as ExitError).message).toMatch(
          /^rollback: witness w[123] holds a checkpoint of size 10 .* a folder$/s,
        );
        expect(scene.contradictions[0]?.kind).toBe('rollback');
        return;
      }
      // A bare number is no proof: the start goes on, but nothing is signed, since these silent ones could be the quorum.
      expect(error).toBeUndefined();
      expect(scene.outcomes('w1')).toContain('larger_claim');
      await append(rolledBack, rolledBack.main, 1);
      await rolledBack.server.publisher.publishDue();
      expect(rolledBack.main.withheld).toBeUndefined();
      expect(rolledBack.main.published.treeSize).toBe(5);
    },
  );

  test('signs nothing while those that have not answered could be the quorum, and does so once they have', async () => {
    const scene = new Scene('2');
    const world = await grown(scene, 5);
    for (const witness of scene.witnesses.slice(1)) witness.away = true;
    const run = await scene.again(world);
    expect(await startError(run, scene)).toBeUndefined();
    run.server.start();
    await append(run, run.main, 1);
    await scene.pass(3 * INTERVAL);
    expect(run.main.withheld).toBeUndefined();
    expect(run.server.waitingForWitnesses.unheard).toBe(2);
    scene.w2.away = false;
    await scene.pass(TIMEOUT + 2 * INTERVAL);
    expect(run.main.published).toMatchObject({ treeSize: 6, witnessed: true });
    const closing = run.server.close();
    await scene.pass(TIMEOUT + INTERVAL);
    await closing;
  });

  test('a witness that does not know the origin has answered; it just does not sign', async () => {
    const scene = new Scene('2');
    const world = await grown(scene, 5);
    scene.w1.answer = () => reply(404);
    for (const witness of scene.witnesses.slice(2)) witness.away = true;
    const run = await scene.again(world);
    expect(await startError(run, scene)).toBeUndefined();
    expect(scene.outcomes('w1')).toContain('unknown_origin');
    await append(run, run.main, 1);
    await run.server.publisher.publishDue();
    expect(run.main.withheld?.treeSize).toBe(6);
  });

  test('a quorum of nobody waits for nobody', async () => {
    const scene = new Scene('none');
    const world = await grown(scene, 5);
    for (const witness of scene.witnesses) witness.away = true;
    const run = await scene.again(world);
    expect(await startError(run, scene)).toBeUndefined();
    await append(run, run.main, 1);
    await scene.publish_(TIMEOUT + 300);
    expect(run.main.published.treeSize).toBe(6);
  });

  test.each([
    ['damaged', (row: Uint8Array) => row.fill(0x20, 40, 60), /withheld head is damaged/],
    ['of a larger tree than is stored', undefined, /withholds one of size 900/],
    ['of another tree', undefined, /is not the one of its withheld head/],
  ])('refuses a withheld head that is %s', async (what, change, message) => {
    const scene = new Scene('2');
    const run = await scene.first();
    for (const witness of scene.witnesses) witness.away = true;
    await append(run, run.main, 5);
    await scene.publish_(0);
    const treeSize = what === 'of another tree' ? 5 : 900;
    const rootHash = asTreeHash(new Uint8Array(32).fill(7));
    const checkpoint = signCheckpoint({ origin: run.main.definition.origin, treeSize, rootHash }, run.main.signer);
    const changed = edited(run.world, (rows) => {
      const row = rows.get(withheldKey('main')) as Uint8Array;
      if (change === undefined) rows.set(withheldKey('main'), Buffer.from(JSON.stringify({ checkpoint, time: 1 })));
      else change(row);
    });
    await expect(restart(run.world, changed, scene.options)).rejects.toThrow(message);
  });
});
