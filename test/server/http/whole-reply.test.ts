/** Replies in one write: byte for byte what Node would have sent, in order, and never more of them than a client takes. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, describe, expect, test } from '@jest/globals';
import { type Reply, send } from '../../../server/http/reply.ts';
import { PUBLIC } from '../../../server/http/security-headers.ts';
import { sendWhole } from '../../../server/http/whole-reply.ts';

const TEXT = Object.freeze({ 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
const replyOf = (body: Reply['body'], headers: Reply['headers'] = TEXT, status = 200): Reply => ({
  status,
  headers,
  body,
});

/** What became of each request, in order: sent in one piece or not. */
let whole: boolean[] = [];
let reply = replyOf('12');
let write: (req: IncomingMessage, res: ServerResponse) => void = inOnePiece;

function inOnePiece(req: IncomingMessage, res: ServerResponse): void {
  const done = sendWhole(req, res, reply, PUBLIC);
  whole.push(done);
  if (!done) send(req, res, reply, PUBLIC);
}

const server: Server = createServer({ keepAliveTimeout: 0 }, (req, res) => {
  req.resume();
  req.on('end', () => write(req, res));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Sends these bytes and returns what comes back until the server is quiet; the Date, which may change meanwhile, is left out. */
async function exchange(request: string): Promise<string> {
  whole = [];
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let text = '';
  let last = performance.now();
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    last = performance.now();
  });
  socket.write(request, 'latin1');
  // A machine that is busy with other things takes a while to begin.
  const quiet = (): boolean => performance.now() - last > (text === '' ? 5000 : 100);
  while (!quiet() && !socket.destroyed) await new Promise((resolve) => setTimeout(resolve, 20));
  socket.destroy();
  return text.replaceAll(
    /Date: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT/g,
    'Date: *',
  );
}

const ask = (lines = '', method = 'GET', version = '1.1'): string =>
  `${method} / HTTP/${version}\r\nHost: x\r\n${lines}\r\n`;

async function bothWays(request: string): Promise<{ one: string; nodes: string }> {
  write = (req, res) => send(req, res, reply, PUBLIC);
  const nodes = await exchange(request);
  write = inOnePiece;
  return { one: await exchange(request), nodes };
}

describe('the bytes are those that Node sends', () => {
  test.each([
    ['a number', replyOf('12'), ask()],
    ['nothing', replyOf(''), ask()],
    ['JSON with headers that nobody froze', replyOf('{"a":1}\n', { 'content-type': 'application/json' }), ask()],
    ['after a body', replyOf('7'), `${ask('Content-Length: 3\r\n', 'POST')}abc`],
    ['three requests in one packet', replyOf('12'), ask() + ask() + ask()],
    ['HTTP/1.0 that wants to go on', replyOf('12'), ask('Connection: keep-alive\r\n', 'GET', '1.0')],
  ])('%s', async (_, given, request) => {
    reply = given;
    const { one, nodes } = await bothWays(request);
    expect(one).toBe(nodes);
    expect(one).toContain('Date: *');
    expect(whole[0]).toBe(true);
  });

  test.each([
    ['HEAD', replyOf('12'), ask('', 'HEAD')],
    ['a connection that is to be closed', replyOf('12'), ask('Connection: close\r\n')],
    ['HTTP/1.0', replyOf('12'), ask('', 'GET', '1.0')],
    ['another status', replyOf('12', TEXT, 404), ask()],
    ['bytes', replyOf(Uint8Array.of(1, 2, 255)), ask()],
    ['text that is not ASCII', replyOf('ü'), ask()],
    ['a long text', replyOf('x'.repeat(100_000)), ask()],
  ])('left to Node: %s', async (_, given, request) => {
    reply = given;
    const { one, nodes } = await bothWays(request);
    expect(one).toBe(nodes);
    expect(whole).toEqual([false]);
  });

  test('a header with a line end is never sent', async () => {
    reply = replyOf('12', { etag: 'a\r\nset-cookie: b' });
    let refused: unknown;
    write = (req, res) => {
      try {
        inOnePiece(req, res);
      } catch (error) {
        refused = error;
        res.destroy();
      }
    };
    expect(await exchange(ask())).toBe('');
    expect((refused as NodeJS.ErrnoException).code).toBe('ERR_INVALID_CHAR');
  });
});

test('a client that asks and does not read is not read from any more', async () => {
  reply = replyOf('x'.repeat(60_000));
  write = inOnePiece;
  whole = [];
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.pause();
  // Each packet holds a few requests only: those that have arrived are answered.
  for (let i = 0; i < 2000; i++) socket.write(ask(`X: ${'x'.repeat(4000)}\r\n`));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const answered = whole.length;
  // What the buffers of both sides hold is some megabytes; all of it would be 120.
  expect(answered).toBeLessThan(1000);
  let got = 0;
  socket.on('data', (chunk) => {
    got += chunk.length;
  });
  socket.resume();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  socket.destroy();
  expect(whole.length).toBe(2000);
  expect(got).toBeGreaterThan(2000 * 60_000);
});
