/** Every reply of the API, member by member: scripts and other languages rely on them. What they claim is verified with proofs/. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Checkpoint, openCheckpoint } from '../../../proofs/checkpoint.ts';
import { verifyConsistency } from '../../../proofs/consistency.ts';
import { entryLeaf, verifyEntry } from '../../../proofs/entry.ts';
import { verifyInclusion } from '../../../proofs/inclusion.ts';
import { parseVerifierKey } from '../../../proofs/key.ts';
import { parseHeader } from '../../../proofs/leaf.ts';
import { parseMicros } from '../../../proofs/time.ts';
import { decodeBundle } from '../../../tree/bundles.ts';
import { concatBytes, fromBase64, fromUtf8, utf8 } from '../../../tree/bytes.ts';
import { asLeafHash, asTreeHash, emptyRoot, leafHash, nodeHash, type TreeHash } from '../../../tree/hash.ts';
import { ReferenceTree } from '../../support/reference-tree.ts';
import { ADMIN_KEY, type Answer, type Json, TestServer } from '../../support/test-server.ts';

interface LogReply {
  readonly origin: string;
  readonly verifier_key: string;
}

interface AppendedReply {
  readonly leaf_index: number;
  readonly received_at: string;
  readonly leaf_hash: string;
  readonly salt: string;
  readonly header_base64: string;
  readonly replayed: boolean;
  readonly proof?: readonly string[];
}

interface AppendReply {
  readonly ack: string;
  readonly entries: readonly AppendedReply[];
  readonly tree_size?: number;
  readonly checkpoint?: string;
}

interface EventReply {
  readonly leaf_index: number;
  readonly received_at: string;
  readonly event: unknown;
  readonly event_base64: string;
  readonly header_base64: string;
  readonly salt: string;
  readonly leaf: string;
  readonly leaf_hash: string;
  readonly tree_size: number;
  readonly proof: readonly string[];
  readonly checkpoint: string;
}

interface HeadReply {
  readonly origin: string;
  readonly tree_size: number;
  readonly root_hash: string;
  readonly timestamp: number;
  readonly checkpoint: string;
  readonly signature: string | null;
}

const HEAD_MEMBERS = ['origin', 'tree_size', 'root_hash', 'timestamp', 'checkpoint', 'signature'];

/** Nothing is signed unless a test says so, and nothing waits for long. */
const server = await TestServer.start({ publish: false, limits: { ackTimeout: 50, readTimeout: 50 } });
/** Signs on a schedule, as in real life. */
const live = await TestServer.start();

const JSON_HEADERS = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
};

/** The members of a reply that must be JSON, fresh, and of exactly its stated length. */
function jsonReply<T = Json>(answer: Answer, status = 200): T {
  expect(answer.status).toBe(status);
  expect(answer.headers).toMatchObject(JSON_HEADERS);
  expect(answer.headers['content-length']).toBe(String(answer.bytes.length));
  return answer.json<T>();
}

function problemReply(answer: Answer, status: number, code: string, more: Json = {}): void {
  expect(answer.status).toBe(status);
  expect(answer.headers).toMatchObject({ ...JSON_HEADERS, 'content-type': 'application/problem+json' });
  expect(answer.json()).toEqual({
    type: `urn:indelible:problem:${code}`,
    title: expect.stringMatching(/^[A-Z]/),
    status,
    detail: expect.stringMatching(/./),
    code,
    ...more,
  });
}

async function open(at: TestServer, log: string, note: string): Promise<Checkpoint> {
  const { verifier_key } = (await at.get(`/logs/${log}`, ADMIN_KEY)).json<LogReply>();
  return openCheckpoint(note, parseVerifierKey(verifier_key));
}

const bytesOf = (text: string): Uint8Array => fromBase64(text);
const hashes = (texts: readonly string[]): TreeHash[] => texts.map((text) => asTreeHash(fromBase64(text)));

/** Base64 of so many bytes. */
const base64 = (bytes: number): unknown => ({
  asymmetricMatch: (text: unknown) => typeof text === 'string' && fromBase64(text).length === bytes,
});
const time: unknown = {
  asymmetricMatch: (text: unknown) => typeof text === 'string' && parseMicros(text) > 1_700_000_000e6,
};

/** Checks an entry from the event's own bytes up to the signature of the head. */
async function verifyEvent(at: TestServer, log: string, reply: EventReply): Promise<void> {
  const checkpoint = await open(at, log, reply.checkpoint);
  expect(checkpoint.treeSize).toBe(reply.tree_size);
  verifyEntry({
    entry: {
      event: bytesOf(reply.event_base64),
      header: bytesOf(reply.header_base64),
      salt: bytesOf(reply.salt),
      leafIndex: reply.leaf_index,
      receivedAt: parseMicros(reply.received_at),
      leaf: bytesOf(reply.leaf),
      leafHash: bytesOf(reply.leaf_hash),
    },
    checkpoint,
    proof: hashes(reply.proof),
  });
}

const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `{"n":${from + i}}\n`).join('');
const ndjson = (at: TestServer, log: string, body: string, query = ''): Promise<Answer> =>
  at.post(`/logs/${log}/events${query}`, body, ADMIN_KEY, 'application/x-ndjson');

/** The log `tree`: 300 entries, heads at 0, 3, 7 and 300; two more entries without a head. */
beforeAll(async () => {
  await server.makeLog('tree');
  let from = 0;
  for (const to of [3, 7, 300]) {
    expect((await ndjson(server, 'tree', lines(from, to))).status).toBe(200);
    await server.sign();
    from = to;
  }
  expect((await ndjson(server, 'tree', lines(300, 302))).status).toBe(200);
});

/** Leaves of the log `tree`, from its bundles. */
async function leavesOfTree(): Promise<Uint8Array[]> {
  const full = (await server.get('/logs/tree/tile/entries/000')).bytes;
  const partial = (await server.get('/logs/tree/tile/entries/001.p/44')).bytes;
  return [...decodeBundle(full, 256), ...decodeBundle(partial, 44)];
}

describe('logs', () => {
  const MEMBERS = ['name', 'kind', 'origin', 'verifier_key', 'verifier_keys', 'tree_size', 'root_hash'];
  const SETTINGS = ['public_reads', 'id_pointer', 'status', 'frozen_at', 'deleted_at'];

  test('made, with its head of size 0, and shown', async () => {
    const made = await server.post('/admin/logs', {
      name: 'made',
      kind: 'events',
      public_reads: true,
      id_pointer: '/id',
    });
    const log = jsonReply<LogReply>(made, 201);
    expect(Object.keys(log)).toEqual([...MEMBERS, ...SETTINGS]);
    const { verifier_key } = log;
    expect(log).toEqual({
      name: 'made',
      kind: 'events',
      origin: 'test.example/logs/made',
      verifier_key: expect.stringMatching(/^test\.example\/logs\/made\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$/),
      verifier_keys: [verifier_key],
      tree_size: 0,
      root_hash: Buffer.from(emptyRoot()).toString('base64'),
      public_reads: true,
      id_pointer: '/id',
      status: 'active',
      frozen_at: null,
      deleted_at: null,
    });
    expect(parseVerifierKey(verifier_key).name).toBe('test.example/logs/made');
    expect((await server.get('/logs/made')).text).toBe(made.text);
    const note = (await server.get('/logs/made/checkpoint')).text;
    expect((await open(server, 'made', note)).treeSize).toBe(0);
  });

  test('private and without an id pointer by default', async () => {
    const log = jsonReply(await server.post('/admin/logs', { name: 'plain' }), 201);
    expect(log).toMatchObject({ kind: 'events', public_reads: false, id_pointer: null });
  });

  test('size and root are those of the newest published head, not of what is durable', async () => {
    const log = jsonReply(await server.get('/logs/tree'));
    const head = jsonReply<HeadReply>(await server.get('/logs/tree/tree-head'));
    expect(server.sizeOf('tree')).toBe(302);
    expect(log).toMatchObject({ tree_size: 300, root_hash: head.root_hash });
  });

  test('all of them', async () => {
    const { logs } = jsonReply<{ logs: Json[] }>(await server.get('/admin/logs', ADMIN_KEY));
    expect(logs.map((log) => log['name'])).toEqual(expect.arrayContaining(['main', '_system', 'tree']));
    for (const log of logs) expect(Object.keys(log)).toEqual([...MEMBERS, ...SETTINGS]);
  });
});

describe('keys', () => {
  test('made once in full, listed and revoked without their text', async () => {
    const made = jsonReply(await server.post('/admin/keys', { scope: 'append', log: 'tree', name: 'app' }), 201);
    const { key, ...listed } = made;
    expect(made).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{16}$/),
      name: 'app',
      scopes: ['append'],
      log: 'tree',
      created_at: time,
      revoked_at: null,
      key: expect.stringMatching(/^ind_[0-9a-f]{16}_[0-9a-f]{64}$/),
    });
    expect(String(key).slice(4, 20)).toBe(made['id']);
    const list = await server.get('/admin/keys', ADMIN_KEY);
    expect(jsonReply<{ keys: Json[] }>(list).keys).toContainEqual(listed);
    expect(list.text).not.toContain(String(key).slice(21));
    const revoked = jsonReply(await server.request('DELETE', `/admin/keys/${made['id']}`, { key: ADMIN_KEY }));
    expect(revoked).toEqual({ ...listed, revoked_at: time });
    const again = jsonReply(await server.request('DELETE', `/admin/keys/${made['id']}`, { key: ADMIN_KEY }));
    expect(again).toEqual(revoked);
  });

  test('a name by default, several scopes, all logs', async () => {
    const made = jsonReply(await server.post('/admin/keys', { scopes: ['read', 'append', 'read'] }), 201);
    expect(made).toMatchObject({ name: made['id'], scopes: ['read', 'append'], log: null });
  });
});

describe('append', () => {
  const ENTRY = ['leaf_index', 'received_at', 'leaf_hash', 'salt', 'header_base64', 'replayed'];

  test('durable', async () => {
    await server.makeLog('durable');
    const text = '{"hello":"world"}';
    const key = await server.makeKey(['append'], { log: 'durable' });
    const reply = jsonReply<AppendReply>(await server.post('/logs/durable/events', ` ${text}\r\n`, key));
    expect(Object.keys(reply)).toEqual(['ack', 'entries']);
    expect(reply.entries.map(Object.keys)).toEqual([ENTRY]);
    expect(reply).toEqual({
      ack: 'durable',
      entries: [
        {
          leaf_index: 0,
          received_at: time,
          leaf_hash: base64(32),
          salt: base64(32),
          header_base64: expect.any(String),
          replayed: false,
        },
      ],
    });
    const [entry] = reply.entries as [AppendedReply];
    const header = bytesOf(entry.header_base64);
    expect(parseHeader(header)).toEqual({ by: key.slice(4, 20), via: 'events' });
    const leaf = entryLeaf(
      {
        event: utf8(text),
        header,
        salt: bytesOf(entry.salt),
        leafIndex: 0,
        receivedAt: parseMicros(entry.received_at),
      },
      'test.example/logs/durable',
    );
    expect(leafHash(leaf)).toEqual(bytesOf(entry.leaf_hash));
  });

  test('the id pointer stands in the header where it found an id, and nowhere else', async () => {
    await server.makeLog('pointers');
    const answer = await ndjson(server, 'pointers', '{"id":"a"}\n{"no":1}\n', '?id_pointer=/id');
    const headers = jsonReply<AppendReply>(answer).entries.map((e) => parseHeader(bytesOf(e.header_base64)));
    expect(headers.map((header) => header.id_pointer)).toEqual(['/id', undefined]);
  });

  test('signed: all entries of the reply under one checkpoint, each with its proof', async () => {
    await live.makeLog('signed');
    await ndjson(live, 'signed', lines(0, 5));
    const reply = jsonReply<AppendReply>(await ndjson(live, 'signed', lines(5, 9), '?ack=signed'));
    expect(Object.keys(reply)).toEqual(['ack', 'entries', 'tree_size', 'checkpoint']);
    expect(reply).toMatchObject({ ack: 'signed', tree_size: 9 });
    const checkpoint = await open(live, 'signed', reply.checkpoint as string);
    expect(checkpoint.treeSize).toBe(9);
    for (const [i, entry] of reply.entries.entries()) {
      expect(Object.keys(entry)).toEqual([...ENTRY, 'proof']);
      expect(entry.leaf_index).toBe(5 + i);
      verifyEntry({
        entry: {
          event: utf8(`{"n":${5 + i}}`),
          header: bytesOf(entry.header_base64),
          salt: bytesOf(entry.salt),
          leafIndex: entry.leaf_index,
          receivedAt: parseMicros(entry.received_at),
          leafHash: bytesOf(entry.leaf_hash),
        },
        checkpoint,
        proof: hashes(entry.proof as string[]),
      });
    }
    // A replay gets the proof of its first entry.
    await ndjson(live, 'signed', '{"id":1}', '?id_pointer=/id&ack=signed');
    const replay = jsonReply<AppendReply>(await ndjson(live, 'signed', '{"id":1}', '?id_pointer=/id&ack=signed'));
    expect(replay).toMatchObject({ ack: 'signed', tree_size: 10, entries: [{ leaf_index: 9, replayed: true }] });
    expect(replay.entries[0]?.proof?.length).toBeGreaterThan(0);
  });

  test('signed asked for, durable reached: 200, and the reply says so', async () => {
    await server.makeLog('late');
    const reply = jsonReply<AppendReply>(await server.post('/logs/late/events?ack=signed', { a: 1 }));
    expect(Object.keys(reply)).toEqual(['ack', 'entries']);
    expect(reply.ack).toBe('durable');
    expect(reply.entries.map(Object.keys)).toEqual([ENTRY]);
    expect(jsonReply<AppendReply>(await server.post('/logs/late/events?ack=durable', { a: 2 })).ack).toBe('durable');
  });
});

describe('one event', () => {
  test('with its proof under the newest head', async () => {
    for (const leafIndex of [0, 6, 7, 255, 256, 299]) {
      const answer = await server.get(`/logs/tree/events/${leafIndex}`, ADMIN_KEY);
      const reply = jsonReply<EventReply>(answer);
      expect(Object.keys(reply)).toEqual([
        'leaf_index',
        'received_at',
        'event',
        'event_base64',
        'header_base64',
        'salt',
        'leaf',
        'leaf_hash',
        'tree_size',
        'proof',
        'checkpoint',
      ]);
      expect(reply).toMatchObject({
        leaf_index: leafIndex,
        received_at: time,
        event: { n: leafIndex },
        salt: base64(32),
        leaf: base64(41),
        leaf_hash: base64(32),
        tree_size: 300,
      });
      await verifyEvent(server, 'tree', reply);
      expect(answer.headers).not.toHaveProperty('etag');
    }
  });

  test('not there, or not signed yet', async () => {
    problemReply(await server.get('/logs/tree/events/302', ADMIN_KEY), 404, 'no_such_entry');
    const unsigned = await server.get('/logs/tree/events/301', ADMIN_KEY);
    problemReply(unsigned, 503, 'not_signed_yet');
    expect(unsigned.headers['retry-after']).toBe('1');
  });

  test('durable but unsigned waits for its head', async () => {
    await live.makeLog('waits');
    await live.post('/logs/waits/events', { a: 1 });
    await verifyEvent(live, 'waits', jsonReply<EventReply>(await live.get('/logs/waits/events/0', ADMIN_KEY)));
  });
});

describe('the text of an event', () => {
  const TEXTS: readonly (readonly [name: string, text: string])[] = [
    ['pretty-printed', '{\n  "a": [\n    1,\n    2\n  ],\n  "b": {}\n}'],
    ['pretty-printed with CRLF', '{\r\n\t"a":\r\n1}'],
    ['escapes', '{"a\\u0041":"\\n\\r\\t\\b\\f\\"\\\\\\/\\u0000\\u001f\\u007f"}'],
    ['a pair of escapes', '{"a":"\\ud83d\\ude00"}'],
    ['unicode', '{"é":"日本語 \u{1f600} \u00a0\u0301"}'],
    ['line separators and a byte order mark inside', '{"a":"\u2028\u2029\u0085\ufeff"}'],
    ['DEL and C1', '{"a":"\u007f\u0080\u009f"}'],
    ['numbers as they are', '{"a":1.0,"b":1e2,"c":-0,"d":1E+2,"e":9007199254740991,"f":0.1000}'],
    ['white space between', '{ "a" :\t1 , "b" : [ ] }'],
    ['names of JavaScript', '{"__proto__":{"x":1},"constructor":2,"toString":3,"":4}'],
    ['markup', '{"a":"</script><!--&amp;"}'],
    ['an empty object', '{}'],
    ['what looks like a reply', '{"event_base64":"AAAA","leaf_index":99}'],
  ];

  beforeAll(async () => {
    await live.makeLog('texts');
    for (const [i, [, text]] of TEXTS.entries()) {
      const query = i === TEXTS.length - 1 ? '?ack=signed' : '';
      expect((await live.post(`/logs/texts/events${query}`, `\r\n\t ${text} \n`)).status).toBe(200);
    }
  });

  test.each(TEXTS.map(([name, text], i) => [name, text, i] as const))('%s', async (_name, text, i) => {
    const answer = await live.get(`/logs/texts/events/${i}`, ADMIN_KEY);
    const reply = jsonReply<EventReply>(answer);
    expect(answer.text).toContain(`"event":${text},"event_base64"`);
    expect(fromUtf8(bytesOf(reply.event_base64))).toBe(text);
    expect(reply.event).toEqual(JSON.parse(text));
    await verifyEvent(live, 'texts', reply);

    const list = await live.get(`/logs/texts/events?from=${i}&limit=1`, ADMIN_KEY);
    expect(list.text.split('\n')).toHaveLength(2);
    expect(list.text).toContain(`"event":${text.replaceAll(/[\r\n]/g, ' ')},"event_base64"`);
    const line = list.json<EventReply>();
    expect(line.event_base64).toBe(reply.event_base64);
    expect(line.event).toEqual(reply.event);
  });

  test('of a batch with CRLF and blank lines', async () => {
    await live.makeLog('crlf');
    expect((await ndjson(live, 'crlf', '\r\n{"a":1}\r\n\n \t\n{"a":2} \r\n{"a":3}', '?ack=signed')).status).toBe(200);
    const list = await live.get('/logs/crlf/events', ADMIN_KEY);
    const events = list.text
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as EventReply).event_base64);
    expect(events.map((text) => fromUtf8(bytesOf(text)))).toEqual(['{"a":1}', '{"a":2}', '{"a":3}']);
  });
});

describe('a list of events', () => {
  const list = async (query: string, log = 'tree', at = server): Promise<EventReply[]> => {
    const answer = await at.get(`/logs/${log}/events${query}`, ADMIN_KEY);
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({ ...JSON_HEADERS, 'content-type': 'application/x-ndjson' });
    expect(answer.text === '' || answer.text.endsWith('\n')).toBe(true);
    return answer.text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as EventReply);
  };
  const indexes = async (query: string, log?: string, at?: TestServer): Promise<[number, number, number]> => {
    const entries = await list(query, log, at);
    return [entries.length, entries[0]?.leaf_index ?? -1, entries.at(-1)?.leaf_index ?? -1];
  };

  test('each line is the event without proof and checkpoint', async () => {
    const [line] = await list('?from=7&limit=1');
    const one = (await server.get('/logs/tree/events/7', ADMIN_KEY)).json<EventReply>();
    const { proof: _proof, checkpoint: _checkpoint, ...rest } = one;
    expect(line).toEqual(rest);
    expect(Object.keys(line as EventReply)).toEqual(Object.keys(rest));
  });

  test('100 by default, as many as are signed, none left', async () => {
    expect(await indexes('')).toEqual([100, 0, 99]);
    expect(await indexes('?limit=3')).toEqual([3, 0, 2]);
    expect(await indexes('?from=250')).toEqual([50, 250, 299]);
    expect(await indexes('?from=255&limit=2')).toEqual([2, 255, 256]);
    expect(await indexes('?from=299&limit=1000')).toEqual([1, 299, 299]);
    expect(await indexes('?from=302')).toEqual([0, -1, -1]);
    expect(await indexes(`?from=${Number.MAX_SAFE_INTEGER}&limit=${Number.MAX_SAFE_INTEGER}`)).toEqual([0, -1, -1]);
    for (const { tree_size } of await list('?from=298')) expect(tree_size).toBe(300);
    const empty = await server.get('/logs/tree/events?from=302', ADMIN_KEY);
    expect([empty.status, empty.text, empty.headers['content-length']]).toEqual([200, '', '0']);
  });

  test('from an unsigned entry: waits, then 503', async () => {
    problemReply(await server.get('/logs/tree/events?from=300', ADMIN_KEY), 503, 'not_signed_yet');
    await live.makeLog('waiting-list');
    await ndjson(live, 'waiting-list', lines(0, 3));
    expect(await indexes('?from=2', 'waiting-list', live)).toEqual([1, 2, 2]);
  });

  test('at most 1,000', async () => {
    await live.makeLog('long');
    await ndjson(live, 'long', lines(0, 1100), '?ack=signed');
    expect(await indexes('?limit=1000', 'long', live)).toEqual([1000, 0, 999]);
    expect(await indexes('?limit=1001', 'long', live)).toEqual([1000, 0, 999]);
    expect(await indexes('?limit=999999999', 'long', live)).toEqual([1000, 0, 999]);
    expect(await indexes('?from=1000&limit=1000', 'long', live)).toEqual([100, 1000, 1099]);
  });

  test('ends early after some megabytes, and goes on at the last index + 1', async () => {
    await live.makeLog('large');
    const text = `{"a":"${'x'.repeat(1_048_576 - 8)}"}`;
    for (let i = 0; i < 6; i++) expect((await live.post('/logs/large/events?ack=signed', text)).status).toBe(200);
    const seen: number[] = [];
    while (seen.length < 6) {
      const page = await list(`?from=${seen.length}`, 'large', live);
      expect(page.length).toBeGreaterThan(0);
      expect(page.length).toBeLessThan(6);
      seen.push(...page.map(({ leaf_index }) => leaf_index));
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

describe('heads', () => {
  test('the newest, as a note and as JSON', async () => {
    const note = await server.get('/logs/tree/checkpoint');
    expect(note.status).toBe(200);
    expect(note.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
    });
    const checkpoint = await open(server, 'tree', note.text);
    expect(checkpoint.treeSize).toBe(300);
    const head = jsonReply<HeadReply>(await server.get('/logs/tree/tree-head'));
    expect(Object.keys(head)).toEqual(HEAD_MEMBERS);
    expect(head).toEqual({
      origin: 'test.example/logs/tree',
      tree_size: 300,
      root_hash: Buffer.from(checkpoint.rootHash).toString('base64'),
      timestamp: expect.any(Number),
      checkpoint: note.text,
      signature: expect.stringMatching(/^CAcAQ/),
    });
    expect(Number.isSafeInteger(head.timestamp)).toBe(true);
    expect(Math.abs(head.timestamp - Date.now())).toBeLessThan(60_000);
  });

  test('the checkpoint has an ETag that changes with it', async () => {
    await live.makeLog('etag');
    const first = await live.get('/logs/etag/checkpoint');
    const etag = first.headers.etag as string;
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    const ask = (tag: string): Promise<Answer> =>
      live.request('GET', '/logs/etag/checkpoint', { headers: { 'if-none-match': tag } });
    for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const same = await ask(tag);
      expect([same.status, same.text, same.headers.etag]).toEqual([304, '', etag]);
      expect(same.headers).not.toHaveProperty('content-length');
      expect(same.headers['access-control-allow-origin']).toBe('*');
    }
    expect((await ask('"x"')).status).toBe(200);
    expect((await ask(etag.slice(1, -1))).status).toBe(200);
    await live.post('/logs/etag/events?ack=signed', { a: 1 });
    const second = await ask(etag);
    expect(second.status).toBe(200);
    expect(second.headers.etag).not.toBe(etag);
  });

  test('their history in pages', async () => {
    const page = async (query: string): Promise<[number[], unknown]> => {
      const reply = jsonReply<{ tree_heads: HeadReply[]; next: unknown }>(
        await server.get(`/logs/tree/tree-heads${query}`),
      );
      expect(Object.keys(reply)).toEqual(['tree_heads', 'next']);
      for (const head of reply.tree_heads) {
        expect(Object.keys(head)).toEqual(HEAD_MEMBERS);
        const checkpoint = await open(server, 'tree', head.checkpoint);
        expect([checkpoint.origin, checkpoint.treeSize]).toEqual([head.origin, head.tree_size]);
        expect(checkpoint.rootHash).toEqual(asTreeHash(bytesOf(head.root_hash)));
      }
      return [reply.tree_heads.map(({ tree_size }) => tree_size), reply.next];
    };
    expect(await page('')).toEqual([[0, 3, 7, 300], null]);
    expect(await page('?limit=2')).toEqual([[0, 3], 7]);
    expect(await page('?from=7&limit=2')).toEqual([[7, 300], null]);
    expect(await page('?from=4&limit=1')).toEqual([[7], 300]);
    expect(await page('?from=300')).toEqual([[300], null]);
    expect(await page('?from=301')).toEqual([[], null]);
    expect(await page('?limit=5000')).toEqual([[0, 3, 7, 300], null]);
  });

  test('one that is stored but not published yet is nobody’s', async () => {
    const log = server.started.server.log('tree');
    if (log === undefined) throw new Error('there is no log tree');
    const { published } = log;
    const [, , earlier] = await server.started.server.heads(log, 0, 10);
    if (earlier === undefined) throw new Error('there is no third head');
    log.published = earlier;
    try {
      const { tree_heads, next } = (await server.get('/logs/tree/tree-heads')).json<{
        tree_heads: Json[];
        next: null;
      }>();
      expect([tree_heads.map((head) => head['tree_size']), next]).toEqual([[0, 3, 7], null]);
    } finally {
      log.published = published;
    }
  });
});

describe('proofs', () => {
  interface InclusionReply {
    readonly leaf_hash: string;
    readonly tree_size: number;
    readonly root_hash: string;
    readonly proof: readonly string[];
    readonly checkpoint: string | null;
  }

  test('of inclusion, at every size up to the newest signed one', async () => {
    const leaves = await leavesOfTree();
    const sizes: readonly (readonly [leafIndex: number, treeSize: number, signed: boolean])[] = [
      [0, 1, false],
      [2, 3, true],
      [6, 7, true],
      [4, 6, false],
      [7, 256, false],
      [255, 257, false],
      [299, 300, true],
    ];
    for (const [leafIndex, treeSize, signed] of sizes) {
      const answer = await server.get(`/logs/tree/proofs/inclusion?index=${leafIndex}&tree_size=${treeSize}`);
      const reply = jsonReply<InclusionReply>(answer);
      expect(Object.keys(reply)).toEqual(['leaf_index', 'leaf_hash', 'tree_size', 'root_hash', 'proof', 'checkpoint']);
      expect(reply).toMatchObject({ leaf_index: leafIndex, tree_size: treeSize });
      const hash = leafHash(leaves[leafIndex] as Uint8Array);
      expect(bytesOf(reply.leaf_hash)).toEqual(hash);
      const rootHash = asTreeHash(bytesOf(reply.root_hash));
      expect(rootHash).toEqual(new ReferenceTree(leaves).root(treeSize));
      verifyInclusion({ leafHash: asLeafHash(hash), leafIndex, treeSize, rootHash, proof: hashes(reply.proof) });
      if (signed) expect((await open(server, 'tree', reply.checkpoint as string)).treeSize).toBe(treeSize);
      else expect(reply.checkpoint).toBeNull();
    }
  });

  test('of inclusion, by default under the newest head', async () => {
    const reply = jsonReply<InclusionReply>(await server.get('/logs/tree/proofs/inclusion?index=7'));
    expect(reply.tree_size).toBe(300);
    expect((await open(server, 'tree', reply.checkpoint as string)).treeSize).toBe(300);
  });

  test('of inclusion beyond what is there', async () => {
    const ask = (query: string): Promise<Answer> => server.get(`/logs/tree/proofs/inclusion?${query}`);
    problemReply(await ask('index=0&tree_size=301'), 404, 'tree_size_not_signed', { tree_size: 300 });
    problemReply(await ask('index=300'), 400, 'bad_parameter', { tree_size: 300 });
    problemReply(await ask('index=7&tree_size=7'), 400, 'bad_parameter', { tree_size: 7 });
    problemReply(await ask('index=0&tree_size=0'), 400, 'bad_parameter', { tree_size: 0 });
    problemReply(await server.get('/logs/main/proofs/inclusion?index=0'), 400, 'bad_parameter', { tree_size: 0 });
  });

  test('of consistency', async () => {
    const leaves = await leavesOfTree();
    const reference = new ReferenceTree(leaves);
    const root = (size: number): TreeHash => reference.root(size);
    for (const [first, second] of [
      [3, 7],
      [1, 300],
      [4, 256],
      [256, 257],
      [255, 300],
      [299, 300],
    ] as const) {
      const answer = await server.get(`/logs/tree/proofs/consistency?first=${first}&second=${second}`);
      const reply = jsonReply<{ proof: string[] }>(answer);
      expect(Object.keys(reply)).toEqual(['first', 'second', 'proof']);
      expect(reply).toMatchObject({ first, second });
      const proof = hashes(reply.proof);
      verifyConsistency({ first, second, firstRoot: root(first), secondRoot: root(second), proof });
    }
    for (const [first, second] of [
      [0, 0],
      [0, 300],
      [300, 300],
    ]) {
      const answer = await server.get(`/logs/tree/proofs/consistency?first=${first}&second=${second}`);
      expect(jsonReply(answer)).toEqual({ first, second, proof: [] });
    }
  });

  test('of consistency beyond what is there', async () => {
    const ask = (query: string): Promise<Answer> => server.get(`/logs/tree/proofs/consistency?${query}`);
    problemReply(await ask('first=4&second=3'), 400, 'bad_parameter');
    problemReply(await ask('first=3&second=301'), 404, 'tree_size_not_signed', { tree_size: 300 });
    problemReply(await ask('first=0&second=301'), 404, 'tree_size_not_signed', { tree_size: 300 });
    problemReply(await ask('first=302&second=301'), 400, 'bad_parameter');
  });
});

describe('tiles and bundles', () => {
  test('hold the leaves, their hashes and the nodes above', async () => {
    const leaves = await leavesOfTree();
    for (const [i, leaf] of leaves.entries()) expect(leaf.length === 41 && leaf[0] === 1 ? 'ok' : i).toBe('ok');
    const level0 = leaves.map(leafHash);
    expect((await server.get('/logs/tree/tile/0/000')).bytes).toEqual(concatBytes(...level0.slice(0, 256)));
    expect((await server.get('/logs/tree/tile/0/001.p/44')).bytes).toEqual(concatBytes(...level0.slice(256)));
    const root = new ReferenceTree(leaves).root(256);
    expect((await server.get('/logs/tree/tile/1/000.p/1')).bytes).toEqual(Uint8Array.from(root));
    const left = new ReferenceTree(leaves.slice(256)).root(44);
    expect(asTreeHash(bytesOf((await server.get('/logs/tree')).json<HeadReply>().root_hash))).toEqual(
      nodeHash(root, left),
    );
  });

  test('of any width within the signed size', async () => {
    const full = (await server.get('/logs/tree/tile/0/000')).bytes;
    const partial = (await server.get('/logs/tree/tile/0/001.p/44')).bytes;
    const bundle = (await server.get('/logs/tree/tile/entries/001.p/44')).bytes;
    for (const width of [1, 2, 17, 44]) {
      expect((await server.get(`/logs/tree/tile/0/000.p/${width}`)).bytes).toEqual(full.slice(0, width * 32));
      expect((await server.get(`/logs/tree/tile/0/001.p/${width}`)).bytes).toEqual(partial.slice(0, width * 32));
      expect((await server.get(`/logs/tree/tile/entries/001.p/${width}`)).bytes).toEqual(bundle.slice(0, width * 43));
    }
    expect((await server.get('/logs/tree/tile/0/000.p/255')).status).toBe(200);
    expect((await server.get('/logs/tree/tile/entries/000.p/255')).bytes.length).toBe(255 * 43);
    expect((await server.get('/logs/tree/tile/entries/000')).bytes.length).toBe(11_008);
  });

  test.each([
    // Beyond the signed size of 300, though two more entries are durable.
    'tile/0/001.p/45',
    'tile/0/001.p/46',
    'tile/entries/001.p/45',
    'tile/entries/001.p/46',
    'tile/0/001',
    'tile/0/002.p/1',
    'tile/entries/001',
    'tile/1/000',
    'tile/1/000.p/2',
    'tile/1/001.p/1',
    'tile/2/000.p/1',
    'tile/63/000.p/1',
    'tile/0/x007/199/254',
    'tile/0/x009/x007/x199/x254/x740/991',
    'tile/0/x999/x999/x999/x999/x999/999',
  ])('404: %s', async (path) => {
    const answer = await server.get(`/logs/tree/${path}`);
    problemReply(answer, 404, 'no_such_tile');
    expect(answer.headers).not.toHaveProperty('etag');
  });

  test('of an empty log: nothing', async () => {
    for (const path of ['tile/0/000', 'tile/0/000.p/1', 'tile/entries/000', 'tile/entries/000.p/1', 'tile/1/000.p/1'])
      problemReply(await server.get(`/logs/main/${path}`), 404, 'no_such_tile');
  });

  test('query parameters of checkpoint and tiles are nobody’s business', async () => {
    for (const path of ['checkpoint', 'tile/0/000']) {
      expect((await server.get(`/logs/tree/${path}?v=1&v=2&%zz`)).bytes).toEqual(
        (await server.get(`/logs/tree/${path}`)).bytes,
      );
    }
  });
});

describe('caching and origins', () => {
  const OCTETS = 'application/octet-stream';
  const IMMUTABLE = 'max-age=31536000, immutable';
  const headersOf = ({ headers }: Answer): unknown[] => [
    headers['content-type'],
    headers['cache-control'],
    headers['access-control-allow-origin'],
    headers.vary,
  ];

  beforeAll(async () => {
    await live.makeLog('secret', { publicReads: false });
    await ndjson(live, 'secret', lines(0, 3), '?ack=signed');
  });

  test.each([
    ['checkpoint', 'text/plain; charset=utf-8', 'no-store', false],
    ['tree-head', 'application/json', 'no-store', false],
    ['tree-heads', 'application/json', 'no-store', false],
    ['proofs/inclusion?index=0', 'application/json', 'no-store', false],
    ['proofs/consistency?first=1&second=3', 'application/json', 'no-store', false],
    ['tile/0/000.p/3', OCTETS, IMMUTABLE, true],
    ['tile/entries/000.p/3', OCTETS, IMMUTABLE, true],
  ])('%s', async (path, type, control, immutable) => {
    const open = await server.get(`/logs/tree/${path}`);
    // Heads and proofs have a protobuf form, tree-heads and checkpoints have not.
    const vary = /^(?:proofs|tree-head$)/.test(path) ? 'Accept' : undefined;
    expect(headersOf(open)).toEqual([type, immutable ? `public, ${control}` : control, '*', vary]);
    const closed = await live.get(`/logs/secret/${path}`, ADMIN_KEY);
    expect(headersOf(closed)).toEqual([
      type,
      immutable ? `private, ${control}` : control,
      undefined,
      immutable ? 'Authorization' : vary,
    ]);
    const { etag } = closed.headers;
    if (etag !== undefined) {
      const same = await live.request('GET', `/logs/secret/${path}`, {
        key: ADMIN_KEY,
        headers: { 'if-none-match': etag },
      });
      expect(same.status).toBe(304);
      expect(headersOf(same)).toEqual(headersOf(closed));
    }
  });

  test('errors of public reads may be read by any page, and no cache keeps them', async () => {
    for (const path of ['tile/0/000.p/0', 'proofs/inclusion?index=x', 'proofs/consistency?first=1&second=999']) {
      const { headers } = await server.get(`/logs/tree/${path}`);
      expect([headers['access-control-allow-origin'], headers['cache-control']]).toEqual(['*', 'no-store']);
    }
  });

  test.each([
    '/logs/tree/events',
    '/logs/tree/events/0',
    '/admin/logs',
    '/admin/keys',
    '/healthz',
    '/readyz',
    '/metrics',
    '/',
  ])('no other origin reads %s', async (path) => {
    for (const key of [undefined, ADMIN_KEY])
      expect((await server.get(path, key)).headers).not.toHaveProperty('access-control-allow-origin');
  });

  test.each([
    '/logs/tree',
    '/logs/tree/checkpoint',
    '/logs/tree/tree-head',
    '/logs/tree/tree-heads',
    '/logs/tree/proofs/inclusion?index=0',
    '/logs/tree/proofs/consistency?first=1&second=3',
    '/logs/tree/tile/0/000',
    '/logs/tree/tile/entries/000',
    '/logs/tree/tile/0/002',
    '/logs/tree/events?limit=2',
    '/logs/tree/events/0',
    '/logs/nothing',
    '/healthz',
    '/readyz',
    '/nothing',
  ])('HEAD %s', async (path) => {
    const got = await server.get(path, ADMIN_KEY);
    const head = await server.request('HEAD', path, { key: ADMIN_KEY });
    const { date: _1, ...headers } = head.headers;
    const { date: _2, ...expected } = got.headers;
    expect([head.status, head.bytes.length]).toEqual([got.status, 0]);
    expect(headers).toEqual(expected);
  });
});

describe('the server itself', () => {
  test('lives, is ready, and counts', async () => {
    const text = (answer: Answer): unknown[] => [answer.status, answer.headers['content-type'], answer.text];
    expect(text(await server.get('/healthz'))).toEqual([200, 'text/plain; charset=utf-8', 'ok\n']);
    expect(text(await server.get('/readyz'))).toEqual([200, 'text/plain; charset=utf-8', 'ready\n']);
    const metrics = await server.get('/metrics');
    expect([metrics.status, metrics.headers['content-type']]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ]);
    expect(metrics.text).toMatch(/^indelible_http_requests_total\{.*route="\/logs\/:log\/checkpoint"/m);
    // No label names a log or a path that somebody asked for.
    expect(metrics.text).not.toMatch(/tree"|secret|passwd/);
  });

  test('says nothing about what it is made of', async () => {
    for (const path of ['/healthz', '/nothing', '/logs/tree'])
      for (const name of ['server', 'x-powered-by']) expect((await server.get(path)).headers).not.toHaveProperty(name);
  });

  test('sets the clock right on demand', async () => {
    const reply = jsonReply(await server.request('POST', '/admin/clock', { key: ADMIN_KEY }));
    expect(Object.keys(reply)).toEqual(['step_microseconds']);
  });

  test('has stopped for nothing', () => {
    expect([server.fatal, live.fatal]).toEqual([[], []]);
  });
});
