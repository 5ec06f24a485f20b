/** Every connection that is cut has a reason, in a metric and in the log, and nobody who is answered loses the answer by it. */
import { connect, type Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { CUT_REASONS, type CutReason } from '../../../server/http/cuts.ts';
import { ADMIN_KEY, TestServer, type TestServerOptions } from '../../support/test-server.ts';

const HOST = 'Host: x\r\n';
const EVENTS = '/logs/main/events';
const AUTHORIZED = `Authorization: Bearer ${ADMIN_KEY}\r\n`;
const HEALTH = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`;
const LAST = `GET /healthz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`;
const APPEND = `POST ${EVENTS}?ack=signed HTTP/1.1\r\n${HOST}${AUTHORIZED}Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}`;
const SHORT = { headersTimeout: 300, requestTimeout: 600, stallTimeout: 1200 };

interface Line {
  readonly msg: string;
  readonly reason?: CutReason;
  readonly port?: number;
  readonly unanswered?: number;
}

async function startServer(options: TestServerOptions = {}): Promise<{ server: TestServer; lines: Line[] }> {
  const lines: Line[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });
  return { server: await TestServer.start({ ...options, context: { logger } }), lines };
}

const usual = await startServer();
/** Short patience, and no head is signed: whoever waits for one waits. */
const short = await startServer({ sockets: SHORT, publish: false });
const narrow = await startServer({ sockets: { maxConnections: 3 } });
const ended = await startServer();

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function open({ url }: TestServer, allowHalfOpen = false): Promise<{ socket: Socket; port: number }> {
  const { hostname: host, port } = new URL(url);
  const socket = connect({ host, port: Number(port), allowHalfOpen });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  return { socket, port: socket.localPort as number };
}

/** Waits for the line about the connection from that port. */
async function cutOf(lines: readonly Line[], port: number): Promise<Line | undefined> {
  for (let i = 0; i < 500; i++) {
    const found = lines.find((line) => line.reason !== undefined && line.port === port);
    if (found !== undefined) return found;
    await pause(10);
  }
  return undefined;
}

async function counted(server: TestServer): Promise<Record<string, number>> {
  // On a connection of its own: one that was used before may be cut at that very moment.
  const { text } = await server.raw(`GET /metrics HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
  const found = text.matchAll(/^indelible_connections_cut_total\{reason="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...found].map(([, reason, times]) => [reason as string, Number(times)]));
}

test('all reasons are in the metrics from the start', async () => {
  expect(Object.keys(await counted(usual.server))).toEqual([...CUT_REASONS]);
});

interface Case {
  readonly reason: CutReason;
  readonly at: { readonly server: TestServer; readonly lines: Line[] };
  readonly how: string;
  readonly unanswered?: number;
  readonly does: (socket: Socket) => void | Promise<void>;
  readonly allowHalfOpen?: boolean;
}

const CASES: readonly Case[] = [
  { reason: 'idle', at: short, how: 'nothing is asked', does: (socket) => void socket.write(HEALTH) },
  {
    ...{ reason: 'stalled', at: short, how: 'the answer does not come', unanswered: 1 },
    does: (socket) => void socket.write(APPEND),
  },
  {
    ...{ reason: 'too_slow', at: short, how: 'headers do not come' },
    does: (socket) => void socket.write('GET /heal'),
  },
  {
    ...{ reason: 'too_slow', at: short, how: 'a body does not come', unanswered: 1 },
    does: (socket) => void socket.write(APPEND.slice(0, -3)),
  },
  {
    ...{ reason: 'malformed', at: usual, how: 'garbage comes first' },
    does: (socket) => void socket.write('nonsense\r\n\r\n'),
  },
  {
    ...{ reason: 'malformed', at: short, how: 'garbage comes behind what waits', unanswered: 1 },
    does: async (socket) => {
      socket.write(APPEND);
      await pause(50);
      socket.write('nonsense\r\n\r\n');
    },
  },
  {
    ...{ reason: 'tunnel', at: usual, how: 'CONNECT' },
    does: (socket) => void socket.write(`CONNECT x:1 HTTP/1.1\r\n${HOST}\r\n`),
  },
  {
    ...{ reason: 'lingered', at: usual, how: 'the client does not end its side', allowHalfOpen: true },
    does: (socket) => void socket.write(LAST),
  },
  {
    ...{ reason: 'reset', at: short, how: 'the client resets it', unanswered: 1 },
    does: async (socket) => {
      socket.write(APPEND);
      await pause(50);
      socket.resetAndDestroy();
    },
  },
  {
    ...{ reason: 'stopping', at: ended, how: 'the server stops' },
    does: async (socket) => {
      socket.write(HEALTH);
      await pause(50);
      await ended.server.stopListening(1000);
    },
  },
];

test.each(CASES.map((each) => [each.reason, each.how, each] as const))(
  '%s: %s',
  async (reason, _how, { at: { server, lines }, does, unanswered = 0, allowHalfOpen }) => {
    const before = reason === 'stopping' ? {} : await counted(server);
    const { socket, port } = await open(server, allowHalfOpen);
    socket.resume();
    await does(socket);
    expect(await cutOf(lines, port)).toMatchObject({ msg: 'cut a connection', reason, unanswered });
    socket.destroy();
    if (reason === 'stopping') return;
    // Others may be cut meanwhile: an idle one of the client that asks for the metrics.
    expect((await counted(server))[reason]).toBeGreaterThan(before[reason] as number);
  },
);

test('too many', async () => {
  const { server, lines } = narrow;
  const all = await Promise.all(Array.from({ length: 5 }, () => open(server)));
  while (lines.filter(({ reason }) => reason === 'too_many').length < 2) await pause(10);
  const away = lines.filter(({ reason }) => reason === 'too_many').map(({ port }) => port);
  expect(all.map(({ port }) => port)).toEqual(expect.arrayContaining(away));
  for (const { socket } of all) socket.destroy();
});

test('who is answered and goes away is not cut', async () => {
  const { server, lines } = usual;
  const ports: number[] = [];
  for (const [text, end] of [
    [HEALTH, true],
    [LAST, false],
    [`${LAST}${HEALTH}`, false],
  ] as const) {
    const { socket, port } = await open(server);
    socket.write(text);
    await new Promise((resolve) => socket.once('data', resolve));
    if (end) socket.end();
    await new Promise((resolve) => socket.once('close', resolve));
    ports.push(port);
  }
  await pause(50);
  expect(lines.filter(({ port, reason }) => reason !== undefined && ports.includes(port as number))).toEqual([]);
  expect((await counted(server))['unnamed']).toBe(0);
});

test.each([
  ['an answer that closes', LAST, 200],
  ['the last answer of several', `${HEALTH}${HEALTH}${LAST}`, 200],
  ['a refusal of what is no request', 'nonsense\r\n\r\n', 400],
])('a client that still sends, and reads afterwards, has %s', async (_name, first, status) => {
  const { socket } = await open(usual.server);
  socket.pause();
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.pause();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(first);
  // A server that had closed would answer the first of these with a reset, and then the second could not be written.
  for (let i = 0; i < 3; i++) {
    await pause(100);
    socket.write(HEALTH);
  }
  await pause(50);
  socket.resume();
  await closed;
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => Number(code));
  expect([statuses.length, statuses.at(-1)]).toEqual([first.split('GET').length - 1 || 1, status]);
  expect(text).toMatch(/connection: close/i);
});
