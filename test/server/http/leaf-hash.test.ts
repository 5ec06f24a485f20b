/** Proofs by leaf hash: the two spellings, what is not there, what cannot be told yet, and an index that was deleted. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { verifyInclusion } from '../../../proofs/inclusion.ts';
import { encodeBundle } from '../../../tree/bundles.ts';
import { fromBase64, toBase64, toHex, utf8 } from '../../../tree/bytes.ts';
import { asTreeHash, leafHash } from '../../../tree/hash.ts';
import { ADMIN_KEY, type Answer, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start();
const hash = (text: string): Uint8Array => leafHash(utf8(text));
const ask = (query: string): Promise<Answer> => server.get(`/logs/raw/proofs/inclusion?${query}`);
const refusal = (answer: Answer): unknown[] => [answer.status, answer.json()['code']];

/** Asks until the index has caught up. */
async function told(query: string): Promise<Answer> {
  for (let i = 0; i < 400; i++) {
    const answer = await ask(query);
    if (answer.status !== 503) return answer;
    expect([refusal(answer), answer.headers['retry-after']]).toEqual([[503, 'index_behind'], '1']);
    await new Promise((wait) => setTimeout(wait, 10));
  }
  throw new Error('the index does not catch up');
}

beforeAll(async () => {
  await server.makeLog('raw', { kind: 'raw' });
  const leaves = ['twice', ...Array.from({ length: 298 }, (_, i) => `leaf ${i}`), 'twice'];
  const body = encodeBundle(leaves.map(utf8));
  expect((await server.request('POST', '/logs/raw/add-batch', { key: ADMIN_KEY, body })).status).toBe(200);
  await server.sign();
});

describe('an inclusion proof by leaf hash', () => {
  test('in base64 and in hex is the one by index', async () => {
    for (const [text, leafIndex] of [
      ['leaf 0', 1],
      ['leaf 254', 255],
      ['leaf 255', 256],
      ['leaf 297', 298],
      ['twice', 0],
    ] as const) {
      const wanted = hash(text);
      const byIndex = (await ask(`index=${leafIndex}`)).text;
      const base64 = toBase64(wanted);
      for (const spelling of [encodeURIComponent(base64), base64, toHex(wanted), toHex(wanted).toUpperCase()])
        expect((await told(`leaf_hash=${spelling}`)).text).toBe(byIndex);
      const reply = JSON.parse(byIndex) as { tree_size: number; root_hash: string; proof: string[] };
      verifyInclusion({
        leafHash: wanted as ReturnType<typeof leafHash>,
        leafIndex,
        treeSize: reply.tree_size,
        rootHash: asTreeHash(fromBase64(reply.root_hash)),
        proof: reply.proof.map((node) => asTreeHash(fromBase64(node))),
      });
    }
  });

  test('in an earlier tree', async () => {
    const query = `leaf_hash=${toHex(hash('leaf 9'))}`;
    expect((await told(`${query}&tree_size=11`)).json()).toMatchObject({ leaf_index: 10, tree_size: 11 });
    expect(refusal(await told(`${query}&tree_size=10`))).toEqual([404, 'no_such_entry']);
    expect(refusal(await ask(`${query}&tree_size=9999`))).toEqual([404, 'tree_size_not_signed']);
  });

  test('of an event', async () => {
    await server.makeLog('told');
    const appended = await server.post('/logs/told/events?ack=signed', '{"a":1}');
    const { leaf_hash } = appended.json<{ entries: { leaf_hash: string }[] }>().entries[0] as { leaf_hash: string };
    for (;;) {
      const answer = await server.get(`/logs/told/proofs/inclusion?leaf_hash=${encodeURIComponent(leaf_hash)}`);
      if (answer.status === 503) continue;
      expect(answer.json()).toMatchObject({ leaf_index: 0, leaf_hash });
      break;
    }
  });

  test('that nobody logged is 404', async () => {
    expect(refusal(await told(`leaf_hash=${toHex(hash('never'))}`))).toEqual([404, 'no_such_entry']);
  });
});

test('an index that was deleted is made again', async () => {
  const query = `leaf_hash=${toHex(hash('leaf 200'))}`;
  const before = (await told(query)).text;
  const derived = join(server.directory, 'derived');
  expect(existsSync(derived)).toBe(true);
  await server.restart({}, () => rm(derived, { recursive: true }));
  expect((await told(query)).text).toBe(before);
  expect(refusal(await told(`leaf_hash=${toHex(hash('never'))}`))).toEqual([404, 'no_such_entry']);
  expect(server.fatal).toEqual([]);
});
