/** A burst of refused API keys, from outside: lines in the log, one event in `_system`, no secret and no address in it. */
import { afterEach, expect, test } from '@jest/globals';
import { ADMIN_KEY, killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

afterEach(killAll);

const SECRET = 'c0de'.repeat(16);

async function refuse(server: ServerProcess, count: number, headers: Record<string, string>): Promise<void> {
  const authorization = `Bearer ind_feedfeedfeedfeed_${SECRET}`;
  for (let i = 0; i < count; i++) {
    const reply = await fetch(`${server.url}/logs/main/events/0`, { headers: { authorization, ...headers } });
    expect(reply.status).toBe(401);
    await reply.arrayBuffer();
  }
}

interface SystemEvents {
  readonly all: string;
  readonly bursts: Record<string, unknown>[];
}

async function systemEvents(server: ServerProcess): Promise<SystemEvents> {
  const all = await (await server.fetch('/logs/_system/events?limit=1000')).text();
  const events = all
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { event: Record<string, unknown> }).event);
  return { all, bursts: events.filter(({ action }) => action === 'access.failed_burst') };
}

test('a burst behind a trusted proxy is logged with the clients and recorded without them', async () => {
  const { path, remove } = temporaryFolder('burst');
  const flags = ['--trusted-proxies', '127.0.0.1', '--interval', '50', '--log-level', 'debug'];
  const server = await ServerProcess.start({ dataDir: path, flags });
  await refuse(server, 99, { 'x-forwarded-for': '198.51.100.1, 203.0.113.9' });
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect((await systemEvents(server)).bursts).toEqual([]);
  await refuse(server, 21, { 'x-forwarded-for': '203.0.113.10' });
  let found: SystemEvents;
  do found = await systemEvents(server);
  while (found.bursts.length === 0);
  expect(found.bursts).toEqual([
    { action: 'access.failed_burst', by: 'system', failures: 100, within_seconds: expect.any(Number) },
  ]);
  expect(found.all).not.toMatch(/203\.0\.113|198\.51\.100|127\.0\.0\.1|c0de/);

  const lines = server.stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const refused = lines.filter(({ msg }) => msg === 'refused an API key: unknown or revoked');
  expect(refused.map(({ client, key }) => [client, key])).toEqual(
    Array.from({ length: 10 }, () => ['203.0.113.9', 'feedfeedfeedfeed']),
  );
  const requests = lines.filter(({ msg }) => msg === 'request');
  expect(requests).toContainEqual(
    expect.objectContaining({
      client: '203.0.113.10',
      method: 'GET',
      route: '/logs/:log/events/:index',
      status: 401,
      code: 'unauthorized',
    }),
  );
  expect(server.stderr).not.toMatch(/c0de|198\.51\.100/);
  expect(await (await server.fetch('/metrics')).text()).toMatch(/^indelible_failed_logins_total 120$/m);
  await server.stop();
  remove();
});

test('an address that fails a hundred times in a minute waits, and others do not', async () => {
  const { path, remove } = temporaryFolder('throttled');
  const flags = ['--trusted-proxies', '127.0.0.1', '--log-level', 'warn'];
  const server = await ServerProcess.start({ dataDir: path, flags });
  const from = (client: string, authorization: string): Promise<Response> =>
    fetch(`${server.url}/logs/main`, { headers: { authorization, 'x-forwarded-for': client } });
  const good = { authorization: `Bearer ${ADMIN_KEY}` };
  expect((await server.fetch('/logs/main', { headers: { ...good, 'x-forwarded-for': '203.0.113.9' } })).status).toBe(
    200,
  );
  await refuse(server, 100, { 'x-forwarded-for': '203.0.113.9' });
  let throttled = 0;
  let looked = 0;
  for (let i = 0; i < 50; i++) {
    const reply = await from('203.0.113.9', `Bearer ind_feedfeedfeedfeed_${SECRET}`);
    if (reply.status === 429) {
      throttled++;
      expect(reply.headers.get('retry-after')).toBe('1');
      expect(await reply.json()).toMatchObject({ code: 'too_many_failures' });
    } else looked++;
  }
  // The minute gives one each 0.6 s, however long a busy machine takes for these.
  expect(throttled).toBeGreaterThan(0);
  expect(throttled + looked).toBe(50);
  expect((await server.fetch('/logs/main', { headers: { 'x-forwarded-for': '203.0.113.9' } })).status).toBe(200);
  expect((await from('203.0.113.10', `Bearer ind_feedfeedfeedfeed_${SECRET}`)).status).toBe(401);
  const metrics = await (await server.fetch('/metrics')).text();
  expect(metrics).toContain(`\nindelible_logins_throttled_total ${throttled}\n`);
  await server.stop();
  remove();
});

test('what a stranger forwards is not believed', async () => {
  const { path, remove } = temporaryFolder('stranger');
  const server = await ServerProcess.start({ dataDir: path });
  await refuse(server, 1, { 'x-forwarded-for': '203.0.113.9' });
  expect(server.stderr).toMatch(/"client":"127\.0\.0\.1".*refused an API key/);
  expect(server.stderr).not.toContain('203.0.113.9');
  await server.stop();
  remove();
});
