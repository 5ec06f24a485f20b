/** A server of ours and a witness that other people wrote: torchwood's litewitness. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { parseVerifierKey } from '../../proofs/key.ts';
import { parsePolicy } from '../../proofs/policy.ts';
import { openWitnessed } from '../../proofs/witnessed.ts';
import { buildLitewitness, canRunLitewitness, Litewitness } from '../support/litewitness.ts';
import { killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

const withLitewitness = canRunLitewitness() ? test : test.skip;
const folder = temporaryFolder('litewitness');
let witness: Litewitness | undefined;

afterAll(async () => {
  await killAll();
  await witness?.remove();
  folder.remove();
});

withLitewitness(
  'litewitness cosigns our heads; while it is away entries are taken and no head is shown, and then they are',
  async () => {
    buildLitewitness(folder.path);
    const own = join(folder.path, 'witness');
    mkdirSync(own);
    witness = await Litewitness.make(own, folder.path);
    const dataDir = join(folder.path, 'data');
    let server = await ServerProcess.start({ dataDir });
    const { logs } = (await (await server.fetch('/admin/logs')).json()) as {
      logs: { name: string; verifier_key: string }[];
    };
    for (const { verifier_key: key } of logs) witness.know(key);
    const key = parseVerifierKey(logs.find(({ name }) => name === 'main')?.verifier_key as string);
    await server.stop();

    const policyFile = join(folder.path, 'policy.txt');
    const policyText = `witness lite ${witness.verifierKey} ${witness.url}\nquorum lite\n`;
    writeFileSync(policyFile, policyText);
    const policy = parsePolicy(policyText);
    const flags = ['--interval', '200', '--witness-policy', policyFile, '--witness-timeout', '1000'];
    server = await ServerProcess.start({ dataDir, flags });
    const sizeOf = async (): Promise<number> => {
      const note = await (await server.fetch('/logs/main/checkpoint')).text();
      return openWitnessed(note, key, policy).treeSize;
    };

    for (let i = 1; i <= 20; i++) {
      const reply = (await (await server.append({ n: i }, '?ack=witnessed')).json()) as {
        ack: string;
        checkpoint: string;
      };
      expect(reply.ack).toBe('witnessed');
      expect(openWitnessed(reply.checkpoint, key, policy)).toMatchObject({
        cosignatures: [{ witness: { name: 'lite' } }],
      });
    }
    const before = await sizeOf();
    expect(before).toBe(20);
    const proof = await (await server.fetch('/logs/main/proofs/3.tlog-proof')).text();
    expect(proof).toContain('— witness.test/lite ');

    await witness.stop();
    for (let i = 0; i < 10; i++) expect((await server.append({ n: i })).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect(await sizeOf()).toBe(before);
    expect(server.stderr).toContain('gives no answer that counts');
    const metrics = await (await server.fetch('/metrics')).text();
    expect(metrics).toMatch(/^indelible_withheld_heads [1-9]/m);
    expect(metrics).toMatch(/^indelible_witness_answers_total\{outcome="silent"\} [1-9]/m);

    // Killed with a head withheld, started without its witness: nothing more is signed until that has answered.
    await server.stop('SIGKILL');
    server = await ServerProcess.start({ dataDir, flags });
    expect((await server.append({ n: 'again' })).status).toBe(200);
    expect(await sizeOf()).toBe(before);
    await witness.start();
    for (
      const end = Date.now() + 10_000;
      (await sizeOf()) < 31;
      await new Promise((resolve) => setTimeout(resolve, 50))
    )
      expect(Date.now()).toBeLessThan(end);
    expect((await server.stop()).code).toBe(0);
  },
);
