/**
 * Limits of time and number, on connections of their own while the others go on: headers and bodies that come too slowly, chunks without
 * end, clients that do not read, and more connections than the server takes. The figures are those of docs/operations.md.
 */
import { connect, type Socket } from 'node:net';
import { ADMIN_KEY } from '../../support/spawn-server.ts';
import { canaryRequest } from './exchanges.ts';
import { replyAt, type WireReply } from './replies.ts';

/** Milliseconds: the limit, and how late the server may be, since it looks only now and then. */
const HEADERS = { limit: 10_000, late: 5000 };
const BODY = { limit: 60_000, late: 5000 };
const SILENCE = { limit: 120_000, late: 35_000 };
const MAX_CONNECTIONS = 10_000;
/** Connections beyond what is allowed that are tried. */
const BEYOND = 20;
/** The body limit of a raw entry. */
const MAX_ENTRY = 65_535;

interface Outcome {
  readonly received: Buffer;
  /** Milliseconds until the server ended the connection; `undefined` if it had not when the time was over. */
  readonly closedAfter: number | undefined;
}

/** Sends bytes, then more of them at times, until the server ends the connection or the time is over. */
function trickle(
  port: number,
  first: string,
  more: Buffer | undefined,
  every: number,
  longest: number,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const began = performance.now();
    const parts: Buffer[] = [];
    const socket = connect({ port, host: '127.0.0.1' });
    const timer = more === undefined ? undefined : setInterval(() => socket.write(more), every);
    const finish = (closedAfter: number | undefined): void => {
      clearInterval(timer);
      clearTimeout(deadline);
      socket.destroy();
      resolve({ received: Buffer.concat(parts), closedAfter });
    };
    const deadline = setTimeout(finish, longest, undefined);
    socket.on('data', (chunk) => parts.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => finish(performance.now() - began));
    socket.write(first, 'latin1');
  });
}

const HEAD = `Host: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\nContent-Type: application/json\r\n`;

function statusOf(received: Buffer): number | undefined {
  const reply = replyAt(received, 0, false);
  return typeof reply === 'object' && 'status' in reply ? (reply as WireReply).status : undefined;
}

function timedFault(what: string, { received, closedAfter }: Outcome, { limit, late }: typeof HEADERS): string[] {
  if (closedAfter === undefined) return [`${what}: the connection was still open after ${limit + late} ms`];
  if (closedAfter < limit - 100)
    return [`${what}: the connection was closed after ${Math.round(closedAfter)} ms already`];
  const status = statusOf(received);
  return status === 408
    ? []
    : [`${what}: the answer was ${status ?? JSON.stringify(received.toString('latin1').slice(0, 200))}, not 408`];
}

/** Clients that are too slow; resolves with what was wrong when all of them have been cut off. */
export async function slowClients(port: number, patience: 'short' | 'long'): Promise<string[]> {
  const headers = trickle(
    port,
    'GET /healthz HTTP/1.1\r\n',
    Buffer.from('A: b\r\n'),
    500,
    HEADERS.limit + HEADERS.late,
  );
  const line = trickle(port, 'GET /heal', Buffer.from('t'), 900, HEADERS.limit + HEADERS.late);
  const body = trickle(
    port,
    `POST /logs/main/events HTTP/1.1\r\n${HEAD}Content-Length: 5000\r\n\r\n{"a":"`,
    Buffer.from('x'),
    300,
    BODY.limit + BODY.late,
  );
  const chunks = trickle(
    port,
    `POST /logs/main/events HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n`,
    Buffer.from('1\r\n{\r\n'),
    300,
    BODY.limit + BODY.late,
  );
  const silent = patience === 'long' ? silentClients(port) : Promise.resolve([]);
  const found = await Promise.all([
    headers.then((outcome) => timedFault('slow headers', outcome, HEADERS)),
    line.then((outcome) => timedFault('a slow request line', outcome, HEADERS)),
    body.then((outcome) => timedFault('a slow body', outcome, BODY)),
    chunks.then((outcome) => timedFault('slow chunks', outcome, BODY)),
    endless(port),
    silent,
  ]);
  return found.flat();
}

/** Chunks without end, and ever longer headers: refused at the limit, and hung up on. */
async function endless(port: number): Promise<string[]> {
  const chunk = Buffer.from(`400\r\n${'x'.repeat(1024)}\r\n`);
  const body = await trickle(
    port,
    `POST /logs/raw/add HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n`,
    chunk,
    1,
    20_000,
  );
  const heads = await trickle(
    port,
    'GET /healthz HTTP/1.1\r\nHost: x\r\n',
    Buffer.from(`A: ${'b'.repeat(1000)}\r\n`),
    1,
    20_000,
  );
  const bomb = await trickle(
    port,
    `POST /logs/main/events HTTP/1.1\r\n${HEAD}Content-Encoding: gzip\r\nContent-Length: ${MAX_ENTRY}\r\n\r\n`,
    Buffer.alloc(64),
    1,
    20_000,
  );
  return [
    ...expected('chunks without end', body, 413),
    ...expected('headers without end', heads, 431),
    ...expected('a packed body', bomb, 415),
  ];
}

function expected(what: string, { received, closedAfter }: Outcome, status: number): string[] {
  if (closedAfter === undefined) return [`${what}: nobody hung up`];
  return statusOf(received) === status ? [] : [`${what}: the answer was ${statusOf(received)}, not ${status}`];
}

/** One that never says anything after a request, and one that never reads. */
async function silentClients(port: number): Promise<string[]> {
  const longest = SILENCE.limit + SILENCE.late;
  const idle = trickle(port, canaryRequest(0).toString(), undefined, 0, longest);
  const deaf = new Promise<string[]>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.pause();
    socket.on('error', () => {});
    const asked = 'GET /logs/frozen/events?limit=300 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ';
    socket.write(`${asked}${ADMIN_KEY}\r\n\r\n`.repeat(400));
    // It hears of its end when it writes. The limit begins anew when the system's buffers have taken a part of the replies.
    const probe = setInterval(() => socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'), 30_000);
    const deadline = setTimeout(() => {
      clearInterval(probe);
      socket.destroy();
      resolve(['a client that never reads was never cut off']);
    }, 3 * longest);
    socket.on('close', () => {
      clearInterval(probe);
      clearTimeout(deadline);
      resolve([]);
    });
  });
  const faults = await Promise.all([
    idle.then(({ closedAfter }) =>
      closedAfter === undefined ? ['a connection without a byte was never cut off'] : [],
    ),
    deaf,
  ]);
  return faults.flat();
}

/** More connections than are allowed: those beyond are turned away, and the others are served. */
export async function tooManyConnections(port: number): Promise<string[]> {
  const sockets: Socket[] = [];
  let turnedAway = 0;
  let failed = 0;
  try {
    const first = await opened(port, sockets, () => {});
    for (let at = 1; at < MAX_CONNECTIONS + BEYOND; at += 250) {
      const some = Math.min(250, MAX_CONNECTIONS + BEYOND - at);
      const turned = (): void => void turnedAway++;
      const results = await Promise.allSettled(Array.from({ length: some }, () => opened(port, sockets, turned)));
      failed += results.filter(({ status }) => status === 'rejected').length;
    }
    // Those beyond are accepted by the system and then closed.
    for (let i = 0; i < 3000 && turnedAway + failed < BEYOND; i++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    const answer = await asked(first);
    const faults = answer === 200 ? [] : [`at ${MAX_CONNECTIONS} connections one of them was answered ${answer}`];
    const away = turnedAway + failed;
    // The run's own connections count as well.
    if (away < BEYOND || away > BEYOND + 100) faults.push(`of ${sockets.length} connections ${away} were turned away`);
    return faults;
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

function opened(port: number, sockets: Socket[], onClose: () => void): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    sockets.push(socket);
    socket.on('error', reject);
    socket.once('connect', () => {
      socket.on('close', onClose);
      // Who has asked something may stay for two minutes, and who has not for ten seconds only, in which a busy machine does not make so many.
      socket.resume();
      socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
      resolve(socket);
    });
  });
}

function asked(socket: Socket): Promise<number | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 15_000, undefined);
    socket.once('data', (chunk) => {
      clearTimeout(timer);
      resolve(statusOf(chunk));
    });
    socket.write(canaryRequest(1));
  });
}
