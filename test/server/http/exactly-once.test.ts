/** Exactly once: the id in an event, under a pointer, decides whether it is new, a replay, or a conflict. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { parseHeader } from '../../../proofs/leaf.ts';
import { fromBase64 } from '../../../tree/bytes.ts';
import { ADMIN_KEY, type Answer, TestServer } from '../../support/test-server.ts';

interface Entry {
  readonly leaf_index: number;
  readonly received_at: string;
  readonly leaf_hash: string;
  readonly salt: string;
  readonly header_base64: string;
  readonly replayed: boolean;
}

const server = await TestServer.start({ publish: false });

/** A log of its own for each test. */
let log = '';
let count = 0;
beforeEach(async () => {
  log = `log${count++}`;
  await server.makeLog(log);
});

const query = (pointer: string | null): string =>
  pointer === null ? '' : `?id_pointer=${encodeURIComponent(pointer)}`;
const post = (text: string, pointer: string | null = '/id', key = ADMIN_KEY): Promise<Answer> =>
  server.post(`/logs/${log}/events${query(pointer)}`, text, key);
const batch = (texts: readonly string[], pointer: string | null = '/id', key = ADMIN_KEY): Promise<Answer> =>
  server.post(`/logs/${log}/events${query(pointer)}`, `${texts.join('\n')}\n`, key, 'application/x-ndjson');

/** Entries of a reply that must be 200. */
function entries(answer: Answer): readonly Entry[] {
  expect([answer.status, answer.text]).toEqual([200, expect.any(String)]);
  return answer.json<{ entries: Entry[] }>().entries;
}

/** Index of each entry of a reply, with `r` where it was replayed. */
const places = (answer: Answer): string[] =>
  entries(answer).map(({ leaf_index, replayed }) => `${leaf_index}${replayed ? 'r' : ''}`);

const refusal = (answer: Answer): unknown[] => [answer.status, answer.json()['code']];

describe('one event after another', () => {
  test('same id and bytes: the first entry again, to the last member', async () => {
    const [first] = entries(await post('{"id":"a","x":1}')) as [Entry];
    expect(first).toMatchObject({ leaf_index: 0, replayed: false });
    const [again] = entries(await post('{"id":"a","x":1}')) as [Entry];
    expect(again).toEqual({ ...first, replayed: true });
    // White space around an event is not part of it.
    expect(entries(await post('\n {"id":"a","x":1} \r\n'))).toEqual([again]);
    expect(entries(await batch(['{"id":"a","x":1}']))).toEqual([again]);
    expect(server.sizeOf(log)).toBe(1);
  });

  test('same id, other bytes: a conflict that says where the first is', async () => {
    await post('{"id":"z"}');
    await post('{"id":"a","x":1}');
    for (const other of ['{"id":"a","x":2}', '{"id":"a", "x":1}', '{"x":1,"id":"a"}', '{"id":"\\u0061","x":1}']) {
      const answer = await post(other);
      expect(answer.status).toBe(409);
      expect(answer.json()).toEqual({
        type: 'urn:indelible:problem:id_conflict',
        title: 'Another event has this id',
        status: 409,
        detail: expect.stringContaining('entry 1'),
        code: 'id_conflict',
        leaf_index: 1,
      });
    }
    expect(server.sizeOf(log)).toBe(2);
  });

  test.each<readonly [name: string, events: readonly string[], outcome: readonly string[]]>([
    ['a number is no string', ['{"id":1}', '{"id":"1"}', '{"id":1}', '{"id":"1"}'], ['0', '1', '0r', '1r']],
    ['numbers count by value', ['{"id":1}', '{"id":1.0}', '{"id":1e0}', '{"id":10e-1}'], ['0', '409', '409', '409']],
    ['minus zero is zero', ['{"id":0}', '{"id":-0}'], ['0', '409']],
    ['negative', ['{"id":-5}', '{"id":5}', '{"id":-5}'], ['0', '1', '0r']],
    ['the largest', ['{"id":9007199254740991}', '{"id":9007199254740990}'], ['0', '1']],
    ['case', ['{"id":"a"}', '{"id":"A"}'], ['0', '1']],
    ['the empty string is an id', ['{"id":""}', '{"id":""}', '{"id":"","x":1}'], ['0', '0r', '409']],
    ['white space in it', ['{"id":"a"}', '{"id":"a "}', '{"id":" a"}'], ['0', '1', '2']],
    ['composed and decomposed', ['{"id":"\u00e9"}', '{"id":"e\u0301"}'], ['0', '1']],
    ['escaped and plain', ['{"id":"\u00e9"}', '{"id":"\\u00e9"}'], ['0', '409']],
    ['quotes and backslashes', ['{"id":"\\"]"}', '{"id":"\\"]"}', '{"id":"\\\\"}'], ['0', '0r', '1']],
    ['a NUL', ['{"id":"a"}', '{"id":"a\\u0000"}'], ['0', '1']],
    ['names of JavaScript', ['{"id":"__proto__"}', '{"id":"constructor"}', '{"id":"__proto__"}'], ['0', '1', '0r']],
    ['no id: never the same', ['{"x":1}', '{"x":1}', '{"ID":1}'], ['0', '1', '2']],
    ['the id of something within', ['{"x":{"id":1}}', '{"x":{"id":1}}'], ['0', '1']],
  ])('%s', async (_name, events, outcome) => {
    const seen: string[] = [];
    for (const event of events) {
      const answer = await post(event);
      seen.push(...(answer.status === 200 ? places(answer) : [String(answer.status)]));
    }
    expect(seen).toEqual(outcome);
  });

  test('256 bytes are an id, 257 are not', async () => {
    const long = 'é'.repeat(128);
    expect(places(await post(`{"id":"${long}"}`))).toEqual(['0']);
    expect(places(await post(`{"id":"${long}"}`))).toEqual(['0r']);
    expect(places(await post(`{"id":"${'\\u00e9'.repeat(127)}"}`))).toEqual(['1']);
    const answer = await post(`{"id":"${long}x"}`);
    expect(answer.json()).toMatchObject({ status: 422, code: 'bad_event_id', limit: 256 });
  });

  test.each(['null', 'true', 'false', '{}', '[]', '[1]', '1.5', '1e16', '-1e300', '0.1', '1e-1'])(
    'the id %s',
    async (id) => {
      expect(refusal(await post(`{"id":${id}}`))).toEqual([422, 'bad_event_id']);
      expect(server.sizeOf(log)).toBe(0);
      // Without a pointer it is nobody's id.
      expect(places(await post(`{"id":${id}}`, null))).toEqual(['0']);
    },
  );
});

describe('pointers', () => {
  test.each<readonly [pointer: string, event: string]>([
    ['/id', '{"id":1}'],
    ['/a/b/c', '{"a":{"b":{"c":"x"}}}'],
    ['/list/1', '{"list":[0,"x"]}'],
    ['/list/1/id', '{"list":[0,{"id":"x"}]}'],
    ['/a~1b', '{"a/b":1}'],
    ['/a~0b', '{"a~b":1}'],
    ['/~01', '{"~1":1}'],
    ['/', '{"":1}'],
    ['//', '{"":{"":1}}'],
    ['/é', '{"\\u00e9":1}'],
    ['/a b', '{"a b":1}'],
    ['/a+b', '{"a+b":1}'],
    ['/"', '{"\\"":1}'],
    ['/__proto__', '{"__proto__":1}'],
    [`/${'x'.repeat(255)}`, `{"${'x'.repeat(255)}":1}`],
  ])('%s', async (pointer, event) => {
    expect(places(await post(event, pointer))).toEqual(['0']);
    const [again] = entries(await post(event, pointer)) as [Entry];
    expect(again).toMatchObject({ leaf_index: 0, replayed: true });
    expect(parseHeader(fromBase64(again.header_base64)).id_pointer).toBe(pointer);
  });

  test.each<readonly [pointer: string, event: string]>([
    ['/id', '{"ID":1}'],
    ['/a/b', '{"a":1}'],
    ['/a/b', '{"a":null}'],
    ['/list/2', '{"list":[0,1]}'],
    ['/list/-', '{"list":[0]}'],
    ['/list/00', '{"list":[0]}'],
    ['/list/-1', '{"list":[0]}'],
    ['/list/length', '{"list":[0]}'],
    ['/constructor', '{"x":1}'],
    ['/__proto__/x', '{"x":1}'],
  ])('%s leads nowhere: not deduplicated', async (pointer, event) => {
    for (const place of ['0', '1']) {
      const answer = await post(event, pointer);
      expect(places(answer)).toEqual([place]);
      expect(parseHeader(fromBase64(entries(answer)[0]?.header_base64 as string))).not.toHaveProperty('id_pointer');
    }
  });

  test('the whole event is no id', async () => {
    expect(refusal(await post('{"id":1}', ''))).toEqual([422, 'bad_event_id']);
  });

  test('ids under different pointers have nothing to do with each other', async () => {
    expect(places(await post('{"id":1,"ref":1}', '/id'))).toEqual(['0']);
    expect(places(await post('{"id":1,"ref":1}', '/ref'))).toEqual(['1']);
    expect(places(await post('{"id":1,"ref":1}', null))).toEqual(['2']);
    expect(places(await post('{"id":1,"ref":1}', '/ref'))).toEqual(['1r']);
  });

  test('that of the log holds unless the request brings its own', async () => {
    log = `${log}-own`;
    expect((await server.post('/admin/logs', { name: log, id_pointer: '/eventID' })).status).toBe(201);
    expect(places(await post('{"eventID":"a","id":1}', null))).toEqual(['0']);
    expect(places(await post('{"eventID":"a","id":1}', null))).toEqual(['0r']);
    expect(places(await post('{"eventID":"a","id":1}', '/eventID'))).toEqual(['0r']);
    expect(refusal(await post('{"eventID":"a","id":2}', null))).toEqual([409, 'id_conflict']);
    expect(places(await post('{"eventID":"a","id":2}', '/id'))).toEqual(['1']);
    expect(refusal(await post('{"eventID":null}', null))).toEqual([422, 'bad_event_id']);
    await server.restart();
    expect(places(await post('{"eventID":"a","id":1}', null))).toEqual(['0r']);
  });
});

describe('a batch', () => {
  test('an event twice is one entry', async () => {
    const answer = await batch(['{"id":1}', '{"id":2}', '{"id":1}', '{"x":1}', '{"id":1}', '{"x":1}']);
    expect(places(answer)).toEqual(['0', '1', '0r', '2', '0r', '3']);
    const [first, , again] = entries(answer) as [Entry, Entry, Entry];
    expect(again).toEqual({ ...first, replayed: true });
    expect(server.sizeOf(log)).toBe(4);
    expect(places(await batch(['{"id":2}', '{"id":3}', '{"id":3}', '{"id":1}']))).toEqual(['1r', '4', '4r', '0r']);
  });

  test('two events of one id in it: a conflict, and nothing is stored', async () => {
    const answer = await batch(['{"id":1}', '', '{"id":2}', '{"id":1,"x":1}']);
    expect(answer.status).toBe(409);
    expect(answer.json()).toMatchObject({
      code: 'id_conflict',
      line: 4,
      errors: [{ line: 4, code: 'id_conflict', detail: expect.any(String) }],
    });
    expect(answer.json()).not.toHaveProperty('leaf_index');
    expect(server.sizeOf(log)).toBe(0);
    // Not even the ids are taken.
    expect(places(await batch(['{"id":1,"x":1}', '{"id":2,"x":1}']))).toEqual(['0', '1']);
  });

  test('every conflict is listed, with the entry that was first', async () => {
    await batch(['{"id":0}', '{"id":1}', '{"id":2}']);
    const answer = await batch(['{"id":1,"x":1}', '{"id":9}', '{"id":0}', '{"id":2,"x":1}', '{"id":9,"x":1}']);
    expect(answer.status).toBe(409);
    const { errors, line, leaf_index } = answer.json<{ errors: unknown[]; line: number; leaf_index: number }>();
    expect([line, leaf_index]).toEqual([1, 1]);
    expect(errors).toEqual([
      { line: 1, code: 'id_conflict', detail: expect.any(String), leaf_index: 1 },
      { line: 4, code: 'id_conflict', detail: expect.any(String), leaf_index: 2 },
      { line: 5, code: 'id_conflict', detail: expect.any(String) },
    ]);
    expect(answer.text).not.toContain('position');
    expect(server.sizeOf(log)).toBe(3);
  });

  test('bad ids are bad lines like all others', async () => {
    const answer = await batch(['{"id":1}', '{"id":null}', '{', '{"id":[]}']);
    expect(answer.status).toBe(422);
    expect(answer.json()).toMatchObject({
      code: 'bad_event_id',
      line: 2,
      errors: [
        { line: 2, code: 'bad_event_id' },
        { line: 3, code: 'malformed_json' },
        { line: 4, code: 'bad_event_id' },
      ],
    });
    expect(server.sizeOf(log)).toBe(0);
  });
});

describe('at the same time', () => {
  test('the same request many times over is one entry', async () => {
    for (let round = 0; round < 5; round++) {
      const before = server.sizeOf(log);
      const answers = await Promise.all(Array.from({ length: 20 }, () => post(`{"id":${round},"x":1}`)));
      const all = answers.flatMap(entries);
      expect(new Set(all.map(({ leaf_index }) => leaf_index))).toEqual(new Set([before]));
      expect(new Set(all.map(({ salt }) => salt)).size).toBe(1);
      expect(all.filter(({ replayed }) => !replayed)).toHaveLength(1);
      expect(server.sizeOf(log)).toBe(before + 1);
    }
  });

  test('different events of one id: one is stored, the others conflict with it', async () => {
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => post(`{"id":${round},"x":${i % 6}}`)));
      const good = answers.filter(({ status }) => status === 200).flatMap(entries);
      const bad = answers.filter(({ status }) => status !== 200);
      expect(good).toHaveLength(2);
      expect(good.filter(({ replayed }) => !replayed)).toHaveLength(1);
      expect(bad.map((answer) => [answer.status, answer.json()['leaf_index']])).toEqual(
        Array(10).fill([409, good[0]?.leaf_index]),
      );
      expect(server.sizeOf(log)).toBe(round + 1);
    }
  });

  test('batches that overlap share what they have in common', async () => {
    const event = (i: number): string => `{"id":"e${i}"}`;
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, k) => batch(Array.from({ length: 10 }, (_, i) => event(k * 5 + i)))),
    );
    const found = new Map<string, Set<number>>();
    let fresh = 0;
    for (const [k, answer] of answers.entries()) {
      for (const [i, { leaf_index, replayed }] of entries(answer).entries()) {
        const name = event(k * 5 + i);
        found.set(name, (found.get(name) ?? new Set()).add(leaf_index));
        if (!replayed) fresh++;
      }
    }
    for (const indexes of found.values()) expect(indexes.size).toBe(1);
    expect([found.size, fresh, server.sizeOf(log)]).toEqual([55, 55, 55]);
  });

  test('a client that gave up and asks again finds what it left', async () => {
    const text = '{"id":"impatient"}';
    const request = `POST /logs/${log}/events?id_pointer=/id HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
    await server.raw(request, { timeout: 1 });
    await server.raw(request, { timeout: 1 });
    const [place] = places(await post(text));
    expect(['0', '0r']).toContain(place);
    expect(places(await post(text))).toEqual(['0r']);
    expect(server.sizeOf(log)).toBe(1);
  });
});

describe('sources', () => {
  test('keys of one source name share their ids, whoever came first stays in the header', async () => {
    const first = await server.makeKey(['append'], { name: `source ${log}` });
    const second = await server.makeKey(['append'], { name: `source ${log}`, log });
    expect(places(await post('{"id":1}', '/id', first))).toEqual(['0']);
    const answer = await post('{"id":1}', '/id', second);
    expect(places(answer)).toEqual(['0r']);
    expect(parseHeader(fromBase64(entries(answer)[0]?.header_base64 as string)).by).toBe(first.slice(4, 20));
    expect(refusal(await post('{"id":1,"x":1}', '/id', second))).toEqual([409, 'id_conflict']);
    // A key that takes the place of a revoked one goes on with its ids.
    await server.started.server.revokeKey(first.slice(4, 20), 'system');
    const third = await server.makeKey(['append'], { name: `source ${log}` });
    expect(places(await post('{"id":1}', '/id', third))).toEqual(['0r']);
  });

  test('different source names have different ids', async () => {
    const keys = [
      await server.makeKey(['append'], { name: `a ${log}` }),
      await server.makeKey(['append'], { name: `b ${log}` }),
      await server.makeKey(['append']),
      await server.makeKey(['append']),
      ADMIN_KEY,
    ];
    for (const [i, key] of keys.entries()) expect(places(await post('{"id":1}', '/id', key))).toEqual([String(i)]);
    const answers = await Promise.all(keys.map((key) => post('{"id":2}', '/id', key)));
    expect(answers.flatMap(places).sort()).toEqual(['5', '6', '7', '8', '9']);
    for (const [i, key] of keys.entries()) expect(places(await post('{"id":1}', '/id', key))).toEqual([`${i}r`]);
  });

  test('a name made to look like the inside of another id', async () => {
    const sly = await server.makeKey(['append'], { name: 'a","/id","x' });
    const plain = await server.makeKey(['append'], { name: 'a' });
    expect(places(await post('{"id":"y"}', '/id', sly))).toEqual(['0']);
    expect(places(await post('{"id":"x\\",\\"/id\\",\\"y"}', '/id', plain))).toEqual(['1']);
  });

  test('logs have nothing to do with each other', async () => {
    expect(places(await post('{"id":1}'))).toEqual(['0']);
    await server.makeLog(`${log}-b`);
    expect(places(await server.post(`/logs/${log}-b/events?id_pointer=/id`, '{"id":1,"x":1}'))).toEqual(['0']);
  });
});

describe('for as long as the log', () => {
  test('a restart forgets nothing', async () => {
    const key = await server.makeKey(['append'], { name: `lasting ${log}` });
    const before = entries(await batch(['{"id":1}', '{"id":"1"}', '{"x":1}'], '/id', key));
    await server.restart();
    const after = entries(await batch(['{"id":"1"}', '{"id":1}', '{"x":1}', '{"id":2}'], '/id', key));
    expect(after.slice(0, 2)).toEqual([
      { ...before[1], replayed: true },
      { ...before[0], replayed: true },
    ]);
    expect(after.slice(2).map(({ leaf_index, replayed }) => [leaf_index, replayed])).toEqual([
      [3, false],
      [4, false],
    ]);
    const conflict = await post('{"id":1,"x":1}', '/id', key);
    expect(conflict.json()).toMatchObject({ status: 409, code: 'id_conflict', leaf_index: 0 });
    expect(places(await post('{"id":1}', '/id'))).toEqual(['5']);
  });

  test('beyond the first full bundles', async () => {
    const texts = Array.from({ length: 700 }, (_, i) => `{"id":${i}}`);
    expect(places(await batch(texts))).toEqual(texts.map((_, i) => String(i)));
    expect(places(await batch(texts))).toEqual(texts.map((_, i) => `${i}r`));
    expect(refusal(await post('{"id":3,"x":1}'))).toEqual([409, 'id_conflict']);
    expect(server.sizeOf(log)).toBe(700);
  });
});

describe('the log of the server itself', () => {
  test('takes nothing from anybody', async () => {
    const before = server.sizeOf('_system');
    for (const key of [ADMIN_KEY, await server.makeKey(['append'], { log: '_system' })]) {
      const answer = await server.post('/logs/_system/events', '{"action":"log.created","by":"system"}', key);
      expect(refusal(answer)).toEqual([403, 'forbidden']);
      expect(answer.json()['detail']).toBe('only the server writes there');
      const many = await server.post('/logs/_system/events', '{}\n{}\n', key, 'application/x-ndjson');
      expect(refusal(many)).toEqual([403, 'forbidden']);
    }
    // Only the key that was made above stands there.
    expect(server.sizeOf('_system')).toBe(before + 1);
  });

  test('nothing has stopped the server', () => expect(server.fatal).toEqual([]));
});
