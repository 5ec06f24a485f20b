/**
 * Paths, numbers and framed bodies over HTTP: each is served in its one spelling, refused with a status below 500 in every other, and
 * the log is as it was.
 */
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeFrames, encodeBundle } from '../../tree/bundles.ts';
import { utf8 } from '../../tree/bytes.ts';
import { ADMIN_KEY, type Answer, TestServer } from '../support/test-server.ts';
import { altered, alteredBytes, anyText, outcomeOf, runs } from './mutations.ts';

const server = await TestServer.start();
const SIZE = 300;
const BLOBS = '/logs/blobs';

beforeAll(async () => {
  await server.makeLog('blobs', { kind: 'raw' });
  await server.makeLog('grown', { kind: 'raw' });
  const leaves = Array.from({ length: SIZE }, (_, i) => utf8(`entry ${i}`));
  const added = await server.post(`${BLOBS}/add-batch`, encodeBundle(leaves), ADMIN_KEY, 'application/octet-stream');
  expect([added.status, added.text]).toEqual([200, '0']);
  const events = Array.from({ length: 9 }, (_, i) => `{"id":${i}}\n`).join('');
  const appended = await server.post('/logs/main/events?ack=signed', events, ADMIN_KEY, 'application/x-ndjson');
  expect(appended.status).toBe(200);
  await server.sign();
  expect((await server.get(`${BLOBS}/tile/0/000`)).status).toBe(200);
});

afterEach(() => expect([server.fatal, server.sizeOf('blobs'), server.sizeOf('main')]).toEqual([[], SIZE, 9]));

/** As a client can send it: what is not a visible ASCII character goes percent-encoded. */
function sendable(path: string): string {
  return path.replaceAll(/\p{Cs}/gu, '').replaceAll(/[^\x21-\x7e]/gu, encodeURIComponent);
}

async function get(path: string, key?: string): Promise<Answer> {
  const answer = await server.get(path, key);
  if (answer.status >= 500 || (answer.status >= 400 && typeof answer.json()['code'] !== 'string'))
    throw new Error(`${path} gives ${answer.status}: ${answer.text}`);
  return answer;
}

describe('paths', () => {
  /** Every tile and bundle of a tree of 300, by the names that C2SP tlog-tiles gives them. */
  const EXISTING = new Set(
    ['0', 'entries'].flatMap((level) => [
      ...Array.from({ length: 255 }, (_, i) => `tile/${level}/000.p/${i + 1}`),
      ...Array.from({ length: SIZE - 256 }, (_, i) => `tile/${level}/001.p/${i + 1}`),
      `tile/${level}/000`,
    ]),
  );
  EXISTING.add('tile/1/000.p/1');

  test('of tiles and bundles: the existing ones in their one spelling, and 404 for all else', async () => {
    const good = fc.oneof(
      fc.constantFrom(...EXISTING),
      fc.constantFrom(
        'tile/0/001',
        'tile/1/000',
        'tile/2/000.p/1',
        'tile/63/000',
        'tile/0/x001/000',
        'tile/0/x000/000',
        'tile/entries/x000/001.p/3',
        'tile/0/000.p/08',
        'tile/00/000',
        'tile/entries/x009/x007/x199/x254/x740/991',
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          good,
          altered(good).map(({ text }) => text),
        ),
        async (text) => {
          const path = sendable(text);
          // A query is allowed, and says nothing.
          const name = path.split('?')[0] as string;
          if (!name.startsWith('tile/')) return;
          const { status, json } = await get(`${BLOBS}/${path}`);
          expect([path, status]).toEqual([path, EXISTING.has(name) ? 200 : 404]);
          if (status === 404) expect(json()['code']).toBe('no_such_tile');
        },
      ),
      runs(600),
    );
  });

  test('of everything else: never a 5xx, and every refusal is a problem with a code', async () => {
    const known = [
      ...[
        '/checkpoint',
        '',
        '/tree-head',
        '/tree-heads?from=0&limit=3',
        '/proofs/7.tlog-proof',
        '/proofs/inclusion?index=7&tree_size=299',
      ],
      ...[
        '/proofs/consistency?first=3&second=300',
        '/tile/0/000',
        '/tile/entries/001.p/44',
        '/events/3',
        '/add',
        '/add-batch',
      ],
    ];
    const good = fc.oneof(
      fc.constantFrom(...known).map((path) => `${BLOBS}${path}`),
      fc.constantFrom(
        '/logs/main/events/3',
        '/logs/main/events?from=2&limit=3',
        '/healthz',
        '/readyz',
        '/admin/logs',
        '/admin/keys',
        '/',
      ),
    );
    await fc.assert(
      fc.asyncProperty(altered(good), fc.boolean(), async ({ text }, withKey) => {
        const path = sendable(text);
        if (!path.startsWith('/')) return;
        await get(path, withKey ? ADMIN_KEY : undefined);
      }),
      runs(800),
    );
  });

  test('in any bytes at all', async () => {
    const path = fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
      maxLength: 30,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(path, { minLength: 20, maxLength: 20 }), async (paths) => {
        const answers = await Promise.all(
          paths.map((each) =>
            server.raw(`GET ${BLOBS}/tile/${each} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, { timeout: 3000 }),
          ),
        );
        for (const [i, { text, closed }] of answers.entries())
          expect([paths[i], closed, text.slice(0, 10)]).toEqual([
            paths[i],
            true,
            expect.stringMatching(/^HTTP\/1\.1 [234]/),
          ]);
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });
});

describe('numbers', () => {
  const number = fc.oneof(fc.nat(SIZE + 5), fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53 - 1)).map(String);
  const text = fc
    .oneof(
      number,
      altered(number).map((both) => both.text),
      anyText,
    )
    .map((each) => each.replaceAll(/\p{Cs}/gu, ''));
  const isNumber = (each: string): boolean =>
    /^[0-9]+$/.test(each) && String(BigInt(each)) === each && BigInt(each) <= 9007199254740991n;

  test('of an inclusion proof', async () => {
    await fc.assert(
      fc.asyncProperty(text, text, async (index, treeSize) => {
        const query = `index=${encodeURIComponent(index)}&tree_size=${encodeURIComponent(treeSize)}`;
        const { status, json } = await get(`${BLOBS}/proofs/inclusion?${query}`);
        const [m, n] = [Number(index), Number(treeSize)];
        if (!isNumber(index) || !isNumber(treeSize)) expect([status, json()['code']]).toEqual([400, 'bad_parameter']);
        else if (n > SIZE) expect([status, json()['code']]).toEqual([404, 'tree_size_not_signed']);
        else if (m >= n) expect([status, json()['code']]).toEqual([400, 'bad_parameter']);
        else expect([status, json()]).toEqual([200, expect.objectContaining({ leaf_index: m, tree_size: n })]);
      }),
      runs(400),
    );
  });

  test('of a consistency proof', async () => {
    await fc.assert(
      fc.asyncProperty(text, text, async (first, second) => {
        const query = `first=${encodeURIComponent(first)}&second=${encodeURIComponent(second)}`;
        const { status, json } = await get(`${BLOBS}/proofs/consistency?${query}`);
        const [m, n] = [Number(first), Number(second)];
        if (!isNumber(first) || !isNumber(second) || m > n)
          expect([status, json()['code']]).toEqual([400, 'bad_parameter']);
        else if (n > SIZE) expect([status, json()['code']]).toEqual([404, 'tree_size_not_signed']);
        else expect([status, json()]).toEqual([200, expect.objectContaining({ first: m, second: n })]);
      }),
      runs(400),
    );
  });

  test('of a page', async () => {
    await fc.assert(
      fc.asyncProperty(text, text, async (from, limit) => {
        const query = `from=${encodeURIComponent(from)}&limit=${encodeURIComponent(limit)}`;
        const { status, json, text: body } = await get(`/logs/main/events?${query}`, ADMIN_KEY);
        if (!isNumber(from) || !isNumber(limit) || limit === '0')
          expect([status, json()['code']]).toEqual([400, 'bad_parameter']);
        else
          expect([status, body.split('\n').length - 1]).toEqual([
            200,
            Math.max(0, Math.min(9 - Number(from), Number(limit))),
          ]);
      }),
      runs(300),
    );
  });
});

test('framed entries are taken as they are framed, all or none', async () => {
  const leaves = fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(alteredBytes(leaves.map(encodeBundle)), async ({ bytes }) => {
      const before = server.sizeOf('grown');
      const { status, text } = await server.post('/logs/grown/add-batch', bytes, ADMIN_KEY, 'application/octet-stream');
      const outcome = outcomeOf(() => decodeFrames(bytes, 10_000));
      const taken = 'value' in outcome ? outcome.value : [];
      const reserved = taken.some((leaf) => leaf.length === 41 && (leaf[0] as number) < 0x20);
      if (taken.length === 0 || reserved) {
        expect([status, (JSON.parse(text) as { code: string }).code, server.sizeOf('grown')]).toEqual([
          400,
          reserved ? 'reserved_leaf_form' : 'bad_framing',
          before,
        ]);
      } else expect([status, text, server.sizeOf('grown')]).toEqual([200, String(before), before + taken.length]);
    }),
    runs(200),
  );
});
