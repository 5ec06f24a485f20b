/** Connections that stand still are closed, others are not, and those without a request go first when the server stops. */
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, expect, test } from '@jest/globals';
import { Connections } from '../../../server/http/connections.ts';
import type { Cut } from '../../../server/http/cuts.ts';

const STALL = 200;
const connections = new Connections(STALL);
const cuts: Cut[] = [];
connections.onCut = (cut) => void cuts.push(cut);
/** Ends the answers that wait. */
const waiting: (() => void)[] = [];
const server = createServer((req, res) => {
  connections.began(req.socket, res);
  if (req.url === '/now') res.end('now');
  else if (req.url === '/bug') req.socket.destroy();
  else waiting.push(() => res.end('late'));
});
server.keepAliveTimeout = 0;
server.on('connection', (socket) => connections.add(socket));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
afterAll(() => {
  connections.close();
  server.closeAllConnections();
  server.close();
});

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
const ask = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

function open(): { socket: Socket; closed: () => boolean } {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let closed = false;
  socket.resume();
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  return { socket, closed: () => closed };
}

test('a connection that moves no byte is closed, one that asks now and then is not', async () => {
  const silent = open();
  const used = open();
  const waits = open();
  used.socket.write(ask('/now'));
  waits.socket.write(ask('/later'));
  await pause(STALL / 2);
  expect([silent, used, waits].map(({ closed }) => closed())).toEqual([false, false, false]);
  for (let i = 0; i < 8; i++) {
    used.socket.write(ask('/now'));
    await pause(STALL / 2);
  }
  expect([silent, used, waits].map(({ closed }) => closed())).toEqual([true, false, true]);
  await pause(3 * STALL);
  expect(used.closed()).toBe(true);
});

test('a connection whose request waits for its answer is not idle, and is when that has ended', async () => {
  waiting.length = 0;
  const silent = open();
  const waits = open();
  waits.socket.write(ask('/later'));
  await pause(50);
  connections.closeIdle();
  await pause(20);
  expect([silent, waits].map(({ closed }) => closed())).toEqual([true, false]);
  for (const end of waiting) end();
  await pause(20);
  expect(waits.closed()).toBe(false);
  connections.closeIdle();
  await pause(20);
  expect(waits.closed()).toBe(true);
});

test('a connection that ends without a reason is told so', async () => {
  cuts.length = 0;
  const { socket, closed } = open();
  socket.write(ask('/bug'));
  while (!closed()) await pause(10);
  await pause(20);
  expect(cuts.map(({ reason, unanswered }) => [reason, unanswered])).toEqual([['unnamed', 1]]);
});

test('after a stop what ends without another reason ends because of it', async () => {
  cuts.length = 0;
  const { socket, closed } = open();
  socket.write(ask('/now'));
  await pause(50);
  connections.stop();
  while (!closed()) await pause(10);
  expect(cuts.map(({ reason, unanswered }) => [reason, unanswered])).toEqual([['stopping', 0]]);
});
