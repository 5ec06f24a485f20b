/** Exactly once by Idempotency-Key: one key for a whole request, in events logs and in raw logs. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { parseHeader } from '../../../proofs/leaf.ts';
import { encodeBundle } from '../../../tree/bundles.ts';
import { fromBase64, utf8 } from '../../../tree/bytes.ts';
import { ADMIN_KEY, type Answer, type Json, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start({ publish: false });

let log = '';
let raw = '';
let count = 0;
beforeEach(async () => {
  log = `log${count}`;
  raw = `raw${count++}`;
  await server.makeLog(log);
  await server.makeLog(raw, { kind: 'raw' });
});

interface Sent {
  readonly key?: string;
  readonly query?: string;
  readonly type?: string;
}

function send(path: string, body: string | Uint8Array, once: string | string[] | undefined, sent: Sent = {}) {
  const { key = ADMIN_KEY, query = '', type = 'application/json' } = sent;
  const headers = { 'content-type': type, ...(once === undefined ? {} : { 'idempotency-key': once }) };
  return server.request('POST', `/logs/${path}${query}`, { key, headers, body });
}
const post = (text: string, once: string | string[] | undefined, sent?: Sent): Promise<Answer> =>
  send(`${log}/events`, text, once, sent);
const batch = (texts: readonly string[], once: string, sent: Sent = {}): Promise<Answer> =>
  post(texts.join('\n'), once, { ...sent, type: 'application/x-ndjson' });
const add = (text: string, once?: string, sent?: Sent): Promise<Answer> => send(`${raw}/add`, text, once, sent);
const addBatch = (texts: readonly string[], once?: string): Promise<Answer> =>
  send(`${raw}/add-batch`, encodeBundle(texts.map(utf8)), once);

const replayed = (answer: Answer): unknown => answer.headers['idempotency-replayed'];
const places = (answer: Answer): unknown[] => {
  expect([answer.status, answer.text]).toEqual([200, expect.any(String)]);
  return answer.json<{ entries: Json[] }>().entries.map((entry) => entry['leaf_index']);
};
const conflict = (answer: Answer): unknown[] => [answer.status, answer.json()['code'], answer.json()['leaf_index']];

describe('events', () => {
  test('the same key and events: the same entries, and a header that says so', async () => {
    const first = await batch(['{"a":1}', '{"a":2}', '{"a":1}'], 'k');
    expect(places(first)).toEqual([0, 1, 2]);
    expect(replayed(first)).toBeUndefined();
    const again = await batch(['{"a":1}', '{"a":2}', '{"a":1}'], 'k');
    expect(replayed(again)).toBe('true');
    const { entries } = first.json<{ entries: Json[] }>();
    expect(again.json()).toEqual({ ack: 'durable', entries: entries.map((entry) => ({ ...entry, replayed: true })) });
    expect(server.sizeOf(log)).toBe(3);
  });

  test('header: the key, and the place in the request', async () => {
    const key = `"${'\\"'.repeat(127)}`;
    const { entries } = (await batch(['{}', '{}'], key)).json<{ entries: Json[] }>();
    const headers = entries.map((entry) => parseHeader(fromBase64(entry['header_base64'] as string)));
    expect(headers).toEqual([0, 1].map((n) => ({ by: 'a'.repeat(16), via: 'events', idempotency_key: key, n })));
  });

  test.each<readonly [string, readonly string[]]>([
    ['another event', ['{"a":1}', '{"a":3}']],
    ['another order', ['{"a":2}', '{"a":1}']],
    ['one event fewer', ['{"a":1}']],
    ['one event more', ['{"a":1}', '{"a":2}', '{"a":3}']],
    ['a space more', ['{"a":1}', '{"a": 2}']],
  ])('the same key and %s: a conflict, nothing stored', async (_, events) => {
    await post('{}', undefined);
    await batch(['{"a":1}', '{"a":2}'], 'k');
    const refused = events.length === 1 ? await post(events[0] as string, 'k') : await batch(events, 'k');
    expect(conflict(refused)).toEqual([409, 'id_conflict', 1]);
    expect(server.sizeOf(log)).toBe(3);
  });

  test('one event as JSON and the same as a batch are one request', async () => {
    expect(places(await post(' {"a":1}\n', 'k'))).toEqual([0]);
    expect(replayed(await batch(['{"a":1}'], 'k'))).toBe('true');
  });

  test('a batch as NDJSON and the same in protobuf are one request', async () => {
    expect(places(await batch(['{"a":1}', '{"b":2}'], 'k'))).toEqual([0, 1]);
    const type = 'application/x-protobuf';
    const body = ['{"a":1}', '{"b":2}'].flatMap((event) => [0x0a, event.length, ...utf8(event)]);
    const again = await send(`${log}/events`, Uint8Array.from(body), 'k', { type });
    expect([places(again), replayed(again)]).toEqual([[0, 1], 'true']);
    expect(conflict(await send(`${log}/events`, Uint8Array.from(body.slice(0, 9)), 'k', { type }))).toEqual([
      409,
      'id_conflict',
      0,
    ]);
    expect(server.sizeOf(log)).toBe(2);
  });

  test('keys are apart by source and log, and from ids in events', async () => {
    const other = await server.makeKey(['append'], { name: 'other' });
    expect(places(await post('{"id":"k"}', 'k'))).toEqual([0]);
    expect(places(await post('{"id":"k"}', 'k', { key: other }))).toEqual([1]);
    expect(places(await post('{"id":"k"}', undefined, { query: '?id_pointer=/id' }))).toEqual([2]);
    expect(replayed(await post('{"id":"k"}', 'k'))).toBe('true');
  });

  test('requests with one key at the same time: one is stored, the others are replays or conflicts', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => batch([`{"a":${i % 2}}`, '{}'], 'same')));
    const good = answers.filter(({ status }) => status === 200);
    expect(good.length).toBe(6);
    expect(good.map(places)).toEqual(Array(6).fill([0, 1]));
    expect(good.filter((answer) => replayed(answer) === undefined).length).toBe(1);
    for (const answer of answers) if (answer.status !== 200) expect(conflict(answer)).toEqual([409, 'id_conflict', 0]);
    expect(server.sizeOf(log)).toBe(2);
  });

  test('beyond full bundles and a restart', async () => {
    const events = Array.from({ length: 600 }, (_, i) => `{"i":${i}}`);
    expect(places(await batch(events, 'long')).length).toBe(600);
    await server.restart();
    const again = await batch(events, 'long');
    expect([places(again), replayed(again)]).toEqual([events.map((_, i) => i), 'true']);
    expect(conflict(await batch(events.slice(0, 599), 'long'))).toEqual([409, 'id_conflict', 0]);
  });
});

describe('raw', () => {
  test('the same key and leaves: the same index', async () => {
    expect((await addBatch(['x', 'y'], 'b')).text).toBe('0');
    expect((await add('z', 'k')).text).toBe('2');
    for (const [answer, index] of [
      [await add('z', 'k'), '2'],
      [await addBatch(['z'], 'k'), '2'],
      [await addBatch(['x', 'y'], 'b'), '0'],
    ] as const) {
      expect([answer.status, answer.text, replayed(answer)]).toEqual([200, index, 'true']);
    }
    expect(server.sizeOf(raw)).toBe(3);
    // Without a key every entry is a new one.
    expect([(await add('z')).text, (await add('z')).text]).toEqual(['3', '4']);
  });

  test.each<readonly [string, readonly string[]]>([
    ['another leaf', ['x', 'z']],
    ['the other order', ['y', 'x']],
    ['one fewer', ['x']],
    ['one more', ['x', 'y', 'z']],
    ['an empty one more', ['x', 'y', '']],
    ['the same bytes in one', ['xy']],
  ])('the same key and %s: a conflict, nothing stored', async (_, leaves) => {
    await add('first');
    await addBatch(['x', 'y'], 'k');
    expect(conflict(await addBatch(leaves, 'k'))).toEqual([409, 'id_conflict', 1]);
    expect(server.sizeOf(raw)).toBe(3);
  });

  test('at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => add(i < 5 ? 'a' : 'b', 'k')));
    expect(answers.filter(({ status }) => status === 200).map(({ text }) => text)).toEqual(Array(5).fill('0'));
    expect(answers.filter((answer) => replayed(answer) === 'true').length).toBe(4);
    expect(server.sizeOf(raw)).toBe(1);
  });

  test('beyond full bundles and a restart', async () => {
    const leaves = Array.from({ length: 300 }, (_, i) => `leaf ${i}`);
    expect((await addBatch(leaves.slice(0, 256), 'b')).text).toBe('0');
    expect((await addBatch(leaves, 'a')).text).toBe('256');
    await server.restart();
    const again = await addBatch(leaves, 'a');
    expect([again.text, replayed(again)]).toEqual(['256', 'true']);
    expect(conflict(await addBatch([...leaves.slice(0, 299), 'x'], 'a'))).toEqual([409, 'id_conflict', 256]);
  });
});

describe('what is refused', () => {
  test.each(['k', 'k'.repeat(256), '!"#$%&~'])('a key that is one: %s', async (once) => {
    expect(places(await post('{}', once))).toEqual([0]);
    expect((await add('x', once)).text).toBe('0');
  });

  test('together with an id pointer, of the request or of the log', async () => {
    const refused = await post('{"id":1}', 'k', { query: '?id_pointer=/id' });
    expect([refused.status, refused.json()['code']]).toEqual([400, 'bad_parameter']);
    const own = `${log}-own`;
    await server.makeLog(own, { idPointer: '/id' });
    const ofLog = await send(`${own}/events`, '{"id":1}', 'k');
    expect([ofLog.status, ofLog.json()['code']]).toEqual([400, 'bad_parameter']);
    expect(ofLog.json()['detail']).toContain('/id');
    expect([server.sizeOf(log), server.sizeOf(own)]).toEqual([0, 0]);
  });

  test('a refused request does not use its key up', async () => {
    expect((await batch(['{}', '{'], 'k')).status).toBe(400);
    expect((await send(`${raw}/add`, new Uint8Array(41), 'k')).json()['code']).toBe('reserved_leaf_form');
    expect(places(await batch(['{}', '{"a":1}'], 'k'))).toEqual([0, 1]);
    expect((await add('x', 'k')).text).toBe('0');
  });

  test('nothing has stopped the server', () => expect(server.fatal).toEqual([]));
});
