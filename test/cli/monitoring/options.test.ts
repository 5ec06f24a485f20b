/** A monitor is not held by whoever answers a byte at a time: neither a log nor a witness ends its looking. */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { watchedLog, witnessSources } from '../../../cli/monitoring/options.ts';
import { MONITOR_LIMITS, Monitor } from '../../../client/monitor/monitor.ts';
import { newState } from '../../../client/monitor/state.ts';
import { FakeLog } from '../../client/fake-log.ts';
import { policyOf, TestWitness } from '../../client/monitor/watched.ts';

const realFetch = globalThis.fetch;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'performance'] });
});

afterEach(() => {
  jest.useRealTimers();
  globalThis.fetch = realFetch;
});

/** Never silent for more than five seconds, and never done. */
const drip: typeof fetch = async (_, init) => {
  let timer: NodeJS.Timeout | undefined;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      timer = setInterval(() => controller.enqueue(new Uint8Array(1)), 5000);
      init?.signal?.addEventListener('abort', () => {
        clearInterval(timer);
        controller.error(init.signal?.reason);
      });
    },
    cancel: () => clearInterval(timer),
  });
  return new Response(body);
};

test('a log and a witness that drip are told as those that cannot be reached', async () => {
  globalThis.fetch = drip;
  const log = new FakeLog();
  const policy = policyOf([new TestWitness('w1', 50)]);
  const { transport, key } = watchedLog('http://log.example/logs/main', { vkey: log.vkey });
  const told: string[] = [];
  const state = newState(key);
  const monitor = new Monitor(state, {
    transport,
    policy,
    witnesses: witnessSources(policy),
    now: Date.now,
    limits: MONITOR_LIMITS,
    webhook: false,
    commit: async () => {
      told.push(...state.outbox.map(({ alert }) => `${alert.code}: ${alert.message}`));
      state.outbox = [];
    },
    keepEvidence: async () => 'nowhere',
  });
  const asked = Date.now();
  const ended = monitor.step().then(() => Date.now() - asked);
  // Three tries of a log, and what lies between them.
  await jest.advanceTimersByTimeAsync(200_000);
  expect(await Promise.race([ended, Promise.resolve('goes on')])).not.toBe('goes on');
  expect(told).toEqual([
    expect.stringMatching(/^witness_unreachable: .*not complete after 15 s/),
    expect.stringMatching(/^log_unreachable: .*not complete after 60 s/),
  ]);
});

test('an answer that takes its time, and ends, is taken', async () => {
  const log = new FakeLog();
  const { transport } = watchedLog('http://log.example/logs/main', { vkey: log.vkey });
  globalThis.fetch = async () => {
    let sent = 0;
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
      await new Promise((resolve) => setTimeout(resolve, 10_000));
      controller.enqueue(new Uint8Array(1));
      if (++sent === 5) controller.close();
    };
    return new Response(new ReadableStream<Uint8Array>({ pull }));
  };
  const answer = transport.request({ path: 'checkpoint' });
  await jest.advanceTimersByTimeAsync(55_000);
  expect((await answer).length).toBe(5);
  // Nothing of it goes on.
  expect(jest.getTimerCount()).toBe(0);
});
