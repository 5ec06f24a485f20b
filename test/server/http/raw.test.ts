/** Raw logs: the contract of other transparency logs (Tessera's conformance servers), and what of it is refused. */
import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import { openCheckpoint } from '../../../proofs/checkpoint.ts';
import { verifyInclusion } from '../../../proofs/inclusion.ts';
import { parseVerifierKey } from '../../../proofs/key.ts';
import { ByteBudget } from '../../../server/http/byte-budget.ts';
import { decodeBundle, encodeBundle } from '../../../tree/bundles.ts';
import { fromBase64, utf8 } from '../../../tree/bytes.ts';
import { asTreeHash, leafHash } from '../../../tree/hash.ts';
import { ADMIN_KEY, type Answer, type Json, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start({ limits: { maxEvents: 300 } });

beforeAll(async () => {
  await server.makeLog('raw', { kind: 'raw', publicReads: false });
  await server.makeLog('open', { kind: 'raw', publicReads: true });
});

function add(body: Uint8Array | string, headers: Record<string, string> = {}, path = '/logs/raw/add'): Promise<Answer> {
  return server.request('POST', path, { key: ADMIN_KEY, body, headers });
}

async function size(log = 'raw'): Promise<number> {
  return server.started.server.log(log)?.state.treeSize ?? -1;
}

describe('add', () => {
  test('answers 200 and the index in bare decimal, without a content type or with any', async () => {
    const before = await size();
    for (const [i, headers] of [
      {},
      { 'content-type': 'application/octet-stream' },
      { 'content-type': 'text/x.odd' },
    ].entries()) {
      const reply = await add(`entry ${i}`, headers);
      expect({ status: reply.status, text: reply.text, type: reply.headers['content-type'] }).toEqual({
        status: 200,
        text: String(before + i),
        type: 'text/plain; charset=utf-8',
      });
    }
  });

  test('an empty entry is an entry, and so are 65,535 bytes', async () => {
    const before = await size();
    expect((await add('')).text).toBe(String(before));
    expect((await add(new Uint8Array(65_535))).text).toBe(String(before + 1));
    expect(await size()).toBe(before + 2);
  });

  test('what is refused while it comes is not stored when it has ended', async () => {
    const before = await size();
    const tooLarge = { key: ADMIN_KEY, body: new Uint8Array(65_536), chunked: true };
    expect((await server.request('POST', '/logs/raw/add', tooLarge)).status).toBe(413);
    // All memory for bodies taken: what comes now is answered 503, nothing stored.
    const taken = jest.spyOn(ByteBudget.prototype, 'take').mockReturnValue(false);
    const pushback = await add('entry');
    taken.mockRestore();
    expect([pushback.status, pushback.json()['code']]).toEqual([503, 'pushback']);
    await new Promise((wait) => setTimeout(wait, 100));
    expect((await add('entry')).text).toBe(String(before));
  });

  test('what only nearly passes for an event is an entry', async () => {
    for (const leaf of [new Uint8Array(41).fill(0x20), new Uint8Array(40).fill(1), new Uint8Array(42).fill(1)]) {
      expect((await add(leaf)).status).toBe(200);
    }
  });
});

describe('add-batch', () => {
  test('takes entries in bundle framing, all of them, and answers the first index', async () => {
    const before = await size();
    const leaves = Array.from({ length: 300 }, (_, i) => utf8(`batch ${i}`.repeat(i % 4)));
    const reply = await add(encodeBundle(leaves), {}, '/logs/raw/add-batch');
    expect({ status: reply.status, text: reply.text }).toEqual({ status: 200, text: String(before) });
    expect(await size()).toBe(before + 300);
  });
});

describe('reading a raw log', () => {
  test('bundles hold the posted bytes, and proofs verify', async () => {
    const leaves = [utf8('one'), utf8(''), new Uint8Array(41).fill(0x20)];
    for (const leaf of leaves) await add(leaf, {}, '/logs/open/add');
    await server.sign();
    const log = (await server.get('/logs/open')).json<{ verifier_key: string; tree_size: number }>();
    expect(log.tree_size).toBe(3);
    const checkpoint = openCheckpoint(
      (await server.get('/logs/open/checkpoint')).text,
      parseVerifierKey(log.verifier_key),
    );
    expect(decodeBundle((await server.get('/logs/open/tile/entries/000.p/3')).bytes, 3)).toEqual(leaves);
    for (const [leafIndex, leaf] of leaves.entries()) {
      const { proof } = (await server.get(`/logs/open/proofs/inclusion?index=${leafIndex}`)).json<
        Json & { proof: string[] }
      >();
      const { treeSize, rootHash } = checkpoint;
      verifyInclusion({
        leafHash: leafHash(leaf),
        leafIndex,
        treeSize,
        rootHash,
        proof: proof.map((hash) => asTreeHash(fromBase64(hash))),
      });
    }
  });

  test('needs the scope read unless reads are public', async () => {
    for (const path of ['checkpoint', 'tile/0/000.p/1', 'proofs/inclusion?index=0', 'tree-head']) {
      expect((await server.request('GET', `/logs/raw/${path}`)).status).toBe(401);
      expect((await server.request('GET', `/logs/open/${path}`)).status).toBe(200);
    }
    const appendOnly = await server.makeKey(['append'], { log: 'raw' });
    expect((await server.get('/logs/raw/checkpoint', appendOnly)).status).toBe(403);
  });

  test('what was added is there after a restart', async () => {
    const before = await size();
    await server.restart();
    expect(await size()).toBe(before);
    expect((await add('after')).text).toBe(String(before));
  });
});
