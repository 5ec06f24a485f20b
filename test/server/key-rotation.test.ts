import { describe, expect, test } from '@jest/globals';
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { parseVerifierKey, type VerifierKey } from '../../proofs/key.ts';
import { openRotation } from '../../proofs/rotation.ts';
import { verifyTreeHeadSignature } from '../../proofs/tree-head-signature.ts';
import type { Log } from '../../server/log.ts';
import { parseDefinition, SYSTEM_LOG } from '../../server/log.ts';
import { runningOf } from '../../server/log-keys.ts';
import { logDefinitionKey } from '../../server/storage/keys.ts';
import { settle } from '../support/manual-clock.ts';
import { append, edited, firstStart, type Run, restart } from './memory-server.ts';

const text = (log: Log): string => log.definition.verifierKey;

/** Begins a rotation of a log that has entries, and signs what is due. */
async function rotated(entries = 5): Promise<{ run: Run; oldKey: VerifierKey; newKey: VerifierKey }> {
  const run = await firstStart();
  await append(run, run.main, entries);
  await run.server.publisher.publishDue();
  const oldKey = run.main.signer.verifierKey;
  await run.server.rotateKey(run.main, 'x');
  const newKey = parseVerifierKey(runningOf(run.main.definition)?.verifierKey as string);
  await run.server.publisher.publishDue();
  return { run, oldKey, newKey };
}

describe('a rotation', () => {
  test('is an entry of the server that holds the statement of both keys; heads have both signatures', async () => {
    const { run, oldKey, newKey } = await rotated();
    const { rotations } = run.main.definition;
    const [{ statement, leafIndex }] = rotations as [(typeof rotations)[number]];
    expect(openRotation(statement, oldKey)).toMatchObject({ treeSize: 5, newKey });
    const [entry] = await run.server.entries(run.main, leafIndex, leafIndex + 1);
    expect(JSON.parse(Buffer.from(entry?.event as Uint8Array).toString())).toMatchObject({
      action: 'log.key_rotated',
      statement,
      tree_size: 5,
    });
    expect(JSON.parse(Buffer.from(entry?.header as Uint8Array).toString())).toMatchObject({ by: 'system' });
    const { checkpoint } = run.main.published;
    for (const key of [oldKey, newKey]) expect(openCheckpoint(checkpoint, key).treeSize).toBe(6);
    // verifier_key and RFC 6962 heads stay with the old one.
    expect(text(run.main)).toBe(oldKey.text);
    const head = await run.server.treeHeadSigner.newest(run.main);
    verifyTreeHeadSignature(head.signature, { ...head, timestamp: head.time }, oldKey);
  });

  test('ends: the new key alone signs, and a head by both is kept', async () => {
    const { run, oldKey, newKey } = await rotated();
    await run.server.treeHeadSigner.newest(run.main);
    await run.server.endRotation(run.main, 'x');
    expect(text(run.main)).toBe(newKey.text);
    const early = await run.server.treeHeadSigner.newest(run.main);
    verifyTreeHeadSignature(early.signature, { ...early, timestamp: early.time }, newKey);
    await run.server.publisher.publishDue();
    const { checkpoint } = run.main.published;
    expect(openCheckpoint(checkpoint, newKey).treeSize).toBe(7);
    expect(() => openCheckpoint(checkpoint, oldKey)).toThrow('no signature is by a known key');
    const kept = run.main.definition.rotations[0]?.head as string;
    for (const key of [oldKey, newKey]) expect(openCheckpoint(kept, key).treeSize).toBe(6);
  });

  test.each([
    ['while it runs', false],
    ['after its end', true],
  ])('survives a restart %s, and so do the heads by the old key', async (_, end) => {
    const { run, oldKey, newKey } = await rotated();
    if (end) await run.server.endRotation(run.main, 'x');
    await append(run, run.main, 3);
    await run.server.publisher.publishDue();
    await run.server.close();
    const again = await restart(run.world);
    expect(text(again.main)).toBe(end ? newKey.text : oldKey.text);
    expect((await again.server.heads(again.main, 0, 10)).map(({ treeSize }) => treeSize)).toEqual(
      end ? [0, 5, 6, 10] : [0, 5, 6, 9],
    );
    await append(again, again.main, 1);
    await again.server.publisher.publishDue();
    expect(openCheckpoint(again.main.published.checkpoint, newKey).treeSize).toBe(end ? 11 : 10);
  });

  test('ends while the publisher signs: no head by both keys comes after the one that is kept', async () => {
    const { run, oldKey, newKey } = await rotated();
    await append(run, run.main, 4);
    const kept = run.main.published;
    run.guard.hold();
    const ending = run.server.endRotation(run.main, 'x');
    await settle();
    // It takes part in the commit after that one, and signs by the keys of before.
    const publishing = run.server.publisher.publishDue();
    await settle();
    run.guard.release();
    await ending;
    await publishing;
    expect(run.main.definition.rotations[0]?.head).toBe(kept.checkpoint);
    expect(run.main.published.treeSize).toBe(kept.treeSize);
    await run.server.publisher.publishDue();
    const { checkpoint } = run.main.published;
    expect(openCheckpoint(checkpoint, newKey).treeSize).toBe(11);
    expect(() => openCheckpoint(checkpoint, oldKey)).toThrow('no signature is by a known key');
    expect((await run.server.heads(run.main, 0, 10)).map(({ treeSize }) => treeSize)).toEqual([0, 5, 6, 11]);
    expect(run.fatal).toEqual([]);
  });

  test('of a raw log stands in _system, and is signed though the log does not grow', async () => {
    const run = await firstStart();
    const log = await run.server.createLog({ name: 'r', kind: 'raw', publicReads: true, idPointer: null }, 'x');
    const system = run.server.log(SYSTEM_LOG) as Log;
    await run.server.sequencer.appendRaw({ log, leaves: Uint8Array.of(1), once: undefined, source: 'x' } as never);
    await run.server.publisher.publishDue();
    const before = log.published;
    await run.server.rotateKey(log, 'x');
    await expect(run.server.endRotation(log, 'x')).rejects.toMatchObject({ code: 'rotation_not_signed' });
    await run.server.publisher.publishDue();
    const rotation = runningOf(log.definition);
    expect(rotation).toMatchObject({ recordedIn: SYSTEM_LOG, treeSize: 1 });
    expect(log.published).toMatchObject({ treeSize: 1 });
    expect(log.published.checkpoint).not.toBe(before.checkpoint);
    const [entry] = await run.server.entries(
      system,
      rotation?.leafIndex as number,
      (rotation?.leafIndex as number) + 1,
    );
    expect(Buffer.from(entry?.event as Uint8Array).toString()).toContain('log.key_rotated');
    await run.server.endRotation(log, 'x');
    await run.server.publisher.publishDue();
    expect(openCheckpoint(log.published.checkpoint, log.signer.verifierKey).treeSize).toBe(1);
    await run.server.close();
    const again = await restart(run.world);
    expect((again.server.log('r') as Log).published.checkpoint).toBe(log.published.checkpoint);
  });

  test('of _system stands in itself, and a second rotation follows the first', async () => {
    const run = await firstStart();
    const system = run.server.log(SYSTEM_LOG) as Log;
    const keys: string[] = [text(system)];
    for (let i = 0; i < 3; i++) {
      await run.server.rotateKey(system, 'x');
      await run.server.publisher.publishDue();
      await run.server.endRotation(system, 'x');
      await run.server.publisher.publishDue();
      keys.push(text(system));
    }
    expect(new Set(keys).size).toBe(4);
    expect(system.verifierKeys.map((key) => key.text)).toEqual([...keys].reverse());
    for (const [i, rotation] of system.definition.rotations.entries())
      expect(openRotation(rotation.statement, parseVerifierKey(keys[i] as string)).newKey.text).toBe(keys[i + 1]);
    await run.server.close();
    expect((await restart(run.world)).server.log(SYSTEM_LOG)?.published.treeSize).toBe(system.published.treeSize);
  });

  test('is refused where one runs, where none does, before its head is shown, and of logs that sign no more', async () => {
    const { run } = await rotated();
    await expect(run.server.rotateKey(run.main, 'x')).rejects.toMatchObject({ code: 'rotation_running' });
    // A head that is on its way to its witnesses would be shown after the one that is kept.
    run.main.withheld = run.main.published;
    await expect(run.server.endRotation(run.main, 'x')).rejects.toMatchObject({ code: 'rotation_not_signed' });
    run.main.withheld = undefined;
    await run.server.endRotation(run.main, 'x');
    await expect(run.server.endRotation(run.main, 'x')).rejects.toMatchObject({ code: 'no_rotation' });
    await run.server.rotateKey(run.main, 'x');
    await expect(run.server.endRotation(run.main, 'x')).rejects.toMatchObject({ code: 'rotation_not_signed' });
    await run.server.freezeLog(run.main, 'x');
    await expect(run.server.rotateKey(run.main, 'x')).rejects.toMatchObject({ code: 'log_frozen' });
  });

  test('a definition that names a key which the master seed does not give is refused', async () => {
    const { run } = await rotated();
    await run.server.close();
    const key = logDefinitionKey('main');
    const other = run.main.signerOf(9).verifierKey.text;
    const changed = edited(run.world, (rows) => {
      const row = JSON.parse(Buffer.from(rows.get(key) as Uint8Array).toString());
      row.rotations[0].verifier_key = other;
      delete row.check;
      rows.set(key, Buffer.from(JSON.stringify(row)));
    });
    await expect(restart(run.world, changed)).rejects.toMatchObject({ exitCode: 78 });
  });

  test.each([
    ['no list', 7],
    ['a rotation that is null', [null]],
    ['a rotation without its members', [{}]],
    ['an epoch that is no number', [{ epoch: '1' }]],
    ['a size below 0', [{ epoch: 1, verifier_key: 'x', tree_size: -1 }]],
  ])('a definition row with %s is damaged', async (_, rotations) => {
    const run = await firstStart();
    const row = JSON.parse(Buffer.from((await run.store.get(logDefinitionKey('main'))) as Uint8Array).toString());
    delete row.check;
    const bytes = Buffer.from(JSON.stringify({ ...row, rotations }));
    expect(() => parseDefinition(bytes)).toThrow('a log definition is damaged');
  });
});
