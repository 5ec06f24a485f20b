/** Watch rules on a log: each event that fits is told once, a silence when it begins and ends, and no event that is not proven. */
import { describe, expect, test } from '@jest/globals';
import { parseRules } from '../../../client/monitor/rules.ts';
import { formatState } from '../../../client/monitor/state.ts';
import { toBase64, utf8 } from '../../../tree/bytes.ts';
import { FakeLog, problem } from '../fake-log.ts';
import { START, Watched } from './watched.ts';

function watching(rules: readonly object[], { size = 0, fromStart = false } = {}): Watched {
  const watched = new Watched(new FakeLog().fill(size));
  watched.options.watch = { rules: parseRules({ rules }), fromStart };
  return watched;
}

const LOGINS = [{ name: 'logins', action: 'user.login', actor: 'root' }];
const login = (n: number): string => `{"id":"l-${n}","action":"user.login","actor":{"id":"root"}}`;

describe('a rule', () => {
  test('tells of each event that fits, once, with its place and what fitted', async () => {
    const watched = watching(LOGINS, { size: 3 });
    expect((await watched.look()).told).toEqual([]);
    watched.log.add(login(1));
    watched.log.add('{"id":"x","action":"user.login","actor":{"id":"alice"}}');
    watched.log.add(login(2));
    const { told, alerts } = await watched.look();
    expect(told).toEqual(['happened rule_matched logins/3', 'happened rule_matched logins/5']);
    expect(alerts[0]?.details).toMatchObject({
      rule: 'logins',
      leaf_index: 3,
      tree_size: 6,
      values: { action: 'user.login', actor: 'root' },
    });
    expect((await watched.look()).told).toEqual([]);
  });

  test.each([
    [false, [31]],
    [true, [0, 30, 31]],
  ])('sees what is in the log already only where that is asked for: %s', async (fromStart, expected) => {
    const watched = watching(LOGINS, { fromStart });
    watched.log.add(login(1));
    watched.log.fill(30);
    watched.log.add(login(2));
    const first = await watched.look();
    watched.log.add(login(3));
    const second = await watched.look();
    expect([...first.told, ...second.told]).toEqual(expected.map((i) => `happened rule_matched logins/${i}`));
  });

  test('pages of a long log are proven one by one, also when the log stops in the middle', async () => {
    const watched = watching(LOGINS, { fromStart: true });
    for (let i = 0; i < 700; i++) watched.log.add(i % 100 === 7 ? login(i) : `{"id":"e-${i}"}`);
    watched.log.page = 90;
    const pages: number[] = [];
    const { log } = watched;
    const handle = log.handle.bind(log);
    let left = 4;
    log.handle = (method, url, headers, body) => {
      if (url.pathname.endsWith('/events') && left-- === 0) return problem(500, 'internal');
      return handle(method, url, headers, body);
    };
    let told: readonly string[] = [];
    for (let i = 0; i < 5 && (watched.text === undefined || watched.state().events?.size !== 700); i++) {
      told = [...told, ...(await watched.look()).told];
      pages.push(watched.state().events?.size ?? -1);
    }
    expect(pages).toEqual([360, 700]);
    expect(told.filter((text) => text.startsWith('happened'))).toEqual(
      [7, 107, 207, 307, 407, 507, 607].map((i) => `happened rule_matched logins/${i}`),
    );
  });

  test('that is gone and one that is new leave nothing behind', async () => {
    const watched = watching([{ name: 'a', action: 'x', silent_for: '1s' }], { size: 2 });
    await watched.look();
    expect((await watched.look()).told).toEqual(['raised source_silent a']);
    watched.options.watch = { rules: parseRules({ rules: LOGINS }), fromStart: false };
    expect((await watched.look()).told).toEqual(['cleared source_silent a']);
    expect([...watched.state().rules.keys()]).toEqual(['logins']);
    delete watched.options.watch;
    await watched.look();
    expect([watched.state().rules.size, watched.state().events]).toEqual([0, undefined]);
  });
});

describe('a silence', () => {
  const SILENT = [{ name: 'ehr', source: 'ehr-api-3', silent_for: '10m' }];
  const beat = (n: number): string => `{"id":"b-${n}","source":{"id":"ehr-api-3"}}`;

  test('begins when nothing fits for so long, and ends with the next event that does', async () => {
    const watched = watching(SILENT, { size: 1 });
    await watched.look();
    watched.log.fill(2);
    expect((await watched.look(599_000)).told).toEqual([]);
    expect((await watched.look(2000)).told).toEqual(['raised source_silent ehr']);
    expect((await watched.look()).told).toEqual([]);
    watched.log.addAt(beat(1), (watched.now + 50_000) * 1000);
    expect((await watched.look()).told).toEqual(['cleared source_silent ehr']);
  });

  test('is told while the log cannot be reached, too', async () => {
    const watched = watching(SILENT, { size: 1 });
    await watched.look();
    const { log } = watched;
    log.handle = () => 'drop';
    expect((await watched.look(601_000)).told).toEqual(['raised log_unreachable', 'raised source_silent ehr']);
  });

  test('a time far ahead does not hide it', async () => {
    const watched = watching(SILENT, { size: 1 });
    await watched.look();
    watched.log.addAt(beat(1), (START + 10 ** 9) * 1000);
    await watched.look();
    expect((await watched.look(601_000)).told).toEqual(['raised source_silent ehr']);
  });
});

describe('events that are not those of their leaves', () => {
  const EVERY = [{ name: 'every', where: { '/id': '*' } }];

  test.each([
    ['another event', { event_base64: toBase64(utf8('{"id":"forged"}')) }],
    ['another salt', { salt: toBase64(new Uint8Array(32)) }],
    ['no header', { header_base64: '' }],
    ['another index', { leaf_index: 4 }],
    ['no JSON object', { event_base64: toBase64(utf8('[]')) }],
  ])('%s reaches no rule', async (_, change) => {
    const watched = watching(EVERY, { size: 3, fromStart: true });
    watched.log.tamper = ({ path, query }, reply) =>
      path === 'events' && query.get('from') === '0' && reply['leaf_index'] === 1 ? { ...reply, ...change } : reply;
    expect((await watched.look()).told).toEqual(['raised event_mismatch']);
    watched.log.tamper = (_request, reply) => reply;
    expect((await watched.look()).told).toEqual([
      ...[0, 1, 2].map((i) => `happened rule_matched every/${i}`),
      'cleared event_mismatch',
    ]);
  });

  test('a whole false entry, leaf and all, reaches no rule: in the last page and in one before', async () => {
    for (const page of [1000, 2]) {
      const watched = watching(EVERY, { size: 5, fromStart: true });
      watched.log.page = page;
      const forged = new FakeLog().fill(1);
      forged.add('{"id":"forged"}', '/id');
      watched.log.tamper = ({ path }, reply) =>
        path === 'events' && reply['leaf_index'] === 1 ? forged.entryJson(1) : reply;
      expect((await watched.look()).told).toEqual(['raised event_mismatch']);
    }
  });

  test('events that are kept back, and a log that does not give them, are told', async () => {
    const watched = watching(EVERY, { size: 3, fromStart: true });
    const { log } = watched;
    const handle = log.handle.bind(log);
    log.page = 0;
    expect((await watched.look()).told).toEqual(['raised event_mismatch']);
    log.page = 1000;
    log.handle = (method, url, headers, body) =>
      url.pathname.endsWith('/events') ? problem(403, 'forbidden') : handle(method, url, headers, body);
    expect((await watched.look()).told).toEqual(['raised events_unreachable']);
    log.handle = handle;
    expect((await watched.look()).told.slice(-2)).toEqual(['cleared events_unreachable', 'cleared event_mismatch']);
  });

  test('a line that is no JSON is told', async () => {
    const watched = watching(EVERY, { size: 3, fromStart: true });
    const { log } = watched;
    const handle = log.handle.bind(log);
    log.handle = (method, url, headers, body) => {
      const reply = handle(method, url, headers, body);
      return url.pathname.endsWith('/events') && reply !== 'drop' ? { ...reply, body: '{"leaf_index":0\n' } : reply;
    };
    expect((await watched.look()).told).toEqual(['raised event_mismatch']);
  });
});

test('what rules have found is durable before it is told', async () => {
  const watched = watching(LOGINS, { fromStart: true });
  for (let i = 0; i < 40; i++) watched.log.add(login(i));
  watched.log.page = 10;
  const told = new Set<string>();
  let left = 3;
  watched.options.commit = async (state) => {
    if (left-- === 0) throw new Error('killed');
    watched.text = formatState(state);
    for (const { alert } of state.outbox) told.add(alert.id);
    state.outbox = [];
    watched.text = formatState(state);
  };
  await expect(watched.look()).rejects.toThrow('killed');
  left = 1000;
  await watched.look();
  expect(told.size).toBe(40);
});
