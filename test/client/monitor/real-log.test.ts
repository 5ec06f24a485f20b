/** The monitor and the auditor on logs of a real server, over HTTP. */
import { expect, test } from '@jest/globals';
import { auditHeads } from '../../../client/audit-heads.ts';
import type { Alert } from '../../../client/monitor/alarms.ts';
import { MONITOR_LIMITS, Monitor, type MonitorOptions } from '../../../client/monitor/monitor.ts';
import { parseRules } from '../../../client/monitor/rules.ts';
import { newState } from '../../../client/monitor/state.ts';
import { Transport } from '../../../client/transport.ts';
import { parseVerifierKey } from '../../../proofs/key.ts';
import { verifyByOpenssl } from '../../../server/own-signatures.ts';
import { encodeBundle } from '../../../tree/bundles.ts';
import { utf8 } from '../../../tree/bytes.ts';
import { ADMIN_KEY, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start({ publish: false });

function watch(name: string, more: Partial<MonitorOptions> = {}, apiKey?: string) {
  const key = parseVerifierKey(server.started.server.log(name)?.definition.verifierKey ?? '');
  const transport = new Transport({ url: `${server.url}/logs/${name}`, key: apiKey, retries: { attempts: 1 } });
  const state = newState(key);
  const told: Alert[] = [];
  const monitor = new Monitor(state, {
    transport,
    verify: verifyByOpenssl,
    now: Date.now,
    limits: MONITOR_LIMITS,
    webhook: false,
    commit: async () => {
      told.push(...state.outbox.map(({ alert }) => alert));
      state.outbox = [];
    },
    keepEvidence: async () => 'nowhere',
    ...more,
  });
  const look = async () => {
    told.length = 0;
    const { verified, read } = await monitor.step();
    return { verified, read, told: told.map(({ state: kind, code }) => `${kind} ${code}`) };
  };
  return { look, transport, key, state };
}

const events = (from: number, count: number): string =>
  Array.from(
    { length: count },
    (_, i) => `{"n":${from + i},"action":"${(from + i) % 100 === 0 ? 'odd' : 'usual'}"}\n`,
  ).join('');

test('an events log that grows, with rules, and the report of its heads', async () => {
  await server.makeLog('events');
  const read = await server.makeKey(['read'], { log: 'events' });
  const rules = parseRules({ rules: [{ name: 'odd', action: 'odd' }] });
  const { look, transport, key } = watch('events', { watch: { rules, fromStart: true } }, read);
  let size = 0;
  for (const count of [1, 254, 1, 2, 1700]) {
    const reply = await server.post('/logs/events/events', events(size, count), ADMIN_KEY, 'application/x-ndjson');
    expect(reply.status).toBe(200);
    await server.sign();
    const odd = Math.ceil((size + count) / 100) - Math.ceil(size / 100);
    size += count;
    expect(await look()).toEqual({ verified: size, read: count, told: Array(odd).fill('happened rule_matched') });
  }
  const report = await auditHeads({ transport, key, verify: verifyByOpenssl });
  expect(report.problems).toEqual([]);
  expect(report).toMatchObject({ heads: 6, first: { treeSize: 0 }, last: { treeSize: 1958 }, entries: 1958 });
  const part = await auditHeads({ transport, key, from: { treeSize: 255 }, to: { time: report.last.time - 1 } });
  expect([part.problemCount, part.first.treeSize]).toEqual([0, 255]);
});

test('a raw log, without an API key', async () => {
  await server.makeLog('raw', { kind: 'raw' });
  const { look, transport, key, state } = watch('raw');
  expect(await look()).toEqual({ verified: 0, read: 0, told: [] });
  const entries = Array.from({ length: 700 }, (_, i) => utf8(`entry ${i}`));
  const body = encodeBundle(entries);
  expect((await server.post('/logs/raw/add-batch', body, ADMIN_KEY, 'application/octet-stream')).status).toBe(200);
  await server.sign();
  expect(await look()).toEqual({ verified: 700, read: 700, told: [] });
  expect(state.kind).toBe('raw');
  expect(await auditHeads({ transport, key })).toMatchObject({ problemCount: 0, entries: 700, received: undefined });
});

test('a key that may not read events is told; the log itself is watched all the same', async () => {
  await server.makeLog('public');
  await server.post('/logs/public/events', events(0, 3), ADMIN_KEY, 'application/x-ndjson');
  await server.sign();
  const append = await server.makeKey(['append'], { log: 'public' });
  const rules = parseRules({ rules: [{ name: 'odd', action: 'odd' }] });
  const { look } = watch('public', { watch: { rules, fromStart: true } }, append);
  expect(await look()).toEqual({ verified: 3, read: 3, told: ['raised events_unreachable'] });
});

test('a log that needs a key is unreachable without one', async () => {
  await server.makeLog('private', { publicReads: false });
  expect(await watch('private').look()).toEqual({ verified: 0, read: 0, told: ['raised log_unreachable'] });
});
