/** The verbs of RFC 6962 §4 over both kinds of logs: what they say, and what they refuse. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { verifyConsistency } from '../../../proofs/consistency.ts';
import { verifyInclusion } from '../../../proofs/inclusion.ts';
import { parseVerifierKey } from '../../../proofs/key.ts';
import { verifyTreeHeadSignature } from '../../../proofs/tree-head-signature.ts';
import { encodeBundle } from '../../../tree/bundles.ts';
import { asTreeHash, leafHash, type TreeHash } from '../../../tree/hash.ts';
import { ReferenceTree } from '../../support/reference-tree.ts';
import { ADMIN_KEY, type Answer, type Json, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start();
/** Nothing is signed there unless a test says so. */
const quiet = await TestServer.start({ publish: false });

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
const hashes = (texts: readonly string[]): TreeHash[] => texts.map((text) => asTreeHash(bytesOf(text)));

interface Sth {
  readonly tree_size: number;
  readonly timestamp: number;
  readonly sha256_root_hash: string;
  readonly tree_head_signature: string;
}

interface Entries {
  readonly entries: readonly { readonly leaf_input: string; readonly extra_data: string }[];
}

const KINDS = ['events', 'raw'] as const;
const SIZE = 1300;

async function get<T = Json>(path: string): Promise<T> {
  const answer = await server.get(path);
  expect([path, answer.status, answer.headers['content-type']]).toEqual([path, 200, 'application/json']);
  expect(answer.headers['cache-control']).toBe('no-store');
  expect(answer.headers['access-control-allow-origin']).toBe('*');
  return answer.json<T>();
}

async function signed(log: string, size: number): Promise<void> {
  while ((server.started.server.log(log)?.published.treeSize ?? 0) < size) await server.sign();
}

beforeAll(async () => {
  await server.makeLog('events');
  await server.makeLog('raw', { kind: 'raw' });
  await server.makeLog('wide', { kind: 'raw' });
  await server.makeLog('new');
  const events = Array.from({ length: SIZE }, (_, i) => `{"n":${i}}\n`).join('');
  expect((await server.post('/logs/events/events', events, ADMIN_KEY, 'application/x-ndjson')).status).toBe(200);
  const leaves = Array.from({ length: SIZE }, (_, i) => new Uint8Array(Buffer.from(i === 3 ? '' : `leaf ${i}`)));
  expect((await server.post('/logs/raw/add-batch', encodeBundle(leaves))).status).toBe(200);
  const wide = Array.from({ length: 100 }, (_, i) => new Uint8Array(65_535).fill(i));
  expect((await server.post('/logs/wide/add-batch', encodeBundle(wide))).status).toBe(200);
  await Promise.all([signed('events', SIZE), signed('raw', SIZE), signed('wide', 100)]);
});

describe.each(KINDS)('a log of kind %s', (log) => {
  const leaves: Uint8Array[] = [];
  const tree = new ReferenceTree(leaves);

  test('gives its leaves, contiguous from start, at most 1,000 at a time', async () => {
    while (leaves.length < SIZE) {
      const { entries } = await get<Entries>(`/logs/${log}/ct/v1/get-entries?start=${leaves.length}&end=${SIZE - 1}`);
      expect(entries).toHaveLength(Math.min(1000, SIZE - leaves.length));
      for (const entry of entries) {
        expect(Object.keys(entry)).toEqual(['leaf_input', 'extra_data']);
        expect(entry.extra_data).toBe('');
        leaves.push(bytesOf(entry.leaf_input));
      }
    }
    if (log === 'events') expect(leaves.every((leaf) => leaf.length === 41)).toBe(true);
    else expect(Buffer.from(leaves[7] as Uint8Array).toString()).toBe('leaf 7');
  });

  test.each([
    ['one', 'start=5&end=5', 5, 1],
    ['across bundles', 'start=250&end=260', 250, 11],
    ['the last', `start=${SIZE - 1}&end=${SIZE - 1}`, SIZE - 1, 1],
    ['an end beyond the tree is cut', `start=${SIZE - 3}&end=${SIZE + 100}`, SIZE - 3, 3],
    ['the largest end', `start=${SIZE - 1}&end=9007199254740991`, SIZE - 1, 1],
    ['the order of parameters is free, others are ignored', 'x=1&end=2&x=2&start=1', 1, 2],
  ])('get-entries: %s', async (_what, query, first, count) => {
    const { entries } = await get<Entries>(`/logs/${log}/ct/v1/get-entries?${query}`);
    expect(entries.map(({ leaf_input: leaf }) => bytesOf(leaf))).toEqual(leaves.slice(first, first + count));
  });

  test('get-sth is the signed head of the checkpoint, the same whoever asks', async () => {
    const sth = await get<Sth>(`/logs/${log}/ct/v1/get-sth`);
    expect(Object.keys(sth)).toEqual(['tree_size', 'timestamp', 'sha256_root_hash', 'tree_head_signature']);
    const rootHash = asTreeHash(bytesOf(sth.sha256_root_hash));
    expect([sth.tree_size, rootHash]).toEqual([SIZE, tree.root(SIZE)]);
    const { verifier_key: vkey } = await get<{ verifier_key: string }>(`/logs/${log}`);
    verifyTreeHeadSignature(
      bytesOf(sth.tree_head_signature),
      { timestamp: sth.timestamp, treeSize: SIZE, rootHash },
      parseVerifierKey(vkey),
    );
    expect(await get(`/logs/${log}/ct/v1/get-sth?unknown=1`)).toEqual(sth);
    const head = await get(`/logs/${log}/tree-head`);
    expect(head).toMatchObject({
      tree_size: SIZE,
      timestamp: sth.timestamp,
      root_hash: sth.sha256_root_hash,
      signature: sth.tree_head_signature,
    });
    const { tree_heads: heads } = await get<{ tree_heads: Json[] }>(`/logs/${log}/tree-heads`);
    expect(heads.map(({ tree_size: size, signature }) => [size, signature])).toEqual([
      [0, null],
      [SIZE, sth.tree_head_signature],
    ]);
  });

  test.each([0, 1, 2, 255, 256, 257, 1024, SIZE - 1, SIZE])('get-sth-consistency from %d', async (first) => {
    const path = `/logs/${log}/ct/v1/get-sth-consistency?first=${first}&second=${SIZE}`;
    const reply = await get<{ consistency: string[] }>(path);
    expect(Object.keys(reply)).toEqual(['consistency']);
    if (first === 0 || first === SIZE) expect(reply.consistency).toEqual([]);
    const proof = hashes(reply.consistency);
    verifyConsistency({ first, second: SIZE, firstRoot: tree.root(first), secondRoot: tree.root(SIZE), proof });
  });

  test.each([
    [0, 1],
    [0, SIZE],
    [7, 8],
    [255, 256],
    [256, 257],
    [SIZE - 1, SIZE],
  ])('get-entry-and-proof of leaf %d in a tree of %d', async (leafIndex, treeSize) => {
    const reply = await get<{ leaf_input: string; extra_data: string; audit_path: string[] }>(
      `/logs/${log}/ct/v1/get-entry-and-proof?leaf_index=${leafIndex}&tree_size=${treeSize}`,
    );
    expect(Object.keys(reply)).toEqual(['leaf_input', 'extra_data', 'audit_path']);
    expect([bytesOf(reply.leaf_input), reply.extra_data]).toEqual([leaves[leafIndex], '']);
    if (treeSize === 1) expect(reply.audit_path).toEqual([]);
    const proof = hashes(reply.audit_path);
    const rootHash = tree.root(treeSize);
    verifyInclusion({ leafHash: leafHash(bytesOf(reply.leaf_input)), leafIndex, treeSize, rootHash, proof });
  });
});

test('a new log has a signed head and no entries', async () => {
  const sth = await get<Sth>('/logs/new/ct/v1/get-sth');
  expect([sth.tree_size, sth.sha256_root_hash]).toEqual([0, '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=']);
  expect(await get('/logs/new/ct/v1/get-sth-consistency?first=0&second=0')).toEqual({ consistency: [] });
  expect((await server.get('/logs/new/ct/v1/get-entries?start=0&end=0')).status).toBe(400);
});

describe('get-proof-by-hash', () => {
  const hash = (text: string): string =>
    encodeURIComponent(Buffer.from(leafHash(Buffer.from(text))).toString('base64'));
  async function ask(query: string): Promise<Answer> {
    for (;;) {
      const answer = await server.get(`/logs/raw/ct/v1/get-proof-by-hash?${query}`);
      if (answer.status !== 503) return answer;
      expect(answer.json()['code']).toBe('index_behind');
    }
  }

  test.each([0, 1, 255, 256, 1023, SIZE - 1])(
    'leaf %d, in the smallest tree that holds it and in the newest',
    async (i) => {
      for (const size of [i + 1, SIZE]) {
        const wanted = `hash=${hash(i === 3 ? '' : `leaf ${i}`)}&tree_size=${size}`;
        const { leaf_index, audit_path } = (await ask(wanted)).json<{ leaf_index: number; audit_path: string[] }>();
        const other = await get<{ audit_path: string[] }>(
          `/logs/raw/ct/v1/get-entry-and-proof?leaf_index=${i}&tree_size=${size}`,
        );
        expect({ leaf_index, audit_path }).toEqual({ leaf_index: i, audit_path: other.audit_path });
        expect(Array.isArray(audit_path)).toBe(true);
      }
    },
  );

  test.each<readonly [string, string, number, string]>([
    ['a hash of nothing', `hash=${hash('never')}&tree_size=${SIZE}`, 404, 'no_such_entry'],
    ['a tree that is too small', `hash=${hash('leaf 9')}&tree_size=9`, 404, 'no_such_entry'],
  ])('%s', async (_, query, status, code) => {
    const answer = await ask(query);
    expect([answer.status, answer.json()['code']]).toEqual([status, code]);
  });
});

test('large entries come fewer at a time, and at least one', async () => {
  let next = 0;
  while (next < 100) {
    const { entries } = await get<Entries>(`/logs/wide/ct/v1/get-entries?start=${next}&end=99`);
    expect(entries.length).toBeGreaterThan(0);
    expect(entries.length).toBeLessThanOrEqual(65);
    for (const { leaf_input: leaf } of entries) expect(bytesOf(leaf)[0]).toBe(next++);
  }
});

test('what is durable but not under a published head is not shown', async () => {
  await quiet.makeLog('raw', { kind: 'raw' });
  await quiet.post('/logs/raw/add', 'x');
  const status = async (path: string): Promise<number> => (await quiet.get(`/logs/raw/ct/v1/${path}`)).status;
  expect(await status('get-entries?start=0&end=0')).toBe(400);
  expect(await status('get-entry-and-proof?leaf_index=0&tree_size=1')).toBe(400);
  expect(await status('get-sth-consistency?first=0&second=1')).toBe(400);
  expect((await quiet.get('/logs/raw/ct/v1/get-sth')).json()).toMatchObject({ tree_size: 0 });
  await quiet.sign();
  expect(await status('get-entries?start=0&end=0')).toBe(200);
  expect(await status('get-entry-and-proof?leaf_index=0&tree_size=1')).toBe(200);
});

test('the signature is the same after a restart, and later ones have later times', async () => {
  await quiet.makeLog('x', { kind: 'raw' });
  const sth = async (): Promise<Sth> => (await quiet.get('/logs/x/ct/v1/get-sth')).json<Sth>();
  const first = await sth();
  await quiet.restart();
  expect(await sth()).toEqual(first);
  await quiet.post('/logs/x/add', 'y');
  await quiet.sign();
  expect((await sth()).timestamp).toBeGreaterThan(first.timestamp);
});

test('while the clock is unsafe nothing new is signed, and the head itself is shown', async () => {
  await quiet.makeLog('clock');
  const { entryClock } = quiet.started.server;
  let unsafe = true;
  Object.defineProperty(entryClock, 'unsafe', { get: () => unsafe });
  const refused = await quiet.get('/logs/clock/ct/v1/get-sth');
  expect([refused.status, refused.json()['code'], refused.headers['retry-after']]).toEqual([503, 'clock_unsafe', '60']);
  expect((await quiet.get('/logs/clock/tree-head')).json()).toMatchObject({ tree_size: 0, signature: null });
  unsafe = false;
  const { tree_head_signature: signature } = (await quiet.get('/logs/clock/ct/v1/get-sth')).json<Sth>();
  unsafe = true;
  expect((await quiet.get('/logs/clock/tree-head')).json()).toMatchObject({ signature });
  expect((await quiet.get('/logs/clock/ct/v1/get-sth')).status).toBe(200);
});

test('get-sth takes what it does not know, twice as well', async () => {
  expect((await server.get('/logs/events/ct/v1/get-sth?a=1&a=2')).status).toBe(200);
});
