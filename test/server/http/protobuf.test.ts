/** The protobuf form of the API: the same things as the JSON says, chosen by Accept; requests within the same limits, errors the same. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import protobuf from 'protobufjs';
import { openCheckpoint } from '../../../proofs/checkpoint.ts';
import { verifyEntry } from '../../../proofs/entry.ts';
import { parseVerifierKey, type VerifierKey } from '../../../proofs/key.ts';
import { parseMicros } from '../../../proofs/time.ts';
import { verifyTreeHeadSignature } from '../../../proofs/tree-head-signature.ts';
import { utf8 } from '../../../tree/bytes.ts';
import { asTreeHash } from '../../../tree/hash.ts';
import { ROOT } from '../../support/spawn-server.ts';
import { ADMIN_KEY, type Answer, type Json, type Send, TestServer } from '../../support/test-server.ts';

const PROTOBUF = 'application/x-protobuf';
const LIMITS = { maxEvents: 20, maxEventSize: 1000, maxBodySize: 10_000 };
const server = await TestServer.start({ limits: LIMITS });
const quiet = await TestServer.start({ publish: false, limits: { ackTimeout: 0 } });
const schema = protobuf.loadSync(join(ROOT, 'proto/indelible.proto'));

/** A message as the schema decodes it, absent members as their defaults, numbers as numbers. */
function decode(name: string, bytes: Uint8Array): Json {
  const type = schema.lookupType(`indelible.v1.${name}`);
  return type.toObject(type.decode(bytes), { longs: Number, defaults: true, arrays: true }) as Json;
}

function request(...events: readonly (string | Uint8Array)[]): Uint8Array {
  const type = schema.lookupType('indelible.v1.AppendRequest');
  return type.encode({ events: events.map((event) => (typeof event === 'string' ? utf8(event) : event)) }).finish();
}

const base64 = (value: unknown): string => Buffer.from(value as Uint8Array).toString('base64');
const base64s = (value: unknown): string[] => (value as Uint8Array[]).map(base64);

function send(path: string, body: Uint8Array, more: Send = {}): Promise<Answer> {
  const headers = { 'content-type': PROTOBUF, ...more.headers };
  return server.request('POST', path, { key: ADMIN_KEY, ...more, headers, body });
}

const ask = (path: string, accept: string): Promise<Answer> =>
  server.request('GET', path, { key: ADMIN_KEY, headers: { accept } });

/** The protobuf and the JSON form of one resource, with the headers that both must have. */
async function both(path: string, name: string): Promise<readonly [message: Json, json: Json]> {
  const message = await ask(path, PROTOBUF);
  const json = await ask(path, 'application/json');
  for (const [answer, type] of [
    [message, PROTOBUF],
    [json, 'application/json'],
  ] as const) {
    expect([path, answer.status, answer.headers['content-type']]).toEqual([path, 200, type]);
    expect(answer.headers).toMatchObject({
      vary: 'Accept',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
  }
  return [decode(name, message.bytes), json.json()];
}

let key: VerifierKey;

beforeAll(async () => {
  await server.makeLog('log');
  await quiet.makeLog('log');
  key = parseVerifierKey((await server.get('/logs/log')).json<{ verifier_key: string }>().verifier_key);
  const events = Array.from({ length: 9 }, (_, i) => `{"n":${i}}`);
  expect((await send('/logs/log/events?ack=signed', request(...events))).status).toBe(200);
});

describe('replies say what the JSON says', () => {
  test('GET events/7, which verifies', async () => {
    const [message, json] = await both('/logs/log/events/7', 'Entry');
    expect({
      leaf_index: message['leafIndex'],
      received_at: message['receivedAt'],
      event_base64: base64(message['event']),
      header_base64: base64(message['header']),
      salt: base64(message['salt']),
      leaf: base64(message['leaf']),
      leaf_hash: base64(message['leafHash']),
      tree_size: message['treeSize'],
      proof: base64s(message['proof']),
      checkpoint: message['checkpoint'],
    }).toEqual({ ...json, event: undefined, received_at: parseMicros(json['received_at'] as string) });
    const checkpoint = openCheckpoint(message['checkpoint'] as string, key);
    const entry = message as unknown as Parameters<typeof verifyEntry>[0]['entry'];
    const proof = (message['proof'] as Uint8Array[]).map((hash) => asTreeHash(new Uint8Array(hash)));
    verifyEntry({ entry, checkpoint, proof });
  });

  test('GET tree-head, whose signature is over its time in milliseconds', async () => {
    const [message, json] = await both('/logs/log/tree-head', 'SignedTreeHead');
    expect({
      origin: message['origin'],
      tree_size: message['treeSize'],
      root_hash: base64(message['rootHash']),
      timestamp: (message['timestamp'] as number) / 1000,
      checkpoint: message['checkpoint'],
      signature: base64(message['signature']),
    }).toEqual(json);
    const { treeSize, rootHash, timestamp, signature } = message as unknown as {
      treeSize: number;
      rootHash: Uint8Array;
      timestamp: number;
      signature: Uint8Array;
    };
    const head = { treeSize, rootHash: asTreeHash(new Uint8Array(rootHash)), timestamp: timestamp / 1000 };
    verifyTreeHeadSignature(new Uint8Array(signature), head, key);
  });

  test.each(['index=7', 'index=7&tree_size=8', 'index=0&tree_size=1'])('GET proofs/inclusion?%s', async (query) => {
    const [message, json] = await both(`/logs/log/proofs/inclusion?${query}`, 'InclusionProof');
    expect({
      leaf_index: message['leafIndex'],
      leaf_hash: base64(message['leafHash']),
      tree_size: message['treeSize'],
      root_hash: base64(message['rootHash']),
      proof: base64s(message['proof']),
      checkpoint: message['checkpoint'] === '' ? null : message['checkpoint'],
    }).toEqual(json);
  });

  test.each(['first=3&second=9', 'first=0&second=9', 'first=9&second=9'])(
    'GET proofs/consistency?%s',
    async (query) => {
      const [message, json] = await both(`/logs/log/proofs/consistency?${query}`, 'ConsistencyProof');
      expect({ ...message, proof: base64s(message['proof']) }).toEqual(json);
    },
  );

  test('POST events, durable and signed', async () => {
    await server.makeLog('append', { idPointer: '/id' });
    const body = request('{"id":1}', ' {"id": 2}\n');
    const accept = { accept: PROTOBUF };
    const first = await send('/logs/append/events', body, { headers: accept });
    expect([first.status, first.headers['content-type'], first.headers.vary]).toEqual([200, PROTOBUF, 'Accept']);
    const durable = decode('AppendReply', first.bytes);
    expect(durable).toMatchObject({ ack: 'durable', treeSize: 0, checkpoint: '' });
    const again = decode(
      'AppendReply',
      (await send('/logs/append/events?ack=signed', body, { headers: accept })).bytes,
    );
    const json = (await send('/logs/append/events?ack=signed', body)).json<{ entries: Json[] }>();
    expect(again).toMatchObject({ ack: 'signed', treeSize: 2 });
    const rendered = (again['entries'] as Json[]).map((entry) => ({
      leaf_index: entry['leafIndex'],
      received_at: entry['receivedAt'],
      leaf_hash: base64(entry['leafHash']),
      salt: base64(entry['salt']),
      header_base64: base64(entry['header']),
      replayed: entry['replayed'],
      proof: base64s(entry['proof']),
    }));
    expect({ ack: 'signed', entries: rendered, tree_size: again['treeSize'], checkpoint: again['checkpoint'] }).toEqual(
      {
        ...json,
        entries: json.entries.map((entry) => ({ ...entry, received_at: parseMicros(entry['received_at'] as string) })),
      },
    );
    // Appended once, and the first answer was the same but for the proofs.
    expect(durable['entries']).toEqual(
      (again['entries'] as Json[]).map((entry) => ({ ...entry, replayed: false, proof: [] })),
    );
    const stored = (await ask('/logs/append/events/1', 'application/json')).json<{ event_base64: string }>();
    expect(Buffer.from(stored.event_base64, 'base64').toString()).toBe('{"id": 2}');
    openCheckpoint(
      again['checkpoint'] as string,
      parseVerifierKey((await server.get('/logs/append')).json<{ verifier_key: string }>().verifier_key),
    );
  });

  test('what is durable and not signed in time is answered as durable', async () => {
    const headers = { 'content-type': PROTOBUF, accept: PROTOBUF };
    const sent = { key: ADMIN_KEY, headers, body: request('{"a":1}') };
    const reply = await quiet.request('POST', '/logs/log/events?ack=signed', sent);
    expect([reply.status, decode('AppendReply', reply.bytes)]).toEqual([
      200,
      expect.objectContaining({ ack: 'durable', checkpoint: '', entries: [expect.objectContaining({ leafIndex: 0 })] }),
    ]);
  });

  test('HEAD has the headers of GET', async () => {
    const got = await ask('/logs/log/tree-head', PROTOBUF);
    const head = await server.request('HEAD', '/logs/log/tree-head', { headers: { accept: PROTOBUF } });
    expect([head.status, head.bytes.length, head.headers['content-type']]).toEqual([200, 0, PROTOBUF]);
    expect(head.headers['content-length']).toBe(String(got.bytes.length));
  });
});

describe('which form', () => {
  let forms = 0;
  const PATHS = ['events/7', 'tree-head', 'proofs/inclusion?index=0', 'proofs/consistency?first=1&second=2'];

  test.each<readonly [accept: string | undefined, type: string]>([
    [undefined, 'application/json'],
    ['*/*', 'application/json'],
    ['text/html', 'application/json'],
    [`${PROTOBUF};q=0`, 'application/json'],
    ['application/json, application/x-protobuf;q=0.5', 'application/json'],
    [PROTOBUF, PROTOBUF],
    [`${PROTOBUF}, */*`, PROTOBUF],
    ['application/json;q=0.5, application/x-protobuf', PROTOBUF],
  ])('Accept: %s', async (accept, type) => {
    for (const path of PATHS) {
      const headers: Record<string, string> = accept === undefined ? {} : { accept };
      const answer = await server.request('GET', `/logs/log/${path}`, { key: ADMIN_KEY, headers });
      expect([path, answer.status, answer.headers['content-type'], answer.headers.vary]).toEqual([
        path,
        200,
        type,
        'Accept',
      ]);
    }
    const headers = { 'content-type': 'application/json', ...(accept === undefined ? {} : { accept }) };
    const log = `form${forms++}`;
    await server.makeLog(log);
    const answer = await server.request('POST', `/logs/${log}/events`, {
      key: ADMIN_KEY,
      headers,
      body: '{}',
    });
    expect([answer.status, answer.headers['content-type'], answer.headers.vary]).toEqual([200, type, 'Accept']);
  });
  test('a request in protobuf without Accept is answered in JSON', async () => {
    await server.makeLog('plain');
    const answer = await send('/logs/plain/events', request('{}'));
    expect([answer.headers['content-type'], answer.json()['ack']]).toEqual(['application/json', 'durable']);
  });

  test('lists of events, lists of heads and the log have the one form', async () => {
    for (const [path, type] of [
      ['events', 'application/x-ndjson'],
      ['tree-heads', 'application/json'],
      ['', 'application/json'],
      ['ct/v1/get-sth', 'application/json'],
    ]) {
      const answer = await ask(`/logs/log${path === '' ? '' : `/${path}`}`, PROTOBUF);
      expect([answer.status, answer.headers['content-type'], answer.headers.vary]).toEqual([200, type, undefined]);
    }
  });

  test.each([
    ['events/99', 404, 'no_such_entry'],
    ['events/x', 400, 'bad_parameter'],
    ['tree-head?x=1', 400, 'bad_parameter'],
    ['proofs/inclusion?index=99', 400, 'bad_parameter'],
    ['proofs/inclusion?index=0&tree_size=99', 404, 'tree_size_not_signed'],
    ['proofs/consistency?first=2&second=1', 400, 'bad_parameter'],
  ])('errors are problems in JSON: %s', async (path, status, code) => {
    const answer = await ask(`/logs/log/${path}`, PROTOBUF);
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/problem+json']);
    expect(answer.json()).toMatchObject({ status, code });
  });
});

describe('bad requests', () => {
  beforeAll(async () => {
    await server.makeLog('bad', { idPointer: '/id' });
  });

  async function refused(body: Uint8Array, status: number, problem: Json, more: Send = {}): Promise<void> {
    const answer = await send('/logs/bad/events', body, { ...more, headers: { accept: PROTOBUF, ...more.headers } });
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/problem+json']);
    expect(answer.json()).toMatchObject({ status, ...problem });
    expect(server.sizeOf('bad')).toBe(0);
  }

  const large = `{"a":"${'x'.repeat(993)}"}`;

  test('every bad event is listed by its position', async () => {
    const errors = [
      { position: 1, code: 'not_an_object', detail: expect.any(String) },
      { position: 3, code: 'duplicate_key', detail: expect.any(String) },
    ];
    await refused(request('{}', '[]', '{}', '{"a":1,"a":2}'), 400, {
      code: 'not_an_object',
      position: 1,
      detail: expect.stringMatching(/^position 1: .*; nothing of the batch was stored$/),
      errors,
    });
    await refused(request('{}', large, '[]', large), 413, {
      code: 'event_too_large',
      position: 1,
      errors: [expect.objectContaining({ position: 1 }), expect.objectContaining({ position: 3 })],
    });
  });

  test('a batch that contradicts itself, or what is stored', async () => {
    await refused(request('{"id":1}', '{"id":1,"b":1}'), 409, {
      code: 'id_conflict',
      position: 1,
      errors: [{ position: 1, code: 'id_conflict', detail: expect.any(String) }],
    });
    await server.makeLog('conflict', { idPointer: '/id' });
    await send('/logs/conflict/events', request('{"id":1}', '{"id":2}'));
    const answer = await send('/logs/conflict/events', request('{"id":3}', '{"id":2,"x":1}'));
    expect(answer.json()).toMatchObject({ status: 409, code: 'id_conflict', position: 1, leaf_index: 1 });
  });

  test('parameters of the media type are no matter', async () => {
    await server.makeLog('params');
    const type = `${PROTOBUF}; messageType="indelible.v1.AppendRequest"`;
    expect((await send('/logs/params/events', request('{}'), { headers: { 'content-type': type } })).status).toBe(200);
  });

  test('a raw log takes the bytes as they are', async () => {
    await server.makeLog('raw', { kind: 'raw' });
    expect((await send('/logs/raw/events', request('{}'))).json()).toMatchObject({
      status: 409,
      code: 'wrong_log_kind',
    });
    expect((await send('/logs/raw/add', request('{}'), { headers: { accept: PROTOBUF } })).text).toBe('0');
  });
});
