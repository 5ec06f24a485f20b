/** Every route, hot or cold, good or bad, answers with the same security headers. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { ROUTES } from '../../../server/http/routes.ts';
import { parseProxies } from '../../../server/http/trusted-proxies.ts';
import { ADMIN_KEY, type Answer, TestServer } from '../../support/test-server.ts';

const server = await TestServer.start({ context: { proxies: parseProxies('127.0.0.1') } });
const alone = await TestServer.start();

/** What helmet 8 sends for an API, spelt out. */
const SECURITY = {
  'content-security-policy': "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};
const HSTS = 'max-age=31536000';
/** Headers that a browser's rights depend on; whichever of them a reply has, it must be one of ours. */
const WATCHED =
  /^(?:content-security-policy.*|cross-origin-.*|referrer-policy|x-.*|strict-transport-security|access-control-.*|permissions-policy|origin-agent-cluster|server)$/;

function watched({ headers }: Answer): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => WATCHED.test(name)));
}

function expected(isPublic: boolean): Record<string, unknown> {
  return isPublic
    ? { ...SECURITY, 'cross-origin-resource-policy': 'cross-origin', 'access-control-allow-origin': '*' }
    : SECURITY;
}

beforeAll(async () => {
  for (const one of [server, alone]) {
    await one.makeLog('open', { publicReads: true });
    await one.makeLog('closed', { publicReads: false });
    for (const log of ['open', 'closed']) await one.post(`/logs/${log}/events?ack=signed`, { a: 1 });
  }
});

/** A path of each route, in a log or not, that exists. */
function pathOf(pattern: string, log: string): string {
  return pattern
    .replace(':log', log)
    .replace(':index', '0')
    .replace(':file', '0.tlog-proof')
    .replace(':id', 'f'.repeat(16))
    .replace(':hash', '0'.repeat(64))
    .replace('tile/*', 'tile/0/000.p/1');
}

describe('security headers', () => {
  test.each(ROUTES.map((route) => [route.method, route.path, route] as const))('%s %s', async (method, path, route) => {
    for (const log of ['open', 'closed', 'nothing']) {
      const isPublic = route.for === 'log' && route.public === true && log === 'open';
      for (const key of [undefined, ADMIN_KEY, 'wrong']) {
        const send = { key, ...(method === 'POST' ? { body: '{' } : {}) };
        const answer = await alone.request(method, pathOf(path, log), send);
        expect({ log, key, status: answer.status, headers: watched(answer) }).toEqual({
          log,
          key,
          status: answer.status,
          headers: expected(isPublic),
        });
      }
    }
  });

  test('there are good answers among them, hot and cold', async () => {
    for (const path of ['/logs/open/checkpoint', '/logs/open', '/logs/closed/events/0', '/healthz', '/admin/logs']) {
      const answer = await alone.get(path, ADMIN_KEY);
      expect([answer.status, watched(answer)]).toEqual([200, expected(path.startsWith('/logs/open'))]);
    }
  });

  test.each(['/nothing', '/', '//', '/logs/open/nothing', '*', 'x'])('no route: %s', async (path) => {
    expect(watched(await alone.request('GET', path))).toEqual(SECURITY);
  });

  test('another method, and 304', async () => {
    const allowed = await alone.request('DELETE', '/logs/open/checkpoint');
    expect([allowed.status, watched(allowed)]).toEqual([405, SECURITY]);
    const { etag } = (await alone.get('/logs/open/checkpoint')).headers;
    const same = await alone.request('GET', '/logs/open/checkpoint', { headers: { 'if-none-match': String(etag) } });
    expect([same.status, watched(same)]).toEqual([304, expected(true)]);
  });

  test('what never became a request', async () => {
    const { text } = await alone.raw('what?\r\n\r\n');
    for (const [name, value] of Object.entries(SECURITY)) expect(text).toContain(`\r\n${name}: ${value}\r\n`);
  });
});

describe('strict-transport-security', () => {
  const hsts = async (one: TestServer, path: string, proto?: string): Promise<unknown> => {
    const headers = proto === undefined ? {} : { 'x-forwarded-proto': proto };
    return (await one.request('GET', path, { headers })).headers['strict-transport-security'];
  };

  test.each(['/logs/open/checkpoint', '/logs/open', '/nothing', '/healthz'])('%s', async (path) => {
    expect([
      await hsts(server, path, 'https'),
      await hsts(server, path, 'http'),
      await hsts(server, path),
      await hsts(alone, path, 'https'),
    ]).toEqual([HSTS, undefined, undefined, undefined]);
  });
});
