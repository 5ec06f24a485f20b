/** Bodies that go past Node's stream: all of them arrive, refused ones go the stream's way, and Node forgets a request as it forgets its own. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Incoming } from '../../../server/http/incoming.ts';

let handle: (req: Incoming, res: ServerResponse) => void = () => {};
const server: Server = createServer({ IncomingMessage: Incoming, keepAliveTimeout: 0 }, (req, res) => handle(req, res));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
const sockets: Socket[] = [];
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  server.closeAllConnections();
  server.close();
});

/** A connection: what is written to it, and what has come back. */
function open(): { readonly socket: Socket; readonly text: () => string } {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  sockets.push(socket);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  return { socket, text: () => text };
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(holds()).toBe(true);
}

const post = (body: string, length = body.length): string =>
  `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n${body}`;
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

/** What was taken of each request; and what its stream has told. */
interface Seen {
  readonly req: Incoming;
  body: string;
  ended: boolean;
  readonly events: string[];
}

let seen: Seen[] = [];

/** Takes the body, and answers with its length. */
function takeAll(req: Incoming, res: ServerResponse): void {
  const mine: Seen = { req, body: '', ended: false, events: [] };
  seen.push(mine);
  for (const event of ['data', 'end', 'close', 'aborted']) req.prependListener(event, () => mine.events.push(event));
  req.pause();
  req.receive({
    data: (chunk) => {
      mine.body += chunk.toString('latin1');
    },
    end: () => {
      mine.ended = true;
      expect(req.complete).toBe(true);
      res.end(`took ${mine.body.length}`);
    },
  });
}

/** The request that Node's parser of the connection still holds. */
function heldBy(req: Incoming): unknown {
  return (req.socket as unknown as { parser?: { incoming?: unknown } }).parser?.incoming;
}

describe('a body that is taken', () => {
  test.each([
    ['with a length', post('x'.repeat(100_000))],
    [
      'in chunks',
      'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n2\r\nab\r\n0\r\nTrailer: 1\r\n\r\n',
    ],
    ['that is empty', post('')],
    ['of a request without one', GET],
  ])('%s: once, whole, and past the stream', async (_, request) => {
    seen = [];
    handle = takeAll;
    const { socket, text } = open();
    // In two parts, so that it is not there at once; and a second request, which must not get any of it.
    socket.write(request.slice(0, -1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.write(request.slice(-1) + post('next'));
    await until(() => seen.length === 2 && text().includes('took 4'));
    const [first, second] = seen as [Seen, Seen];
    const length = request.includes('chunked') ? 5 : Number(/Length: (\d+)/.exec(request)?.[1] ?? 0);
    expect(first.body).toHaveLength(length);
    expect(text()).toContain(`took ${length}`);
    expect([first.ended, second.ended, second.body]).toEqual([true, true, 'next']);
    expect([first.events, second.events]).toEqual([[], []]);
    // Else every request and its body would live until the next of its connection.
    await until(() => heldBy(second.req) === null);
  });

  test('is told of by `close` where the connection ends before it', async () => {
    seen = [];
    handle = takeAll;
    const { socket } = open();
    socket.write(post('half', 8));
    await until(() => seen[0]?.body === 'half');
    socket.destroy();
    await until(() => seen[0]?.events.includes('close') === true);
    expect(seen[0]?.ended).toBe(false);
    expect(seen[0]?.req.complete).toBe(false);
  });
});

test('what comes after `release` goes into the stream, and its end is told there', async () => {
  const taken: string[] = [];
  const streamed: string[] = [];
  let ended = false;
  handle = (req, res) => {
    req.receive({
      data: (chunk) => {
        taken.push(chunk.toString('latin1'));
        req.release();
      },
      end: () => {
        ended = true;
      },
    });
    req.on('data', (chunk: Buffer) => streamed.push(chunk.toString('latin1')));
    req.on('end', () => res.end('streamed'));
  };
  const { socket, text } = open();
  socket.write(post('one', 6));
  await until(() => taken.length === 1);
  socket.write('two');
  await until(() => text().includes('streamed'));
  expect([taken, streamed, ended]).toEqual([['one'], ['two'], false]);
});

test.each([
  ['without a body', GET],
  ['with one', post('abc')],
])('who lets a request %s flow hears of its end', async (_, request) => {
  handle = (req, res) => {
    req.once('close', () => res.end('closed'));
    req.resume();
  };
  const { socket, text } = open();
  socket.write(request);
  await until(() => text().includes('closed'));
});

test('a body of which some may be gone cannot be taken', async () => {
  const errors: string[] = [];
  handle = (req, res) => {
    setTimeout(() => {
      try {
        req.receive({ data: () => {}, end: () => {} });
      } catch (error) {
        errors.push((error as Error).message);
      }
      res.end('late');
    }, 50);
  };
  for (const request of [post('abc'), GET]) {
    const { socket, text } = open();
    socket.write(request);
    await until(() => text().includes('late'));
  }
  expect(errors).toEqual(Array.from({ length: 2 }, () => 'a body is received in the turn in which its request came'));
});

test('a body that nobody takes does not stop the requests behind it', async () => {
  let answered = 0;
  handle = (_req, res) => {
    answered++;
    res.end('not read');
  };
  const { socket } = open();
  socket.write(post('x'.repeat(300_000)) + GET + post('y') + GET);
  await until(() => answered === 4);
});
