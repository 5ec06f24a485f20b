/** What comes behind a request that is the last of its connection: nothing of it may harm, and what was asked before gets its answer. */
import { beforeEach, expect, test } from '@jest/globals';
import { ADMIN_KEY, TestServer } from '../../support/test-server.ts';

const EVENTS = '/logs/main/events';
const HOST = 'Host: x\r\n';
const AUTH = `Authorization: Bearer ${ADMIN_KEY}\r\n`;
const CLOSE = 'Connection: close\r\n';
const MORE = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`;

const server = await TestServer.start();

const append = (body: string, version = '1.1', headers = ''): string =>
  `POST ${EVENTS} HTTP/${version}\r\n${HOST}${AUTH}Content-Type: application/json\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

let size = 0;
beforeEach(() => {
  size = server.sizeOf('main');
  expect(server.fatal).toEqual([]);
});

const answers = (text: string): string[] | null => text.match(/^HTTP\/1\.1 \d{3}/gm);

test('chunks in HTTP/1.0', async () => {
  const { text } = await server.raw(
    `POST ${EVENTS} HTTP/1.0\r\n${HOST}${AUTH}Content-Type: application/json\r\nConnection: keep-alive\r\n` +
      'Transfer-Encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n0\r\n\r\n',
  );
  expect(answers(text)).toEqual(['HTTP/1.1 400']);
  expect(server.sizeOf('main')).toBe(size);
});

test.each([
  ['1.1', CLOSE],
  ['1.0', ''],
])('behind the last request of a connection: HTTP/%s', async (version, close) => {
  const { text, closed } = await server.raw(`${append('{"b":2}', version, close)}${MORE}${MORE}`);
  expect([answers(text), closed]).toEqual([['HTTP/1.1 200'], true]);
  expect(text).toContain(`"leaf_index":${size},`);
});

test('behind an answer that closes the connection, in whatever order the others are ready', async () => {
  // The second waits for its commit; Node has read its body before it reads the third, which is answered at once.
  const { text, closed } = await server.raw(
    `GET /healthz HTTP/1.1\r\n${HOST}${HOST}\r\n${append('{"b":3}')}` +
      `GET /logs/main/proofs/consistency?first=0&second=0 HTTP/1.1\r\n${HOST}${AUTH}\r\n`,
  );
  expect([answers(text), closed]).toEqual([['HTTP/1.1 400'], true]);
  expect((await server.get('/healthz')).status).toBe(200);
  // It was read in one piece with the first, and may be stored; nobody is told.
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect([size, size + 1]).toContain(server.sizeOf('main'));
});

test('behind an upgrade, where Node would lose it: such a request is the last of its connection', async () => {
  const { text, closed } = await server.raw(
    `GET /healthz HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n${MORE}${MORE}`,
    { timeout: 2000 },
  );
  expect([answers(text), closed]).toEqual([['HTTP/1.1 200'], true]);
  expect(text).toMatch(/^connection: close\r$/im);
});

test('an answer that waits for others before it is not interrupted by 100 Continue', async () => {
  const tile = `GET /logs/main/tile/entries/000.p/1 HTTP/1.1\r\n${HOST}${AUTH}Expect: 100-continue\r\n\r\n`;
  // Without it the client may send its body or not: nothing that comes behind can be read.
  const { text, closed } = await server.raw(`${append('{"b":4}')}${tile}${MORE}`);
  expect([text.match(/HTTP\/1\.1 \d{3}/g), closed]).toEqual([['HTTP/1.1 200', 'HTTP/1.1 200'], true]);
});
