/** How alerts are told: after they are durable, at least once, and to the webhook again and again for a while. */
import { expect, test } from '@jest/globals';
import { Courier, MAX_WAITING } from '../../../cli/monitoring/courier.ts';
import type { Alert } from '../../../client/monitor/alarms.ts';
import type { Undelivered } from '../../../client/monitor/state.ts';
import { newState } from '../../../client/monitor/state.ts';
import { parseVerifierKey } from '../../../proofs/key.ts';
import { FakeLog } from '../../client/fake-log.ts';

const alert = (n: number): Alert => ({
  id: String(n).padStart(32, '0'),
  state: 'happened',
  level: 'alarm',
  code: 'rule_matched',
  subject: `r/${n}`,
  origin: 'o',
  time: 0,
  message: `alert ${n}`,
  details: {},
});
const waiting = (n: number, webhook = true): Undelivered => ({
  alert: alert(n),
  printed: false,
  webhook: webhook ? { attempts: 0, nextAt: 0 } : undefined,
});

/** A courier with a clock of its own. `answers` are the statuses of the receiver, the last one for ever. */
function setUp(outbox: readonly Undelivered[], answers: readonly number[] | undefined) {
  const state = newState(parseVerifierKey(new FakeLog().vkey));
  state.outbox = outbox;
  const record: string[] = [];
  let now = 1_000_000;
  const received: { readonly id: string; readonly at: number }[] = [];
  const failures: string[] = [];
  const courier = new Courier({
    state,
    save: async () => {
      record.push(`save ${state.outbox.filter(({ printed }) => !printed).length}`);
    },
    print: ({ message }) => record.push(message),
    webhook:
      answers === undefined
        ? undefined
        : {
            url: 'http://h.example/',
            secret: new Uint8Array(24),
            timeout: 1000,
            fetch: async (_, { headers }) => {
              const status = answers[Math.min(received.length, answers.length - 1)] as number;
              received.push({ id: (headers as Record<string, string>)['webhook-id'] as string, at: now - 1_000_000 });
              return new Response(null, { status });
            },
          },
    now: () => now,
    sleep: async (ms) => {
      now += ms;
    },
    onFailure: (reason, lost) => failures.push(`${reason}${lost ? ' lost' : ''}`),
  });
  return { courier, state, record, received, failures };
}

test('what is told was durable before, and is crossed out after', async () => {
  const { courier, record, state } = setUp([waiting(1, false), waiting(2, false)], undefined);
  await courier.commit();
  expect(record).toEqual(['save 2', 'alert 1', 'alert 2', 'save 0']);
  expect(state.outbox).toEqual([]);
  await courier.commit();
  expect(record.slice(4)).toEqual(['save 0']);
});

test('without a webhook nothing waits for one, whatever an earlier run had', async () => {
  const { courier, state } = setUp([waiting(1)], undefined);
  await courier.commit();
  expect(state.outbox).toEqual([]);
});

test('each alert goes to the webhook once, in order, when it takes them', async () => {
  const { courier, received, state, failures } = setUp(
    [1, 2, 3].map((n) => waiting(n)),
    [200],
  );
  await courier.commit();
  await courier.drain(1000);
  expect(received.map(({ id }) => id)).toEqual([1, 2, 3].map((n) => `msg_${alert(n).id}`));
  expect([state.outbox, failures]).toEqual([[], []]);
});

test('a failure is tried again, later and later, under the same id, and given up in the end', async () => {
  const { courier, received, state, failures } = setUp([waiting(1)], [500]);
  await courier.commit();
  await courier.drain(10 ** 9);
  expect(new Set(received.map(({ id }) => id)).size).toBe(1);
  const waits = received.slice(1).map(({ at }, i) => at - (received[i]?.at ?? 0));
  expect(received).toHaveLength(14);
  for (const [i, wait] of waits.entries()) {
    const expected = Math.min(3_600_000, 5000 * 2 ** i);
    expect(wait).toBeGreaterThanOrEqual(expected);
    expect(wait).toBeLessThanOrEqual(expected + 500);
  }
  expect(failures.at(-1)).toBe('status 500 lost');
  expect(failures.slice(0, -1).every((reason) => reason === 'status 500')).toBe(true);
  expect(state.outbox).toEqual([]);
});

test('one that the receiver does not want keeps no other back', async () => {
  const { courier, received, state } = setUp([waiting(1), waiting(2), waiting(3)], [400, 200, 200, 200]);
  await courier.commit();
  await courier.drain(60_000);
  expect(received.map(({ id }) => Number(id.slice(-1)))).toEqual([1, 2, 3, 1]);
  expect(state.outbox).toEqual([]);
});

test('410 ends it for this alert', async () => {
  const { courier, received, failures } = setUp([waiting(1)], [410]);
  await courier.commit();
  await courier.drain(60_000);
  expect([received.length, failures]).toEqual([1, ['status 410 lost']]);
});

test('what is not delivered in time stays, with its tries', async () => {
  const { courier, state } = setUp([waiting(1)], [503]);
  await courier.commit();
  await courier.drain(1000);
  expect(state.outbox).toEqual([
    { alert: alert(1), printed: true, webhook: { attempts: 1, nextAt: expect.any(Number) } },
  ]);
});

test('no more wait than can; the oldest are given up, aloud', async () => {
  const { courier, state, failures } = setUp(
    Array.from({ length: MAX_WAITING + 5 }, (_, n) => waiting(n)),
    [200],
  );
  await courier.commit();
  expect([state.outbox.length, state.outbox[0]?.alert.message]).toEqual([MAX_WAITING, 'alert 5']);
  expect(failures).toEqual(['5 alerts are more than can wait lost']);
});

const raised = (n: number, level: Alert['level'] = 'alarm', state: Alert['state'] = 'raised'): Undelivered => {
  const { alert: happened, ...rest } = waiting(n);
  return { ...rest, alert: { ...happened, state, level, code: 'split_view', message: `${state} ${level} ${n}` } };
};

test.each([
  ['what happened', waiting],
  ['warnings', (n: number) => raised(n, 'warning')],
  ['ends of alarms', (n: number) => raised(n, 'alarm', 'cleared')],
])('an alarm is not pushed out by %s, however many', async (_, flood) => {
  const { courier, state, failures } = setUp(
    [raised(0), ...Array.from({ length: MAX_WAITING + 5 }, (_, n) => flood(n + 1))],
    [200],
  );
  await courier.commit();
  const messages = state.outbox.map(({ alert }) => alert.message);
  expect([messages.length, messages[0], messages[1]]).toEqual([MAX_WAITING, 'raised alarm 0', flood(7).alert.message]);
  expect(failures).toEqual(['6 alerts are more than can wait lost']);
});

test('what happened goes before warnings and ends, these before alarms, and an alarm that goes on is last', async () => {
  const outbox = [
    raised(1),
    raised(2),
    raised(3, 'warning'),
    raised(4, 'alarm', 'cleared'),
    waiting(5),
    ...Array.from({ length: MAX_WAITING - 1 }, (_, n) => raised(n + 10)),
  ];
  const { courier, state } = setUp(outbox, [200]);
  const { id, code, subject } = raised(1).alert;
  state.alarms = [{ id, code, subject, since: 0, message: 'it goes on' }];
  const left = (): readonly string[] => state.outbox.slice(0, 3).map(({ alert }) => alert.message);
  await courier.commit();
  // Four had to go: all three that are no alarm, and the oldest alarm that has ended.
  expect(left()).toEqual(['raised alarm 1', 'raised alarm 10', 'raised alarm 11']);
});
