/** Large replies that nobody takes: once too many wait, others are not made to wait too, and nobody is told that what was stored was not. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Incoming } from '../../../server/http/incoming.ts';
import { ReplyBudget, SMALL_REPLY } from '../../../server/http/reply-budget.ts';
import { Router } from '../../../server/http/router.ts';
import { requestHandler } from '../../../server/http/site.ts';
import { Proxies } from '../../../server/http/trusted-proxies.ts';

const replies = new ReplyBudget();
const headers = Object.freeze({ 'content-type': 'text/plain; charset=utf-8' });
let size = 0;
let status = 200;
const handler = requestHandler({
  router: new Router([
    { method: 'GET', path: '/x' },
    { method: 'POST', path: '/x' },
    { method: 'GET', path: '/hot', hot: true },
    { method: 'POST', path: '/hot', hot: true },
  ]),
  metrics: { answered: () => {} },
  logger: pino({ enabled: false }),
  proxies: new Proxies([]),
  replies,
  abandon: (socket) => socket.destroy(),
  handle: () => ({ status, headers, body: 'x'.repeat(size) }),
  isPublic: () => false,
});
const server = createServer({ IncomingMessage: Incoming }, handler);
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function ask(
  method: string,
  path: string,
): Promise<{ status: number; code: string | undefined; detail: string }> {
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, { method });
  const text = await response.text();
  const { code, detail = '' } = response.status === 200 ? { code: undefined } : JSON.parse(text);
  return { status: response.status, code, detail };
}

/** Takes all there is but so many bytes, as slow clients do. */
function leave(bytes: number): () => void {
  const taken = replies.left - bytes;
  expect(replies.take(taken)).toBe(true);
  return () => replies.giveBack(taken);
}

test.each(['/x', '/hot'])(
  '%s: a large reply is refused where too much waits, and says of an append that it was made',
  async (path) => {
    size = SMALL_REPLY + 1;
    const end = leave(SMALL_REPLY);
    expect(await ask('GET', path)).toMatchObject({ status: 503, code: 'pushback' });
    const posted = await ask('POST', path);
    expect(posted).toMatchObject({ status: 503, code: 'outcome_unknown' });
    expect(posted.detail).toMatch(/what was asked for has been done/);
    // What was refused has stored nothing.
    status = 422;
    expect(await ask('POST', path)).toMatchObject({ status: 503, code: 'pushback' });
    status = 200;
    size = SMALL_REPLY;
    expect([await ask('GET', path), await ask('POST', path)]).toMatchObject([{ status: 200 }, { status: 200 }]);
    end();
    size = SMALL_REPLY + 1;
    expect([await ask('GET', path), await ask('POST', path)]).toMatchObject([{ status: 200 }, { status: 200 }]);
  },
);
