/** The HTTP server itself: sockets, time limits, draining. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CallContext, makeDispatcher } from './dispatch.ts';
import { problem } from './problem.ts';

export interface HttpServer {
  /** Where it listens, such as http://127.0.0.1:8080. */
  readonly url: string;
  /** Takes no new connections, lets running requests finish for `grace` milliseconds, then cuts what is left. */
  close(grace: number): Promise<void>;
}

export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** Node's own defaults are 60 s for headers and 300 s for a request: an invitation to hold sockets open. */
const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 60_000;

export async function listenHttp(context: CallContext, { host, port }: Listen): Promise<HttpServer> {
  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT, requestTimeout: REQUEST_TIMEOUT, maxHeaderSize: 16_384 },
    makeDispatcher(context),
  );
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const { status, body, headers } = problem('bad_request', 'that is not a well-formed HTTP request');
    const text = String(body);
    socket.end(
      `HTTP/1.1 ${status} Bad Request\r\ncontent-type: ${headers['content-type']}\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => resolve());
  });
  const address = server.address() as AddressInfo;
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return { url: `http://${shown}:${address.port}`, close: (grace) => drain(server, grace) };
}

function drain(server: Server, grace: number): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    const sweep = setInterval(() => server.closeIdleConnections(), 50);
    const cut = setTimeout(() => server.closeAllConnections(), grace);
    server.once('close', () => {
      clearInterval(sweep);
      clearTimeout(cut);
    });
  });
}
