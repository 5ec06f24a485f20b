/**
 * Connections that are bad company: those that stall, dribble, break off, never end, never read, or are too many. After each of them the
 * tree has the size it had before, and at the end the servers still work.
 */
import { connect, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ADMIN_KEY, type Answer, TestServer } from '../../../support/test-server.ts';
import { AUTHORIZED, EVENTS, SMALL } from './case.ts';

const server = await TestServer.start();
/** Low limits, short patience. */
const small = await TestServer.start({
  limits: SMALL,
  sockets: { headersTimeout: 400, requestTimeout: 800, stallTimeout: 1000, maxConnections: 20 },
  sequencer: { maxPendingEntries: 4 },
});
const unsigned = await TestServer.start({ publish: false });
const stalled = await TestServer.start({ sockets: { stallTimeout: 300 } });

beforeAll(async () => {
  for (const each of [server, small]) expect((await each.post(`${EVENTS}?ack=signed`, { first: 1 })).status).toBe(200);
});

/** Sizes after what was accepted on purpose. */
const sizes = new Map([
  [server, 1],
  [small, 1],
]);
afterEach(() => {
  for (const [each, size] of sizes) expect(each.sizeOf('main')).toBe(size);
  for (const { fatal } of [server, small, stalled, unsigned]) expect(fatal).toEqual([]);
});

async function accepted(answer: Promise<Answer>, at = server): Promise<void> {
  const { status, text } = await answer;
  sizes.set(at, (sizes.get(at) as number) + 1);
  expect([status, text]).toEqual([200, expect.any(String)]);
}

const HOST = 'Host: x\r\n';
const CLOSE = 'Connection: close\r\n';

describe('one connection', () => {
  test('a chunked body without end', async () => {
    const chunk = `3e8\r\n${' '.repeat(1000)}\r\n`;
    const { text, closed } = await small.raw(
      [
        `POST ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
        ...Array.from({ length: 500 }, () => chunk),
      ],
      { pause: 5 },
    );
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 413']);
    expect(closed).toBe(true);
  });

  test('garbage behind an append that waits is never its answer', async () => {
    const { text, closed } = await unsigned.raw(
      [
        `POST ${EVENTS}?ack=signed HTTP/1.1\r\n${HOST}${AUTHORIZED}Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"b":2}`,
        'nonsense\r\n\r\n',
      ],
      { pause: 200 },
    );
    expect([text, closed]).toEqual(['', true]);
    // It is durable all the same, now or in a moment: no answer is not "it did not happen".
    while (unsigned.sizeOf('main') === 0) await new Promise((wait) => setTimeout(wait, 10));
    expect(unsigned.sizeOf('main')).toBe(1);
  });

  test('one connection for many requests, also after errors', async () => {
    const ask = (path: string): string => `GET ${path} HTTP/1.1\r\n${HOST}\r\n`;
    const paths = [
      '/healthz',
      '/nothing',
      '/logs/main/tile/x',
      '/logs/_system',
      '/admin/keys',
      '/logs/main/checkpoint',
    ];
    const { text, closed } = await server.raw(
      `${paths.map(ask).join('')}PUT /healthz HTTP/1.1\r\n${HOST}\r\nGET /healthz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    );
    expect(text.match(/^HTTP\/1\.1 \d{3}/gm)?.map((line) => Number(line.slice(9)))).toEqual([
      200, 404, 404, 401, 401, 200, 405, 200,
    ]);
    expect(closed).toBe(true);
  });
});

describe('connections', () => {
  const HEAD = `POST ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n`;

  const open = (at: TestServer): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(at.url);
      const socket = connect({ host: hostname, port: Number(port) }, () => resolve(socket));
      socket.on('error', reject);
    });

  test.each<readonly [name: string, parts: readonly string[]]>([
    ['in a body', [`${HEAD}\r\n{"a":1`]],
    ['in a header', [HEAD.slice(0, 60)]],
    ['before the first byte', ['']],
    ['in a chunk', [`${HEAD.replace('Content-Length: 1000', 'Transfer-Encoding: chunked')}\r\n7\r\n{"a"`]],
    [
      'before the last chunk',
      [`${HEAD.replace('Content-Length: 1000', 'Transfer-Encoding: chunked')}\r\n7\r\n{"a":1}\r\n`],
    ],
  ])('closed by the client %s', async (_name, parts) => {
    const { closed } = await server.raw(parts, { end: true, timeout: 2000 });
    expect(closed).toBe(true);
    // And without saying goodbye.
    await server.raw(parts, { timeout: 10 });
  });

  test.each<readonly [name: string, parts: readonly string[]]>([
    ['nothing', ['']],
    ['half a header', [HEAD]],
    ['half a body', [`${HEAD}\r\n{"a":1`]],
    ['a header, drop by drop', [...HEAD.slice(0, 150)]],
    ['a body, drop by drop', [`${HEAD}\r\n{"a":"`, ...'x'.repeat(200)]],
  ])('408: %s', async (_name, parts) => {
    const started = Date.now();
    const { text, closed } = await small.raw(parts, { pause: 10 });
    expect(closed).toBe(true);
    expect(text).toMatch(/^HTTP\/1\.1 408 [\s\S]*"request_timeout"/);
    expect(Date.now() - started).toBeLessThan(2000);
  });

  test('a client that reads only after it has sent everything learns why it was refused', async () => {
    for (const [key, status] of [
      [ADMIN_KEY, 413],
      ['nonsense', 401],
    ]) {
      const socket = await open(server);
      socket.pause();
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      const length = 20 * 1_048_576;
      socket.write(
        `POST ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`,
      );
      await new Promise<void>((resolve, reject) => {
        socket.removeAllListeners('error');
        socket.on('error', reject);
        socket.on('close', () => resolve());
        // Resumed when the last byte has left.
        socket.write(Buffer.alloc(length, 0x20), () => socket.resume());
      });
      expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    }
  });

  test('a client that stops reading is cut off', async () => {
    const large = `{"a":"${'x'.repeat(1_000_000)}"}`;
    for (let i = 0; i < 4; i++) expect((await stalled.post(`${EVENTS}?ack=signed`, large)).status).toBe(200);
    const ask = `GET ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n\r\n`;
    const one = (await stalled.get(EVENTS, ADMIN_KEY)).bytes.length;
    /** Bytes that came when the client read on after so long. */
    const got = async (milliseconds: number): Promise<number> => {
      const socket = await open(stalled);
      socket.pause();
      // More than all buffers on the way hold.
      for (let i = 0; i < 4; i++) socket.write(ask);
      await new Promise((wait) => setTimeout(wait, milliseconds));
      let bytes = 0;
      await new Promise<void>((resolve) => {
        socket.on('data', (chunk) => {
          bytes += chunk.length;
        });
        socket.removeAllListeners('error');
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        socket.resume();
      });
      return bytes;
    };
    // A busy machine may not even have begun to answer by then.
    if ((await got(1500)) >= 4 * one) expect(await got(10_000)).toBeLessThan(4 * one);
  });

  test('no more than so many', async () => {
    const sockets = await Promise.all(Array.from({ length: 30 }, () => open(small).catch(() => undefined)));
    let closed = 0;
    for (const socket of sockets) {
      socket?.resume();
      socket?.on('close', () => closed++);
      socket?.removeAllListeners('error');
      socket?.on('error', () => {});
    }
    await new Promise((wait) => setTimeout(wait, 150));
    expect(closed).toBeGreaterThanOrEqual(10);
    for (const socket of sockets) socket?.destroy();
    await new Promise((wait) => setTimeout(wait, 50));
    expect((await small.get('/healthz')).status).toBe(200);
  });
});

describe('too much at once', () => {
  test('503 for what does not fit the pool, with the time to come back', async () => {
    const before = small.sizeOf('main');
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => small.post(EVENTS, '{}\n{}\n', ADMIN_KEY, 'application/x-ndjson')),
    );
    const good = answers.filter(({ status }) => status === 200);
    const late = answers.filter(({ status }) => status !== 200);
    expect([good.length > 0, late.length > 0]).toEqual([true, true]);
    for (const answer of late) {
      expect(answer.json()).toMatchObject({ status: 503, code: 'pushback' });
      expect(answer.headers['retry-after']).toBe('1');
    }
    expect(small.sizeOf('main')).toBe(before + 2 * good.length);
    sizes.set(small, small.sizeOf('main'));
  });
});

describe('anything', () => {
  test('requests with some bytes changed', async () => {
    const body = '{"id":"a","x":[1,2.5,null,"\\u00e9"]}';
    const base = `POST ${EVENTS}?id_pointer=/id&ack=durable HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_KEY}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const edit = fc.record({
      at: fc.nat(base.length - 1),
      take: fc.nat(6),
      put: fc.oneof(
        fc.string({ maxLength: 4, unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) }),
        fc.constantFrom('\r\n', '\n', '\0', '%00', '..', '//', '"', '\\', '{', '[', 'chunked', '9'.repeat(20), '\xff'),
      ),
    });
    const before = small.sizeOf('main');
    let stored = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(edit, { minLength: 1, maxLength: 3 }), { minLength: 18, maxLength: 18 }),
        async (all) => {
          const answers = await Promise.all(
            all.map((edits) => {
              let text = base;
              for (const { at, take, put } of edits) text = text.slice(0, at) + put + text.slice(at + take);
              return small.raw(text, { timeout: 1500 });
            }),
          );
          for (const { text, closed } of answers) {
            // Closed, or kept open for the next request after an answer; never silence.
            expect(closed || text !== '').toBe(true);
            const statuses = (text.match(/HTTP\/1\.1 \d{3}/g) ?? []).map((line) => Number(line.slice(9)));
            for (const status of statuses) expect(status === 503 || status < 500 ? 'fine' : text).toBe('fine');
            stored += text.includes('"replayed":false') ? 1 : 0;
          }
        },
      ),
      { numRuns: 3, endOnFailure: true },
    );
    // An entry whose connection broke may stand there without its answer; an answer never without its entry.
    expect(small.sizeOf('main')).toBeGreaterThanOrEqual(before + stored);
    sizes.set(small, small.sizeOf('main'));
  });
});

describe('after all that', () => {
  test('both servers work as before', async () => {
    for (const each of [server, small]) {
      await accepted(each.post(`${EVENTS}?ack=signed`, { last: 1 }), each);
      expect((await each.get('/readyz')).status).toBe(200);
      expect((await each.get('/metrics')).text).not.toMatch(/^indelible_http_requests_total\{.*status="500"/m);
    }
    const size = server.sizeOf('main');
    expect((await server.get(`/logs/main/proofs/consistency?first=1&second=${size}`)).status).toBe(200);
  });

  test('a server that is told to stop waits for nobody who sends nothing', async () => {
    const [idle, half] = [small.raw('', { timeout: 3000 }), small.raw('GET /heal', { timeout: 3000 })];
    await new Promise((wait) => setTimeout(wait, 50));
    const started = Date.now();
    await small.stopListening(10_000);
    expect(Date.now() - started).toBeLessThan(1000);
    expect([(await idle).closed, (await half).closed]).toEqual([true, true]);
  });
});
