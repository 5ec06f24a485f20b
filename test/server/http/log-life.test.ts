/** What happens to a log after its creation: settings, freezing, deletion, and the system events that say so. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { openCheckpoint } from '../../../proofs/checkpoint.ts';
import { parseVerifierKey } from '../../../proofs/key.ts';
import { parseHeader } from '../../../proofs/leaf.ts';
import type { LogKind } from '../../../server/log.ts';
import { bodyPrefixes } from '../../../server/storage/keys.ts';
import { prefixRange } from '../../../server/storage/store.ts';
import { fromBase64 } from '../../../tree/bytes.ts';
import { ADMIN_KEY, type Answer, type Json, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start();

let log = '';
let count = 0;
beforeEach(async () => {
  log = `log${count++}`;
  await server.makeLog(log);
});

const patch = (name: string, body: unknown): Promise<Answer> =>
  server.request('PATCH', `/admin/logs/${name}`, {
    key: ADMIN_KEY,
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const freeze = (name: string): Promise<Answer> =>
  server.request('POST', `/admin/logs/${name}/freeze`, { key: ADMIN_KEY });
const remove = (name: string): Promise<Answer> => server.request('DELETE', `/admin/logs/${name}`, { key: ADMIN_KEY });
const append = (text = '{}', query = ''): Promise<Answer> => server.post(`/logs/${log}/events${query}`, text);
const refusal = (answer: Answer): unknown[] => [answer.status, answer.json()['code']];

/** Events of a log, from an index on, with the header of each. */
async function events(name: string, from = 0): Promise<{ event: Json; by: string; via: string }[]> {
  await server.sign();
  const { text } = await server.get(`/logs/${name}/events?from=${from}&limit=1000`, ADMIN_KEY);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const entry = JSON.parse(line) as { event: Json; header_base64: string };
      const { by, via } = parseHeader(fromBase64(entry.header_base64));
      return { event: entry.event, by, via };
    });
}

/** What the server says of itself while something runs. */
async function systemEventsOf(run: () => Promise<unknown>): Promise<Json[]> {
  const from = server.sizeOf('_system');
  await run();
  const found = await events('_system', from);
  for (const { by, via } of found) expect([by, via]).toEqual(['system', 'system']);
  return found.map(({ event }) => event);
}

describe('settings', () => {
  test('change for the next request, and are told in both logs', async () => {
    const said = await systemEventsOf(async () => {
      const changed = await patch(log, { public_reads: false, id_pointer: '/id' });
      expect([changed.status, changed.json()]).toEqual([
        200,
        expect.objectContaining({ name: log, public_reads: false, id_pointer: '/id', status: 'active' }),
      ]);
    });
    const event = {
      action: 'log.settings_changed',
      by: 'a'.repeat(16),
      log,
      before: { public_reads: true, id_pointer: null },
      after: { public_reads: false, id_pointer: '/id' },
    };
    expect(said).toEqual([event]);
    expect(await events(log)).toEqual([{ event, by: 'system', via: 'system' }]);
    expect((await server.get(`/logs/${log}/checkpoint`)).status).toBe(401);
    expect((await append('{"id":1}')).status).toBe(200);
    expect((await append('{"id":1}')).json<{ entries: Json[] }>().entries[0]?.['replayed']).toBe(true);
    await server.restart();
    expect((await server.get(`/logs/${log}/checkpoint`)).status).toBe(401);
    expect((await append('{"id":1}')).json<{ entries: Json[] }>().entries[0]?.['replayed']).toBe(true);
    expect((await patch(log, { public_reads: true })).json()).toMatchObject({ public_reads: true, id_pointer: '/id' });
    expect((await server.get(`/logs/${log}/checkpoint`)).status).toBe(200);
  });

  test('that are what they were are no change and no event', async () => {
    expect(await systemEventsOf(() => patch(log, { public_reads: true, id_pointer: null }))).toEqual([]);
    expect(server.sizeOf(log)).toBe(0);
  });

  test('of a raw log are told in _system only', async () => {
    const raw = `${log}-raw`;
    await server.makeLog(raw, { kind: 'raw' });
    const said = await systemEventsOf(() => patch(raw, { public_reads: false }));
    expect(said.map(({ action }) => action)).toEqual(['log.settings_changed']);
    expect(server.sizeOf(raw)).toBe(0);
  });
});

describe('freezing', () => {
  test.each<LogKind>(['events', 'raw'])(
    'a log of kind %s: a last signed head, then 410 for whoever appends',
    async (kind) => {
      log = `${log}-${kind}`;
      await server.makeLog(log, { kind });
      const add = (text: string, once?: string): Promise<Answer> =>
        server.request('POST', `/logs/${log}/${kind === 'raw' ? 'add' : 'events'}`, {
          key: ADMIN_KEY,
          headers: { 'content-type': 'application/json', ...(once === undefined ? {} : { 'idempotency-key': once }) },
          body: text,
        });
      expect((await add('{"a":1}', 'once')).status).toBe(200);
      const size = kind === 'events' ? 2 : 1;
      const said = await systemEventsOf(async () => {
        const frozen = await freeze(log);
        const { checkpoint, ...rest } = frozen.json<{ checkpoint: string; verifier_key: string }>();
        expect(rest).toMatchObject({ status: 'frozen', frozen_at: expect.any(String), tree_size: size });
        expect(openCheckpoint(checkpoint, parseVerifierKey(rest.verifier_key)).treeSize).toBe(size);
      });
      const event = { action: 'log.frozen', by: 'a'.repeat(16), log, tree_size: size };
      expect(said).toEqual([event]);
      if (kind === 'events') expect((await events(log)).at(-1)).toEqual({ event, by: 'system', via: 'system' });
      for (let round = 0; round < 2; round++) {
        expect(refusal(await add('{"a":2}'))).toEqual([410, 'log_frozen']);
        // What was acknowledged before can still be asked for.
        const again = await add('{"a":1}', 'once');
        expect([again.status, again.headers['idempotency-replayed']]).toEqual([200, 'true']);
        expect((await server.get(`/logs/${log}/checkpoint`)).status).toBe(200);
        expect(server.sizeOf(log)).toBe(size);
        await server.restart();
      }
      // Frozen once is frozen: nothing more is said of it.
      expect(await systemEventsOf(async () => expect((await freeze(log)).status).toBe(200))).toEqual([]);
    },
  );

  test('nothing is signed again, however long it stands idle', async () => {
    await append();
    await freeze(log);
    const { checkpoint, timestamp } = (await server.get(`/logs/${log}/tree-head`)).json();
    await server.restart({ intervals: { refresh: 1 } });
    await server.sign();
    await server.sign();
    expect((await server.get(`/logs/${log}/tree-head`)).json()).toMatchObject({ checkpoint, timestamp });
    await server.restart({ intervals: { refresh: 600_000 } });
  });

  test('appends and a freeze at the same time: before it or refused, never after it', async () => {
    const answers = Promise.all(Array.from({ length: 30 }, (_, i) => append(`{"i":${i}}`)));
    const frozen = await freeze(log);
    const codes = (await answers).map(({ status }) => status);
    expect(frozen.status).toBe(200);
    expect(codes.every((status) => status === 200 || status === 410)).toBe(true);
    expect(server.sizeOf(log)).toBe(codes.filter((status) => status === 200).length + 1);
    expect((await events(log)).at(-1)?.event['action']).toBe('log.frozen');
  });

  test('settings of a frozen log are told in _system only', async () => {
    await freeze(log);
    const said = await systemEventsOf(() => patch(log, { public_reads: false }));
    expect(said.map(({ action }) => action)).toEqual(['log.settings_changed']);
    expect(server.sizeOf(log)).toBe(1);
  });
});

describe('deletion', () => {
  /** Rows that a log still has, but for definition, edge and heads. */
  async function rows(name: string): Promise<number> {
    const { store } = server.started.server;
    const lists = await Promise.all(bodyPrefixes(name).map((prefix) => store.listKeys(prefixRange(prefix, 10_000))));
    return lists.flat().length;
  }

  test('only of a frozen log', async () => {
    await append();
    expect(refusal(await remove(log))).toEqual([409, 'log_not_frozen']);
    expect((await append()).status).toBe(200);
  });

  test('leaves a tombstone: 410 for those who could read it, the name taken for ever, and the last head', async () => {
    const other = await server.makeKey(['read'], { log: 'main' });
    const stranger = (await server.get('/logs/nothing/checkpoint', other)).text;
    const texts = Array.from({ length: 300 }, (_, i) => `{"id":${i}}`).join('\n');
    await server.post(`/logs/${log}/events?id_pointer=/id`, texts, ADMIN_KEY, 'application/x-ndjson');
    const frozen = (await freeze(log)).json<{ root_hash: string; verifier_key: string; origin: string }>();
    const said = await systemEventsOf(async () => {
      expect((await remove(log)).json()).toMatchObject({ name: log, status: 'deleted', tree_size: 301 });
    });
    const { root_hash, verifier_key, origin } = frozen;
    const by = 'a'.repeat(16);
    expect(said).toEqual([
      { action: 'log.deleted', by, log, kind: 'events', origin, verifier_key, tree_size: 301, root_hash },
    ]);
    expect(await rows(log)).toBeGreaterThan(600);
    for (let round = 0; round < 2; round++) {
      for (const path of ['checkpoint', 'tile/0/000', 'tree-head', 'proofs/inclusion?index=0', ''])
        expect(refusal(await server.get(`/logs/${log}/${path}`.replace(/\/$/, '')))).toEqual([410, 'log_deleted']);
      expect(refusal(await server.get(`/logs/${log}/events/0`, ADMIN_KEY))).toEqual([410, 'log_deleted']);
      expect(refusal(await append())).toEqual([410, 'log_deleted']);
      expect(refusal(await freeze(log))).toEqual([410, 'log_deleted']);
      expect(refusal(await remove(log))).toEqual([410, 'log_deleted']);
      expect(refusal(await patch(log, { public_reads: false }))).toEqual([410, 'log_deleted']);
      expect(refusal(await server.post('/admin/logs', { name: log }))).toEqual([409, 'log_exists']);
      expect(refusal(await server.post('/admin/keys', { scope: 'read', log }))).toEqual([400, 'bad_parameter']);
      const { logs } = (await server.get('/admin/logs', ADMIN_KEY)).json<{ logs: Json[] }>();
      expect(logs.find(({ name }) => name === log)).toMatchObject({ status: 'deleted', root_hash, tree_size: 301 });
      // The start removes what was left, a thousand rows at a time.
      await server.restart();
      for (let i = 0; i < 200 && (await rows(log)) > 0; i++) await new Promise((wait) => setTimeout(wait, 10));
      expect(await rows(log)).toBe(0);
    }
    // To somebody who may not read it, it is a log that never was.
    expect((await server.get(`/logs/${log}/checkpoint`, other)).status).toBe(410);
    const hidden = `${log}-hidden`;
    await server.makeLog(hidden, { publicReads: false });
    await freeze(hidden);
    expect((await remove(hidden)).status).toBe(200);
    expect((await server.get(`/logs/${hidden}/checkpoint`, other)).text).toBe(stranger);
    expect((await server.get(`/logs/${hidden}/checkpoint`)).status).toBe(401);
  });

  test('other logs stay as they are', async () => {
    const keeper = `${log}0`;
    await server.makeLog(keeper);
    await server.post(`/logs/${keeper}/events`, '{"keep":1}');
    await freeze(log);
    await remove(log);
    await server.restart();
    expect((await server.post(`/logs/${keeper}/events`, '{"keep":2}')).status).toBe(200);
    expect((await events(keeper)).map(({ event }) => event)).toEqual([{ keep: 1 }, { keep: 2 }]);
  });
});

test('nothing has stopped the server', () => expect(server.fatal).toEqual([]));
